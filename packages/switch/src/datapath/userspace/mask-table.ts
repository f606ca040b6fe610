// Hot path: `find`. It is generated for each mask: the mask's lanes and bits are constants in it, the flows are data.

import { DP_LANES, type FlowKey, type FlowMask } from "../../flow/flow-key.js";

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

/** The lookup in straight-line source. Only numbers of the mask get into it. */
function generateFind(lanes: readonly number[], bits: readonly number[]): Find {
  const words = lanes.map((lane, i) => `const w${i} = key[${lane}] & ${bits[i]! | 0};`);
  const hashes = lanes.map((_, i) => `Math.imul(w${i} ^ (w${i} >>> 15), ${FACTORS[i]!})`);
  const same = lanes.map((_, i) => `entries[at + ${KEY + i}] === w${i}`).join(" && ") || "true";
  const source = `"use strict";
${words.join("\n")}
let h = ${hashes.join(" ^ ") || "0"};
h = Math.imul(h ^ (h >>> 16), ${LAST_FACTOR}); h ^= h >>> 15;
const { filter, tags, mask } = store;
if ((filter[(h >>> 5) & (filter.length - 1)] & (1 << h)) === 0) return -1;
const wanted = h >>> 24 || 1;
for (let place = h & mask; ; place = (place + 1) & mask) {
  const tag = tags[place];
  if (tag === wanted) {
    const entries = store.entries;
    const at = place * ${strideOf(lanes.length)};
    if (${same}) return entries[at];
  } else if (tag === 0) return -1;
}`;
  return new Function("store", "key", source) as Find;
}

/** The same, slow and obvious, for where code must not be generated (--disallow-code-generation-from-strings). */
export function interpretFind(lanes: readonly number[], bits: readonly number[]): Find {
  return ({ tags, entries, mask }, key) => {
    const words = lanes.map((lane, i) => key[lane]! & bits[i]!);
    const hash = hashWords((i) => words[i]!, words.length);
    for (let place = hash & mask; tags[place] !== 0; place = (place + 1) & mask) {
      const at = place * strideOf(lanes.length);
      if (words.every((word, i) => entries[at + KEY + i] === word)) return entries[at]!;
    }
    return NONE;
  };
}

function makeFind(lanes: readonly number[], bits: readonly number[]): Find {
  try {
    return generateFind(lanes, bits);
  } catch (error) {
    if (error instanceof EvalError) return interpretFind(lanes, bits);
    throw error;
  }
}

/** The megaflows of one mask. */
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
  readonly #store: Store;
  /** Removed since the filter was made: their bits are still in it. */
  #removed = 0;

  constructor(mask: FlowMask, make: (lanes: readonly number[], bits: readonly number[]) => Find = makeFind) {
    this.name = maskName(mask);
    this.mask = mask.slice();
    this.#lanes = significant(mask);
    this.#bits = this.#lanes.map((lane) => mask[lane]!);
    this.#stride = strideOf(this.#lanes.length);
    this.#find = make(this.#lanes, this.#bits);
    this.#store = {
      filter: new Int32Array(0),
      tags: new Uint8Array(0),
      entries: new Int32Array(0),
      mask: 0,
    };
    this.#resize(FIRST_PLACES);
  }

  /** The slot of the flow whose masked key this is, or -1. */
  find(key: FlowKey): number {
    return this.#find(this.#store, key);
  }

  /** Of the masked key; `remove` wants it. */
  hash(key: FlowKey): number {
    return hashWords((i) => key[this.#lanes[i]!]! & this.#bits[i]!, this.#lanes.length);
  }

  /** Adds a flow's slot. Gives the slot of the flow that had the same masked key, now displaced, or -1. */
  insert(key: FlowKey, slot: number, hash = this.hash(key)): number {
    const { entries } = this.#store;
    const displaced = this.find(key);
    if (displaced !== NONE) {
      entries[this.#placeOf(displaced, hash) * this.#stride] = slot;
      return displaced;
    }
    // At most five places in eight are taken: searches stay short.
    if (8 * (this.count + 1) > 5 * (this.#store.mask + 1)) this.#resize(2 * (this.#store.mask + 1));
    const place = this.#freePlace(hash);
    const at = place * this.#stride;
    this.#store.tags[place] = tagOf(hash);
    this.#note(hash);
    this.#store.entries[at] = slot;
    this.#store.entries[at + HASH] = hash;
    for (let i = 0; i < this.#lanes.length; i++)
      this.#store.entries[at + KEY + i] = key[this.#lanes[i]!]! & this.#bits[i]!;
    this.count++;
    return NONE;
  }

  /** Takes out a flow's slot; `hash` is of its key. What came after it moves up, so that searches still end right. */
  remove(slot: number, hash: number): void {
    let gap = this.#placeOf(slot, hash);
    if (gap === NONE) return;
    const { tags, entries, mask } = this.#store;
    const stride = this.#stride;
    for (let place = (gap + 1) & mask; tags[place] !== 0; place = (place + 1) & mask) {
      const ideal = entries[place * stride + HASH]! & mask;
      // It may not move before the place where a search for it begins.
      if (((place - ideal) & mask) < ((place - gap) & mask)) continue;
      tags[gap] = tags[place]!;
      entries.copyWithin(gap * stride, place * stride, (place + 1) * stride);
      gap = place;
    }
    tags[gap] = 0;
    this.count--;
    // Bits of flows that are gone cost time, no truth: they go when they are as many as those that stay.
    if (++this.#removed > this.count + FIRST_PLACES) this.#resize(mask + 1);
  }

  #note(hash: number): void {
    const { filter } = this.#store;
    filter[(hash >>> 5) & (filter.length - 1)]! |= 1 << hash;
  }

  #placeOf(slot: number, hash: number): number {
    const { tags, entries, mask } = this.#store;
    for (let place = hash & mask; tags[place] !== 0; place = (place + 1) & mask)
      if (entries[place * this.#stride] === slot) return place;
    return NONE;
  }

  #freePlace(hash: number): number {
    const { tags, mask } = this.#store;
    let place = hash & mask;
    while (tags[place] !== 0) place = (place + 1) & mask;
    return place;
  }

  #resize(places: number): void {
    const store = this.#store;
    const { tags, entries } = store;
    store.filter = new Int32Array((places * FILTER_BITS) / 32);
    store.tags = new Uint8Array(places);
    store.entries = new Int32Array(places * this.#stride);
    store.mask = places - 1;
    this.#removed = 0;
    for (let old = 0; old < tags.length; old++) {
      if (tags[old] === 0) continue;
      const from = old * this.#stride;
      const hash = entries[from + HASH]!;
      const place = this.#freePlace(hash);
      this.#note(hash);
      store.tags[place] = tags[old]!;
      const to = place * this.#stride;
      for (let i = 0; i < this.#stride; i++) store.entries[to + i] = entries[from + i]!;
    }
  }
}
