import { oxmField } from "@sluice/openflow-codec";

/** The flow key: the fields of a packet and of its way through the switch, in FLOW_LANES 32-bit lanes.
 *
 *  A field is a run of bits, most significant first; lane 0 comes first. Fields whose prerequisites exclude each
 *  other share a place (tcp_src and udp_src, ipv4_src and arp_spa), which is sound because a match on either has to
 *  have an exact ip_proto or eth_type. The lanes that a datapath fills from the packet come first, the most
 *  frequent before the rare, so that a key of an IPv4 packet ends at lane 12; then those that only the pipeline sets.
 *
 *  Meanings that are not OXM's: vlan_vid carries OFPVID_PRESENT (0x1000) when there is a tag, and the whole lane half
 *  is 0 when there is none; nw_frag has bit 0 set in any fragment and bit 1 in all but the first; vlan2_* is the
 *  second tag. */

export type FlowKey = Uint32Array;
export type FlowMask = Uint32Array;

/** How a field's value is written in OpenFlow values and text. */
export type FieldKind = "number" | "mac" | "ipv4" | "ipv6";

export interface FlowField {
  readonly name: string;
  /** The first lane that holds bits of it. */
  readonly lane: number;
  /** How many lanes it touches. */
  readonly lanes: number;
  /** Bits to the right of it in its last lane. */
  readonly shift: number;
  readonly bits: number;
  readonly kind: FieldKind;
}

/** A place: a field that the codec declares, by its name; a field of our own with its width; or filling. */
type Slot = string | readonly [own: string, bits: number];

const upTo = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

const SLOTS: readonly Slot[] = [
  "in_port",
  "recirc_id",
  "eth_dst",
  "eth_src",
  "eth_type",
  "vlan_pcp",
  "vlan_vid",
  ["vlan_tpid", 16],
  ["vlan2_tpid", 16],
  ["vlan2_tci", 16],
  ["-", 4],
  "tcp_flags",
  "ip_proto",
  "ip_dscp",
  "ip_ecn",
  "nw_ttl",
  ["-", 6],
  "nw_frag",
  ["tp_src", 16],
  ["tp_dst", 16],
  "ipv4_src",
  "ipv4_dst",
  "arp_sha",
  "arp_tha",
  "mpls_label",
  "mpls_tc",
  "mpls_bos",
  "mpls_ttl",
  ["-", 8],
  "pbb_isid",
  "ipv6_src",
  "ipv6_dst",
  ["-", 3],
  "ipv6_exthdr",
  "ipv6_flabel",
  "ipv6_nd_target",
  // The pipeline's own: a datapath leaves them 0 (tunnels will fill theirs).
  "tunnel_id",
  "tun_src",
  "tun_dst",
  ["-", 15],
  "tun_flags",
  ["tun_tos", 8],
  ["tun_ttl", 8],
  "pkt_mark",
  "ct_state",
  ["-", 16],
  "ct_zone",
  "ct_mark",
  "ct_label",
  "dp_hash",
  "conj_id",
  "actset_output",
  "metadata",
  ...upTo(16, "reg"),
];

/** Fields that lie in another's place: at its low end, or from its high end on. */
const SHARED: readonly (readonly [slot: Slot, place: string, from?: "high"])[] = [
  ["in_phy_port", "in_port"],
  [["vlan_tci", 16], "vlan_pcp", "high"],
  ["tcp_src", "tp_src"],
  ["tcp_dst", "tp_dst"],
  ["udp_src", "tp_src"],
  ["udp_dst", "tp_dst"],
  ["sctp_src", "tp_src"],
  ["sctp_dst", "tp_dst"],
  ["icmpv4_type", "tp_src"],
  ["icmpv4_code", "tp_dst"],
  ["icmpv6_type", "tp_src"],
  ["icmpv6_code", "tp_dst"],
  [["nw_tos", 8], "ip_dscp", "high"],
  ["arp_op", "ip_proto", "high"],
  ["arp_spa", "ipv4_src"],
  ["arp_tpa", "ipv4_dst"],
  ["ipv6_nd_sll", "arp_sha"],
  ["ipv6_nd_tll", "arp_tha"],
  ...upTo(8, "xreg").map((name, i) => [name, `reg${2 * i}`, "high"] as const),
  ...upTo(4, "xxreg").map((name, i) => [name, `reg${4 * i}`, "high"] as const),
];

interface Shape {
  readonly name: string;
  readonly bits: number;
  readonly kind: FieldKind;
}

const isAddress = (kind: string): kind is FieldKind => kind === "mac" || kind === "ipv4" || kind === "ipv6";

/** Width and kind of a slot: the codec's declaration says, but for fields of our own. */
function shapeOf(slot: Slot): Shape {
  if (typeof slot !== "string") return { name: slot[0], bits: slot[1], kind: "number" };
  const declared = oxmField(slot);
  if (!declared) throw new Error(`the flow key names ${slot}, which no OXM field is`);
  return { name: slot, bits: declared.bits, kind: isAddress(declared.kind) ? declared.kind : "number" };
}

const fieldAt = ({ name, bits, kind }: Shape, firstBit: number): FlowField => {
  const lane = firstBit >>> 5;
  const endBit = firstBit + bits;
  const lanes = ((endBit + 31) >>> 5) - lane;
  return Object.freeze({ name, lane, lanes, shift: (lane + lanes) * 32 - endBit, bits, kind });
};

function layOut(): { fields: Record<string, FlowField>; bits: number } {
  const fields: Record<string, FlowField> = {};
  const firstBits = new Map<string, number>();
  let bit = 0;
  for (const slot of SLOTS) {
    const shape = shapeOf(slot);
    if (shape.name !== "-") {
      fields[shape.name] = fieldAt(shape, bit);
      firstBits.set(shape.name, bit);
    }
    bit += shape.bits;
  }
  for (const [slot, place, from] of SHARED) {
    const shape = shapeOf(slot);
    const first = firstBits.get(place)! + (from === "high" ? 0 : fields[place]!.bits - shape.bits);
    fields[shape.name] = fieldAt(shape, first);
  }
  return { fields, bits: bit };
}

const layout = layOut();

/** Every field by name. */
export const flowFields: Readonly<Record<string, FlowField>> = Object.freeze(layout.fields);

/** Lanes of a key. */
export const FLOW_LANES = 64;
/** The lanes that a datapath fills and looks at; the rest are the pipeline's. */
export const DP_LANES = 30;
if (layout.bits !== FLOW_LANES * 32) throw new Error(`the flow key has ${layout.bits} bits`);
if (flowFields.tunnel_id!.lane !== DP_LANES) throw new Error("DP_LANES does not fit the layout");

export const newFlowKey = (): FlowKey => new Uint32Array(FLOW_LANES);

/** The field of this name; throws a RangeError when there is none. */
export function flowField(name: string): FlowField {
  const field = Object.hasOwn(flowFields, name) ? flowFields[name] : undefined;
  if (!field) throw new RangeError(`${name} is not a flow field`);
  return field;
}

/** All ones in `bits` bits (at most 32). */
const ones = (bits: number): number => (bits === 32 ? 0xffff_ffff : 2 ** bits - 1);

/** A field of at most 32 bits, as a number. */
export function getField(key: FlowKey, field: FlowField): number {
  if (field.lanes !== 1) return Number(getFieldBig(key, field));
  return ((key[field.lane]! >>> field.shift) & ones(field.bits)) >>> 0;
}

/** Sets a field of at most 32 bits. Bits beyond the field's width are dropped. */
export function setField(key: FlowKey, field: FlowField, value: number): void {
  if (field.lanes !== 1) {
    setFieldBig(key, field, BigInt(value));
    return;
  }
  const mask = ones(field.bits);
  key[field.lane] = (key[field.lane]! & ~(mask << field.shift)) | ((value & mask) << field.shift);
}

/** A field of any width, as a bigint. */
export function getFieldBig(key: FlowKey, field: FlowField): bigint {
  let value = 0n;
  for (let i = 0; i < field.lanes; i++) value = (value << 32n) | BigInt(key[field.lane + i]!);
  return (value >> BigInt(field.shift)) & ((1n << BigInt(field.bits)) - 1n);
}

/** Sets a field of any width. */
export function setFieldBig(key: FlowKey, field: FlowField, value: bigint): void {
  const shift = BigInt(field.shift);
  let mask = ((1n << BigInt(field.bits)) - 1n) << shift;
  let bits = (value << shift) & mask;
  for (let lane = field.lane + field.lanes - 1; lane >= field.lane; lane--) {
    const laneMask = Number(mask & 0xffff_ffffn);
    key[lane] = (key[lane]! & ~laneMask) | Number(bits & 0xffff_ffffn);
    mask >>= 32n;
    bits >>= 32n;
  }
}

/** A field in network order, right-aligned in as many whole bytes as it needs. */
export function getFieldBytes(key: FlowKey, field: FlowField): Uint8Array {
  const bytes = new Uint8Array((field.bits + 7) >>> 3);
  let value = getFieldBig(key, field);
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return bytes;
}

/** Sets a field from bytes in network order. */
export function setFieldBytes(key: FlowKey, field: FlowField, bytes: Uint8Array): void {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  setFieldBig(key, field, value);
}

/** Makes every bit of a field significant in `mask`. */
export function setFieldMask(mask: FlowMask, field: FlowField): void {
  for (let i = 0; i < field.lanes; i++) mask[field.lane + i]! |= fieldLaneMask(field, i);
}

/** The bits of a field's `i`-th lane. */
export function fieldLaneMask(field: FlowField, i: number): number {
  const fromEnd = field.lanes - 1 - i;
  const low = fromEnd === 0 ? field.shift : 0;
  const high = Math.min(32, field.shift + field.bits - 32 * fromEnd);
  return (ones(high) - (low === 0 ? 0 : ones(low))) >>> 0;
}
