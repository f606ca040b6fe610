import { closeSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { lockRecords } from "@sluice/runtime";
import { DatabaseFileError } from "./record.js";

/** OVS's name of the file that guards a database against a second server. */
const lockPath = (path: string): string => join(dirname(path), `.${basename(path)}.~lock~`);

/** Locks the database file for this process; the result unlocks it. Throws DatabaseFileError where a living server has
 *  it: by the lock that the kernel lists (Linux), or by the process id in the lock file. ovsdb-server is kept out by the
 *  record lock, where that can be had. A lock whose holder is gone is taken over. */
export const lockDatabase = (path: string): (() => void) => {
  const file = lockPath(path);
  const me = `${process.pid} ${startOf(process.pid)}\n`;
  let fd = -1;
  for (let attempt = 0; ; attempt++) {
    try {
      fd = openSync(file, "wx", 0o600);
      writeSync(fd, me);
      if (lockRecords(fd) !== false) break;
      // Somebody took it as soon as it was there: the next look says who.
      closeSync(fd);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EEXIST") throw new DatabaseFileError(path, `cannot be locked: ${file}: ${code}`);
      const holder = holderOf(file);
      if (holder !== undefined || attempt === 3)
        throw new DatabaseFileError(path, `is in use by another server${holder ? ` (pid ${holder})` : ""}`);
      unlinkSync(file);
    }
  }
  return () => {
    try {
      if (readFileSync(file, "latin1") === me) unlinkSync(file);
    } catch {
      // Somebody removed it; there is nothing left to unlock.
    }
    closeSync(fd);
  };
};

/** The id of the living process that holds the lock. */
const holderOf = (file: string): number | undefined => {
  try {
    const { ino } = statSync(file);
    // "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF"
    const kernelLock = read("/proc/locks")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .find((fields) => fields[1] === "POSIX" && fields[5]?.endsWith(`:${ino}`));
    if (kernelLock) return Number(kernelLock[4]);
    const [pid, start] = readFileSync(file, "latin1").trim().split(" ");
    const isAlive = Number(pid) > 0 && startOf(Number(pid)) === start;
    return isAlive ? Number(pid) : undefined;
  } catch {
    return undefined;
  }
};

const read = (path: string): string => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
};

/** When the process started, in the kernel's ticks: tells it from a later one with the same id. "" when it is gone, which
 *  it also is where nobody has asked after its end (a container whose process 1 does not); "?" where the system does not say. */
const startOf = (pid: number): string => {
  const stat = read(`/proc/${pid}/stat`);
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (stat) return state === "Z" || state === "X" ? "" : (rest[18] ?? "?");
  if (read("/proc/self/stat")) return "";
  try {
    process.kill(pid, 0);
    return "?";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "?" : "";
  }
};
