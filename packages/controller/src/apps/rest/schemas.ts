import type { JsonSchema } from "../../rest/route.js";

const number: JsonSchema = { type: ["integer", "string"] };
const text: JsonSchema = { type: "string" };

/** The fields of a rule's match. */
export const ruleMatch: Readonly<Record<string, JsonSchema>> = {
  in_port: number,
  dl_src: text,
  dl_dst: text,
  dl_type: { enum: ["ARP", "IPv4", "IPv6"] },
  nw_src: { type: "string", description: "A.B.C.D or A.B.C.D/M" },
  nw_dst: text,
  ipv6_src: text,
  ipv6_dst: text,
  nw_proto: { enum: ["TCP", "UDP", "ICMP", "ICMPv6"] },
  tp_src: number,
  tp_dst: number,
  ip_dscp: number,
};
