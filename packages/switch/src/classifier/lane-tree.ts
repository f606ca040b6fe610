// Hot path: `distinguish`. Typed arrays only, nothing is allocated.
import { grown } from "../flow/grown.js";

const NONE = -1;
const FIRST_NODES = 8;
/** How many may share a tree: a bit of a word each. */
export const MAX_MEMBERS = 32;
/** Links on the longest way from the root to a leaf. */
const MAX_DEPTH = 33;
const MEMBER_BITS = 5;

/** The values that the rules of several subtables, its members, have in one lane, as a crit-bit tree: an inner node tests
 *  the first bit in which the values below it differ. Leaves are the complements of their numbers, so that a link says
 *  by its sign where it leads; with each link is told which members have values there, so that one walk tells a value
 *  from each member's.
 *
 *  The leaf that a walk ends at has as many leading bits in common with the value asked for as any (Bernstein, "Crit-bit
 *  trees"; Morrison's PATRICIA, 1968); of a member's values those come closest that part from the walk last. */
export class LaneTree {
  #root = 0;
  /** The members that have values at all. */
  #rootMembers = 0;
  /** How many different values there are. */
  size = 0;
  /** Of inner nodes: the bit that they test, from the most significant; and for 0 and for 1 a link of two words: where it
   *  leads, and which members have values there. */
  #bits = new Uint8Array(FIRST_NODES);
  #ways = new Int32Array(4 * FIRST_NODES);
  /** Of leaves: the value, and the first of a list of how many of each member's rules have it. */
  #values = new Uint32Array(FIRST_NODES);
  #firsts = new Int32Array(FIRST_NODES);
  /** Of such a count: it, and the next one's number with the member below it, in MEMBER_BITS. */
  #counts = new Uint32Array(FIRST_NODES);
  #links = new Int32Array(FIRST_NODES);
  readonly #freeNodes: number[] = [];
  readonly #freeLeaves: number[] = [];
  readonly #freeCounts: number[] = [];
  #nodes = 0;
  #leaves = 0;
  #lists = 0;
  /** The links that the last change has come by. */
  readonly #way = new Int32Array(MAX_DEPTH);

  /** For each member, how many leading bits of `value` tell it from all of the member's values; 0: it is one of them. Those
   *  without values are left out. */
  distinguish(value: number, leading: Uint8Array): void {
    if (this.size === 0) return;
    const bits = this.#bits;
    const ways = this.#ways;
    let here = this.#rootMembers;
    let at = this.#root;
    while (at >= 0) {
      const bit = bits[at]!;
      const link = linkOf(at, value, bit);
      const below = ways[link + 1]!;
      if (below !== here) {
        for (let left = here & ~below; left !== 0; left &= left - 1) leading[lowest(left)] = bit + 1;
        here = below;
      }
      at = ways[link]!;
    }
    const differ = value ^ this.#values[~at]!;
    const most = differ === 0 ? 0 : Math.clz32(differ) + 1;
    for (let left = here; left !== 0; left &= left - 1) leading[lowest(left)] = most;
    if (most === 0 || here === this.#rootMembers) return;
    // Where the value parts from all that there are, it parts from those that went another way before the end, too.
    for (let left = this.#rootMembers & ~here; left !== 0; left &= left - 1) {
      const member = lowest(left);
      if (leading[member]! > most) leading[member] = most;
    }
  }

  /** A rule of the member's has the value. */
  add(value: number, member: number): void {
    const own = 1 << member;
    if (this.size === 0) {
      this.#root = ~this.#newLeaf(value, member);
      this.#rootMembers = own;
      return;
    }
    const nearest = ~this.#walk(value);
    const differ = value ^ this.#values[nearest]!;
    if (differ === 0 && this.#countMore(nearest, member)) return;
    const bit = differ === 0 ? MAX_DEPTH : Math.clz32(differ);
    // Where there is no other member all links tell so already.
    const isAlone = this.#rootMembers === own;
    // Where the bits that are tested would come to pass the new one.
    let above = NONE;
    let at = this.#root;
    let others = this.#rootMembers;
    this.#rootMembers |= own;
    while (at >= 0 && this.#bits[at]! < bit) {
      above = linkOf(at, value, this.#bits[at]!);
      if (!isAlone) {
        others = this.#ways[above + 1]!;
        this.#ways[above + 1] = others | own;
      }
      at = this.#ways[above]!;
    }
    if (differ === 0) {
      this.#countFirst(nearest, member);
      return;
    }
    const node = this.#newNode(bit);
    const link = linkOf(node, value, bit);
    this.#ways[link] = ~this.#newLeaf(value, member);
    this.#ways[link + 1] = own;
    this.#ways[link ^ 2] = at;
    this.#ways[(link ^ 2) + 1] = others;
    if (above === NONE) this.#root = node;
    else this.#ways[above] = node;
  }

  /** A rule of the member's no longer has the value, which one had. */
  remove(value: number, member: number): void {
    const way = this.#way;
    let length = 0;
    let at = this.#root;
    while (at >= 0) {
      const link = linkOf(at, value, this.#bits[at]!);
      way[length++] = link;
      at = this.#ways[link]!;
    }
    const leaf = ~at;
    if (!this.#discount(leaf, member)) return;
    const own = ~(1 << member);
    if (this.#firsts[leaf] !== NONE) {
      if (length === 0) this.#rootMembers &= own;
      else this.#ways[way[length - 1]! + 1]! &= own;
    } else {
      this.#freeLeaves.push(leaf);
      this.size--;
      if (length === 0) {
        this.#rootMembers = 0;
        return;
      }
      // The other one takes the node's place.
      const last = way[--length]!;
      this.#freeNodes.push(last >>> 2);
      this.#link(length, this.#ways[last ^ 2]!, this.#ways[(last ^ 2) + 1]!);
    }
    // Where there is no other member, and it still has values, all links tell so.
    if (this.#rootMembers === ~own) return;
    for (let i = length - 1; i >= 0; i--) {
      const below = this.#ways[way[i]! + 1]! | this.#ways[(way[i]! ^ 2) + 1]!;
      if (i === 0) this.#rootMembers = below;
      else this.#ways[way[i - 1]! + 1] = below;
    }
  }

  /** Has the link that the last change came by, after so many, lead to `at`. */
  #link(length: number, at: number, members: number): void {
    if (length === 0) {
      this.#root = at;
      this.#rootMembers = members;
      return;
    }
    const link = this.#way[length - 1]!;
    this.#ways[link] = at;
    this.#ways[link + 1] = members;
  }

  #walk(value: number): number {
    const bits = this.#bits;
    const ways = this.#ways;
    let at = this.#root;
    while (at >= 0) at = ways[linkOf(at, value, bits[at]!)]!;
    return at;
  }

  /** Counts one more of the member's rules at a leaf; false when it is the first. */
  #countMore(leaf: number, member: number): boolean {
    for (let at = this.#firsts[leaf]!; at !== NONE; at = this.#links[at]! >> MEMBER_BITS) {
      if ((this.#links[at]! & (MAX_MEMBERS - 1)) !== member) continue;
      this.#counts[at]!++;
      return true;
    }
    return false;
  }

  #countFirst(leaf: number, member: number): void {
    const fresh = this.#freeCounts.pop() ?? this.#lists++;
    if (fresh === this.#counts.length) {
      this.#counts = grown(this.#counts, 2 * fresh);
      this.#links = grown(this.#links, 2 * fresh);
    }
    this.#counts[fresh] = 1;
    this.#links[fresh] = (this.#firsts[leaf]! << MEMBER_BITS) | member;
    this.#firsts[leaf] = fresh;
  }

  /** Whether it was the member's last. */
  #discount(leaf: number, member: number): boolean {
    let before = NONE;
    let at = this.#firsts[leaf]!;
    while ((this.#links[at]! & (MAX_MEMBERS - 1)) !== member) {
      before = at;
      at = this.#links[at]! >> MEMBER_BITS;
    }
    if (--this.#counts[at]! > 0) return false;
    const next = this.#links[at]! >> MEMBER_BITS;
    if (before === NONE) this.#firsts[leaf] = next;
    else this.#links[before] = (next << MEMBER_BITS) | (this.#links[before]! & (MAX_MEMBERS - 1));
    this.#freeCounts.push(at);
    return true;
  }

  #newLeaf(value: number, member: number): number {
    const leaf = this.#freeLeaves.pop() ?? this.#leaves++;
    if (leaf === this.#values.length) {
      this.#values = grown(this.#values, 2 * leaf);
      this.#firsts = grown(this.#firsts, 2 * leaf);
    }
    this.#values[leaf] = value;
    this.#firsts[leaf] = NONE;
    this.#countFirst(leaf, member);
    this.size++;
    return leaf;
  }

  #newNode(bit: number): number {
    const node = this.#freeNodes.pop() ?? this.#nodes++;
    if (node === this.#bits.length) {
      this.#bits = grown(this.#bits, 2 * node);
      this.#ways = grown(this.#ways, 8 * node);
    }
    this.#bits[node] = bit;
    return node;
  }
}

/** The link by which a value leaves a node that tests this bit; the other one's is `^ 2`. */
const linkOf = (node: number, value: number, bit: number): number =>
  4 * node + 2 * ((value >>> (31 - bit)) & 1);

/** The number of the lowest bit that is set. */
const lowest = (word: number): number => 31 - Math.clz32(word & -word);
