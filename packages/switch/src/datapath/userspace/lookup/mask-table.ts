// Hot path: `find` and `touch`. They are generated for each mask: the mask's lanes and bits are constants in them, the
// flows are data.

import { DP_LANES, type FlowKey, type FlowMask } from "../../../flow/flow-key.js";

const NONE = -1;
const FIRST_PLACES = 32;

/** What `find` reads; it changes as the table grows. Open addressing: a flow is at the first place free from its
 *  hash's on, so that a search ends at a place with no tag. */
interface Store {
  /** A bit for hashes that were inserted, FILTER_BITS of them for each place: most searches of the many tables that
   *  do not have a packet's flow end here, at the price of one load and a branch that the processor foresees. */
  filter: Int32Array;
  /** Of each place: 0 when it is free, else 8 bits of the hash. They lie close, so that a miss costs little memory. */
  tags: Uint8Array;
  /** Of each place: the flow's slot, the hash, then the masked key. */
  entries: Int32Array;
  /** Places less one. */
  mask: number;
}

/** Words of an entry: where its hash lies, and its key. */
const HASH = 1;
const KEY = 2;
const FILTER_BITS = 16;

type Find = (store: Store, key: FlowKey) => number;

interface Lookup {
  readonly find: Find;
  /** Loads what `find` would have to wait for, and waits for nothing. What it gives has no meaning. */
  readonly touch: Find;
}

/** Masks that are equal have equal names. */
export const maskName = (mask: FlowMask): string => mask.subarray(0, DP_LANES).join();

/** Whether two masks have the same bits. */
export function sameMask(a: FlowMask, b: FlowMask): boolean {
  for (let lane = 0; lane < DP_LANES; lane++) if (a[lane] !== b[lane]) return false;
  return true;
}

const significant = (mask: FlowMask): number[] =>
  Array.from({ length: DP_LANES }, (_, lane) => lane).filter((lane) => mask[lane] !== 0);

/** Entries begin at multiples of four words, so that few lie across two lines of the processor's cache. */
const strideOf = (lanes: number): number => (KEY + lanes + 3) & ~3;

/** The hash of a masked key. Each word is mixed by itself, so that the processor works on all at a time. */
const FACTORS = Int32Array.from({ length: DP_LANES }, (_, i) => Math.imul(0x9e37_79b1, 2 * i + 1));
const LAST_FACTOR = 0x85eb_ca6b | 0;

function hashWords(words: (i: number) => number, count: number): number {
  let h = 0;
  for (let i = 0; i < count; i++) {
    const word = words(i);
    h ^= Math.imul(word ^ (word >>> 15), FACTORS[i]!);
  }
  h = Math.imul(h ^ (h >>> 16), LAST_FACTOR);
  return h ^ (h >>> 15);
}

const tagOf = (hash: number): number => hash >>> 24 || 1;

/** Both in straight-line source. Only numbers of the mask get into it. */
function generate(lanes: readonly number[], bits: readonly number[]): Lookup {
  const words = lanes.map((lane, i) => `const w${i} = key[${lane}] & ${bits[i]! | 0};`);
  const hashes = lanes.map((_, i) => `Math.imul(w${i} ^ (w${i} >>> 15), ${FACTORS[i]!})`);
  const same = lanes.map((_, i) => `entries[at + ${KEY + i}] === w${i}`).join(" && ") || "true";
  const stride = strideOf(lanes.length);
  const hash = `"use strict";
${words.join("\n")}
let h = ${hashes.join(" ^ ") || "0"};
h = Math.imul(h ^ (h >>> 16), ${LAST_FACTOR}); h ^= h >>> 15;
const { filter, tags, entries, mask } = store;`;
  const find = `${hash}
if ((filter[(h >>> 5) & (filter.length - 1)] & (1 << h)) === 0) return -1;
const wanted = h >>> 24 || 1;
for (let place = h & mask; ; place = (place + 1) & mask) {
  const tag = tags[place];
  if (tag === wanted) {
    const at = place * ${stride};
    if (${same}) return entries[at];
  } else if (tag === 0) return -1;
}`;
  const touch = `${hash}
return filter[(h >>> 5) & (filter.length - 1)] ^ tags[h & mask] ^ entries[(h & mask) * ${stride}];`;
  return {
    find: new Function("store", "key", find) as Find,
    touch: new Function("store", "key", touch) as Find,
  };
}

/** The same, slow and obvious, for where code must not be generated (--disallow-code-generation-from-strings). */
export function interpret(lanes: readonly number[], bits: readonly number[]): Lookup {
  const find: Find = ({ tags, entries, mask }, key) => {
    const words = lanes.map((lane, i) => key[lane]! & bits[i]!);
    const hash = hashWords((i) => words[i]!, words.length);
    for (let place = hash & mask; tags[place] !== 0; place = (place + 1) & mask) {
      const at = place * strideOf(lanes.length);
      if (words.every((word, i) => entries[at + KEY + i] === word)) return entries[at]!;
    }
    return NONE;
  };
  return { find, touch: () => 0 };
}

function makeLookup(lanes: readonly number[], bits: readonly number[]): Lookup {
  try {
    return generate(lanes, bits);
  } catch (error) {
    if (error instanceof EvalError) return interpret(lanes, bits);
    throw error;
  }
}

/** Places of a store that is given up which are gone through with each flow that comes or goes. */
const MOVED_AT_ONCE = 16;

/** The megaflows of one mask.
 *
 *  **Growth.** A store that has become too small, or whose filter has too many bits of flows that are gone, is not
 *  replaced in one go, which would take longer than packets may wait: a new one is filled while the old one is still
 *  what is searched, some places of the old one with each flow that comes or goes. Changes go to both. */
export class MaskTable {
  readonly name: string;
  readonly mask: FlowMask;
  /** Recent hits, for the order in which tables are tried. */
  hits = 0;
  count = 0;
  readonly #lanes: number[];
  readonly #bits: number[];
  readonly #stride: number;
  readonly #find: Find;
  readonly #touch: Find;
  readonly #store: Store;
  /** What takes its place once it has all of it, and how many of the present one's places have been gone through. */
  #next: Store | undefined;
  #moved = 0;
  /** Removed since the filter was made: their bits are still in it. */
  #removed = 0;

  constructor(mask: FlowMask, make: typeof makeLookup = makeLookup) {
    this.name = maskName(mask);
    this.mask = mask.slice();
    this.#lanes = significant(mask);
    this.#bits = this.#lanes.map((lane) => mask[lane]!);
    this.#stride = strideOf(this.#lanes.length);
    ({ find: this.#find, touch: this.#touch } = make(this.#lanes, this.#bits));
    this.#store = newStore(FIRST_PLACES, this.#stride);
  }

  /** The slot of the flow whose masked key this is, or -1. */
  find(key: FlowKey): number {
    return this.#find(this.#store, key);
  }

  /** Has the processor fetch what `find` will read. */
  touch(key: FlowKey): number {
    return this.#touch(this.#store, key);
  }

  /** Of the masked key; `remove` wants it. */
  hash(key: FlowKey): number {
    return hashWords((i) => key[this.#lanes[i]!]! & this.#bits[i]!, this.#lanes.length);
  }

  /** Adds a flow's slot. Gives the slot of the flow that had the same masked key, now displaced, or -1. */
  insert(key: FlowKey, slot: number, hash = this.hash(key)): number {
    const displaced = this.find(key);
    if (displaced !== NONE) {
      for (const store of [this.#store, this.#next]) {
        const place = store ? this.#placeOf(store, displaced, hash) : NONE;
        if (place !== NONE) store!.entries[place * this.#stride] = slot;
      }
      return displaced;
    }
    // At most five places in eight are taken, and some more while the next store is filled: searches stay short.
    const places = this.#store.mask + 1;
    if (8 * (this.count + 1) > 5 * places) this.#beginMove(2 * places);
    this.#add(this.#store, key, slot, hash);
    if (this.#next) this.#add(this.#next, key, slot, hash);
    this.count++;
    this.#goOn();
    return NONE;
  }

  /** Takes out a flow's slot; `hash` is of its key. */
  remove(slot: number, hash: number): void {
    if (!this.#takeOut(this.#store, slot, hash)) return;
    if (this.#next) this.#takeOut(this.#next, slot, hash);
    this.count--;
    // Bits of flows that are gone cost time, no truth: they go when they are as many as those that stay.
    if (++this.#removed > this.count + FIRST_PLACES) this.#beginMove(this.#store.mask + 1);
    this.#goOn();
  }

  #add(store: Store, key: FlowKey, slot: number, hash: number): void {
    const at = this.#takePlace(store, slot, hash);
    for (let i = 0; i < this.#lanes.length; i++)
      store.entries[at + KEY + i] = key[this.#lanes[i]!]! & this.#bits[i]!;
  }

  /** Takes a place for a flow; gives where its entry begins, whose key is still missing. */
  #takePlace(store: Store, slot: number, hash: number): number {
    const { filter, tags, entries, mask } = store;
    let place = hash & mask;
    while (tags[place] !== 0) place = (place + 1) & mask;
    tags[place] = tagOf(hash);
    filter[(hash >>> 5) & (filter.length - 1)]! |= 1 << hash;
    const at = place * this.#stride;
    entries[at] = slot;
    entries[at + HASH] = hash;
    return at;
  }

  #placeOf({ tags, entries, mask }: Store, slot: number, hash: number): number {
    for (let place = hash & mask; tags[place] !== 0; place = (place + 1) & mask)
      if (entries[place * this.#stride] === slot) return place;
    return NONE;
  }

  /** What came after the flow moves up, so that searches still end right. False when the flow is not there. */
  #takeOut(store: Store, slot: number, hash: number): boolean {
    let gap = this.#placeOf(store, slot, hash);
    if (gap === NONE) return false;
    const { tags, entries, mask } = store;
    const stride = this.#stride;
    for (let place = (gap + 1) & mask; tags[place] !== 0; place = (place + 1) & mask) {
      const ideal = entries[place * stride + HASH]! & mask;
      // It may not move before the place where a search for it begins.
      if (((place - ideal) & mask) < ((place - gap) & mask)) continue;
      // Nor to where the next store has all from already, but for being told.
      if (store === this.#store && gap < this.#moved && place >= this.#moved) this.#copyToNext(place);
      tags[gap] = tags[place]!;
      entries.copyWithin(gap * stride, place * stride, (place + 1) * stride);
      gap = place;
    }
    tags[gap] = 0;
    return true;
  }

  #beginMove(places: number): void {
    if (this.#next) return;
    this.#next = newStore(places, this.#stride);
    this.#moved = 0;
    this.#removed = 0;
  }

  #goOn(): void {
    if (!this.#next) return;
    const { tags } = this.#store;
    const end = Math.min(this.#moved + MOVED_AT_ONCE, tags.length);
    for (; this.#moved < end; this.#moved++) if (tags[this.#moved] !== 0) this.#copyToNext(this.#moved);
    if (this.#moved < tags.length) return;
    Object.assign(this.#store, this.#next);
    this.#next = undefined;
    this.#moved = 0;
  }

  /** Has the next store take the flow at this place, unless it has it already. */
  #copyToNext(place: number): void {
    const next = this.#next;
    if (!next) return;
    const { entries } = this.#store;
    const from = place * this.#stride;
    const slot = entries[from]!;
    const hash = entries[from + HASH]!;
    if (this.#placeOf(next, slot, hash) !== NONE) return;
    const at = this.#takePlace(next, slot, hash);
    for (let i = KEY; i < this.#stride; i++) next.entries[at + i] = entries[from + i]!;
  }
}

const newStore = (places: number, stride: number): Store => ({
  filter: new Int32Array((places * FILTER_BITS) / 32),
  tags: new Uint8Array(places),
  entries: new Int32Array(places * stride),
  mask: places - 1,
});
