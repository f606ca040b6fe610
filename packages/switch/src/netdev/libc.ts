import { createRequire } from "node:module";
import { constants } from "node:os";

/** The few calls of Linux's C library that the packet path needs, over koffi. Memory is passed by address, as a
 *  number: no BigInt in the loop. Calls give -1 and leave `errno()`. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, size: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, size: number): number;
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, size: Uint8Array): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  ioctlInt(fd: number, request: number, argument: number): number;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  dup(fd: number): number;
  read(fd: number, address: number, size: number): number;
  write(fd: number, address: number, size: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  sendto(fd: number, data: number, size: number, flags: number, address: number, addressSize: number): number;
  eventfd(initial: number, flags: number): number;
  usleep(us: number): number;
  /** `time`: the address of a struct timespec. */
  clockGettime(clock: number, time: number): number;
  prctl(option: number, argument: number): number;
  /** bpf(2); `attr` is an address. */
  bpf(command: number, attr: number, size: number): number;
  /** Maps what a descriptor offers at `offset`, or memory of nobody's; undefined when it cannot be. */
  mapShared(fd: number, size: number, offset: number): number | undefined;
  mapAnonymous(size: number): number | undefined;
  unmap(address: number, size: number): void;
  madvise(address: number, size: number, advice: number): number;
  /** The memory at an address, as long as it stays mapped. */
  view(address: number, size: number): ArrayBuffer;
  /** sched_setaffinity(2), sched_getaffinity(2): a thread's cores (0: the caller's); `mask` is an address. */
  schedSetaffinity(thread: number, size: number, mask: number): number;
  schedGetaffinity(thread: number, size: number, mask: number): number;
  /** The core that the caller runs on. */
  schedGetcpu(): number;
  /** sched_setscheduler(2): a thread's policy (0: the caller's); `parameter`, a struct sched_param, is an address. */
  schedSetscheduler(thread: number, policy: number, parameter: number): number;
  /** sched_yield(2). */
  schedYield(): number;
  /** setpriority(2). */
  setpriority(which: number, who: number, nice: number): number;
  errno(): number;
  /** Where an ArrayBuffer's bytes lie. They stay there as long as it is referenced. */
  addressOf(buffer: ArrayBufferLike): number;
}

const SIGNATURES = {
  socket: "int socket(int, int, int)",
  bind: "int bind(int, const void *, uint32_t)",
  setsockopt: "int setsockopt(int, int, int, const void *, uint32_t)",
  ioctl: "int ioctl(int, unsigned long, void *)",
  getsockopt: "int getsockopt(int, int, int, void *, void *)",
  sendto: "intptr_t sendto(int, intptr_t, uintptr_t, int, intptr_t, unsigned int)",
  open: "int open(const char *, int, int)",
  close: "int close(int)",
  dup: "int dup(int)",
  read: "intptr_t read(int, intptr_t, uintptr_t)",
  write: "intptr_t write(int, intptr_t, uintptr_t)",
  poll: "int poll(intptr_t, unsigned long, int)",
  recvmmsg: "int recvmmsg(int, intptr_t, unsigned int, int, intptr_t)",
  sendmmsg: "int sendmmsg(int, intptr_t, unsigned int, int)",
  eventfd: "int eventfd(unsigned int, int)",
  setpriority: "int setpriority(int, unsigned int, int)",
  usleep: "int usleep(unsigned int)",
  prctl: "int prctl(int, unsigned long)",
  madvise: "int madvise(intptr_t, uintptr_t, int)",
} as const;

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;
const SYS_BPF = process.arch === "arm64" ? 280 : 321;

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
    const mmap = library.func("intptr_t mmap(intptr_t, uintptr_t, int, int, int, intptr_t)");
    const munmap = library.func("int munmap(intptr_t, uintptr_t)");
    const syscall = library.func("long syscall(long, int, intptr_t, unsigned int)");
    const map = (size: number, flags: number, fd: number, offset: number): number | undefined => {
      const address = mmap(0, size, PROT_READ_WRITE, flags, fd, offset) as number;
      return address === -1 ? undefined : address;
    };
    return {
      ...(functions as unknown as Libc),
      schedSetaffinity: library.func(
        "int sched_setaffinity(int, uintptr_t, intptr_t)",
      ) as unknown as Libc["schedSetaffinity"],
      schedGetaffinity: library.func(
        "int sched_getaffinity(int, uintptr_t, intptr_t)",
      ) as unknown as Libc["schedGetaffinity"],
      clockGettime: library.func("int clock_gettime(int, intptr_t)") as unknown as Libc["clockGettime"],
      schedSetscheduler: library.func(
        "int sched_setscheduler(int, int, intptr_t)",
      ) as unknown as Libc["schedSetscheduler"],
      schedYield: library.func("int sched_yield()") as unknown as Libc["schedYield"],
      schedGetcpu: library.func("int sched_getcpu()") as unknown as Libc["schedGetcpu"],
      bpf: (command, attr, size) => Number(syscall(SYS_BPF, command, attr, size)),
      mapShared: (fd, size, offset) => map(size, MAP_SHARED_POPULATE, fd, offset),
      mapAnonymous: (size) => map(size, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0),
      unmap: (address, size) => munmap(address, size),
      view: (address, size) => koffi.view(address, size),
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
