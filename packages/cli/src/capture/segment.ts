import { readIpv4, readIpv6 } from "@sluice/wire";

/** One TCP segment of a captured frame. */
export interface Segment {
  /** "10.0.0.1:6653", "[::1]:6653". */
  src: string;
  dst: string;
  seq: number;
  syn: boolean;
  fin: boolean;
  rst: boolean;
  payload: Uint8Array;
  /** Payload bytes that the capture did not keep. */
  missing: number;
}

const ETH_IPV4 = 0x0800;
const ETH_IPV6 = 0x86dd;
const VLAN_TAGS: readonly number[] = [0x8100, 0x88a8, 0x9100];
const TCP = 6;

/** Where the IP header starts, by LINKTYPE_ number (tcpdump.org/linktypes.html); -1 when the frame has none. */
const LINKS: Readonly<Record<number, (frame: DataView) => number>> = {
  0: () => 4, // NULL: BSD loopback
  1: (frame) => afterEthertype(frame, 12), // ETHERNET
  12: () => 0, // RAW, as some systems number it
  14: () => 0,
  101: () => 0, // RAW
  108: () => 4, // LOOP
  113: (frame) => afterEthertype(frame, 14), // LINUX_SLL: what `tcpdump -i any` writes
  228: () => 0, // IPV4
  229: () => 0, // IPV6
  276: (frame) => (isIp(frame.getUint16(0)) ? 20 : -1), // LINUX_SLL2
};

export const knownLinkType = (linkType: number): boolean => Object.hasOwn(LINKS, linkType);

const isIp = (ethertype: number): boolean => ethertype === ETH_IPV4 || ethertype === ETH_IPV6;

function afterEthertype(frame: DataView, at: number): number {
  let offset = at;
  while (VLAN_TAGS.includes(frame.getUint16(offset))) offset += 4;
  return isIp(frame.getUint16(offset)) ? offset + 2 : -1;
}

/** The TCP segment in a captured frame; undefined for anything else, fragments of IP packets included. */
export function segmentOf(linkType: number, data: Uint8Array): Segment | undefined {
  const frame = new DataView(data.buffer, data.byteOffset, data.byteLength);
  try {
    const ip = LINKS[linkType]?.(frame) ?? -1;
    if (ip < 0) return undefined;
    return frame.getUint8(ip) >> 4 === 6 ? fromIpv6(frame, data, ip) : fromIpv4(frame, data, ip);
  } catch (error) {
    // A frame cut off within its headers.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function fromIpv4(frame: DataView, data: Uint8Array, ip: number): Segment | undefined {
  const versionAndLength = frame.getUint8(ip);
  const isFragment = (frame.getUint16(ip + 6) & 0x3fff) !== 0;
  if (versionAndLength >> 4 !== 4 || isFragment || frame.getUint8(ip + 9) !== TCP) return undefined;
  // Segments that the sender's card was to cut have a length of 0: then the frame's own end counts.
  const total = frame.getUint16(ip + 2) || data.length - ip;
  const src = readIpv4(data, ip + 12);
  const dst = readIpv4(data, ip + 16);
  return fromTcp(frame, data, ip + (versionAndLength & 0xf) * 4, ip + total, src, dst);
}

const EXTENSIONS: readonly number[] = [0, 43, 60];

function fromIpv6(frame: DataView, data: Uint8Array, ip: number): Segment | undefined {
  const total = frame.getUint16(ip + 4) || data.length - ip - 40;
  let header = frame.getUint8(ip + 6);
  let at = ip + 40;
  while (EXTENSIONS.includes(header)) {
    header = frame.getUint8(at);
    at += (frame.getUint8(at + 1) + 1) * 8;
  }
  if (header !== TCP) return undefined;
  const src = `[${readIpv6(data, ip + 8)}]`;
  const dst = `[${readIpv6(data, ip + 24)}]`;
  return fromTcp(frame, data, at, ip + 40 + total, src, dst);
}

function fromTcp(
  frame: DataView,
  data: Uint8Array,
  tcp: number,
  end: number,
  src: string,
  dst: string,
): Segment | undefined {
  const flags = frame.getUint8(tcp + 13);
  const start = tcp + (frame.getUint8(tcp + 12) >> 4) * 4;
  if (start > end) return undefined;
  const payload = data.subarray(start, end);
  return {
    src: `${src}:${frame.getUint16(tcp)}`,
    dst: `${dst}:${frame.getUint16(tcp + 2)}`,
    seq: frame.getUint32(tcp + 4),
    fin: (flags & 0x01) !== 0,
    syn: (flags & 0x02) !== 0,
    rst: (flags & 0x04) !== 0,
    payload,
    missing: end - start - payload.length,
  };
}
