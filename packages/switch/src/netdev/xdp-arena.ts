// Hot path: all of `XdpFrames`. Nothing is allocated but where a long frame comes from elsewhere, nothing throws.

import type { Libc } from "./libc.js";
import type { Packet } from "./packet.js";

/** Bytes of a frame, as it is registered: the kernel leaves 256 before a packet. */
export const FRAME_SIZE = 4096;
const FRAME_SHIFT = 12;
/** Frames that devices have in common, 32 MB of them. */
export const FRAMES = 8192;
/** Of these, what a device has lent to the kernel to receive into, and how many it may have on their way out. */
export const RECEIVING = 1024;
export const SENDING = 512;
/** So many devices leave frames for what they are forwarding at the moment. */
const MEMBERS = 5;
const MAX_GROUPS = 16;
/** Beyond it a call of the engine copies faster than a loop. */
const SHORT = 128;
const MADV_HUGEPAGE = 14;

/** Frames that the AF_XDP sockets of some devices have in common: each has registered all of the memory, so that a packet
 *  that one received is sent by another where it lies. A frame is free again when all that use it have given it back. */
export class XdpFrames {
  readonly address: number;
  readonly bytes: Uint8Array;
  members = 0;
  readonly #uses = new Uint16Array(FRAMES);
  /** Free frames, the last used first: it may still be in the processor's cache. */
  readonly #free = Int32Array.from({ length: FRAMES }, (_, i) => FRAMES - 1 - i);
  #freeCount = FRAMES;

  constructor(libc: Libc, address: number) {
    this.address = address;
    this.bytes = new Uint8Array(libc.view(address, FRAMES * FRAME_SIZE));
  }

  /** A free frame's number, with one use; -1: there is none. */
  take(): number {
    if (this.#freeCount === 0) return -1;
    const frame = this.#free[--this.#freeCount]!;
    this.#uses[frame] = 1;
    return frame;
  }

  /** One more use. */
  keep(frame: number): void {
    this.#uses[frame]!++;
  }

  /** One use less. */
  give(frame: number): void {
    if (--this.#uses[frame]! === 0) this.#free[this.#freeCount++] = frame;
  }

  /** Copies a packet to `at`. */
  copy(packet: Packet, at: number): void {
    const { bytes } = this;
    const { buffer, start, end } = packet;
    if (buffer === bytes) bytes.copyWithin(at, start, end);
    else if (end - start <= SHORT) for (let i = start, j = at; i < end; i++, j++) bytes[j] = buffer[i]!;
    else bytes.set(buffer.subarray(start, end), at);
  }
}

/** The number of the frame that a byte lies in, and where a frame begins. */
export const frameOf = (at: number): number => at >>> FRAME_SHIFT;
export const offsetOf = (frame: number): number => frame << FRAME_SHIFT;

/** The frames of a thread's AF_XDP devices. */
export class XdpArena {
  readonly #libc: Libc;
  readonly #groups: XdpFrames[] = [];

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** The frames for one more device. Throws an Error of one line: no memory, too many devices. */
  join(): XdpFrames {
    let group = this.#groups.find(({ members }) => members < MEMBERS);
    if (!group) {
      if (this.#groups.length === MAX_GROUPS)
        throw new Error(`AF_XDP: at most ${MAX_GROUPS * MEMBERS} ports`);
      const size = FRAMES * FRAME_SIZE;
      const address = this.#libc.mapAnonymous(size);
      if (address === undefined) throw new Error("AF_XDP: no memory for packets");
      // Large pages spare the processor looking addresses up; without them all works.
      this.#libc.madvise(address, size, MADV_HUGEPAGE);
      group = new XdpFrames(this.#libc, address);
      this.#groups.push(group);
    }
    group.members++;
    return group;
  }

  /** The memory stays for the next. */
  leave(group: XdpFrames): void {
    group.members--;
  }
}
