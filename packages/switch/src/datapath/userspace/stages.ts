// Hot path: `lap`. Nothing is allocated, nothing throws.

/** What becomes of a packet, in order. */
export const STAGES = ["receive", "parse", "emc", "smc", "megaflow", "actions", "send"] as const;
export enum Stage {
  /** From the device into a buffer. */
  Receive,
  /** The key is extracted. */
  Parse,
  /** It is hashed, and looked up in the exact-match cache. */
  Emc,
  /** It is looked up in the signature-match cache, where that did not know it. */
  Smc,
  /** It is looked up among the megaflows, where no cache knew it. */
  Megaflow,
  /** It is counted, and its actions are carried out. */
  Actions,
  /** Ports are flushed. */
  Send,
}

/** One burst in as many is timed, so that timing costs nothing. */
const SAMPLE_MASK = 127;
/** How much of each new measurement of the clock's own time counts. */
const EASE = 1 / 64;
/** ms; reading the clock takes no longer, unless the processor does something else meanwhile. */
const LONGEST_READING = 0.001;

/** Where the time goes, by a sample of bursts. */
export class Stages {
  /** Whether the burst under way is timed. */
  isSampling = false;
  /** Packets in timed bursts. */
  packets = 0;
  /** ms by stage. */
  readonly times = new Float64Array(STAGES.length);
  readonly #now: () => number;
  /** What reading the clock takes by itself. */
  #overhead = 0;
  #bursts = 0;
  #begun = 0;
  #last = 0;
  /** Of this burst, what is accounted for; and laps. */
  #known = 0;
  #laps = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Begins a burst at `now`. */
  begin(now: number): void {
    this.isSampling = (++this.#bursts & SAMPLE_MASK) === 0;
    if (!this.isSampling) return;
    this.#begun = this.#last = now;
    this.#known = 0;
    this.#laps = 0;
  }

  /** The time since the last lap was spent on `stage`. */
  lap(stage: Stage): void {
    const now = this.#now();
    const time = now - this.#last - this.#overhead;
    this.#last = now;
    this.#laps++;
    this.times[stage]! += time;
    this.#known += time;
  }

  /** The next lap begins here; `end` finds out about the time before. */
  mark(): void {
    const now = this.#now();
    this.#last = this.#now();
    this.#overhead += (Math.min(this.#last - now, LONGEST_READING) - this.#overhead) * EASE;
    this.#laps += 2;
  }

  /** Ends a burst: what no lap has accounted for was receiving it. */
  end(): void {
    this.isSampling = false;
    const rest = this.#now() - this.#begun - this.#known - this.#laps * this.#overhead;
    if (rest > 0) this.times[Stage.Receive]! += rest;
  }
}
