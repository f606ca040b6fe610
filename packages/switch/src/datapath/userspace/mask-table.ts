// Hot path: `find`. It is generated for each mask: the mask's lanes and bits are constants in it, the flows are data.

import { DP_LANES, type FlowKey, type FlowMask } from "../../flow/flow-key.js";

const NONE = -1;

/** What `find` reads; it changes as the table grows. */
interface Store {
  /** First slot of each bucket. */
  buckets: Int32Array;
  bucketMask: number;
  /** Masked keys: `width` words an entry. */
  slab: Int32Array;
  /** Next entry of the bucket. */
  next: Int32Array;
  /** The flow's slot, by entry. */
  flows: Int32Array;
}

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
  const same = lanes.map((_, i) => `slab[at + ${i}] === w${i}`).join(" && ") || "true";
  const source = `"use strict";
${words.join("\n")}
let h = 0;
${hashes.join("\n")}
const slab = store.slab, next = store.next;
for (let e = store.buckets[h & store.bucketMask]; e >= 0; e = next[e]) {
  const at = e * ${lanes.length};
  if (${same}) return store.flows[e];
}
return -1;`;
  return new Function("store", "key", source) as Find;
}

/** The same, slow and obvious, for where code must not be generated (--disallow-code-generation-from-strings). */
export function interpretFind(lanes: readonly number[], bits: readonly number[]): Find {
  return (store, key) => {
    const words = lanes.map((lane, i) => key[lane]! & bits[i]!);
    const hash = words.reduce(step, 0);
    for (let e = store.buckets[hash & store.bucketMask]!; e >= 0; e = store.next[e]!) {
      if (words.every((word, i) => store.slab[e * lanes.length + i] === word)) return store.flows[e]!;
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
  readonly #find: Find;
  readonly #store: Store;
  readonly #entryOf = new Map<number, number>();
  readonly #free: number[] = [];
  #entries = 0;

  constructor(mask: FlowMask, make: (lanes: readonly number[], bits: readonly number[]) => Find = makeFind) {
    this.name = maskName(mask);
    this.#lanes = significant(mask);
    this.#bits = this.#lanes.map((lane) => mask[lane]!);
    this.#find = make(this.#lanes, this.#bits);
    this.#store = {
      buckets: new Int32Array(16).fill(NONE),
      bucketMask: 15,
      slab: new Int32Array(16 * this.#lanes.length),
      next: new Int32Array(16),
      flows: new Int32Array(16),
    };
  }

  /** The slot of the flow whose masked key this is, or -1. */
  find(key: FlowKey): number {
    return this.#find(this.#store, key);
  }

  /** Adds a flow's slot. Gives the slot of the flow that had the same masked key, now displaced, or -1. */
  insert(key: FlowKey, slot: number): number {
    const displaced = this.find(key);
    if (displaced !== NONE) {
      const entry = this.#entryOf.get(displaced)!;
      this.#entryOf.delete(displaced);
      this.#entryOf.set(slot, entry);
      this.#store.flows[entry] = slot;
      return displaced;
    }
    const entry = this.#free.pop() ?? this.#entries++;
    const store = this.#store;
    if (entry === store.next.length) this.#grow();
    const width = this.#lanes.length;
    for (let i = 0; i < width; i++) store.slab[entry * width + i] = key[this.#lanes[i]!]! & this.#bits[i]!;
    store.flows[entry] = slot;
    this.#entryOf.set(slot, entry);
    this.#link(entry);
    this.count++;
    return NONE;
  }

  remove(slot: number): void {
    const entry = this.#entryOf.get(slot);
    if (entry === undefined) return;
    this.#entryOf.delete(slot);
    const store = this.#store;
    const bucket = this.#hash(entry) & store.bucketMask;
    if (store.buckets[bucket] === entry) store.buckets[bucket] = store.next[entry]!;
    else {
      let before = store.buckets[bucket]!;
      while (store.next[before] !== entry) before = store.next[before]!;
      store.next[before] = store.next[entry]!;
    }
    this.#free.push(entry);
    this.count--;
  }

  #hash(entry: number): number {
    const width = this.#lanes.length;
    let hash = 0;
    for (let i = 0; i < width; i++) hash = step(hash, this.#store.slab[entry * width + i]!);
    return hash;
  }

  #link(entry: number): void {
    const store = this.#store;
    const bucket = this.#hash(entry) & store.bucketMask;
    store.next[entry] = store.buckets[bucket]!;
    store.buckets[bucket] = entry;
  }

  #grow(): void {
    const store = this.#store;
    const size = store.next.length * 2;
    const grown = (from: Int32Array, length: number): Int32Array => {
      const to = new Int32Array(length);
      to.set(from);
      return to;
    };
    store.slab = grown(store.slab, size * this.#lanes.length);
    store.next = grown(store.next, size);
    store.flows = grown(store.flows, size);
    store.buckets = new Int32Array(size * 2).fill(NONE);
    store.bucketMask = size * 2 - 1;
    for (const entry of this.#entryOf.values()) this.#link(entry);
  }
}
