// Hot path. `find` and `same` run per lookup: typed arrays only, nothing is allocated.
import { grown } from "../flow/grown.js";
import type { Conjunction } from "./conjunction.js";
import { HashCounts } from "./hash-counts.js";
import type { LaneValues } from "./lane-values.js";

/** What the classifier keeps in a rule: where it is. A rule is in at most one classifier. */
export interface Classified {
  readonly priority: number;
  /** What it is a part of; undefined for a rule that stands for itself. */
  readonly conjunctions: readonly Conjunction[] | undefined;
  /** Set while the rule is in a classifier. */
  subtable: Subtable<Classified> | undefined;
  slot: number;
}

/** Which bits of a flow decisions have depended on. */
export interface Wildcards {
  /** Bits of the packet's flow that a decision has depended on. */
  mask: Uint32Array;
  /** Bits whose value in the flow does not depend on the packet, given `mask`. */
  fixed: Uint32Array;
}

/** The first `end` lanes of a subtable, and how many rules there are for each hash of them. */
interface Stage {
  readonly end: number;
  readonly counts: HashCounts;
}

const NONE = -1;

const mix = (hash: number, word: number): number => {
  const h = Math.imul(hash ^ word, 0x9e37_79b1);
  return h ^ (h >>> 15);
};

/** The first `count` (1 to 32) bits. */
const leadingOnes = (count: number): number => -1 << (32 - count);

function popCount(word: number): number {
  let n = word - ((word >>> 1) & 0x5555_5555);
  n = (n & 0x3333_3333) + ((n >>> 2) & 0x3333_3333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** Numbers of the lanes of `mask` that are not zero. */
export function significantLanes(mask: Uint32Array): number[] {
  const lanes: number[] = [];
  for (let lane = 0; lane < mask.length; lane++) if (mask[lane] !== 0) lanes.push(lane);
  return lanes;
}

/** A number for `mask`, equal for equal masks. */
export function hashMask(mask: Uint32Array): number {
  let hash = 0;
  for (let lane = 0; lane < mask.length; lane++)
    if (mask[lane] !== 0) hash = mix(mix(hash, lane), mask[lane]!);
  return hash >>> 2;
}

/** The rules of one mask, in a hash table on the masked key.
 *
 *  A rule's masked key lies in a slab with only the significant lanes, `width` words a slot, so that a rule costs
 *  few bytes and a comparison touches little memory. Rules of one hash bucket form a list by falling priority:
 *  the first that is equal is the best.
 *
 *  **Un-wildcarding.** A packet that no rule here matches need not be looked at whole to know it. Where no rule has
 *  the packet's value in some lane, the leading bits that tell it from all of theirs are enough (`LaneTree`): of such
 *  lanes the one is taken that adds the fewest bits to those looked at before, so that a table of prefixes and ports
 *  does not become a megaflow for each connection. Where each value occurs, but not together: lanes are ordered by
 *  stage (the switch's own fields, Ethernet, IP, ports), and when no rule has a packet's values in the first stages,
 *  the rest of the packet stays wildcarded. */
export class Subtable<R extends Classified> {
  readonly mask: Uint32Array;
  /** The significant lanes and their masks. */
  readonly lanes: Uint16Array;
  readonly bits: Uint32Array;
  readonly width: number;
  /** No rule here has a higher priority. */
  maxPriority = -1;
  count = 0;

  #keys: Uint32Array;
  #hashes: Uint32Array;
  /** The rules' priorities, here too: a walk along a bucket touches no rule. */
  #ranks: Int32Array;
  /** Next slot of the same bucket, or of the free list. */
  #next: Int32Array;
  #buckets: Int32Array;
  #rules: (R | undefined)[] = [];
  #free = NONE;
  readonly #priorities = new Map<number, number>();
  /** All but the last, which is the whole. */
  readonly #stages: readonly Stage[];
  /** The rules' values in each of `lanes`, with those of other subtables, and this one's numbers there. */
  readonly #values: readonly LaneValues[];
  readonly #members: readonly number[];

  /** `valuesOf`: of a lane under a mask. */
  constructor(
    mask: Uint32Array,
    stageOf: (lane: number) => number,
    valuesOf: (lane: number, bits: number) => LaneValues,
  ) {
    this.mask = mask.slice();
    const lanes = significantLanes(mask).sort((a, b) => stageOf(a) - stageOf(b) || a - b);
    this.lanes = Uint16Array.from(lanes);
    this.width = this.lanes.length;
    this.#stages = lanes.flatMap((lane, i) =>
      i > 0 && stageOf(lane) !== stageOf(lanes[i - 1]!) ? [{ end: i, counts: new HashCounts() }] : [],
    );
    this.bits = Uint32Array.from(this.lanes, (lane) => mask[lane]!);
    this.#values = lanes.map((lane) => valuesOf(lane, mask[lane]!));
    this.#members = this.#values.map((values) => values.join());
    this.#keys = new Uint32Array(4 * this.width);
    this.#hashes = new Uint32Array(4);
    this.#ranks = new Int32Array(4);
    this.#next = new Int32Array(4);
    this.#buckets = new Int32Array(4).fill(NONE);
  }

  hash(key: Uint32Array): number {
    const { lanes, bits, width } = this;
    let hash = 0;
    for (let i = 0; i < width; i++) hash = mix(hash, key[lanes[i]!]! & bits[i]!);
    return hash >>> 0;
  }

  /** Lets go of the lanes' values, which other subtables share; it has no rules any more. */
  leave(gone: (values: LaneValues) => void): void {
    this.#values.forEach((values, i) => {
      values.leave(this.#members[i]!);
      if (values.isEmpty) gone(values);
    });
  }

  /** The best rule that matches `key`; notes in `wildcards` what that depended on. `lookup`: a number for the lookup of
   *  this key. */
  search(key: Uint32Array, wildcards: Wildcards, lookup: number): R | undefined {
    if (this.#isKnownMiss(key, wildcards.fixed, lookup) || this.#lookAtLane(key, wildcards, lookup))
      return undefined;
    const rule = this.find(key);
    this.#look(rule === undefined ? this.#stagesNeeded(key) : this.width, wildcards);
    return rule;
  }

  /** Whether what has been looked at so far shows that no rule matches: most subtables of a long list end here. */
  #isKnownMiss(key: Uint32Array, fixed: Uint32Array, lookup: number): boolean {
    const { lanes, bits, width } = this;
    for (let i = 0; i < width; i++) {
      const looked = fixed[lanes[i]!]! & bits[i]!;
      if (looked === 0) continue;
      const leading = this.#values[i]!.leading(this.#members[i]!, key, lookup);
      if (leading !== 0 && (bits[i]! & leadingOnes(leading) & ~looked) === 0) return true;
    }
    return false;
  }

  /** Notes the bits of the one lane that tell the packet from every rule; false when there is no such lane. */
  #lookAtLane(key: Uint32Array, { mask, fixed }: Wildcards, lookup: number): boolean {
    const { lanes, bits, width } = this;
    let best = NONE;
    let bestBits = 0;
    let bestCount = 33;
    for (let i = 0; i < width; i++) {
      const lane = lanes[i]!;
      const leading = this.#values[i]!.leading(this.#members[i]!, key, lookup);
      if (leading === 0) continue;
      const count = popCount(bits[i]! & leadingOnes(leading) & ~fixed[lane]!);
      if (count >= bestCount) continue;
      // Rounded up, so that masks stay few.
      best = lane;
      bestBits = bits[i]! & leadingOnes((leading + 3) & ~3);
      bestCount = count;
    }
    if (best === NONE) return false;
    mask[best]! |= bestBits & ~fixed[best]!;
    fixed[best]! |= bestBits;
    return true;
  }

  /** How many lanes it takes to know that no rule has these values together. */
  #stagesNeeded(key: Uint32Array): number {
    const { lanes, bits, width } = this;
    let hash = 0;
    let i = 0;
    for (const { end, counts } of this.#stages) {
      for (; i < end; i++) hash = mix(hash, key[lanes[i]!]! & bits[i]!);
      if (!counts.has(hash)) return end;
    }
    return width;
  }

  #look(end: number, { mask, fixed }: Wildcards): void {
    for (let i = 0; i < end; i++) {
      const lane = this.lanes[i]!;
      mask[lane]! |= this.bits[i]! & ~fixed[lane]!;
      fixed[lane]! |= this.bits[i]!;
    }
  }

  /** The best rule that matches `key`. */
  find(key: Uint32Array): R | undefined {
    return this.#probe(this.hash(key), key);
  }

  #probe(hash: number, key: Uint32Array): R | undefined {
    let slot = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (slot !== NONE) {
      if (this.#hashes[slot] === hash && this.#same(slot, key)) return this.#rules[slot];
      slot = this.#next[slot]!;
    }
    return undefined;
  }

  /** The best rule after `rule` that has the key that `rule` has. */
  after(rule: R): R | undefined {
    const { width } = this;
    const keys = this.#keys;
    const { slot } = rule;
    for (let next = this.#next[slot]!; next !== NONE; next = this.#next[next]!) {
      if (this.#hashes[next] !== this.#hashes[slot]) continue;
      let i = 0;
      while (i < width && keys[next * width + i] === keys[slot * width + i]) i++;
      if (i === width) return this.#rules[next];
    }
    return undefined;
  }

  /** Every rule with this very key, by falling priority. */
  *findAll(key: Uint32Array): IterableIterator<R> {
    const hash = this.hash(key);
    let slot = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (slot !== NONE) {
      const next = this.#next[slot]!;
      if (this.#hashes[slot] === hash && this.#same(slot, key)) yield this.#rules[slot]!;
      slot = next;
    }
  }

  /** The rule with this very key and priority. */
  findExactly(key: Uint32Array, priority: number): R | undefined {
    const hash = this.hash(key);
    let slot = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (slot !== NONE) {
      if (this.#hashes[slot] === hash && this.#ranks[slot] === priority && this.#same(slot, key))
        return this.#rules[slot];
      slot = this.#next[slot]!;
    }
    return undefined;
  }

  #same(slot: number, key: Uint32Array): boolean {
    const { lanes, bits, width } = this;
    const keys = this.#keys;
    const base = slot * width;
    for (let i = 0; i < width; i++) {
      if (keys[base + i] !== (key[lanes[i]!]! & bits[i]!) >>> 0) return false;
    }
    return true;
  }

  insert(rule: R, key: Uint32Array): void {
    const slot = this.#allocate();
    const { lanes, bits, width } = this;
    for (let i = 0; i < width; i++) this.#keys[slot * width + i] = key[lanes[i]!]! & bits[i]!;
    this.#hashes[slot] = this.hash(key);
    this.#ranks[slot] = rule.priority;
    this.#rules[slot] = rule;
    rule.subtable = this as unknown as Subtable<Classified>;
    rule.slot = slot;
    this.count++;
    this.#countStages(slot, 1);
    for (let i = 0; i < width; i++) this.#values[i]!.add(this.#members[i]!, this.#keys[slot * width + i]!);
    if (this.count > this.#buckets.length) this.#rehash();
    else this.#link(slot);
    this.#priorities.set(rule.priority, (this.#priorities.get(rule.priority) ?? 0) + 1);
    if (rule.priority > this.maxPriority) this.maxPriority = rule.priority;
  }

  remove(rule: R): void {
    const slot = rule.slot;
    this.#countStages(slot, -1);
    for (let i = 0; i < this.width; i++)
      this.#values[i]!.remove(this.#members[i]!, this.#keys[slot * this.width + i]!);
    const bucket = this.#hashes[slot]! & (this.#buckets.length - 1);
    let at = this.#buckets[bucket]!;
    if (at === slot) this.#buckets[bucket] = this.#next[slot]!;
    else {
      while (this.#next[at] !== slot) at = this.#next[at]!;
      this.#next[at] = this.#next[slot]!;
    }
    this.#rules[slot] = undefined;
    this.#next[slot] = this.#free;
    this.#free = slot;
    rule.subtable = undefined;
    rule.slot = NONE;
    this.count--;
    const left = this.#priorities.get(rule.priority)! - 1;
    if (left > 0) this.#priorities.set(rule.priority, left);
    else {
      this.#priorities.delete(rule.priority);
      if (rule.priority === this.maxPriority) this.maxPriority = this.#highest();
    }
  }

  /** Puts `rule` where `old` is; they have the same key and priority. */
  replace(old: R, rule: R): void {
    const slot = old.slot;
    this.#rules[slot] = rule;
    rule.subtable = this as unknown as Subtable<Classified>;
    rule.slot = slot;
    old.subtable = undefined;
    old.slot = NONE;
  }

  /** Writes the rule's masked key into `key`, whose other bits stay. */
  keyOf(rule: Classified, key: Uint32Array): Uint32Array {
    for (let i = 0; i < this.width; i++) {
      const lane = this.lanes[i]!;
      key[lane] = (key[lane]! & ~this.bits[i]!) | this.#keys[rule.slot * this.width + i]!;
    }
    return key;
  }

  /** Whether some packet may match both the rule and (key, mask). */
  overlaps(rule: Classified, key: Uint32Array, mask: Uint32Array): boolean {
    const base = rule.slot * this.width;
    for (let i = 0; i < this.width; i++) {
      const lane = this.lanes[i]!;
      if (((this.#keys[base + i]! ^ key[lane]!) & this.bits[i]! & mask[lane]!) !== 0) return false;
    }
    return true;
  }

  *[Symbol.iterator](): IterableIterator<R> {
    for (const rule of this.#rules) if (rule) yield rule;
  }

  every(passes: (rule: R) => boolean): boolean {
    for (const rule of this.#rules) if (rule !== undefined && !passes(rule)) return false;
    return true;
  }

  /** Lets go of every rule; the subtable is not used afterwards. */
  abandon(): void {
    for (const rule of this.#rules) {
      if (rule === undefined) continue;
      rule.subtable = undefined;
      rule.slot = NONE;
    }
  }

  has(priority: number): boolean {
    return this.#priorities.has(priority);
  }

  #highest(): number {
    let highest = -1;
    for (const priority of this.#priorities.keys()) if (priority > highest) highest = priority;
    return highest;
  }

  #countStages(slot: number, change: 1 | -1): void {
    let hash = 0;
    let i = 0;
    for (const { end, counts } of this.#stages) {
      for (; i < end; i++) hash = mix(hash, this.#keys[slot * this.width + i]!);
      if (change > 0) counts.add(hash);
      else counts.remove(hash);
    }
  }

  #allocate(): number {
    const slot = this.#free;
    if (slot !== NONE) {
      this.#free = this.#next[slot]!;
      return slot;
    }
    const fresh = this.#rules.length;
    if (fresh === this.#next.length) {
      const size = fresh * 2;
      this.#keys = grown(this.#keys, size * this.width);
      this.#hashes = grown(this.#hashes, size);
      this.#ranks = grown(this.#ranks, size);
      this.#next = grown(this.#next, size);
    }
    this.#rules.push(undefined);
    return fresh;
  }

  #link(slot: number): void {
    const bucket = this.#hashes[slot]! & (this.#buckets.length - 1);
    const priority = this.#ranks[slot]!;
    let before = NONE;
    let at = this.#buckets[bucket]!;
    while (at !== NONE && this.#ranks[at]! > priority) {
      before = at;
      at = this.#next[at]!;
    }
    this.#next[slot] = at;
    if (before === NONE) this.#buckets[bucket] = slot;
    else this.#next[before] = slot;
  }

  #rehash(): void {
    this.#buckets = new Int32Array(this.#buckets.length * 2).fill(NONE);
    for (let slot = 0; slot < this.#rules.length; slot++) if (this.#rules[slot]) this.#link(slot);
  }
}
