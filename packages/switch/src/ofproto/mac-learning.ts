import type { Clock } from "@sluice/runtime";

/** Where a MAC address was last heard, by VLAN, for one bridge.
 *
 *  Bounded: when full, the entry heard least recently makes room (`evicted` counts). The map is kept in the order
 *  of hearing, so that the oldest is always first. A MAC is its 48-bit number. */

export interface LearnedMac<P> {
  readonly vlan: number;
  readonly mac: number;
  port: P;
  /** Clock ms when last heard; Infinity for an entry that was put there by hand: it stays where it is. */
  heardMs: number;
}

export class MacLearning<P> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, LearnedMac<P>>();
  ageingMs = 300_000;
  size = 8192;
  /** Counters for fdb/stats-show. */
  readonly counters = { learned: 0, expired: 0, evicted: 0, moved: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#entries.size;
  }

  lookup(vlan: number, mac: number): LearnedMac<P> | undefined {
    return this.#entries.get(keyOf(vlan, mac));
  }

  /** Notes that `mac` was heard on `port` at `heardMs`; says what that changed. News that is older than what is
   *  known changes nothing: late counts of a flow from the port that a host has left must not move it back. */
  learn(vlan: number, mac: number, port: P, heardMs = this.#clock.now()): "new" | "moved" | "same" {
    const key = keyOf(vlan, mac);
    const entry = this.#entries.get(key);
    if (entry) {
      if (heardMs < entry.heardMs) return "same";
      entry.heardMs = heardMs;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      if (entry.port === port) return "same";
      entry.port = port;
      this.counters.moved++;
      return "moved";
    }
    this.#entries.set(key, { vlan, mac, port, heardMs });
    this.counters.learned++;
    return "new";
  }

  /** Puts an entry there by hand (fdb/add). */
  pin(vlan: number, mac: number, port: P): void {
    this.#entries.set(keyOf(vlan, mac), { vlan, mac, port, heardMs: Number.POSITIVE_INFINITY });
  }

  /** Takes out one entry. */
  forget(entry: LearnedMac<P>): void {
    this.#entries.delete(keyOf(entry.vlan, entry.mac));
  }

  /** Takes out what is too old, and the oldest while there are too many; gives these back. */
  expire(): LearnedMac<P>[] {
    const now = this.#clock.now();
    const gone: LearnedMac<P>[] = [];
    for (const entry of this.#entries.values()) {
      if (isPinned(entry)) continue;
      const old = now - entry.heardMs >= this.ageingMs;
      if (!old && this.#entries.size <= this.size) break;
      this.counters[old ? "expired" : "evicted"]++;
      this.forget(entry);
      gone.push(entry);
    }
    return gone;
  }

  /** Takes out all entries for which `which` holds; gives these back. */
  flush(which: (entry: LearnedMac<P>) => boolean = () => true): LearnedMac<P>[] {
    const gone = [...this.#entries.values()].filter(which);
    for (const entry of gone) this.forget(entry);
    return gone;
  }

  [Symbol.iterator](): IterableIterator<LearnedMac<P>> {
    return this.#entries.values();
  }
}

export const isPinned = ({ heardMs }: LearnedMac<unknown>): boolean => heardMs === Number.POSITIVE_INFINITY;

const keyOf = (vlan: number, mac: number): string => `${vlan}/${mac}`;
