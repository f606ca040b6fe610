import type { OfMessageInit } from "@sluice/openflow-codec";
import type { FabricHost } from "./destination.js";
import {
  admit,
  dismiss,
  FLOOD_GROUP,
  floodTo,
  foundation,
  noFlows,
  noGroup,
  type PortRole,
  pathGroup,
  ROLES,
  roleChange,
} from "./flows.js";
import { type Forest, NO_FOREST, portKey, spanningForest } from "./forest.js";
import { type Edge, Graph, makeEdge } from "./graph.js";
import { Numbers } from "./numbers.js";
import type { Found } from "./takeover.js";
import { Ways } from "./ways.js";

/** What there is of a port beside the graph. `kept`: it was found to lead to another switch, and the link is yet to be seen;
 *  it stays what it was. */
export type PortState = "down" | "pending" | "blocked" | "kept" | "up";

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
  /** What the switch had when it came, which is left to be until all links are seen again. */
  found: Found | undefined;
}
export interface FabricOptions {
  /** Takes a message for the switch of a node. */
  send: (node: number, message: OfMessageInit) => void;
  /** Calls back, not at once, when the switch has carried out all that it was sent so far, or is gone. */
  confirm: (node: number, then: () => void) => void;
  /** Seconds without a packet of a host before the switch says so. */
  hostIdleSecs: number;
  /** A host is no longer known to be where it was. */
  forget: (mac: string) => void;
}

/** What the switches should do so that they are together one loop-free switch, and the messages for what is different
 *  from before. `flush` sends what a change of links or ports means; hosts take effect at once. */
export class Fabric {
  readonly counters = { treeChanges: 0 };
  readonly #options: FabricOptions;
  /** All links that are there both ways. */
  readonly #links = new Graph();
  /** Those that paths may take: cables, and ways through other networks by ports of the spanning tree. */
  readonly #graph = new Graph((node) => this.#numbers.of(node));
  readonly #sites = new Map<number, Site>();
  /** How packets get to hosts. */
  readonly ways: Ways;
  readonly #numbers: Numbers;
  /** Directions seen, by their ports; a link is used when both are. */
  readonly #seen = new Map<string, FabricLink>();
  readonly #linksAt = new Map<string, { links: number; direct: number }>();
  readonly #dirtySites = new Set<number>();
  #forest: Forest = NO_FOREST;
  #isGraphChanged = false;
  /** While above zero, the spanning tree may lose edges and gain none. */
  #holds = 0;
  /** Ports of the tree that switches came with, until one is grown when they are no longer left as they are. */
  readonly #keptTree = new Set<string>();

  constructor(options: FabricOptions) {
    this.#options = options;
    this.#numbers = new Numbers((node) => !this.#sites.has(node) && !this.ways.isInUse(node));
    this.ways = new Ways({
      graph: this.#graph,
      groupOf: (node) => pathGroup(this.#numbers.of(node)),
      send: (node, message) => this.#send(node, message),
      confirm: options.confirm,
      isThere: (node) => this.#sites.has(node),
      isHeld: (node) => (node === undefined ? this.isTakingOver : this.#sites.get(node)?.found !== undefined),
      mayCarry: (edge) => this.#mayCarry(edge),
    });
  }

  /** The node for a switch that comes. */
  nodeFor(dpid: bigint): number {
    return this.#numbers.enter(dpid, (node) => this.#sites.has(node));
  }

  /** A switch begins anew, or, with what it was `found` to have, goes on as it is until its links are seen. */
  addSite(node: number, found?: Found): void {
    const site: Site = { roles: new Map(found?.roles), states: new Map(), flooded: "", found };
    this.#sites.set(node, site);
    this.ways.addSwitch(node);
    if (found === undefined) for (const message of foundation()) this.#options.send(node, message);
    else {
      site.flooded = floodedPorts(site.roles).join();
      for (const [port, role] of found.roles)
        if (ROLES[role].floods && LINKED.has(role)) this.#keptTree.add(portKey(node, port));
      this.hold();
    }
    this.#dirtySites.add(node);
  }

  /** Its links and hosts were removed before. */
  removeSite(node: number): void {
    if (this.#sites.get(node)?.found) {
      this.release();
      for (const key of [...this.#keptTree]) if (nodeOfKey(key) === node) this.#keptTree.delete(key);
    }
    this.#sites.delete(node);
    this.#dirtySites.delete(node);
    this.ways.removeSwitch(node);
  }

  /** The state of a port that is up, when its switch has just come. */
  firstState(node: number, port: number): PortState {
    const role = this.#sites.get(node)?.found?.roles.get(port);
    if (role === undefined) return "pending";
    if (LINKED.has(role)) return "kept";
    return role === "edge" ? "up" : "blocked";
  }

  /** Whether switches are left as they came. */
  get isTakingOver(): boolean {
    for (const { found } of this.#sites.values()) if (found) return true;
    return false;
  }

  /** Whether all links that switches came with are seen. */
  get isWhole(): boolean {
    for (const { states } of this.#sites.values())
      for (const state of states.values()) if (state === "kept") return false;
    return true;
  }

  /** From now on switches that were left as they came are made what they should be. `flush` follows. Gives
   *  how many there are, and ports of theirs without the link that they had. */
  takeOver(): { switches: number; missing: number } {
    let missing = 0;
    const sites = [...this.#sites].filter(([, { found }]) => found !== undefined);
    for (const [node, site] of sites) {
      const { groups, hosts, senders } = site.found!;
      for (const [port, state] of site.states) {
        if (state !== "kept") continue;
        missing++;
        // There was a link when nobody looked; it may be there still.
        site.states.set(port, "blocked");
      }
      for (const { mac, port } of senders) {
        const host = this.host(mac);
        if (host?.node !== node || host.port !== port) this.#send(node, dismiss(port, mac));
      }
      this.#dirtySites.add(node);
      this.ways.adopt(node, {
        groups: new Map([...groups].map(([number, way]) => [this.#numbers.node(number), way])),
        hosts: new Map(
          [...hosts].map(([mac, number]) => [mac, number === undefined ? node : this.#numbers.node(number)]),
        ),
      });
    }
    for (const [, site] of sites) {
      this.release();
      site.found = undefined;
    }
    this.ways.adopted();
    return { switches: sites.length, missing };
  }

  /** What takes everything back from a switch. */
  clearance(node: number): OfMessageInit[] {
    const groups = this.ways.groupsAt(node).map((root) => pathGroup(this.#numbers.of(root)));
    return [noFlows, ...[FLOOD_GROUP, ...groups].map(noGroup)];
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
    if (edge.isDirect) this.ways.addEdge(edge);
  }

  /** Whether a link is seen both ways. */
  isUsed(link: FabricLink): boolean {
    return this.#links.isJoined(edgeOf(link));
  }

  removeLink(link: FabricLink): void {
    const known = this.#seen.get(directionKey(link));
    if (known === undefined) return;
    this.#seen.delete(directionKey(link));
    this.#countLink(known, -1);
    const edge = this.#links.remove(edgeOf(link));
    if (edge === undefined) return;
    this.#isGraphChanged = true;
    this.ways.removeEdge(edge);
  }

  host(mac: string): FabricHost | undefined {
    return this.ways.host(mac);
  }

  /** A host is there, or there now. */
  putHost(mac: string, node: number, port: number): void {
    const before = this.host(mac);
    if (before?.node === node && before.port === port) return;
    if (before) this.#send(before.node, dismiss(before.port, mac));
    const isAdmitted = this.#sites
      .get(node)
      ?.found?.senders.some(
        (one) => one.mac === mac && one.port === port && one.idleSecs === this.#options.hostIdleSecs,
      );
    if (this.role(node, port) === "edge" && !isAdmitted)
      this.#send(node, admit(port, mac, this.#options.hostIdleSecs));
    this.ways.put(mac, node, port);
  }

  removeHost(mac: string): void {
    const host = this.host(mac);
    if (host === undefined) return;
    this.#send(host.node, dismiss(host.port, mac));
    this.ways.remove(mac);
  }

  /** Makes a way for packets to a host from a switch on. False when there is none. */
  lead(mac: string, from: number): boolean {
    return this.ways.lead(mac, from);
  }

  /** Brings the switches to what links and ports are now. Gives the nodes to wait for before another `flush` may grow
   *  the spanning tree: where it lost a link that might still carry frames. Where it `isLong`, it `isSettled` only when
   *  `ways.settleMore` says so. */
  flush(isLong?: () => boolean): { waitFor: readonly number[]; isSettled: boolean } {
    this.ways.mend();
    const waitFor = this.#growForest();
    const isSettled = this.ways.settle(isLong);
    for (const node of this.#dirtySites) this.#settle(node);
    this.#dirtySites.clear();
    return { waitFor, isSettled };
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
    let next = spanningForest(this.#links, before, this.#keptTree);
    const lost = [...before.edges].filter((edge) => !next.edges.has(edge) && this.#mayCarry(edge));
    if (lost.length > 0 || this.#holds > 0)
      next = within(next, new Set([...before.ports, ...this.#keptTree]));
    // The link seen last may be of the kept tree, and is in no forest before this one.
    if (!this.isTakingOver) this.#keptTree.clear();
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
      if (isOpen) this.ways.addEdge(edge);
      else this.ways.removeEdge(edge);
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
    const ports = floodedPorts(site.roles);
    const flooded = ports.join();
    if (flooded !== site.flooded) {
      site.flooded = flooded;
      messages.push(floodTo(ports));
    }
    for (const message of messages) this.#options.send(node, message);
  }

  #emptyPort(node: number, port: number): void {
    for (const { mac, port: at } of this.ways.hostsAt(node)) {
      if (at !== port) continue;
      this.removeHost(mac);
      this.#options.forget(mac);
    }
  }

  #roleOf({ states, roles }: Site, node: number, port: number): PortRole {
    const state = states.get(port) ?? "down";
    if (state === "down") return "down";
    if (state === "kept") return roles.get(port) ?? "down";
    const { links = 0, direct = 0 } = this.#linksAt.get(portKey(node, port)) ?? {};
    const isInTree = this.#forest.ports.has(portKey(node, port));
    if (direct > 0) return isInTree ? "tree" : "link";
    if (links > 0) return isInTree ? "segment-tree" : "segment";
    return state === "up" ? "edge" : state;
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

/** What of a forest opens no ports but these. */
const within = ({ edges, ports }: Forest, kept: ReadonlySet<string>): Forest => ({
  edges: new Set(
    [...edges].filter(({ a, aPort, b, bPort }) => kept.has(portKey(a, aPort)) && kept.has(portKey(b, bPort))),
  ),
  ports: new Set([...ports].filter((key) => kept.has(key))),
});

/** Roles of ports that lead to other switches. */
const LINKED: ReadonlySet<PortRole> = new Set(["tree", "link", "segment-tree"]);

const floodedPorts = (roles: ReadonlyMap<number, PortRole>): number[] =>
  [...roles]
    .filter(([, role]) => ROLES[role].floods)
    .map(([port]) => port)
    .sort((a, b) => a - b);

const symmetricDifference = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [
  ...[...a].filter((key) => !b.has(key)),
  ...[...b].filter((key) => !a.has(key)),
];
