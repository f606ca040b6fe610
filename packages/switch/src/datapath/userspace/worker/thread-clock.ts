// Hot path: `now` and `read`. Nothing is allocated.

import type { Libc } from "../../../netdev/libc.js";

const CLOCK_MONOTONIC = 1;

/** The machine's clock for a thread that reads it several times a turn: what Node offers leaves 16 to 100 bytes to the
 *  collector each time where it is not inlined, which is in every function that is long. */
export class ThreadClock {
  readonly #libc: Libc;
  /** struct timespec: seconds, nanoseconds. */
  readonly #timespec = new Int32Array(new ArrayBuffer(16));
  readonly #address: number;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#address = libc.addressOf(this.#timespec.buffer);
  }

  /** Milliseconds since the machine's start; never goes back. */
  now(): number {
    this.#libc.clockGettime(CLOCK_MONOTONIC, this.#address);
    return this.#timespec[0]! * 1000 + this.#timespec[2]! / 1e6;
  }

  /** The same, into the first place of `time`. */
  read(time: Float64Array): void {
    time[0] = this.now();
  }
}
