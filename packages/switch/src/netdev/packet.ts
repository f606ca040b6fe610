// Hot path. A packet is one object per buffer, used again and again; nothing is allocated while it travels.

/** VIRTIO_NET_HDR_GSO_* (virtio 1.2 §5.1.6). */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** Bytes of struct virtio_net_hdr. */
export const VNET_HDR_SIZE = 10;
/** Bytes before a frame that pushed headers (and virtio_net_hdr) may grow into. */
export const HEADROOM = 128;
/** The longest frame: a super-frame of 64 KB with its Ethernet header and tags. */
export const MAX_FRAME = 65_536 + 64;

/** A frame in [start, end) of `buffer`, and what a network card would still have to do with it. Offsets are into
 *  the buffer, so that pushing and popping headers in front does not move them. */
export class Packet {
  readonly buffer: Uint8Array;
  /** The same bytes. */
  readonly view: DataView;
  readonly words: Int32Array;
  /** Where the buffer lies in memory, for devices that hand it to the kernel; 0: nobody asked yet. */
  address = 0;
  start = 0;
  end = 0;
  /** Where `start` may move to at most, as headers are pushed. */
  floor = VNET_HDR_SIZE;
  /** Where the range of an unfinished checksum begins; 0: the checksum is finished. The field holds the sum of the
   *  pseudo-header, not inverted. */
  csumStart = 0;
  /** Where that checksum lies, from csumStart. */
  csumOffset = 0;
  gsoType = GSO_NONE;
  /** Payload bytes of a segment of a super-frame. */
  gsoSize = 0;
  /** End of the headers of a super-frame. */
  hdrEnd = 0;
  /** Counts the ports that were handed this packet to send later: it must not change until they flush. */
  held = 0;

  /** `memory`: bytes for a buffer of its own, or a larger buffer that it lies in, and that one's address. */
  constructor(memory: number | Uint8Array = HEADROOM + MAX_FRAME, address = 0) {
    this.buffer = typeof memory === "number" ? new Uint8Array(new ArrayBuffer(memory)) : memory;
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength);
    this.words = new Int32Array(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength >>> 2);
    this.address = address;
  }

  /** Takes a copy of a whole frame with finished checksums. False when it is too long. */
  load(frame: Uint8Array): boolean {
    if (frame.length > this.buffer.length - HEADROOM) return false;
    this.buffer.set(frame, HEADROOM);
    this.reset(HEADROOM, HEADROOM + frame.length);
    return true;
  }

  /** Takes a copy of another packet. */
  copyFrom(other: Packet): void {
    const size = other.end - other.start;
    const start = HEADROOM;
    const shift = start - other.start;
    this.buffer.set(other.buffer.subarray(other.start, other.end), start);
    this.reset(start, start + size);
    this.csumStart = other.csumStart === 0 ? 0 : other.csumStart + shift;
    this.csumOffset = other.csumOffset;
    this.gsoType = other.gsoType;
    this.gsoSize = other.gsoSize;
    this.hdrEnd = other.hdrEnd + shift;
  }

  reset(start: number, end: number): void {
    this.start = start;
    this.end = end;
    this.csumStart = 0;
    this.csumOffset = 0;
    this.gsoType = GSO_NONE;
    this.gsoSize = 0;
    this.hdrEnd = 0;
    this.held = 0;
  }

  get size(): number {
    return this.end - this.start;
  }

  /** A copy of the frame. */
  frame(): Uint8Array {
    return this.buffer.slice(this.start, this.end);
  }
}
/** VIRTIO_NET_HDR_F_NEEDS_CSUM. */
export const NEEDS_CSUM = 1;

/** Reads the virtio_net_hdr (little endian) that lies before `packet.start`. Senseless offsets are dropped. */
export function readVnetHeader(packet: Packet): void {
  const b = packet.buffer;
  const at = packet.start - VNET_HDR_SIZE;
  const size = packet.end - packet.start;
  const csumStart = b[at + 6]! | (b[at + 7]! << 8);
  const csumOffset = b[at + 8]! | (b[at + 9]! << 8);
  if ((b[at]! & NEEDS_CSUM) !== 0 && csumStart >= 14 && csumStart + csumOffset + 2 <= size) {
    packet.csumStart = packet.start + csumStart;
    packet.csumOffset = csumOffset;
  } else packet.csumStart = 0;
  const gsoSize = b[at + 4]! | (b[at + 5]! << 8);
  packet.gsoType = gsoSize === 0 ? GSO_NONE : b[at + 1]!;
  packet.gsoSize = packet.gsoType === GSO_NONE ? 0 : gsoSize;
  packet.hdrEnd = packet.gsoType === GSO_NONE ? 0 : endOfHeaders(packet, b[at + 2]! | (b[at + 3]! << 8));
}

/** Where the headers of a super-frame end. hdr_len is no more than a hint: what the kernel tells is how much of the frame
 *  it has in one piece, and of a short super-frame that is all (packet(7) sends such, and so do other switches). */
function endOfHeaders(packet: Packet, hint: number): number {
  const { buffer: b, csumStart, gsoType, end } = packet;
  if (csumStart === 0) return packet.start + hint;
  const isUdp = (gsoType & ~GSO_ECN) === GSO_UDP_L4;
  return Math.min(end, csumStart + (isUdp ? 8 : (b[csumStart + 12]! >>> 4) << 2));
}

/** Writes the virtio_net_hdr into the headroom before `packet.start`. */
export function writeVnetHeader(packet: Packet): void {
  const b = packet.buffer;
  const at = packet.start - VNET_HDR_SIZE;
  const partial = packet.csumStart !== 0;
  const hdrLen = packet.gsoType === GSO_NONE ? 0 : packet.hdrEnd - packet.start;
  const csumStart = partial ? packet.csumStart - packet.start : 0;
  b[at] = partial ? NEEDS_CSUM : 0;
  b[at + 1] = packet.gsoType;
  b[at + 2] = hdrLen;
  b[at + 3] = hdrLen >>> 8;
  b[at + 4] = packet.gsoSize;
  b[at + 5] = packet.gsoSize >>> 8;
  b[at + 6] = csumStart;
  b[at + 7] = csumStart >>> 8;
  b[at + 8] = partial ? packet.csumOffset : 0;
  b[at + 9] = 0;
}
