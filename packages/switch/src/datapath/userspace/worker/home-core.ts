import type { Libc } from "../../../netdev/libc.js";

type Calls = Pick<Libc, "addressOf" | "schedGetaffinity" | "schedSetaffinity" | "schedGetcpu">;

/** Bytes of a cpu_set_t that tells of 1,024 cores. */
const SET_SIZE = 128;
/** How often the thread looks how much there is to do. */
const PERIOD_MS = 20;
/** Bytes a ms from which it stays where it is: 0.4 Gb/s. */
const BULK = 50_000;
/** Periods after which the scheduler may think again. */
const MAX_PERIODS = 50;

/** Has a thread stay on the core that it runs on while much passes through it.
 *
 *  The kernel takes a device's packet to mean that who sent it is about to sleep, and wakes the receiver on the sender's
 *  core. That is the shortest way for a packet by itself, and so it stays; a stream's sender goes on, and the two then
 *  take turns on one core, beside one that idles. */
export class HomeCore {
  readonly #libc: Calls;
  /** The cores that the thread may run on, and one of them. */
  readonly #all = new Uint8Array(new ArrayBuffer(SET_SIZE));
  readonly #one = new Uint8Array(new ArrayBuffer(SET_SIZE));
  readonly #allAddress: number;
  readonly #oneAddress: number;
  /** There is no choice where there is but one, or they cannot be told. */
  readonly #hasChoice: boolean;
  #begun = 0;
  #bytes = 0;
  /** Periods that the thread has been kept for; 0: it is free. */
  #periods = 0;

  constructor(libc: Calls) {
    this.#libc = libc;
    this.#allAddress = libc.addressOf(this.#all.buffer);
    this.#oneAddress = libc.addressOf(this.#one.buffer);
    let cores = 0;
    if (libc.schedGetaffinity(0, SET_SIZE, this.#allAddress) >= 0)
      for (const byte of this.#all) for (let bits = byte; bits !== 0; bits &= bits - 1) cores++;
    this.#hasChoice = cores > 1;
  }

  /** Whether it is kept at present: much passes through it, and there are other cores for others. */
  get isKept(): boolean {
    return this.#periods > 0;
  }

  /** Whether it is time for `settle`. */
  isDue(now: number): boolean {
    return this.#hasChoice && now - this.#begun >= PERIOD_MS;
  }

  /** `bytes`: what has been received up to `now`, clock ms. */
  settle(now: number, bytes: number): void {
    const isBulk = bytes - this.#bytes >= (now - this.#begun) * BULK;
    this.#bytes = bytes;
    this.#begun = now;
    if (isBulk && this.#periods < MAX_PERIODS) {
      if (this.#periods++ === 0) this.#stay();
    } else if (this.#periods > 0) {
      this.#periods = 0;
      this.#libc.schedSetaffinity(0, SET_SIZE, this.#allAddress);
    }
  }

  #stay(): void {
    const core = this.#libc.schedGetcpu();
    if (core < 0 || core >= SET_SIZE * 8) return;
    this.#one.fill(0);
    this.#one[core >>> 3] = 1 << (core & 7);
    this.#libc.schedSetaffinity(0, SET_SIZE, this.#oneAddress);
  }
}
