import { oxmFields } from "@sluice/openflow-codec";
import { parseMac, readIpv6, writeIpv4, writeIpv6 } from "@sluice/wire";
import {
  type FlowField,
  type FlowKey,
  type FlowMask,
  flowFields,
  getField,
  getFieldBig,
  getFieldBytes,
  newFlowKey,
  setFieldBig,
} from "./flow-key.js";

/** A match's values, as the codec shapes them: OXM fields by name; addresses are text. */
export type FlowValue = number | bigint | string;
export type FlowMatch = Readonly<
  Record<string, FlowValue | { readonly value: FlowValue; readonly mask: FlowValue } | undefined>
>;

/** A match that no flow key can hold. `code` is the OFPBMC_* to answer with. */
export class FlowMatchError extends Error {
  readonly code: "OFPBMC_BAD_FIELD" | "OFPBMC_BAD_VALUE" | "OFPBMC_BAD_MASK" | "OFPBMC_BAD_WILDCARDS";
  readonly field: string;

  constructor(code: FlowMatchError["code"], field: string, text: string) {
    super(`${field}: ${text}`);
    this.name = "FlowMatchError";
    this.code = code;
    this.field = field;
  }
}

/** The older numbers' meanings that differ from the field they fill. */
const SPECIAL = new Map<string, { field: string; bits: bigint; from?: (value: bigint) => bigint }>([
  // OpenFlow 1.0's reserved ports end at 0xffff, 1.3's at 0xffffffff.
  [
    "nxm_of_in_port",
    { field: "in_port", bits: 0xffff_ffffn, from: (port) => (port >= 0xff00n ? port | 0xffff_0000n : port) },
  ],
  // The two ECN bits of the byte do not take part.
  ["nxm_of_ip_tos", { field: "nw_tos", bits: 0xfcn }],
  ["nxm_of_vlan_tci", { field: "vlan_tci", bits: 0xffffn }],
]);

/** Fields that repeat another in an older numbering. */
const SAME = new Map(oxmFields.flatMap(({ name, same }) => (same === undefined ? [] : [[name, same]])));

/** The flow field that a match field's name stands for, or undefined. */
export function flowFieldOf(name: string): FlowField | undefined {
  const own = SPECIAL.get(name)?.field ?? SAME.get(name) ?? name;
  return Object.hasOwn(flowFields, own) ? flowFields[own] : undefined;
}

/** A match as key and mask: the bits that it asks for, and which they are; in the two that are given, which are empty,
 *  or in new ones. Prerequisites are not checked. Throws a FlowMatchError. */
export function matchToKey(
  match: FlowMatch,
  key: FlowKey = newFlowKey(),
  mask: FlowMask = newFlowKey(),
): { key: FlowKey; mask: FlowMask } {
  for (const name in match) {
    const member = match[name];
    if (member !== undefined && !addPlain(key, mask, name, member)) addField(key, mask, name, member);
  }
  return { key, mask };
}

type FlowMember = FlowValue | { readonly value: FlowValue; readonly mask: FlowValue };

/** Fields of one lane, and MAC addresses: most of what matches are made of. */
const PLAIN = new Map(
  Object.values(flowFields)
    .filter((field) => field.lanes === 1 || field.kind === "mac")
    .map((field) => [field.name, field]),
);

/** Adds a field that needs no more than 32-bit arithmetic. false: it does, or something is wrong with it. */
function addPlain(key: FlowKey, mask: FlowMask, name: string, member: FlowMember): boolean {
  const field = PLAIN.get(name);
  if (field === undefined) return false;
  const isMasked = typeof member === "object";
  if (field.kind === "mac") {
    if (typeof member !== "string") return false;
    const high = hexOf(member, 0, 2);
    const low = hexOf(member, 6, 4);
    if (member.length !== 17 || high < 0 || low < 0) return false;
    const { lane, shift } = field;
    const ones = shift === 0 ? 0xffff : 0xffff_ffff;
    if (mask[lane]! & ones) return false;
    key[lane]! |= shift === 0 ? high : (high << 16) | (low >>> 16);
    key[lane + 1]! |= shift === 0 ? low : low << 16;
    mask[lane]! |= ones;
    mask[lane + 1]! |= shift === 0 ? 0xffff_ffff : 0xffff_0000;
    return true;
  }
  const ones = field.bits === 32 ? 0xffff_ffff : (1 << field.bits) - 1;
  const value = wordOf(field, isMasked ? member.value : member);
  const bits = isMasked ? wordOf(field, member.mask) : ones;
  if (value < 0 || bits < 0 || value > ones || bits > ones || (value & ~bits) !== 0) return false;
  const placed = bits << field.shift;
  // What shares a place with this field has been there before: it has to agree.
  if ((mask[field.lane]! & placed) !== 0) return false;
  key[field.lane]! |= value << field.shift;
  mask[field.lane]! |= placed;
  return true;
}

/** A whole number or an IPv4 address as 32 bits; -1 for anything else. */
function wordOf(field: FlowField, value: FlowValue): number {
  if (typeof value === "number") return Number.isInteger(value) ? value : -1;
  return typeof value === "string" && field.kind === "ipv4" ? ipv4Word(value) : -1;
}

function ipv4Word(text: string): number {
  let word = 0;
  let byte = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9 && byte !== 0) byte = byte < 0 ? digit : byte * 10 + digit;
    else if (digit === -2 && byte >= 0) {
      word = word * 256 + byte;
      byte = -1;
      dots++;
    } else return -1;
    if (byte > 255) return -1;
  }
  return dots === 3 && byte >= 0 ? word * 256 + byte : -1;
}

/** `count` bytes of a MAC address from character `at` on; -1 when it is not written xx:xx:xx:xx:xx:xx. */
function hexOf(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) {
    const first = at + 3 * i;
    const high = nibble(text.charCodeAt(first));
    const low = nibble(text.charCodeAt(first + 1));
    if (high < 0 || low < 0 || (first > 0 && text.charCodeAt(first - 1) !== 58)) return -1;
    value = value * 256 + high * 16 + low;
  }
  return value;
}

function nibble(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function addField(key: FlowKey, mask: FlowMask, name: string, member: FlowMember): void {
  const field = flowFieldOf(name);
  if (!field) throw new FlowMatchError("OFPBMC_BAD_FIELD", name, "this switch has no such field");
  const special = SPECIAL.get(name);
  const all = special?.bits ?? (1n << BigInt(field.bits)) - 1n;
  const isMasked = typeof member === "object";
  let value = toBig(name, field, isMasked ? member.value : member);
  const bits = isMasked ? toBig(name, field, member.mask) : all;
  if (special?.from) value = special.from(value);
  if (value >> BigInt(field.bits) !== 0n) {
    throw new FlowMatchError("OFPBMC_BAD_VALUE", name, `a value has ${field.bits} bits`);
  }
  if (bits >> BigInt(field.bits) !== 0n) {
    throw new FlowMatchError("OFPBMC_BAD_MASK", name, `a mask has ${field.bits} bits`);
  }
  if (isMasked && (value & ~bits) !== 0n) {
    throw new FlowMatchError("OFPBMC_BAD_WILDCARDS", name, "the value has bits that the mask leaves out");
  }
  // Fields that share a place may meet (in_phy_port with in_port): then they have to agree.
  const common = getFieldBig(mask, field) & bits;
  if (((getFieldBig(key, field) ^ value) & common) !== 0n) {
    throw new FlowMatchError("OFPBMC_BAD_VALUE", name, "contradicts another field of the match");
  }
  setFieldBig(key, field, getFieldBig(key, field) | (value & bits));
  setFieldBig(mask, field, getFieldBig(mask, field) | bits);
}

/** A field's value or mask as OpenFlow writes it, as a bigint. */
function toBig(name: string, field: FlowField, value: FlowValue): bigint {
  try {
    if (typeof value !== "string" || /^(0x[0-9a-f]+|\d+)$/i.test(value)) {
      const big = BigInt(value);
      if (big < 0n) throw new RangeError("it is negative");
      return big;
    }
    return bytesToBig(parseAddress(field, value));
  } catch (error) {
    throw new FlowMatchError("OFPBMC_BAD_VALUE", name, (error as Error).message);
  }
}

function parseAddress(field: FlowField, text: string): Uint8Array {
  if (field.kind === "mac") return parseMac(text);
  const bytes = new Uint8Array((field.bits + 7) >>> 3);
  if (field.kind === "ipv4") writeIpv4(bytes, 0, text);
  else if (field.kind === "ipv6") writeIpv6(bytes, 0, text);
  else throw new RangeError(`${JSON.stringify(text)} is not a number`);
  return bytes;
}

const bytesToBig = (bytes: Uint8Array): bigint =>
  bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

/** The field of `key` as OpenFlow writes its value: text, a number, or (over 32 bits) a bigint. */
export function fieldValue(key: FlowKey, field: FlowField): FlowValue {
  if (field.kind === "mac") return macText(key, field);
  if (field.kind === "ipv4") {
    const word = getField(key, field);
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  if (field.kind === "ipv6") return readIpv6(getFieldBytes(key, field), 0);
  return field.bits > 32 ? getFieldBig(key, field) : getField(key, field);
}

const ETHERNET = ["in_port", "metadata", "eth_dst", "eth_src", "eth_type", "vlan_vid", "vlan_pcp"] as const;
const IP = ["ip_dscp", "ip_ecn", "ip_proto"] as const;
const BY_TYPE: Readonly<Record<number, readonly string[]>> = {
  2048: [...IP, "ipv4_src", "ipv4_dst", "nw_ttl", "nw_frag"],
  2054: ["arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"],
  32821: ["arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"],
  34525: [...IP, "ipv6_src", "ipv6_dst", "ipv6_flabel", "ipv6_exthdr", "nw_ttl", "nw_frag"],
  34887: ["mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"],
  34888: ["mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"],
  35047: ["pbb_isid"],
};
const BY_PROTO: Readonly<Record<number, readonly string[]>> = {
  6: ["tcp_src", "tcp_dst", "tcp_flags"],
  17: ["udp_src", "udp_dst"],
  132: ["sctp_src", "sctp_dst"],
};
const ND_OPTION: Readonly<Record<number, string>> = { 135: "ipv6_nd_sll", 136: "ipv6_nd_tll" };
const PIPELINE = [
  "recirc_id",
  "tunnel_id",
  "tun_src",
  "tun_dst",
  "tun_flags",
  "pkt_mark",
  "ct_state",
  "ct_zone",
  "ct_mark",
  "ct_label",
  "dp_hash",
  "conj_id",
  "actset_output",
  ...Array.from({ length: 16 }, (_, i) => `reg${i}`),
] as const;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function macText(key: FlowKey, { lane, shift }: FlowField): string {
  const first = key[lane]!;
  const second = key[lane + 1]!;
  const high = shift === 0 ? first & 0xffff : first >>> 16;
  const low = shift === 0 ? second : (first << 16) | (second >>> 16);
  return `${HEX[high >>> 8]}:${HEX[high & 255]}:${HEX[low >>> 24]}:${HEX[(low >>> 16) & 255]}:${HEX[(low >>> 8) & 255]}:${HEX[low & 255]}`;
}

/** What of a match is the same for all keys with a mask and the same sort of packet. */
export interface Shown {
  readonly name: string;
  readonly field: FlowField;
  /** undefined: all of the field. */
  readonly mask: FlowValue | undefined;
}

const TYPE = flowFields.eth_type!;
const PROTO = flowFields.ip_proto!;
const ICMPV6_TYPE = flowFields.icmpv6_type!;

/** Of a key: what names its other fields have, as far as `mask` has it exactly. */
function sortOf(key: FlowKey, mask: FlowMask): { type: number; proto: number; icmpv6: number } {
  const exact = (field: FlowField, ones: number): number =>
    getField(mask, field) === ones ? getField(key, field) : -1;
  const type = exact(TYPE, 0xffff);
  const isIp = type === 0x0800 || type === 0x86dd;
  const proto = isIp ? exact(PROTO, 0xff) : -1;
  return { type, proto, icmpv6: type === 0x86dd && proto === 58 ? exact(ICMPV6_TYPE, 0xff) : -1 };
}

/** The names, in the order of a match with each field after its prerequisites, that the bits of a key may have. */
function namesFor({ type, proto, icmpv6 }: ReturnType<typeof sortOf>): readonly string[] {
  const names = [...ETHERNET, ...(BY_TYPE[type] ?? []), ...(BY_PROTO[proto] ?? [])];
  if (type === 0x0800 && proto === 1) names.push("icmpv4_type", "icmpv4_code");
  if (type === 0x86dd && proto === 58) {
    names.push("icmpv6_type", "icmpv6_code");
    const option = ND_OPTION[icmpv6];
    if (option) names.push("ipv6_nd_target", option);
  }
  return [...names, ...PIPELINE];
}

function shownFor(mask: FlowMask, sort: ReturnType<typeof sortOf>): readonly Shown[] {
  return namesFor(sort).flatMap((name) => {
    const field = flowFields[name]!;
    const bits = getFieldBig(mask, field);
    if (bits === 0n) return [];
    const isExact = bits === (1n << BigInt(field.bits)) - 1n;
    return [{ name, field, mask: isExact ? undefined : fieldValue(mask, field) }];
  });
}

/** For masks that many keys are shown with: those of a classifier's rules. */
const shownByMask = new WeakMap<FlowMask, Map<number, readonly Shown[]>>();

/** How matches of a mask that does not change are made up, in order: the same array for all keys of a sort. */
export function shapeOf(key: FlowKey, mask: FlowMask, sort = sortOf(key, mask)): readonly Shown[] {
  let bySort = shownByMask.get(mask);
  if (!bySort) {
    bySort = new Map();
    shownByMask.set(mask, bySort);
  }
  const number = ((sort.type + 1) * 257 + sort.proto + 1) * 257 + sort.icmpv6 + 1;
  let shown = bySort.get(number);
  if (!shown) {
    shown = shownFor(mask, sort);
    bySort.set(number, shown);
  }
  return shown;
}

/** Key and mask as a match: the inverse of matchToKey for keys whose prerequisites are matched exactly. Bits that no
 *  match can ask for (a second tag's, for one) are left out. `isLasting`: the mask does not change, and more keys will
 *  be shown with it. */
export function keyToMatch(
  key: FlowKey,
  mask: FlowMask,
  isLasting = false,
): Record<string, NonNullable<FlowMatch[string]>> {
  const sort = sortOf(key, mask);
  const match: Record<string, NonNullable<FlowMatch[string]>> = {};
  for (const { name, field, mask: bits } of isLasting ? shapeOf(key, mask, sort) : shownFor(mask, sort)) {
    const value = fieldValue(key, field);
    match[name] = bits === undefined ? value : { value, mask: bits };
  }
  return match;
}

/** All fields that a packet of `key` has, each with its mask unless that is whole: what keyToMatch leaves out as well. */
export function keyToWholeMatch(
  key: FlowKey,
  mask: FlowMask,
): Record<string, NonNullable<FlowMatch[string]>> {
  const match: Record<string, NonNullable<FlowMatch[string]>> = {};
  for (const name of namesFor(sortOf(key, WHOLE))) {
    const field = flowFields[name]!;
    const isExact = getFieldBig(mask, field) === (1n << BigInt(field.bits)) - 1n;
    const value = fieldValue(key, field);
    match[name] = isExact ? value : { value, mask: fieldValue(mask, field) };
  }
  return match;
}

const WHOLE: FlowMask = newFlowKey().fill(0xffff_ffff);
