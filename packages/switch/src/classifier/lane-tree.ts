// Hot path: `distinguishing`. Typed arrays only, nothing is allocated.

const NONE = -1;
const FIRST_NODES = 8;

/** The values that the rules of a subtable have in one lane, each with how many have it, as a crit-bit tree: an inner
 *  node tests the first bit in which the values below it differ. Leaves are the complements of their numbers, so that
 *  a link says by its sign where it leads.
 *
 *  The leaf that a walk ends at has as many leading bits in common with the value asked for as any (Bernstein, "Crit-bit
 *  trees"; Morrison's PATRICIA, 1968). */
export class LaneTree {
  #root = 0;
  /** How many different values there are. */
  size = 0;
  /** Of inner nodes: the bit that they test, from the most significant, and where 0 and 1 lead. */
  #bits = new Uint8Array(FIRST_NODES);
  #children = new Int32Array(2 * FIRST_NODES);
  #values = new Uint32Array(FIRST_NODES);
  #counts = new Uint32Array(FIRST_NODES);
  #freeNodes: number[] = [];
  #freeLeaves: number[] = [];
  #nodes = 0;
  #leaves = 0;

  /** How many leading bits of `value` tell it from all values here; 0: it is one of them. 1 where there are none. */
  distinguishing(value: number): number {
    if (this.size === 0) return 1;
    const differ = value ^ this.#values[~this.#walk(value)]!;
    return differ === 0 ? 0 : Math.clz32(differ) + 1;
  }

  /** Whether it was not there before. */
  add(value: number): boolean {
    if (this.size === 0) {
      this.#root = ~this.#newLeaf(value);
      return true;
    }
    const nearest = ~this.#walk(value);
    const differ = value ^ this.#values[nearest]!;
    if (differ === 0) {
      this.#counts[nearest]!++;
      return false;
    }
    const bit = Math.clz32(differ);
    // Where the bits that are tested would come to pass the new one.
    let above = NONE;
    let at = this.#root;
    while (at >= 0 && this.#bits[at]! < bit) {
      above = 2 * at + side(value, this.#bits[at]!);
      at = this.#children[above]!;
    }
    const node = this.#newNode(bit);
    const own = side(value, bit);
    this.#children[2 * node + own] = ~this.#newLeaf(value);
    this.#children[2 * node + 1 - own] = at;
    if (above === NONE) this.#root = node;
    else this.#children[above] = node;
    return true;
  }

  /** Takes out one of `value`, which is there; whether it was the last. */
  remove(value: number): boolean {
    let above = NONE;
    let parent = NONE;
    let at = this.#root;
    while (at >= 0) {
      above = parent;
      parent = 2 * at + side(value, this.#bits[at]!);
      at = this.#children[parent]!;
    }
    const leaf = ~at;
    if (--this.#counts[leaf]! > 0) return false;
    this.#freeLeaves.push(leaf);
    this.size--;
    if (parent === NONE) return true;
    const sibling = this.#children[parent ^ 1]!;
    if (above === NONE) this.#root = sibling;
    else this.#children[above] = sibling;
    this.#freeNodes.push(parent >>> 1);
    return true;
  }

  /** Every value once. */
  *values(): IterableIterator<number> {
    for (let leaf = 0; leaf < this.#leaves; leaf++) if (this.#counts[leaf]! > 0) yield this.#values[leaf]!;
  }

  #walk(value: number): number {
    const bits = this.#bits;
    const children = this.#children;
    let at = this.#root;
    while (at >= 0) at = children[2 * at + side(value, bits[at]!)]!;
    return at;
  }

  #newLeaf(value: number): number {
    const leaf = this.#freeLeaves.pop() ?? this.#leaves++;
    if (leaf === this.#values.length) {
      this.#values = grown(this.#values, new Uint32Array(2 * leaf));
      this.#counts = grown(this.#counts, new Uint32Array(2 * leaf));
    }
    this.#values[leaf] = value;
    this.#counts[leaf] = 1;
    this.size++;
    return leaf;
  }

  #newNode(bit: number): number {
    const node = this.#freeNodes.pop() ?? this.#nodes++;
    if (node === this.#bits.length) {
      this.#bits = grown(this.#bits, new Uint8Array(2 * node));
      this.#children = grown(this.#children, new Int32Array(4 * node));
    }
    this.#bits[node] = bit;
    return node;
  }
}

const side = (value: number, bit: number): number => (value >>> (31 - bit)) & 1;

function grown<T extends Uint8Array | Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
