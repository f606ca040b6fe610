import type { Clock, Timer } from "./clock.js";

/** A line that may be one of many. */
export interface Line<Level extends string = string> {
  readonly module: string;
  readonly level: Level;
  readonly text: string;
  /** Whom or what it is about, such as the host of a peer: lines about one are no reason to drop those about another. */
  readonly subject?: string | undefined;
}

/** Lines that were dropped, and that nobody was told of yet. */
export interface Dropped<Level extends string = string> {
  readonly count: number;
  /** Since the first of them. */
  readonly sinceMs: number;
  readonly last: Line<Level>;
}

interface Bucket<Level extends string> {
  readonly burst: number;
  tokens: number;
  refilledAt: number;
  dropped: number;
  firstDropAt: number;
  last: Line<Level> | undefined;
}

const BURST = 60;
/** Of a burst, what comes back a second. */
const REFILL = 1 / 60;
/** As many subjects together may have one shape of line. */
const SUBJECTS = 16;
const SHAPES = 1024;
/** Lines dropped are told of after this long, where none like them comes by that tells of them. */
const REPORT_MS = 10_000;

/** Lines that differ only in numbers and addresses count as the same line. */
const shapeOf = (text: string): string => text.slice(0, 200).replace(/[0-9a-fA-F:.]*\d[0-9a-fA-F:.]*/g, "#");

/** Lets through bursts of up to 60 lines of one shape, then one a second; of lines with a subject as many for each subject,
 *  and 16 times as many for all together. At most 1024 shapes are remembered: the one longest unused is forgotten. What it
 *  drops it tells of, with the verdict on a line like it or, after 10 s, by itself. */
export class RateLimiter<Level extends string> {
  readonly #clock: Clock;
  readonly #report: (dropped: Dropped<Level>) => void;
  readonly #buckets = new Map<string, Bucket<Level>>();
  #timer: Timer | undefined;
  #dropped = 0;

  constructor(clock: Clock, report: (dropped: Dropped<Level>) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Whether the line is to be written. What was dropped of those like it is reported before. */
  passes(line: Line<Level>): boolean {
    const now = this.#clock.now();
    const { module, level, text, subject } = line;
    const shape = `${module}|${level}|${shapeOf(text)}`;
    const buckets =
      subject === undefined
        ? [this.#bucket(shape, BURST, now)]
        : [this.#bucket(`${shape}|${subject}`, BURST, now), this.#bucket(`${shape}|`, BURST * SUBJECTS, now)];
    const empty = buckets.find(({ tokens }) => tokens < 1);
    if (empty !== undefined) {
      this.#drop(empty, line, now);
      return false;
    }
    for (const bucket of buckets) {
      bucket.tokens--;
      this.#tell(bucket, now);
    }
    return true;
  }

  /** Tells of all that was dropped and not told of yet. */
  reportDropped(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const bucket of this.#buckets.values()) this.#tell(bucket, now);
  }

  #drop(bucket: Bucket<Level>, line: Line<Level>, now: number): void {
    if (bucket.dropped++ === 0) bucket.firstDropAt = now;
    bucket.last = line;
    this.#dropped++;
    this.#timer ??= this.#clock.setTimeout(() => this.reportDropped(), REPORT_MS);
  }

  #tell(bucket: Bucket<Level>, now: number): void {
    const { dropped: count, last, firstDropAt } = bucket;
    if (count === 0 || last === undefined) return;
    bucket.dropped = 0;
    bucket.last = undefined;
    this.#report({ count, sinceMs: now - firstDropAt, last });
  }

  #bucket(key: string, burst: number, now: number): Bucket<Level> {
    let bucket = this.#buckets.get(key);
    if (bucket) this.#buckets.delete(key);
    else bucket = { burst, tokens: burst, refilledAt: now, dropped: 0, firstDropAt: 0, last: undefined };
    this.#buckets.set(key, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.refilledAt) / 1000) * burst * REFILL);
    bucket.refilledAt = now;
    if (this.#buckets.size > SHAPES) this.#forget(now);
    return bucket;
  }

  #forget(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      this.#tell(bucket, now);
      this.#buckets.delete(key);
      return;
    }
  }
}
