import type { Edge, Graph, Hop } from "./graph.js";
import { NodeHeap } from "./heap.js";

const NOWHERE = Number.POSITIVE_INFINITY;
const NONE: ReadonlySet<number> = new Set();

/** How packets leave a switch for a destination, in the order of the port numbers. */
export interface NextHops {
  /** First steps of shortest paths. */
  readonly hops: readonly Hop[];
  /** Where there is only one: what to use when it is dead, until new paths are in force. At most one, since every switch
   *  on its way must know the way. However many cables are dead, spares make no loop. */
  readonly spares: readonly Hop[];
}

/** The shortest paths from everywhere to one switch, kept up to date edge by edge: only the nodes that a change
 *  concerns are looked at (G. Ramalingam, T. Reps, "An incremental algorithm for a generalization of the
 *  shortest-path problem", 1996). The graph is the caller's, who changes it first. */
export class ShortestPaths {
  readonly root: number;
  readonly #graph: Graph;
  readonly #distances: number[] = [];

  constructor(graph: Graph, root: number) {
    this.#graph = graph;
    this.root = root;
    this.#distances[root] = 0;
    this.#relax([root], new Set());
  }

  /** Infinite where no path leads. */
  distance(node: number): number {
    return this.#distances[node] ?? NOWHERE;
  }

  /** An edge is in the graph that was not. Gives the nodes whose next hops may have changed. */
  added({ a, b, weight }: Edge): Set<number> {
    const changed = new Set<number>();
    const [near, far] = this.distance(a) <= this.distance(b) ? [a, b] : [b, a];
    const distance = this.distance(near) + weight;
    if (distance < this.distance(far)) {
      this.#distances[far] = distance;
      changed.add(far);
      this.#relax([far], changed);
    }
    return this.#around(changed, this.#concerned(near, far));
  }

  /** An edge is no longer in the graph. Gives the nodes whose next hops may have changed. */
  removed({ a, b, weight }: Edge): Set<number> {
    const [near, far] = this.distance(a) <= this.distance(b) ? [a, b] : [b, a];
    const concerned = this.#concerned(near, far);
    const wasUsed = this.distance(far) !== NOWHERE && this.distance(far) === this.distance(near) + weight;
    if (!wasUsed || this.#hasParent(far, NONE)) return this.#around(NONE, concerned);
    const cutOff = this.#cutOff(far);
    for (const node of cutOff) this.#distances[node] = NOWHERE;
    for (const node of cutOff) {
      for (const { to, edge } of this.#graph.hops(node))
        if (!cutOff.has(to))
          this.#distances[node] = Math.min(this.distance(node), this.distance(to) + edge.weight);
    }
    this.#relax([...cutOff], new Set());
    return this.#around(cutOff, concerned);
  }

  nextHops(node: number): NextHops {
    const hops = this.#shortest(node);
    if (hops.length !== 1) return { hops, spares: [] };
    const spare = this.#spare(node, hops[0]!);
    return { hops, spares: spare === undefined ? [] : [spare] };
  }

  #shortest(node: number): Hop[] {
    const here = this.distance(node);
    if (here === NOWHERE || node === this.root) return [];
    const isShortest = ({ to, edge }: Hop): boolean => this.distance(to) + edge.weight === here;
    return this.#graph.hops(node).filter(isShortest).sort(byPort);
  }

  /** A spare leads to a neighbour that is as near to the destination: its own shortest paths do not come back here (a
   *  loop-free alternate, RFC 5286 §3.1, inequality 1, where every cable counts 1). So that spares of several make no loop,
   *  when a switch dies or many cables do, they lead to a node of a lower rank; the lowest takes one that would send
   *  back by the same cable only, which switches do not do (OpenFlow 1.3.5 §4.5), or that has no spare. */
  #spare(node: number, hop: Hop): Hop | undefined {
    const peers = this.#peers(node, hop);
    const [lowest] = peers;
    if (lowest === undefined || this.#graph.rank(lowest.to) < this.#graph.rank(node)) return lowest;
    return peers.find(({ to, edge }) => {
      const beyond = this.#shortest(to);
      return beyond.length > 1 || this.#peers(to, beyond[0]!)[0]?.edge === edge;
    });
  }

  /** Cables to nodes that are as near, the lowest rank first. */
  #peers(node: number, hop: Hop): Hop[] {
    const here = this.distance(node);
    const isPeer = (other: Hop): boolean =>
      other.edge.isDirect && other.to !== node && other !== hop && this.distance(other.to) === here;
    return this.#graph
      .hops(node)
      .filter(isPeer)
      .sort((x, y) => this.#graph.rank(x.to) - this.#graph.rank(y.to) || byPort(x, y));
  }

  /** The nodes, `far` among them, that lose all their shortest paths; each is decided after those nearer. */
  #cutOff(far: number): Set<number> {
    const cutOff = new Set<number>([far]);
    const heap = new NodeHeap();
    const pushChildren = (node: number): void => {
      for (const { to, edge } of this.#graph.hops(node))
        if (this.distance(to) === this.distance(node) + edge.weight) heap.push(to, this.distance(to));
    };
    pushChildren(far);
    while (heap.size > 0) {
      const [node] = heap.pop();
      if (cutOff.has(node) || this.#hasParent(node, cutOff)) continue;
      cutOff.add(node);
      pushChildren(node);
    }
    return cutOff;
  }

  #hasParent(node: number, cutOff: ReadonlySet<number>): boolean {
    const here = this.distance(node);
    return this.#graph
      .hops(node)
      .some(({ to, edge }) => !cutOff.has(to) && this.distance(to) + edge.weight === here);
  }

  /** Dijkstra's algorithm from nodes whose distances are set; notes whose distances it changes. */
  #relax(from: readonly number[], changed: Set<number>): void {
    const heap = new NodeHeap();
    for (const node of from) heap.push(node, this.distance(node));
    while (heap.size > 0) {
      const [node, distance] = heap.pop();
      if (distance > this.distance(node)) continue;
      for (const { to, edge } of this.#graph.hops(node)) {
        if (distance + edge.weight >= this.distance(to)) continue;
        this.#distances[to] = distance + edge.weight;
        changed.add(to);
        heap.push(to, distance + edge.weight);
      }
    }
  }

  /** Of an edge's ends, those that may send by it: the farther, and both, by spares, where they are as far. */
  #concerned(near: number, far: number): readonly number[] {
    return this.distance(near) === this.distance(far) ? [near, far] : [far];
  }

  /** The nodes whose next hops may be others, where distances `changed`, and the hops of those `concerned`: these, the
   *  neighbours of the first, and whoever may have one of all these as a spare, which depends on what that one has. */
  #around(changed: ReadonlySet<number>, concerned: readonly number[]): Set<number> {
    const around = new Set([...changed, ...concerned]);
    for (const node of changed) for (const { to } of this.#graph.hops(node)) around.add(to);
    for (const node of [...around])
      for (const { to } of this.#graph.hops(node))
        if (this.distance(to) === this.distance(node)) around.add(to);
    return around;
  }
}

const byPort = (a: Hop, b: Hop): number => a.port - b.port;
