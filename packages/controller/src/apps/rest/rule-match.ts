import type { Match } from "@sluice/openflow-codec";
import { readMatch, showMatch } from "../../rest/ofctl/match.js";
import { type Body, isBody } from "../../rest/ofctl/read.js";
import { badField } from "../../rest/problem.js";

/** The match of a firewall's or QoS rule in Ryu's words: protocols by name, and the type of the packet told by its other
 *  fields. */

const ETH_TYPES: Readonly<Record<string, number>> = { ARP: 0x0806, IPv4: 0x0800, IPv6: 0x86dd };
const IP_PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, ICMP: 1, ICMPv6: 58 };
const WORDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  dl_type: ETH_TYPES,
  nw_proto: IP_PROTOCOLS,
};

/** A field, or a field with a value, that says of which type packets are. The first that is there says it. */
const TELLING: readonly (readonly [field: string, value: string | undefined, dl_type: string])[] = [
  ["nw_src", undefined, "IPv4"],
  ["nw_dst", undefined, "IPv4"],
  ["ipv6_src", undefined, "IPv6"],
  ["ipv6_dst", undefined, "IPv6"],
  ["nw_proto", "ICMP", "IPv4"],
  ["nw_proto", "ICMPv6", "IPv6"],
  ["ip_dscp", undefined, "IPv4"],
];
/** What packets of a type cannot have. */
const WRONG: Readonly<Record<string, readonly (readonly [field: string, value?: string])[]>> = {
  ARP: [["ipv6_src"], ["ipv6_dst"], ["nw_proto"], ["ip_dscp"]],
  IPv4: [["ipv6_src"], ["ipv6_dst"], ["nw_proto", "ICMPv6"]],
  IPv6: [["nw_src"], ["nw_dst"], ["nw_proto", "ICMP"]],
};

/** The names that a rule's match may have. */
export const MATCH_FIELDS = [
  "in_port",
  "dl_src",
  "dl_dst",
  "dl_type",
  "dl_vlan",
  "nw_src",
  "nw_dst",
  "ipv6_src",
  "ipv6_dst",
  "nw_proto",
  "tp_src",
  "tp_dst",
  "ip_dscp",
] as const;

/** `match` of a body, for packets of VLAN `vlan` (0: of any). Throws a Problem that names the field. */
export function readRuleMatch(value: unknown, path: string, vlan: number): Match {
  if (!isBody(value)) throw badField(path || "body", "is not an object");
  const at = (field: string): string => (path ? `${path}.${field}` : field);
  const given: Record<string, unknown> = { ...value, ...(vlan !== 0 && { dl_vlan: vlan }) };
  const unknown = Object.keys(given).find((name) => !(MATCH_FIELDS as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw badField(at(unknown), `is not a field of a rule; there are ${MATCH_FIELDS.join(", ")}`);
  for (const [field, words] of Object.entries(WORDS)) {
    if (given[field] !== undefined && !Object.hasOwn(words, String(given[field])))
      throw badField(at(field), `is not one of ${Object.keys(words).join(", ")}`);
  }
  given.dl_type ??= typeToldBy(given);
  checkType(given, at);
  for (const [field, words] of Object.entries(WORDS)) {
    if (given[field] === undefined) delete given[field];
    else given[field] = words[String(given[field])];
  }
  return readMatch(given, path);
}

const typeToldBy = (given: Body): string | undefined =>
  TELLING.find(
    ([field, value]) => given[field] !== undefined && (value === undefined || given[field] === value),
  )?.[2];

function checkType(given: Body, at: (field: string) => string): void {
  const { dl_type, nw_proto } = given;
  if (dl_type === undefined) {
    if (nw_proto !== undefined) throw badField(at("nw_proto"), "needs a dl_type: no dl_type was specified");
    return;
  }
  const wrong = WRONG[String(dl_type)]?.find(
    ([field, value]) => given[field] !== undefined && (value === undefined || given[field] === value),
  );
  if (wrong === undefined) return;
  const [field, value] = wrong;
  const shown = value === undefined ? field : `${field}=${value}`;
  throw badField(at(field), `does not go with it. Invalid combination: [dl_type=${dl_type} and ${shown}]`);
}

/** The same match as Ryu's clients read it. */
export function showRuleMatch(match: Match): Record<string, unknown> {
  const shown = showMatch(match);
  for (const [field, words] of Object.entries(WORDS)) {
    const word = Object.keys(words).find((name) => words[name] === shown[field]);
    if (word !== undefined) shown[field] = word;
  }
  return shown;
}

/** The VLAN group of a rule's flow, as in `dl_vlan`: 0 where it is for packets of any. */
export const vlanOf = (match: Match): number => {
  const { dl_vlan = 0 } = showMatch(match);
  const vlan = Number(dl_vlan);
  return Number.isInteger(vlan) ? vlan : 0;
};
