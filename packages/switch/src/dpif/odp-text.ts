import { readIpv4, readIpv6, readMac, toHex } from "@sluice/wire";
import type { OdpAction } from "./actions.js";

/** Datapath flows and actions in the syntax of `ovs-appctl dpctl/dump-flows`, as far as it has words for them. */

type Value = number | bigint | string;
/** A match by field name, as keyToMatch of flow/match.ts gives it. */
export type OdpMatch = Readonly<Record<string, Value | { readonly value: Value; readonly mask: Value }>>;

/** As printf's %#x writes it: 0 without its 0x. */
const hex = (value: Value): string =>
  typeof value === "string" ? value : Number(value) === 0 ? "0" : `0x${value.toString(16)}`;

/** How a value is written, with its mask where it has one. */
type Form = (value: Value, mask?: Value) => string;
const masked =
  (form: (value: Value) => string): Form =>
  (value, mask) =>
    mask === undefined ? form(value) : `${form(value)}/${hex(mask)}`;
const inDecimal = masked(String);
const inHex = masked(hex);

export const FRAGMENTS: Readonly<Record<string, string>> = { 0: "no", 1: "first", 3: "later" };
const fragment = masked((value) => FRAGMENTS[String(value)] ?? hex(value));

export const TCP_FLAGS: readonly string[] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];
/** Flags by name: those that are set, or where there is a mask those that it asks for, each with what it has to be. */
const tcpFlags: Form = (value, mask) => {
  const [set, asked] = [Number(value), Number(mask ?? value)];
  if (asked === 0 || asked >>> TCP_FLAGS.length !== 0) return inHex(value, mask);
  const names = TCP_FLAGS.map((flag, i) => ({ flag, isSet: ((set >>> i) & 1) === 1 }));
  const wanted = names.filter((_, i) => ((asked >>> i) & 1) === 1);
  return mask === undefined
    ? wanted.map(({ flag }) => flag).join("|")
    : wanted.map(({ flag, isSet }) => `${isSet ? "+" : "-"}${flag}`).join("");
};

/** How a header is written: its word, and by match field the word and form of each of its members. */
export interface Header {
  readonly word: string;
  readonly members: Readonly<Record<string, readonly [word: string, form?: Form]>>;
}

/** Headers in the order in which they are written; `tos` stands for ip_dscp and ip_ecn together. */
const ETHERNET: Header = { word: "eth", members: { eth_src: ["src"], eth_dst: ["dst"] } };
const UPPER: readonly Header[] = [
  {
    word: "ipv4",
    members: {
      ipv4_src: ["src"],
      ipv4_dst: ["dst"],
      ip_proto: ["proto"],
      tos: ["tos", inHex],
      nw_ttl: ["ttl"],
      nw_frag: ["frag", fragment],
    },
  },
  {
    word: "ipv6",
    members: {
      ipv6_src: ["src"],
      ipv6_dst: ["dst"],
      ipv6_flabel: ["label", inHex],
      ip_proto: ["proto"],
      tos: ["tclass", inHex],
      nw_ttl: ["hlimit"],
      nw_frag: ["frag", fragment],
    },
  },
  {
    word: "arp",
    members: {
      arp_spa: ["sip"],
      arp_tpa: ["tip"],
      arp_op: ["op"],
      arp_sha: ["sha"],
      arp_tha: ["tha"],
    },
  },
  {
    word: "mpls",
    members: { mpls_label: ["label"], mpls_tc: ["tc"], mpls_ttl: ["ttl"], mpls_bos: ["bos"] },
  },
  { word: "tcp", members: { tcp_src: ["src"], tcp_dst: ["dst"] } },
  { word: "tcp_flags", members: { tcp_flags: ["", tcpFlags] } },
  { word: "udp", members: { udp_src: ["src"], udp_dst: ["dst"] } },
  { word: "sctp", members: { sctp_src: ["src"], sctp_dst: ["dst"] } },
  { word: "icmp", members: { icmpv4_type: ["type"], icmpv4_code: ["code"] } },
  { word: "icmpv6", members: { icmpv6_type: ["type"], icmpv6_code: ["code"] } },
  {
    word: "nd",
    members: { ipv6_nd_target: ["target"], ipv6_nd_sll: ["sll"], ipv6_nd_tll: ["tll"] },
  },
];

/** All headers by their words. */
export const HEADERS: readonly Header[] = [
  ETHERNET,
  { word: "pbb", members: { pbb_isid: ["isid"] } },
  ...UPPER,
];

function headerText({ word, members }: Header, match: OdpMatch): string[] {
  const parts: string[] = [];
  for (const [name, [member, form = inDecimal]] of Object.entries(members)) {
    const given = match[name];
    if (given === undefined) continue;
    const text = isMasked(given) ? form(given.value, given.mask) : form(given);
    parts.push(member === "" ? text : `${member}=${text}`);
  }
  return parts.length === 0 ? [] : [`${word}(${parts.join(",")})`];
}

type Masked = { readonly value: Value; readonly mask: Value };
const isMasked = (given: Value | Masked): given is Masked => typeof given === "object";
const numberOf = (given: OdpMatch[string] | undefined): number =>
  Number(given === undefined ? 0 : isMasked(given) ? given.value : given);
const maskOf = (given: OdpMatch[string] | undefined, all: number): number =>
  given === undefined ? 0 : isMasked(given) ? Number(given.mask) : all;

/** The byte that holds DSCP and ECN, when something of it is told. */
function tosOf({ ip_dscp, ip_ecn }: OdpMatch): OdpMatch {
  if (ip_dscp === undefined && ip_ecn === undefined) return {};
  const mask = (maskOf(ip_dscp, 0x3f) << 2) | maskOf(ip_ecn, 3);
  const value = (numberOf(ip_dscp) << 2) | numberOf(ip_ecn);
  return { tos: mask === 0xff ? value : { value, mask } };
}

const ETHERNET_TYPES: Readonly<Record<string, string>> = { ipv4: "2048", ipv6: "34525" };

/** Which of two headers that share members is meant. */
const isOf = (word: string, eth_type: string): boolean => (ETHERNET_TYPES[word] ?? eth_type) === eth_type;

const VLAN_PRESENT = 0x1000;
const VLAN_ALL = 0x1fff;

function tagText(vid: OdpMatch[string] | undefined, pcp: OdpMatch[string] | undefined): string {
  const part = (word: string, given: OdpMatch[string] | undefined, all: number): string => {
    const mask = maskOf(given, all) & all;
    return `${word}=${numberOf(given) & all}${mask === all ? "" : `/${hex(mask)}`}`;
  };
  return `vlan(${[part("vid", vid, 0xfff), ...(pcp === undefined ? [] : [part("pcp", pcp, 7)])].join(",")})`;
}

/** A datapath flow's match: `recirc_id(0),in_port(2),eth(src=…),eth_type(0x0800),ipv4(dst=…)`. */
export function formatOdpMatch(given: OdpMatch, portName: PortName = String): string {
  const match: OdpMatch = { ...given, ...tosOf(given) };
  const { recirc_id, in_port, eth_type, vlan_vid, vlan_pcp, pbb_isid } = match;
  const type =
    eth_type === undefined ? [] : [`eth_type(0x${numberOf(eth_type).toString(16).padStart(4, "0")})`];
  const upper = UPPER.filter(({ word }) => isOf(word, String(numberOf(eth_type)))).flatMap((header) =>
    headerText(header, match),
  );
  const payload = [
    ...type,
    ...(pbb_isid === undefined ? [] : [`pbb(isid=${hex(numberOf(pbb_isid))})`]),
    ...upper,
  ];
  const isTagged = (numberOf(vlan_vid) & maskOf(vlan_vid, VLAN_ALL) & VLAN_PRESENT) !== 0;
  const parts = [
    `recirc_id(${hex(numberOf(recirc_id))})`,
    `in_port(${portName(numberOf(in_port))})`,
    "packet_type(ns=0,id=0)",
    ...headerText(ETHERNET, match),
    ...(isTagged
      ? ["eth_type(0x8100)", tagText(vlan_vid, vlan_pcp), `encap(${payload.join(",")})`]
      : payload),
  ];
  return parts.join(",");
}

/** What a datapath port is called: its number, or a name. */
export type PortName = (port: number) => string;

/** What the packet is that actions are for, as far as it decides about words, and what ports are called. */
export interface OdpSubject {
  readonly portName?: PortName;
  readonly eth_type?: number;
  readonly ip_proto?: number;
}

const TRANSPORTS: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  58: "icmpv6",
  132: "sctp",
};

/** A field that set() changes: the header's word and the member's. */
function fieldWords(field: string, { eth_type, ip_proto = 0 }: OdpSubject): readonly [string, string] {
  if (field === "tp_src" || field === "tp_dst") {
    const transport = TRANSPORTS[ip_proto] ?? "tp";
    const [source, target] = transport.startsWith("icmp") ? ["type", "code"] : ["src", "dst"];
    return [transport, field === "tp_src" ? source! : target!];
  }
  const ip = eth_type === 0x86dd ? "ipv6" : "ipv4";
  if (field === "nw_ttl") return [ip, ip === "ipv6" ? "hlimit" : "ttl"];
  if (/^(nw_tos|ip_dscp|ip_ecn)$/.test(field)) return [ip, ip === "ipv6" ? "tclass" : "tos"];
  if (field === "vlan_vid" || field === "vlan_pcp") return ["vlan", field.slice(5)];
  for (const { word, members } of [ETHERNET, ...UPPER]) {
    const found = Object.hasOwn(members, field) ? members[field] : undefined;
    if (found && isOf(word, String(eth_type ?? ETHERNET_TYPES[word] ?? "")))
      return found[0] === "" ? [word, ""] : [word, found[0]];
  }
  return ["", field];
}

const ADDRESSES: Readonly<Record<number, (bytes: Uint8Array) => string>> = {
  4: (bytes) => readIpv4(bytes, 0),
  6: (bytes) => readMac(bytes, 0),
  16: (bytes) => readIpv6(bytes, 0),
};
const isAddress = /^(eth|ipv4|arp|ipv6)_(src|dst|spa|tpa|sha|tha)$|^ipv6_nd_/;
/** Fields of the byte that has DSCP above ECN: how far each is shifted in it. */
const IN_TOS: Readonly<Record<string, readonly [shift: number, mask: string]>> = {
  ip_dscp: [2, "/0xfc"],
  ip_ecn: [0, "/0x3"],
};

function setText({ field, value, mask }: Extract<OdpAction, { type: "set_field" }>): string {
  const number = BigInt(`0x${toHex(value)}`);
  const masked = mask === undefined ? "" : `/0x${toHex(mask).replace(/^0+(?=.)/, "")}`;
  if (isAddress.test(field))
    return `${ADDRESSES[value.length]!(value)}${mask ? `/${ADDRESSES[value.length]!(mask)}` : ""}`;
  const tos = IN_TOS[field];
  if (tos) return `0x${(number << BigInt(tos[0])).toString(16)}${tos[1]}`;
  if (field === "vlan_vid") return `${number & 0xfffn}`;
  return /^(nw_ttl|vlan_pcp|mpls_|ip_proto|arp_op)|_(src|dst|type|code)$/.test(field)
    ? `${number}${masked}`
    : `0x${number.toString(16)}${masked}`;
}

/** set(…) of one header at a time, as the actions that stand beside each other allow; its members in their order. */
function formatSets(
  sets: readonly Extract<OdpAction, { type: "set_field" }>[],
  subject: OdpSubject,
): string[] {
  const texts: { header: string; members: { member: string; text: string }[] }[] = [];
  for (const set of sets) {
    const [header, member] = fieldWords(set.field, subject);
    const text = member === "" ? setText(set) : `${member}=${setText(set)}`;
    const last = texts.at(-1);
    if (header !== "" && last?.header === header) last.members.push({ member, text });
    else texts.push({ header, members: [{ member, text }] });
  }
  return texts.map(({ header, members }) => {
    const order = HEADERS.find(({ word }) => word === header)?.members ?? {};
    const place = (member: string): number => Object.values(order).findIndex(([word]) => word === member);
    const list = members
      .sort((a, b) => place(a.member) - place(b.member))
      .map(({ text }) => text)
      .join(",");
    return header === "" ? `set(${list})` : `set(${header}(${list}))`;
  });
}

/** Datapath actions, comma-separated; "drop" for none. */
export function formatOdpActions(actions: readonly OdpAction[], subject: OdpSubject = {}): string {
  if (actions.length === 0) return "drop";
  const texts: string[] = [];
  for (let i = 0; i < actions.length; ) {
    let end = i;
    while (actions[end]?.type === "set_field") end++;
    if (end > i) {
      texts.push(
        ...formatSets(actions.slice(i, end) as Extract<OdpAction, { type: "set_field" }>[], subject),
      );
      i = end;
    } else {
      const action = actions[i++]!;
      if (action.type === "check_pkt_len") {
        // What comes after is for the others.
        const more = formatOdpActions(action.actions, subject);
        const rest = formatOdpActions(actions.slice(i), subject);
        texts.push(`check_pkt_len(size=${action.pkt_len},gt(${more}),le(${rest}))`);
        break;
      }
      texts.push(formatOdpAction(action, subject));
    }
  }
  return texts.join(",");
}

function formatOdpAction(action: OdpAction, subject: OdpSubject): string {
  switch (action.type) {
    case "output":
      return (subject.portName ?? String)(action.port);
    case "push_vlan":
      return `push_vlan(${action.tpid === 0x8100 ? "" : `tpid=${hex(action.tpid)},`}vid=${action.tci & 0xfff},pcp=${action.tci >>> 13})`;
    case "push_mpls":
      return `push_mpls(label=${action.lse >>> 12},tc=${(action.lse >>> 9) & 7},ttl=${action.lse & 255},bos=${(action.lse >>> 8) & 1},eth_type=${hex(action.ethertype)})`;
    case "pop_mpls":
      return `pop_mpls(eth_type=${hex(action.ethertype)})`;
    case "push_pbb":
      return `push_pbb(isid=${action.isid})`;
    case "userspace":
      return `userspace(cookie=${action.cookie})`;
    case "meter":
      return `meter(${action.meter_id})`;
    case "set_queue":
      return `set_queue(${action.queue_id})`;
    case "clone":
      return `clone(${formatOdpActions(action.actions, subject)})`;
    case "sample":
      return `sample(sample=${((100 * action.probability) / 0xffff_ffff).toFixed(1)}%,actions(${formatOdpActions(action.actions, subject)}))`;
    case "recirc":
      return `recirc(${hex(action.id)})`;
    case "trunc":
      return `trunc(${action.max_len})`;
    default:
      return action.type;
  }
}
