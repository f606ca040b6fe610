import { createRequire } from "node:module";
import { constants } from "node:os";

/** The few calls of Linux's C library that the packet path needs, over koffi. Memory is passed by address, as a
 *  number: no BigInt in the loop. Calls give -1 and leave `errno()`. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, size: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, size: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  ioctlInt(fd: number, request: number, argument: number): number;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, address: number, size: number): number;
  write(fd: number, address: number, size: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  eventfd(initial: number, flags: number): number;
  errno(): number;
  /** Where an ArrayBuffer's bytes lie. They stay there as long as it is referenced. */
  addressOf(buffer: ArrayBufferLike): number;
}

const SIGNATURES = {
  socket: "int socket(int, int, int)",
  bind: "int bind(int, const void *, uint32_t)",
  setsockopt: "int setsockopt(int, int, int, const void *, uint32_t)",
  ioctl: "int ioctl(int, unsigned long, void *)",
  open: "int open(const char *, int, int)",
  close: "int close(int)",
  read: "intptr_t read(int, intptr_t, uintptr_t)",
  write: "intptr_t write(int, intptr_t, uintptr_t)",
  poll: "int poll(intptr_t, unsigned long, int)",
  recvmmsg: "int recvmmsg(int, intptr_t, unsigned int, int, intptr_t)",
  sendmmsg: "int sendmmsg(int, intptr_t, unsigned int, int)",
  eventfd: "int eventfd(unsigned int, int)",
} as const;

type Koffi = typeof import("koffi");

/** Opens the C library. Throws an Error of one line where there is none that fits. */
export function loadLibc(): Libc {
  if (process.platform !== "linux") {
    throw new Error(`network devices need Linux; on ${process.platform} only dummy ports work`);
  }
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    const library = openLibrary(koffi);
    const functions = Object.fromEntries(
      Object.entries(SIGNATURES).map(([name, signature]) => [name, library.func(signature)]),
    );
    return {
      ...(functions as unknown as Libc),
      ioctlInt: library.func("int ioctl(int, unsigned long, intptr_t)") as unknown as Libc["ioctlInt"],
      errno: () => koffi.errno(),
      addressOf: (buffer) => Number(koffi.address(buffer)),
    };
  } catch (error) {
    throw new Error(`network devices need koffi, which cannot be loaded here: ${firstLine(error)}`);
  }
}

const firstLine = (error: unknown): string => String((error as Error).message ?? error).split("\n")[0]!;

/** musl's C library has a name of its own. */
function openLibrary(koffi: Koffi): ReturnType<Koffi["load"]> {
  const machine = process.arch === "x64" ? "x86_64" : process.arch === "arm64" ? "aarch64" : process.arch;
  try {
    return koffi.load("libc.so.6");
  } catch {
    return koffi.load(`libc.musl-${machine}.so.1`);
  }
}

export const EPERM = constants.errno.EPERM;
export const EINTR = constants.errno.EINTR;
export const EAGAIN = constants.errno.EAGAIN;
export const ENODEV = constants.errno.ENODEV;
export const ENXIO = constants.errno.ENXIO;
export const EINVAL = constants.errno.EINVAL;
export const ENOBUFS = constants.errno.ENOBUFS;
export const ENETDOWN = constants.errno.ENETDOWN;
export const EBUSY = constants.errno.EBUSY;
/** Linux's number for a file descriptor in a bad state: a TAP whose device was removed. */
export const EBADFD = 77;

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** "EPERM" for 1. */
export const errnoName = (errno: number): string => names.get(errno) ?? `errno ${errno}`;

/** What is to be said of a call that failed for a device. */
export function deviceError(device: string, what: string, errno: number, needs: string): Error {
  const why =
    errno === EPERM || errno === constants.errno.EACCES
      ? `not permitted (needs ${needs})`
      : errno === ENODEV || errno === ENXIO
        ? "no such device"
        : errnoName(errno);
  return new Error(`${device}: ${what}: ${why}`);
}
