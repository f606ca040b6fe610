/** Words that may wait before who tells more should wait, too: 16 MB. */
const FAR_BEHIND = 1 << 22;

/** Words of the memory: how much was taken, how much of it somebody waits for, and whether somebody waits. */
const TAKEN = 0;
const AWAITED = 1;
const WAITING = 2;

/** Memory that both threads see. */
export const backlogMemory = (): SharedArrayBuffer => new SharedArrayBuffer(12);

/** What one thread has sent by another's port and the other has not taken yet, in words, modulo 2^32. It does not grow
 *  without bound if those who send wait, while it `isLarge`, until half of it is taken. */
export class Backlog {
  readonly #memory: Int32Array;
  readonly #limit: number;
  readonly #onTaken: () => void;
  #added = 0;

  /** `onTaken`: called on the side that takes, when the other one waits no more. */
  constructor(memory: SharedArrayBuffer, onTaken: () => void = () => {}, limit = FAR_BEHIND) {
    this.#memory = new Int32Array(memory);
    this.#limit = limit;
    this.#onTaken = onTaken;
  }

  add(words: number): void {
    this.#added = (this.#added + words) | 0;
  }

  get size(): number {
    return (this.#added - Atomics.load(this.#memory, TAKEN)) | 0;
  }

  get isLarge(): boolean {
    return this.size > this.#limit;
  }

  /** Has `onTaken` be called on the other side, once, when half of it is taken; false when it is by now. */
  mayWait(): boolean {
    Atomics.store(this.#memory, AWAITED, (this.#added - (this.#limit >>> 1)) | 0);
    Atomics.store(this.#memory, WAITING, 1);
    return !this.#isEnoughTaken() || Atomics.exchange(this.#memory, WAITING, 0) === 0;
  }

  take(words: number): void {
    Atomics.add(this.#memory, TAKEN, words);
    if (Atomics.load(this.#memory, WAITING) === 1 && this.#isEnoughTaken())
      if (Atomics.exchange(this.#memory, WAITING, 0) === 1) this.#onTaken();
  }

  #isEnoughTaken(): boolean {
    return ((Atomics.load(this.#memory, TAKEN) - Atomics.load(this.#memory, AWAITED)) | 0) >= 0;
  }
}
