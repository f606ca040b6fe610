import { type Match, OFPVID, type OxmField } from "@sluice/openflow-codec";
import {
  type Arp,
  encodeFrame,
  type Frame,
  type Icmpv6,
  type Ipv4,
  type Ipv6,
  ipv4FromNumber,
  linkAddressOf,
  macFromNumber,
  ND_OPTION,
  parseFrame,
  readIpv6,
  type Vlan,
} from "@sluice/wire";
import { fieldOf, type Term, toBits } from "./values.js";

/** A packet as the tables see it: header fields by OXM name, as whole numbers; tags outermost first. What it carries
 *  besides is in `frame`, where it came as one. A value: actions make another. */
export interface ModelPacket {
  readonly fields: ReadonlyMap<string, bigint>;
  readonly vlans: readonly Vlan[];
  /** Label stack entries, outermost first: label, tc and ttl. */
  readonly mpls: readonly MplsEntry[];
  /** Of IPv4 or IPv6; undefined where it is not known. */
  readonly ttl: number | undefined;
  /** Its payload as it came. Behind labels that is bytes, without the labels. */
  readonly frame: Frame | undefined;
}

export interface MplsEntry {
  readonly label: bigint;
  readonly tc: bigint;
  readonly ttl: number;
}

export const ETH_MPLS: ReadonlySet<bigint> = new Set([0x8847n, 0x8848n]);

const bitsOf = (name: string, value: unknown): [string, bigint] => [name, toBits(fieldOf(name), value)];

/** What a frame's headers say. Undefined for one too short to have an Ethernet header. */
export function packetFromFrame(bytes: Uint8Array): ModelPacket | undefined {
  const frame = parseFrame(bytes);
  if (frame.kind === "malformed") return undefined;
  const { payload } = frame;
  const fields = new Map([
    bitsOf("eth_dst", frame.dst),
    bitsOf("eth_src", frame.src),
    bitsOf("eth_type", frame.eth_type),
  ]);
  let ttl: number | undefined;
  if (!(payload instanceof Uint8Array)) {
    const rows = layerFields(payload as { kind: string });
    for (const [name, value] of rows) fields.set(...bitsOf(name, value));
    if (payload.kind === "ipv4") ttl = payload.ttl;
    if (payload.kind === "ipv6") ttl = payload.hop_limit;
  }
  if (!(payload instanceof Uint8Array) || !ETH_MPLS.has(BigInt(frame.eth_type)))
    return { fields, vlans: frame.vlans, mpls: [], ttl, frame };
  const mpls = labels(payload);
  return {
    ...{ fields, vlans: frame.vlans, mpls, ttl },
    frame: { ...frame, payload: payload.subarray(mpls.length * LABEL_SIZE) },
  };
}

const LABEL_SIZE = 4;

type Row = readonly [name: string, value: unknown];

/** The fields of a layer and of what it carries, by the kind of the layer. */
function layerFields(layer: { readonly kind: string }): Row[] {
  const read = LAYERS[layer.kind];
  return read === undefined ? [] : read(layer as never);
}

const above = (payload: unknown): Row[] =>
  payload instanceof Uint8Array ? [] : layerFields(payload as { kind: string });
const ports =
  (name: string) =>
  ({ src_port, dst_port }: { src_port: number; dst_port: number }): Row[] => [
    [`${name}_src`, src_port],
    [`${name}_dst`, dst_port],
  ];
const typeAndCode =
  (name: string) =>
  ({ type, code }: { type: number; code: number }): Row[] => [
    [`${name}_type`, type],
    [`${name}_code`, code],
  ];

const LAYERS: Readonly<Record<string, (layer: never) => Row[]>> = {
  arp: ({ op, spa, tpa, sha, tha }: Arp) => [
    ["arp_op", op],
    ["arp_spa", spa],
    ["arp_tpa", tpa],
    ["arp_sha", sha],
    ["arp_tha", tha],
  ],
  ipv4: ({ src, dst, proto, tos, payload }: Ipv4) => [
    ["ipv4_src", src],
    ["ipv4_dst", dst],
    ["ip_proto", proto],
    ["ip_dscp", tos >>> 2],
    ["ip_ecn", tos & 3],
    ...above(payload),
  ],
  ipv6: ({ src, dst, proto, traffic_class, flow_label, payload }: Ipv6) => [
    ["ipv6_src", src],
    ["ipv6_dst", dst],
    ["ip_proto", proto],
    ["ip_dscp", traffic_class >>> 2],
    ["ip_ecn", traffic_class & 3],
    ["ipv6_flabel", flow_label],
    ...above(payload),
  ],
  tcp: ports("tcp"),
  udp: ports("udp"),
  icmpv4: typeAndCode("icmpv4"),
  icmpv6: (layer: Icmpv6) => [
    ...typeAndCode("icmpv6")(layer),
    ...(layer.body instanceof Uint8Array || layer.body.kind !== "neighbor"
      ? []
      : [
          ["ipv6_nd_target", layer.body.target] as const,
          ...optional("ipv6_nd_sll", linkAddressOf(layer.body, ND_OPTION.SOURCE_LINK_ADDRESS)),
          ...optional("ipv6_nd_tll", linkAddressOf(layer.body, ND_OPTION.TARGET_LINK_ADDRESS)),
        ]),
  ],
};
const optional = (name: string, value: unknown): Row[] => (value === undefined ? [] : [[name, value]]);

function labels(bytes: Uint8Array): MplsEntry[] {
  const entries: MplsEntry[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const word = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
    entries.push({ label: BigInt(word >>> 12), tc: BigInt((word >>> 9) & 7), ttl: word & 0xff });
    if ((word & 0x100) !== 0) break;
  }
  return entries;
}

/** A packet of which the headers are said, not the bytes: `{ eth_type: 0x0800, ipv4_dst: "10.0.0.1" }`. Fields that are
 *  not said are zero; a value with a mask counts as the value. */
export function packetFromMatch(match: Readonly<Match>): ModelPacket {
  const fields = new Map<string, bigint>();
  for (const [name, value] of Object.entries(match)) {
    if (value === undefined) continue;
    const field = fieldOf(name);
    const plain = typeof value === "object" ? (value as { value: unknown }).value : value;
    fields.set(field.same ?? name, toBits(field, plain));
  }
  const vid = fields.get("vlan_vid") ?? 0n;
  const pcp = Number(fields.get("vlan_pcp") ?? 0n);
  const isTagged = (vid & BigInt(OFPVID.PRESENT)) !== 0n;
  const vlans = isTagged ? [{ tpid: 0x8100, vid: Number(vid & 0xfffn), pcp, dei: false }] : [];
  const isMpls = ETH_MPLS.has(fields.get("eth_type") ?? 0n);
  const mpls = isMpls
    ? [{ label: fields.get("mpls_label") ?? 0n, tc: fields.get("mpls_tc") ?? 0n, ttl: 64 }]
    : [];
  return { fields, vlans, mpls, ttl: 64, frame: undefined };
}

/** A field of the packet; zero where the packet does not have it. Pipeline fields (in_port, metadata, tunnel_id) are
 *  in `fields` like the others. */
export function fieldValue(packet: ModelPacket, name: string): bigint {
  const [tag] = packet.vlans;
  const [entry] = packet.mpls;
  if (name === "vlan_vid") return tag === undefined ? 0n : BigInt(OFPVID.PRESENT | tag.vid);
  if (name === "vlan_pcp") return BigInt(tag?.pcp ?? 0);
  if (name === "mpls_label") return entry?.label ?? 0n;
  if (name === "mpls_tc") return entry?.tc ?? 0n;
  if (name === "mpls_bos") return packet.mpls.length === 1 ? 1n : 0n;
  return packet.fields.get(name) ?? 0n;
}

/** Whether a match takes the packet. Fields of layers that the packet does not have never match: their prerequisites
 *  (eth_type, ip_proto …), which are in every valid match, do not hold. */
export const takes = (terms: readonly Term[], packet: ModelPacket): boolean =>
  terms.every(({ name, value, mask }) => (fieldValue(packet, name) & mask) === value);

/** The packet with one field changed. */
export function withField(packet: ModelPacket, name: string, value: bigint): ModelPacket {
  const [tag, ...innerTags] = packet.vlans;
  const [entry, ...innerEntries] = packet.mpls;
  if (name === "vlan_vid" || name === "vlan_pcp") {
    if (tag === undefined) return packet;
    const changed =
      name === "vlan_vid" ? { ...tag, vid: Number(value & 0xfffn) } : { ...tag, pcp: Number(value) };
    return { ...packet, vlans: [changed, ...innerTags] };
  }
  if (name === "mpls_label" || name === "mpls_tc") {
    if (entry === undefined) return packet;
    return {
      ...packet,
      mpls: [{ ...entry, [name === "mpls_label" ? "label" : "tc"]: value }, ...innerEntries],
    };
  }
  return { ...packet, fields: new Map(packet.fields).set(name, value) };
}

/** The packet's bytes as it is now; undefined where it has none. */
export function frameBytes(packet: ModelPacket): Uint8Array | undefined {
  const { frame, fields, vlans, mpls } = packet;
  if (frame === undefined) return undefined;
  const payload =
    mpls.length === 0
      ? (withLayerFields(frame.payload, fields, packet.ttl) as Frame["payload"])
      : Buffer.concat([labelBytes(mpls), frame.payload as Uint8Array]);
  return encodeFrame({
    ...frame,
    dst: macText(fields.get("eth_dst") ?? 0n),
    src: macText(fields.get("eth_src") ?? 0n),
    eth_type: Number(fields.get("eth_type") ?? 0n),
    vlans,
    payload,
  });
}

function labelBytes(mpls: readonly MplsEntry[]): Uint8Array {
  const bytes = Buffer.alloc(mpls.length * LABEL_SIZE);
  for (const [i, { label, tc, ttl }] of mpls.entries()) {
    const isBottom = i === mpls.length - 1;
    const word = Number(label) * 0x1000 + ((Number(tc) << 9) | (Number(isBottom) << 8) | ttl);
    bytes.writeUInt32BE(word, i * LABEL_SIZE);
  }
  return bytes;
}

/** The packet with one label more, outermost. What it carries is bytes from now on. */
export function withLabel(packet: ModelPacket, eth_type: number, entry: MplsEntry): ModelPacket {
  const { frame } = packet;
  const labelled = { ...withField(packet, "eth_type", BigInt(eth_type)), mpls: [entry, ...packet.mpls] };
  if (frame === undefined || packet.mpls.length > 0) return labelled;
  const payload = frameBytes(packet)!.subarray(14 + 4 * packet.vlans.length);
  return { ...labelled, frame: { ...frame, payload, padding: new Uint8Array() } };
}

/** The packet without its outermost label. Behind the last one its headers are seen again. */
export function withoutLabel(packet: ModelPacket, eth_type: number): ModelPacket {
  const popped = { ...withField(packet, "eth_type", BigInt(eth_type)), mpls: packet.mpls.slice(1) };
  if (packet.mpls.length !== 1 || popped.frame === undefined) return popped;
  const behind = packetFromFrame(frameBytes(popped)!);
  if (behind === undefined) return popped;
  return { ...behind, fields: new Map([...pipelineOf(popped), ...behind.fields]) };
}

/** Fields that are not of the packet but of its way through one switch. */
export const PIPELINE_FIELDS: readonly string[] = ["in_port", "in_phy_port", "metadata", "tunnel_id"];
const pipelineOf = ({ fields }: ModelPacket): [string, bigint][] =>
  [...fields].filter(([name]) => PIPELINE_FIELDS.includes(name));

const macText = (bits: bigint): string => macFromNumber(Number(bits));
const ipv4Text = (bits: bigint): string => ipv4FromNumber(Number(bits));
const ipv6Text = (bits: bigint): string =>
  readIpv6(Buffer.from(bits.toString(16).padStart(32, "0"), "hex"), 0);

/** A value of a field as the codec has it, from its bits. */
export function fromBits(field: OxmField, bits: bigint): unknown {
  switch (field.kind) {
    case "mac":
      return macText(bits);
    case "ipv4":
      return ipv4Text(bits);
    case "ipv6":
      return ipv6Text(bits);
    case "big":
      return bits;
    case "bytes":
      return bits.toString(16).padStart(field.bytes * 2, "0");
    default:
      return Number(bits);
  }
}

/** A layer with the fields that actions may have changed written into it. */
function withLayerFields(
  layer: unknown,
  fields: ReadonlyMap<string, bigint>,
  ttl: number | undefined,
): unknown {
  if (layer instanceof Uint8Array) return layer;
  const { kind } = layer as { kind: string };
  const number = (name: string): number => Number(fields.get(name) ?? 0n);
  const inner = (): unknown => withLayerFields((layer as Ipv4).payload, fields, ttl);
  const tos = (): number => (number("ip_dscp") << 2) | number("ip_ecn");
  const l4 = (name: string) => ({ src_port: number(`${name}_src`), dst_port: number(`${name}_dst`) });
  const changes: Readonly<Record<string, () => object>> = {
    arp: () => ({
      op: number("arp_op"),
      spa: ipv4Text(fields.get("arp_spa") ?? 0n),
      tpa: ipv4Text(fields.get("arp_tpa") ?? 0n),
      sha: macText(fields.get("arp_sha") ?? 0n),
      tha: macText(fields.get("arp_tha") ?? 0n),
    }),
    ipv4: () => ({
      src: ipv4Text(fields.get("ipv4_src") ?? 0n),
      dst: ipv4Text(fields.get("ipv4_dst") ?? 0n),
      tos: tos(),
      ttl,
      payload: inner(),
    }),
    ipv6: () => ({
      src: ipv6Text(fields.get("ipv6_src") ?? 0n),
      dst: ipv6Text(fields.get("ipv6_dst") ?? 0n),
      traffic_class: tos(),
      flow_label: number("ipv6_flabel"),
      hop_limit: ttl,
      payload: inner(),
    }),
    tcp: () => l4("tcp"),
    udp: () => l4("udp"),
    icmpv4: () => ({ type: number("icmpv4_type"), code: number("icmpv4_code") }),
    icmpv6: () => ({ type: number("icmpv6_type"), code: number("icmpv6_code") }),
  };
  return { ...(layer as object), ...changes[kind]?.() };
}
