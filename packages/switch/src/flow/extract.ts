// Hot path. Nothing is allocated, nothing throws: a header that is cut short, or whose lengths do not hold, leaves its
// fields 0, and the packet is treated as if it ended before that header.

import type { FlowKey } from "./flow-key.js";
import {
  LANE_ARP,
  LANE_ETH,
  LANE_FLABEL,
  LANE_IPV4_DST,
  LANE_IPV4_SRC,
  LANE_IPV6_DST,
  LANE_IPV6_SRC,
  LANE_MPLS,
  LANE_ND_TARGET,
  LANE_NW,
  LANE_PBB,
  LANE_TCI2_FLAGS,
  LANE_TP,
  LANE_TPIDS,
  LANE_TYPE_TCI,
  LANES_ARP,
  LANES_IPV4,
  LANES_IPV6,
  LANES_MPLS,
} from "./lanes.js";

export const ETH_IPV4 = 0x0800;
export const ETH_ARP = 0x0806;
export const ETH_RARP = 0x8035;
export const ETH_VLAN = 0x8100;
export const ETH_QINQ = 0x88a8;
export const ETH_IPV6 = 0x86dd;
export const ETH_MPLS = 0x8847;
export const ETH_MPLS_MC = 0x8848;
export const ETH_PBB = 0x88e7;
/** eth_type of a frame that has none: IEEE 802.3 length with no SNAP header (as OFP_DL_TYPE_NOT_ETH_TYPE). */
export const ETH_NONE = 0x05ff;

export const IP_ICMP = 1;
export const IP_TCP = 6;
export const IP_UDP = 17;
export const IP_ICMPV6 = 58;
export const IP_SCTP = 132;

export const FRAG_ANY = 1;
export const FRAG_LATER = 2;

/** OFPIEH_*, bits of ipv6_exthdr (1.3.5 §7.2.3.7). */
const IEH = { NONEXT: 1, ESP: 2, AUTH: 4, DEST: 8, FRAG: 16, ROUTER: 32, HOP: 64, UNREP: 128, UNSEQ: 256 };

/** Where the headers of a packet begin, as offsets into its buffer; 0 where there is no such (whole) header. */
export class Layers {
  /** After the Ethernet header and VLAN tags: MPLS labels, IP, ARP … */
  payload = 0;
  /** Of the last type/length field: where eth_type lies. */
  ethType = 0;
  /** IPv4, IPv6 or ARP. */
  l3 = 0;
  /** TCP, UDP, SCTP, ICMP or ICMPv6; never in later fragments. */
  l4 = 0;
  /** End of the IP packet: padding of the frame is not part of it. */
  l3End = 0;
}

/** VLAN tags that a key can tell of. */
export const MAX_TAGS = 2;

/** As `extractFrom`, for who has no view of the bytes. */
export function extract(
  b: Uint8Array,
  start: number,
  end: number,
  key: FlowKey,
  layers: Layers,
  tags = MAX_TAGS,
): number {
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  return extractFrom(view, start, end, key, layers, LANES_IPV6, tags);
}

/** Fills the packet's lanes of `key` (LANE_ETH up to DP_LANES) from the frame in [start, end) of `b`, and `layers`.
 *  Gives how many lanes are in use: those from there to DP_LANES are 0. `used`: how many the key had in use. `tags`: how
 *  many VLAN tags are told of, 1 or 2; what is behind is payload, and eth_type that of a tag (vlan-limit). */
export function extractFrom(
  b: DataView,
  start: number,
  end: number,
  key: FlowKey,
  layers: Layers,
  used = LANES_IPV6,
  tags = MAX_TAGS,
): number {
  for (let i = LANE_ETH; i < used; i++) key[i] = 0;
  layers.payload = end;
  layers.ethType = 0;
  layers.l3 = 0;
  layers.l4 = 0;
  layers.l3End = end;
  if (end - start < 14) return LANES_IPV4;

  key[LANE_ETH] = b.getInt32(start);
  key[LANE_ETH + 1] = b.getInt32(start + 4);
  key[LANE_ETH + 2] = b.getInt32(start + 8);
  let at = start + 12;
  let type = b.getUint16(at);
  let tci = 0;
  if (isVlan(type) && end - at >= 6) {
    tci = b.getUint16(at + 2) | 0x1000;
    key[LANE_TPIDS] = type << 16;
    at += 4;
    type = b.getUint16(at);
    if (tags > 1 && isVlan(type) && end - at >= 6) {
      key[LANE_TPIDS]! |= type;
      key[LANE_TCI2_FLAGS] = (b.getUint16(at + 2) | 0x1000) << 16;
      at += 4;
      type = b.getUint16(at);
    }
  }
  if (type < 0x0600) {
    // LLC with SNAP and OUI 0 carries an EtherType (RFC 1042).
    if (
      end - at >= 10 &&
      b.getUint8(at + 2) === 0xaa &&
      b.getUint8(at + 3) === 0xaa &&
      b.getUint8(at + 4) === 3 &&
      (b.getUint8(at + 5) | b.getUint8(at + 6) | b.getUint8(at + 7)) === 0 &&
      b.getUint8(at + 8) >= 6
    ) {
      at += 8;
      type = b.getUint16(at);
    } else type = ETH_NONE;
  }
  layers.ethType = at;
  at += 2;
  layers.payload = at;
  key[LANE_TYPE_TCI] = (type << 16) | tci;

  if (type === ETH_IPV4) {
    extractIpv4(b, at, end, key, layers);
    return LANES_IPV4;
  }
  if (type === ETH_IPV6) {
    extractIpv6(b, at, end, key, layers);
    return LANES_IPV6;
  }
  if (type === ETH_ARP || type === ETH_RARP) {
    extractArp(b, at, end, key, layers);
    return LANES_ARP;
  }
  if ((type === ETH_MPLS || type === ETH_MPLS_MC) && end - at >= 4) key[LANE_MPLS] = b.getInt32(at);
  else if (type === ETH_PBB && end - at >= 4) key[LANE_PBB] = b.getInt32(at) & 0xff_ffff;
  else return LANES_IPV4;
  return LANES_MPLS;
}

export const isVlan = (type: number): boolean => type === ETH_VLAN || type === ETH_QINQ;

function extractIpv4(b: DataView, l3: number, end: number, key: FlowKey, layers: Layers): void {
  const size = end - l3;
  if (size < 20 || b.getUint8(l3) >>> 4 !== 4) return;
  const headerSize = (b.getUint8(l3) & 15) << 2;
  const total = b.getUint16(l3 + 2);
  if (headerSize < 20 || total < headerSize || total > size) return;
  layers.l3 = l3;
  layers.l3End = l3 + total;
  const fragment = b.getUint16(l3 + 6) & 0x3fff;
  const frag = fragment === 0 ? 0 : (fragment & 0x1fff) === 0 ? FRAG_ANY : FRAG_ANY | FRAG_LATER;
  const proto = b.getUint8(l3 + 9);
  key[LANE_NW] = (proto << 24) | (b.getUint8(l3 + 1) << 16) | (b.getUint8(l3 + 8) << 8) | frag;
  key[LANE_IPV4_SRC] = b.getInt32(l3 + 12);
  key[LANE_IPV4_DST] = b.getInt32(l3 + 16);
  if (frag < FRAG_LATER) extractL4(b, l3 + headerSize, l3 + total, proto, key, layers, false);
}

function extractL4(
  b: DataView,
  l4: number,
  end: number,
  proto: number,
  key: FlowKey,
  layers: Layers,
  v6: boolean,
): void {
  const size = end - l4;
  if (proto === IP_TCP) {
    if (size < 20) return;
    const offsetAndFlags = b.getUint16(l4 + 12);
    // A header shorter than TCP's, or that ends behind the packet, is none: whoever receives it drops it.
    const headerSize = (offsetAndFlags >>> 12) << 2;
    if (headerSize < 20 || headerSize > size) return;
    key[LANE_TCI2_FLAGS]! |= offsetAndFlags & 0xfff;
  } else if (proto === IP_UDP) {
    if (size < 8) return;
  } else if (proto === IP_SCTP) {
    if (size < 12) return;
  } else if ((proto === IP_ICMP && !v6) || (proto === IP_ICMPV6 && v6)) {
    if (size < 8) return;
    layers.l4 = l4;
    key[LANE_TP] = (b.getUint8(l4) << 16) | b.getUint8(l4 + 1);
    if (v6 && (b.getUint8(l4) === 135 || b.getUint8(l4) === 136) && b.getUint8(l4 + 1) === 0)
      extractNd(b, l4, end, key);
    return;
  } else return;
  layers.l4 = l4;
  key[LANE_TP] = b.getInt32(l4);
}

/** Neighbour solicitation (135) and advertisement (136): the target, and the one option that goes with each. */
function extractNd(b: DataView, l4: number, end: number, key: FlowKey): void {
  if (end - l4 < 24) return;
  for (let i = 0; i < 4; i++) key[LANE_ND_TARGET + i] = b.getInt32(l4 + 8 + 4 * i);
  const option = findNdOption(b, l4, end, b.getUint8(l4) === 135 ? 1 : 2);
  if (option === 0) return;
  // Source link-layer address lies in arp_sha's place, the target's in arp_tha's.
  if (b.getUint8(l4) === 135) {
    key[LANE_ARP] = b.getInt32(option);
    key[LANE_ARP + 1] = b.getUint16(option + 4) << 16;
  } else {
    key[LANE_ARP + 1] = b.getUint16(option);
    key[LANE_ARP + 2] = b.getInt32(option + 2);
  }
}

/** Where the MAC address of the ND option `wanted` (1 source, 2 target link-layer address) lies; 0: nowhere. */
export function findNdOption(b: DataView, l4: number, end: number, wanted: number): number {
  for (let at = l4 + 24; end - at >= 8; ) {
    const size = b.getUint8(at + 1) << 3;
    if (size === 0 || size > end - at) return 0;
    if (b.getUint8(at) === wanted && size === 8) return at + 2;
    at += size;
  }
  return 0;
}

function extractIpv6(b: DataView, l3: number, end: number, key: FlowKey, layers: Layers): void {
  if (end - l3 < 40 || b.getUint8(l3) >>> 4 !== 6) return;
  const payload = b.getUint16(l3 + 4);
  const l3End = l3 + 40 + payload;
  if (l3End > end) return;
  layers.l3 = l3;
  layers.l3End = l3End;
  for (let i = 0; i < 4; i++) {
    key[LANE_IPV6_SRC + i] = b.getInt32(l3 + 8 + 4 * i);
    key[LANE_IPV6_DST + i] = b.getInt32(l3 + 24 + 4 * i);
  }
  const trafficClass = ((b.getUint8(l3) << 4) | (b.getUint8(l3 + 1) >>> 4)) & 0xff;
  const label = ((b.getUint8(l3 + 1) & 15) << 16) | b.getUint16(l3 + 2);

  // The chain of extension headers (RFC 8200 §4); each header steps at least 8 bytes, so it ends.
  let proto = b.getUint8(l3 + 6);
  let at = l3 + 40;
  let frag = 0;
  let seen = 0;
  let rank = 0;
  while (frag < FRAG_LATER && isExtension(proto)) {
    seen = noteExtension(seen, proto, rank);
    rank = extensionRank(proto, seen);
    if (l3End - at < 8) break;
    const next = b.getUint8(at);
    let size = 8;
    if (proto === 44) {
      const fragment = b.getUint16(at + 2);
      if ((fragment & 0xfff9) !== 0) frag = fragment & 0xfff8 ? FRAG_ANY | FRAG_LATER : FRAG_ANY;
    } else if (proto === 51) size = (b.getUint8(at + 1) + 2) << 2;
    else size = (b.getUint8(at + 1) + 1) << 3;
    if (size > l3End - at) break;
    at += size;
    proto = next;
  }
  if (proto === 50) seen = noteExtension(seen, proto, rank);
  else if (proto === 59) seen |= IEH.NONEXT;
  key[LANE_NW] = (proto << 24) | (trafficClass << 16) | (b.getUint8(l3 + 7) << 8) | frag;
  key[LANE_FLABEL] = (seen << 20) | label;
  if (frag < FRAG_LATER && !isExtension(proto)) extractL4(b, at, l3End, proto, key, layers, true);
}

const isExtension = (proto: number): boolean =>
  proto === 0 || proto === 43 || proto === 44 || proto === 51 || proto === 60;

const extensionBit = (proto: number): number =>
  proto === 0
    ? IEH.HOP
    : proto === 43
      ? IEH.ROUTER
      : proto === 44
        ? IEH.FRAG
        : proto === 51
          ? IEH.AUTH
          : proto === 50
            ? IEH.ESP
            : IEH.DEST;

/** The preferred order of RFC 8200 §4.1: hop-by-hop, destination, routing, fragment, AH, ESP, destination. */
function extensionRank(proto: number, seen: number): number {
  if (proto === 60) return (seen & (IEH.ROUTER | IEH.FRAG | IEH.AUTH | IEH.ESP)) === 0 ? 2 : 7;
  return proto === 0 ? 1 : proto === 43 ? 3 : proto === 44 ? 4 : proto === 51 ? 5 : 6;
}

function noteExtension(seen: number, proto: number, rank: number): number {
  const bit = extensionBit(proto);
  let now = seen | bit;
  // A destination header may come twice, once before the routing header (RFC 8200 §4.1).
  if ((seen & bit) !== 0 && !(proto === 60 && rank >= 3 && rank < 7)) now |= IEH.UNREP;
  if (extensionRank(proto, seen) < rank) now |= IEH.UNSEQ;
  return now;
}

function extractArp(b: DataView, l3: number, end: number, key: FlowKey, layers: Layers): void {
  // Ethernet (1) and IPv4 addresses of 6 and 4 bytes (RFC 826); other ARP has no fields here.
  if (end - l3 < 28 || b.getInt32(l3) !== 0x0001_0800 || b.getUint8(l3 + 4) !== 6 || b.getUint8(l3 + 5) !== 4)
    return;
  layers.l3 = l3;
  key[LANE_NW] = b.getUint16(l3 + 6) << 16;
  key[LANE_IPV4_SRC] = b.getInt32(l3 + 14);
  key[LANE_IPV4_DST] = b.getInt32(l3 + 24);
  key[LANE_ARP] = b.getInt32(l3 + 8);
  key[LANE_ARP + 1] = (b.getUint16(l3 + 12) << 16) | b.getUint16(l3 + 18);
  key[LANE_ARP + 2] = b.getInt32(l3 + 20);
}
