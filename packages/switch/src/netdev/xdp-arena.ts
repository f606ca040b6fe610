// Hot path: `copy`. Nothing is allocated but where a long frame comes from elsewhere, nothing throws.

import type { Libc } from "./libc.js";
import type { Packet } from "./packet.js";

/** Bytes of a frame, as it is registered: the kernel leaves 256 before a packet. */
export const FRAME_SIZE = 4096;
/** Frames of a device. */
export const FRAMES = 2048;
const DEVICES = 64;
const DEVICE_SIZE = FRAMES * FRAME_SIZE;
/** Beyond it a call of the engine copies faster than a loop. */
const SHORT = 128;

/** The memory that AF_XDP sockets of one thread receive into and send from, in one piece: a packet is copied from one
 *  device's part to another's without making a view of it. Memory that no device has used costs nothing. */
export class XdpArena {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly #free: number[] = Array.from({ length: DEVICES }, (_, i) => (DEVICES - 1 - i) * DEVICE_SIZE);

  /** Throws an Error of one line where there is no address space. */
  constructor(libc: Libc) {
    const address = libc.mapAnonymous(DEVICES * DEVICE_SIZE);
    if (address === undefined) throw new Error("AF_XDP: no memory for packets");
    this.address = address;
    this.bytes = new Uint8Array(libc.view(address, DEVICES * DEVICE_SIZE));
  }

  /** A device's part; throws an Error of one line when there are too many devices. */
  take(): number {
    const base = this.#free.pop();
    if (base === undefined) throw new Error(`AF_XDP: at most ${DEVICES} ports`);
    return base;
  }

  give(base: number): void {
    this.#free.push(base);
  }

  /** Copies a frame to `at`. */
  copy(packet: Packet, at: number): void {
    const { bytes } = this;
    const { buffer, start, end } = packet;
    if (buffer === bytes) bytes.copyWithin(at, start, end);
    else if (end - start <= SHORT) for (let i = start, j = at; i < end; i++, j++) bytes[j] = buffer[i]!;
    else bytes.set(buffer.subarray(start, end), at);
  }
}
