import type { Edge, Graph } from "./graph.js";

/** A port of a switch, as a key. */
export const portKey = (node: number, port: number): string => `${node}:${port}`;

/** What broadcasts may cross: edges, and for a network between switches that does not speak OpenFlow the ports that
 *  open into it. */
export interface Forest {
  readonly edges: ReadonlySet<Edge>;
  /** By `portKey`: of `edges`, and those into segments. */
  readonly ports: ReadonlySet<string>;
}

const NO_PORTS: ReadonlySet<string> = new Set();
export const NO_FOREST: Forest = { edges: new Set(), ports: NO_PORTS };

/** A spanning tree for each connected part of the graph. What was in `previous` and is still there stays: so a lost edge
 *  adds one elsewhere and takes none away, and old and new trees mixed in the network are still a tree. Next come
 *  edges between ports that are `kept`: of a tree that the switches were found with.
 *
 *  Ports joined by indirect edges open into one segment, which is a node of its own in the tree: a broadcast of one of
 *  its hosts then enters at one port, and crosses it only where nothing else joins the switches. */
export function spanningForest(graph: Graph, previous: Forest, kept: ReadonlySet<string> = NO_PORTS): Forest {
  const direct: Edge[] = [];
  const indirect: Edge[] = [];
  for (const edge of graph.edges) (edge.isDirect ? direct : indirect).push(edge);
  const parts = new Parts();
  const edges = new Set<Edge>();
  const ports = new Set<string>();
  const take = (edge: Edge): void => {
    if (edges.has(edge) || !parts.join(edge.a, edge.b)) return;
    edges.add(edge);
    ports.add(portKey(edge.a, edge.aPort)).add(portKey(edge.b, edge.bPort));
  };
  const openings = segmentPorts(indirect);
  const open = ({ node, port, segment }: Opening): void => {
    if (parts.join(node, segment)) ports.add(portKey(node, port));
  };
  const isOpen = ({ node, port }: Opening): boolean =>
    previous.ports.has(portKey(node, port)) || kept.has(portKey(node, port));
  const isKept = ({ a, aPort, b, bPort }: Edge): boolean =>
    kept.has(portKey(a, aPort)) && kept.has(portKey(b, bPort));
  for (const edge of direct) if (previous.edges.has(edge)) take(edge);
  for (const opening of openings) if (isOpen(opening)) open(opening);
  for (const edge of direct) if (isKept(edge)) take(edge);
  for (const edge of direct) take(edge);
  for (const opening of openings) open(opening);
  return { edges, ports };
}

interface Opening {
  readonly node: number;
  readonly port: number;
  /** A number below zero, the same for all ports of a segment. */
  readonly segment: number;
}

function segmentPorts(indirect: readonly Edge[]): Opening[] {
  const numbers = new Map<string, { node: number; port: number; index: number }>();
  const parts = new Parts();
  const number = (node: number, port: number): number => {
    const key = portKey(node, port);
    let entry = numbers.get(key);
    if (entry === undefined) {
      entry = { node, port, index: numbers.size };
      numbers.set(key, entry);
    }
    return entry.index;
  };
  for (const { a, aPort, b, bPort } of indirect) parts.join(number(a, aPort), number(b, bPort));
  return [...numbers.values()].map(({ node, port, index }) => ({
    node,
    port,
    segment: -1 - parts.find(index),
  }));
}

/** Disjoint sets. */
class Parts {
  readonly #above = new Map<number, number>();

  find(member: number): number {
    let root = member;
    for (let next = this.#above.get(root); next !== undefined; next = this.#above.get(root)) root = next;
    if (root !== member) this.#above.set(member, root);
    return root;
  }

  /** False when they were in one set. */
  join(a: number, b: number): boolean {
    const [x, y] = [this.find(a), this.find(b)];
    if (x === y) return false;
    this.#above.set(y, x);
    return true;
  }
}
