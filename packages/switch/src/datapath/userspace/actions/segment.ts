// Hot path. Nothing is allocated, nothing throws.

import { checksumAdd, checksumFold } from "@sluice/wire";
import { IP_TCP, IP_UDP, type Layers } from "../../../flow/extract.js";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  HEADROOM,
  type Packet,
} from "../../../netdev/packet.js";
import { adjustChecksum, l4Checksum } from "./checksum.js";

const ETHERNET = 14;
const IPV6_HEADER = 40;
const IP_IN_IP = 4;
const IPV6_IN_IP = 41;
const IP_GRE = 47;
/** Flags of a GRE header's first byte (RFC 2784, RFC 2890). */
const GRE_CHECKSUM = 0x80;
const GRE_SEQUENCE = 0x10;
const FIN_PSH = 0x09;
const CWR = 0x80;

/** Whether a super-frame's segments lie in a packet of IP within this one (VXLAN, GRE, IP in IP …). No virtio_net_hdr can
 *  tell that, so that who gets such a frame whole would have to guess. */
export const isTunnelled = (packet: Packet, layers: Layers): boolean =>
  layers.l3 !== 0 && packet.csumStart !== 0 && packet.csumStart !== layers.l4;

/** Cuts a super-frame into the frames that a network card would make of it, with finished checksums, as RFC-conformant
 *  TCP or UDP of `gsoSize` bytes each. Each is built in `segment` and handed to `emit`. False when the packet is no
 *  such thing: it cannot be sent. */
export function forEachSegment(
  packet: Packet,
  layers: Layers,
  segment: Packet,
  emit: (segment: Packet) => void,
): boolean {
  const gsoType = packet.gsoType & ~GSO_ECN;
  const isTcp = gsoType === GSO_TCPV4 || gsoType === GSO_TCPV6;
  const b = packet.buffer;
  const isPlain = packet.csumStart === 0 || packet.csumStart === layers.l4;
  const proto = isTcp ? IP_TCP : IP_UDP;
  const l4At = isPlain ? layers.l4 : packet.csumStart;
  const l3At = isPlain ? layers.l3 : ipBefore(b, packet.start + ETHERNET, l4At, packet.end, proto);
  if (l3At === 0 || l4At === 0 || packet.gsoSize === 0 || (!isTcp && gsoType !== GSO_UDP_L4)) return false;
  const outer = isPlain || layers.l3 === 0 || layers.l3 >= l3At ? 0 : layers.l3 - packet.start + HEADROOM;
  if (outer !== 0 && !canRepeat(b, layers.l3)) return false;
  const headerSize = l4At - packet.start + (isTcp ? (b[l4At + 12]! >>> 4) << 2 : 8);
  const payloadEnd = isPlain ? layers.l3End : packet.end;
  let at = packet.start + headerSize;
  if (at > payloadEnd) return false;
  const l3 = l3At - packet.start + HEADROOM;
  const l4 = l4At - packet.start + HEADROOM;
  for (let index = 0; at < payloadEnd || index === 0; index++) {
    const size = Math.min(packet.gsoSize, payloadEnd - at);
    const isLast = at + size >= payloadEnd;
    segment.buffer.set(b.subarray(packet.start, packet.start + headerSize), HEADROOM);
    segment.buffer.set(b.subarray(at, at + size), HEADROOM + headerSize);
    segment.reset(HEADROOM, HEADROOM + headerSize + size);
    segment.gsoType = GSO_NONE;
    if (isTcp) fixTcp(segment.buffer, l4, index * packet.gsoSize, index === 0, isLast);
    else writeU16(segment.buffer, l4 + 4, segment.end - l4);
    fixIp(segment.buffer, l3, segment.end, index);
    const field = isTcp ? l4 + 16 : l4 + 6;
    const checksum = l4Checksum(segment.buffer, l3, l4, segment.end, proto, field);
    writeU16(segment.buffer, field, checksum === 0 && !isTcp ? 0xffff : checksum);
    if (outer !== 0) fixOuter(segment.buffer, outer, segment.end, index);
    emit(segment);
    at += size;
  }
  return true;
}

/** Where the IP header begins that lies in [from, l4) right before a TCP or UDP header, of a packet that ends at `end`;
 *  0: there is none. */
function ipBefore(b: Uint8Array, from: number, l4: number, end: number, proto: number): number {
  const v6 = l4 - IPV6_HEADER;
  if (v6 >= from && b[v6]! >>> 4 === 6 && b[v6 + 6] === proto && readU16(b, v6 + 4) === end - l4) return v6;
  for (let words = 5; words <= 15; words++) {
    const v4 = l4 - words * 4;
    if (v4 < from) return 0;
    if (b[v4] === (0x40 | words) && b[v4 + 9] === proto && readU16(b, v4 + 2) === end - v4) return v4;
  }
  return 0;
}

/** Where what an IP header carries begins: the header has no extensions. */
const bodyOf = (b: Uint8Array, l3: number): number =>
  b[l3]! >>> 4 === 6 ? l3 + IPV6_HEADER : l3 + ((b[l3]! & 15) << 2);
const protoOf = (b: Uint8Array, l3: number): number => (b[l3]! >>> 4 === 6 ? b[l3 + 6]! : b[l3 + 9]!);

/** Whether what comes after an outer IP header is right before each segment, with its lengths changed: UDP, IP, and GRE
 *  that does not number its packets. */
function canRepeat(b: Uint8Array, l3: number): boolean {
  const proto = protoOf(b, l3);
  if (proto === IP_GRE) return (b[bodyOf(b, l3)]! & GRE_SEQUENCE) === 0;
  return proto === IP_UDP || proto === IP_IN_IP || proto === IPV6_IN_IP;
}

/** Makes an outer IP header, and the UDP or GRE header under it, those of a segment that is otherwise finished. */
function fixOuter(b: Uint8Array, l3: number, end: number, index: number): void {
  fixIp(b, l3, end, index);
  const l4 = bodyOf(b, l3);
  if (protoOf(b, l3) === IP_GRE && (b[l4]! & GRE_CHECKSUM) !== 0) {
    writeU16(b, l4 + 4, 0);
    writeU16(b, l4 + 4, checksumFold(checksumAdd(b, l4, end)));
  }
  if (protoOf(b, l3) !== IP_UDP) return;
  writeU16(b, l4 + 4, end - l4);
  if (readU16(b, l4 + 6) !== 0) writeU16(b, l4 + 6, l4Checksum(b, l3, l4, end, IP_UDP, l4 + 6) || 0xffff);
}

function fixTcp(b: Uint8Array, l4: number, offset: number, isFirst: boolean, isLast: boolean): void {
  const seq = (((b[l4 + 4]! << 24) | (b[l4 + 5]! << 16) | (b[l4 + 6]! << 8) | b[l4 + 7]!) + offset) >>> 0;
  b[l4 + 4] = seq >>> 24;
  b[l4 + 5] = seq >>> 16;
  b[l4 + 6] = seq >>> 8;
  b[l4 + 7] = seq;
  if (!isFirst) b[l4 + 13]! &= ~CWR;
  if (!isLast) b[l4 + 13]! &= ~FIN_PSH;
}

function fixIp(b: Uint8Array, l3: number, end: number, index: number): void {
  if (b[l3]! >>> 4 === 6) {
    writeU16(b, l3 + 4, end - l3 - 40);
    return;
  }
  const oldTotal = (b[l3 + 2]! << 8) | b[l3 + 3]!;
  const oldId = (b[l3 + 4]! << 8) | b[l3 + 5]!;
  const total = end - l3;
  const id = (oldId + index) & 0xffff;
  writeU16(b, l3 + 2, total);
  writeU16(b, l3 + 4, id);
  const checksum = (b[l3 + 10]! << 8) | b[l3 + 11]!;
  writeU16(b, l3 + 10, adjustChecksum(checksum, total - oldTotal + id - oldId));
}

const readU16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!;

function writeU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}
