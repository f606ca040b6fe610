import { type Match, OFPPC, OFPPS, type Port } from "@sluice/openflow-codec";
import type { TopologyHost, TopologyLink, TopologyPort } from "../apps/topology/index.js";
import { describeFlow, type ListedFlow } from "../tables/index.js";
import { dpidText } from "./dpid.js";
import { showInstructions } from "./ofctl/actions.js";
import { showMatch } from "./ofctl/match.js";
import { flagNames, PORT } from "./ofctl/names.js";
import { showReserved } from "./ofctl/read.js";
import type { JsonSchema } from "./route.js";

/** What `/v1` tells of switches, in JSON: a dpid is 16 hexadecimal digits, a port its number, or its name where it is
 *  reserved, flags are words. */

export const portNo = (port_no: number): number | string => showReserved(port_no, PORT);

const words = (values: Readonly<Record<string, number>>, bits: number): string[] =>
  flagNames(values, bits).map((name) => name.toLowerCase());

export const portOf = (port: Port): object => ({
  port_no: portNo(port.port_no),
  name: port.name,
  hw_addr: port.hw_addr,
  is_up: (port.config & OFPPC.PORT_DOWN) === 0 && (port.state & OFPPS.LINK_DOWN) === 0,
  config: words(OFPPC, port.config),
  state: words(OFPPS, port.state),
  curr_speed: port.curr_speed,
  max_speed: port.max_speed,
});
export const portRef = ({ dpid, port_no, hw_addr, name }: TopologyPort): object => ({
  ...{ dpid: dpidText(dpid), port_no: portNo(port_no), hw_addr, name },
});
export const linkOf = ({ src, dst, isDirect }: TopologyLink): object => ({
  ...{ src: portRef(src), dst: portRef(dst), is_direct: isDirect },
});
export const hostOf = ({ mac, ipv4, ipv6, port }: TopologyHost): object => ({
  ...{ mac, ipv4, ipv6, port: portRef(port) },
});

/** 64 bits, of which scripts of pages would lose some. */
export const cookieText = (cookie: bigint): string => `0x${cookie.toString(16)}`;

export const flowOf = ({ table_id, priority, cookie, match, instructions, ...flow }: ListedFlow): object => ({
  ...{ table_id, priority, cookie: cookieText(cookie) },
  ...{ idle_timeout: flow.idle_timeout, hard_timeout: flow.hard_timeout },
  match: showMatch(match as Match),
  actions: showInstructions(instructions as Parameters<typeof showInstructions>[0]),
  flow: describeFlow({ table_id, priority, match, instructions }),
});

const string: JsonSchema = { type: "string" };
const integer: JsonSchema = { type: "integer" };
const strings: JsonSchema = { type: "array", items: string };
const object = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  ...{ type: "object", properties },
});
export const listOf = (items: JsonSchema): JsonSchema => ({ type: "array", items });

const portNumber: JsonSchema = {
  type: ["integer", "string"],
  description: "Its number, or its name where it is reserved: 1, LOCAL.",
};
export const dpidSchema: JsonSchema = { type: "string", pattern: "^[0-9a-f]{16}$" };
export const SCHEMAS = {
  port: object({
    ...{ port_no: portNumber, name: string, hw_addr: string, is_up: { type: "boolean" } },
    ...{ config: strings, state: strings, curr_speed: integer, max_speed: integer },
  }),
  portRef: object({ dpid: dpidSchema, port_no: portNumber, hw_addr: string, name: string }),
  flow: object({
    ...{ table_id: integer, priority: integer, cookie: string, idle_timeout: integer, hard_timeout: integer },
    match: { type: "object", description: "Fields by their OXM names." },
    actions: { ...strings, description: "As Ryu writes them." },
    flow: { type: "string", description: "As ovs-ofctl writes it." },
  }),
} as const;
