import type { OfMessageInit } from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import {
  comesBack,
  type Destination,
  type FabricHost,
  type FlowState,
  type GroupState,
  type Host,
  hopsToKnowing,
  isCutOff,
  isUsedBy,
  mayLeadTo,
  onwardFrom,
  rankIn,
} from "./destination.js";
import { hostFlow, noGroup, noHostFlow, pathKey, pathTo, toGroup } from "./flows.js";
import type { Edge, Graph, Hop } from "./graph.js";
import { type NextHops, ShortestPaths } from "./paths.js";

export interface WaysOptions {
  /** What paths may take. Changed by `addEdge` and `removeEdge` only. */
  readonly graph: Graph;
  /** The number of the group towards a node. */
  groupOf(node: number): number;
  send(node: number, message: OfMessageInit): void;
  /** Calls back, not at once, when the switch has carried out all that it was sent so far, or is gone. */
  confirm(node: number, then: () => void): void;
  /** Whether a switch is there to be told anything. */
  isThere(node: number): boolean;
  /** Whether a switch is left as it is for now, until `adopted`; without a node, whether any is. */
  isHeld(node?: number): boolean;
  /** Whether packets may still cross an edge that is not in the graph any more. */
  mayCarry(edge: Edge): boolean;
}

/** What a switch was found to have. */
export interface FoundWays {
  /** Buckets' ports by the node that a group leads to. */
  readonly groups: ReadonlyMap<number, { isSelect: boolean; ports: readonly number[] }>;
  /** By address: the node whose group its flow leads to. */
  readonly hosts: ReadonlyMap<string, number>;
}

/** How packets get to hosts: which switches have a flow for a host and a group towards its switch, and in what order they
 *  are told, so that a packet comes by no switch twice, whatever part of a change has arrived where (as P. Francois and
 *  O. Bonaventure, "Avoiding transient loops during IGP convergence", 2005):
 *
 *  - A switch is told of a host when all to which it may then send the packets know the host; nearest first. It is made to
 *    forget one when none may send it packets for it any more; farthest first.
 *  - A group changes when no way by old and new groups, of which it is not certain which is in force, would lead back. And when
 *    nothing is being lost meanwhile, only after the groups nearer to the destination: so no packet is lost, either.
 *  - A switch does not send back by the port by which a packet came (OpenFlow 1.3.5 §4.5): that is no loop. */
export class Ways {
  readonly counters = { pathChanges: 0, forced: 0 };
  readonly #options: WaysOptions;
  readonly #hosts = new Map<string, Host>();
  readonly #destinations = new Map<number, Destination>();
  /** Hosts that switches have yet to be told of. */
  readonly #waiting = new Set<Host>();
  /** Switches that had a way and have none left. */
  #cutOff: { readonly destination: Destination; readonly node: number }[] = [];
  /** What `settle` is yet to look at, from `#settled` on. */
  #toSettle: readonly Destination[] = [];
  #settled = 0;

  constructor(options: WaysOptions) {
    this.#options = options;
  }

  host(mac: string): FabricHost | undefined {
    const host = this.#hosts.get(mac);
    return host?.isLeaving ? undefined : host;
  }

  /** The hosts at a switch. */
  hostsAt(node: number): FabricHost[] {
    const hosts = [...(this.#destinations.get(node)?.hosts ?? [])];
    return hosts.filter((host) => host.node === node && !host.isLeaving);
  }

  addEdge(edge: Edge): void {
    if (!this.#options.graph.add(edge)) return;
    for (const { paths, dirty, groups } of this.#destinations.values())
      for (const node of paths.added(edge)) if (groups.has(node)) dirty.add(node);
  }

  removeEdge(edge: Edge): void {
    if (this.#options.graph.remove(edge) === undefined) return;
    for (const destination of this.#destinations.values()) {
      const { paths, dirty, groups } = destination;
      for (const node of paths.removed(edge)) if (groups.has(node)) dirty.add(node);
      if (isUsedBy(destination, edge)) destination.isUrgent = true;
      for (const node of [edge.a, edge.b])
        if (isCutOff(destination, node)) this.#cutOff.push({ destination, node });
    }
  }

  /** Gives switches that have no way left some other, at once. `settle` makes it the best. */
  mend(): void {
    const left = this.#cutOff.filter(({ destination, node }) => !this.#detour(destination, node));
    this.#cutOff = [];
    for (const destination of new Set(left.map((one) => one.destination)))
      if (this.#destinations.get(destination.node) === destination) this.#advance(destination);
  }

  /** By a neighbour that knows the way already, so that nobody else need be told first; it sends nothing this way any more
   *  (until it knows, it loses a part: a switch does not send back). False when there is none. */
  #detour(destination: Destination, node: number): boolean {
    const { groups, dirty } = destination;
    const group = groups.get(node);
    if (group === undefined || group.before !== undefined || !this.#options.isThere(node)) return false;
    if (this.#destinations.get(destination.node) !== destination) return false;
    for (const hop of hopsToKnowing(destination, node)) {
      if (!this.#options.isThere(hop.to)) continue;
      const onward = onwardFrom(destination, hop);
      const next = { hops: [hop], spares: [] };
      if (onward === undefined || this.#wouldLoop(destination, node, next)) continue;
      const beyond = groups.get(hop.to);
      if (beyond !== undefined && onward !== beyond.next) {
        dirty.add(hop.to);
        this.#change(destination, hop.to, beyond, onward);
      }
      dirty.add(node);
      this.#change(destination, node, group, next);
      return true;
    }
    return false;
  }

  /** Brings the groups to what the graph is now. Where it `isLong`, the rest is left to `settleMore`: by spares and equal paths
   *  packets go meanwhile. Tells whether nothing is left. */
  settle(isLong: () => boolean = () => false): boolean {
    this.mend();
    this.#toSettle = [...this.#destinations.values()].filter(({ dirty }) => dirty.size > 0);
    this.#settled = 0;
    return this.settleMore(isLong);
  }

  settleMore(isLong: () => boolean): boolean {
    while (this.#settled < this.#toSettle.length) {
      if (isLong()) return false;
      const destination = this.#toSettle[this.#settled++]!;
      if (this.#destinations.get(destination.node) === destination) this.#advance(destination);
    }
    for (const host of [...this.#waiting]) this.#tell(host);
    return true;
  }

  /** A host is there, or there now. */
  put(mac: string, node: number, port: number): void {
    let host = this.#hosts.get(mac);
    if (host === undefined) {
      host = { mac, node, port, flows: new Map(), wanted: new Set(), pending: new Set(), isLeaving: false };
      this.#hosts.set(mac, host);
    }
    const from = host.node;
    Object.assign(host, { node, port, isLeaving: false });
    this.#destination(node).hosts.add(host);
    // Those that knew the way are told the new one; at its own switch the port may be another.
    const knew = [...host.flows.keys()];
    this.#letGo(host, from);
    this.#wantAnew(host, [node, ...knew]);
    host.pending.add(node);
    this.#waiting.add(host);
    this.#tell(host);
  }

  /** The host is no longer known. */
  remove(mac: string): void {
    const host = this.#hosts.get(mac);
    if (host === undefined || host.isLeaving) return;
    host.isLeaving = true;
    host.wanted.clear();
    host.pending.clear();
    this.#retire(host);
  }

  /** Makes a way for packets to a host from a switch on. False when there is none. */
  lead(mac: string, from: number): boolean {
    const host = this.#hosts.get(mac);
    if (host === undefined || host.isLeaving) return false;
    const destination = this.#destination(host.node);
    if (!host.wanted.has(from)) {
      this.#want(host, from, destination);
      this.#tell(host);
    }
    return destination.paths.distance(from) !== Number.POSITIVE_INFINITY;
  }

  /** A switch is gone. Its edges and hosts were removed before. */
  removeSwitch(node: number): void {
    for (const destination of this.#destinations.values()) {
      if (destination.groups.get(node)?.before) destination.unconfirmed--;
      destination.groups.delete(node);
    }
    for (const host of this.#hosts.values()) {
      const flow = host.flows.get(node);
      host.flows.delete(node);
      host.wanted.delete(node);
      host.pending.delete(node);
      if (flow) for (const root of [flow.to, ...flow.before]) this.#letGo(host, root);
    }
    const destination = this.#destinations.get(node);
    if (destination) destination.isGone = true;
    for (const host of [...this.#hosts.values()]) if (host.isLeaving) this.#retire(host);
    this.#endIfGone(node);
  }

  addSwitch(node: number): void {
    const destination = this.#destinations.get(node);
    if (destination) destination.isGone = false;
  }

  /** Takes what a switch has, of an earlier connection, as what it was told. */
  adopt(node: number, found: FoundWays): void {
    for (const [root, { isSelect, ports }] of found.groups) {
      const all = ports.flatMap((port) => this.#options.graph.hops(node).filter((hop) => hop.port === port));
      const next = isSelect ? { hops: all, spares: [] } : { hops: all.slice(0, 1), spares: all.slice(1) };
      const destination = this.#destination(root);
      if (!this.#options.isThere(root)) destination.isGone = true;
      // By its own ports, of which some may lead nowhere now.
      const key = isSelect ? `${ports};` : `${ports.slice(0, 1)};${ports.slice(1)}`;
      destination.groups.set(node, { next, key, before: undefined });
      destination.dirty.add(node);
    }
    for (const [mac, to] of found.hosts) {
      let host = this.#hosts.get(mac);
      if (host === undefined) {
        // Of a host that nobody knows: to be forgotten.
        host = {
          ...{ mac, node: to, port: 0, flows: new Map(), wanted: new Set(), pending: new Set() },
          isLeaving: true,
        };
        this.#hosts.set(mac, host);
      }
      host.flows.set(node, { to, before: [], state: "there" });
      this.#destination(to).hosts.add(host);
    }
  }

  /** After the last `adopt`: corrects what is not as it should be. */
  adopted(): void {
    for (const host of [...this.#hosts.values()]) {
      if (host.isLeaving) this.#retire(host);
      else this.#wantAnew(host, [...host.wanted, ...host.flows.keys()]);
    }
    this.settle();
    for (const node of [...this.#destinations.keys()]) this.#endIfGone(node);
  }

  /** The nodes towards which a switch has groups. */
  groupsAt(node: number): number[] {
    return [...this.#destinations.values()].filter(({ groups }) => groups.has(node)).map((one) => one.node);
  }

  /** Whether something of a node that is gone is still in other switches. */
  isInUse(node: number): boolean {
    return this.#destinations.has(node);
  }

  /** Everything that a switch may do with packets to a destination: as it was, if that may still be in force, and is. */
  #possible({ groups }: Destination, node: number): readonly Hop[] {
    const group = groups.get(node);
    if (group === undefined) return [];
    const { next, before } = group;
    const all = [...next.hops, ...next.spares, ...(before ? [...before.hops, ...before.spares] : [])];
    return all.filter(({ edge }) => this.#options.graph.has(edge) || this.#options.mayCarry(edge));
  }

  /** A switch is to know the way to a host, and so is every switch that the packets then come by. */
  #want(host: Host, node: number, destination: Destination): void {
    const open = [node];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (host.wanted.has(at)) continue;
      host.wanted.add(at);
      const flow = host.flows.get(at);
      if (flow?.to !== destination.node || flow.state === "going") {
        host.pending.add(at);
        this.#waiting.add(host);
      }
      const { hops, spares } = destination.paths.nextHops(at);
      for (const { to } of [...hops, ...spares, ...this.#possible(destination, at)]) open.push(to);
    }
  }

  /** The host is not at a switch any more, and no packets for it go there. */
  #letGo(host: Host, node: number): void {
    if (host.node === node) return;
    for (const flow of host.flows.values()) if (mayLeadTo(flow, node)) return;
    this.#destinations.get(node)?.hosts.delete(host);
    this.#endIfGone(node);
  }

  #wantAnew(host: Host, nodes: readonly number[]): void {
    host.wanted.clear();
    host.pending.clear();
    for (const node of nodes) this.#want(host, node, this.#destination(host.node));
  }

  #tell(host: Host): void {
    if (host.pending.size === 0 || host.isLeaving) {
      this.#waiting.delete(host);
      return;
    }
    const destination = this.#destination(host.node);
    const rank = rankIn(destination);
    const ready = [...host.pending].sort(rank).filter((node) => this.#mayTell(host, node));
    // All groups first: of two that are each other's spare, one goes before the other.
    const grouped = ready.filter(
      (node) => node === host.node || destination.groups.has(node) || this.#newGroup(destination, node),
    );
    for (const node of grouped) {
      if (!this.#mayLead(host, destination, node, this.#possible(destination, node))) continue;
      host.pending.delete(node);
      const known = host.flows.get(node);
      const before = known ? [...known.before, known.to] : [];
      const flow: FlowState = { to: host.node, before, state: "coming" };
      host.flows.set(node, flow);
      const action =
        node === host.node ? output(host.port) : toGroup(this.#options.groupOf(destination.node));
      this.#options.send(node, hostFlow(host.mac, action));
      this.#options.confirm(node, () => {
        if (host.flows.get(node) !== flow) return;
        Object.assign(flow, { state: "there", before: [] });
        for (const root of new Set(before)) this.#letGo(host, root);
        if (host.isLeaving) this.#retire(host);
        this.#tell(host);
        if (destination.dirty.size > 0) this.#advance(destination);
      });
    }
  }

  #mayTell({ flows }: Host, node: number): boolean {
    const { isThere, isHeld } = this.#options;
    return isThere(node) && !isHeld(node) && flows.get(node)?.state !== "going";
  }

  /** Whether all switches that get packets by these hops know the host. Where two would wait for each other over one cable,
   *  by which neither sends back what came, the nearer goes first: it uses that cable only if its other one dies in just
   *  this moment. */
  #mayLead(host: Host, destination: Destination, node: number, hops: readonly Hop[]): boolean {
    const rank = rankIn(destination);
    return hops.every(({ to, edge }) => {
      const flow = host.flows.get(to);
      if (flow?.to === destination.node && flow.state === "there") return true;
      if (!this.#options.isThere(to)) return true;
      return rank(node, to) < 0 && this.#possible(destination, to).some((hop) => hop.edge === edge);
    });
  }

  #retire(host: Host): void {
    const destination = this.#destination(host.node);
    const rank = rankIn(destination);
    const reached = this.#reached(host, rank);
    for (const [node, flow] of host.flows) {
      if (flow.state !== "there" || reached.has(node) || this.#options.isHeld(node)) continue;
      flow.state = "going";
      this.#options.send(node, noHostFlow(host.mac));
      this.#options.confirm(node, () => {
        if (host.flows.get(node) !== flow) return;
        host.flows.delete(node);
        this.#letGo(host, flow.to);
        if (host.isLeaving) this.#retire(host);
        else {
          host.wanted.delete(node);
          this.#want(host, node, this.#destination(host.node));
          this.#tell(host);
        }
        for (const one of new Set([destination, this.#destination(flow.to)])) this.#advance(one);
      });
    }
    if (host.flows.size > 0 || !host.isLeaving) return;
    if (this.#hosts.get(host.mac) === host) this.#hosts.delete(host.mac);
    destination.hosts.delete(host);
    this.#endIfGone(host.node);
  }

  /** Switches that others may send a host's packets to. */
  #reached({ flows }: Host, rank: (a: number, b: number) => number): Set<number> {
    const reached = new Set<number>();
    for (const [node, { to, before }] of flows)
      for (const hop of [to, ...before].flatMap((root) => this.#possible(this.#destination(root), node))) {
        const flow = flows.get(hop.to);
        if (flow === undefined || hop.to === node) continue;
        const isTwin =
          rank(hop.to, node) > 0 &&
          this.#possible(this.#destination(flow.to), hop.to).some(({ edge }) => edge === hop.edge);
        if (!isTwin) reached.add(hop.to);
      }
    return reached;
  }

  /** The groups towards a switch that is gone go when no flow needs them any more. */
  #endIfGone(node: number): void {
    const destination = this.#destinations.get(node);
    if (!destination?.isGone || destination.hosts.size > 0) return;
    this.#destinations.delete(node);
    for (const at of destination.groups.keys()) this.#options.send(at, noGroup(this.#options.groupOf(node)));
  }

  #newGroup(destination: Destination, node: number): boolean {
    const { paths, groups } = destination;
    const target = paths.nextHops(node);
    const canWait = destination.unconfirmed > 0;
    const next = this.#wouldLoop(destination, node, target) ? { ...target, spares: [] } : target;
    if (next !== target) {
      if (canWait || this.#wouldLoop(destination, node, next)) return false;
      destination.dirty.add(node);
    }
    groups.set(node, { next, key: pathKey(next), before: undefined });
    for (const message of pathTo(this.#options.groupOf(destination.node), next, true))
      this.#options.send(node, message);
    return true;
  }

  /** Changes the groups that may change now. Each confirmation lets others follow. */
  #advance(destination: Destination): void {
    const { dirty, groups, paths } = destination;
    if (dirty.size === 0) return;
    const blocked: number[] = [];
    let isMoving = false;
    for (const node of [...dirty].sort(rankIn(destination))) {
      const group = groups.get(node);
      const target = paths.nextHops(node);
      if (group === undefined || !this.#options.isThere(node) || group.key === pathKey(target)) {
        dirty.delete(node);
        continue;
      }
      if (group.before !== undefined) {
        isMoving = true;
        continue;
      }
      const isReady = this.#isKnownBeyond(destination, node, target);
      // What is in use already is as good as it was.
      const isNew = (hop: Hop): boolean => !group.next.hops.includes(hop);
      const inOrder =
        destination.isUrgent ||
        target.hops.every((hop) => !isNew(hop) || this.#isSettled(destination, hop.to));
      if (!isReady || !inOrder || this.#wouldLoop(destination, node, target)) {
        blocked.push(node);
        continue;
      }
      this.#change(destination, node, group, target);
      isMoving = true;
    }
    if (dirty.size === 0) destination.isUrgent = false;
    if (blocked.length === 0 || isMoving || destination.unconfirmed > 0 || this.#options.isHeld()) return;
    const isTelling = [...destination.hosts].some(({ flows }) =>
      [...flows.values()].some(({ state }) => state !== "there"),
    );
    if (!isTelling) this.#unblock(destination, blocked);
  }

  /** All wait for each other's spares: the nearest goes on without. */
  #unblock(destination: Destination, blocked: readonly number[]): void {
    const { groups, paths } = destination;
    for (const node of blocked) {
      const next = { ...paths.nextHops(node), spares: [] };
      const group = groups.get(node)!;
      if (group.key === pathKey(next) || this.#wouldLoop(destination, node, next)) continue;
      if (!this.#isKnownBeyond(destination, node, next)) continue;
      this.#change(destination, node, group, next);
      return;
    }
    // Only what was not of this controller's making when it was found can be so.
    const [node] = blocked;
    this.counters.forced++;
    this.#change(destination, node!, groups.get(node!)!, paths.nextHops(node!));
  }

  #change(destination: Destination, node: number, group: GroupState, next: NextHops): void {
    const { groups, dirty, paths } = destination;
    const changed: GroupState = { next, key: pathKey(next), before: group.next };
    if (changed.key === pathKey(paths.nextHops(node))) dirty.delete(node);
    groups.set(node, changed);
    destination.unconfirmed++;
    this.counters.pathChanges++;
    for (const message of pathTo(this.#options.groupOf(destination.node), next, false))
      this.#options.send(node, message);
    this.#options.confirm(node, () => {
      if (groups.get(node) !== changed) return;
      changed.before = undefined;
      destination.unconfirmed--;
      this.#advance(destination);
      for (const host of [...destination.hosts]) {
        if (host.isLeaving) this.#retire(host);
        else this.#tell(host);
      }
    });
  }

  /** Whether the switches beyond know all hosts that this one knows; they are told if not. */
  #isKnownBeyond(destination: Destination, node: number, target: NextHops): boolean {
    const hops = [...target.hops, ...target.spares];
    let isKnown = true;
    for (const host of destination.hosts) {
      if (!mayLeadTo(host.flows.get(node), destination.node)) continue;
      if (host.node !== destination.node || host.isLeaving) {
        // Those beyond are told no more of it: that they know it still is what counts.
        const isGone = (to: number): boolean => (host.flows.get(to)?.state ?? "going") === "going";
        if (hops.some(({ to }) => this.#options.isThere(to) && isGone(to))) isKnown = false;
        continue;
      }
      for (const { to } of hops) this.#want(host, to, destination);
      this.#tell(host);
      if (!this.#mayLead(host, destination, node, hops)) isKnown = false;
    }
    return isKnown;
  }

  #isSettled({ node: root, groups, dirty }: Destination, node: number): boolean {
    if (node === root) return true;
    const group = groups.get(node);
    return group === undefined || (group.before === undefined && !dirty.has(node));
  }

  #wouldLoop(destination: Destination, node: number, { hops, spares }: NextHops): boolean {
    return comesBack(node, [...hops, ...spares], (at) => this.#possible(destination, at));
  }

  #destination(node: number): Destination {
    let destination = this.#destinations.get(node);
    if (destination === undefined) {
      const { graph } = this.#options;
      const paths = new ShortestPaths(graph, node);
      destination = {
        ...{ node, graph, paths, groups: new Map(), dirty: new Set(), hosts: new Set() },
        ...{ unconfirmed: 0, isUrgent: false, isGone: false },
      };
      this.#destinations.set(node, destination);
    }
    return destination;
  }
}
