// Hot path. Nothing is allocated, nothing throws.

import type { FlowKey } from "../../../flow/flow-key.js";
import { LANES_IPV4 } from "../../../flow/lanes.js";
import type { Megaflows } from "./megaflow.js";

/** Words of an entry: the key's hash, the flow's slot and its generation, then the key. */
const HASH = 0;
const SLOT = 1;
const GENERATION = 2;
const KEY = 3;
/** Of the keys whose places are both taken, one in 32 gets one all the same. */
const TURN_MASK = 31;

/** The exact-match cache: which megaflow a whole key led to, in a fixed number of places. A key has two that it may
 *  be in; when both are taken one of them changes hands now and then. An entry is true as long as its flow's generation
 *  is the one it was made with: nothing has to be flushed.
 *
 *  An entry lies together, so that one for an IPv4 packet (12 lanes) is one line of the processor's cache. */
export class Emc {
  readonly #mask: number;
  readonly #stride: number;
  readonly #entries: Int32Array;
  #turn = 0;

  /** `size`: places, a power of two. `stride`: words of an entry; its keys have at most 3 lanes less. */
  constructor(size: number, stride: number) {
    this.#mask = size - 1;
    this.#stride = stride;
    this.#entries = new Int32Array(size * stride);
    for (let at = SLOT; at < this.#entries.length; at += stride) this.#entries[at] = -1;
  }

  /** The slot of the flow that the key (its first `lanes` lanes, LANES_IPV4 at least, the others 0) led to, or -1. */
  lookup(key: FlowKey, lanes: number, hash: number, flows: Megaflows): number {
    let at = (hash & this.#mask) * this.#stride;
    if (this.#entries[at] !== hash || !this.#same(at, key, lanes)) {
      at = ((hash >>> 16) & this.#mask) * this.#stride;
      if (this.#entries[at] !== hash || !this.#same(at, key, lanes)) return -1;
    }
    const slot = this.#entries[at + SLOT]!;
    if (slot < 0 || flows.generation(slot) !== this.#entries[at + GENERATION]) return -1;
    return slot;
  }

  /** Remembers where the key led. */
  insert(key: FlowKey, lanes: number, hash: number, slot: number, flows: Megaflows): void {
    const first = (hash & this.#mask) * this.#stride;
    const second = ((hash >>> 16) & this.#mask) * this.#stride;
    const entries = this.#entries;
    let at = first;
    if (entries[first] === hash && this.#same(first, key, lanes)) at = first;
    else if (entries[second] === hash && this.#same(second, key, lanes)) at = second;
    else if (entries[first + SLOT]! >= 0) {
      at = second;
      if (entries[second + SLOT]! >= 0) {
        // More keys than places would only chase each other away.
        this.#turn = (this.#turn + 1) & (2 * TURN_MASK + 1);
        if ((this.#turn & TURN_MASK) !== 0) return;
        if (this.#turn !== 0) at = first;
      }
    }
    entries[at + HASH] = hash;
    entries[at + SLOT] = slot;
    entries[at + GENERATION] = flows.generation(slot);
    for (let i = 0; i < lanes; i++) entries[at + KEY + i] = key[i]!;
    for (let i = KEY + lanes; i < this.#stride; i++) entries[at + i] = 0;
  }

  // eth_type is among the first lanes and decides how many are in use, so equal lanes mean equal keys.
  #same(at: number, key: FlowKey, lanes: number): boolean {
    const entries = this.#entries;
    const base = at + KEY;
    // Most keys have these, and a loop costs more than what it does. The lanes that differ most come first.
    if (
      entries[base + 10] !== (key[10]! | 0) ||
      entries[base + 9] !== (key[9]! | 0) ||
      entries[base + 11] !== (key[11]! | 0) ||
      entries[base] !== (key[0]! | 0) ||
      entries[base + 1] !== (key[1]! | 0) ||
      entries[base + 2] !== (key[2]! | 0) ||
      entries[base + 3] !== (key[3]! | 0) ||
      entries[base + 4] !== (key[4]! | 0) ||
      entries[base + 5] !== (key[5]! | 0) ||
      entries[base + 6] !== (key[6]! | 0) ||
      entries[base + 7] !== (key[7]! | 0) ||
      entries[base + 8] !== (key[8]! | 0)
    )
      return false;
    for (let i = LANES_IPV4; i < lanes; i++) if (entries[base + i] !== (key[i]! | 0)) return false;
    return true;
  }
}

/** Packets after which the cache is judged. */
const WINDOW = 1024;
/** Of each eight packets it has to know seven to be worth asking. */
const WORTH = 7 / 8;
/** One window in as many it is asked when it was not worth it. */
const TRIAL = 16;

/** Whether the exact-match cache is asked. What it does not know costs more than it spares, for the signature-match cache
 *  after it is nearly as fast. */
export class EmcUse {
  isAsked = true;
  #packets = 0;
  #hits = 0;
  #windows = 0;

  /** So many packets were looked up, and so many found in the exact-match cache, if it was asked. */
  tell(packets: number, hits: number): void {
    this.#packets += packets;
    this.#hits += hits;
    if (this.#packets < WINDOW) return;
    this.#windows = (this.#windows + 1) & (TRIAL - 1);
    this.isAsked = this.#windows === 0 || this.#hits >= WORTH * this.#packets;
    this.#packets = 0;
    this.#hits = 0;
  }
}

const FACTOR_A = 0x9e37_79b1 | 0;
const FACTOR_B = 0x85eb_ca6b | 0;

/** The hash of a key whose lanes from `lanes` on are 0. Two chains, so that the processor works on both at a time. */
export function hashKey(key: FlowKey, lanes: number): number {
  // Unrolled, for the lanes that all have.
  let a = Math.imul(key[0]! ^ key[2]!, FACTOR_A);
  let b = Math.imul(key[1]! ^ key[3]!, FACTOR_B);
  a = Math.imul(a ^ (a >>> 15) ^ key[4]!, FACTOR_A);
  b = Math.imul(b ^ (b >>> 13) ^ key[5]!, FACTOR_B);
  a = Math.imul(a ^ (a >>> 15) ^ key[6]!, FACTOR_A);
  b = Math.imul(b ^ (b >>> 13) ^ key[7]!, FACTOR_B);
  a = Math.imul(a ^ (a >>> 15) ^ key[8]!, FACTOR_A);
  b = Math.imul(b ^ (b >>> 13) ^ key[9]!, FACTOR_B);
  a = Math.imul(a ^ (a >>> 15) ^ key[10]!, FACTOR_A);
  b = Math.imul(b ^ (b >>> 13) ^ key[11]!, FACTOR_B);
  a ^= a >>> 15;
  b ^= b >>> 13;
  let i = LANES_IPV4;
  for (; i + 1 < lanes; i += 2) {
    a = Math.imul(a ^ key[i]!, FACTOR_A);
    b = Math.imul(b ^ key[i + 1]!, FACTOR_B);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  if (i < lanes) a = Math.imul(a ^ key[i]!, FACTOR_A);
  const h = Math.imul(a ^ (a >>> 15) ^ ((b << 16) | (b >>> 16)), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
