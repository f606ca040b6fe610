import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { createLog, ensureRunDir, type LineFormat, type LogRegistry, writePidfile } from "@sluice/runtime";
import { CliError, type Io } from "./io.js";
import type { OptionSpecs, Options } from "./options.js";

/** What all daemons take from their command line, by Open vSwitch's names, and what they do with it. */
export const DAEMON_OPTIONS = {
  detach: {},
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
  logCrashes(logs);
  return logs;
}

/** A bug that ends the daemon is in its log, with where it is, and not only on a terminal that nobody watches. */
function logCrashes(logs: LogRegistry): void {
  process.on("uncaughtException", (error: unknown) => {
    logs.module("daemon").emer(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  });
}

/** In the environment of a process that `detach` started. */
const DETACHED = "SLUICE_DETACHED";

/** --detach is given, and this process is not yet the one in the background. */
export const mustDetach = ({ detach = false }: DaemonOptions): boolean =>
  detach && process.env[DETACHED] === undefined;

/** Runs this command line again in the background, in a session of its own, and waits until it serves: whoever starts
 *  it can talk to it when this is done. Its complaints until then are shown here. Gives the exit code: 0 when it
 *  serves, else its own. */
export async function detach(io: Io): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, [DETACHED]: "1" },
  });
  child.stderr!.on("data", (text: Buffer) => void io.stderr.write(text));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void child.kill("SIGTERM"));
  const up = once(child, "message").then(() => 0);
  const ended = once(child, "close").then(([code, signal]) => {
    if (signal !== null) throw new CliError(`ended by ${String(signal)} before it served`);
    return Number(code);
  });
  const code = await Promise.race([up, ended]);
  child.stderr!.destroy();
  if (child.connected) child.disconnect();
  child.unref();
  return code;
}

/** The daemon serves from here on. In the background nobody reads what it prints any more: its log is the file's. */
export function serves(logs: LogRegistry): void {
  if (process.env[DETACHED] === undefined || process.send === undefined) return;
  logs.set("ANY", "console", "off");
  process.send("serves", () => {
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
