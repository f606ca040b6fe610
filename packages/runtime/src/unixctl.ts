import { once } from "node:events";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import { JsonFramer } from "./json-framer.js";
import { readPidfile } from "./pidfile.js";
import { runDir } from "./rundir.js";
import { type Listener, listen, openStream } from "./stream.js";

/** What can be asked of a daemon, by name. */
export type ControlCommands = Readonly<Record<string, ControlCommand>>;

export interface ControlCommand {
  /** Its arguments, as `list-commands` shows them. */
  readonly usage?: string;
  /** How many arguments it takes: none unless given. */
  readonly args?: readonly [min: number, max: number];
  /** Carries it out; the text is shown to the person who asked. Throwing says why not, in one line. */
  readonly run: (args: readonly string[]) => string | undefined | Promise<string | undefined>;
}

interface Request {
  id: unknown;
  method: string;
  params: string[];
}

export interface ControlReply {
  result: string | null;
  error: string | null;
}

/** Requests may be this large, and replies to us this large: a dump of many flows is one text. */
const MAX_REQUEST = 1 << 20;
const MAX_REPLY = 1 << 30;

const isRequest = (value: unknown): value is Request => {
  const { method, params } = (value ?? {}) as Partial<Request>;
  return (
    typeof method === "string" && Array.isArray(params) && params.every((param) => typeof param === "string")
  );
};

const withNewline = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** A control socket, as `ovs-appctl` and `sluice appctl` speak to it: JSON-RPC 1.0, a command's name as the method,
 *  its arguments as strings, text as the result. */
export class ControlServer {
  readonly #commands = new Map<string, ControlCommand>();
  /** Why there is no such command, where people may expect it. */
  whyAbsent: (command: string) => string | undefined = () => undefined;
  #listener: Listener | undefined;

  /** `version` is what the command of that name answers. */
  constructor(version: string, ...tables: readonly ControlCommands[]) {
    const own: ControlCommands = {
      "list-commands": { run: () => this.#list() },
      help: { run: () => this.#list() },
      version: { run: () => version },
    };
    for (const table of [own, ...tables])
      for (const [name, command] of Object.entries(table)) this.#commands.set(name, command);
  }

  /** Listens on the unix socket `path`. Rejects with StreamError. */
  async listen(path: string): Promise<void> {
    this.#listener = await listen(`punix:${path}`, (socket) => void this.#serve(socket), {
      maxConnections: 64,
    });
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  /** Carries out one command, as if it had come over the socket. */
  async run(method: string, params: readonly string[]): Promise<ControlReply> {
    try {
      const result = await this.#find(method, params).run(params);
      return { result: withNewline(result ?? ""), error: null };
    } catch (error) {
      return { result: null, error: withNewline((error as Error).message) };
    }
  }

  #find(method: string, params: readonly string[]): ControlCommand {
    const command = this.#commands.get(method);
    if (!command) {
      const why = this.whyAbsent(method);
      throw new Error(
        `"${method}" is not a valid command${why === undefined ? "" : `: ${why}`} (use "list-commands" to see a list of valid commands)`,
      );
    }
    const [minArgs, maxArgs] = command.args ?? [0, 0];
    if (params.length < minArgs)
      throw new Error(`"${method}" command requires at least ${minArgs} arguments`);
    if (params.length > maxArgs) throw new Error(`"${method}" command takes at most ${maxArgs} arguments`);
    return command;
  }

  #list(): string {
    const rows = [...this.#commands].sort(([a], [b]) => (a < b ? -1 : 1));
    return `The available commands are:\n${rows.map(([name, { usage = "" }]) => `  ${name.padEnd(23)} ${usage}`.trimEnd()).join("\n")}`;
  }

  /** One request after another, however long each takes: answers keep the order of the requests, and a client that
   *  does not read its answers is not read from either. */
  async #serve(socket: Socket): Promise<void> {
    const framer = new JsonFramer({ maxSize: MAX_REQUEST });
    try {
      for await (const chunk of socket) {
        framer.push(chunk as Buffer);
        for (let message = framer.next(); message !== undefined; message = framer.next()) {
          if (!isRequest(message)) throw new TypeError("not a request");
          const { result, error } = await this.run(message.method, message.params);
          await write(socket, `${JSON.stringify({ id: message.id ?? null, result, error })}\n`);
        }
      }
      socket.end();
    } catch {
      socket.destroy();
    }
  }
}

async function write(socket: Socket, text: string): Promise<void> {
  if (socket.write(text)) return;
  const waiting = new AbortController();
  const { signal } = waiting;
  await Promise.race([once(socket, "drain", { signal }), once(socket, "close", { signal })]).finally(() =>
    waiting.abort(),
  );
}

/** The control socket that `target` means: a path (it has a "/"), or a daemon's name, by its pid file. Throws a one-line Error. */
export function controlPath(target: string, dir: string = runDir()): string {
  if (target.includes("/")) return resolve(target);
  const pidfile = join(dir, `${target}.pid`);
  const pid = readPidfile(pidfile);
  if (pid === undefined) throw new Error(`${pidfile}: no such pid file; is ${target} running?`);
  return join(dir, `${target}.${pid}.ctl`);
}

/** Asks one command of the control socket at `path`. Rejects with StreamError when nobody answers. */
export async function controlCall(
  path: string,
  command: string,
  args: readonly string[],
): Promise<ControlReply> {
  const socket = await openStream(`unix:${path}`);
  const framer = new JsonFramer({ maxSize: MAX_REPLY });
  try {
    socket.write(JSON.stringify({ id: 0, method: command, params: args }));
    for await (const chunk of socket) {
      framer.push(chunk as Buffer);
      const reply = framer.next();
      if (reply !== undefined) return reply as ControlReply;
    }
    throw new Error(`${path}: closed without an answer`);
  } finally {
    socket.destroy();
  }
}
