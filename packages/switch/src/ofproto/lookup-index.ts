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
export interface Looked<T> {
  readonly owner: T;
  readonly table: XTable;
  /** The flow that was looked up, and the bits of it that every packet of the owner has. */
  readonly key: FlowKey;
  known: FlowMask;
  /** Of the rule found; -1: none. */
  readonly priority: number;
  /** Where the index has it. */
  group: Group<T> | undefined;
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
export class LookupIndex<T> {
  readonly #tables = new Map<XTable, Map<number, Group<T>[]>>();
  /** Of the lookup that came last: the next is likely to be of it, too. */
  #recent: Group<T> | undefined;

  add(looked: Looked<T>): void {
    const group = this.#groupOf(looked);
    // The masks of a group are one object.
    looked.known = group.known;
    looked.group = group;
    group.add(looked);
  }

  remove(looked: Looked<T>): void {
    const { group } = looked;
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

  #groupOf({ table, known }: Looked<T>): Group<T> {
    const recent = this.#recent;
    if (recent?.table === table && (recent.known === known || equalKeys(recent.known, known))) return recent;
    const groups = this.#tables.get(table) ?? new Map<number, Group<T>[]>();
    this.#tables.set(table, groups);
    const hash = hashLanes(known);
    const list = groups.get(hash) ?? [];
    groups.set(hash, list);
    let group = list.find((other) => equalKeys(other.known, known));
    if (!group) {
      group = new Group(table, known, hash);
      list.push(group);
    }
    this.#recent = group;
    return group;
  }

  /** Calls `found` with each owner that the change may concern, once for each of its lookups. */
  forEach(change: TableChange, found: (owner: T) => void): void {
    for (const list of this.#tables.get(change.table)?.values() ?? [])
      for (const group of list) group.forEach(change, found);
  }
}

/** Hash tables that a group keeps. */
const MAX_HASHES = 8;
const MAX_MASKS = 64;

interface Hashed<T> {
  /** The bits that are hashed. */
  readonly lanes: readonly number[];
  readonly bits: FlowMask;
  readonly byHash: Map<number, Set<Looked<T>>>;
}

/** Lookups of one table by the same known bits. */
export class Group<T> {
  readonly table: XTable;
  readonly known: FlowMask;
  /** Of `known`. */
  readonly hash: number;
  readonly #all = new Set<Looked<T>>();
  readonly #hashes: Hashed<T>[] = [];
  readonly #byMask = new Map<FlowMask, Hashed<T>>();

  constructor(table: XTable, known: FlowMask, hash: number) {
    this.table = table;
    this.known = known;
    this.hash = hash;
  }

  get size(): number {
    return this.#all.size;
  }

  add(looked: Looked<T>): void {
    this.#all.add(looked);
    for (const hashed of this.#hashes) insert(hashed, looked);
  }

  delete(looked: Looked<T>): void {
    this.#all.delete(looked);
    for (const hashed of this.#hashes) {
      const hash = hashOf(hashed, looked.key);
      const same = hashed.byHash.get(hash);
      same?.delete(looked);
      if (same?.size === 0) hashed.byHash.delete(hash);
    }
  }

  forEach({ key, mask, priority }: TableChange, found: (owner: T) => void): void {
    const hashed = this.#hashedBy(mask);
    const { lanes, bits } = hashed;
    const candidates = lanes.length === 0 ? this.#all : hashed.byHash.get(hashOf(hashed, key));
    if (candidates === undefined) return;
    for (const looked of candidates) {
      // A rule below the one found was not decisive, and is not now.
      if (priority < looked.priority) continue;
      if (lanes.every((lane) => ((looked.key[lane]! ^ key[lane]!) & bits[lane]!) === 0)) found(looked.owner);
    }
  }

  /** The hash table by the bits that a rule's mask has in common with what is known. */
  #hashedBy(mask: FlowMask): Hashed<T> {
    const known = this.#byMask.get(mask);
    if (known) return known;
    const bits = mask.map((lane, i) => lane & this.known[i]!);
    const hashed = this.#hashes.find((other) => equalKeys(other.bits, bits)) ?? this.#hashBy(bits);
    if (this.#byMask.size >= MAX_MASKS) this.#byMask.clear();
    this.#byMask.set(mask, hashed);
    return hashed;
  }

  #hashBy(bits: FlowMask): Hashed<T> {
    const hashed: Hashed<T> = { lanes: significant(bits), bits, byHash: new Map() };
    for (const looked of this.#all) insert(hashed, looked);
    if (this.#hashes.length >= MAX_HASHES) {
      this.#hashes.shift();
      this.#byMask.clear();
    }
    this.#hashes.push(hashed);
    return hashed;
  }
}

function insert<T>(hashed: Hashed<T>, looked: Looked<T>): void {
  if (hashed.lanes.length === 0) return;
  const hash = hashOf(hashed, looked.key);
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
