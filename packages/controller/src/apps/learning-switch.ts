// Hot path: `onPacketIn` runs for each packet-in.
import {
  type ActionInit,
  type Match,
  type MessageOf,
  OFP_NO_BUFFER,
  OFPG,
  OFPP,
  OFPPC,
  OFPPS,
  OFPVID,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { type Clock, realClock } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import { defineApp } from "../composition/definition.js";
import type { Switch } from "../framework/app.js";
import { addFlow, output, packetOut, packetOutBy, tableMissToController } from "../framework/messages.js";
import type { RestApp } from "../rest/route.js";
import { type FrameHead, isLinkLocal, isMulticast, readFrameHead } from "./frame.js";
import { type Learned, MacTable, type MacTableOptions } from "./mac-table.js";
import { macTableRoutes, type TaughtSwitch } from "./mac-table-routes.js";
import { matchExcept, OFPFW_HOST } from "./wildcards.js";

export interface LearningSwitchOptions extends MacTableOptions {
  /** Seconds without a packet after which a learned flow goes; 0 keeps it. 60 unless given. */
  maxIdle?: number | undefined;
  /** Install no flows: every packet passes through the controller. */
  noFlow?: boolean | undefined;
  /** What learned flows leave out of the packet's headers, as a mask of OpenFlow 1.0's ofp_flow_wildcards. Without it they
   *  match port, addresses and VLAN. */
  wildcards?: number | undefined;
  /** Learned flows say NORMAL: the switch forwards what does not have to be flooded. */
  normal?: boolean | undefined;
  /** The queue to send through. */
  queue?: number | undefined;
  /** The queue for what came by the port of that name. */
  portQueues?: Readonly<Record<string, number>> | undefined;
  clock?: Clock;
}

/** Tells the flows of this app from other apps' and people's ("learn" in ASCII). */
export const LEARNED_COOKIE = 0x6c6561726en;
const EXACTLY = 0xffff_ffff_ffff_ffffn;
const PRIORITY = 1;
const OFPPS_DOWN = OFPPS.LINK_DOWN;
const OFPPC_DOWN = OFPPC.PORT_DOWN;

type PacketIn = MessageOf<"OFPT_PACKET_IN">;
type PortStatus = MessageOf<"OFPT_PORT_STATUS">;

/** Forwards by the addresses that it has seen, apart for each VLAN. A flow is installed for what goes between two
 *  known hosts; its match names the source and its port as well, so that a host which speaks up elsewhere is
 *  noticed. What is flooded gets no flow. */
export function learningSwitch(options: LearningSwitchOptions = {}): RestApp {
  const clock = options.clock ?? realClock;
  const switches = new Map<bigint, TaughtSwitch>();
  const tableOf = (dp: Switch): MacTable => {
    let one = switches.get(dp.dpid);
    if (one === undefined) {
      one = { dp, table: new MacTable(options) };
      switches.set(dp.dpid, one);
    }
    return one.table;
  };
  return {
    name: "learning-switch",
    routes: macTableRoutes({
      find: (dpid) => switches.get(dpid),
      teach: (table, address, port) => teach(table, address, port, clock.now(), options),
      now: () => clock.now(),
    }),
    events: {
      datapath_up: (dp) => {
        tableOf(dp);
        return [forget({}), tableMissToController];
      },
      datapath_down: (dp) => void switches.delete(dp.dpid),
      datapath_release: () => [forget({})],
      packet_in: (dp, message) =>
        onPacketIn(tableOf(dp), message, clock.now(), options, queueFor(dp, message, options)),
      port_status: (dp, message) => onPortStatus(tableOf(dp), message),
    },
  };
}

/** What to answer to a packet-in. Learns from it. */
export function onPacketIn(
  table: MacTable,
  message: PacketIn,
  now: number,
  options: LearningSwitchOptions = {},
  queue?: number,
): OfMessageInit[] {
  const inPort = message.match.in_port;
  const head = readFrameHead(message.data);
  if (inPort === undefined || head === undefined) return [];
  if (isLinkLocal(head)) return release(message);
  const { src, dst, vlan } = head;
  const moved = isMulticast(src)
    ? NOTHING
    : onLearned(table.learn(vlan, src, inPort, now), head, inPort, options, queue);
  const port = isMulticast(dst) ? undefined : table.lookup(vlan, dst, now);
  const sent =
    port === undefined
      ? [packetOut(message, output(OFPP.FLOOD))]
      : sendTo(port, head, inPort, message, options, queue);
  return moved.length === 0 ? sent : [...moved, ...sent];
}

/** What to tell the switch when somebody says at which port a host without a VLAN is: flows between it and those known at
 *  other ports. */
export function teach(
  table: MacTable,
  address: number,
  port: number,
  now: number,
  options: LearningSwitchOptions = {},
): OfMessageInit[] {
  const { queue, maxIdle = 60, wildcards, noFlow } = options;
  const head = { src: address, dst: 0, vlan: NO_VLAN, ethType: 0 };
  const moved = onLearned(table.learn(NO_VLAN, address, port, now), head, port, options, queue);
  // What flows with wildcards match is known from a packet only.
  if (noFlow || wildcards !== undefined) return [...moved];
  const flow = (in_port: number, src: number, dst: number, to: number): OfMessageInit => {
    const match = {
      in_port,
      eth_dst: macFromNumber(dst),
      eth_src: macFromNumber(src),
      vlan_vid: OFPVID.NONE,
    };
    const entry = { cookie: LEARNED_COOKIE, priority: PRIORITY, idle_timeout: maxIdle, match };
    return addFlow(entry, ...actionsTo(to, options, queue));
  };
  const others = [...table.entries(now)].filter(([vlan, , at]) => vlan === NO_VLAN && at !== port);
  return [
    ...moved,
    ...others.flatMap(([, other, at]) => [flow(at, other, address, port), flow(port, address, other, at)]),
  ];
}

/** As `readFrameHead` tells of it. */
const NO_VLAN = -1;
const NOTHING: readonly OfMessageInit[] = [];

/** A host that moved takes the flows that others have for it along. */
function onLearned(
  learned: Learned,
  { src, vlan }: FrameHead,
  inPort: number,
  options: LearningSwitchOptions,
  queue: number | undefined,
): readonly OfMessageInit[] {
  if (learned.kind !== "moved" || options.noFlow) return NOTHING;
  const isByHost = options.wildcards === undefined || (options.wildcards & OFPFW_HOST) === 0;
  if (!isByHost) return [forget({})];
  return followMove(src, vlan, learned.port, actionsTo(inPort, options, queue));
}

/** To a port at which the destination is known to be. */
function sendTo(
  port: number,
  head: FrameHead,
  inPort: number,
  message: PacketIn,
  options: LearningSwitchOptions,
  queue: number | undefined,
): OfMessageInit[] {
  // For its own port, it has reached its host without us.
  if (port === inPort) {
    return options.noFlow ? release(message) : [learnedFlow(head, inPort, [], message, options)];
  }
  const actions = actionsTo(port, options, queue);
  if (options.noFlow) return [packetOutBy(message, actions)];
  const flow = learnedFlow(head, inPort, actions, message, options);
  // A packet that the switch has buffered goes by the flow.
  return message.buffer_id === OFP_NO_BUFFER ? [flow, packetOutBy(message, actions)] : [flow];
}

const actionsTo = (port: number, options: LearningSwitchOptions, queue: number | undefined): ActionInit[] =>
  queue === undefined
    ? [output(options.normal ? OFPP.NORMAL : port)]
    : [{ type: "OFPAT_SET_QUEUE", queue_id: queue }, output(port)];

function queueFor(dp: Switch, { match }: PacketIn, options: LearningSwitchOptions): number | undefined {
  const { queue, portQueues } = options;
  if (portQueues === undefined) return queue;
  const name = dp.ports.get(match.in_port ?? 0)?.name ?? "";
  return Object.hasOwn(portQueues, name) ? portQueues[name] : queue;
}

/** Forwards nothing, and lets the switch have its buffer back. */
const release = (message: PacketIn): OfMessageInit[] =>
  message.buffer_id === OFP_NO_BUFFER ? [] : [packetOut(message)];

const vlanMatch = (vlan: number): number => (vlan < 0 ? OFPVID.NONE : OFPVID.PRESENT | vlan);

/** The flow for packets like this one. Without actions they are dropped. */
const learnedFlow = (
  { dst, src, vlan }: FrameHead,
  in_port: number,
  actions: ActionInit[],
  message: PacketIn,
  { wildcards, maxIdle = 60 }: LearningSwitchOptions,
): OfMessageInit => {
  const match =
    wildcards === undefined
      ? { in_port, eth_dst: macFromNumber(dst), eth_src: macFromNumber(src), vlan_vid: vlanMatch(vlan) }
      : matchExcept(wildcards, message.data, in_port);
  // Written out, since a spread would take the space of another flow.
  return {
    type: "OFPT_FLOW_MOD",
    command: "OFPFC_ADD",
    cookie: LEARNED_COOKIE,
    priority: PRIORITY,
    idle_timeout: maxIdle,
    buffer_id: message.buffer_id,
    match,
    instructions: actions.length === 0 ? [] : [{ type: "OFPIT_APPLY_ACTIONS", actions }],
  };
};

/** Takes away the learned flows that match. */
const forget = (match: Match, outPort: number = OFPP.ANY): OfMessageInit => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE",
  cookie: LEARNED_COOKIE,
  cookie_mask: EXACTLY,
  out_port: outPort,
  out_group: OFPG.ANY,
  match,
});

/** A host moved: flows towards it lead to its new port at once, with no gap; flows for what it sent from the old
 *  port go, so that it is noticed should it move back. */
function followMove(address: number, vlan: number, from: number, actions: ActionInit[]): OfMessageInit[] {
  const host = macFromNumber(address);
  const vlan_vid = vlanMatch(vlan);
  return [
    {
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_MODIFY",
      cookie: LEARNED_COOKIE,
      cookie_mask: EXACTLY,
      match: { eth_dst: host, vlan_vid },
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions }],
    },
    forget({ in_port: from, eth_src: host, vlan_vid }),
  ];
}

/** What to answer to a port's change: a port that is gone or down is forgotten with all flows from and to it. */
export function onPortStatus(table: MacTable, message: PortStatus): OfMessageInit[] {
  const { port_no, config, state } = message.desc;
  const isDown = (config & OFPPC_DOWN) !== 0 || (state & OFPPS_DOWN) !== 0;
  if (message.reason !== "OFPPR_DELETE" && !isDown) return [];
  table.flushPort(port_no);
  return [forget({ in_port: port_no }), forget({}, port_no)];
}

export const learningSwitchApp = defineApp({
  name: "learning-switch",
  summary: "forwards by learned addresses, VLAN by VLAN",
  settings: {
    type: "object",
    properties: {
      maxIdle: {
        type: "integer",
        minimum: 0,
        maximum: 0xffff,
        default: 60,
        description: "seconds without a packet after which a learned flow goes; 0 keeps it",
      },
      noFlow: {
        type: "boolean",
        description: "install no flows: every packet passes through the controller",
      },
      wildcards: {
        type: "integer",
        minimum: 0,
        maximum: 0x3fffff,
        description: "fields that learned flows do not match: a mask of OpenFlow 1.0",
      },
      normal: { type: "boolean", description: "learned flows say NORMAL: the switch itself forwards" },
      queue: { type: "integer", minimum: 0, maximum: 0xfffffffe, description: "the queue to send through" },
      portQueues: {
        type: "object",
        additionalProperties: { type: "integer", minimum: 0, maximum: 0xfffffffe },
        description: "the queue for what came by the port of that name",
      },
      size: { type: "integer", minimum: 1, default: 8192, description: "addresses remembered of a switch" },
      ageMs: {
        type: "integer",
        minimum: 1,
        default: 300_000,
        description: "milliseconds after which an address not seen again is forgotten",
      },
    },
  },
  create: (settings, { clock }) => learningSwitch({ ...settings, clock }),
});
