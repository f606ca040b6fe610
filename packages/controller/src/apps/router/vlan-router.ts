import {
  type MessageInitOf,
  type MessageOf,
  OFP_NO_BUFFER,
  OFPP,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import type { Clock } from "@sluice/runtime";
import {
  ARP_REQUEST,
  type Arp,
  type Frame,
  ICMPV6,
  type Ipv4,
  type Ipv6,
  linkAddressOf,
  ND_OPTION,
  type Neighbor,
  parseFrame,
} from "@sluice/wire";
import { output } from "../../framework/messages.js";
import {
  addressFlows,
  hostFlows,
  type Neighbour,
  routeFlows,
  type Side,
  towards,
  vlanFlows,
} from "./flows.js";
import { formatIp, type Ip, isBroadcast, isLinkLocalIp, isSameIp, isUnicast, parseIp } from "./ip.js";
import { Neighbours, type Waiting } from "./neighbours.js";
import {
  advertisement,
  arpAnswer,
  echoAnswer,
  mayBeRefused,
  question,
  REFUSAL,
  type Refusal,
  refusal,
} from "./packets.js";
import { RoutingTable } from "./table.js";

type PacketIn = MessageOf<"OFPT_PACKET_IN">;
type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;

export interface VlanRouterOptions {
  readonly side: Side;
  readonly clock: Clock;
  /** Sends at once. */
  readonly send: (message: OfMessageInit) => void;
  readonly log: (text: string) => void;
}

/** Errors that are told, a second. */
const REFUSALS_PER_SECOND = 100;
/** A packet that the controller has made. */
const out = (port: number, data: Uint8Array): OfMessageInit => ({
  type: "OFPT_PACKET_OUT",
  buffer_id: OFP_NO_BUFFER,
  in_port: OFPP.CONTROLLER,
  actions: [output(port)],
  data,
});

/** The router of one VLAN of one switch: its table, its neighbours, and the flows that follow from them. */
export class VlanRouter {
  readonly table = new RoutingTable();
  readonly #side: Side;
  readonly #clock: Clock;
  readonly #send: (message: OfMessageInit) => void;
  readonly #log: (text: string) => void;
  readonly #neighbours: Neighbours;
  /** What should be in the switch, by what it is for. */
  readonly #flows = new Map<string, readonly FlowMod[]>();
  #secondBegan = -Infinity;
  #refusals = 0;

  constructor({ side, clock, send, log }: VlanRouterOptions) {
    this.#side = side;
    this.#clock = clock;
    this.#send = send;
    this.#log = log;
    this.#neighbours = new Neighbours(clock, {
      ask: (ip) => this.#ask(ip),
      lost: (_ip, waiting) => {
        for (const { in_port, data } of waiting)
          this.#sendAll(this.#refuseBytes(in_port, data, REFUSAL.noHost));
      },
      evicted: (neighbour) => this.#sendAll(this.#forget(neighbour)),
    });
  }

  get flows(): readonly FlowMod[] {
    return [...this.#flows.values()].flat();
  }

  /** Takes an address into use. Gives what is to be sent. Throws what the table throws. */
  addAddress(text: unknown): { id: number; messages: OfMessageInit[] } {
    const isFirst = this.table.addresses.size === 0;
    const address = this.table.addAddress(text);
    const messages = [
      ...(isFirst ? this.#put("vlan", vlanFlows(this.#side)) : []),
      ...this.#put(`address ${address.address_id}`, addressFlows(this.#side, address)),
    ];
    return { id: address.address_id, messages };
  }

  removeAddress(id: number): OfMessageInit[] {
    const address = this.table.addresses.get(id);
    if (address === undefined) return [];
    this.table.addresses.delete(id);
    const messages = this.#put(`address ${id}`, []);
    for (const neighbour of this.#neighbours.all)
      if (this.table.addressFor(neighbour.ip) === undefined) messages.push(...this.#forget(neighbour));
    if (this.table.addresses.size === 0) messages.push(...this.#put("vlan", []));
    return messages;
  }

  addRoute(destination: unknown, gateway: unknown): { id: number; messages: OfMessageInit[] } {
    const route = this.table.addRoute(destination, gateway);
    return { id: route.route_id, messages: this.#putRoute(route.route_id) };
  }

  removeRoute(id: number): OfMessageInit[] {
    this.table.routes.delete(id);
    return this.#put(`route ${id}`, []);
  }

  /** Looks for the gateways, so that routes are there before packets are. */
  findGateways(): void {
    for (const { gateway } of this.table.routes.values())
      if (this.#neighbours.get(gateway) === undefined) this.#neighbours.find(gateway);
  }

  /** Hosts behind a port that is gone are looked for anew. */
  portDown(port: number): OfMessageInit[] {
    return this.#neighbours.all
      .filter((neighbour) => neighbour.port === port)
      .flatMap((neighbour) => this.#forget(neighbour));
  }

  /** The switch no longer has the flow of a host that was silent. */
  hostIdle(text: string): OfMessageInit[] {
    const ip = parseIp(text);
    const neighbour = ip && this.#neighbours.get(ip);
    if (neighbour === undefined) return [];
    return this.table.isGateway(neighbour.ip) ? this.#putHost(neighbour) : this.#forget(neighbour);
  }

  stop(): void {
    this.#neighbours.stop();
  }

  packetIn(message: PacketIn): OfMessageInit[] {
    const { in_port } = message.match;
    const request = parseFrame(message.data);
    if (request.kind !== "ethernet" || in_port === undefined) return [];
    const { payload } = request;
    if (payload instanceof Uint8Array || payload.kind === "malformed" || payload.kind === "lldp") return [];
    if (payload.kind === "arp") return this.#arp(in_port, payload);
    const nd = neighborOf(payload);
    if (nd !== undefined) return this.#discovery(in_port, request, payload as Ipv6, nd);
    if (message.reason === "OFPR_INVALID_TTL")
      return this.#refuse(in_port, request, payload, message.data, REFUSAL.noTtl);
    return this.#packet(in_port, request, payload, message.data);
  }

  #arp(in_port: number, { op, sha, spa, tpa }: Arp): OfMessageInit[] {
    const [sender, target] = [parseIp(spa), parseIp(tpa)];
    if (sender === undefined || target === undefined) return [];
    const isForUs = this.table.isOwn(target);
    const messages = this.#heard({ ip: sender, mac: sha, port: in_port }, isForUs);
    if (op === ARP_REQUEST && isForUs && sha !== this.#side.mac)
      messages.push(out(in_port, arpAnswer(this.#side.mac, this.#side.vlan, tpa, { sha, spa })));
    return messages;
  }

  #discovery(in_port: number, request: Frame, packet: Ipv6, { type, body }: Discovery): OfMessageInit[] {
    const target = parseIp(body.target);
    const source = parseIp(packet.src);
    // RFC 4861 §7.1: what came through a router is forged.
    if (target === undefined || source === undefined || packet.hop_limit !== 255) return [];
    const { mac, vlan } = this.#side;
    if (type === ICMPV6.NEIGHBOR_ADVERTISEMENT) {
      const at = linkAddressOf(body, ND_OPTION.TARGET_LINK_ADDRESS) ?? request.src;
      return this.#heard({ ip: target, mac: at, port: in_port }, request.dst === mac);
    }
    const isForUs = this.table.isOwn(target);
    const at = linkAddressOf(body, ND_OPTION.SOURCE_LINK_ADDRESS) ?? request.src;
    const messages = this.#heard({ ip: source, mac: at, port: in_port }, isForUs);
    if (isForUs && at !== mac)
      messages.push(out(in_port, advertisement(mac, vlan, body.target, { mac: at, ip: packet.src })));
    return messages;
  }

  /** Somebody said where it is. Who has nothing to do with the router is only kept up to date. */
  #heard(neighbour: Neighbour, isForUs: boolean): OfMessageInit[] {
    const { ip, mac } = neighbour;
    if (mac === this.#side.mac || !isUnicast(ip)) return [];
    if (this.table.isOwn(ip)) {
      this.#log(`the router's address ${formatIp(ip)} is used by ${mac}, too`);
      return [];
    }
    if (this.table.addressFor(ip) === undefined) return [];
    const isWanted =
      isForUs ||
      this.#neighbours.isAskedFor(ip) ||
      this.#neighbours.get(ip) !== undefined ||
      this.table.isGateway(ip);
    if (!isWanted) return [];
    const waiting = this.#neighbours.learn(neighbour);
    if (waiting === undefined) return [];
    return [...this.#settle(neighbour), ...waiting.map((packet) => this.#forward(packet, neighbour))];
  }

  /** The flows that lead to a neighbour, or to what is behind it. */
  #settle(neighbour: Neighbour): OfMessageInit[] {
    const messages = this.#putHost(neighbour);
    for (const { route_id, gateway } of this.table.routes.values())
      if (isSameIp(gateway, neighbour.ip)) messages.push(...this.#putRoute(route_id));
    return messages;
  }

  #putHost(host: Neighbour): OfMessageInit[] {
    if (isLinkLocalIp(host.ip)) return [];
    const flows = hostFlows(this.#side, host, this.table.isGateway(host.ip));
    return this.#put(`host ${formatIp(host.ip)}`, flows);
  }

  #forget({ ip }: Neighbour): OfMessageInit[] {
    this.#neighbours.forget(ip);
    const messages = this.#put(`host ${formatIp(ip)}`, []);
    for (const { route_id, gateway } of this.table.routes.values())
      if (isSameIp(gateway, ip)) messages.push(...this.#putRoute(route_id));
    return messages;
  }

  #putRoute(id: number): OfMessageInit[] {
    const route = this.table.routes.get(id);
    if (route === undefined) return [];
    return this.#put(`route ${id}`, routeFlows(this.#side, route, this.#neighbours.get(route.gateway)));
  }

  #packet(in_port: number, request: Frame, packet: Ipv4 | Ipv6, data: Uint8Array): OfMessageInit[] {
    const dst = parseIp(packet.dst);
    const { mac, vlan } = this.#side;
    if (dst === undefined || request.dst !== mac) return [];
    if (this.table.isOwn(dst)) {
      const echo = echoAnswer(mac, vlan, request, packet);
      if (echo !== undefined) return [out(in_port, echo)];
      const above = "kind" in packet.payload ? packet.payload.kind : "";
      return above === "tcp" || above === "udp"
        ? this.#refuse(in_port, request, packet, data, REFUSAL.noPort)
        : [];
    }
    const own = this.table.addressFor(dst);
    if (isLinkLocalIp(dst) || (own !== undefined && isBroadcast(own, dst))) return [];
    const next = this.table.nextHop(dst);
    if (next === undefined) return this.#refuse(in_port, request, packet, data, REFUSAL.noRoute);
    const known = this.#neighbours.get(next);
    if (known !== undefined) return [this.#forward({ in_port, data }, known)];
    this.#neighbours.find(next, { in_port, data });
    return [];
  }

  #forward({ in_port, data }: Waiting, next: Neighbour): OfMessageInit {
    const actions = towards(this.#side.mac, next, in_port);
    return { type: "OFPT_PACKET_OUT", buffer_id: OFP_NO_BUFFER, in_port, actions, data };
  }

  #refuseBytes(in_port: number, data: Uint8Array, why: Refusal): OfMessageInit[] {
    const request = parseFrame(data);
    if (request.kind !== "ethernet") return [];
    const { payload } = request;
    if (payload instanceof Uint8Array || (payload.kind !== "ipv4" && payload.kind !== "ipv6")) return [];
    return this.#refuse(in_port, request, payload, data, why);
  }

  #refuse(
    in_port: number,
    request: Frame,
    packet: Ipv4 | Ipv6,
    data: Uint8Array,
    why: Refusal,
  ): OfMessageInit[] {
    const source = parseIp(packet.src);
    if (source === undefined || !mayBeRefused(request, packet) || !this.#mayRefuse()) return [];
    const own = this.#ownAddressFor(source);
    if (own === undefined) return [];
    const { mac, vlan } = this.#side;
    return [out(in_port, refusal(mac, vlan, own, request, packet, data, why))];
  }

  /** The router's address as a sender sees it: that of the network it is in, or by which it is reached. */
  #ownAddressFor(source: Ip): Ip | undefined {
    const next = this.table.nextHop(source);
    const address = (next && this.table.addressFor(next)) ?? [...this.table.addresses.values()][0];
    return address?.ip.family === source.family ? address.ip : undefined;
  }

  #mayRefuse(): boolean {
    const now = this.#clock.now();
    if (now - this.#secondBegan >= 1000) {
      this.#secondBegan = now;
      this.#refusals = 0;
    }
    return this.#refusals++ < REFUSALS_PER_SECOND;
  }

  #ask(ip: Ip): void {
    const own = this.table.addressFor(ip);
    if (own !== undefined) this.#send(out(OFPP.FLOOD, question(this.#side.mac, this.#side.vlan, own.ip, ip)));
  }

  #sendAll(messages: readonly OfMessageInit[]): void {
    for (const message of messages) this.#send(message);
  }

  /** Has the switch have these flows for `what`, and none else. Gives what is to be sent. */
  #put(what: string, flows: readonly FlowMod[]): OfMessageInit[] {
    const before = this.#flows.get(what) ?? [];
    if (flows.length === 0) this.#flows.delete(what);
    else this.#flows.set(what, flows);
    const wanted = new Set(flows.map(keyOf));
    const gone = before.filter((flow) => !wanted.has(keyOf(flow)));
    return [...flows, ...gone.map(deletion)];
  }
}

const keyOf = ({ priority, match }: FlowMod): string => `${priority} ${JSON.stringify(match)}`;
const deletion = ({ priority, match, cookie }: FlowMod): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE_STRICT",
  priority,
  match,
  cookie,
  cookie_mask: 0xffff_ffff_ffff_ffffn,
});

interface Discovery {
  readonly type: number;
  readonly body: Neighbor;
}

/** A neighbour solicitation or advertisement. */
function neighborOf({ kind, payload }: Ipv4 | Ipv6): Discovery | undefined {
  if (kind !== "ipv6" || payload instanceof Uint8Array || payload.kind !== "icmpv6") return undefined;
  const { type, body } = payload;
  return body instanceof Uint8Array || body.kind !== "neighbor" ? undefined : { type, body };
}
