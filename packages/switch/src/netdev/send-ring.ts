// Hot path: `put`, `flush`. Nothing is allocated, nothing throws.

import { ENETDOWN, type Libc } from "./libc.js";
import type { NetdevCounters } from "./netdev.js";
import { GSO_NONE, NEEDS_CSUM, type Packet, VNET_HDR_SIZE } from "./packet.js";
import {
  bindPacketSocket,
  MSG_DONTWAIT,
  openPacketSocket,
  PACKET_VERSION,
  PACKET_VNET_HDR,
  SO_SNDBUFFORCE,
  SOL_PACKET,
  SOL_SOCKET,
  setOption,
  TPACKET_V2,
} from "./packet-socket.js";

const PACKET_TX_RING = 13;

/** A place's status (tpacket2_hdr.tp_status): free; to be sent; and what the kernel will not send. */
const TP_STATUS_AVAILABLE = 0;
const TP_STATUS_SEND_REQUEST = 1;
const TP_STATUS_WRONG_FORMAT = 4;

/** Bytes of a place, and where in it (in words) the length and the frame's virtio_net_hdr lie. */
const PLACE = 512;
const PLACE_WORDS = PLACE / 4;
const LEN = 1;
const DATA = 8;
/** Places, a power of two; a block that holds all of them. */
const PLACES = 128;
const SIZE = PLACES * PLACE;
/** The longest frame that is worth to be copied once more: a call's share for it costs as much. */
const SHORT = 256;
const SEND_BUFFER = 1 << 20;

/** Short frames on their way out by a packet socket of their own, in memory that the kernel reads (packet(7),
 *  PACKET_TX_RING): one call sends many, and looks at no message for each. The kernel copies a frame whole, since its
 *  virtio_net_hdr says that its headers end with it: so nobody reads a place once its frame is sent. */
export class SendRing {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #address: number;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** The place after the last one that is filled, and how many before it wait to be sent. */
  #at = 0;
  pending = 0;
  #pendingBytes = 0;

  /** Of a device; undefined where there is no memory for it, or no such ring. */
  static open(libc: Libc, ifindex: number): SendRing | undefined {
    const fd = openPacketSocket(libc);
    if (fd < 0) return undefined;
    setOption(libc, fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
    if (
      setOption(libc, fd, SOL_PACKET, PACKET_VNET_HDR, 1) &&
      setOption(libc, fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2) &&
      // struct tpacket_req: the size and number of blocks, and of frames.
      setOption(libc, fd, SOL_PACKET, PACKET_TX_RING, SIZE, 1, PLACE, PLACES) &&
      bindPacketSocket(libc, fd, 0, ifindex)
    ) {
      const address = libc.mapShared(fd, SIZE, 0);
      if (address !== undefined) return new SendRing(libc, fd, address);
    }
    libc.close(fd);
    return undefined;
  }

  private constructor(libc: Libc, fd: number, address: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#address = address;
    const memory = libc.view(address, SIZE);
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  /** Takes a copy of a packet. False: it is too long, or no place is free. */
  put(packet: Packet): boolean {
    const { start, end, csumStart, buffer } = packet;
    const size = end - start;
    const words = this.#words;
    const at = (this.#at & (PLACES - 1)) * PLACE_WORDS;
    if (size > SHORT || packet.gsoType !== GSO_NONE || words[at] !== TP_STATUS_AVAILABLE) return false;
    const isPartial = csumStart !== 0;
    let to = at + DATA;
    // struct virtio_net_hdr with the frame's first two bytes.
    words[to++] = (isPartial ? NEEDS_CSUM : 0) | (size << 16);
    words[to++] = isPartial ? (csumStart - start) << 16 : 0;
    words[to++] = (isPartial ? packet.csumOffset : 0) | (buffer[start]! << 16) | (buffer[start + 1]! << 24);
    if (((start + 2) & 3) === 0) {
      const from = packet.words;
      for (let i = (start + 2) >>> 2, last = (end + 3) >>> 2; i < last; i++) words[to++] = from[i]!;
    } else {
      const bytes = this.#bytes;
      for (let i = start + 2, j = to * 4; i < end; i++) bytes[j++] = buffer[i]!;
    }
    words[at + LEN] = size + VNET_HDR_SIZE;
    // The kernel looks at it in a call of this thread.
    words[at] = TP_STATUS_SEND_REQUEST;
    this.#at = (this.#at + 1) | 0;
    this.pending++;
    this.#pendingBytes += size;
    return true;
  }

  /** Sends what waits, and counts it. What there is no room for, or nobody to take it, is gone. */
  flush(stats: NetdevCounters): void {
    const words = this.#words;
    // That the device was down is told by the next call, when it may be up again.
    if (this.#send() < 0 && this.#libc.errno() === ENETDOWN) this.#send();
    // The kernel takes them in order, and goes on where it stopped; so do we.
    for (; this.pending > 0; this.pending--) {
      const at = ((this.#at - 1) & (PLACES - 1)) * PLACE_WORDS;
      const status = words[at];
      if (status !== TP_STATUS_SEND_REQUEST && status !== TP_STATUS_WRONG_FORMAT) break;
      if (status === TP_STATUS_WRONG_FORMAT) stats.tx_errors++;
      else stats.tx_dropped++;
      this.#pendingBytes -= words[at + LEN]! - VNET_HDR_SIZE;
      words[at] = TP_STATUS_AVAILABLE;
      this.#at = (this.#at - 1) | 0;
    }
    stats.tx_packets += this.pending;
    stats.tx_bytes += this.#pendingBytes;
    this.pending = 0;
    this.#pendingBytes = 0;
  }

  #send(): number {
    return this.#libc.sendto(this.#fd, 0, 0, MSG_DONTWAIT, 0, 0);
  }

  close(): void {
    this.#libc.unmap(this.#address, SIZE);
    this.#libc.close(this.#fd);
  }
}
