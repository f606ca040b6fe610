import { closeSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { lockRecords } from "./record-lock.js";

/** The process id in a pid file, or undefined where there is no such file or no number in it. */
export function readPidfile(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8").trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `pid` runs, and runs this very program: after a crash the number may have gone to another one. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  try {
    const program = basename(process.argv[1] ?? process.argv0);
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(program);
  } catch {
    return true;
  }
}

/** Writes this process's id to `path`, and holds the lock by which ovs-appctl tells a running daemon from a file that was
 *  left behind. Where that lock cannot be had the daemon works all the same, and ovs-appctl has to be given the control
 *  socket's path. Throws a one-line Error when a running program of this kind already has the file. The result removes it
 *  again. */
export function writePidfile(path: string): () => void {
  const other = readPidfile(path);
  if (other !== undefined && other !== process.pid && isRunning(other))
    throw new Error(`${path}: already running as pid ${other}`);
  const temporary = `${path}.tmp${process.pid}`;
  const fd = openSync(temporary, "w", 0o644);
  writeSync(fd, `${process.pid}\n`);
  lockRecords(fd);
  renameSync(temporary, path);
  return () => {
    if (readPidfile(path) === process.pid) unlinkSync(path);
    closeSync(fd);
  };
}
