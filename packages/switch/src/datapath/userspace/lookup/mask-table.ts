// Hot path: `mayHave` and `find`. Nothing is allocated, nothing throws.

import type { FlowKey, FlowMask } from "../../../flow/flow-key.js";
import type { FlowRecords } from "./flow-records.js";

const NONE = -1;
const FIRST_PLACES = 32;

/** What is searched; it changes as the table grows. Open addressing: a flow is at the first place free from its
 *  hash's on, so that a search ends at a place that is free. */
interface Store {
  /** A bit for hashes that were inserted, FILTER_BITS of them for each place: most searches of the many tables that
   *  do not have a packet's flow end here, at the price of one load and a branch that the processor foresees. */
  filter: Int32Array;
  /** Of each place: 0 when it is free, else the flow's slot and 1; and its hash. */
  entries: Int32Array;
  /** Places less one. */
  mask: number;
}

const FILTER_BITS = 16;
/** Words of an entry, and where its hash lies. */
const ENTRY = 2;
const HASH = 1;

/** Places of a store that is given up which are gone through with each flow that comes or goes. */
const MOVED_AT_ONCE = 16;

/** The megaflows of one mask, by the hash of their masked key. The keys are in the flows' records.
 *
 *  **Growth.** A store that has become too small, or whose filter has too many bits of flows that are gone, is not
 *  replaced in one go, which would take longer than packets may wait: a new one is filled while the old one is still
 *  what is searched, some places of the old one with each flow that comes or goes. Changes go to both. */
export class MaskTable {
  readonly number: number;
  readonly mask: FlowMask;
  /** Recent hits, for the order in which tables are tried. */
  hits = 0;
  count = 0;
  #store = newStore(FIRST_PLACES);
  /** What takes its place once it has all of it, and how many of the present one's places have been gone through. */
  #next: Store | undefined;
  #moved = 0;
  /** Removed since the filter was made: their bits are still in it. */
  #removed = 0;

  constructor(number: number, mask: FlowMask) {
    this.number = number;
    this.mask = mask.slice();
  }

  /** False for most hashes that no flow has. */
  mayHave(hash: number): boolean {
    const { filter } = this.#store;
    return (filter[(hash >>> 5) & (filter.length - 1)]! & (1 << hash)) !== 0;
  }

  /** The slot of the flow that matches the key, or -1; `hash` is of the masked key. */
  find(hash: number, key: FlowKey, records: FlowRecords): number {
    const { entries, mask } = this.#store;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const slot = entries[place * ENTRY]! - 1;
      if (slot < 0) return NONE;
      if (entries[place * ENTRY + HASH] === hash && records.matches(slot, key)) return slot;
    }
  }

  insert(slot: number, hash: number): void {
    // At most five places in eight are taken, and some more while the next store is filled: searches stay short.
    const places = this.#store.mask + 1;
    if (8 * (this.count + 1) > 5 * places) this.#beginMove(2 * places);
    add(this.#store, slot, hash);
    if (this.#next) add(this.#next, slot, hash);
    this.count++;
    this.#goOn();
  }

  /** Has a flow take the place of another with the same masked key. */
  exchange(displaced: number, slot: number, hash: number): void {
    for (const store of [this.#store, this.#next]) {
      const place = store ? placeOf(store, displaced, hash) : NONE;
      if (place !== NONE) store!.entries[place * ENTRY] = slot + 1;
    }
  }

  remove(slot: number, hash: number): void {
    if (!this.#takeOut(this.#store, slot, hash)) return;
    if (this.#next) this.#takeOut(this.#next, slot, hash);
    this.count--;
    // Bits of flows that are gone cost time, no truth: they go when they are as many as those that stay.
    if (++this.#removed > this.count + FIRST_PLACES) this.#beginMove(this.#store.mask + 1);
    this.#goOn();
  }

  /** What came after the flow moves up, so that searches still end right. False when the flow is not there. */
  #takeOut(store: Store, slot: number, hash: number): boolean {
    let gap = placeOf(store, slot, hash);
    if (gap === NONE) return false;
    const { entries, mask } = store;
    for (let place = (gap + 1) & mask; entries[place * ENTRY] !== 0; place = (place + 1) & mask) {
      const ideal = entries[place * ENTRY + HASH]! & mask;
      // It may not move before the place where a search for it begins.
      if (((place - ideal) & mask) < ((place - gap) & mask)) continue;
      // Nor to where the next store has all from already, but for being told.
      if (store === this.#store && gap < this.#moved && place >= this.#moved) this.#copyToNext(place);
      entries[gap * ENTRY] = entries[place * ENTRY]!;
      entries[gap * ENTRY + HASH] = entries[place * ENTRY + HASH]!;
      gap = place;
    }
    entries[gap * ENTRY] = 0;
    return true;
  }

  #beginMove(places: number): void {
    if (this.#next) return;
    this.#next = newStore(places);
    this.#moved = 0;
    this.#removed = 0;
  }

  #goOn(): void {
    if (!this.#next) return;
    const places = this.#store.mask + 1;
    const end = Math.min(this.#moved + MOVED_AT_ONCE, places);
    for (; this.#moved < end; this.#moved++) this.#copyToNext(this.#moved);
    if (this.#moved < places) return;
    this.#store = this.#next;
    this.#next = undefined;
    this.#moved = 0;
  }

  /** Has the next store take the flow at this place, if there is one, unless it has it already. */
  #copyToNext(place: number): void {
    const next = this.#next;
    const slot = this.#store.entries[place * ENTRY]! - 1;
    if (!next || slot < 0) return;
    const hash = this.#store.entries[place * ENTRY + HASH]!;
    if (placeOf(next, slot, hash) === NONE) add(next, slot, hash);
  }
}

const newStore = (places: number): Store => ({
  filter: new Int32Array((places * FILTER_BITS) / 32),
  entries: new Int32Array(places * ENTRY),
  mask: places - 1,
});

function add({ filter, entries, mask }: Store, slot: number, hash: number): void {
  let place = hash & mask;
  while (entries[place * ENTRY] !== 0) place = (place + 1) & mask;
  filter[(hash >>> 5) & (filter.length - 1)]! |= 1 << hash;
  entries[place * ENTRY] = slot + 1;
  entries[place * ENTRY + HASH] = hash;
}

function placeOf({ entries, mask }: Store, slot: number, hash: number): number {
  for (let place = hash & mask; entries[place * ENTRY] !== 0; place = (place + 1) & mask)
    if (entries[place * ENTRY] === slot + 1) return place;
  return NONE;
}
