// Hot path. Nothing is allocated, nothing throws.

import { checksumAdd, checksumFold } from "@sluice/wire";
import type { Packet } from "../../../netdev/packet.js";

/** csumOffset of SCTP, whose checksum is a CRC32c. */
const SCTP_CSUM_OFFSET = 8;

/** A sum, or a difference of sums, as the ones'-complement number 1 … 0xffff. Sums of headers are never 0. */
export function foldSum(sum: number): number {
  const rest = sum % 0xffff;
  return rest <= 0 ? rest + 0xffff : rest;
}

/** The checksum after the words that it covers grew by `delta` (RFC 1624, equation 3). */
export const adjustChecksum = (old: number, delta: number): number =>
  ~foldSum((~old & 0xffff) + delta) & 0xffff;

/** Writes `value` under `mask` at `at`. Gives by how much the 16-bit words there grew in sum; `odd`: the first byte
 *  is the low half of its word. */
export function writeMasked(
  b: Uint8Array,
  at: number,
  value: Uint8Array,
  mask: Uint8Array,
  odd: number,
): number {
  let delta = 0;
  for (let i = 0; i < value.length; i++) {
    const old = b[at + i]!;
    const now = (old & ~mask[i]!) | (value[i]! & mask[i]!);
    if (now === old) continue;
    b[at + i] = now;
    delta += ((i + odd) & 1) === 1 ? now - old : (now - old) * 256;
  }
  return delta;
}

/** Puts the finished checksum where the packet has only the pseudo-header's sum. */
export function finishChecksum(packet: Packet): void {
  const start = packet.csumStart;
  if (start === 0) return;
  packet.csumStart = 0;
  const b = packet.buffer;
  const at = start + packet.csumOffset;
  if (packet.csumOffset === SCTP_CSUM_OFFSET) {
    writeSctpChecksum(b, start, packet.end);
    return;
  }
  // 0 would mean "none" to UDP; to the others its other form, 0xffff, is as good.
  const checksum = checksumFold(checksumAdd(b, start, packet.end)) || 0xffff;
  b[at] = checksum >>> 8;
  b[at + 1] = checksum;
}

/** The Internet checksum of an L4 segment in [l4, end), with its own field taken as 0, under IPv4 (or IPv6). */
export function l4Checksum(
  b: Uint8Array,
  l3: number,
  l4: number,
  end: number,
  proto: number,
  field: number,
): number {
  const isV6 = b[l3]! >>> 4 === 6;
  const addresses = isV6 ? l3 + 8 : l3 + 12;
  const pseudo = checksumAdd(b, addresses, addresses + (isV6 ? 32 : 8), proto + (end - l4));
  const old = (b[field]! << 8) | b[field + 1]!;
  // The field lies at an even distance from l4.
  return checksumFold(checksumAdd(b, l4, end, pseudo) - old);
}

const CRC32C = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  return crc;
});

/** Computes an SCTP packet's checksum: CRC32c with the field taken as 0, little endian (RFC 9260 §6.8, appendix A). */
export function writeSctpChecksum(b: Uint8Array, l4: number, end: number): void {
  let crc = 0xffff_ffff;
  for (let i = l4; i < end; i++) {
    const byte = i >= l4 + 8 && i < l4 + 12 ? 0 : b[i]!;
    crc = CRC32C[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  }
  crc = ~crc;
  b[l4 + 8] = crc;
  b[l4 + 9] = crc >>> 8;
  b[l4 + 10] = crc >>> 16;
  b[l4 + 11] = crc >>> 24;
}
