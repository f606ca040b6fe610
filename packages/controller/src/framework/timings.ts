/** Upper bounds of a histogram's buckets, in seconds. */
export const BOUNDS = [
  0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5, 10,
] as const;

/** How often something took how long. */
export class Durations {
  /** By the first of `BOUNDS` that is not exceeded; the last for what exceeds all. */
  readonly counts = new Float64Array(BOUNDS.length + 1);
  sumSeconds = 0;

  add(seconds: number): void {
    let i = 0;
    while (i < BOUNDS.length && seconds > BOUNDS[i]!) i++;
    this.counts[i]!++;
    this.sumSeconds += seconds;
  }
}

/** Kinds of requests told apart; what comes beyond them is one kind together. */
const MAX_KINDS = 64;

/** How long things take, for who wants to know: without, nothing is measured. */
export class Timings {
  /** From a request to its outcome, by its message (of a multipart, its body). */
  readonly requests = new Map<string, Durations>();
  /** What an app takes for a packet-in, until its answer is there, by its name. */
  readonly packetIns = new Map<string, Durations>();

  request(kind: string, seconds: number): void {
    durationsOf(this.requests, kind).add(seconds);
  }

  packetIn(app: string, seconds: number): void {
    durationsOf(this.packetIns, app).add(seconds);
  }
}

function durationsOf(all: Map<string, Durations>, wanted: string): Durations {
  const name = all.has(wanted) || all.size < MAX_KINDS ? wanted : "other";
  let durations = all.get(name);
  if (durations === undefined) {
    durations = new Durations();
    all.set(name, durations);
  }
  return durations;
}
