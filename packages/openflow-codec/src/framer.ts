import { BAD_LEN } from "./schema/declare.js";
import { fail } from "./schema/runtime.js";
import { OFP_HEADER_SIZE, OFP_MAX_LENGTH } from "./v13/numbers.js";

/** Cuts a byte stream into messages: any chunking in, whole messages out. It holds at most `limit` bytes that
 *  no `next` has taken; a caller that drains it after each push never comes near.
 *
 *  A message is a view of the chunk that held it whole, or of what was joined: chunks must not be written to after a
 *  push. */
export class Framer {
  readonly #limit: number;
  /** Bytes [#start, #end) of #buffer are waiting. */
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** Whether #buffer is ours to write to, rather than a caller's chunk. */
  #owned = false;

  constructor(limit = 4 * 1024 * 1024) {
    this.#limit = Math.max(limit, OFP_MAX_LENGTH);
  }

  /** Bytes that wait for the rest of their message, or for a `next`. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Throws OfDecodeError when more than the limit would wait. */
  push(chunk: Uint8Array): void {
    const pending = this.pending;
    if (pending + chunk.length > this.#limit && pending > 0) {
      fail(BAD_LEN, 0, `${pending + chunk.length} bytes would wait, of at most ${this.#limit}`);
    }
    if (pending === 0) {
      this.#buffer = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#owned = false;
      return;
    }
    if (!this.#owned || this.#end + chunk.length > this.#buffer.length) {
      // Room for as much again where little comes at a time; a large chunk ends with the beginning of one message.
      const size = pending + chunk.length;
      const roomy = new Uint8Array(chunk.length < pending ? Math.max(2 * size, 4096) : size);
      roomy.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = roomy;
      this.#start = 0;
      this.#end = pending;
      this.#owned = true;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The next whole message. Throws OfDecodeError when the length in its header is less than a header's:
   *  then nothing tells where the next message begins, and the connection is lost. */
  next(): Uint8Array | undefined {
    const pending = this.pending;
    if (pending < 4) return undefined;
    const length = (this.#buffer[this.#start + 2]! << 8) | this.#buffer[this.#start + 3]!;
    if (length < OFP_HEADER_SIZE) fail(BAD_LEN, 2, `length ${length} is less than ${OFP_HEADER_SIZE}`);
    if (pending < length) return undefined;
    const from = this.#start;
    this.#start += length;
    // Not subarray, which asks for the species of what it is called on; what is taken is not written to again.
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + from, length);
  }
}
