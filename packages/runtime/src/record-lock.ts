import { createRequire } from "node:module";

const F_SETLK = 6;
const F_WRLCK = 1;
/** struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid. All zeros but the type: the whole file. */
const FLOCK_SIZE = 32;

/** Takes the record lock of POSIX on a whole open file, the one that Open vSwitch takes on databases and pid files: false where another process
 *  has it, undefined where it cannot be asked for (Node has no fcntl, and koffi does not load here). It goes when the
 *  process closes the file, by any descriptor. */
export const lockRecords = (fd: number): boolean | undefined => {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) return undefined;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const fcntl = koffi.load(null).func("int fcntl(int, int, ...)") as (...args: unknown[]) => number;
    const flock = new Uint8Array(FLOCK_SIZE);
    flock[0] = F_WRLCK;
    return fcntl(fd, F_SETLK, "void *", flock) === 0;
  } catch {
    return undefined;
  }
};
