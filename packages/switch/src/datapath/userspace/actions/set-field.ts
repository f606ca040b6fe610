import {
  ETH_ARP,
  ETH_IPV4,
  ETH_IPV6,
  ETH_MPLS,
  ETH_MPLS_MC,
  ETH_PBB,
  ETH_QINQ,
  ETH_RARP,
  ETH_VLAN,
  findNdOption,
  IP_ICMP,
  IP_ICMPV6,
  IP_SCTP,
  IP_TCP,
  IP_UDP,
} from "../../../flow/extract.js";
import { adjustChecksum, foldSum, writeMasked, writeSctpChecksum } from "./checksum.js";
import type { Context } from "./context.js";

/** Where a field lies: in which header, how far from the header's start, and which bits of the bytes there. */
enum Header {
  Ethernet,
  EtherType,
  Vlan,
  Mpls,
  Pbb,
  Ipv4,
  /** The addresses are in the checksums of TCP and UDP too. */
  Ipv4Address,
  Ipv6,
  Ipv6Address,
  Arp,
  Ports,
  Icmpv4,
  Icmpv6,
  NdTarget,
  NdSourceOption,
  NdTargetOption,
}

/** [header, offset, bytes, bits to the right of the field]. Fields with two places (IPv4, IPv6) list both. */
type Place = readonly [header: Header, offset: number, size: number, shift: number];

const PLACES: Readonly<Record<string, readonly Place[]>> = {
  eth_dst: [[Header.Ethernet, 0, 6, 0]],
  eth_src: [[Header.Ethernet, 6, 6, 0]],
  eth_type: [[Header.EtherType, 0, 2, 0]],
  vlan_vid: [[Header.Vlan, 0, 2, 0]],
  vlan_pcp: [[Header.Vlan, 0, 2, 13]],
  vlan_tci: [[Header.Vlan, 0, 2, 0]],
  mpls_label: [[Header.Mpls, 0, 4, 12]],
  mpls_tc: [[Header.Mpls, 0, 4, 9]],
  mpls_bos: [[Header.Mpls, 0, 4, 8]],
  mpls_ttl: [[Header.Mpls, 0, 4, 0]],
  pbb_isid: [[Header.Pbb, 0, 4, 0]],
  nw_tos: [
    [Header.Ipv4, 1, 1, 0],
    [Header.Ipv6, 0, 2, 4],
  ],
  ip_dscp: [
    [Header.Ipv4, 1, 1, 2],
    [Header.Ipv6, 0, 2, 6],
  ],
  ip_ecn: [
    [Header.Ipv4, 1, 1, 0],
    [Header.Ipv6, 0, 2, 4],
  ],
  nw_ttl: [
    [Header.Ipv4, 8, 1, 0],
    [Header.Ipv6, 7, 1, 0],
  ],
  ipv4_src: [[Header.Ipv4Address, 12, 4, 0]],
  ipv4_dst: [[Header.Ipv4Address, 16, 4, 0]],
  ipv6_src: [[Header.Ipv6Address, 8, 16, 0]],
  ipv6_dst: [[Header.Ipv6Address, 24, 16, 0]],
  ipv6_flabel: [[Header.Ipv6, 0, 4, 0]],
  arp_op: [[Header.Arp, 6, 2, 0]],
  arp_sha: [[Header.Arp, 8, 6, 0]],
  arp_spa: [[Header.Arp, 14, 4, 0]],
  arp_tha: [[Header.Arp, 18, 6, 0]],
  arp_tpa: [[Header.Arp, 24, 4, 0]],
  ...Object.fromEntries(
    ["tp", "tcp", "udp", "sctp"].flatMap((name) => [
      [`${name}_src`, [[Header.Ports, 0, 2, 0] as const]],
      [`${name}_dst`, [[Header.Ports, 2, 2, 0] as const]],
    ]),
  ),
  icmpv4_type: [[Header.Icmpv4, 0, 1, 0]],
  icmpv4_code: [[Header.Icmpv4, 1, 1, 0]],
  icmpv6_type: [[Header.Icmpv6, 0, 1, 0]],
  icmpv6_code: [[Header.Icmpv6, 1, 1, 0]],
  ipv6_nd_target: [[Header.NdTarget, 8, 16, 0]],
  ipv6_nd_sll: [[Header.NdSourceOption, 0, 6, 0]],
  ipv6_nd_tll: [[Header.NdTargetOption, 0, 6, 0]],
};

/** The widths where they are not whole bytes of the place. */
const BITS: Readonly<Record<string, number>> = {
  vlan_vid: 12,
  vlan_pcp: 3,
  mpls_label: 20,
  mpls_tc: 3,
  mpls_bos: 1,
  mpls_ttl: 8,
  pbb_isid: 24,
  nw_tos: 8,
  ip_dscp: 6,
  ip_ecn: 2,
  ipv6_flabel: 20,
};

/** One masked write into a header. */
export class FieldWrite {
  readonly header: Header;
  readonly offset: number;
  readonly value: Uint8Array;
  readonly mask: Uint8Array;

  constructor(header: Header, offset: number, value: Uint8Array, mask: Uint8Array) {
    this.header = header;
    this.offset = offset;
    this.value = value;
    this.mask = mask;
  }
}

const toBig = (bytes: Uint8Array): bigint => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = size - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/** A set_field action as writes. Throws a RangeError for a field that no packet holds. */
export function compileSetField(
  field: string,
  value: Uint8Array,
  mask: Uint8Array | undefined,
): FieldWrite[] {
  const places = Object.hasOwn(PLACES, field) ? PLACES[field]! : undefined;
  if (!places) throw new RangeError(`the datapath cannot set ${field}`);
  return places.map(([header, offset, size, shift]) => {
    const all = (1n << BigInt(BITS[field] ?? size * 8)) - 1n;
    const bits = (mask ? toBig(mask) : all) & all;
    return new FieldWrite(
      header,
      offset,
      toBytes((toBig(value) & bits) << BigInt(shift), size),
      toBytes(bits << BigInt(shift), size),
    );
  });
}

// Hot path from here: nothing is allocated, nothing throws.

/** Writes a field where the packet has it. Needs fresh layers, and the packet not to be held. */
export function applyWrite(ctx: Context, write: FieldWrite): void {
  const { packet, layers } = ctx;
  const b = packet.buffer;
  const { l3, l4 } = layers;
  switch (write.header) {
    case Header.Ethernet:
      if (packet.end - packet.start >= 14) put(ctx, packet.start + write.offset, write);
      return;
    case Header.EtherType:
      if (layers.ethType !== 0) {
        put(ctx, layers.ethType, write);
        ctx.layersFresh = false;
      }
      return;
    case Header.Vlan:
      if (hasTag(ctx)) put(ctx, packet.start + 14, write);
      return;
    case Header.Mpls:
      if (isMpls(ctx.ethType) && packet.end - layers.payload >= 4) put(ctx, layers.payload, write);
      return;
    case Header.Pbb:
      if (ctx.ethType === ETH_PBB && packet.end - layers.payload >= 4) put(ctx, layers.payload, write);
      return;
    case Header.Ipv4:
    case Header.Ipv4Address: {
      if (l3 === 0 || ctx.ethType !== ETH_IPV4) return;
      const delta = put(ctx, l3 + write.offset, write, write.offset & 1);
      const checksum = (b[l3 + 10]! << 8) | b[l3 + 11]!;
      putU16(b, l3 + 10, adjustChecksum(checksum, delta));
      if (write.header === Header.Ipv4Address) fixL4(ctx, delta, true);
      return;
    }
    case Header.Ipv6:
    case Header.Ipv6Address: {
      if (l3 === 0 || ctx.ethType !== ETH_IPV6) return;
      const delta = put(ctx, l3 + write.offset, write);
      if (write.header === Header.Ipv6Address) fixL4(ctx, delta, true);
      return;
    }
    case Header.Arp:
      if (l3 !== 0 && isArp(ctx.ethType)) put(ctx, l3 + write.offset, write);
      return;
    case Header.Ports:
      if (l4 !== 0 && hasPorts(ctx.proto)) fixL4(ctx, put(ctx, l4 + write.offset, write), false);
      return;
    case Header.Icmpv4:
      if (l4 !== 0 && ctx.proto === IP_ICMP && ctx.ethType === ETH_IPV4) {
        fixL4(ctx, put(ctx, l4 + write.offset, write, write.offset), false);
      }
      return;
    default:
      if (l4 !== 0 && ctx.proto === IP_ICMPV6 && ctx.ethType === ETH_IPV6) writeIcmpv6(ctx, write);
  }
}

function writeIcmpv6(ctx: Context, write: FieldWrite): void {
  const { l4, l3End } = ctx.layers;
  const b = ctx.packet.buffer;
  if (write.header === Header.Icmpv6) {
    fixL4(ctx, put(ctx, l4 + write.offset, write, write.offset), false);
    return;
  }
  if ((b[l4] !== 135 && b[l4] !== 136) || l3End - l4 < 24) return;
  let at = l4 + write.offset;
  if (write.header !== Header.NdTarget) {
    at = findNdOption(ctx.packet.view, l4, l3End, write.header === Header.NdSourceOption ? 1 : 2);
    if (at === 0) return;
  }
  fixL4(ctx, put(ctx, at, write), false);
}

function put(ctx: Context, at: number, write: FieldWrite, odd = 0): number {
  ctx.keyFresh = false;
  return writeMasked(ctx.packet.buffer, at, write.value, write.mask, odd);
}

function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

const isMpls = (type: number): boolean => type === ETH_MPLS || type === ETH_MPLS_MC;
const isArp = (type: number): boolean => type === ETH_ARP || type === ETH_RARP;
const hasPorts = (proto: number): boolean => proto === IP_TCP || proto === IP_UDP || proto === IP_SCTP;

export function hasTag(ctx: Context): boolean {
  const { packet } = ctx;
  const b = packet.buffer;
  const type = (b[packet.start + 12]! << 8) | b[packet.start + 13]!;
  return (type === ETH_VLAN || type === ETH_QINQ) && packet.end - packet.start >= 18;
}

/** Puts the checksum of TCP, UDP, SCTP or ICMP right after bytes that it covers grew by `delta`: bytes of the
 *  pseudo-header (`pseudo`) or of the segment. */
function fixL4(ctx: Context, delta: number, pseudo: boolean): void {
  const { l4 } = ctx.layers;
  const proto = ctx.proto;
  if (l4 === 0 || delta === 0) return;
  const { packet } = ctx;
  const b = packet.buffer;
  if (proto === IP_SCTP) {
    if (!pseudo) writeSctpChecksum(b, l4, ctx.layers.l3End);
    return;
  }
  if (proto === IP_ICMP && pseudo) return;
  const at = l4 + (proto === IP_TCP ? 16 : proto === IP_UDP ? 6 : 2);
  const old = (b[at]! << 8) | b[at + 1]!;
  if (packet.csumStart === l4) {
    // Unfinished: the field has the pseudo-header's sum, and whoever finishes it sums the segment.
    if (pseudo) putU16(b, at, foldSum(old + delta));
    return;
  }
  if (proto === IP_UDP && old === 0) return;
  const checksum = adjustChecksum(old, delta);
  putU16(b, at, checksum === 0 && proto === IP_UDP ? 0xffff : checksum);
}
