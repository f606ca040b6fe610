import fc from "fast-check";
import { expect, test } from "vitest";
import { type Forest, NO_FOREST, spanningForest } from "./forest.js";
import { type Edge, Graph, makeEdge } from "./graph.js";
import { ShortestPaths } from "./paths.js";

const NODES = 8;
/** A cable, or an indirect link, by its nodes; ports are told apart by the nodes and whether it is direct. */
const arbitraryEdge = fc
  .tuple(fc.nat(NODES - 1), fc.nat(NODES - 1), fc.boolean())
  .map(([a, b, isDirect]) =>
    makeEdge(a, 10 * b + (isDirect ? 1 : 2), b, 10 * a + (isDirect ? 1 : 2), isDirect),
  );
/** Edges that come and go: the same one twice in the list goes the second time. */
const arbitraryChanges = fc.array(arbitraryEdge, { minLength: 1, maxLength: 60 });

function toggle(graph: Graph, edge: Edge, paths?: ShortestPaths): Set<number> {
  const gone = graph.remove(edge);
  if (gone) return paths?.removed(gone) ?? new Set();
  graph.add(edge);
  return paths?.added(edge) ?? new Set();
}

const view = (paths: ShortestPaths, node: number): string => {
  const { hops, spares } = paths.nextHops(node);
  return `${paths.distance(node)} ${hops.map(({ port }) => port)} ${spares.map(({ port }) => port)}`;
};

test("paths kept up to date edge by edge are those computed anew, and every change of a next hop is told", () => {
  fc.assert(
    fc.property(arbitraryChanges, (changes) => {
      const graph = new Graph();
      const paths = new ShortestPaths(graph, 0);
      for (const edge of changes) {
        const before = Array.from({ length: NODES }, (_, node) => view(paths, node));
        const told = toggle(graph, edge, paths);
        const anew = new ShortestPaths(graph, 0);
        for (let node = 0; node < NODES; node++) {
          expect(view(paths, node)).toBe(view(anew, node));
          if (view(paths, node) !== before[node]) expect(told.has(node)).toBe(true);
        }
      }
    }),
  );
});

test("next hops lead nearer, and a spare's own paths do not come back", () => {
  fc.assert(
    fc.property(arbitraryChanges, (changes) => {
      const graph = new Graph();
      for (const edge of changes) toggle(graph, edge);
      const paths = new ShortestPaths(graph, 0);
      for (let node = 1; node < NODES; node++) {
        const { hops, spares } = paths.nextHops(node);
        for (const { to } of hops) expect(paths.distance(to)).toBeLessThan(paths.distance(node));
        for (const spare of spares) {
          const reached = new Set<number>();
          const walk = (at: number): void => {
            if (reached.has(at)) return;
            reached.add(at);
            for (const { to } of paths.nextHops(at).hops) walk(to);
          };
          walk(spare.to);
          expect(reached.has(node)).toBe(false);
          expect(reached.has(0)).toBe(true);
        }
      }
    }),
  );
});

/** Where a frame gets that enters at a node and goes by the ports of the forest; false when it comes by twice. */
function flood(graph: Graph, ports: ReadonlySet<string>, from: number): Set<number> | false {
  const reached = new Set<number>();
  const visit = (node: number, inPort: number | undefined): boolean => {
    if (reached.has(node)) return false;
    reached.add(node);
    const outs = new Set(graph.hops(node).map(({ port }) => port));
    for (const out of outs) {
      if (out === inPort || !ports.has(`${node}:${out}`)) continue;
      for (const { to, edge } of graph.hops(node).filter(({ port }) => port === out)) {
        const arrival = edge.a === node && edge.aPort === out ? edge.bPort : edge.aPort;
        if (ports.has(`${to}:${arrival}`) && !visit(to, arrival)) return false;
      }
    }
    return true;
  };
  return visit(from, undefined) && reached;
}

const connected = (graph: Graph, from: number): Set<number> => {
  const reached = new Set([from]);
  for (const node of reached) for (const { to } of graph.hops(node)) reached.add(to);
  return reached;
};

test("a flood along the forest reaches every connected switch once, and what was in the forest stays", () => {
  const direct = arbitraryChanges.map((edges) => edges.filter(({ isDirect }) => isDirect));
  fc.assert(
    fc.property(direct, (changes) => {
      const graph = new Graph();
      let forest: Forest = NO_FOREST;
      for (const edge of changes) {
        toggle(graph, edge);
        const present = new Set(graph.edges);
        const before = forest;
        forest = spanningForest(graph, before);
        for (const kept of before.edges) if (present.has(kept)) expect(forest.edges.has(kept)).toBe(true);
        for (let node = 0; node < NODES; node++)
          expect(flood(graph, forest.ports, node)).toEqual(connected(graph, node));
      }
    }),
  );
});

test("a network between three switches is entered by all of them, until a cable joins two", () => {
  const graph = new Graph();
  for (const [a, b] of [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const)
    graph.add(makeEdge(a, 9, b, 9, false));
  const alone = spanningForest(graph, NO_FOREST);
  expect([...alone.ports].sort()).toEqual(["0:9", "1:9", "2:9"]);
  graph.add(makeEdge(0, 1, 1, 1, true));
  expect([...spanningForest(graph, NO_FOREST).ports].sort()).toEqual(["0:1", "0:9", "1:1", "2:9"]);
});
