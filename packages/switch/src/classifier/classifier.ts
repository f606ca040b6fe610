// Hot path. `lookup` runs per upcall and table: typed arrays only, nothing is allocated.
import { type Conjoined, completed } from "./conjunction.js";
import { LaneValues } from "./lane-values.js";
import { type Classified, hashMask, Subtable, significantLanes, type Wildcards } from "./subtable.js";

export type { Conjoined, Wildcards };

/** # Classifier
 *
 *  **What.** A set of rules, each a (key, mask, priority); `lookup` finds the rule of the highest priority that
 *  agrees with a flow on the bits of its mask.
 *
 *  **Why.** Matches are arbitrary masks over some seventy words, tables have up to a hundred thousand rules but few
 *  different masks. Tuple space search (Srinivasan, Suri, Varghese, 1999) costs one hash probe a mask.
 *
 *  **Design.** One `Subtable` a mask, visited by falling highest priority, until no subtable that is left can hold
 *  a better rule than the one found.
 *
 *  **Un-wildcarding.** A lookup may be cached for every flow that agrees on the bits that were looked at. `lookup`
 *  ORs these into `wildcards.mask`: for the rule found the bits of its mask, for a subtable visited in vain those that
 *  show it (`Subtable`), for one not visited none. A subtable that the bits looked at before rule out is not searched
 *  (`LaneValues`).
 *  Bits in `wildcards.fixed` are left out: those whose value does not depend on the packet any more, because an
 *  action has set them or an earlier lookup has pinned them.
 *
 *  **Conjunctions.** A rule that is part of a conjunctive match is never found itself. Where such rules beat the best
 *  other one, and all clauses of a conjunction are among those of one priority, the flow is looked up again with the
 *  conjunction's id in it, past all such rules; what that finds is the answer. When it finds nothing, or no
 *  conjunction is complete, the rules of the next lower priority have their turn.
 *
 *  **Invariants.** `#subtables` is sorted by falling `maxPriority`, and none is empty. With two rules of the same
 *  priority over one packet the one found is arbitrary (1.3.5 §5.3) but the same for every packet of the
 *  un-wildcarded flow.
 *
 *  **Complexity.** lookup, insert, remove: O(masks). Loose selection: O(rules whose mask covers the criterion's). */
export class Classifier<R extends Classified> implements Iterable<R> {
  readonly #lanes: number;
  readonly #stageOf: (lane: number) => number;
  readonly #byMask = new Map<number, Subtable<R>[]>();
  #subtables: Subtable<R>[] = [];
  #size = 0;
  /** The subtable that was asked for last: adding a rule asks twice, and many rules of one mask come together. */
  #recent: Subtable<R> | undefined;
  readonly #conjIdLane: number;
  /** By lane: the values that there are under each mask. */
  #laneValues: LaneValues[][] = [];
  #lookups = 0;

  /** `lanes`: words in a key. `stageOf`: a lane's stage; lookups stop at the end of one that no rule agrees with.
   *  `conjIdLane`: the lane that the id of a conjunction is looked up in; no packet decides what is in it. */
  constructor(lanes: number, stageOf: (lane: number) => number = () => 0, conjIdLane = lanes - 1) {
    this.#lanes = lanes;
    this.#stageOf = stageOf;
    this.#conjIdLane = conjIdLane;
  }

  get size(): number {
    return this.#size;
  }

  /** How many different masks there are. */
  get masks(): number {
    return this.#subtables.length;
  }

  /** The best rule for `key`. `conjoined` gets what came of each conjunction that `key` fulfils. */
  lookup(key: Uint32Array, wildcards?: Wildcards, conjoined?: Conjoined<R>[]): R | undefined {
    const subtables = this.#subtables;
    let best: R | undefined;
    let priority = -1;
    let parts: R[] | undefined;
    const lookup = this.#newLookup();
    for (let i = 0; i < subtables.length; i++) {
      const subtable = subtables[i]!;
      if (subtable.maxPriority <= priority) break;
      const rule = wildcards === undefined ? subtable.find(key) : subtable.search(key, wildcards, lookup);
      if (rule !== undefined && rule.priority > priority) {
        if (rule.conjunctions !== undefined) {
          if (parts === undefined) parts = [rule];
          else parts.push(rule);
          continue;
        }
        best = rule;
        priority = rule.priority;
      }
    }
    return parts === undefined ? best : this.#conjoin(key, wildcards, conjoined, parts, best);
  }

  /** Decides between parts of conjunctive matches and the best rule that is none. */
  #conjoin(
    key: Uint32Array,
    wildcards: Wildcards | undefined,
    conjoined: Conjoined<R>[] | undefined,
    parts: readonly R[],
    hard: R | undefined,
  ): R | undefined {
    let best = hard;
    let left = parts;
    for (;;) {
      left = left.filter((rule) => rule.priority > (best?.priority ?? -1));
      const priority = left.reduce((highest, rule) => Math.max(highest, rule.priority), -1);
      if (priority < 0) return best;
      const top = left.filter((rule) => rule.priority === priority);
      for (const { id, clauses } of completed(top)) {
        const rule = this.#lookupWithId(key, id, wildcards);
        conjoined?.push({ id, priority, clauses, rule });
        if (rule) return rule;
      }
      left = left.filter((rule) => rule.priority < priority);
      for (const rule of top) {
        const next = (rule.subtable as unknown as Subtable<R>).after(rule);
        if (next?.conjunctions !== undefined) left = [...left, next];
        else if (next && next.priority > (best?.priority ?? -1)) best = next;
      }
    }
  }

  /** The best rule for `key` of a packet that is in the conjunction `id`, past all parts of conjunctions. */
  #lookupWithId(key: Uint32Array, id: number, wildcards: Wildcards | undefined): R | undefined {
    const before = key[this.#conjIdLane]!;
    key[this.#conjIdLane] = id;
    let best: R | undefined;
    const lookup = this.#newLookup();
    for (const subtable of this.#subtables) {
      if (subtable.maxPriority <= (best?.priority ?? -1)) break;
      let rule = wildcards === undefined ? subtable.find(key) : subtable.search(key, wildcards, lookup);
      while (rule?.conjunctions !== undefined) rule = subtable.after(rule);
      if (rule && rule.priority > (best?.priority ?? -1)) best = rule;
    }
    key[this.#conjIdLane] = before;
    return best;
  }

  /** The rule with this very match and priority. */
  find(key: Uint32Array, mask: Uint32Array, priority: number): R | undefined {
    return this.#subtable(mask)?.findExactly(key, priority);
  }

  /** Adds a rule; there must not be one with its match and priority. */
  insert(rule: R, key: Uint32Array, mask: Uint32Array): void {
    let subtable = this.#subtable(mask);
    if (!subtable) {
      subtable = new Subtable<R>(mask, this.#stageOf, this.#valuesOf);
      const hash = hashMask(mask);
      const list = this.#byMask.get(hash);
      if (list) list.push(subtable);
      else this.#byMask.set(hash, [subtable]);
      this.#subtables.push(subtable);
    }
    const before = subtable.maxPriority;
    subtable.insert(rule, key);
    this.#size++;
    if (subtable.maxPriority !== before) this.#sort();
  }

  remove(rule: R): void {
    const subtable = rule.subtable as unknown as Subtable<R>;
    const before = subtable.maxPriority;
    subtable.remove(rule);
    this.#size--;
    if (subtable.count === 0) {
      this.#recent = undefined;
      const hash = hashMask(subtable.mask);
      const left = this.#byMask.get(hash)!.filter((other) => other !== subtable);
      if (left.length > 0) this.#byMask.set(hash, left);
      else this.#byMask.delete(hash);
      this.#subtables = this.#subtables.filter((other) => other !== subtable);
      this.#forgetValues(subtable);
    } else if (subtable.maxPriority !== before) this.#sort();
  }

  /** Takes every rule out. */
  clear(): void {
    for (const subtable of this.#subtables) subtable.abandon();
    this.#subtables = [];
    this.#byMask.clear();
    this.#laneValues = [];
    this.#recent = undefined;
    this.#size = 0;
  }

  /** Puts `rule` in the place of `old`, which has the same match and priority. */
  replace(old: R, rule: R): void {
    (old.subtable as unknown as Subtable<R>).replace(old, rule);
  }

  /** Rules whose match is (key, mask) or narrower (1.3.5 §6.4, non-strict). */
  *looser(key: Uint32Array, mask: Uint32Array): IterableIterator<R> {
    const lanes = significantLanes(mask);
    for (const subtable of [...this.#subtables]) {
      if (lanes.some((lane) => (mask[lane]! & ~subtable.mask[lane]!) !== 0)) continue;
      if (subtable.lanes.length === lanes.length && sameMask(subtable.mask, mask))
        yield* subtable.findAll(key);
      else for (const rule of subtable) if (subtable.overlaps(rule, key, mask)) yield rule;
    }
  }

  /** A rule of the same priority that some packet may match as well (1.3.5 §6.4, OFPFF_CHECK_OVERLAP). */
  overlap(key: Uint32Array, mask: Uint32Array, priority: number): R | undefined {
    for (const subtable of this.#subtables) {
      if (!subtable.has(priority)) continue;
      for (const rule of subtable) {
        if (rule.priority === priority && subtable.overlaps(rule, key, mask)) return rule;
      }
    }
    return undefined;
  }

  /** The match of a rule that is in the classifier, in `key` or in a new one; bits outside the mask are 0. */
  keyOf(rule: R, key: Uint32Array = new Uint32Array(this.#lanes)): Uint32Array {
    key.fill(0);
    return rule.subtable!.keyOf(rule, key);
  }

  *[Symbol.iterator](): IterableIterator<R> {
    for (const subtable of [...this.#subtables]) yield* subtable;
  }

  /** Whether all rules pass: the quick way to look at each. */
  every(passes: (rule: R) => boolean): boolean {
    return this.#subtables.every((subtable) => subtable.every(passes));
  }

  #subtable(mask: Uint32Array): Subtable<R> | undefined {
    if (this.#recent !== undefined && sameMask(this.#recent.mask, mask)) return this.#recent;
    const list = this.#byMask.get(hashMask(mask));
    if (list)
      for (const subtable of list) {
        if (!sameMask(subtable.mask, mask)) continue;
        this.#recent = subtable;
        return subtable;
      }
    return undefined;
  }

  readonly #valuesOf = (lane: number, bits: number): LaneValues => {
    this.#laneValues[lane] ??= [];
    const sameLane = this.#laneValues[lane];
    let values = sameLane.find((other) => other.bits === bits && other.hasRoom);
    if (!values) {
      values = new LaneValues(lane, bits);
      sameLane.push(values);
    }
    return values;
  };

  /** A subtable without rules goes. */
  #forgetValues(subtable: Subtable<R>): void {
    subtable.leave((values) => {
      this.#laneValues[values.lane] = this.#laneValues[values.lane]!.filter((other) => other !== values);
    });
  }

  #newLookup(): number {
    if (++this.#lookups > MAX_LOOKUP) {
      this.#lookups = 1;
      for (const sameLane of this.#laneValues) for (const values of sameLane ?? []) values.forget();
    }
    return this.#lookups;
  }

  #sort(): void {
    this.#subtables.sort((a, b) => b.maxPriority - a.maxPriority);
  }
}

/** Lookups are numbered up to this, then anew. */
const MAX_LOOKUP = 0x3fff_ffff;

function sameMask(a: Uint32Array, b: Uint32Array): boolean {
  for (let lane = 0; lane < a.length; lane++) if (a[lane] !== b[lane]) return false;
  return true;
}
