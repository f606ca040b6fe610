import { FLOW_LANES, type FlowKey, type FlowMask } from "../flow/flow-key.js";
import { grown } from "../flow/grown.js";
import { equalKeys, hashLanes, hashStep } from "../flow/mask.js";
import type { TableLookup } from "./xlate/context.js";
import type { XTable } from "./xlate/world.js";

/** A rule that came, went or changed: what a packet would have to look like to be concerned. */
export interface TableChange {
  readonly table: XTable;
  readonly key: FlowKey;
  /** Does not change: changes that have the very same one are found faster. */
  readonly mask: FlowMask;
  readonly priority: number;
}

/** No lookup. */
export const NO_LOOKUP = -1;
const FIRST_LOOKUPS = 64;

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
 *  There are as many lookups as cached flows and more: they are numbers, and what there is of each lies in columns.
 *
 *  **Invariants.** A lookup is in every hash table of its group. */
export class LookupIndex {
  readonly #keyOf: (owner: number) => FlowKey;
  readonly #tables = new Map<XTable, TableGroups>();
  /** Of the lookup that came last: the next is likely to be of it, too. */
  #recent: Group | undefined;
  /** Of each lookup: whose it is, the owner's next, the priority of the rule found, its group and the place there. */
  #owners = new Int32Array(FIRST_LOOKUPS);
  #nexts = new Int32Array(FIRST_LOOKUPS);
  #priorities = new Int32Array(FIRST_LOOKUPS);
  readonly #groups: (Group | undefined)[] = [];
  #places = new Int32Array(FIRST_LOOKUPS);
  /** The flows looked up, where they were not the owner's. */
  readonly #changed = new Map<number, FlowKey>();
  readonly #free: number[] = [];
  readonly #view: LookupView = {
    keyOf: (lookup) => this.#changed.get(lookup) ?? this.#keyOf(this.#owners[lookup]!),
    priorityOf: (lookup) => this.#priorities[lookup]!,
    move: (lookup, place) => {
      this.#places[lookup] = place;
    },
  };

  /** `keyOf`: the flow of an owner, which is looked up where actions have not changed it; what it gives counts until it is
   *  asked again. */
  constructor(keyOf: (owner: number) => FlowKey) {
    this.#keyOf = keyOf;
  }

  /** Adds the lookups on an owner's behalf, of whose flow `known` is known: the bits that every packet has for which they
   *  were made. Gives the first of them, for `remove`. */
  add(owner: number, lookups: readonly TableLookup[], known: FlowMask): number {
    let first = NO_LOOKUP;
    for (let i = lookups.length - 1; i >= 0; i--) {
      const { table, priority, changed } = lookups[i]!;
      const lookup = this.#free.pop() ?? this.#groups.length;
      if (lookup === this.#owners.length) this.#grow();
      const group = this.#groupOf(table, changed?.known ?? known);
      this.#owners[lookup] = owner;
      this.#nexts[lookup] = first;
      this.#priorities[lookup] = priority;
      this.#groups[lookup] = group;
      if (changed !== undefined) this.#changed.set(lookup, changed.key);
      this.#places[lookup] = group.add(lookup, this.#view);
      first = lookup;
    }
    return first;
  }

  /** Takes out a lookup and those that were added with it, after it. */
  remove(first: number): void {
    for (let lookup = first; lookup !== NO_LOOKUP; lookup = this.#nexts[lookup]!) {
      const group = this.#groups[lookup]!;
      group.delete(lookup, this.#places[lookup]!, this.#view);
      this.#groups[lookup] = undefined;
      this.#changed.delete(lookup);
      this.#free.push(lookup);
      if (group.size > 0) continue;
      if (this.#recent === group) this.#recent = undefined;
      const groups = this.#tables.get(group.table)!;
      groups.delete(group);
      if (groups.size === 0) this.#tables.delete(group.table);
    }
  }

  #grow(): void {
    const size = 2 * this.#owners.length;
    this.#owners = grown(this.#owners, size);
    this.#nexts = grown(this.#nexts, size);
    this.#priorities = grown(this.#priorities, size);
    this.#places = grown(this.#places, size);
  }

  #groupOf(table: XTable, known: FlowMask): Group {
    const recent = this.#recent;
    if (recent?.table === table && recent.known === known) return recent;
    let groups = this.#tables.get(table);
    if (!groups) {
      groups = new TableGroups(table);
      this.#tables.set(table, groups);
    }
    this.#recent = groups.groupOf(known);
    return this.#recent;
  }

  /** Calls `found` with the owner of each lookup that the change may concern. */
  forEach(change: TableChange, found: (owner: number) => void): void {
    const groups = this.#tables.get(change.table);
    if (!groups) return;
    for (const group of groups) group.forEach(change, this.#view, (lookup) => found(this.#owners[lookup]!));
  }
}

/** What groups ask of lookups. */
interface LookupView {
  /** The flow looked up; it counts until another's is asked. */
  keyOf(lookup: number): FlowKey;
  priorityOf(lookup: number): number;
  /** A group has given it another place. */
  move(lookup: number, place: number): void;
}

/** Hash tables that a group keeps. */
const MAX_HASHES = 8;
const MAX_MASKS = 64;

/** The groups of one table. */
class TableGroups {
  readonly #table: XTable;
  readonly #byHash = new Map<number, Group[]>();
  /** Those of masks that were asked for: many owners have the very same. */
  readonly #byMask = new Map<FlowMask, Group>();
  size = 0;

  constructor(table: XTable) {
    this.#table = table;
  }

  *[Symbol.iterator](): IterableIterator<Group> {
    for (const list of this.#byHash.values()) yield* list;
  }

  groupOf(known: FlowMask): Group {
    const same = this.#byMask.get(known);
    if (same) return same;
    const hash = hashLanes(known);
    const list = this.#byHash.get(hash) ?? [];
    let group = list.find((other) => equalKeys(other.known, known));
    if (!group) {
      group = new Group(this.#table, known, hash);
      list.push(group);
      this.#byHash.set(hash, list);
      this.size++;
    }
    if (this.#byMask.size >= MAX_MASKS) this.#byMask.clear();
    this.#byMask.set(known, group);
    return group;
  }

  delete(group: Group): void {
    const list = this.#byHash.get(group.hash)!;
    if (list.length > 1) list.splice(list.indexOf(group), 1);
    else this.#byHash.delete(group.hash);
    this.#byMask.clear();
    this.size--;
  }
}

interface Hashed {
  /** The bits that are hashed. */
  readonly lanes: readonly number[];
  readonly bits: FlowMask;
  readonly byHash: Map<number, Set<number>>;
}

/** Lookups of one table by the same known bits. */
class Group {
  readonly table: XTable;
  readonly known: FlowMask;
  /** Of `known`. */
  readonly hash: number;
  size = 0;
  #all = new Int32Array(4);
  readonly #hashes: Hashed[] = [];
  readonly #byMask = new Map<FlowMask, Hashed>();

  constructor(table: XTable, known: FlowMask, hash: number) {
    this.table = table;
    this.known = known;
    this.hash = hash;
  }

  /** Gives its place. */
  add(lookup: number, view: LookupView): number {
    const place = this.size++;
    if (place === this.#all.length) this.#all = grown(this.#all, 2 * place);
    this.#all[place] = lookup;
    for (const hashed of this.#hashes) insert(hashed, lookup, view);
    return place;
  }

  delete(lookup: number, place: number, view: LookupView): void {
    // The last takes its place.
    const last = this.#all[--this.size]!;
    if (last !== lookup) {
      this.#all[place] = last;
      view.move(last, place);
    }
    for (const hashed of this.#hashes) {
      if (hashed.lanes.length === 0) continue;
      const hash = hashOf(hashed, view.keyOf(lookup));
      const same = hashed.byHash.get(hash);
      same?.delete(lookup);
      if (same?.size === 0) hashed.byHash.delete(hash);
    }
  }

  forEach({ key, mask, priority }: TableChange, view: LookupView, found: (lookup: number) => void): void {
    const hashed = this.#hashedBy(mask, view);
    const { lanes, bits } = hashed;
    const candidates =
      lanes.length === 0 ? this.#all.subarray(0, this.size) : hashed.byHash.get(hashOf(hashed, key));
    if (candidates === undefined) return;
    for (const lookup of candidates) {
      // A rule below the one found was not decisive, and is not now.
      if (priority < view.priorityOf(lookup)) continue;
      if (lanes.length > 0) {
        const own = view.keyOf(lookup);
        if (!lanes.every((lane) => ((own[lane]! ^ key[lane]!) & bits[lane]!) === 0)) continue;
      }
      found(lookup);
    }
  }

  /** The hash table by the bits that a rule's mask has in common with what is known. */
  #hashedBy(mask: FlowMask, view: LookupView): Hashed {
    const known = this.#byMask.get(mask);
    if (known) return known;
    const bits = mask.map((lane, i) => lane & this.known[i]!);
    const hashed = this.#hashes.find((other) => equalKeys(other.bits, bits)) ?? this.#hashBy(bits, view);
    if (this.#byMask.size >= MAX_MASKS) this.#byMask.clear();
    this.#byMask.set(mask, hashed);
    return hashed;
  }

  #hashBy(bits: FlowMask, view: LookupView): Hashed {
    const hashed: Hashed = { lanes: significant(bits), bits, byHash: new Map() };
    for (let place = 0; place < this.size; place++) insert(hashed, this.#all[place]!, view);
    if (this.#hashes.length >= MAX_HASHES) {
      this.#hashes.shift();
      this.#byMask.clear();
    }
    this.#hashes.push(hashed);
    return hashed;
  }
}

function insert(hashed: Hashed, lookup: number, view: LookupView): void {
  if (hashed.lanes.length === 0) return;
  const hash = hashOf(hashed, view.keyOf(lookup));
  const same = hashed.byHash.get(hash);
  if (same) same.add(lookup);
  else hashed.byHash.set(hash, new Set([lookup]));
}

function hashOf(hashed: Hashed, key: FlowKey): number {
  let hash = 0;
  for (const lane of hashed.lanes) hash = hashStep(hash, key[lane]! & hashed.bits[lane]!);
  return hash >>> 2;
}

function significant(bits: FlowMask): number[] {
  const lanes: number[] = [];
  for (let lane = 0; lane < FLOW_LANES; lane++) if (bits[lane] !== 0) lanes.push(lane);
  return lanes;
}
