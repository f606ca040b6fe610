import {
  type ActionInit,
  type BucketInit,
  type Match,
  type MessageInitOf,
  OFP_NO_BUFFER,
  OFPFF,
  OFPG,
  OFPP,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import type { NextHops } from "./paths.js";

/** The messages that make a switch part of the fabric.
 *
 *  Table 0 decides what may come in: known senders from ports of hosts, everything from other switches. Table 1
 *  decides where it goes: a host's address leads to the group of the switch that it is at; there is one group for each
 *  such switch, so that a change of paths changes groups and no flows. What has no address of its own goes by
 *  the flood group along the spanning tree, and is taken from other switches only on the tree. */
type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;
type FlowInit = Omit<FlowMod, "type" | "command" | "cookie" | "cookie_mask">;

/** Tells the flows of this app from others' ("forward" in ASCII). */
export const FORWARDING_COOKIE = 0x666f7277617264n;
const EXACTLY = 0xffff_ffff_ffff_ffffn;
const ALL_TABLES = 0xff;
const [INGRESS, FORWARD] = [0, 1];

/** Of all ports of hosts, and of the spanning tree. */
export const FLOOD_GROUP = 0x4600_0000;
/** Towards a switch, by the number that it has for this, from 1. */
export const pathGroup = (number: number): number => FLOOD_GROUP + number;
/** The most that there can be. */
export const MAX_NUMBER = 0xff_ffff;

/** What a port is to its switch:
 *  - `edge`: hosts are there;
 *  - `tree` and `link`: a cable to another switch, on the spanning tree or not;
 *  - `segment-tree`: the same through a network that does not speak OpenFlow, where hosts may be, too; `segment`: that
 *    network is entered at another port, and nothing is taken from there, for it may flood what is for a host;
 *  - `blocked`: there was a link, and the port has not been down since: the far switch may still forward;
 *  - `pending`: what is there is not known yet; `down`. */
export type PortRole = "edge" | "tree" | "link" | "segment-tree" | "segment" | "blocked" | "pending" | "down";

interface RoleTraits {
  /** Takes part in floods. */
  readonly floods: boolean;
  /** From there everything comes in; or nothing; or what the senders' own flows let in. */
  readonly takes: "all" | "none" | "known";
  readonly mayHaveHosts: boolean;
}
export const ROLES: Readonly<Record<PortRole, RoleTraits>> = {
  edge: { floods: true, takes: "known", mayHaveHosts: true },
  tree: { floods: true, takes: "all", mayHaveHosts: false },
  link: { floods: false, takes: "all", mayHaveHosts: false },
  "segment-tree": { floods: true, takes: "all", mayHaveHosts: true },
  segment: { floods: false, takes: "none", mayHaveHosts: false },
  blocked: { floods: false, takes: "none", mayHaveHosts: false },
  pending: { floods: false, takes: "known", mayHaveHosts: false },
  down: { floods: false, takes: "known", mayHaveHosts: false },
};

const ETH_ARP = 0x0806;
const ETH_IPV6 = 0x86dd;
const IP_ICMPV6 = 58;
const [ND_SOLICIT, ND_ADVERT] = [135, 136];
const MULTICAST = { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" };
const LINK_LOCAL = { value: "01:80:c2:00:00:00", mask: "ff:ff:ff:ff:ff:f0" };

/** Of table 0. */
const BARRED = 50;
const ANNOUNCEMENT = 31;
const WHOLE_PORT = 30;
const SENDER = 10;
/** Of table 1. */
const HOST = 10;
const TRANSIT = 5;
const UNKNOWN = 4;
const FLOODED = 3;
/** How long packets to an unknown address are flooded before one of them is asked about again, seconds. */
const UNKNOWN_SECS = 1;

export const toGroup = (group_id: number): ActionInit => ({ type: "OFPAT_GROUP", group_id });
const apply = (...actions: ActionInit[]): FlowMod["instructions"] => [
  { type: "OFPIT_APPLY_ACTIONS", actions },
];
const forward: FlowMod["instructions"] = [{ type: "OFPIT_GOTO_TABLE", table_id: FORWARD }];
const toController = output(OFPP.CONTROLLER);

const add = (flow: FlowInit): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  cookie: FORWARDING_COOKIE,
  ...flow,
});
const remove = (table_id: number, priority: number, match: Match): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE_STRICT",
  table_id,
  priority,
  match,
  cookie: FORWARDING_COOKIE,
  cookie_mask: EXACTLY,
  out_port: OFPP.ANY,
  out_group: OFPG.ANY,
});

/** Takes away all flows of this app. */
export const noFlows: OfMessageInit = {
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE",
  table_id: ALL_TABLES,
  cookie: FORWARDING_COOKIE,
  cookie_mask: EXACTLY,
  out_port: OFPP.ANY,
  out_group: OFPG.ANY,
};

/** Takes away what an earlier run left, and begins. */
export const foundation = (): OfMessageInit[] => [
  noFlows,
  ...newGroup("OFPGT_ALL", FLOOD_GROUP, []),
  add({ table_id: INGRESS, priority: BARRED, match: { eth_dst: LINK_LOCAL } }),
  add({ table_id: INGRESS, priority: BARRED, match: { eth_src: MULTICAST } }),
  add({ table_id: INGRESS, priority: 0, instructions: apply(toController) }),
  add({
    table_id: FORWARD,
    priority: FLOODED,
    match: { eth_dst: MULTICAST },
    instructions: apply(toGroup(FLOOD_GROUP)),
  }),
  add({ table_id: FORWARD, priority: 0, instructions: apply(toController) }),
];

/** What changes when a port that had one role takes another. */
export function roleChange(port: number, from: PortRole, to: PortRole): OfMessageInit[] {
  const [old, now] = [ROLES[from], ROLES[to]];
  const messages: OfMessageInit[] = [];
  const in_port = port;
  if (old.takes !== now.takes) {
    if (now.takes === "known") messages.push(remove(INGRESS, WHOLE_PORT, { in_port }));
    else {
      const instructions = now.takes === "all" ? forward : [];
      messages.push(add({ table_id: INGRESS, priority: WHOLE_PORT, match: { in_port }, instructions }));
    }
  }
  if (isSegment(from) !== isSegment(to)) {
    const instructions = [...apply(toController)!, ...forward!];
    for (const match of announcements(port))
      messages.push(
        isSegment(to)
          ? add({ table_id: INGRESS, priority: ANNOUNCEMENT, match, instructions })
          : remove(INGRESS, ANNOUNCEMENT, match),
      );
  }
  if (old.takes !== now.takes || (now.takes === "all" && old.floods !== now.floods)) {
    const instructions = now.floods ? apply(toGroup(FLOOD_GROUP)) : [];
    if (now.takes === "all")
      messages.push(add({ table_id: FORWARD, priority: TRANSIT, match: { in_port }, instructions }));
    else if (old.takes === "all") messages.push(remove(FORWARD, TRANSIT, { in_port }));
  }
  return messages;
}

const isSegment = (role: PortRole): boolean => role === "segment-tree";

/** What the hosts of a segment say of themselves; the controller gets a copy. */
const announcements = (in_port: number): Match[] => [
  { in_port, eth_type: ETH_ARP },
  ...[ND_SOLICIT, ND_ADVERT].map((icmpv6_type) => ({
    in_port,
    eth_type: ETH_IPV6,
    ip_proto: IP_ICMPV6,
    icmpv6_type,
  })),
];

/** Lets a host's packets in, and tells when there were none for so long. */
export const admit = (in_port: number, eth_src: string, idle_timeout: number): OfMessageInit =>
  add({
    table_id: INGRESS,
    priority: SENDER,
    match: { in_port, eth_src },
    idle_timeout,
    flags: OFPFF.SEND_FLOW_REM,
    instructions: forward,
  });
export const dismiss = (in_port: number, eth_src: string): OfMessageInit =>
  remove(INGRESS, SENDER, { in_port, eth_src });

export const hostFlow = (eth_dst: string, action: ActionInit): OfMessageInit =>
  add({ table_id: FORWARD, priority: HOST, match: { eth_dst }, instructions: apply(action) });
export const noHostFlow = (eth_dst: string): OfMessageInit => remove(FORWARD, HOST, { eth_dst });

/** For a while, no more questions about where an address is. */
export const unknownFlow = (eth_dst: string): OfMessageInit =>
  add({
    table_id: FORWARD,
    priority: UNKNOWN,
    match: { eth_dst },
    hard_timeout: UNKNOWN_SECS,
    instructions: apply(toGroup(FLOOD_GROUP)),
  });

type GroupMod = MessageInitOf<"OFPT_GROUP_MOD">;

/** A group of an earlier run goes first: adding one that is there is an error, and so is changing one that is not. */
const newGroup = (
  group_type: GroupMod["group_type"],
  group_id: number,
  buckets: BucketInit[],
): OfMessageInit[] => [
  noGroup(group_id),
  { type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_type, group_id, buckets },
];
export const noGroup = (group_id: number): OfMessageInit => ({
  type: "OFPT_GROUP_MOD",
  command: "OFPGC_DELETE",
  group_type: "OFPGT_ALL",
  group_id,
});

export const floodTo = (ports: readonly number[]): OfMessageInit => ({
  type: "OFPT_GROUP_MOD",
  command: "OFPGC_MODIFY",
  group_type: "OFPGT_ALL",
  group_id: FLOOD_GROUP,
  buckets: ports.map((port) => ({ actions: [output(port)] })),
});

/** Several equal paths share the flows by a select group; a single one has spares in a fast-failover group. In
 *  both, the switch itself passes over ports that are down. */
export function pathTo(group_id: number, { hops, spares }: NextHops, isNew: boolean): OfMessageInit[] {
  const isSelect = hops.length > 1;
  const buckets = [...hops, ...spares].map(({ port }) => ({
    watch_port: port,
    actions: [output(port)],
    ...(isSelect && { weight: 1 }),
  }));
  const group_type = isSelect ? "OFPGT_SELECT" : "OFPGT_FF";
  if (isNew) return newGroup(group_type, group_id, buckets);
  return [{ type: "OFPT_GROUP_MOD", command: "OFPGC_MODIFY", group_type, group_id, buckets }];
}

/** Two next hops with the same key make the same group. */
export const pathKey = ({ hops, spares }: NextHops): string =>
  `${hops.map(({ port }) => port)};${spares.map(({ port }) => port)}`;

/** A frame, from the controller, out of one port. */
export const deliver = (port: number, data: Uint8Array): OfMessageInit => ({
  type: "OFPT_PACKET_OUT",
  buffer_id: OFP_NO_BUFFER,
  in_port: OFPP.CONTROLLER,
  actions: [output(port)],
  data,
});
