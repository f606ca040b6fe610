// Hot path: `find`. Nothing is allocated, nothing throws.

import { DP_LANES, type FlowKey, type FlowMask } from "../../../flow/flow-key.js";
import type { FlowRecords } from "./flow-records.js";
import { MaskTable } from "./mask-table.js";

const NONE = -1;
/** Searches after which the masks are put in the order of their use. */
const RESORT_AFTER = 8192;

const FACTORS = Int32Array.from({ length: DP_LANES }, (_, lane) => Math.imul(0x9e37_79b1, 2 * lane + 1));
const LAST_FACTOR = 0x85eb_ca6b | 0;

/** What a lane's masked word contributes to the hash of its key: nothing when it is 0. */
const mix = (word: number, factor: number): number => Math.imul(word ^ (word >>> 15), factor);

function finish(sum: number): number {
  const h = Math.imul(sum ^ (sum >>> 16), LAST_FACTOR);
  return h ^ (h >>> 15);
}

function hashMasked(key: FlowKey, mask: FlowMask): number {
  let sum = 0;
  for (let lane = 0; lane < DP_LANES; lane++) sum ^= mix(key[lane]! & mask[lane]!, FACTORS[lane]!);
  return finish(sum);
}

/** Whether two masks have the same bits. */
function sameMask(a: FlowMask, b: FlowMask): boolean {
  for (let lane = 0; lane < DP_LANES; lane++) if (a[lane] !== b[lane]) return false;
  return true;
}

/** # The masks, a hash table of megaflows each
 *
 *  A packet's hash is needed for each mask that is tried. It is the sum of what the lanes contribute, and most masks
 *  have the same bits of most lanes: what a lane with some bits of it contributes (a *term*) is found out once for a
 *  packet, whatever the number of masks. Terms that all masks have are summed up before the first is tried.
 *
 *  All of this is data in a few lists, for a loop that is the same for all masks and so is compiled but once. */
export class TupleSpace {
  /** Searches; the tables that they looked into; and those of them that were looked into in searches that found a flow. */
  lookups = 0;
  probes = 0;
  hitProbes = 0;
  /** In the last search: tables without the flow. */
  tried = 0;
  readonly #records: FlowRecords;
  /** By the masks' numbers. */
  readonly #tables: (MaskTable | undefined)[] = [undefined];
  readonly #freeNumbers: number[] = [];
  #order: MaskTable[] = [];
  /** Of the last flow that was put in: the next is likely to have the same mask. */
  #recent: MaskTable | undefined;
  #untilResort = RESORT_AFTER;

  /** Whether the lists below are of the masks as they are, in their order. */
  #isFresh = true;
  /** Lane, bits and factor of each term: the common ones, then the others in the order of their first use. */
  #lanes = new Int32Array(0);
  #bits = new Int32Array(0);
  #factors = new Int32Array(0);
  #common = 0;
  /** What the present packet has of each. */
  #values = new Int32Array(0);
  /** The terms of each table but for the common ones, one table's after the other's; where each table's end; and how
   *  many of all terms are in use up to there. */
  #terms = new Int32Array(0);
  #ends = new Int32Array(0);
  #needs = new Int32Array(0);

  constructor(records: FlowRecords) {
    this.#records = records;
  }

  get masks(): number {
    return this.#order.length;
  }

  /** Adds the flow of a slot, and gives it its key. Gives the slot of the flow that had the same masked key, which is not
   *  found any more, or -1. */
  insert(slot: number, key: FlowKey, mask: FlowMask): number {
    const table = this.#tableOf(mask);
    const records = this.#records;
    const hash = hashMasked(key, mask);
    const displaced = table.find(hash, key, records);
    if (displaced === NONE) table.insert(slot, hash);
    else {
      table.exchange(displaced, slot, hash);
      records.clearKey(displaced);
    }
    records.setKey(slot, key, table.number, hash);
    return displaced;
  }

  remove(slot: number): void {
    const records = this.#records;
    const table = this.#tables[records.maskOf(slot)];
    if (!table) return;
    table.remove(slot, records.hashOf(slot));
    records.clearKey(slot);
    if (table.count === 0) this.#drop(table);
  }

  /** The slot of a flow that matches, or -1. */
  find(key: FlowKey): number {
    this.lookups++;
    if (--this.#untilResort === 0) this.#resort();
    if (!this.#isFresh) this.#list();
    const order = this.#order;
    const lanes = this.#lanes;
    const bits = this.#bits;
    const factors = this.#factors;
    const values = this.#values;
    const terms = this.#terms;
    const ends = this.#ends;
    const needs = this.#needs;
    let base = 0;
    let known = 0;
    for (; known < this.#common; known++) base ^= mix(key[lanes[known]!]! & bits[known]!, factors[known]!);
    let at = 0;
    for (let i = 0; i < order.length; i++) {
      for (const need = needs[i]!; known < need; known++)
        values[known] = mix(key[lanes[known]!]! & bits[known]!, factors[known]!);
      let sum = base;
      for (const end = ends[i]!; at < end; at++) sum ^= values[terms[at]!]!;
      const hash = finish(sum);
      const table = order[i]!;
      if (!table.mayHave(hash)) continue;
      const slot = table.find(hash, key, this.#records);
      if (slot >= 0) {
        table.hits++;
        this.probes += i + 1;
        this.hitProbes += i + 1;
        this.tried = i;
        return slot;
      }
    }
    this.probes += order.length;
    return NONE;
  }

  #tableOf(mask: FlowMask): MaskTable {
    if (this.#recent !== undefined && sameMask(this.#recent.mask, mask)) return this.#recent;
    let table = this.#order.find((other) => sameMask(other.mask, mask));
    if (!table) {
      const number = this.#freeNumbers.pop() ?? this.#tables.length;
      table = new MaskTable(number, mask);
      this.#tables[number] = table;
      this.#records.setMask(number, mask);
      this.#order.push(table);
      this.#isFresh = false;
    }
    this.#recent = table;
    return table;
  }

  #drop(table: MaskTable): void {
    this.#tables[table.number] = undefined;
    this.#freeNumbers.push(table.number);
    this.#order = this.#order.filter((other) => other !== table);
    this.#isFresh = false;
    if (this.#recent === table) this.#recent = undefined;
  }

  #resort(): void {
    this.#untilResort = RESORT_AFTER;
    this.#order.sort((a, b) => b.hits - a.hits);
    for (const table of this.#order) table.hits >>>= 1;
    this.#isFresh = false;
  }

  #list(): void {
    this.#isFresh = true;
    const order = this.#order;
    const termsOf = termsOfMasks(order.map(({ mask }) => mask));
    const all = [...new Set(termsOf.flat())];
    const common = all.filter(({ users }) => users === order.length);
    const listed = [...common, ...all.filter(({ users }) => users < order.length)];
    listed.forEach((term, index) => {
      term.index = index;
    });
    this.#common = common.length;
    this.#lanes = Int32Array.from(listed, ({ lane }) => lane);
    this.#bits = Int32Array.from(listed, ({ bits }) => bits);
    this.#factors = Int32Array.from(listed, ({ lane }) => FACTORS[lane]!);
    this.#values = new Int32Array(listed.length);
    const terms: number[] = [];
    const ends: number[] = [];
    const needs: number[] = [];
    let need = common.length;
    for (const own of termsOf) {
      for (const { index } of own) {
        if (index < common.length) continue;
        terms.push(index);
        need = Math.max(need, index + 1);
      }
      ends.push(terms.length);
      needs.push(need);
    }
    this.#terms = Int32Array.from(terms);
    this.#ends = Int32Array.from(ends);
    this.#needs = Int32Array.from(needs);
  }
}

/** A lane with some bits of it; how many masks have it; and its place in the lists. */
interface Term {
  readonly lane: number;
  readonly bits: number;
  users: number;
  index: number;
}

/** The terms of each mask: the same object where they are the same. */
function termsOfMasks(masks: readonly FlowMask[]): Term[][] {
  const known = new Map<number, Term>();
  return masks.map((mask) => {
    const terms: Term[] = [];
    for (let lane = 0; lane < DP_LANES; lane++) {
      const bits = mask[lane]!;
      if (bits === 0) continue;
      const name = lane * 2 ** 32 + bits;
      const term = known.get(name) ?? { lane, bits, users: 0, index: 0 };
      known.set(name, term);
      term.users++;
      terms.push(term);
    }
    return terms;
  });
}
