import {
  type ActionInit,
  type Match,
  type MessageInitOf,
  OFPCML,
  OFPFF,
  OFPP,
  OFPVID,
} from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import { formatIp, type Ip, isHost, LINK_LOCAL, maskOf, type Network, networkOf } from "./ip.js";
import type { Address, Route } from "./table.js";

/** The flows of a router, each group of them from what it was told or found out. Frames for its MAC address are routed; all
 *  others are switched. */

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;

/** Where a next hop is. */
export interface Neighbour {
  readonly ip: Ip;
  readonly mac: string;
  readonly port: number;
}
/** What all flows of a VLAN have in common. */
export interface Side {
  /** 0: without tag. */
  readonly vlan: number;
  /** The router's. */
  readonly mac: string;
  readonly cookie: bigint;
}

/** Networks go by the length of their prefix, up to 2 + 4 * 128 + 2. */
const PRIORITY = {
  SWITCHED: 0,
  NO_ROUTE: 1,
  NETWORKS: 2,
  HOST: 600,
  LINK_LOCAL: 610,
  OWN: 620,
  RESOLVE: 630,
};
/** Of prefixes of the same length, a connected network's wins; a route takes two. */
const [PER_BIT, CONNECTED] = [4, 2];
/** Seconds without a packet after which a host is forgotten; as in Ryu. */
const HOST_IDLE = 1800;
const [ETH_IPV4, ETH_ARP, ETH_IPV6] = [0x0800, 0x0806, 0x86dd];
const ICMPV6 = 58;
const [ND_SOLICIT, ND_ADVERT] = [135, 136];

const toController: ActionInit = output(OFPP.CONTROLLER);
const normal: ActionInit = { type: "OFPAT_OUTPUT", port: OFPP.NORMAL, max_len: 0 };

const flow = (cookie: bigint, priority: number, match: Match, ...actions: ActionInit[]): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  cookie,
  priority,
  match,
  instructions: actions.length === 0 ? [] : [{ type: "OFPIT_APPLY_ACTIONS", actions }],
});

const vlanOf = ({ vlan }: Side): Match => ({ vlan_vid: vlan === 0 ? OFPVID.NONE : OFPVID.PRESENT | vlan });

/** Packets to route that go to `network`. */
function routed(side: Side, network: Network): Match {
  const common = { ...vlanOf(side), eth_dst: side.mac };
  const { ip, prefix } = networkOf(network);
  if (prefix === 0) return { ...common, eth_type: ip.family === 4 ? ETH_IPV4 : ETH_IPV6 };
  const dst = isHost(network) ? formatIp(ip) : { value: formatIp(ip), mask: formatIp(maskOf(network)) };
  return ip.family === 4
    ? { ...common, eth_type: ETH_IPV4, ipv4_dst: dst }
    : { ...common, eth_type: ETH_IPV6, ipv6_dst: dst };
}

const hostNetwork = (ip: Ip): Network => ({ ip, prefix: ip.family === 4 ? 32 : 128 });
const lengthPriority = ({ prefix }: Network): number => PRIORITY.NETWORKS + PER_BIT * prefix;

/** What is done to a packet that is routed to a neighbour. */
export const towards = (mac: string, { mac: dst, port }: Neighbour, in_port?: number): ActionInit[] => [
  { type: "OFPAT_DEC_NW_TTL" },
  { type: "OFPAT_SET_FIELD", field: { eth_src: mac } },
  { type: "OFPAT_SET_FIELD", field: { eth_dst: dst } },
  { type: "OFPAT_OUTPUT", port: port === in_port ? OFPP.IN_PORT : port, max_len: OFPCML.NO_BUFFER },
];

/** Of the switch as a whole. */
export const switchFlows = (cookie: bigint): FlowMod[] => [flow(cookie, PRIORITY.SWITCHED, {}, normal)];

/** Of a VLAN that has an address: hosts say who they are by ARP and neighbour discovery, and what has no route is told. */
export function vlanFlows(side: Side): FlowMod[] {
  const { cookie, mac } = side;
  const vlan = vlanOf(side);
  const nd = { ...vlan, eth_type: ETH_IPV6, ip_proto: ICMPV6 };
  return [
    flow(cookie, PRIORITY.NO_ROUTE, { ...vlan, eth_dst: mac, eth_type: ETH_IPV4 }, toController),
    flow(cookie, PRIORITY.NO_ROUTE, { ...vlan, eth_dst: mac, eth_type: ETH_IPV6 }, toController),
    flow(cookie, PRIORITY.LINK_LOCAL, routed(side, LINK_LOCAL)),
    flow(cookie, PRIORITY.RESOLVE, { ...vlan, eth_type: ETH_ARP }, normal, toController),
    flow(cookie, PRIORITY.RESOLVE, { ...nd, icmpv6_type: ND_SOLICIT }, normal, toController),
    flow(cookie, PRIORITY.RESOLVE, { ...nd, icmpv6_type: ND_ADVERT }, normal, toController),
    flow(cookie, PRIORITY.RESOLVE + 1, { ...vlan, eth_dst: mac, eth_type: ETH_ARP }, toController),
    flow(cookie, PRIORITY.RESOLVE + 1, { ...nd, eth_dst: mac, icmpv6_type: ND_SOLICIT }, toController),
    flow(cookie, PRIORITY.RESOLVE + 1, { ...nd, eth_dst: mac, icmpv6_type: ND_ADVERT }, toController),
  ];
}

/** Of an address: packets for it, questions for it, and hosts of its network that are not known yet. */
export function addressFlows(side: Side, address: Address): FlowMod[] {
  const { cookie } = side;
  const ip = formatIp(address.ip);
  const asked: Match =
    address.ip.family === 4
      ? { ...vlanOf(side), eth_type: ETH_ARP, arp_tpa: ip }
      : {
          ...vlanOf(side),
          eth_type: ETH_IPV6,
          ip_proto: ICMPV6,
          icmpv6_type: ND_SOLICIT,
          ipv6_nd_target: ip,
        };
  return [
    flow(cookie, lengthPriority(address) + CONNECTED, routed(side, address), toController),
    flow(cookie, PRIORITY.OWN, routed(side, hostNetwork(address.ip)), toController),
    // Others may hear the question, so that the switch learns where who asks is.
    flow(cookie, PRIORITY.RESOLVE + 2, asked, normal, toController),
  ];
}

/** To a neighbour. A packet that goes back by the port it came by needs a flow of its own, a little above: OpenFlow does
 *  not output to it otherwise. */
const forthAndBack = (side: Side, priority: number, match: Match, next: Neighbour): [FlowMod, FlowMod] => [
  flow(side.cookie, priority, match, ...towards(side.mac, next)),
  flow(side.cookie, priority + 1, { ...match, in_port: next.port }, ...towards(side.mac, next, next.port)),
];

/** Of a route: towards its gateway, once that is known. */
export function routeFlows(side: Side, { destination }: Route, gateway: Neighbour | undefined): FlowMod[] {
  const priority = lengthPriority(destination);
  const match = routed(side, destination);
  if (gateway === undefined) return [flow(side.cookie, priority, match, toController)];
  return forthAndBack(side, priority, match, gateway);
}

/** Of a host that was found in a connected network; for ever, or until it is silent. */
export function hostFlows(side: Side, host: Neighbour, isForEver: boolean): FlowMod[] {
  const [forth, back] = forthAndBack(side, PRIORITY.HOST, routed(side, hostNetwork(host.ip)), host);
  return [{ ...forth, ...(!isForEver && { idle_timeout: HOST_IDLE, flags: OFPFF.SEND_FLOW_REM }) }, back];
}
