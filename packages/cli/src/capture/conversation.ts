import { Framer } from "@sluice/openflow-codec";
import type { Segment } from "./segment.js";
import { TcpStream } from "./tcp-stream.js";

/** One OpenFlow message on its way between two ends of a captured connection. */
export interface CapturedMessage {
  /** Nanoseconds since 1970, of the frame that completed it. */
  time: bigint;
  src: string;
  dst: string;
  bytes: Uint8Array;
}

/** Directions followed at once; the one that was silent the longest is given up for one more. */
const MAX_STREAMS = 4096;

const MAX_TYPE = 35;
const HEADER_SIZE = 8;

/** Whether bytes read as OpenFlow headers one after the other, up to their end or past it. Neither HTTP, TLS, SSH nor
 *  JSON starts so. */
function looksLikeOpenFlow(bytes: Uint8Array): boolean {
  let at = 0;
  while (at + HEADER_SIZE <= bytes.length) {
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const version = bytes[at]!;
    if (version < 1 || version > 6 || bytes[at + 1]! > MAX_TYPE || length < HEADER_SIZE) return false;
    at += length;
  }
  return at > 0;
}

/** Finds the OpenFlow messages in TCP segments. Which connections are OpenFlow is told by their bytes, not by ports;
 *  where bytes are lost it goes on at the next segment that starts with a message. */
export class Conversations {
  readonly #streams = new Map<string, Direction>();

  /** The messages that this segment completes. */
  push(segment: Segment, time: bigint): CapturedMessage[] {
    const key = `${segment.src}>${segment.dst}`;
    let direction = this.#streams.get(key);
    // Deleted and set again, so that the map's first key is the longest silent.
    this.#streams.delete(key);
    if (segment.rst) return direction?.end(time) ?? [];
    direction ??= new Direction(segment.src, segment.dst);
    if (!segment.fin) this.#streams.set(key, direction);
    const messages = this.#streams.size > MAX_STREAMS ? this.#dropOldest(time) : [];
    messages.push(...direction.push(segment, time));
    if (segment.fin) messages.push(...direction.end(time));
    return messages;
  }

  /** What is left when the capture ends. */
  end(time: bigint): CapturedMessage[] {
    return [...this.#streams.values()].flatMap((direction) => direction.end(time));
  }

  #dropOldest(time: bigint): CapturedMessage[] {
    const [key, oldest] = this.#streams.entries().next().value!;
    this.#streams.delete(key);
    return oldest.end(time);
  }
}

class Direction {
  readonly #src: string;
  readonly #dst: string;
  readonly #stream: TcpStream;
  #framer: Framer | undefined;
  /** The start of a stream, until there is enough to tell what it is. */
  #head: Uint8Array = new Uint8Array(0);
  #time = 0n;
  #messages: CapturedMessage[] = [];

  constructor(src: string, dst: string) {
    this.#src = src;
    this.#dst = dst;
    this.#stream = new TcpStream({
      data: (bytes) => this.#data(bytes),
      gap: () => {
        this.#framer = undefined;
        this.#head = new Uint8Array(0);
      },
    });
  }

  push(segment: Segment, time: bigint): CapturedMessage[] {
    this.#time = time;
    this.#stream.push(segment);
    return this.#take();
  }

  end(time: bigint): CapturedMessage[] {
    this.#time = time;
    this.#stream.flush();
    return this.#take();
  }

  #data(given: Uint8Array): void {
    let bytes = given;
    if (this.#framer === undefined) {
      if (this.#head.length > 0) bytes = Buffer.concat([this.#head, given]);
      this.#head = bytes.length < HEADER_SIZE ? Uint8Array.from(bytes) : new Uint8Array(0);
      if (!looksLikeOpenFlow(bytes)) return;
      this.#framer = new Framer();
    }
    try {
      this.#framer.push(bytes);
      for (let message = this.#framer.next(); message !== undefined; message = this.#framer.next()) {
        const copy = Uint8Array.from(message);
        this.#messages.push({ time: this.#time, src: this.#src, dst: this.#dst, bytes: copy });
      }
    } catch {
      // A length that no message can have: out of step, or no OpenFlow after all.
      this.#framer = undefined;
    }
  }

  #take(): CapturedMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }
}
