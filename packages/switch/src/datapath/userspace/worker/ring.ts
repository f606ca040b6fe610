// Hot path: nothing is allocated, nothing throws.

/** # Ring
 *
 *  **What.** Records of 32-bit words from one thread to another through memory that both see: one writes, one reads,
 *  neither waits for the other.
 *
 *  **Design.** A record lies in one piece; its first word is how many words it has. Where the rest up to the end of the
 *  memory is too short for one, a word says how much is left out. Both sides count words without end, modulo 2^32.
 *
 *  **Sharing.** Where the other side is has to be fetched from its processor each time it has moved. So each side keeps what
 *  it saw last, as long as that is enough, and tells of itself not for each record: who reads when it has read all
 *  that it knows of, or a sixteenth of the memory; who writes by `commit`, or, with `commitSoon`, for some records at
 *  a time, and when it says so.
 *
 *  **Waking.** A reader that is about to sleep says so (`mayWait`); a writer that has written asks whether it has to be
 *  woken (`mustWake`), which is true once for each sleep. How it is woken is not the ring's business. */

/** Words before the records: how far the writer is, how far the reader is, whether the reader waits; each in a line
 *  of its own of the processor's cache. */
const WRITTEN = 0;
const READ = 16;
const WAITING = 32;
const HEAD = 48;
/** Words that are committed "soon" until the reader is told of them. */
const SOON_WORDS = 512;

/** Memory of a ring of so many words, a power of two. */
export const ringMemory = (words: number): SharedArrayBuffer => new SharedArrayBuffer(4 * (HEAD + words));

/** Words that records are made of, and the same memory as bytes. */
export interface Words {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

export class RingWriter implements Words {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly #capacity: number;
  #written: number;
  /** How far the reader knows of it, and how far that was when it was asked last. */
  #told: number;
  #read: number;
  #reserved = 0;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
    this.#capacity = this.words.length - HEAD;
    this.#written = Atomics.load(this.words, WRITTEN);
    this.#told = this.#written;
    this.#read = Atomics.load(this.words, READ);
  }

  /** How far it has written. */
  get position(): number {
    return this.#written;
  }

  /** Whether the reader has read all. */
  get isEmpty(): boolean {
    return Atomics.load(this.words, READ) === this.#written;
  }

  /** Whether a record of so many words has room. */
  hasRoom(count: number): boolean {
    const left = this.#capacity - (this.#written & (this.#capacity - 1));
    return this.#isFree(count <= left ? count : left + count);
  }

  /** The index of the first of so many words for a record, which is yet to be committed; -1 when they, and `spare` more,
   *  have no room. The first is set. */
  reserve(count: number, spare = 0): number {
    const { words } = this;
    const at = this.#written & (this.#capacity - 1);
    const left = this.#capacity - at;
    const skipped = count <= left ? 0 : left;
    if (!this.#isFree(skipped + count + spare)) return -1;
    if (skipped > 0) words[HEAD + at] = -skipped;
    const start = skipped > 0 ? HEAD : HEAD + at;
    words[start] = count;
    this.#reserved = (this.#written + skipped + count) | 0;
    return start;
  }

  commit(): void {
    this.#written = this.#reserved;
    this.publish();
  }

  /** The reader may learn of the record only when some more are committed, or by `publish`. */
  commitSoon(): void {
    this.#written = this.#reserved;
    if (((this.#written - this.#told) | 0) >= SOON_WORDS) this.publish();
  }

  /** Tells the reader of all that is committed. */
  publish(): void {
    if (this.#told === this.#written) return;
    this.#told = this.#written;
    Atomics.store(this.words, WRITTEN, this.#written);
  }

  mustWake(): boolean {
    return Atomics.load(this.words, WAITING) === 1 && Atomics.exchange(this.words, WAITING, 0) === 1;
  }

  #isFree(count: number): boolean {
    if (this.#capacity - ((this.#written - this.#read) | 0) >= count) return true;
    this.#read = Atomics.load(this.words, READ);
    return this.#capacity - ((this.#written - this.#read) | 0) >= count;
  }
}

export class RingReader implements Words {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly #capacity: number;
  #read: number;
  /** How far the writer knows of it, and how far that was when it was asked last. */
  #told: number;
  #written: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
    this.#capacity = this.words.length - HEAD;
    this.#read = Atomics.load(this.words, READ);
    this.#told = this.#read;
    this.#written = this.#read;
  }

  /** How far it has read. */
  get position(): number {
    return this.#read;
  }

  /** The index of the next record's first word; -1: there is none. It stays until `release`. */
  next(): number {
    if (this.#written === this.#read) {
      this.#written = Atomics.load(this.words, WRITTEN);
      if (this.#written === this.#read) return -1;
    }
    const at = HEAD + (this.#read & (this.#capacity - 1));
    const count = this.words[at]!;
    if (count > 0) return at;
    this.#read = (this.#read - count) | 0;
    return HEAD;
  }

  /** Gives the room of the record that begins at `at` back. */
  release(at: number): void {
    this.#read = (this.#read + this.words[at]!) | 0;
    if (this.#read !== this.#written && ((this.#read - this.#told) | 0) < this.#capacity >>> 4) return;
    this.#told = this.#read;
    Atomics.store(this.words, READ, this.#read);
  }

  /** Says that the reader is about to wait; false when there is something to read, and it need not. */
  mayWait(): boolean {
    Atomics.store(this.words, WAITING, 1);
    if (Atomics.load(this.words, WRITTEN) === this.#read) return true;
    this.stopWaiting();
    return false;
  }

  stopWaiting(): void {
    Atomics.store(this.words, WAITING, 0);
  }
}
