/** A point of a series: when (ms since 1970-01-01 UTC), and rates a second, in the order of the series' counters. */
export interface Sample {
  readonly at: number;
  readonly rates: readonly number[];
}

/** What a switch says when it does not keep a counter (OpenFlow 1.3.5 §7.3.5.6). */
const UNSUPPORTED = 0xffff_ffff_ffff_ffffn;

/** Rates made of counters that are read from time to time, the last few of them kept. */
export class RateSeries {
  readonly #size: number;
  readonly #width: number;
  readonly #at: Float64Array;
  readonly #rates: Float32Array;
  #length = 0;
  #next = 0;
  #counters: readonly bigint[] | undefined;
  #upMs = 0;

  /** `size` samples of `width` counters. */
  constructor(size: number, width: number) {
    this.#size = size;
    this.#width = width;
    this.#at = new Float64Array(size);
    this.#rates = new Float32Array(size * width);
  }

  /** Counters as read now. `upMs`: how long they have counted, by the switch's own clock. A first reading gives no sample,
   *  nor does one after which counting has begun anew. */
  read(counters: readonly bigint[], upMs: number, wallMs: number): void {
    const before = this.#counters;
    const ms = upMs - this.#upMs;
    this.#counters = counters;
    this.#upMs = upMs;
    if (before === undefined || ms <= 0 || counters.some((count, i) => count < before[i]!)) return;
    this.#at[this.#next] = wallMs;
    for (let i = 0; i < this.#width; i++) {
      const [was, is] = [before[i]!, counters[i]!];
      const delta = was === UNSUPPORTED || is === UNSUPPORTED ? 0 : Number(is - was);
      this.#rates[this.#next * this.#width + i] = (delta * 1000) / ms;
    }
    this.#next = (this.#next + 1) % this.#size;
    this.#length = Math.min(this.#length + 1, this.#size);
  }

  /** As last read; empty when never. */
  get counters(): readonly bigint[] {
    return this.#counters ?? [];
  }

  get latest(): Sample | undefined {
    return this.#length === 0 ? undefined : this.#sample((this.#next + this.#size - 1) % this.#size);
  }

  /** The oldest first. */
  history(): Sample[] {
    const first = (this.#next + this.#size - this.#length) % this.#size;
    return Array.from({ length: this.#length }, (_, i) => this.#sample((first + i) % this.#size));
  }

  #sample(index: number): Sample {
    const from = index * this.#width;
    return { at: this.#at[index]!, rates: [...this.#rates.subarray(from, from + this.#width)] };
  }
}
