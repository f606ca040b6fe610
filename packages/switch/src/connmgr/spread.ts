const VLAN_TYPES: ReadonlySet<number> = new Set([0x8100, 0x88a8]);
const PORTED: ReadonlySet<number> = new Set([6, 17, 132]);

/** A number for the flow that a frame belongs to: of its MAC addresses and, where it has them, IP addresses and ports. */
export function flowNumber(frame: Uint8Array): number {
  let hash = mix(0x811c_9dc5, frame, 0, 12);
  const type = (at: number): number => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  let at = 12;
  while (VLAN_TYPES.has(type(at))) at += 4;
  const ip = at + 2;
  if (type(at) === 0x0800) {
    hash = mix(hash, frame, ip + 12, 8);
    const isFragment = (type(ip + 6) & 0x3fff) !== 0;
    if (PORTED.has(frame[ip + 9] ?? 0) && !isFragment) {
      hash = mix(hash, frame, ip + ((frame[ip] ?? 0) & 0xf) * 4, 4);
    }
  } else if (type(at) === 0x86dd) {
    hash = mix(hash, frame, ip + 8, 32);
    if (PORTED.has(frame[ip + 6] ?? 0)) hash = mix(hash, frame, ip + 40, 4);
  }
  // Its low bits alone would follow the last byte.
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** FNV-1a of `length` bytes, as far as there are so many. */
function mix(hash: number, bytes: Uint8Array, from: number, length: number): number {
  for (const byte of bytes.subarray(from, from + length)) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash;
}
