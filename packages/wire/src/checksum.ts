/** The Internet checksum (RFC 1071), in its parts so that pseudo-headers can join. */

/** Ones'-complement sum of big-endian 16-bit words in [at, end), added to `sum`, not folded.
 *  A last odd byte counts as the high byte of a word. Exact up to 64 KB from a folded `sum`. */
export function checksumAdd(bytes: Uint8Array, at: number, end: number, sum = 0): number {
  let total = sum;
  let i = at;
  for (; i + 1 < end; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  if (i < end) total += bytes[i]! << 8;
  return total;
}

/** Folds a sum into the 16-bit checksum to put on the wire. */
export function checksumFold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** The checksum of a byte range: 0 when the range holds a right checksum. */
export const checksum = (bytes: Uint8Array, at: number, end: number): number =>
  checksumFold(checksumAdd(bytes, at, end));
