import { oxmFields } from "@sluice/openflow-codec";
import { parseMac, readIpv4, readIpv6, readMac, writeIpv4, writeIpv6 } from "@sluice/wire";
import {
  type FlowField,
  type FlowKey,
  type FlowMask,
  flowFields,
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

/** A match as key and mask: the bits that it asks for, and which they are. Prerequisites are not checked. Throws a
 *  FlowMatchError. */
export function matchToKey(match: FlowMatch): { key: FlowKey; mask: FlowMask } {
  const key = newFlowKey();
  const mask = newFlowKey();
  for (const [name, member] of Object.entries(match)) {
    if (member !== undefined) addField(key, mask, name, member);
  }
  return { key, mask };
}

function addField(
  key: FlowKey,
  mask: FlowMask,
  name: string,
  member: FlowValue | { readonly value: FlowValue; readonly mask: FlowValue },
): void {
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
  if (field.kind === "mac") return readMac(getFieldBytes(key, field), 0);
  if (field.kind === "ipv4") return readIpv4(getFieldBytes(key, field), 0);
  if (field.kind === "ipv6") return readIpv6(getFieldBytes(key, field), 0);
  const value = getFieldBig(key, field);
  return field.bits > 32 ? value : Number(value);
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

/** The names, in the order of a match with each field after its prerequisites, that the bits of a key may have. */
function namesFor(key: FlowKey, mask: FlowMask): readonly string[] {
  const exact = (name: string): number | undefined => {
    const field = flowFields[name]!;
    const all = (1n << BigInt(field.bits)) - 1n;
    return getFieldBig(mask, field) === all ? Number(getFieldBig(key, field)) : undefined;
  };
  const type = exact("eth_type");
  const names = [...ETHERNET, ...((type !== undefined && BY_TYPE[type]) || [])];
  const proto = type === 0x0800 || type === 0x86dd ? exact("ip_proto") : undefined;
  if (proto !== undefined) names.push(...(BY_PROTO[proto] ?? []));
  if (type === 0x0800 && proto === 1) names.push("icmpv4_type", "icmpv4_code");
  if (type === 0x86dd && proto === 58) {
    names.push("icmpv6_type", "icmpv6_code");
    const option = ND_OPTION[exact("icmpv6_type") ?? 0];
    if (option) names.push("ipv6_nd_target", option);
  }
  return [...names, ...PIPELINE];
}

/** Key and mask as a match: the inverse of matchToKey for keys whose prerequisites are matched exactly. Bits that no
 *  match can ask for (a second tag's, for one) are left out. */
export function keyToMatch(key: FlowKey, mask: FlowMask): Record<string, NonNullable<FlowMatch[string]>> {
  const match: Record<string, NonNullable<FlowMatch[string]>> = {};
  for (const name of namesFor(key, mask)) {
    const field = flowFields[name]!;
    const bits = getFieldBig(mask, field);
    if (bits === 0n) continue;
    const value = fieldValue(key, field);
    const isExact = bits === (1n << BigInt(field.bits)) - 1n;
    match[name] = isExact ? value : { value, mask: fieldValue(mask, field) };
  }
  return match;
}
