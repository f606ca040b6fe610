import type { Clock } from "./clock.js";

interface Bucket {
  tokens: number;
  refilledAt: number;
  dropped: number;
  firstDropAt: number;
}

export interface RateVerdict {
  pass: boolean;
  /** When it passes: how many like it were dropped since the last that passed, and for how long. */
  dropped: number;
  sinceMs: number;
}

const BURST = 60;
const PER_SECOND = 1;
const SHAPES = 256;
const PASSED: RateVerdict = { pass: true, dropped: 0, sinceMs: 0 };
const DROPPED: RateVerdict = { pass: false, dropped: 0, sinceMs: 0 };

/** Lines that differ only in numbers and addresses count as the same line. */
const shapeOf = (text: string): string => text.slice(0, 200).replace(/[0-9a-fA-F:.]*\d[0-9a-fA-F:.]*/g, "#");

/** Lets through bursts of up to 60 lines of one shape, then one a second. At most 256 shapes are remembered:
 *  the one longest unused is forgotten. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  #dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get dropped(): number {
    return this.#dropped;
  }

  check(module: string, level: string, text: string): RateVerdict {
    const now = this.#clock.now();
    const bucket = this.#bucket(`${module}|${level}|${shapeOf(text)}`, now);
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.refilledAt) / 1000) * PER_SECOND);
    bucket.refilledAt = now;
    if (bucket.tokens < 1) {
      if (bucket.dropped++ === 0) bucket.firstDropAt = now;
      this.#dropped++;
      return DROPPED;
    }
    bucket.tokens--;
    if (bucket.dropped === 0) return PASSED;
    const verdict = { pass: true, dropped: bucket.dropped, sinceMs: now - bucket.firstDropAt };
    bucket.dropped = 0;
    return verdict;
  }

  #bucket(key: string, now: number): Bucket {
    let bucket = this.#buckets.get(key);
    if (bucket) this.#buckets.delete(key);
    else bucket = { tokens: BURST, refilledAt: now, dropped: 0, firstDropAt: 0 };
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > SHAPES) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
