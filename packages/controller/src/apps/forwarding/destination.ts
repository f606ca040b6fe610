import type { Edge, Graph, Hop } from "./graph.js";
import type { NextHops, ShortestPaths } from "./paths.js";

export interface FabricHost {
  readonly mac: string;
  readonly node: number;
  readonly port: number;
}

/** The group of a switch towards a destination. */
export interface GroupState {
  next: NextHops;
  key: string;
  /** What it was, until the switch has confirmed what it is now. */
  before: NextHops | undefined;
}

export interface Destination {
  readonly node: number;
  readonly graph: Graph;
  readonly paths: ShortestPaths;
  readonly groups: Map<number, GroupState>;
  /** Switches whose groups may have to change. */
  readonly dirty: Set<number>;
  /** Those that are there, or leave, and those that were there while a switch may still send their packets here. */
  readonly hosts: Set<Host>;
  /** Of `groups`, those that wait for a confirmation. */
  unconfirmed: number;
  /** Its packets are being lost: what switches do is corrected at once, as far as no loop may come of it. */
  isUrgent: boolean;
  /** Its switch is gone. */
  isGone: boolean;
}

/** The flow for a host in a switch. */
export interface FlowState {
  /** The node that it leads to. */
  readonly to: number;
  /** Those that it may lead to until the switch has confirmed it. */
  before: readonly number[];
  state: "coming" | "there" | "going";
}

export interface Host extends FabricHost {
  node: number;
  port: number;
  /** By switch. */
  readonly flows: Map<number, FlowState>;
  /** Switches that are to know the way to it: closed under next hops. */
  readonly wanted: Set<number>;
  /** Those of `wanted` that have yet to be told. */
  readonly pending: Set<number>;
  isLeaving: boolean;
}

/** Whether a switch may send a host's packets to a destination. */
export const mayLeadTo = (flow: FlowState | undefined, node: number): boolean =>
  flow !== undefined && (flow.to === node || flow.before.includes(node));

/** The nearer to the destination first; every way by settled groups leads down in this order, but for a spare over one
 *  cable (see `nextHops`). */
export const rankIn =
  ({ paths, graph }: Destination) =>
  (a: number, b: number): number => {
    const [x, y] = [paths.distance(a), paths.distance(b)];
    return x === y ? graph.rank(a) - graph.rank(b) : x - y;
  };

export const isUsedBy = ({ groups }: Destination, edge: Edge): boolean => {
  for (const end of [edge.a, edge.b]) {
    const { hops = [], spares = [] } = groups.get(end)?.next ?? {};
    if ([...hops, ...spares].some((hop) => hop.edge === edge)) return true;
  }
  return false;
};

/** Whether a switch has a group by which no way leads any more. */
export const isCutOff = ({ groups, graph }: Destination, node: number): boolean => {
  const next = groups.get(node)?.next;
  return next !== undefined && ![...next.hops, ...next.spares].some(({ edge }) => graph.has(edge));
};

/** The hops to neighbours that know the way to all hosts of a destination to which the switch does, the nearest first. */
export function hopsToKnowing({ node: root, hosts, graph, paths }: Destination, node: number): Hop[] {
  const known = [...hosts].filter(({ flows }) => mayLeadTo(flows.get(node), root));
  const isKnownAt = (at: number): boolean =>
    known.every(({ flows }) => {
      const flow = flows.get(at);
      return flow?.to === root && flow.state === "there";
    });
  return graph
    .hops(node)
    .filter(({ to }) => isKnownAt(to))
    .sort((x, y) => paths.distance(x.to) - paths.distance(y.to) || x.port - y.port);
}

/** What is left of a neighbour's next hops if it sends nothing back by a hop to it; undefined when nothing is, or when it is not
 *  certain what it does. */
export function onwardFrom(
  { node: root, groups, graph }: Destination,
  { to, edge }: Hop,
): NextHops | undefined {
  if (to === root) return { hops: [], spares: [] };
  const group = groups.get(to);
  if (group === undefined || group.before !== undefined) return undefined;
  const { hops, spares } = group.next;
  const isLeft = (next: Hop): boolean => next.edge !== edge && graph.has(next.edge);
  if (hops.length > 0 && hops.every(isLeft)) return group.next;
  const [others, spare] = [hops.filter(isLeft), spares.filter(isLeft)];
  if (others.length > 0) return { hops: others, spares: [] };
  return spare.length > 0 ? { hops: spare, spares: [] } : undefined;
}

/** Whether a packet could come back to a switch that sends it by one of the hops `fresh`, where switches may do anything that is
 *  `possible`. One that would leave by the cable by which it came is dropped (OpenFlow 1.3.5 §4.5). */
export function comesBack(
  node: number,
  fresh: readonly Hop[],
  possible: (node: number) => readonly Hop[],
): boolean {
  if (fresh.length === 0) return false;
  const own = [...fresh, ...possible(node)];
  const isOpen = new Map<Hop, boolean>();
  const leadsBack = (hop: Hop): boolean => {
    const before = isOpen.get(hop);
    if (before !== undefined) return before;
    isOpen.set(hop, true);
    for (const next of hop.to === node ? own : possible(hop.to))
      if (next.edge !== hop.edge && leadsBack(next)) return true;
    isOpen.set(hop, false);
    return false;
  };
  return fresh.some(leadsBack);
}
