import type { OfMessageInit } from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import {
  admit,
  dismiss,
  FLOOD_GROUP,
  floodTo,
  foundation,
  hostFlow,
  noFlows,
  noGroup,
  noHostFlow,
  type PortRole,
  pathGroup,
  pathKey,
  pathTo,
  ROLES,
  roleChange,
  toGroup,
} from "./flows.js";
import { type Forest, NO_FOREST, portKey, spanningForest } from "./forest.js";
import { type Edge, Graph, makeEdge } from "./graph.js";
import { ShortestPaths } from "./paths.js";

/** What there is of a port beside the graph. */
export type PortState = "down" | "pending" | "blocked" | "up";

export interface FabricHost {
  readonly mac: string;
  readonly node: number;
  readonly port: number;
}

/** A link in one direction, by nodes. */
export interface FabricLink {
  readonly src: { node: number; port: number };
  readonly dst: { node: number; port: number };
  readonly isDirect: boolean;
}

interface Site {
  readonly roles: Map<number, PortRole>;
  readonly states: Map<number, PortState>;
  /** As last sent. */
  flooded: string;
}
interface Host extends FabricHost {
  /** Switches that know the way to it. */
  readonly at: Set<number>;
}
interface Destination {
  readonly paths: ShortestPaths;
  /** The group of each switch that has one, as last sent. */
  readonly sent: Map<number, string>;
  /** Nodes whose groups may have to change. */
  dirty: Set<number>;
  readonly hosts: Set<Host>;
}

export interface FabricOptions {
  /** Takes a message for the switch of a node. */
  send: (node: number, message: OfMessageInit) => void;
  /** Seconds without a packet of a host before the switch says so. */
  hostIdleSecs: number;
  /** A host is no longer known to be where it was. */
  forget: (mac: string) => void;
}

/** What the switches should do so that they are together one loop-free switch, and the messages for what is different
 *  from before. `flush` sends what a change of links or ports means; hosts take effect at once. */
export class Fabric {
  readonly counters = { pathChanges: 0, treeChanges: 0 };
  readonly #options: FabricOptions;
  /** All links that are there both ways. */
  readonly #links = new Graph();
  /** Those that paths may take: cables, and ways through other networks by ports of the spanning tree. */
  readonly #graph = new Graph();
  readonly #sites = new Map<number, Site>();
  readonly #hosts = new Map<string, Host>();
  readonly #destinations = new Map<number, Destination>();
  /** Directions seen, by their ports; a link is used when both are. */
  readonly #seen = new Map<string, FabricLink>();
  readonly #linksAt = new Map<string, { links: number; direct: number }>();
  readonly #dirtySites = new Set<number>();
  #forest: Forest = NO_FOREST;
  #isGraphChanged = false;
  /** While above zero, the spanning tree may lose edges and gain none. */
  #holds = 0;

  constructor(options: FabricOptions) {
    this.#options = options;
  }

  addSite(node: number): void {
    this.#sites.set(node, { roles: new Map(), states: new Map(), flooded: "" });
    for (const message of foundation()) this.#options.send(node, message);
    this.#dirtySites.add(node);
  }

  /** Its links and hosts were removed before. */
  removeSite(node: number): void {
    this.#sites.delete(node);
    this.#dirtySites.delete(node);
    const destination = this.#destinations.get(node);
    this.#destinations.delete(node);
    for (const at of destination?.sent.keys() ?? []) this.#send(at, noGroup(pathGroup(node)));
    for (const { sent } of this.#destinations.values()) sent.delete(node);
    for (const host of this.#hosts.values()) host.at.delete(node);
  }

  /** What takes everything back from a switch. */
  clearance(node: number): OfMessageInit[] {
    const groups = [...this.#destinations].filter(([, { sent }]) => sent.has(node));
    return [noFlows, ...[FLOOD_GROUP, ...groups.map(([root]) => pathGroup(root))].map(noGroup)];
  }

  setPort(node: number, port: number, state: PortState | undefined): void {
    const site = this.#sites.get(node);
    if (site === undefined) return;
    if (state === undefined) site.states.delete(port);
    else site.states.set(port, state);
    this.#dirtySites.add(node);
  }

  portState(node: number, port: number): PortState | undefined {
    return this.#sites.get(node)?.states.get(port);
  }

  /** The role of a port as far as it was told to the switch. */
  role(node: number, port: number): PortRole {
    return this.#sites.get(node)?.roles.get(port) ?? "down";
  }

  addLink(link: FabricLink): void {
    const key = directionKey(link);
    if (this.#seen.has(key)) return;
    this.#seen.set(key, link);
    this.#countLink(link, 1);
    if (!this.#seen.has(directionKey({ src: link.dst, dst: link.src }))) return;
    const edge = edgeOf(link);
    if (!this.#links.add(edge)) return;
    this.#isGraphChanged = true;
    if (edge.isDirect) this.#addEdge(edge);
  }

  removeLink(link: FabricLink): void {
    const known = this.#seen.get(directionKey(link));
    if (known === undefined) return;
    this.#seen.delete(directionKey(link));
    this.#countLink(known, -1);
    const edge = this.#links.remove(edgeOf(link));
    if (edge === undefined) return;
    this.#isGraphChanged = true;
    this.#removeEdge(edge);
  }

  #addEdge(edge: Edge): void {
    if (!this.#graph.add(edge)) return;
    for (const { paths, dirty } of this.#destinations.values())
      for (const node of paths.added(edge)) dirty.add(node);
  }

  #removeEdge(edge: Edge): void {
    if (this.#graph.remove(edge) === undefined) return;
    for (const { paths, dirty } of this.#destinations.values())
      for (const node of paths.removed(edge)) dirty.add(node);
  }

  host(mac: string): FabricHost | undefined {
    return this.#hosts.get(mac);
  }

  /** A host is there, or there now. */
  putHost(mac: string, node: number, port: number): void {
    const before = this.#hosts.get(mac);
    if (before?.node === node && before.port === port) return;
    if (before) {
      this.#send(before.node, dismiss(before.port, mac));
      this.#destinations.get(before.node)?.hosts.delete(before);
    }
    const host: Host = { mac, node, port, at: new Set() };
    this.#hosts.set(mac, host);
    this.#destination(node).hosts.add(host);
    if (this.role(node, port) === "edge") this.#send(node, admit(port, mac, this.#options.hostIdleSecs));
    this.#lead(host, [node, ...(before?.at ?? [])]);
  }

  removeHost(mac: string): void {
    const host = this.#hosts.get(mac);
    if (host === undefined) return;
    this.#hosts.delete(mac);
    this.#destinations.get(host.node)?.hosts.delete(host);
    this.#send(host.node, dismiss(host.port, mac));
    for (const node of host.at) this.#send(node, noHostFlow(mac));
  }

  /** Makes a way for packets to a host from a switch on. False when there is none. */
  lead(mac: string, from: number): boolean {
    const host = this.#hosts.get(mac);
    if (host === undefined) return false;
    if (!host.at.has(from)) this.#lead(host, [from]);
    return this.#destination(host.node).paths.distance(from) !== Number.POSITIVE_INFINITY;
  }

  /** Brings the switches to what links and ports are now. Gives the nodes to wait for before another `flush` may grow
   *  the spanning tree: where it lost a link that might still carry frames. */
  flush(): readonly number[] {
    const waitFor = this.#growForest();
    for (const [node, destination] of this.#destinations) this.#reroute(node, destination);
    for (const node of this.#dirtySites) this.#settle(node);
    this.#dirtySites.clear();
    return waitFor;
  }

  hold(): void {
    this.#holds++;
  }
  release(): void {
    this.#holds--;
    this.#isGraphChanged = true;
  }

  #growForest(): readonly number[] {
    if (!this.#isGraphChanged) return [];
    this.#isGraphChanged = false;
    const before = this.#forest;
    let next = spanningForest(this.#links, before);
    const lost = [...before.edges].filter((edge) => !next.edges.has(edge) && this.#mayCarry(edge));
    if (lost.length > 0 || this.#holds > 0) next = intersection(before, next);
    for (const key of symmetricDifference(before.ports, next.ports)) this.#dirtySites.add(nodeOfKey(key));
    this.counters.treeChanges++;
    this.#forest = next;
    this.#openSegments();
    return [...new Set(lost.flatMap(({ a, b }) => [a, b]))].filter((node) => this.#sites.has(node));
  }

  /** Paths go through other networks only where broadcasts do. */
  #openSegments(): void {
    for (const edge of this.#links.edges) {
      if (edge.isDirect) continue;
      const { ports } = this.#forest;
      const isOpen = ports.has(portKey(edge.a, edge.aPort)) && ports.has(portKey(edge.b, edge.bPort));
      if (isOpen) this.#addEdge(edge);
      else this.#removeEdge(edge);
    }
  }

  #mayCarry({ a, aPort, b, bPort }: Edge): boolean {
    const isUp = (node: number, port: number): boolean => (this.portState(node, port) ?? "down") !== "down";
    return isUp(a, aPort) && isUp(b, bPort);
  }

  #settle(node: number): void {
    const site = this.#sites.get(node);
    if (site === undefined) return;
    const messages: OfMessageInit[] = [];
    for (const port of new Set([...site.states.keys(), ...site.roles.keys()])) {
      const from = site.roles.get(port) ?? "down";
      const to = this.#roleOf(site, node, port);
      if (from === to) continue;
      if (site.states.has(port)) site.roles.set(port, to);
      else site.roles.delete(port);
      messages.push(...roleChange(port, from, to));
      if (ROLES[from].mayHaveHosts && !ROLES[to].mayHaveHosts) this.#emptyPort(node, port);
    }
    const ports = [...site.roles].filter(([, role]) => ROLES[role].floods).map(([port]) => port);
    const flooded = ports.sort((a, b) => a - b).join();
    if (flooded !== site.flooded) {
      site.flooded = flooded;
      messages.push(floodTo(ports));
    }
    for (const message of messages) this.#options.send(node, message);
  }

  #emptyPort(node: number, port: number): void {
    for (const { mac, port: at } of this.#destinations.get(node)?.hosts ?? []) {
      if (at !== port) continue;
      this.removeHost(mac);
      this.#options.forget(mac);
    }
  }

  #roleOf({ states }: Site, node: number, port: number): PortRole {
    const state = states.get(port) ?? "down";
    if (state === "down") return "down";
    const { links = 0, direct = 0 } = this.#linksAt.get(portKey(node, port)) ?? {};
    const isInTree = this.#forest.ports.has(portKey(node, port));
    if (direct > 0) return isInTree ? "tree" : "link";
    if (links > 0) return isInTree ? "segment-tree" : "segment";
    return state === "up" ? "edge" : state;
  }

  /** Gives the flow for a host to the switches `from`, and to all that packets then come by: the nearest to it first. */
  #lead(host: Host, from: readonly number[]): void {
    const { paths, sent } = this.#destination(host.node);
    const fresh = new Set(from.filter((node) => !host.at.has(node)));
    for (const node of fresh) {
      const { hops, spares } = paths.nextHops(node);
      for (const { to } of [...hops, ...spares]) if (!host.at.has(to)) fresh.add(to);
    }
    const order = [...fresh].sort((a, b) => paths.distance(a) - paths.distance(b));
    for (const node of order) {
      if (!this.#sites.has(node)) continue;
      host.at.add(node);
      if (node === host.node) {
        this.#send(node, hostFlow(host.mac, output(host.port)));
        continue;
      }
      if (!sent.has(node)) {
        const next = paths.nextHops(node);
        sent.set(node, pathKey(next));
        for (const message of pathTo(host.node, next, true)) this.#send(node, message);
      }
      this.#send(node, hostFlow(host.mac, toGroup(pathGroup(host.node))));
    }
  }

  #reroute(root: number, destination: Destination): void {
    const { paths, sent, hosts } = destination;
    if (destination.dirty.size === 0) return;
    const nodes = [...destination.dirty].sort((a, b) => paths.distance(a) - paths.distance(b));
    destination.dirty = new Set();
    for (const node of nodes) {
      const known = sent.get(node);
      if (known === undefined) continue;
      const next = paths.nextHops(node);
      const key = pathKey(next);
      if (key === known) continue;
      const onward = [...next.hops, ...next.spares].map(({ to }) => to);
      for (const host of hosts) if (host.at.has(node)) this.#lead(host, onward);
      sent.set(node, key);
      this.counters.pathChanges++;
      for (const message of pathTo(root, next, false)) this.#send(node, message);
    }
  }

  #destination(node: number): Destination {
    let destination = this.#destinations.get(node);
    if (destination === undefined) {
      const paths = new ShortestPaths(this.#graph, node);
      destination = { paths, sent: new Map(), dirty: new Set(), hosts: new Set() };
      this.#destinations.set(node, destination);
    }
    return destination;
  }

  #countLink({ src, dst, isDirect }: FabricLink, by: 1 | -1): void {
    for (const { node, port } of [src, dst]) {
      const key = portKey(node, port);
      const count = this.#linksAt.get(key) ?? { links: 0, direct: 0 };
      count.links += by;
      if (isDirect) count.direct += by;
      if (count.links > 0) this.#linksAt.set(key, count);
      else this.#linksAt.delete(key);
      this.#dirtySites.add(node);
    }
  }

  #send(node: number, message: OfMessageInit): void {
    if (this.#sites.has(node)) this.#options.send(node, message);
  }
}

const directionKey = ({ src, dst }: Pick<FabricLink, "src" | "dst">): string =>
  `${portKey(src.node, src.port)}>${portKey(dst.node, dst.port)}`;

const edgeOf = ({ src, dst, isDirect }: FabricLink): Edge =>
  makeEdge(src.node, src.port, dst.node, dst.port, isDirect);

const nodeOfKey = (key: string): number => Number(key.slice(0, key.indexOf(":")));

const intersection = (a: Forest, b: Forest): Forest => ({
  edges: new Set([...a.edges].filter((edge) => b.edges.has(edge))),
  ports: new Set([...a.ports].filter((key) => b.ports.has(key))),
});

const symmetricDifference = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [
  ...[...a].filter((key) => !b.has(key)),
  ...[...b].filter((key) => !a.has(key)),
];
