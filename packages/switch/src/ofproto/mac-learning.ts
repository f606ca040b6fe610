import type { Clock } from "@sluice/runtime";

/** Where a MAC address was last heard, by VLAN, for one bridge.
 *
 *  Bounded: when full, the port with the most entries gives up the one that it heard least recently (`evicted` counts),
 *  so that one port with many addresses leaves the others theirs. The maps are kept in the order of hearing, so that the
 *  oldest is always first. A MAC is its 48-bit number. */

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
  /** Those that may be evicted, by port. */
  readonly #byPort = new Map<P, Set<LearnedMac<P>>>();
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
    if (entry === undefined) {
      this.#put(key, { vlan, mac, port, heardMs });
      this.counters.learned++;
      return "new";
    }
    if (heardMs < entry.heardMs) return "same";
    this.forget(entry);
    const isMoved = entry.port !== port;
    entry.heardMs = heardMs;
    entry.port = port;
    this.#put(key, entry);
    if (!isMoved) return "same";
    this.counters.moved++;
    return "moved";
  }

  /** Puts an entry there by hand (fdb/add). */
  pin(vlan: number, mac: number, port: P): void {
    const key = keyOf(vlan, mac);
    const before = this.#entries.get(key);
    if (before) this.forget(before);
    this.#entries.set(key, { vlan, mac, port, heardMs: Number.POSITIVE_INFINITY });
  }

  /** Takes out one entry. */
  forget(entry: LearnedMac<P>): void {
    this.#entries.delete(keyOf(entry.vlan, entry.mac));
    const ofPort = this.#byPort.get(entry.port);
    if (!ofPort?.delete(entry)) return;
    if (ofPort.size === 0) this.#byPort.delete(entry.port);
  }

  /** As the one heard last. */
  #put(key: string, entry: LearnedMac<P>): void {
    this.#entries.set(key, entry);
    const ofPort = this.#byPort.get(entry.port);
    if (ofPort) ofPort.add(entry);
    else this.#byPort.set(entry.port, new Set([entry]));
  }

  /** The entry that makes room: of the port that has the most, the oldest. */
  #victim(): LearnedMac<P> | undefined {
    let most: Set<LearnedMac<P>> | undefined;
    for (const ofPort of this.#byPort.values()) if (ofPort.size > (most?.size ?? 0)) most = ofPort;
    return most?.values().next().value;
  }

  /** Takes out what is too old, and more while there are too many; gives these back. */
  expire(): LearnedMac<P>[] {
    const now = this.#clock.now();
    const gone: LearnedMac<P>[] = [];
    for (const entry of this.#entries.values()) {
      if (isPinned(entry)) continue;
      if (now - entry.heardMs < this.ageingMs) break;
      this.counters.expired++;
      this.forget(entry);
      gone.push(entry);
    }
    while (this.#entries.size > this.size) {
      const entry = this.#victim();
      if (!entry) break;
      this.counters.evicted++;
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
