// Hot path: `matches`. Nothing is allocated, nothing throws.

import { DP_LANES, type FlowKey, type FlowMask } from "../../../flow/flow-key.js";
import { grown } from "../../../flow/grown.js";
import { LANES_IPV4 } from "../../../flow/lanes.js";

/** A flow's record is two lines of the processor's cache. The first is what is counted, as doubles, then words: */
export const COUNTS = 16;
export const PACKETS = 0;
export const BYTES = 1;
export const USED = 2;
export const ID = 3;
export const WORDS = 2 * COUNTS;
export const GENERATION = 8;
export const PROGRAM = 9;
export const TCP_FLAGS = 10;
/** Whether it is listed as having counts that have not been taken yet. */
export const LISTED = 11;
/** The mask's number, 0 when there is no flow that could be found; and the hash of the masked key. */
const MASK = 12;
const HASH = 13;
/** The second is its masked key, as far as IPv4 packets have it. (What the system gives begins 16 bytes behind the
 *  beginning of a line, so the two words before the key are on its line, not on that of the counts.) */
const KEY = 16;

/** Words of a mask: its lanes, then whether some of them are behind those of IPv4. */
const MASK_WORDS = 32;
const IS_WIDE = DP_LANES;
const FIRST_MASKS = 16;
/** Words of the rest of a key, for masks that have such lanes. */
const WIDE_WORDS = DP_LANES - LANES_IPV4;

/** What is kept of each megaflow, by its slot, and of each mask, by its number (from 1 on). Memory of slots is taken for
 *  twice as many when they are too few, in one go. */
export class FlowRecords {
  counts: Float64Array;
  /** The same memory. */
  words: Int32Array;
  slots: number;
  #masks = new Int32Array(FIRST_MASKS * MASK_WORDS);
  /** The rest of keys: where nothing is reserved, none before a mask looks there. */
  #wide: Int32Array;

  /** `isReserved`: all memory is taken now, for so many slots. The system gives it as it is touched. */
  constructor(slots: number, isReserved = false) {
    this.slots = slots;
    this.#wide = new Int32Array(isReserved ? slots * WIDE_WORDS : 0);
    this.words = new Int32Array(slots * WORDS);
    this.counts = new Float64Array(this.words.buffer);
  }

  grow(): void {
    this.slots *= 2;
    this.words = grown(this.words, this.slots * WORDS);
    this.counts = new Float64Array(this.words.buffer);
    if (this.#wide.length > 0) this.#growWide();
  }

  setMask(number: number, mask: FlowMask): void {
    const at = number * MASK_WORDS;
    if (at === this.#masks.length) this.#masks = grown(this.#masks, 2 * at);
    let isWide = 0;
    for (let lane = 0; lane < DP_LANES; lane++) {
      this.#masks[at + lane] = mask[lane]!;
      if (lane >= LANES_IPV4 && mask[lane] !== 0) isWide = 1;
    }
    this.#masks[at + IS_WIDE] = isWide;
    if (isWide && this.#wide.length === 0) this.#growWide();
  }

  /** Gives a slot a key, of which only the bits of the mask count, and its hash. */
  setKey(slot: number, key: FlowKey, number: number, hash: number): void {
    const masks = this.#masks;
    const mask = number * MASK_WORDS;
    const at = slot * WORDS;
    for (let lane = 0; lane < LANES_IPV4; lane++)
      this.words[at + KEY + lane] = key[lane]! & masks[mask + lane]!;
    this.words[at + MASK] = number;
    this.words[at + HASH] = hash;
    if (masks[mask + IS_WIDE] === 0) return;
    for (let i = 0; i < WIDE_WORDS; i++)
      this.#wide[slot * WIDE_WORDS + i] = key[LANES_IPV4 + i]! & masks[mask + LANES_IPV4 + i]!;
  }

  /** The flow in the slot is found no more. */
  clearKey(slot: number): void {
    this.words[slot * WORDS + MASK] = 0;
    this.words[slot * WORDS + GENERATION]!++;
  }

  maskOf(slot: number): number {
    return this.words[slot * WORDS + MASK]!;
  }

  hashOf(slot: number): number {
    return this.words[slot * WORDS + HASH]!;
  }

  /** Whether there is a flow in the slot that matches. */
  matches(slot: number, key: FlowKey): boolean {
    const { words } = this;
    const masks = this.#masks;
    const at = slot * WORDS + KEY;
    const mask = words[slot * WORDS + MASK]! * MASK_WORDS;
    if (mask === 0) return false;
    // All at once: who asks has compared a hash, so a branch for each lane would be for nothing.
    const differing =
      ((key[0]! & masks[mask]!) ^ words[at]!) |
      ((key[1]! & masks[mask + 1]!) ^ words[at + 1]!) |
      ((key[2]! & masks[mask + 2]!) ^ words[at + 2]!) |
      ((key[3]! & masks[mask + 3]!) ^ words[at + 3]!) |
      ((key[4]! & masks[mask + 4]!) ^ words[at + 4]!) |
      ((key[5]! & masks[mask + 5]!) ^ words[at + 5]!) |
      ((key[6]! & masks[mask + 6]!) ^ words[at + 6]!) |
      ((key[7]! & masks[mask + 7]!) ^ words[at + 7]!) |
      ((key[8]! & masks[mask + 8]!) ^ words[at + 8]!) |
      ((key[9]! & masks[mask + 9]!) ^ words[at + 9]!) |
      ((key[10]! & masks[mask + 10]!) ^ words[at + 10]!) |
      ((key[11]! & masks[mask + 11]!) ^ words[at + 11]!);
    return differing === 0 && (masks[mask + IS_WIDE] === 0 || this.#matchesWide(slot, key, mask));
  }

  /** Has the processor fetch what `matches` and counting read, and waits for nothing. What it gives has no meaning. */
  touch(slot: number): number {
    const at = slot * WORDS;
    return this.words[at + GENERATION]! ^ this.words[at + KEY]!;
  }

  #matchesWide(slot: number, key: FlowKey, mask: number): boolean {
    let differing = 0;
    for (let i = 0; i < WIDE_WORDS; i++) {
      const lane = LANES_IPV4 + i;
      differing |= (key[lane]! & this.#masks[mask + lane]!) ^ this.#wide[slot * WIDE_WORDS + i]!;
    }
    return differing === 0;
  }

  #growWide(): void {
    this.#wide = grown(this.#wide, this.slots * WIDE_WORDS);
  }
}
