import {
  formatInstructions,
  formatPriorityAndMatch,
  type Instruction,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { output } from "../../framework/messages.js";
import type { ListedFlow, ModelGroup } from "../../tables/index.js";
import {
  admit,
  FLOOD_GROUP,
  FORWARDING_COOKIE,
  foundation,
  hostFlow,
  MAX_NUMBER,
  type PortRole,
  pathGroup,
  ROLES,
  roleChange,
  toGroup,
  unknownFlow,
} from "./flows.js";

/** What an earlier connection, or another controller of this kind, left in a switch. */
export interface Found {
  readonly roles: ReadonlyMap<number, PortRole>;
  readonly senders: readonly { readonly mac: string; readonly port: number; readonly idleSecs: number }[];
  /** By address: the number of the switch that its flow leads to; undefined where it is a port of this one. */
  readonly hosts: ReadonlyMap<string, number | undefined>;
  /** By the number of the switch that a group leads to: its ports, those that share the flows, or one and its spares. */
  readonly groups: ReadonlyMap<number, { readonly isSelect: boolean; readonly ports: readonly number[] }>;
}

/** What a flow is and does, the same for one that is sent and one that is listed. */
const textOf = (flow: ListedFlow): string =>
  [
    flow.table_id,
    formatPriorityAndMatch(flow.priority, flow.match),
    flow.idle_timeout,
    flow.hard_timeout,
    formatInstructions(flow.instructions),
  ].join(" ");
/** The same of what this app sends to make flows. It fills in all fields that a switch tells of but these. */
const textsOf = (messages: readonly OfMessageInit[]): string[] =>
  messages.flatMap((mod) => {
    if (mod.type !== "OFPT_FLOW_MOD" || mod.command !== "OFPFC_ADD") return [];
    const { table_id = 0, priority = 0, match = {}, cookie = 0n, instructions = [] } = mod;
    const { idle_timeout = 0, hard_timeout = 0 } = mod;
    const flow = { table_id, priority, match, cookie, idle_timeout, hard_timeout };
    return [textOf({ ...flow, instructions: instructions as readonly Instruction[] })];
  });

const FOUNDATION = textsOf(foundation());
/** What a port may be found to be, the first that fits: what there is of others leaves no trace. */
const FOUND_ROLES: readonly PortRole[] = ["edge", "tree", "link", "segment-tree", "blocked"];
const isOfPorts = ({ match: { in_port, eth_src } }: ListedFlow): boolean =>
  in_port !== undefined && eth_src === undefined;

/** A switch with more groups than a network has switches is not one of this app's making. */
const MAX_GROUPS = 8192;

/** Of the groups of a switch, those of this app. */
export const isOurs = ({ group_id }: Pick<ModelGroup, "group_id">): boolean =>
  group_id >= FLOOD_GROUP && group_id <= pathGroup(MAX_NUMBER);

/** Reads back what this app's messages have made. Undefined where the switch has nothing of it, or anything that is not just as
 *  the app makes it: then it is better made anew. */
export function readFound(
  listed: readonly ListedFlow[],
  listedGroups: readonly ModelGroup[],
): Found | undefined {
  const flows = listed.filter(({ cookie }) => cookie === FORWARDING_COOKIE);
  const groups = new Map(listedGroups.filter(isOurs).map((group) => [group.group_id, group]));
  const texts = new Set(flows.map((flow) => textOf(flow)));
  if (groups.size > MAX_GROUPS) return undefined;
  if (!FOUNDATION.every((text) => texts.has(text))) return undefined;

  const flood = groups.get(FLOOD_GROUP);
  const floods = flood?.group_type === "OFPGT_ALL" ? portsOf(flood) : undefined;
  if (floods === undefined) return undefined;
  const roles = readRoles(flows, new Set(floods));
  const ways = readWays(groups);
  if (roles === undefined || ways === undefined) return undefined;

  const senders: Found["senders"][number][] = [];
  const hosts = new Map<string, number | undefined>();
  for (const flow of flows) {
    const text = textOf(flow);
    if (isOfPorts(flow) || FOUNDATION.includes(text)) continue;
    const { in_port, eth_src, eth_dst } = flow.match;
    if (in_port !== undefined && typeof eth_src === "string") {
      const idleSecs = flow.idle_timeout;
      if (!isText(text, admit(in_port, eth_src, idleSecs))) return undefined;
      senders.push({ mac: eth_src, port: in_port, idleSecs });
    } else if (typeof eth_dst === "string") {
      if (isText(text, unknownFlow(eth_dst))) continue;
      const [first] = flow.instructions;
      const [action] = first?.type === "OFPIT_APPLY_ACTIONS" ? first.actions : [];
      if (action?.type === "OFPAT_OUTPUT" && isText(text, hostFlow(eth_dst, output(action.port))))
        hosts.set(eth_dst, undefined);
      else if (action?.type === "OFPAT_GROUP" && isText(text, hostFlow(eth_dst, toGroup(action.group_id))))
        hosts.set(eth_dst, action.group_id - FLOOD_GROUP);
      else return undefined;
    } else return undefined;
  }
  return { roles, senders, hosts, groups: ways };
}

const isText = (text: string, message: OfMessageInit): boolean => textsOf([message])[0] === text;

function readRoles(
  flows: readonly ListedFlow[],
  floods: ReadonlySet<number>,
): Map<number, PortRole> | undefined {
  const ofPort = new Map<number, string[]>([...floods].map((port) => [port, []]));
  for (const flow of flows.filter(isOfPorts)) {
    const port = flow.match.in_port!;
    const texts = ofPort.get(port) ?? [];
    texts.push(textOf(flow));
    ofPort.set(port, texts);
  }
  const roles = new Map<number, PortRole>();
  for (const [port, texts] of ofPort) {
    const found = texts.sort().join("\n");
    const role = FOUND_ROLES.find(
      (one) =>
        ROLES[one].floods === floods.has(port) &&
        textsOf(roleChange(port, "down", one))
          .sort()
          .join("\n") === found,
    );
    if (role === undefined) return undefined;
    roles.set(port, role);
  }
  return roles;
}

function readWays(groups: ReadonlyMap<number, ModelGroup>): Map<number, WayFound> | undefined {
  const ways = new Map<number, WayFound>();
  for (const [id, group] of groups) {
    if (id === FLOOD_GROUP) continue;
    const ports = portsOf(group);
    const isSelect = group.group_type === "OFPGT_SELECT";
    if (ports === undefined || !(isSelect || group.group_type === "OFPGT_FF")) return undefined;
    ways.set(id - FLOOD_GROUP, { isSelect, ports });
  }
  return ways;
}
type WayFound = { isSelect: boolean; ports: number[] };

/** The ports of buckets that do nothing but output. */
function portsOf({ buckets }: ModelGroup): number[] | undefined {
  const ports = buckets.map(({ actions: [action, ...more] }) =>
    action?.type === "OFPAT_OUTPUT" && more.length === 0 ? action.port : undefined,
  );
  return ports.includes(undefined) ? undefined : (ports as number[]);
}
