// Hot path: `admits`. Nothing is allocated for a packet that is under its rate; one that has to wait is copied.

import type { QueueConfig, QueueStats, QueuesConfig } from "../../../dpif/dpif.js";
import { GSO_NONE, type Packet } from "../../../netdev/packet.js";

/** What a queue holds at most; a packet that finds it full is dropped and counted as a tx_error. */
const MAX_PACKETS = 1000;
const MAX_BYTES = 2 << 20;
/** A bucket holds at least this much of its rate, ms: timers are no finer than a millisecond. */
const MIN_BURST_MS = 10;
/** Two full frames, in bits: what a bucket holds at least, and the weight of a queue with no min-rate. */
const TWO_FRAMES = 24_000;

/** A token bucket that may go into debt by one packet, so that long packets pass too. */
class Bucket {
  readonly #perMs: number;
  readonly #size: number;
  /** Its tokens, and the time that they are of. */
  readonly #memory: Float64Array;

  /** `rate` bits/s, `burst` bits; `memory`: what it is in, all 0 when it is new. */
  constructor(rate: number, burst: number, now: number, memory: Float64Array) {
    this.#perMs = rate / 1000;
    this.#size = Math.max(burst, this.#perMs * MIN_BURST_MS, TWO_FRAMES);
    this.#memory = memory;
    if (memory[1] !== 0) return;
    memory[0] = this.#size;
    memory[1] = now;
  }

  /** ms until a packet may go; 0: now. */
  wait(now: number): number {
    const memory = this.#memory;
    const tokens = Math.min(this.#size, memory[0]! + Math.max(0, now - memory[1]!) * this.#perMs);
    memory[0] = tokens;
    memory[1] = now;
    return tokens > 0 ? 0 : (1 - tokens) / this.#perMs;
  }

  take(bits: number): void {
    this.#memory[0]! -= bits;
  }
}

/** A copy of a packet that waits. */
interface Waiting {
  readonly frame: Uint8Array;
  readonly queueId: number;
  /** Offsets from the frame's start; -1: the checksum is finished. */
  readonly csumStart: number;
  readonly csumOffset: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly hdrEnd: number;
}

class Queue {
  readonly id: number;
  readonly weight: number;
  readonly bucket: Bucket | undefined;
  readonly waiting: Waiting[] = [];
  /** Of `waiting`, those that have left. */
  head = 0;
  bytes = 0;
  /** Bits sent over weight: the queue that is least served goes first. */
  served = 0;
  tx_packets = 0;
  tx_bytes = 0;
  tx_errors = 0;

  constructor({ queue_id, minRate, maxRate, burst }: QueueConfig, now: number, memory: Float64Array) {
    this.id = queue_id;
    this.weight = Math.max(minRate ?? 0, TWO_FRAMES);
    this.bucket = maxRate === undefined ? undefined : new Bucket(maxRate, burst ?? 0, now, memory);
  }

  get length(): number {
    return this.waiting.length - this.head;
  }

  take(): Waiting {
    const first = this.waiting[this.head++]!;
    this.bytes -= first.frame.length;
    if (this.head === this.waiting.length || this.head >= MAX_PACKETS) {
      this.waiting.splice(0, this.head);
      this.head = 0;
    }
    return first;
  }
}

/** Words of a bucket's memory. */
const BUCKET = 2;

/** What threads share of a port's queues: the rates hold for all of them together, as a meter's do. Each has queues of
 *  its own. */
export const shaperMemory = (config: QueuesConfig): SharedArrayBuffer =>
  new SharedArrayBuffer(memorySize(config));

/** The port's bucket and each queue's, one for the queue that is not configured. */
const memorySize = (config: QueuesConfig): number => (config.queues.length + 2) * BUCKET * 8;

/** The queues of a port: each sends at most its max-rate, all together at most the port's; when that is not enough
 *  for all, each gets a share by its min-rate. Packets for a queue that is not configured go to queue 0, and where
 *  there is none, to one that only the port's rate bounds. */
export class Shaper {
  readonly #queues = new Map<number, Queue>();
  readonly #default: Queue;
  readonly #port: Bucket | undefined;
  #backlog = 0;

  /** `memory`: shared with others that shape the same. */
  constructor(config: QueuesConfig, now: number, memory?: SharedArrayBuffer) {
    const all = new Float64Array(memory ?? new ArrayBuffer(memorySize(config)));
    const part = (i: number): Float64Array => all.subarray(i * BUCKET, (i + 1) * BUCKET);
    config.queues.forEach((queue, i) => {
      this.#queues.set(queue.queue_id, new Queue(queue, now, part(i)));
    });
    const last = config.queues.length;
    this.#default = this.#queues.get(0) ?? new Queue({ queue_id: 0 }, now, part(last));
    this.#port =
      config.maxRate === undefined ? undefined : new Bucket(config.maxRate, 0, now, part(last + 1));
  }

  /** Packets that wait. */
  get backlog(): number {
    return this.#backlog;
  }

  /** Whether a packet may be sent at once; it is counted then. */
  admits(queueId: number, bytes: number, now: number): boolean {
    const queue = this.#queues.get(queueId) ?? this.#default;
    if (queue.length > 0) return false;
    if (this.#port && (this.#backlog > 0 || this.#port.wait(now) > 0)) return false;
    if (queue.bucket && queue.bucket.wait(now) > 0) return false;
    this.#count(queue, bytes);
    return true;
  }

  /** Keeps a copy of a packet that was not admitted. False: there is no room for it. */
  hold(queueId: number, packet: Packet): boolean {
    const hasOffload = packet.csumStart !== 0;
    return this.#enqueue({
      frame: packet.buffer.slice(packet.start, packet.end),
      queueId,
      csumStart: hasOffload ? packet.csumStart - packet.start : -1,
      csumOffset: packet.csumOffset,
      gsoType: packet.gsoType,
      gsoSize: packet.gsoSize,
      hdrEnd: packet.gsoType === GSO_NONE ? 0 : packet.hdrEnd - packet.start,
    });
  }

  /** What another shaper holds comes here, as far as there is room. */
  takeOver(other: Shaper): void {
    for (const waiting of other.#drain()) this.#enqueue(waiting);
  }

  /** Loads what may be sent by now into `packet`, one after the other. */
  serve(now: number, packet: Packet, send: (packet: Packet) => void): void {
    while (this.#backlog > 0 && (this.#port?.wait(now) ?? 0) === 0) {
      const queue = this.#next(now);
      if (!queue) return;
      this.#backlog--;
      const waiting = queue.take();
      this.#count(queue, waiting.frame.length);
      load(packet, waiting);
      send(packet);
    }
  }

  /** Sends all that waits, whatever the rates are. */
  release(packet: Packet, send: (packet: Packet) => void): void {
    for (const waiting of this.#drain()) {
      load(packet, waiting);
      send(packet);
    }
  }

  /** ms until `serve` has something to do, at least 1; Infinity: nothing waits. */
  due(now: number): number {
    if (this.#backlog === 0) return Infinity;
    let wait = Infinity;
    for (const queue of this.#everyQueue())
      if (queue.length > 0) wait = Math.min(wait, queue.bucket?.wait(now) ?? 0);
    return Math.max(1, Math.ceil(Math.max(wait, this.#port?.wait(now) ?? 0)));
  }

  stats(): QueueStats[] {
    return [...this.#queues.values()].map(({ id, tx_packets, tx_bytes, tx_errors }) => ({
      queue_id: id,
      tx_packets,
      tx_bytes,
      tx_errors,
    }));
  }

  /** Of the queues whose rate lets them, the one that has had least of its share. */
  #next(now: number): Queue | undefined {
    let next: Queue | undefined;
    for (const queue of this.#everyQueue()) {
      if (queue.length === 0 || (queue.bucket && queue.bucket.wait(now) > 0)) continue;
      if (!next || queue.served < next.served) next = queue;
    }
    return next;
  }

  #enqueue(waiting: Waiting): boolean {
    const queue = this.#queues.get(waiting.queueId) ?? this.#default;
    if (queue.length >= MAX_PACKETS || queue.bytes + waiting.frame.length > MAX_BYTES) {
      queue.tx_errors++;
      return false;
    }
    // A queue that had nothing to send has no claim to the time when it was idle.
    if (queue.length === 0) queue.served = Math.max(queue.served, this.#leastServed());
    queue.waiting.push(waiting);
    queue.bytes += waiting.frame.length;
    this.#backlog++;
    return true;
  }

  #leastServed(): number {
    let least = Infinity;
    for (const queue of this.#everyQueue()) if (queue.length > 0) least = Math.min(least, queue.served);
    return least === Infinity ? 0 : least;
  }

  #count(queue: Queue, bytes: number): void {
    const bits = bytes * 8;
    queue.tx_packets++;
    queue.tx_bytes += bytes;
    queue.served += bits / queue.weight;
    queue.bucket?.take(bits);
    this.#port?.take(bits);
  }

  *#drain(): IterableIterator<Waiting> {
    for (const queue of this.#everyQueue()) while (queue.length > 0) yield queue.take();
    this.#backlog = 0;
  }

  *#everyQueue(): IterableIterator<Queue> {
    yield* this.#queues.values();
    if (!this.#queues.has(0)) yield this.#default;
  }
}

function load(packet: Packet, waiting: Waiting): void {
  packet.load(waiting.frame);
  packet.csumStart = waiting.csumStart < 0 ? 0 : packet.start + waiting.csumStart;
  packet.csumOffset = waiting.csumOffset;
  packet.gsoType = waiting.gsoType;
  packet.gsoSize = waiting.gsoSize;
  packet.hdrEnd = waiting.gsoType === GSO_NONE ? 0 : packet.start + waiting.hdrEnd;
}
