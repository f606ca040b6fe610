// Hot path: `leading`. Typed arrays only, nothing is allocated.
import { LaneTree } from "./lane-tree.js";

/** The values that rules have in one lane under one mask, of all subtables that have that mask there. What tells a
 *  packet from all of them tells it from each subtable's: many subtables share a walk, once a lookup. */
export class LaneValues {
  readonly lane: number;
  readonly bits: number;
  /** How many subtables there are. */
  users = 0;
  /** Of all subtables: as long as there is but one, its own. */
  #all: LaneTree | undefined;
  /** The lookup that was asked for last, and its answer. */
  #lookup = -1;
  #leading = 0;

  constructor(lane: number, bits: number) {
    this.lane = lane;
    this.bits = bits;
  }

  /** A tree for the values of one more subtable; they come and go by `add` and `remove`. */
  join(): LaneTree {
    const own = new LaneTree();
    const first = this.#all;
    if (this.users++ === 0) this.#all = own;
    else if (this.users === 2) {
      // It may be what was left of several.
      const all = new LaneTree();
      for (const value of first!.values()) all.add(value);
      this.#all = all;
    }
    return own;
  }

  /** A subtable without values goes. */
  leave(): void {
    this.users--;
  }

  /** Lookups are numbered anew. */
  forget(): void {
    this.#lookup = -1;
  }

  add(own: LaneTree, value: number): void {
    if (own.add(value) && own !== this.#all) this.#all!.add(value);
  }

  remove(own: LaneTree, value: number): void {
    if (own.remove(value) && own !== this.#all) this.#all!.remove(value);
  }

  /** How many leading bits tell `key` from every value here; 0: one has its value. `lookup`: a number for the lookup of
   *  this key. */
  leading(key: Uint32Array, lookup: number): number {
    if (this.#lookup !== lookup) {
      this.#lookup = lookup;
      this.#leading = this.#all!.distinguishing((key[this.lane]! & this.bits) >>> 0);
    }
    return this.#leading;
  }

  /** The same of one subtable's values. */
  leadingOf(own: LaneTree, key: Uint32Array, lookup: number): number {
    if (own === this.#all) return this.leading(key, lookup);
    return own.distinguishing((key[this.lane]! & this.bits) >>> 0);
  }
}
