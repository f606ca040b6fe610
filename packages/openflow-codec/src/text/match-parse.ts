import { missingPrerequisite } from "../prerequisites.js";
import type { OxmField } from "../schema/oxm-field.js";
import type { Match } from "../v13/match.js";
import { oxmField } from "../v13/match.js";
import { refuse, TextError } from "./error.js";
import { isMasked, parseFieldValue, textField } from "./fields.js";
import type { PortNames } from "./ports.js";
import { integer, scan, type Word } from "./scan.js";

/** Matches in ovs-ofctl's syntax. Names that several fields share (nw_src in IP and ARP, tp_dst in TCP and UDP)
 *  are told apart by the match's own dl_type and nw_proto, wherever they stand. */

export interface MatchOptions extends PortNames {
  /** Told of fields that are left out, for lack of what they depend on. */
  readonly warn?: (line: string) => void;
}

const PROTOCOLS: Readonly<Record<string, readonly [ethType: number, ipProto?: number]>> = {
  ip: [0x0800],
  ipv4: [0x0800],
  ip4: [0x0800],
  arp: [0x0806],
  icmp: [0x0800, 1],
  tcp: [0x0800, 6],
  udp: [0x0800, 17],
  sctp: [0x0800, 132],
  ipv6: [0x86dd],
  ip6: [0x86dd],
  icmp6: [0x86dd, 58],
  tcp6: [0x86dd, 6],
  udp6: [0x86dd, 17],
  sctp6: [0x86dd, 132],
  rarp: [0x8035],
  mpls: [0x8847],
  mplsm: [0x8848],
};

/** The order in which Open vSwitch puts fields on the wire. A prerequisite comes before what needs it. */
const WIRE_ORDER = [
  "packet_type",
  "dp_hash",
  "recirc_id",
  "conj_id",
  "in_port",
  "in_phy_port",
  "actset_output",
  "eth_src",
  "eth_dst",
  "eth_type",
  "vlan_vid",
  "vlan_pcp",
  "mpls_tc",
  "mpls_bos",
  "mpls_ttl",
  "mpls_label",
  "ipv4_src",
  "ipv4_dst",
  "ipv6_src",
  "ipv6_dst",
  "nw_frag",
  "ip_dscp",
  "ip_ecn",
  "nw_ttl",
  "ipv6_flabel",
  "ip_proto",
  "tcp_src",
  "tcp_dst",
  "tcp_flags",
  "udp_src",
  "udp_dst",
  "sctp_src",
  "sctp_dst",
  "icmpv4_type",
  "icmpv4_code",
  "icmpv6_type",
  "icmpv6_code",
  "ipv6_nd_target",
  "ipv6_nd_sll",
  "ipv6_nd_tll",
  "arp_op",
  "arp_spa",
  "arp_tpa",
  "arp_sha",
  "arp_tha",
  "pbb_isid",
  "ipv6_exthdr",
  "tunnel_id",
  "tun_flags",
  "tun_src",
  "tun_dst",
  "tun_ipv6_src",
  "tun_ipv6_dst",
  "tun_gbp_id",
  "tun_gbp_flags",
];
const rank = new Map(WIRE_ORDER.map((name, i) => [name, i]));
/** Registers, then what is about connections, then metadata. */
function lateRank(name: string): number {
  if (name === "metadata") return 300;
  if (name.startsWith("ct_")) return 200;
  if (name === "pkt_mark") return 199;
  const register = /reg(\d+)$/.exec(name);
  return register === null ? 0 : 100 + Number(register[1]);
}

interface Context {
  readonly ethType: number | undefined;
  readonly ipProto: number | undefined;
}

const isArp = (context: Context): boolean => context.ethType === 0x0806 || context.ethType === 0x8035;
const isIp = (context: Context): boolean => context.ethType === 0x0800;
const isIpv6 = (context: Context): boolean => context.ethType === 0x86dd;

/** The field that a shared name means in a match of this kind; undefined when it means none there. */
const SHARED: Readonly<Record<string, (context: Context) => string | undefined>> = {
  nw_src: (c) => (isArp(c) ? "arp_spa" : isIp(c) ? "ipv4_src" : undefined),
  nw_dst: (c) => (isArp(c) ? "arp_tpa" : isIp(c) ? "ipv4_dst" : undefined),
  ip_src: (c) => (isArp(c) ? "arp_spa" : isIp(c) ? "ipv4_src" : undefined),
  ip_dst: (c) => (isArp(c) ? "arp_tpa" : isIp(c) ? "ipv4_dst" : undefined),
  nw_proto: (c) => (isArp(c) ? "arp_op" : "ip_proto"),
  tp_src: (c) => l4(c, "src"),
  tp_dst: (c) => l4(c, "dst"),
  icmp_type: (c) => (isIpv6(c) ? "icmpv6_type" : "icmpv4_type"),
  icmp_code: (c) => (isIpv6(c) ? "icmpv6_code" : "icmpv4_code"),
};
function l4(context: Context, end: "src" | "dst"): string | undefined {
  const proto = ({ 6: "tcp", 17: "udp", 132: "sctp" } as Readonly<Record<number, string>>)[
    context.ipProto ?? -1
  ];
  if (proto !== undefined) return `${proto}_${end}`;
  if (context.ipProto === 1) return end === "src" ? "icmpv4_type" : "icmpv4_code";
  if (context.ipProto === 58) return end === "src" ? "icmpv6_type" : "icmpv6_code";
  return undefined;
}

/** Whether a word belongs to a match. */
export const isMatchWord = (word: Word): boolean =>
  word.key in PROTOCOLS ||
  word.key === "eth" ||
  word.key in SHARED ||
  word.key in VLAN ||
  word.key === "nw_tos" ||
  textField(word.key) !== undefined ||
  word.key.startsWith("oxm:") ||
  (word.key.includes("[") && textField(word.key.slice(0, word.key.indexOf("["))) !== undefined);

const VLAN: Readonly<Record<string, true>> = {
  dl_vlan: true,
  dl_vlan_pcp: true,
  vlan_tci: true,
  vlan_vid: true,
  vlan_pcp: true,
};

/** The match of a text that holds nothing else. Throws TextError. */
export function parseMatch(text: string, options: MatchOptions = {}): Match {
  const words = scan(text);
  const stranger = words.find((word) => !isMatchWord(word));
  if (stranger !== undefined) return refuse(`unknown keyword ${stranger.key}`);
  return matchFromWords(words, options);
}

export function matchFromWords(words: readonly Word[], options: MatchOptions): Match {
  const context = contextOf(words);
  const match = new Map<string, unknown>();
  const vlan = { value: 0, mask: 0 };
  const set = (field: OxmField, value: unknown): void => {
    if (value !== undefined) match.set(field.name, value);
  };
  for (const word of words) {
    const { key, value } = word;
    const protocol = Object.hasOwn(PROTOCOLS, key) ? PROTOCOLS[key]! : undefined;
    if (protocol !== undefined) {
      match.set("eth_type", protocol[0]);
      if (protocol[1] !== undefined) match.set("ip_proto", protocol[1]);
    } else if (key === "eth") {
      // Ethernet packets: what every match without packet_type means.
    } else if (key in VLAN) {
      readVlan(word, vlan);
    } else if (key === "nw_tos") {
      const tos = integer(value, key, 255);
      if (tos & 3) refuse(`nw_tos: ${value} has bits of nw_ecn`);
      match.set("ip_dscp", tos >> 2);
    } else if (key.startsWith("oxm:")) {
      match.set(key, unknownValue(value));
    } else if (key.includes("[")) {
      readBits(key, value, match);
    } else {
      const shared = Object.hasOwn(SHARED, key) ? SHARED[key]! : undefined;
      const name = shared === undefined ? textField(key)?.oxm.name : shared(context);
      const field = name === undefined ? undefined : oxmField(name);
      if (field === undefined) {
        options.warn?.(`${key}=${value} is left out: the match has no protocol with that field`);
        continue;
      }
      // icmp_type stands for 16 bits where tp_src does.
      set(field, parseFieldValue(field, value, options));
    }
  }
  writeVlan(vlan, match);
  splitRegisters(match);
  // "eth" needs a field of its own only where no other says that packets are Ethernet.
  if (words.some((word) => word.key === "eth") && ![...match.keys()].some(impliesEthernet)) {
    match.set("packet_type", 0);
  }
  return dropUnmet(sorted(match), options);
}

/** The dl_type and nw_proto of a match. */
function contextOf(words: readonly Word[]): Context {
  let ethType: number | undefined;
  let ipProto: number | undefined;
  for (const { key, value } of words) {
    if (Object.hasOwn(PROTOCOLS, key)) {
      ethType = PROTOCOLS[key]![0];
      ipProto = PROTOCOLS[key]![1] ?? ipProto;
    } else if (key === "dl_type" || key === "eth_type") {
      ethType = integer(value, key, 0xffff);
    } else if (key === "nw_proto" || key === "ip_proto") {
      ipProto = integer(value, key, 0xff);
    }
  }
  return { ethType, ipProto };
}

function readVlan({ key, value }: Word, vlan: { value: number; mask: number }): void {
  const [text = "", maskText] = value.split("/");
  const mask = (full: number): number => (maskText === undefined ? full : integer(maskText, key, 0xffff));
  switch (key) {
    case "dl_vlan": {
      const vid = integer(text, key, 0xffff);
      if (vid !== 0xffff && vid > 0xfff) refuse(`dl_vlan: ${text} is more than 4095`);
      vlan.mask |= 0x1fff;
      vlan.value = vid === 0xffff ? 0 : vlan.value | 0x1000 | vid;
      if (vid === 0xffff) vlan.mask = 0xffff;
      break;
    }
    case "dl_vlan_pcp":
      vlan.value |= 0x1000 | (integer(text, key, 7) << 13);
      vlan.mask |= 0xf000;
      break;
    case "vlan_pcp":
      vlan.value |= 0x1000 | (integer(text, key, 7) << 13);
      vlan.mask |= 0xf000;
      break;
    case "vlan_vid": {
      const bits = mask(0x1fff) & 0x1fff;
      vlan.value |= integer(text, key, 0x1fff) & bits;
      vlan.mask |= bits;
      break;
    }
    default: {
      const bits = mask(0xffff);
      vlan.value |= integer(text, key, 0xffff) & bits;
      vlan.mask |= bits;
    }
  }
}

/** A tag control word and its mask as the two fields of OpenFlow 1.3. */
function writeVlan({ value, mask }: { value: number; mask: number }, match: Map<string, unknown>): void {
  const vidMask = mask & 0x1fff;
  const vid = value & vidMask;
  if (vidMask === 0x1fff) match.set("vlan_vid", vid);
  else if (vidMask !== 0) match.set("vlan_vid", { value: vid, mask: vidMask });
  if (vid !== 0 && (mask & 0xe000) !== 0) match.set("vlan_pcp", value >> 13);
}

/** "NXM_NX_REG0[0..7]=5": some bits of a field. Adds to what the match has of it. */
function readBits(key: string, text: string, match: Map<string, unknown>): void {
  const open = key.indexOf("[");
  const field = textField(key.slice(0, open))!.oxm;
  const bits = /^\[(?:(\d+)(?:\.\.(\d+))?)?\]$/.exec(key.slice(open));
  if (bits === null || (field.kind !== "uint" && field.kind !== "big")) {
    throw new TextError(
      `${key}: syntax error expecting [] or [<bit>] or [<start>..<end>] of an integer field`,
    );
  }
  const start = BigInt(bits[1] ?? 0);
  const end = BigInt(bits[2] ?? bits[1] ?? field.bits - 1);
  const ones = ((1n << (end - start + 1n)) - 1n) << start;
  const given = parseFieldValue({ ...field, fmt: field.fmt === "hex" ? "hex" : "decimal" }, text) as
    | number
    | bigint;
  const before = match.get(field.name);
  const old = isMasked(before) ? before : { value: before ?? 0, mask: before === undefined ? 0 : -1 };
  const one = (v: bigint): number | bigint => (field.kind === "uint" ? Number(v) : v);
  match.set(field.name, {
    value: one((BigInt(old.value as number) & ~ones) | ((BigInt(given) << start) & ones)),
    mask: one(BigInt.asUintN(field.bytes * 8, BigInt(old.mask as number) | ones)),
  });
}

const impliesEthernet = (name: string): boolean =>
  /^(eth_|vlan_|mpls_)/.test(name) || Object.keys(oxmField(name)?.prerequisites ?? {}).length > 0;

/** A wide register is its 32-bit ones, and is matched as them: xreg1 is reg2 (high) and reg3, xxreg0 is reg0 to
 *  reg3. */
function splitRegisters(match: Map<string, unknown>): void {
  for (const [name, given] of [...match]) {
    const parts = /^(x+)reg(\d+)$/.exec(name);
    if (parts === null) continue;
    const count = 2 ** parts[1]!.length;
    const { value, mask } = isMasked(given)
      ? (given as { value: bigint; mask: bigint })
      : { value: given as bigint, mask: (1n << BigInt(32 * count)) - 1n };
    match.delete(name);
    for (let i = 0; i < count; i++) {
      const shift = BigInt(32 * (count - 1 - i));
      const part = { value: Number((value >> shift) & U32), mask: Number((mask >> shift) & U32) };
      const register = `reg${Number(parts[2]) * count + i}`;
      if (part.mask !== 0) match.set(register, part.mask === 0xffffffff ? part.value : part);
    }
  }
}
const U32 = 0xffffffffn;

function unknownValue(text: string): unknown {
  const [value, mask] = text.split("/").map((part) => part.replace(/^0x/, ""));
  return mask === undefined ? value : { value, mask };
}

function sorted(match: Map<string, unknown>): Match {
  const order = (name: string): number => rank.get(name) ?? WIRE_ORDER.length + lateRank(name);
  return Object.fromEntries([...match].sort(([a], [b]) => order(a) - order(b))) as Match;
}

/** Leaves out the fields whose prerequisites the match does not hold, as ovs-ofctl does, with a warning. */
function dropUnmet(match: Match, options: MatchOptions): Match {
  const values = match as Record<string, unknown>;
  for (const name of Object.keys(values)) {
    const unmet = missingPrerequisite(match, name);
    if (unmet === undefined) continue;
    options.warn?.(`${name} is left out: it needs ${unmet}`);
    delete values[name];
  }
  return match;
}
