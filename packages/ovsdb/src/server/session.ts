import type { Duplex } from "node:stream";
import {
  IdleProbe,
  JsonFramer,
  type JsonFramerOptions,
  JsonFramingError,
  stringifyJson,
} from "@sluice/runtime";
import type { TransactOutcome } from "../engine/transact.js";
import { errorText } from "../engine/transact.js";
import { isObject, OvsdbError, stringifySorted } from "../schema/error.js";
import { METHODS } from "./methods.js";
import type { Monitor } from "./monitor.js";
import { Outbox } from "./outbox.js";
import type { ServerCore } from "./server.js";

export interface SessionOptions {
  /** Who it is, for the log. */
  name: string;
  readOnly?: boolean;
  /** Milliseconds of silence before an echo request, and again before the client counts as dead; 0 never asks. */
  probeIntervalMs?: number;
  framing?: JsonFramerOptions;
}

/** One client's connection: its requests in order, its monitors, its locks. */
export class Session {
  readonly name: string;
  readonly server: ServerCore;
  readonly readOnly: boolean;
  /** By the client's name for them, as sorted JSON text. */
  readonly monitors = new Map<string, Monitor>();
  /** The client asked to be told of databases that come, go or change, instead of being disconnected. */
  isChangeAware = false;
  readonly #stream: Duplex;
  readonly #framer: JsonFramer;
  readonly #outbox: Outbox;
  readonly #probe: IdleProbe;
  #isClosed = false;

  constructor(server: ServerCore, stream: Duplex, options: SessionOptions) {
    this.server = server;
    this.name = options.name;
    this.readOnly = options.readOnly ?? false;
    this.#stream = stream;
    this.#framer = new JsonFramer(options.framing);
    this.#outbox = new Outbox(
      stream,
      () => this.#onDrain(),
      (error) => this.close(`disk: ${error.message}`),
    );
    this.#probe = new IdleProbe({
      clock: server.clock,
      intervalMs: options.probeIntervalMs ?? 0,
      probe: () => this.send('{"id":"echo","method":"echo","params":[]}'),
      dead: () => this.close("no response to inactivity probe"),
    });
    this.#probe.start();
    stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    stream.on("error", (error: Error) => this.close(error.message));
    stream.on("end", () => this.#outbox.end());
    stream.on("close", () => this.close("closed"));
  }

  get isBlocked(): boolean {
    return this.#outbox.isBlocked;
  }

  get counters(): ServerCore["counters"] {
    return this.server.counters;
  }

  send(text: string): void {
    if (!this.#isClosed) this.#outbox.send(text);
  }

  #onData(chunk: Uint8Array): void {
    this.#probe.activity();
    try {
      this.#framer.push(chunk);
      this.#run();
    } catch (error) {
      if (!(error instanceof JsonFramingError)) throw error;
      // What came whole before the garbage is still answered; the rest of the stream means nothing.
      this.#run();
      this.counters.sessions_malformed++;
      this.server.log.warn(`${this.name}: ${error.message}; disconnecting`);
      this.#outbox.end();
      this.close(error.message);
    }
  }

  /** Handles messages for as long as the client takes the answers. */
  #run(): void {
    while (!this.#isClosed && !this.isBlocked) {
      const message = this.#framer.next();
      if (message === undefined) return;
      this.#handle(message);
    }
    if (this.isBlocked) this.#stream.pause();
  }

  #onDrain(): void {
    if (this.#isClosed) return;
    for (const monitor of this.monitors.values()) monitor.flush();
    this.#run();
    if (!this.isBlocked) this.#stream.resume();
  }

  #handle(message: unknown): void {
    if (!isObject(message)) {
      this.#refuse("message is not a JSON object");
      return;
    }
    const { method, params, id } = message;
    if (method === undefined) {
      // A reply: of all we ask, only to our echo. Its coming was what mattered.
      if (!("result" in message) && !("error" in message))
        this.#refuse("message is neither request nor reply");
      return;
    }
    if (typeof method !== "string") {
      this.#refuse("method must be a string");
      return;
    }
    if (params !== null && params !== undefined && !Array.isArray(params)) {
      this.#refuse("params must be an array");
      return;
    }
    this.counters.requests++;
    const isNotification = id === null || id === undefined;
    const idText = isNotification ? undefined : stringifyJson(id);
    try {
      const handler = METHODS.get(method);
      if (!handler) {
        if (idText !== undefined) this.replyError(idText, '"unknown method"');
        return;
      }
      if (idText === undefined && method !== "cancel") return;
      const result = handler(this, (params as unknown[] | null | undefined) ?? [], idText ?? "null");
      if (result !== undefined && idText !== undefined) this.reply(idText, result);
    } catch (error) {
      if (idText !== undefined) this.replyError(idText, this.#errorText(error, method));
    }
  }

  #errorText(error: unknown, method: string): string {
    if (!(error instanceof OvsdbError)) {
      this.server.log.err(`${this.name}: ${method}: ${(error as Error).stack ?? String(error)}`);
      return '{"details":"internal error","error":"ovsdb error"}';
    }
    return error.tag === "unknown monitor" ? `"${error.tag}"` : errorText(error);
  }

  #refuse(why: string): void {
    this.counters.sessions_malformed++;
    this.server.log.warn(`${this.name}: ${why}; disconnecting`);
    this.close(why);
  }

  /** `result` is JSON text. */
  reply(id: string, result: string): void {
    this.send(`{"id":${id},"result":${result},"error":null}`);
  }

  replyError(id: string, error: string): void {
    this.counters.requests_refused++;
    this.send(`{"id":${id},"result":null,"error":${error}}`);
  }

  /** Answers a transaction; a durable one after the disk has it. */
  replyOutcome(
    id: string,
    outcome: Exclude<TransactOutcome, { waitsFor: unknown }>,
    sync: () => Promise<void>,
  ): void {
    if (outcome.durable && outcome.commit) this.#outbox.hold(sync());
    // The client's own monitors speak before the reply (ovsdb-server(7) 4.1.5), even where others' would be merged.
    for (const monitor of this.monitors.values()) monitor.flush();
    this.reply(id, outcome.results);
  }

  monitor(id: unknown): Monitor {
    const monitor = this.monitors.get(stringifySorted(id));
    if (!monitor) throw new OvsdbError("unknown monitor", "no such monitor", id);
    return monitor;
  }

  close(why: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#probe.stop();
    this.server.log.dbg(`${this.name}: ${why}`);
    this.server.forget(this);
    if (!this.#stream.destroyed) {
      this.#stream.end();
      this.#stream.destroy();
    }
  }
}
