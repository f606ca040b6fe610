// Hot path. Nothing is allocated, nothing throws.

import type { Layers } from "../../../flow/extract.js";
import type { Packet } from "../../../netdev/packet.js";

const IPV6_HEADER = 40;
const FRAGMENT_HEADER = 8;
const NEXT_FRAGMENT = 44;
/** Bytes of two VLAN tags, which an MTU does not count. */
const TAGS = 8;
const ETHERNET = 14;
const MORE_FRAGMENTS = 0x20;
const DONT_FRAGMENT = 0x40;
/** An IP option that goes with every fragment. */
const COPIED = 0x80;
const NO_OPERATION = 1;

let nextIdentification = 1;

/** Cuts an IP packet with finished checksums into fragments of at most `mtu` bytes (RFC 791 §3.2, RFC 8200 §4.5). Each
 *  is built in `fragment` and handed to `emit`. False when it is no IP packet, may not be cut, or the MTU is too short:
 *  it cannot be sent. */
export function forEachFragment(
  packet: Packet,
  { l3, l3End }: Layers,
  mtu: number,
  fragment: Packet,
  emit: (fragment: Packet) => void,
): boolean {
  if (l3 === 0) return false;
  const { buffer: b, start } = packet;
  const isV6 = b[l3]! >>> 4 === 6;
  if (!isV6 && (b[l3]! >>> 4 !== 4 || (b[l3 + 6]! & DONT_FRAGMENT) !== 0)) return false;
  // Where the number of what follows the headers that every fragment has is written, and where these end.
  let naming = l3 + 6;
  let at = isV6 ? l3 + IPV6_HEADER : l3 + ((b[l3]! & 15) << 2);
  while (isV6 && at < l3End && isExtension(b[naming]!)) {
    naming = at;
    at += 8 + b[at + 1]! * 8;
  }
  const body = isV6 ? at + FRAGMENT_HEADER : at;
  const room = mtu - Math.max(0, l3 - start - ETHERNET - TAGS) - (body - l3);
  const size = room & ~7;
  if (room < 8 || at >= l3End) return false;
  const id = nextIdentification;
  nextIdentification = (nextIdentification + 1) >>> 0;
  const f = fragment.buffer;
  for (let offset = 0; at + offset < l3End; offset += size) {
    const left = l3End - at - offset;
    const isLast = left <= size;
    const length = isLast ? left : size;
    f.set(b.subarray(start, at), start);
    f.set(b.subarray(at + offset, at + offset + length), body);
    fragment.reset(start, body + length);
    if (isV6) {
      writeU16(f, l3 + 4, body + length - l3 - IPV6_HEADER);
      f[at] = b[naming]!;
      f[naming] = NEXT_FRAGMENT;
      f[at + 1] = 0;
      writeU16(f, at + 2, offset | (isLast ? 0 : 1));
      writeU16(f, at + 4, id >>> 16);
      writeU16(f, at + 6, id);
    } else {
      writeU16(f, l3 + 2, body + length - l3);
      writeU16(f, l3 + 6, offset >>> 3);
      if (!isLast) f[l3 + 6]! |= MORE_FRAGMENTS;
      if (offset > 0) blankOptions(f, l3 + 20, body);
      writeChecksum(f, l3, body);
    }
    emit(fragment);
  }
  return true;
}

/** Hop-by-hop options, routing, destination options. */
const isExtension = (next: number): boolean => next === 0 || next === 43 || next === 60;

/** Options that only the first fragment has become no-operations in the others. */
function blankOptions(b: Uint8Array, from: number, end: number): void {
  for (let at = from; at < end && b[at] !== 0; ) {
    const length = b[at] === NO_OPERATION ? 1 : Math.max(2, b[at + 1]!);
    if ((b[at]! & COPIED) === 0) b.fill(NO_OPERATION, at, Math.min(end, at + length));
    at += length;
  }
}

function writeChecksum(b: Uint8Array, from: number, end: number): void {
  writeU16(b, from + 10, 0);
  let sum = 0;
  for (let at = from; at < end; at += 2) sum += (b[at]! << 8) | b[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  writeU16(b, from + 10, ~sum);
}

function writeU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}
