// Hot path: `leading`. Typed arrays only, nothing is allocated.
import { LaneTree, MAX_MEMBERS } from "./lane-tree.js";

/** The values that rules have in one lane under one mask, of up to MAX_MEMBERS subtables that have that mask there. One
 *  walk tells a packet from those of each, once a lookup. */
export class LaneValues {
  readonly lane: number;
  readonly bits: number;
  readonly #tree = new LaneTree();
  /** A bit for each subtable that there is. */
  #members = 0;
  /** The lookup that was asked for last, and its answers. */
  #lookup = -1;
  readonly #leading = new Uint8Array(MAX_MEMBERS);

  constructor(lane: number, bits: number) {
    this.lane = lane;
    this.bits = bits;
  }

  get hasRoom(): boolean {
    return this.#members !== -1;
  }

  get isEmpty(): boolean {
    return this.#members === 0;
  }

  /** A number for one more subtable; its values come and go by `add` and `remove`. */
  join(): number {
    const free = ~this.#members;
    const member = 31 - Math.clz32(free & -free);
    this.#members |= 1 << member;
    return member;
  }

  /** A subtable without values goes. */
  leave(member: number): void {
    this.#members &= ~(1 << member);
  }

  /** Lookups are numbered anew. */
  forget(): void {
    this.#lookup = -1;
  }

  add(member: number, value: number): void {
    this.#tree.add(value, member);
  }

  remove(member: number, value: number): void {
    this.#tree.remove(value, member);
  }

  /** How many leading bits tell `key` from every value of a member's, which has some; 0: one of them is its value.
   *  `lookup`: a number for the lookup of this key. */
  leading(member: number, key: Uint32Array, lookup: number): number {
    if (this.#lookup !== lookup) {
      this.#lookup = lookup;
      this.#tree.distinguish((key[this.lane]! & this.bits) >>> 0, this.#leading);
    }
    return this.#leading[member]!;
  }
}
