// Hot path. Nothing is allocated, nothing throws.

import type { FlowKey } from "../../flow/flow-key.js";
import { DP_LANES } from "../../flow/flow-key.js";
import { LANE_RECIRC_ID } from "../../flow/lanes.js";
import type { Megaflows } from "./megaflow.js";

/** Words a slot: the key's lanes, made a power of two. */
const STRIDE = 32;
/** Of the keys whose slots are both taken by live entries, one in 32 gets one all the same. */
const CONTENTION_MASK = 31;

/** The exact-match cache: which megaflow a whole key led to, in a fixed number of slots. A key has two slots that it
 *  may be in; one whose flow is gone makes room at once, others by turns and now and then. An entry is true as long as its
 *  flow's generation is the one it was made with: nothing has to be flushed. */
export class Emc {
  hits = 0;
  readonly #mask: number;
  readonly #keys: Uint32Array;
  readonly #hashes: Int32Array;
  readonly #slots: Int32Array;
  readonly #generations: Uint32Array;
  #turn = 0;

  /** `size`: slots, a power of two. */
  constructor(size: number) {
    this.#mask = size - 1;
    this.#keys = new Uint32Array(size * STRIDE);
    this.#hashes = new Int32Array(size);
    this.#slots = new Int32Array(size).fill(-1);
    this.#generations = new Uint32Array(size);
  }

  /** The slot of the flow that the key (its first `lanes` lanes, the others 0) led to, or -1. */
  lookup(key: FlowKey, lanes: number, hash: number, flows: Megaflows): number {
    let at = hash & this.#mask;
    if (this.#hashes[at] !== hash || !this.#same(at, key, lanes)) {
      at = (hash >>> 16) & this.#mask;
      if (this.#hashes[at] !== hash || !this.#same(at, key, lanes)) return -1;
    }
    const slot = this.#slots[at]!;
    if (slot < 0 || flows.generation(slot) !== this.#generations[at]) return -1;
    this.hits++;
    return slot;
  }

  /** Remembers where the key led. */
  insert(key: FlowKey, lanes: number, hash: number, slot: number, flows: Megaflows): void {
    const first = hash & this.#mask;
    const second = (hash >>> 16) & this.#mask;
    let at = first;
    if (this.#hashes[first] === hash && this.#same(first, key, lanes)) at = first;
    else if (this.#hashes[second] === hash && this.#same(second, key, lanes)) at = second;
    else if (this.#isLive(first, flows)) {
      at = second;
      // More keys than slots: entries would only chase each other away. One in a while changes hands.
      if (this.#isLive(second, flows)) {
        this.#turn++;
        if ((this.#turn & CONTENTION_MASK) !== 0) return;
        if ((this.#turn & (CONTENTION_MASK + 1)) !== 0) at = first;
      }
    }
    const base = at * STRIDE;
    for (let i = 0; i < DP_LANES; i++) this.#keys[base + i] = key[i]!;
    this.#hashes[at] = hash;
    this.#slots[at] = slot;
    this.#generations[at] = flows.generation(slot);
  }

  #isLive(at: number, flows: Megaflows): boolean {
    const slot = this.#slots[at]!;
    return slot >= 0 && flows.generation(slot) === this.#generations[at];
  }

  // eth_type is among the first lanes and decides how many are in use, so equal lanes mean equal keys.
  #same(at: number, key: FlowKey, lanes: number): boolean {
    const base = at * STRIDE;
    for (let i = 0; i < lanes; i++) if (this.#keys[base + i] !== key[i]) return false;
    return true;
  }
}

/** The hash of a key whose lanes from `lanes` on are 0. */
export function hashKey(key: FlowKey, lanes: number): number {
  let h = Math.imul(key[0]! ^ key[LANE_RECIRC_ID]!, 0x9e37_79b1);
  for (let i = 2; i < lanes; i++) {
    h = Math.imul(h ^ key[i]!, 0x9e37_79b1);
    h ^= h >>> 15;
  }
  return h;
}
