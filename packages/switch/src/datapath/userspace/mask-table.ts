// Hot path: `find`. It is generated for each mask: the mask's lanes and bits are constants in it, the flows are data.

import { DP_LANES, type FlowKey, type FlowMask } from "../../flow/flow-key.js";

const NONE = -1;
const FIRST_ENTRIES = 16;

/** What `find` reads; it changes as the table grows. */
interface Store {
  /** First entry of each bucket. */
  buckets: Int32Array;
  bucketMask: number;
  /** The entries, one after the other: next entry of the bucket, the flow's slot, the masked key. They lie together
   *  so that a lookup touches one line of the processor's cache. */
  entries: Int32Array;
}

/** Words of an entry before its key. */
const NEXT = 0;
const SLOT = 1;
const KEY = 2;

type Find = (store: Store, key: FlowKey) => number;

/** Masks that are equal have equal names. */
export const maskName = (mask: FlowMask): string => mask.subarray(0, DP_LANES).join();

const significant = (mask: FlowMask): number[] =>
  Array.from({ length: DP_LANES }, (_, lane) => lane).filter((lane) => mask[lane] !== 0);

const step = (hash: number, word: number): number => {
  const h = Math.imul(hash ^ word, 0x9e37_79b1);
  return h ^ (h >>> 15);
};

/** The lookup in straight-line source. Only numbers of the mask get into it. */
function generateFind(lanes: readonly number[], bits: readonly number[]): Find {
  const words = lanes.map((lane, i) => `const w${i} = key[${lane}] & ${bits[i]! | 0};`);
  const hashes = lanes.map((_, i) => `h = Math.imul(h ^ w${i}, ${0x9e37_79b1 | 0}); h ^= h >>> 15;`);
  const same = lanes.map((_, i) => `entries[at + ${KEY + i}] === w${i}`).join(" && ") || "true";
  const source = `"use strict";
${words.join("\n")}
let h = 0;
${hashes.join("\n")}
const entries = store.entries;
for (let e = store.buckets[h & store.bucketMask]; e >= 0; ) {
  const at = e * ${KEY + lanes.length};
  if (${same}) return entries[at + ${SLOT}];
  e = entries[at + ${NEXT}];
}
return -1;`;
  return new Function("store", "key", source) as Find;
}

/** The same, slow and obvious, for where code must not be generated (--disallow-code-generation-from-strings). */
export function interpretFind(lanes: readonly number[], bits: readonly number[]): Find {
  return (store, key) => {
    const words = lanes.map((lane, i) => key[lane]! & bits[i]!);
    const hash = words.reduce(step, 0);
    for (let e = store.buckets[hash & store.bucketMask]!; e >= 0; ) {
      const at = e * (KEY + lanes.length);
      if (words.every((word, i) => store.entries[at + KEY + i] === word)) return store.entries[at + SLOT]!;
      e = store.entries[at + NEXT]!;
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
  /** Recent hits, for the order in which tables are tried. */
  hits = 0;
  count = 0;
  readonly #lanes: number[];
  readonly #bits: number[];
  readonly #stride: number;
  readonly #find: Find;
  readonly #store: Store;
  /** The entry of each flow's slot. */
  readonly #entryOf = new Map<number, number>();
  readonly #free: number[] = [];
  #entries = 0;
  #capacity = FIRST_ENTRIES;

  constructor(mask: FlowMask, make: (lanes: readonly number[], bits: readonly number[]) => Find = makeFind) {
    this.name = maskName(mask);
    this.#lanes = significant(mask);
    this.#bits = this.#lanes.map((lane) => mask[lane]!);
    this.#stride = KEY + this.#lanes.length;
    this.#find = make(this.#lanes, this.#bits);
    this.#store = {
      buckets: new Int32Array(2 * FIRST_ENTRIES).fill(NONE),
      bucketMask: 2 * FIRST_ENTRIES - 1,
      entries: new Int32Array(FIRST_ENTRIES * this.#stride),
    };
  }

  /** The slot of the flow whose masked key this is, or -1. */
  find(key: FlowKey): number {
    return this.#find(this.#store, key);
  }

  /** Adds a flow's slot. Gives the slot of the flow that had the same masked key, now displaced, or -1. */
  insert(key: FlowKey, slot: number): number {
    const displaced = this.find(key);
    const store = this.#store;
    if (displaced !== NONE) {
      const entry = this.#entryOf.get(displaced)!;
      this.#entryOf.delete(displaced);
      this.#entryOf.set(slot, entry);
      store.entries[entry * this.#stride + SLOT] = slot;
      return displaced;
    }
    const entry = this.#free.pop() ?? this.#entries++;
    if (entry === this.#capacity) this.#grow();
    const at = entry * this.#stride;
    store.entries[at + SLOT] = slot;
    this.#lanes.forEach((lane, i) => {
      store.entries[at + KEY + i] = key[lane]! & this.#bits[i]!;
    });
    this.#entryOf.set(slot, entry);
    this.#link(entry);
    this.count++;
    return NONE;
  }

  remove(slot: number): void {
    const entry = this.#entryOf.get(slot);
    if (entry === undefined) return;
    this.#entryOf.delete(slot);
    const { buckets, bucketMask, entries } = this.#store;
    const next = entries[entry * this.#stride + NEXT]!;
    const bucket = this.#hash(entry) & bucketMask;
    if (buckets[bucket] === entry) buckets[bucket] = next;
    else {
      let before = buckets[bucket]!;
      while (entries[before * this.#stride + NEXT] !== entry) before = entries[before * this.#stride + NEXT]!;
      entries[before * this.#stride + NEXT] = next;
    }
    this.#free.push(entry);
    this.count--;
  }

  #hash(entry: number): number {
    let hash = 0;
    const at = entry * this.#stride + KEY;
    for (let i = 0; i < this.#lanes.length; i++) hash = step(hash, this.#store.entries[at + i]!);
    return hash;
  }

  #link(entry: number): void {
    const { buckets, bucketMask, entries } = this.#store;
    const bucket = this.#hash(entry) & bucketMask;
    entries[entry * this.#stride + NEXT] = buckets[bucket]!;
    buckets[bucket] = entry;
  }

  #grow(): void {
    const store = this.#store;
    this.#capacity *= 2;
    const entries = new Int32Array(this.#capacity * this.#stride);
    entries.set(store.entries);
    store.entries = entries;
    store.buckets = new Int32Array(this.#capacity * 2).fill(NONE);
    store.bucketMask = this.#capacity * 2 - 1;
    for (const entry of this.#entryOf.values()) this.#link(entry);
  }
}
