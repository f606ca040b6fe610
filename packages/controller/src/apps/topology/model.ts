// Hot path: `seeHost` runs for each packet-in; a host that is where it was costs one look-up.
import { OFPP, OFPPC, OFPPS, type Port } from "@sluice/openflow-codec";
import { macFromNumber, macToNumber } from "@sluice/wire";
import { EventEmitter } from "eventemitter3";

export interface TopologyPort {
  readonly dpid: bigint;
  readonly port_no: number;
  readonly hw_addr: string;
  readonly name: string;
  readonly isUp: boolean;
}

export interface TopologySwitch {
  readonly dpid: bigint;
  /** Without the reserved ones. */
  readonly ports: ReadonlyMap<number, TopologyPort>;
}

/** One direction of a cable, or of the way through something that does not speak OpenFlow. */
export interface TopologyLink {
  readonly src: TopologyPort;
  readonly dst: TopologyPort;
  /** Found by LLDP: nothing that forwards is between. */
  readonly isDirect: boolean;
}

export interface TopologyHost {
  readonly mac: string;
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  readonly port: TopologyPort;
}

export interface TopologyEvents {
  switch_enter(sw: TopologySwitch): void;
  switch_leave(sw: TopologySwitch): void;
  port_add(port: TopologyPort): void;
  port_modify(port: TopologyPort): void;
  port_delete(port: TopologyPort): void;
  link_add(link: TopologyLink): void;
  link_delete(link: TopologyLink): void;
  host_add(host: TopologyHost): void;
  host_move(host: TopologyHost, from: TopologyPort): void;
  host_delete(host: TopologyHost): void;
}

export interface TopologyLimits {
  /** Hosts beyond this many push out the one learned longest ago. 16,384 unless given. */
  maxHosts?: number;
  /** Links beyond this many are not kept. 65,536 unless given. */
  maxLinks?: number;
}

interface PortEntry {
  port: TopologyPort;
  /** Links that begin or end here, and how many of them are direct. */
  links: number;
  direct: number;
}
interface SwitchEntry extends TopologySwitch {
  readonly entries: Map<number, PortEntry>;
}
interface LinkEntry {
  src: PortEntry;
  dst: PortEntry;
  isDirect: boolean;
  seenAt: number;
}
interface HostEntry {
  mac: string;
  ipv4: readonly string[];
  ipv6: readonly string[];
  at: PortEntry;
}

/** Addresses kept for a host; the oldest go. */
const MAX_ADDRESSES = 8;

const portOf = (dpid: bigint, desc: Port): TopologyPort => ({
  dpid,
  port_no: desc.port_no,
  hw_addr: desc.hw_addr,
  name: desc.name,
  isUp: (desc.config & OFPPC.PORT_DOWN) === 0 && (desc.state & OFPPS.LINK_DOWN) === 0,
});
const isSame = (a: TopologyPort, b: TopologyPort): boolean =>
  a.hw_addr === b.hw_addr && a.name === b.name && a.isUp === b.isUp;
const linkOf = ({ src, dst, isDirect }: LinkEntry): TopologyLink => ({
  src: src.port,
  dst: dst.port,
  isDirect,
});
const hostOf = ({ mac, ipv4, ipv6, at }: HostEntry): TopologyHost => ({ mac, ipv4, ipv6, port: at.port });

/** What is connected to what, as far as it has been seen; every change is an event, after it has happened. */
export class Topology {
  readonly events = new EventEmitter<TopologyEvents>();
  readonly counters = { evictedHosts: 0, refusedLinks: 0, flapping: 0 };
  readonly #maxHosts: number;
  readonly #maxLinks: number;
  readonly #switches = new Map<bigint, SwitchEntry>();
  readonly #links = new Map<string, LinkEntry>();
  readonly #hosts = new Map<number, HostEntry>();

  constructor({ maxHosts = 16_384, maxLinks = 65_536 }: TopologyLimits = {}) {
    this.#maxHosts = maxHosts;
    this.#maxLinks = maxLinks;
  }

  get switches(): ReadonlyMap<bigint, TopologySwitch> {
    return this.#switches;
  }
  port(dpid: bigint, port_no: number): TopologyPort | undefined {
    return this.#switches.get(dpid)?.entries.get(port_no)?.port;
  }
  links(): TopologyLink[] {
    return [...this.#links.values()].map(linkOf);
  }
  /** Those that begin or end at a switch. */
  linksOf(dpid: bigint): TopologyLink[] {
    const links: TopologyLink[] = [];
    for (const link of this.#links.values())
      if (link.src.port.dpid === dpid || link.dst.port.dpid === dpid) links.push(linkOf(link));
    return links;
  }
  hosts(): TopologyHost[] {
    return [...this.#hosts.values()].map(hostOf);
  }

  enterSwitch(dpid: bigint, ports: Iterable<Port>): void {
    const entries = new Map<number, PortEntry>();
    for (const desc of ports)
      if (desc.port_no <= OFPP.MAX)
        entries.set(desc.port_no, { port: portOf(dpid, desc), links: 0, direct: 0 });
    const view = {
      dpid,
      entries,
      get ports() {
        return new Map([...entries].map(([port_no, { port }]) => [port_no, port]));
      },
    };
    this.#switches.set(dpid, view);
    this.events.emit("switch_enter", view);
  }

  /** Its links and hosts go with it. */
  leaveSwitch(dpid: bigint): void {
    const sw = this.#switches.get(dpid);
    if (!sw) return;
    this.#forget(({ port }) => port.dpid === dpid);
    this.#switches.delete(dpid);
    this.events.emit("switch_leave", sw);
  }

  /** A port came, changed or went. What is behind a port that is down is gone. */
  changePort(dpid: bigint, desc: Port, isDeleted: boolean): void {
    const sw = this.#switches.get(dpid);
    if (!sw || desc.port_no > OFPP.MAX) return;
    const entry = sw.entries.get(desc.port_no);
    const port = portOf(dpid, desc);
    if (isDeleted || !port.isUp) this.#forget((at) => at === entry);
    if (isDeleted) {
      if (sw.entries.delete(desc.port_no)) this.events.emit("port_delete", port);
    } else if (entry === undefined) {
      sw.entries.set(desc.port_no, { port, links: 0, direct: 0 });
      this.events.emit("port_add", port);
    } else if (!isSame(entry.port, port)) {
      entry.port = port;
      this.events.emit("port_modify", port);
    }
  }

  /** Whether links begin or end at a port; `direct`: by a cable. */
  linksAt(dpid: bigint, port_no: number): "none" | "indirect" | "direct" {
    const at = this.#entry({ dpid, port_no });
    if (at === undefined || at.links === 0) return "none";
    return at.direct > 0 ? "direct" : "indirect";
  }

  hasLink(src: PortAddress, dst: PortAddress): boolean {
    return this.#links.has(linkKey(src, dst));
  }

  /** A probe that left by `src` arrived at `dst`, at `now`. Hosts seen at either port were behind the link. A link once
   *  found by LLDP is not kept by BDDP. Gives whether it is new. */
  seeLink(src: PortAddress, dst: PortAddress, now: number, isDirect = true): boolean {
    const key = linkKey(src, dst);
    const known = this.#links.get(key);
    if (known && (known.isDirect === isDirect || known.isDirect)) {
      if (isDirect || !known.isDirect) known.seenAt = now;
      return false;
    }
    if (known) this.#forgetLinks((link) => link === known);
    const [from, to] = [this.#entry(src), this.#entry(dst)];
    if (from === undefined || to === undefined) return false;
    if (this.#links.size >= this.#maxLinks) {
      this.counters.refusedLinks++;
      return false;
    }
    this.#forgetHosts((at) => at === from || at === to);
    const link = { src: from, dst: to, isDirect, seenAt: now };
    countLink(link, 1);
    this.#links.set(key, link);
    this.events.emit("link_add", linkOf(link));
    return true;
  }

  /** Links not seen since `before` go. */
  expireLinks(before: number): void {
    this.#forgetLinks((link) => link.seenAt < before);
  }

  /** A frame of `mac` (48 bits as a number) came in by a port; by which `addresses` it is known, if the frame tells. Behind
   *  an indirect link there may be hosts, and frames of hosts elsewhere come by: only those not yet known are there. */
  seeHost(dpid: bigint, port_no: number, mac: number, addresses?: HostAddresses): void {
    const at = this.#switches.get(dpid)?.entries.get(port_no);
    if (at === undefined || at.direct > 0) return;
    const host = this.#hosts.get(mac);
    if (host === undefined) this.#addHost(mac, at, addresses);
    else {
      if (addresses) learnAddresses(host, addresses);
      if (host.at === at || at.links > 0) return;
      const from = host.at.port;
      host.at = at;
      this.#hosts.delete(mac);
      this.#hosts.set(mac, host);
      this.events.emit("host_move", hostOf(host), from);
    }
  }

  #addHost(mac: number, at: PortEntry, addresses: HostAddresses | undefined): void {
    if (this.#hosts.size >= this.#maxHosts) {
      const oldest = this.#hosts.keys().next().value;
      if (oldest !== undefined) this.#removeHost(oldest);
      this.counters.evictedHosts++;
    }
    const host: HostEntry = { mac: macFromNumber(mac), ipv4: [], ipv6: [], at };
    if (addresses) learnAddresses(host, addresses);
    this.#hosts.set(mac, host);
    this.events.emit("host_add", hostOf(host));
  }

  /** A host has been silent for too long. */
  forgetHost(mac: string): void {
    this.#removeHost(macToNumber(mac));
  }

  #entry({ dpid, port_no }: PortAddress): PortEntry | undefined {
    return this.#switches.get(dpid)?.entries.get(port_no);
  }

  #forget(isGone: (at: PortEntry) => boolean): void {
    this.#forgetLinks(({ src, dst }) => isGone(src) || isGone(dst));
    this.#forgetHosts(isGone);
  }

  #forgetLinks(isGone: (link: LinkEntry) => boolean): void {
    for (const [key, link] of this.#links) {
      if (!isGone(link)) continue;
      this.#links.delete(key);
      countLink(link, -1);
      this.events.emit("link_delete", linkOf(link));
    }
  }

  #forgetHosts(isGone: (at: PortEntry) => boolean): void {
    for (const [mac, host] of this.#hosts) if (isGone(host.at)) this.#removeHost(mac);
  }

  #removeHost(mac: number): void {
    const host = this.#hosts.get(mac);
    this.#hosts.delete(mac);
    if (host) this.events.emit("host_delete", hostOf(host));
  }
}

interface PortAddress {
  readonly dpid: bigint;
  readonly port_no: number;
}

const linkKey = (src: PortAddress, dst: PortAddress): string =>
  `${src.dpid}:${src.port_no}>${dst.dpid}:${dst.port_no}`;

function countLink({ src, dst, isDirect }: LinkEntry, by: 1 | -1): void {
  for (const end of [src, dst]) {
    end.links += by;
    if (isDirect) end.direct += by;
  }
}

export interface HostAddresses {
  readonly ipv4?: string;
  readonly ipv6?: string;
}

function learnAddresses(host: HostEntry, { ipv4, ipv6 }: HostAddresses): void {
  if (ipv4 !== undefined) host.ipv4 = withAddress(host.ipv4, ipv4);
  if (ipv6 !== undefined) host.ipv6 = withAddress(host.ipv6, ipv6);
}

const withAddress = (known: readonly string[], address: string): readonly string[] =>
  known.includes(address) ? known : [...known.slice(-(MAX_ADDRESSES - 1)), address];
