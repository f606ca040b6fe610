import {
  type ActionInit,
  decode,
  encode,
  formatInstructions,
  formatPriorityAndMatch,
  type Match,
  type MessageInitOf,
  type MessageOf,
  OFPFF,
  OFPG,
  OFPP,
  OFPVID,
} from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import type { AclRule, PolicyPort, PolicySwitch, Vlan } from "./document.js";

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;
type Instructions = NonNullable<FlowMod["instructions"]>;

/** Tells the flows of this app from others' ("policy" in ASCII). */
export const POLICY_COOKIE = 0x706f6c696379n;
export const EXACTLY = 0xffff_ffff_ffff_ffffn;

/** The way of a packet: the access list of its port; its VLAN; the access list of that; whether its sender is known; where
 *  its destination is; otherwise to all of the VLAN. From table 2 on every packet has a tag. */
export const TABLE = { PORT_ACL: 0, VLAN: 1, VLAN_ACL: 2, SENDER: 3, DESTINATION: 4, FLOOD: 5 } as const;

const ETH_VLAN = 0x8100;
const LINK_LOCAL = { value: "01:80:c2:00:00:00", mask: "ff:ff:ff:ff:ff:f0" };
const MULTICAST = { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" };
const FIRST_RULE = 0x8000;
const [BARRED, EXACT, ONE_PORT, DEFAULT] = [0xf000, 10, 11, 1];

/** Where an address was last seen. */
export interface PolicyHost {
  readonly mac: string;
  readonly vid: number;
  readonly port: number;
}

/** A port of the policy, with its number at the switch. */
interface Member {
  readonly port: PolicyPort;
  readonly number: number;
  /** Ports that show what this one sends and receives. */
  readonly mirrors: readonly number[];
}

/** All flows that a switch is to have. `numbers` are those of its ports, by the names that the policy has for them; a
 *  port that is not there yet has none. */
export function policyFlows(
  sw: PolicySwitch,
  numbers: ReadonlyMap<string, number>,
  hosts: Iterable<PolicyHost>,
): FlowMod[] {
  const members = membersOf(sw, numbers);
  const vlans = new Set(members.flatMap(({ port }) => vlansOf(port)));
  const numberOf = (names: readonly string[]): number[] => names.flatMap((name) => numbers.get(name) ?? []);
  return [
    flow(TABLE.PORT_ACL, BARRED, { eth_dst: LINK_LOCAL }, []),
    ...members.flatMap((member) => entrance(member, numberOf)),
    ...[...vlans].flatMap((vlan) => vlanAcl(vlan, numberOf)),
    flow(TABLE.SENDER, BARRED, { eth_src: MULTICAST }, []),
    flow(TABLE.SENDER, 0, {}, [...apply(output(OFPP.CONTROLLER)), ...goto(TABLE.DESTINATION)]),
    flow(TABLE.DESTINATION, 0, {}, goto(TABLE.FLOOD)),
    ...[...vlans].flatMap((vlan) => flood(vlan, members)),
    ...[...hosts].flatMap((host) => hostFlows(host, sw, members)),
  ];
}

/** Those for one address; none where its port is no longer in its VLAN. */
export const flowsOfHost = (
  host: PolicyHost,
  sw: PolicySwitch,
  numbers: ReadonlyMap<string, number>,
): FlowMod[] => hostFlows(host, sw, membersOf(sw, numbers));

function membersOf(sw: PolicySwitch, numbers: ReadonlyMap<string, number>): Member[] {
  return sw.ports.flatMap((port) => {
    const number = numbers.get(port.name);
    if (number === undefined) return [];
    const mirrors = sw.ports
      .filter(({ mirrorOf }) => mirrorOf.includes(port.name))
      .flatMap(({ name }) => numbers.get(name) ?? []);
    return [{ port, number, mirrors }];
  });
}

const vlansOf = ({ native, tagged }: PolicyPort): Vlan[] => (native ? [native, ...tagged] : [...tagged]);
const tag = (vlan: { vid: number }): number => OFPVID.PRESENT | vlan.vid;

/** What comes in by a port. */
function entrance(
  { port, number, mirrors }: Member,
  numberOf: (names: readonly string[]) => number[],
): FlowMod[] {
  if (vlansOf(port).length === 0) return [];
  const in_port = number;
  const native = port.native;
  const intoNative = native && [
    flow(TABLE.VLAN, EXACT, { in_port, vlan_vid: OFPVID.NONE }, [
      ...apply({ type: "OFPAT_PUSH_VLAN", ethertype: ETH_VLAN }, setVid(native)),
      ...goto(TABLE.VLAN_ACL),
    ]),
    // A tag that has a priority and no VLAN (IEEE 802.1Q §9.6).
    flow(TABLE.VLAN, EXACT, { in_port, vlan_vid: OFPVID.PRESENT }, [
      ...apply(setVid(native)),
      ...goto(TABLE.VLAN_ACL),
    ]),
  ];
  return [
    ...accessList(TABLE.PORT_ACL, { in_port }, port.acl, mirrors, numberOf),
    ...(intoNative ?? []),
    ...port.tagged.map((vlan) =>
      flow(TABLE.VLAN, EXACT, { in_port, vlan_vid: tag(vlan) }, goto(TABLE.VLAN_ACL)),
    ),
  ];
}

const vlanAcl = (vlan: Vlan, numberOf: (names: readonly string[]) => number[]): FlowMod[] =>
  accessList(TABLE.VLAN_ACL, { vlan_vid: tag(vlan) }, vlan.acl, [], numberOf);

/** Rule after rule, then nothing; without a list everything. `copies` get all. */
function accessList(
  table: number,
  where: Match,
  rules: readonly AclRule[] | undefined,
  copies: readonly number[],
  numberOf: (names: readonly string[]) => number[],
): FlowMod[] {
  const decide = (isAllowed: boolean, mirrors: readonly number[]): Instructions => [
    ...apply(...[...new Set([...copies, ...mirrors])].map(output)),
    ...(isAllowed ? goto(table + 1) : []),
  ];
  const list = (rules ?? []).map(({ match, isAllowed, mirrors }, i) =>
    flow(table, FIRST_RULE - i, { ...match, ...where }, decide(isAllowed, numberOf(mirrors))),
  );
  return [...list, flow(table, DEFAULT, where, decide(rules === undefined, []))];
}

/** Out of a port: its copies go the same way. */
const exit = ({ port, number, mirrors }: Member, vlan: { vid: number }): ActionInit[] => [
  ...(port.native?.vid === vlan.vid ? [popVlan] : []),
  ...[number, ...mirrors].map(output),
];

/** To all ports of a VLAN, those with tags first. A port that is mirrored has a flow of its own for what it sends
 *  itself, of which its mirrors have had their copy. */
function flood(vlan: Vlan, members: readonly Member[]): FlowMod[] {
  const inVlan = members.filter(({ port }) => vlansOf(port).some(({ vid }) => vid === vlan.vid));
  const isNative = ({ port }: Member): boolean => port.native?.vid === vlan.vid;
  const to = (ports: readonly Member[]): Instructions => {
    const outs = (chosen: readonly Member[]): ActionInit[] =>
      [...new Set(chosen.flatMap(({ number, mirrors }) => [number, ...mirrors]))].map(output);
    const untagged = outs(ports.filter(isNative));
    return apply(
      ...outs(ports.filter((member) => !isNative(member))),
      ...(untagged.length > 0 ? [popVlan, ...untagged] : []),
    );
  };
  const vlan_vid = tag(vlan);
  const mirrored = inVlan.filter(({ mirrors }) => mirrors.length > 0);
  return [
    flow(TABLE.FLOOD, EXACT, { vlan_vid }, to(inVlan)),
    ...mirrored.map((member) =>
      flow(
        TABLE.FLOOD,
        ONE_PORT,
        { in_port: member.number, vlan_vid },
        to(inVlan.filter((one) => one !== member)),
      ),
    ),
  ];
}

function hostFlows({ mac, vid, port }: PolicyHost, sw: PolicySwitch, members: readonly Member[]): FlowMod[] {
  const member = members.find(({ number }) => number === port);
  if (member === undefined || !vlansOf(member.port).some((vlan) => vlan.vid === vid)) return [];
  const vlan_vid = tag({ vid });
  return [
    {
      ...flow(TABLE.SENDER, EXACT, { in_port: port, vlan_vid, eth_src: mac }, goto(TABLE.DESTINATION)),
      idle_timeout: sw.timeout,
      flags: OFPFF.SEND_FLOW_REM,
    },
    flow(TABLE.DESTINATION, EXACT, { vlan_vid, eth_dst: mac }, apply(...exit(member, { vid }))),
  ];
}

const popVlan: ActionInit = { type: "OFPAT_POP_VLAN" };
const setVid = (vlan: Vlan): ActionInit => ({ type: "OFPAT_SET_FIELD", field: { vlan_vid: tag(vlan) } });
const goto = (table_id: number): Instructions => [{ type: "OFPIT_GOTO_TABLE", table_id }];
const apply = (...actions: ActionInit[]): Instructions =>
  actions.length === 0 ? [] : [{ type: "OFPIT_APPLY_ACTIONS", actions }];

const flow = (table_id: number, priority: number, match: Match, instructions: Instructions): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  cookie: POLICY_COOKIE,
  table_id,
  priority,
  match,
  instructions,
});

/** A flow as the switch has it: what tells it from others, and what it does. */
export interface InstalledFlow {
  readonly table_id: number;
  readonly priority: number;
  readonly match: Match;
  readonly does: string;
}

type Described = Pick<
  MessageOf<"OFPT_FLOW_MOD">,
  "table_id" | "priority" | "match" | "instructions" | "idle_timeout" | "hard_timeout"
>;

export const keyOf = ({ table_id, priority, match }: Described): string =>
  `${table_id} ${formatPriorityAndMatch(priority, match)}`;
export const installed = (flow: Described): InstalledFlow => ({
  table_id: flow.table_id,
  priority: flow.priority,
  match: flow.match,
  does: `${flow.idle_timeout} ${flow.hard_timeout} ${formatInstructions(flow.instructions)}`,
});

/** What makes the flows that a switch has those that it should have: additions, then removals, so that nothing that stays
 *  the same has a gap. Gives the flows that are then there. */
export function difference(
  has: ReadonlyMap<string, InstalledFlow>,
  wanted: readonly FlowMod[],
): { messages: FlowMod[]; then: Map<string, InstalledFlow> } {
  const then = new Map<string, InstalledFlow>();
  const messages: FlowMod[] = [];
  for (const mod of wanted) {
    // As the switch would tell of it: with defaults, and fields in their order.
    const known = decode(encode(mod)) as MessageOf<"OFPT_FLOW_MOD">;
    const key = keyOf(known);
    const next = installed(known);
    if (has.get(key)?.does !== next.does) messages.push(mod);
    then.set(key, next);
  }
  for (const [key, flow] of has) if (!then.has(key)) messages.push(removal(flow));
  return { messages, then };
}

export const removal = ({ table_id, priority, match }: InstalledFlow): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE_STRICT",
  cookie: POLICY_COOKIE,
  cookie_mask: EXACTLY,
  out_port: OFPP.ANY,
  out_group: OFPG.ANY,
  table_id,
  priority,
  match,
});
