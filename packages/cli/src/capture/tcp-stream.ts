import type { Segment } from "./segment.js";

/** Bytes and segments kept of what came ahead of a hole; more, and the hole is taken for lost. */
const MAX_AHEAD_BYTES = 1 << 20;
const MAX_AHEAD_SEGMENTS = 4096;

export interface StreamReader {
  /** Bytes that follow what came before. */
  data(bytes: Uint8Array): void;
  /** Some bytes will never come: what follows is not joined to what came before. */
  gap(): void;
}

/** One direction of a TCP connection: puts segments in order, drops what was sent twice, and tells of holes
 *  (RFC 9293 §3.4: sequence numbers are compared modulo 2^32). */
export class TcpStream {
  readonly #reader: StreamReader;
  #next: number | undefined;
  #ahead: Segment[] = [];
  #aheadBytes = 0;

  constructor(reader: StreamReader) {
    this.#reader = reader;
  }

  push(segment: Segment): void {
    if (segment.syn) {
      // The port may be used again for a new connection.
      this.flush();
      this.#next = (segment.seq + 1) >>> 0;
      return;
    }
    if (segment.payload.length + segment.missing === 0) return;
    // A capture that starts in the middle of a connection starts where it starts.
    this.#next ??= segment.seq;
    if (distance(this.#next, segment.seq) > 0) this.#keep(segment);
    else this.#deliver(segment);
    this.#drain();
  }

  /** Gives up on holes: delivers what is kept. */
  flush(): void {
    while (this.#ahead.length > 0) this.#skipHole();
  }

  /** Kept in order of sequence number; the bytes are copied, as the reader of frames owns its buffer. */
  #keep(segment: Segment): void {
    const kept = { ...segment, payload: Uint8Array.from(segment.payload) };
    const at = this.#ahead.findIndex((other) => distance(segment.seq, other.seq) > 0);
    this.#ahead.splice(at < 0 ? this.#ahead.length : at, 0, kept);
    this.#aheadBytes += kept.payload.length;
    if (this.#aheadBytes > MAX_AHEAD_BYTES || this.#ahead.length > MAX_AHEAD_SEGMENTS) this.#skipHole();
  }

  #skipHole(): void {
    this.#reader.gap();
    this.#next = this.#ahead[0]!.seq;
    this.#drain();
  }

  #drain(): void {
    while (this.#ahead.length > 0 && distance(this.#next!, this.#ahead[0]!.seq) <= 0) {
      const segment = this.#ahead.shift()!;
      this.#aheadBytes -= segment.payload.length;
      this.#deliver(segment);
    }
  }

  /** Delivers a segment that starts at or before the next byte. */
  #deliver({ seq, payload, missing }: Segment): void {
    const old = -distance(this.#next!, seq);
    if (old >= payload.length + missing) return;
    if (old < payload.length) this.#reader.data(payload.subarray(old));
    if (missing > 0) this.#reader.gap();
    this.#next = (seq + payload.length + missing) >>> 0;
  }
}

/** How far `to` lies after `from`; negative when before. */
const distance = (from: number, to: number): number => (to - from) | 0;
