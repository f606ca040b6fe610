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
import { FRAME_SIZE, FRAMES, type XdpArena } from "./xdp-arena.js";

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
/** Entries of a ring; half of the frames receive, half send. */
const RING = FRAMES / 2;
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
  /** Where this device's frames begin in the arena. */
  readonly #base: number;
  readonly #fds: number[] = [];
  readonly #mappings: [address: number, size: number][] = [];
  readonly #packets: readonly Packet[];
  readonly #rx: Ring;
  readonly #tx: Ring;
  readonly #fill: Ring;
  readonly #completion: Ring;
  /** Frames that are free to send with, as offsets from #base. */
  readonly #free = new Int32Array(RING);
  #freeCount = 0;
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
    let base: number | undefined;
    try {
      this.ifindex = this.#device.ifindex();
      const queues = readdirSync(`/sys/class/net/${name}/queues`).filter((queue) =>
        queue.startsWith("rx-"),
      ).length;
      if (queues !== 1)
        throw new Error(`${name}: AF_XDP takes one receive queue, and there are ${queues} (ethtool -L)`);
      base = arena.take();
      this.#base = base;
      const { fd, rings } = this.#open(attempts);
      this.fd = fd;
      [this.#rx, this.#tx, this.#fill, this.#completion] = rings;
    } catch (error) {
      this.#closeAll();
      if (base !== undefined) arena.give(base);
      this.#device.close();
      throw error;
    }
    this.#packets = Array.from({ length: BURST }, () => new Packet(arena.bytes, arena.address));
    // The first half of the frames is lent to the kernel to receive into.
    for (let i = 0; i < RING; i++) this.#lend(i * FRAME_SIZE);
    this.#fill.produce();
    for (let i = RING; i < FRAMES; i++) this.#free[this.#freeCount++] = i * FRAME_SIZE;
  }

  #open(attempts: readonly (readonly [number, number])[]): { fd: number; rings: [Ring, Ring, Ring, Ring] } {
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

  #tryOpen(programFlags: number, socketFlags: number): { fd: number; rings: [Ring, Ring, Ring, Ring] } {
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
      BigInt(this.#arena.address + this.#base),
      BigInt(FRAMES * FRAME_SIZE),
      BigInt(FRAME_SIZE),
      0n,
    );
    setOption(XDP_UMEM_REG, umem, "cannot register its memory");
    for (const ring of [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING])
      setOption(ring, Uint32Array.of(RING), "cannot make its rings");
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
    return { fd, rings };
  }

  receive(sink: (packet: Packet) => void, endOfBurst: () => void): number {
    const rx = this.#rx;
    const { words, descriptors } = rx;
    let count = (rx.produced - rx.at) | 0;
    if (count === 0) return 0;
    if (count > BURST) count = BURST;
    for (let i = 0; i < count; i++) {
      const at = descriptors + ((rx.at + i) & (RING - 1)) * 4;
      const size = words[at + 2]!;
      const packet = this.#packets[i]!;
      const start = this.#base + words[at]!;
      packet.reset(start, start + size);
      packet.floor = start & ~(FRAME_SIZE - 1);
      if (size < 14) {
        this.stats.rx_errors++;
        continue;
      }
      this.stats.rx_packets++;
      this.stats.rx_bytes += size;
      sink(packet);
    }
    endOfBurst();
    // All that was made of them has left: the frames go back.
    for (let i = 0; i < count; i++)
      this.#lend(words[descriptors + ((rx.at + i) & (RING - 1)) * 4]! & ~(FRAME_SIZE - 1));
    this.#fill.produce();
    rx.at = (rx.at + count) | 0;
    rx.consume();
    return count;
  }

  /** Puts a frame into the ring of those that the kernel may fill. */
  #lend(frame: number): void {
    const { words, descriptors } = this.#fill;
    const at = descriptors + (this.#fill.at & (RING - 1)) * 2;
    words[at] = frame;
    words[at + 1] = 0;
    this.#fill.at = (this.#fill.at + 1) | 0;
  }

  send(packet: Packet): void {
    const size = packet.end - packet.start;
    if (this.#freeCount === 0) this.#reclaim();
    if (this.#freeCount === 0 || size > FRAME_SIZE - HEADROOM) {
      this.stats.tx_dropped++;
      return;
    }
    const frame = this.#free[--this.#freeCount]!;
    this.#arena.copy(packet, this.#base + frame);
    const tx = this.#tx;
    const at = tx.descriptors + (tx.at & (RING - 1)) * 4;
    tx.words[at] = frame;
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
    this.#txDue = false;
    const tx = this.#tx;
    tx.produce();
    // A call sends some 32; what the device has no room for now goes with the next flush.
    for (let calls = 0; calls < RING && tx.consumed !== tx.at; calls++) {
      if (this.#libc.sendto(this.fd, 0, 0, MSG_DONTWAIT, 0, 0) >= 0) continue;
      const errno = this.#libc.errno();
      if (errno === EAGAIN) continue;
      if (errno !== EINTR) break;
    }
    this.#reclaim();
    this.#txDue = tx.consumed !== tx.at;
  }

  /** Takes back frames that have been sent. */
  #reclaim(): void {
    const completion = this.#completion;
    const { words, descriptors } = completion;
    const count = (completion.produced - completion.at) | 0;
    if (count === 0) return;
    for (let i = 0; i < count; i++)
      this.#free[this.#freeCount++] =
        words[descriptors + ((completion.at + i) & (RING - 1)) * 2]! & ~(FRAME_SIZE - 1);
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
    this.#arena.give(this.#base);
    this.#device.close();
  }

  #closeAll(): void {
    for (const fd of this.#fds.splice(0).reverse()) this.#libc.close(fd);
    for (const [address, size] of this.#mappings.splice(0)) this.#libc.unmap(address, size);
  }
}
