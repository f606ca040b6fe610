// Hot path. Nothing is allocated, nothing throws.

import { IP_TCP, IP_UDP, type Layers } from "../../flow/extract.js";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  HEADROOM,
  type Packet,
} from "../../netdev/packet.js";
import { adjustChecksum, l4Checksum } from "./checksum.js";

const FIN_PSH = 0x09;
const CWR = 0x80;

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
  if (layers.l3 === 0 || layers.l4 === 0 || packet.gsoSize === 0 || (!isTcp && gsoType !== GSO_UDP_L4))
    return false;
  const b = packet.buffer;
  const headerSize = layers.l4 - packet.start + (isTcp ? (b[layers.l4 + 12]! >>> 4) << 2 : 8);
  const payloadEnd = layers.l3End;
  let at = packet.start + headerSize;
  if (at > payloadEnd) return false;
  const l3 = layers.l3 - packet.start + HEADROOM;
  const l4 = layers.l4 - packet.start + HEADROOM;
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
    const checksum = l4Checksum(segment.buffer, l3, l4, segment.end, isTcp ? IP_TCP : IP_UDP, field);
    writeU16(segment.buffer, field, checksum === 0 && !isTcp ? 0xffff : checksum);
    emit(segment);
    at += size;
  }
  return true;
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

function writeU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}
