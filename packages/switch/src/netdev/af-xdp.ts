// Hot path: `receive`, `send`, `flush`. Nothing is allocated, nothing throws.

import { readdirSync } from "node:fs";
import {
  attachXdp,
  createSocketMap,
  loadRedirect,
  setSocket,
  XDP_FLAGS_DRV_MODE,
  XDP_FLAGS_SKB_MODE,
} from "./bpf.js";
import { Device } from "./device.js";
import { deviceError, EAGAIN, EBUSY, EINTR, type Libc } from "./libc.js";
import { NetdevCounters, type NetdevStatus, type PolledNetdev } from "./netdev.js";
import { HEADROOM, Packet } from "./packet.js";
import {
  FRAME_SIZE,
  FRAMES,
  frameOf,
  offsetOf,
  RECEIVING,
  SENDING,
  type XdpArena,
  type XdpFrames,
} from "./xdp-arena.js";

const AF_XDP = 44;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const SOL_XDP = 283;
const XDP_MMAP_OFFSETS = 1;
const XDP_RX_RING = 2;
const XDP_TX_RING = 3;
const XDP_UMEM_REG = 4;
const XDP_UMEM_FILL_RING = 5;
const XDP_UMEM_COMPLETION_RING = 6;
const XDP_STATISTICS = 7;
const XDP_MAX_TX_SKB_BUDGET = 9;
/** Where mmap finds each ring. */
const PGOFF_RX_RING = 0;
const PGOFF_TX_RING = 0x8000_0000;
const PGOFF_FILL_RING = 0x1_0000_0000;
const PGOFF_COMPLETION_RING = 0x1_8000_0000;
/** Flags of sockaddr_xdp. */
const XDP_COPY = 2;
const XDP_ZEROCOPY = 4;
const XDP_USE_NEED_WAKEUP = 8;
const MSG_DONTWAIT = 0x40;

const BURST = 64;
/** Entries of a ring, a power of two: none of ours is ever full. */
const RING = RECEIVING;
/** Frames that one call sends, where the kernel can be told (6.17). */
const TX_BUDGET = 256;
const NEEDS = "CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF";

/** What options:xdp-mode may say, and how each is tried: program, then socket. As in Open vSwitch. */
export const XDP_MODES: Readonly<Record<string, readonly (readonly [program: number, socket: number])[]>> = {
  "best-effort": [
    [XDP_FLAGS_DRV_MODE, XDP_ZEROCOPY],
    [XDP_FLAGS_DRV_MODE, XDP_COPY],
    [XDP_FLAGS_SKB_MODE, XDP_COPY],
  ],
  "native-with-zerocopy": [[XDP_FLAGS_DRV_MODE, XDP_ZEROCOPY]],
  native: [[XDP_FLAGS_DRV_MODE, XDP_COPY]],
  generic: [[XDP_FLAGS_SKB_MODE, XDP_COPY]],
};

/** A ring that is shared with the kernel: one side moves the producer on, the other the consumer. */
class Ring {
  readonly #words: Int32Array;
  readonly #producer: number;
  readonly #consumer: number;
  /** Where its descriptors begin, in words. */
  readonly descriptors: number;
  readonly words: Int32Array;
  /** Our side's position. */
  at = 0;

  constructor(
    libc: Libc,
    address: number,
    offsets: { producer: number; consumer: number; desc: number },
    size: number,
  ) {
    this.#words = new Int32Array(libc.view(address, size));
    this.words = this.#words;
    this.#producer = offsets.producer >>> 2;
    this.#consumer = offsets.consumer >>> 2;
    this.descriptors = offsets.desc >>> 2;
  }

  get produced(): number {
    return Atomics.load(this.#words, this.#producer);
  }

  get consumed(): number {
    return Atomics.load(this.#words, this.#consumer);
  }

  produce(): void {
    Atomics.store(this.#words, this.#producer, this.at);
  }

  consume(): void {
    Atomics.store(this.#words, this.#consumer, this.at);
  }
}

interface Opened {
  readonly fd: number;
  readonly sendsCopies: boolean;
  /** Receive, transmit, fill, completion. */
  readonly rings: [Ring, Ring, Ring, Ring];
}

/** A Linux network device through an AF_XDP socket on its one receive queue: packets pass by the host's stack, and cost
 *  less than by a packet socket. There are no offloads: what the other end leaves unfinished (checksums, super-frames)
 *  has to be turned off there. */
export class AfXdpNetdev implements PolledNetdev {
  readonly name: string;
  readonly takesOffload = false;
  readonly stats = new NetdevCounters();
  readonly fd: number;
  readonly ifindex: number;
  readonly #libc: Libc;
  readonly #device: Device;
  readonly #arena: XdpArena;
  readonly #frames: XdpFrames;
  readonly #fds: number[] = [];
  readonly #mappings: [address: number, size: number][] = [];
  readonly #packets: readonly Packet[];
  readonly #rx: Ring;
  readonly #tx: Ring;
  readonly #fill: Ring;
  readonly #completion: Ring;
  /** Whether the kernel sends copies: what was sent may then be changed. */
  readonly #sendsCopies: boolean;
  /** Of each frame: whether it is lent to the kernel to receive into, and how often it is on its way out. */
  readonly #lent = new Uint8Array(FRAMES);
  readonly #sending = new Uint16Array(FRAMES);
  #lentCount = 0;
  #sendingCount = 0;
  /** Of bytes that were loaded ahead of their use: kept, so that the loads are. */
  touched = 0;
  #txDue = false;
  readonly #statistics = new Uint8Array(new ArrayBuffer(48));

  /** Throws an Error of one line: no such device, a missing privilege, a mode that the device does not have. */
  constructor(libc: Libc, arena: XdpArena, name: string, mode: string) {
    const attempts = Object.hasOwn(XDP_MODES, mode) ? XDP_MODES[mode]! : undefined;
    if (!attempts)
      throw new Error(`${name}: xdp-mode is ${mode}: there are ${Object.keys(XDP_MODES).join(", ")}`);
    this.name = name;
    this.#libc = libc;
    this.#arena = arena;
    this.#device = new Device(libc, name);
    this.#frames = arena.join();
    try {
      this.ifindex = this.#device.ifindex();
      const queues = readdirSync(`/sys/class/net/${name}/queues`).filter((queue) =>
        queue.startsWith("rx-"),
      ).length;
      if (queues !== 1)
        throw new Error(`${name}: AF_XDP takes one receive queue, and there are ${queues} (ethtool -L)`);
      const { fd, sendsCopies, rings } = this.#open(attempts);
      this.fd = fd;
      this.#sendsCopies = sendsCopies;
      [this.#rx, this.#tx, this.#fill, this.#completion] = rings;
    } catch (error) {
      this.#closeAll();
      arena.leave(this.#frames);
      this.#device.close();
      throw error;
    }
    const { bytes, address } = this.#frames;
    this.#packets = Array.from({ length: BURST }, () => new Packet(bytes, address));
    this.#lend();
  }

  #open(attempts: readonly (readonly [number, number])[]): Opened {
    let failure: Error | undefined;
    for (const [programFlags, socketFlags] of attempts) {
      try {
        return this.#tryOpen(programFlags, socketFlags);
      } catch (error) {
        failure = error as Error;
        this.#closeAll();
      }
    }
    throw failure!;
  }

  #tryOpen(programFlags: number, socketFlags: number): Opened {
    const libc = this.#libc;
    const fd = libc.socket(AF_XDP, SOCK_RAW_CLOEXEC, 0);
    if (fd < 0) throw deviceError(this.name, "no AF_XDP socket", libc.errno(), NEEDS);
    this.#fds.push(fd);
    const setOption = (option: number, value: Uint32Array | BigUint64Array, what: string): void => {
      const bytes = new Uint8Array(value.buffer);
      if (libc.setsockopt(fd, SOL_XDP, option, bytes, bytes.length) < 0)
        throw deviceError(this.name, what, libc.errno(), NEEDS);
    };
    // struct xdp_umem_reg: address, length, then chunk_size and headroom, flags and tx_metadata_len.
    const umem = BigUint64Array.of(
      BigInt(this.#frames.address),
      BigInt(FRAMES * FRAME_SIZE),
      BigInt(FRAME_SIZE),
      0n,
    );
    setOption(XDP_UMEM_REG, umem, "cannot register its memory");
    for (const ring of [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING])
      setOption(ring, Uint32Array.of(RING), "cannot make its rings");
    libc.setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, new Uint8Array(Uint32Array.of(TX_BUDGET).buffer), 4);
    const offsets = new DataView(new ArrayBuffer(128));
    const length = Uint32Array.of(128);
    if (
      libc.getsockopt(
        fd,
        SOL_XDP,
        XDP_MMAP_OFFSETS,
        new Uint8Array(offsets.buffer),
        new Uint8Array(length.buffer),
      ) < 0
    )
      throw deviceError(this.name, "cannot learn where its rings are", libc.errno(), NEEDS);
    const ringAt = (index: number, pgoff: number, entry: number): Ring => {
      const word = (i: number): number => Number(offsets.getBigUint64(index * 32 + i * 8, true));
      const place = { producer: word(0), consumer: word(1), desc: word(2) };
      const size = place.desc + RING * entry;
      const address = libc.mapShared(fd, size, pgoff);
      if (address === undefined) throw deviceError(this.name, "cannot map its rings", libc.errno(), NEEDS);
      this.#mappings.push([address, size]);
      return new Ring(libc, address, place, size);
    };
    const rings: [Ring, Ring, Ring, Ring] = [
      ringAt(0, PGOFF_RX_RING, 16),
      ringAt(1, PGOFF_TX_RING, 16),
      ringAt(2, PGOFF_FILL_RING, 8),
      ringAt(3, PGOFF_COMPLETION_RING, 8),
    ];
    // struct sockaddr_xdp: family, flags, ifindex, queue, shared_umem_fd.
    const address = new DataView(new ArrayBuffer(16));
    address.setUint16(0, AF_XDP, true);
    address.setUint16(2, socketFlags | XDP_USE_NEED_WAKEUP, true);
    address.setUint32(4, this.ifindex, true);
    if (libc.bind(fd, new Uint8Array(address.buffer), 16) < 0) {
      const errno = libc.errno();
      if (errno === EBUSY) throw new Error(`${this.name}: its receive queue has an AF_XDP socket already`);
      throw deviceError(this.name, "cannot be bound to", errno, NEEDS);
    }
    const map = createSocketMap(libc, this.name, 1);
    this.#fds.push(map);
    setSocket(libc, this.name, map, 0, fd);
    const program = loadRedirect(libc, this.name, map);
    this.#fds.push(program);
    this.#fds.push(attachXdp(libc, this.name, this.ifindex, program, programFlags));
    return { fd, sendsCopies: socketFlags === XDP_COPY, rings };
  }

  isReady(): boolean {
    return this.#rx.produced !== this.#rx.at;
  }

  receive(sink: (packet: Packet) => void, endOfBurst: () => void): number {
    const { words, descriptors, at: first } = this.#rx;
    const { bytes } = this.#frames;
    let count = (this.#rx.produced - first) | 0;
    if (count === 0) return 0;
    if (count > BURST) count = BURST;
    // The bytes come from where another processor wrote them: all are asked for before the first is waited for.
    let touched = 0;
    for (let i = 0; i < count; i++) touched ^= bytes[words[descriptors + ((first + i) & (RING - 1)) * 4]!]!;
    this.touched = touched;
    let errors = 0;
    let received = 0;
    for (let i = 0; i < count; i++) {
      const at = descriptors + ((first + i) & (RING - 1)) * 4;
      const start = words[at]!;
      const size = words[at + 2]!;
      const packet = this.#packets[i]!;
      packet.reset(start, start + size);
      packet.floor = start & ~(FRAME_SIZE - 1);
      if (size < 14) {
        errors++;
        continue;
      }
      received += size;
      sink(packet);
    }
    endOfBurst();
    this.stats.rx_packets += count - errors;
    this.stats.rx_bytes += received;
    this.stats.rx_errors += errors;
    // What was made of them has left, or is used by those that send it.
    for (let i = 0; i < count; i++) {
      const frame = frameOf(words[descriptors + ((first + i) & (RING - 1)) * 4]!);
      this.#lent[frame] = 0;
      this.#frames.give(frame);
    }
    this.#lentCount -= count;
    this.#rx.at = (first + count) | 0;
    this.#rx.consume();
    this.#lend();
    return count;
  }

  /** Puts frames into the ring of those that the kernel may fill, until it has all that it may have. */
  #lend(): void {
    const { words, descriptors } = this.#fill;
    for (; this.#lentCount < RECEIVING; this.#lentCount++) {
      const frame = this.#frames.take();
      if (frame < 0) break;
      this.#lent[frame] = 1;
      const at = descriptors + (this.#fill.at & (RING - 1)) * 2;
      words[at] = offsetOf(frame);
      words[at + 1] = 0;
      this.#fill.at = (this.#fill.at + 1) | 0;
    }
    this.#fill.produce();
  }

  send(packet: Packet): void {
    const size = packet.end - packet.start;
    if (this.#sendingCount === SENDING) this.flush();
    const frames = this.#frames;
    let { start } = packet;
    let frame: number;
    if (this.#sendingCount === SENDING || size > FRAME_SIZE - HEADROOM) frame = -1;
    else if (packet.buffer === frames.bytes && this.#sendsCopies) {
      frame = frameOf(start);
      frames.keep(frame);
      packet.held++;
    } else {
      frame = frames.take();
      if (frame >= 0) {
        start = offsetOf(frame);
        frames.copy(packet, start);
      }
    }
    if (frame < 0) {
      this.stats.tx_dropped++;
      return;
    }
    this.#sending[frame]!++;
    this.#sendingCount++;
    const tx = this.#tx;
    const at = tx.descriptors + (tx.at & (RING - 1)) * 4;
    tx.words[at] = start;
    tx.words[at + 1] = 0;
    tx.words[at + 2] = size;
    tx.words[at + 3] = 0;
    tx.at = (tx.at + 1) | 0;
    this.#txDue = true;
    this.stats.tx_packets++;
    this.stats.tx_bytes += size;
  }

  flush(): void {
    if (!this.#txDue) return;
    const tx = this.#tx;
    tx.produce();
    // What the device has no room for now goes with the next flush.
    for (let calls = 0; calls < RING && tx.consumed !== tx.at; calls++) {
      if (this.#libc.sendto(this.fd, 0, 0, MSG_DONTWAIT, 0, 0) >= 0) continue;
      const errno = this.#libc.errno();
      if (errno === EAGAIN) continue;
      if (errno !== EINTR) break;
    }
    this.#reclaim();
    this.#txDue = tx.consumed !== tx.at;
    if (this.#txDue && this.#sendsCopies) this.#moveRest();
  }

  /** Has packets that could not be sent yet wait in frames of their own: theirs may be changed after this. */
  #moveRest(): void {
    const { words, descriptors, consumed, at: end } = this.#tx;
    for (let next = consumed; next !== end; next = (next + 1) | 0) {
      const frame = this.#frames.take();
      if (frame < 0) return;
      const at = descriptors + (next & (RING - 1)) * 4;
      const start = words[at]!;
      const old = frameOf(start);
      const to = offsetOf(frame) + (start & (FRAME_SIZE - 1));
      this.#frames.bytes.copyWithin(to, start, start + words[at + 2]!);
      words[at] = to;
      this.#sending[frame]!++;
      this.#sending[old]!--;
      this.#frames.give(old);
    }
  }

  /** Takes back frames that have been sent. */
  #reclaim(): void {
    const completion = this.#completion;
    const { words, descriptors } = completion;
    const count = (completion.produced - completion.at) | 0;
    if (count === 0) return;
    for (let i = 0; i < count; i++) {
      const frame = frameOf(words[descriptors + ((completion.at + i) & (RING - 1)) * 2]!);
      this.#sending[frame]!--;
      this.#frames.give(frame);
    }
    this.#sendingCount -= count;
    completion.at = (completion.at + count) | 0;
    completion.consume();
  }

  refreshStats(): void {
    const bytes = this.#statistics;
    const length = Uint32Array.of(bytes.length);
    // struct xdp_statistics: rx_dropped, rx_invalid_descs, tx_invalid_descs, rx_ring_full, …, 64 bits each.
    if (this.#libc.getsockopt(this.fd, SOL_XDP, XDP_STATISTICS, bytes, new Uint8Array(length.buffer)) < 0)
      return;
    const view = new DataView(bytes.buffer);
    this.stats.rx_dropped = Number(view.getBigUint64(0, true)) + Number(view.getBigUint64(24, true));
  }

  status(): NetdevStatus {
    return this.#device.status();
  }

  set(change: { up?: boolean; mac?: string; mtu?: number }): void {
    this.#device.set(change);
  }

  close(): void {
    this.#closeAll();
    for (let frame = 0; frame < FRAMES; frame++) {
      for (let uses = this.#lent[frame]! + this.#sending[frame]!; uses > 0; uses--) this.#frames.give(frame);
    }
    this.#arena.leave(this.#frames);
    this.#device.close();
  }

  #closeAll(): void {
    for (const fd of this.#fds.splice(0).reverse()) this.#libc.close(fd);
    for (const [address, size] of this.#mappings.splice(0)) this.#libc.unmap(address, size);
  }
}
