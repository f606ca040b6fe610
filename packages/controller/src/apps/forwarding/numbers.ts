import { MAX_NUMBER } from "./flows.js";

/** Nodes of the graph are small numbers, given out as switches come. The number of a switch in the groups that lead to it
 *  follows from its dpid, so that another run of the controller finds the same: a dpid below 2^24 is its own. */
export class Numbers {
  /** By node. */
  readonly #numbers: (number | undefined)[] = [];
  readonly #nodes = new Map<number, number>();
  readonly #isFree: (node: number) => boolean;

  /** `isFree`: the node has no switch, and nothing of one that it had is in use. */
  constructor(isFree: (node: number) => boolean) {
    this.#isFree = isFree;
  }

  /** A node for a switch that comes. */
  enter(dpid: bigint, isTaken: (node: number) => boolean): number {
    let number = Number((dpid ^ (dpid >> 24n) ^ (dpid >> 48n)) & BigInt(MAX_NUMBER)) || MAX_NUMBER;
    for (;;) {
      const node =
        this.#nodes.get(number) ??
        this.#put(
          number,
          this.#numbers.findIndex((_, at) => this.#isFree(at)),
        );
      if (!isTaken(node)) return node;
      number = (number % MAX_NUMBER) + 1;
    }
  }

  /** The node of a number that a switch names, whose own switch may not be there. */
  node(number: number): number {
    return this.#nodes.get(number) ?? this.#put(number, -1);
  }

  #put(number: number, free: number): number {
    const node = free < 0 ? this.#numbers.length : free;
    const before = this.#numbers[node];
    if (before !== undefined) this.#nodes.delete(before);
    this.#numbers[node] = number;
    this.#nodes.set(number, node);
    return node;
  }

  /** The number of a node. */
  of(node: number): number {
    return this.#numbers[node] ?? node;
  }
}
