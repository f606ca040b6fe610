/** One connection between two ports, used both ways. Nodes are small numbers. */
export interface Edge {
  readonly a: number;
  readonly aPort: number;
  readonly b: number;
  readonly bPort: number;
  /** A cable; otherwise something that does not speak OpenFlow is between. */
  readonly isDirect: boolean;
  readonly weight: number;
}

/** An edge as one of its ends sees it. */
export interface Hop {
  readonly to: number;
  readonly port: number;
  readonly edge: Edge;
}

/** A way through another network counts as so many cables: it is taken only where cables do not lead. */
const INDIRECT_WEIGHT = 100;

export const makeEdge = (a: number, aPort: number, b: number, bPort: number, isDirect: boolean): Edge => {
  const weight = isDirect ? 1 : INDIRECT_WEIGHT;
  return a < b || (a === b && aPort <= bPort)
    ? { a, aPort, b, bPort, isDirect, weight }
    : { a: b, aPort: bPort, b: a, bPort: aPort, isDirect, weight };
};

const keyOf = ({ a, aPort, b, bPort }: Edge): string => `${a}:${aPort}-${b}:${bPort}`;
const NO_HOPS: readonly Hop[] = [];

/** Switches and the edges between them. */
export class Graph {
  readonly #edges = new Map<string, Edge>();
  readonly #present = new Set<Edge>();
  readonly #hops: Hop[][] = [];
  /** Of nodes that are alike in all else, the one with the lower rank comes first. */
  readonly rank: (node: number) => number;

  constructor(rank: (node: number) => number = (node) => node) {
    this.rank = rank;
  }

  get edges(): Iterable<Edge> {
    return this.#edges.values();
  }

  /** One more than the highest node that has had an edge. */
  get size(): number {
    return this.#hops.length;
  }

  hops(node: number): readonly Hop[] {
    return this.#hops[node] ?? NO_HOPS;
  }

  /** This edge, and no other between the same ports. */
  has(edge: Edge): boolean {
    return this.#present.has(edge);
  }

  /** An edge between the same ports. */
  isJoined(edge: Edge): boolean {
    return this.#edges.has(keyOf(edge));
  }

  /** False when it was there. */
  add(edge: Edge): boolean {
    const key = keyOf(edge);
    if (this.#edges.has(key)) return false;
    this.#edges.set(key, edge);
    this.#present.add(edge);
    const { a, aPort, b, bPort } = edge;
    this.#at(a).push({ to: b, port: aPort, edge });
    this.#at(b).push({ to: a, port: bPort, edge });
    return true;
  }

  /** The edge as it was added; undefined when it was not there. */
  remove(edge: Edge): Edge | undefined {
    const key = keyOf(edge);
    const known = this.#edges.get(key);
    if (known === undefined) return undefined;
    this.#edges.delete(key);
    this.#present.delete(known);
    for (const node of [known.a, known.b])
      this.#hops[node] = this.#at(node).filter((hop) => hop.edge !== known);
    return known;
  }

  #at(node: number): Hop[] {
    while (this.#hops.length <= node) this.#hops.push([]);
    return this.#hops[node]!;
  }
}
