/** Nodes in the order of their distances: a binary heap in which a node may stand several times. */
export class NodeHeap {
  readonly #nodes: number[] = [];
  readonly #distances: number[] = [];

  get size(): number {
    return this.#nodes.length;
  }

  push(node: number, distance: number): void {
    let at = this.#nodes.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.#distances[above]! <= distance) break;
      this.#put(at, this.#nodes[above]!, this.#distances[above]!);
      at = above;
    }
    this.#put(at, node, distance);
  }

  /** The nearest, with its distance. */
  pop(): [node: number, distance: number] {
    const first: [number, number] = [this.#nodes[0]!, this.#distances[0]!];
    const node = this.#nodes.pop()!;
    const distance = this.#distances.pop()!;
    const size = this.#nodes.length;
    let at = 0;
    while (size > 0) {
      let below = 2 * at + 1;
      if (below + 1 < size && this.#distances[below + 1]! < this.#distances[below]!) below++;
      if (below >= size || this.#distances[below]! >= distance) break;
      this.#put(at, this.#nodes[below]!, this.#distances[below]!);
      at = below;
    }
    if (size > 0) this.#put(at, node, distance);
    return first;
  }

  #put(at: number, node: number, distance: number): void {
    this.#nodes[at] = node;
    this.#distances[at] = distance;
  }
}
