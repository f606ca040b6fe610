import { FLOW_LANES, type FlowKey, type FlowMask } from "../flow/flow-key.js";
import { equalKeys, hashLanes, hashStep } from "../flow/mask.js";
import type { XTable } from "./xlate/world.js";

/** A rule that came, went or changed: what a packet would have to look like to be concerned. */
export interface TableChange {
  readonly table: XTable;
  readonly key: FlowKey;
  /** Does not change: changes that have the very same one are found faster. */
  readonly mask: FlowMask;
  readonly priority: number;
}

/** A look into a table on somebody's behalf. */
export interface Looked {
  readonly table: XTable;
  /** The bits of the flow looked up that every packet of whom it was for has. */
  known: FlowMask;
  /** Of the rule found; -1: none. */
  readonly priority: number;
  /** Where the index has it: a group, and the place in it. */
  group: unknown;
  place: number;
}

/** # Lookup index
 *
 *  **What.** Who looked into a table, by what is known of the flow, so that a change of one rule finds those whom it
 *  may concern without going through all.
 *
 *  **Design.** Lookups of one table form a group for each mask of known bits; there are few such masks. A rule's mask
 *  has some bits in common with a group's: the group's lookups are hashed by these when they are first asked for, so
 *  that rules of the same shape cost one probe a group. A group keeps MAX_HASHES such tables and gives up the oldest;
 *  which of them is a mask's it remembers, up to MAX_MASKS.
 *
 *  **Invariants.** A lookup is in every hash table of its group. */
export class LookupIndex<L extends Looked> {
  readonly #keyOf: (looked: L) => FlowKey;
  readonly #tables = new Map<XTable, Map<number, Group<L>[]>>();
  /** Of the lookup that came last: the next is likely to be of it, too. */
  #recent: Group<L> | undefined;

  /** `keyOf`: the flow that was looked up; what it gives counts until it is asked again. */
  constructor(keyOf: (looked: L) => FlowKey) {
    this.#keyOf = keyOf;
  }

  add(looked: L): void {
    const group = this.#groupOf(looked);
    // The masks of a group are one object.
    looked.known = group.known;
    looked.group = group;
    group.add(looked);
  }

  remove(looked: L): void {
    const group = looked.group as Group<L> | undefined;
    if (!group) return;
    looked.group = undefined;
    group.delete(looked);
    if (group.size > 0) return;
    if (this.#recent === group) this.#recent = undefined;
    const groups = this.#tables.get(group.table)!;
    const list = groups.get(group.hash)!;
    if (list.length > 1) list.splice(list.indexOf(group), 1);
    else groups.delete(group.hash);
    if (groups.size === 0) this.#tables.delete(group.table);
  }

  #groupOf({ table, known }: L): Group<L> {
    const recent = this.#recent;
    if (recent?.table === table && (recent.known === known || equalKeys(recent.known, known))) return recent;
    const groups = this.#tables.get(table) ?? new Map<number, Group<L>[]>();
    this.#tables.set(table, groups);
    const hash = hashLanes(known);
    const list = groups.get(hash) ?? [];
    groups.set(hash, list);
    let group = list.find((other) => equalKeys(other.known, known));
    if (!group) {
      group = new Group(table, known, hash, this.#keyOf);
      list.push(group);
    }
    this.#recent = group;
    return group;
  }

  /** Calls `found` with each lookup that the change may concern. */
  forEach(change: TableChange, found: (looked: L) => void): void {
    for (const list of this.#tables.get(change.table)?.values() ?? [])
      for (const group of list) group.forEach(change, found);
  }
}

/** Hash tables that a group keeps. */
const MAX_HASHES = 8;
const MAX_MASKS = 64;

interface Hashed<L> {
  /** The bits that are hashed. */
  readonly lanes: readonly number[];
  readonly bits: FlowMask;
  readonly byHash: Map<number, Set<L>>;
}

/** Lookups of one table by the same known bits. */
class Group<L extends Looked> {
  readonly table: XTable;
  readonly known: FlowMask;
  /** Of `known`. */
  readonly hash: number;
  readonly #keyOf: (looked: L) => FlowKey;
  readonly #all: L[] = [];
  readonly #hashes: Hashed<L>[] = [];
  readonly #byMask = new Map<FlowMask, Hashed<L>>();

  constructor(table: XTable, known: FlowMask, hash: number, keyOf: (looked: L) => FlowKey) {
    this.table = table;
    this.known = known;
    this.hash = hash;
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#all.length;
  }

  add(looked: L): void {
    looked.place = this.#all.length;
    this.#all.push(looked);
    for (const hashed of this.#hashes) insert(hashed, looked, this.#keyOf(looked));
  }

  delete(looked: L): void {
    // The last takes its place.
    const last = this.#all.pop()!;
    if (last !== looked) {
      this.#all[looked.place] = last;
      last.place = looked.place;
    }
    for (const hashed of this.#hashes) {
      const hash = hashOf(hashed, this.#keyOf(looked));
      const same = hashed.byHash.get(hash);
      same?.delete(looked);
      if (same?.size === 0) hashed.byHash.delete(hash);
    }
  }

  forEach({ key, mask, priority }: TableChange, found: (looked: L) => void): void {
    const hashed = this.#hashedBy(mask);
    const { lanes, bits } = hashed;
    const candidates = lanes.length === 0 ? this.#all : hashed.byHash.get(hashOf(hashed, key));
    if (candidates === undefined) return;
    for (const looked of candidates) {
      // A rule below the one found was not decisive, and is not now.
      if (priority < looked.priority) continue;
      if (lanes.length > 0) {
        const own = this.#keyOf(looked);
        if (!lanes.every((lane) => ((own[lane]! ^ key[lane]!) & bits[lane]!) === 0)) continue;
      }
      found(looked);
    }
  }

  /** The hash table by the bits that a rule's mask has in common with what is known. */
  #hashedBy(mask: FlowMask): Hashed<L> {
    const known = this.#byMask.get(mask);
    if (known) return known;
    const bits = mask.map((lane, i) => lane & this.known[i]!);
    const hashed = this.#hashes.find((other) => equalKeys(other.bits, bits)) ?? this.#hashBy(bits);
    if (this.#byMask.size >= MAX_MASKS) this.#byMask.clear();
    this.#byMask.set(mask, hashed);
    return hashed;
  }

  #hashBy(bits: FlowMask): Hashed<L> {
    const hashed: Hashed<L> = { lanes: significant(bits), bits, byHash: new Map() };
    for (const looked of this.#all) insert(hashed, looked, this.#keyOf(looked));
    if (this.#hashes.length >= MAX_HASHES) {
      this.#hashes.shift();
      this.#byMask.clear();
    }
    this.#hashes.push(hashed);
    return hashed;
  }
}

function insert<L>(hashed: Hashed<L>, looked: L, key: FlowKey): void {
  if (hashed.lanes.length === 0) return;
  const hash = hashOf(hashed, key);
  const same = hashed.byHash.get(hash);
  if (same) same.add(looked);
  else hashed.byHash.set(hash, new Set([looked]));
}

function hashOf(hashed: Hashed<unknown>, key: FlowKey): number {
  let hash = 0;
  for (const lane of hashed.lanes) hash = hashStep(hash, key[lane]! & hashed.bits[lane]!);
  return hash >>> 2;
}

function significant(bits: FlowMask): number[] {
  const lanes: number[] = [];
  for (let lane = 0; lane < FLOW_LANES; lane++) if (bits[lane] !== 0) lanes.push(lane);
  return lanes;
}
