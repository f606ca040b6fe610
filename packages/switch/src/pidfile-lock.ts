import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";

const F_SETLK = 6;
const F_WRLCK = 1;
/** struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid. All zeros but the type: the whole file. */
const FLOCK_SIZE = 32;

/** Holds the record lock on a pid file by which ovs-appctl tells a running daemon from a stale file (Node has no
 *  fcntl). Where it cannot be had (another system, no koffi) the daemon works all the same, and ovs-appctl has to be
 *  given the socket's path. The result gives the lock up. */
export function lockPidfile(path: string): () => void {
  if (process.platform !== "linux") return () => {};
  let fd: number | undefined;
  try {
    fd = openSync(path, "r+");
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const fcntl = koffi.load("libc.so.6").func("int fcntl(int, int, ...)");
    const flock = new Uint8Array(FLOCK_SIZE);
    flock[0] = F_WRLCK;
    fcntl(fd, F_SETLK, "void *", flock);
  } catch {
    // See above.
  }
  return () => {
    if (fd !== undefined) closeSync(fd);
  };
}
