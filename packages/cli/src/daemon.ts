import { rmSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { createLog, ensureRunDir, type LineFormat, type LogRegistry, writePidfile } from "@sluice/runtime";
import { CliError, type Io } from "./io.js";
import type { OptionSpecs, Options } from "./options.js";

/** What all daemons take from their command line, by Open vSwitch's names, and what they do with it. */
export const DAEMON_OPTIONS = {
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
  return logs;
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
