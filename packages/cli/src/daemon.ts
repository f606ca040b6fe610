import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import {
  createLog,
  ensureRunDir,
  type LineFormat,
  type LogRegistry,
  realClock,
  writePidfile,
} from "@sluice/runtime";
import { CliError, type Io } from "./io.js";
import type { OptionSpecs, Options } from "./options.js";
import { keepAlive } from "./timeout.js";

/** What all daemons take from their command line, by Open vSwitch's names, and what they do with it. */
export const DAEMON_OPTIONS = {
  detach: {},
  monitor: {},
  pidfile: { value: "optional" },
  "overwrite-pidfile": {},
  unixctl: { value: true },
  verbose: { short: "v", value: "optional", many: true },
  "log-file": { value: "optional" },
} as const satisfies OptionSpecs;

type DaemonOptions = Options<typeof DAEMON_OPTIONS>;

/** A log to standard error and, with --log-file, to that file, else to `defaultFile`. Throws CliError. */
export function daemonLog(
  options: DaemonOptions,
  io: Io,
  defaultFile: string,
  format?: LineFormat,
): LogRegistry {
  const console = (line: string): void => void io.stderr.write(line);
  const logs = createLog({ console, ...(format !== undefined && { format }) });
  if (options["log-file"] !== undefined) {
    try {
      logs.openFile(options["log-file"] || defaultFile);
    } catch (error) {
      throw new CliError(`--log-file: ${(error as Error).message}`);
    }
  }
  logEnd(logs);
  return logs;
}

/** The log of the daemon that this process is; where it is one after the other, of the last. */
let ownLog: LogRegistry | undefined;

/** A bug that ends the daemon is in its log, with where it is, and not only on a terminal that nobody watches; so are the
 *  lines that were left out until then. */
function logEnd(logs: LogRegistry): void {
  if (ownLog === undefined) {
    process.on("uncaughtException", (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      ownLog?.module("daemon").emer(text);
      process.exit(1);
    });
    process.on("exit", () => ownLog?.reportDropped());
  }
  ownLog = logs;
}

/** In the environment of processes that `detach` and `monitor` started; the latter's has why it is not the first. */
const DETACHED = "SLUICE_DETACHED";
const MONITORED = "SLUICE_MONITORED";
/** Between two starts of a daemon that breaks again and again. */
const RESTART_MS = 1000;

/** What starts the daemon in another process, by --detach and --monitor; undefined where this one is to be it. */
export function starter({ detach: background, monitor: watched }: DaemonOptions) {
  if (background && process.env[DETACHED] === undefined) return detach;
  if (watched && process.env[MONITORED] === undefined) return monitor;
  return undefined;
}

/** Runs this command line again in the background, in a session of its own, and waits until it serves: whoever starts
 *  it can talk to it when this is done. Its complaints until then are shown here. Gives the exit code: 0 when it
 *  serves, else its own. */
async function detach(io: Io): Promise<number> {
  const child = again({ [DETACHED]: "1" }, { detached: true, stdio: ["ignore", "ignore", "pipe", "ipc"] });
  child.stderr!.on("data", (text: Buffer) => void io.stderr.write(text));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void child.kill("SIGTERM"));
  const up = once(child, "message").then(() => undefined);
  const end = await Promise.race([up, endOf(child)]);
  if (end?.signal) throw new CliError(`ended by ${end.signal} before it served`);
  child.stderr!.destroy();
  if (child.connected) child.disconnect();
  child.unref();
  return end?.code ?? 0;
}

/** Runs this command line again, and anew whenever it breaks once it has served. Gives its exit code. */
async function monitor(): Promise<number> {
  let hasServed = false;
  let isStopping = false;
  for (let why = ""; ; ) {
    const child = again({ [MONITORED]: why }, { stdio: ["inherit", "inherit", "inherit", "ipc"] });
    child.once("message", () => {
      if (!hasServed) tellStarter();
      hasServed = true;
    });
    const stop = (signal: NodeJS.Signals): void => {
      isStopping = true;
      child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM"] as const;
    for (const signal of signals) process.on(signal, stop);
    const { code, signal } = await endOf(child);
    for (const one of signals) process.off(one, stop);
    if (code === 0 || isStopping || !hasServed) return code ?? 1;
    why = signal === null ? `exit code ${code}` : signal;
    await keepAlive(new Promise<void>((resolve) => realClock.setTimeout(resolve, RESTART_MS)));
  }
}

const again = (env: Readonly<Record<string, string>>, options: SpawnOptions): ChildProcess =>
  spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    ...options,
    env: { ...process.env, ...env },
  });

const endOf = async (child: ChildProcess): Promise<{ code: number | null; signal: string | null }> => {
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return { code, signal };
};

/** The daemon serves from here on. In the background nobody reads what it prints any more: its log is the file's. */
export function serves(logs: LogRegistry): void {
  const why = process.env[MONITORED];
  if (why) logs.module("daemon").warn(`started anew: the process before ended (${why})`);
  if (process.env[DETACHED] !== undefined) logs.set("ANY", "console", "off");
  tellStarter();
}

function tellStarter(): void {
  process.send?.("serves", () => {
    if (process.connected) process.disconnect();
  });
}

/** --verbose, once the modules that it may name are known. */
export function setLevels(logs: LogRegistry, { verbose = [] }: DaemonOptions): void {
  for (const spec of verbose) logs.setSpec(spec);
}

/** A path that names no directory is one in RUNDIR, which is made if it is not there. */
export const inRunDir = (path: string, { env }: Io): string =>
  isAbsolute(path) ? path : join(ensureRunDir(env), path);

/** Writes the file that --pidfile names; gives what removes it. Throws CliError. */
export function daemonPidfile(options: DaemonOptions, io: Io, defaultName: string): () => void {
  try {
    const path = inRunDir(options.pidfile || defaultName, io);
    if (options["overwrite-pidfile"]) rmSync(path, { force: true });
    return writePidfile(path);
  } catch (error) {
    throw new CliError(`--pidfile: ${(error as Error).message}`);
  }
}

export interface StopRequest {
  /** Resolves at the first signal, or at `now`. A second signal ends the process at once. */
  readonly requested: Promise<void>;
  readonly now: () => void;
}

export function stopRequest(signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"]): StopRequest {
  let now!: () => void;
  const requested = new Promise<void>((done) => {
    now = () => {
      for (const signal of signals) process.off(signal, now);
      done();
    };
  });
  for (const signal of signals) process.on(signal, now);
  return { requested, now };
}
