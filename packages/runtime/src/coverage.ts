import type { Clock, Timer } from "./clock.js";
import type { ControlCommands } from "./unixctl.js";

/** Named events: how often each has happened, and how often lately, as the coverage/… commands tell. */

export type Counters = Readonly<Record<string, number>>;

const SAMPLE_MS = 5_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

interface Sample {
  readonly ms: number;
  readonly counters: Counters;
}

/** The counters as they were every 5 seconds of the last minute and every minute of the last hour: 74 samples at most. */
export class CoverageHistory {
  readonly #clock: Clock;
  readonly #read: () => Counters | Promise<Counters>;
  readonly #recent: Sample[] = [];
  readonly #minutes: Sample[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, read: () => Counters | Promise<Counters>) {
    this.#clock = clock;
    this.#read = read;
  }

  start(): void {
    this.#timer ??= this.#clock.setInterval(() => void this.sample().catch(() => {}), SAMPLE_MS);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Keeps the counters as they are now. */
  async sample(): Promise<void> {
    const sample = { counters: await this.#read(), ms: this.#clock.now() };
    this.#recent.push(sample);
    if (this.#recent.length > MINUTE_MS / SAMPLE_MS + 1) this.#recent.shift();
    if (sample.ms - (this.#minutes.at(-1)?.ms ?? Number.NEGATIVE_INFINITY) < MINUTE_MS) return;
    this.#minutes.push(sample);
    if (this.#minutes.length > HOUR_MS / MINUTE_MS + 1) this.#minutes.shift();
  }

  /** As `ovs-appctl coverage/show`: events per second over the last 5 seconds, minute and hour (what was before the
   *  daemon began counts as nothing), and in all. */
  async show(): Promise<string> {
    const counters = await this.#read();
    const now = this.#clock.now();
    const rows = Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1));
    const shown = rows.filter(([, count]) => count > 0);
    const rate = (samples: readonly Sample[], name: string, count: number, windowMs: number): number => {
      const before = samples.findLast(({ ms }) => now - ms >= windowMs) ?? samples[0];
      const happened = Math.max(0, count - (before?.counters[name] ?? 0));
      return (happened * 1000) / Math.max(windowMs, before === undefined ? windowMs : now - before.ms);
    };
    const lines = shown.map(([name, count]) => {
      const lately = rate(this.#recent, name, count, SAMPLE_MS).toFixed(1).padStart(7);
      const minute = rate(this.#recent, name, count, MINUTE_MS).toFixed(3).padStart(9);
      const hour = rate(this.#minutes, name, count, HOUR_MS).toFixed(4).padStart(13);
      return `${name.padEnd(24)} ${lately}/sec ${minute}/sec ${hour}/sec   total: ${count}\n`;
    });
    return (
      `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${hashOf(shown)}:\n` +
      `${lines.join("")}${rows.length - shown.length} events never hit\n`
    );
  }

  /** One counter's total. Throws when there is none of that name. */
  async total(name: string): Promise<number> {
    const counters = await this.#read();
    const count = Object.hasOwn(counters, name) ? counters[name] : undefined;
    if (count === undefined) throw new Error(`No such counter: ${name}`);
    return count;
  }
}

/** FNV-1a of the counters: two listings with the same hash say the same. */
function hashOf(rows: readonly (readonly [string, number])[]): string {
  let hash = 0x811c9dc5;
  for (const char of rows.join()) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** The `coverage/…` commands of a control socket. */
export const coverageCommands = (coverage: CoverageHistory): ControlCommands => ({
  "coverage/show": { run: () => coverage.show() },
  "coverage/read-counter": {
    usage: "COUNTER",
    args: [1, 1],
    run: async ([name]) => String(await coverage.total(name!)),
  },
});
