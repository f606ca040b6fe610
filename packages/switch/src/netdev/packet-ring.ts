// Hot path: `status`, `load`, `release`. Nothing is allocated, nothing throws.

import type { Libc } from "./libc.js";
import { type Packet, readVnetHeader, VNET_HDR_SIZE } from "./packet.js";
import { PACKET_VERSION, SOL_PACKET, setOption, TPACKET_V2 } from "./packet-socket.js";

const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_RESERVE = 12;

/** A frame's status (tpacket2_hdr.tp_status): ours; longer than its place, and queued whole beside; its VLAN tag told. */
export const TP_STATUS_USER = 1;
export const TP_STATUS_COPY = 2;
export const TP_STATUS_VLAN_VALID = 0x10;
export const TP_STATUS_VLAN_TPID_VALID = 0x40;
const TP_STATUS_KERNEL = 0;

/** Bytes of a place: a frame of a 1500 byte MTU with what comes before it. */
const PLACE = 2048;
const PLACE_WORDS = PLACE / 4;
/** Places, a power of two: 4 MB a device and thread. With half as many a TCP stream without offloads loses packets. */
const PLACES = 2048;
const BLOCK = 1 << 16;
/** Bytes that the kernel leaves before a frame, for headers to be pushed into: so many that its virtio_net_hdr begins
 *  where two lines of the processor's cache do, and a short frame lies in these two. */
const RESERVE = 190;
/** struct tpacket2_hdr, and where its members lie, in words. */
const HEADER = 32;
const LEN = 1;
const SNAPLEN = 2;
const MAC_AND_NET = 3;
const VLAN = 6;

/** What a packet socket receives, in memory that the kernel writes and we read in place (packet(7), TPACKET_V2): no call
 *  and no copy for a packet. A frame that is too long for its place is marked there and read from the socket. */
export class PacketRing {
  readonly #libc: Libc;
  readonly #words: Int32Array;
  readonly bytes: Uint8Array;
  readonly address: number;
  /** The next place, counted on without end. */
  #at = 0;

  /** Of a socket with PACKET_VNET_HDR that is not bound yet; undefined where there is no memory for it. */
  static open(libc: Libc, fd: number): PacketRing | undefined {
    const set = (option: number, ...words: number[]): boolean =>
      setOption(libc, fd, SOL_PACKET, option, ...words);
    const size = PLACES * PLACE;
    if (
      !set(PACKET_VERSION, TPACKET_V2) ||
      !set(PACKET_RESERVE, RESERVE) ||
      !set(PACKET_COPY_THRESH, 1) ||
      // struct tpacket_req: the size and number of blocks, and of frames.
      !set(PACKET_RX_RING, BLOCK, size / BLOCK, PLACE, PLACES)
    )
      return undefined;
    const address = libc.mapShared(fd, size, 0);
    if (address !== undefined) return new PacketRing(libc, address);
    set(PACKET_RX_RING, 0, 0, 0, 0);
    return undefined;
  }

  private constructor(libc: Libc, address: number) {
    this.#libc = libc;
    this.address = address;
    const memory = libc.view(address, PLACES * PLACE);
    this.#words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
  }

  /** That of the frame `ahead` places on. */
  status(ahead: number): number {
    return Atomics.load(this.#words, ((this.#at + ahead) & (PLACES - 1)) * PLACE_WORDS);
  }

  /** Has a packet lie where that frame is. False when the frame was cut. */
  load(ahead: number, packet: Packet): boolean {
    const place = (this.#at + ahead) & (PLACES - 1);
    const words = this.#words;
    const at = place * PLACE_WORDS;
    const size = words[at + SNAPLEN]!;
    if (size !== words[at + LEN]!) return false;
    const start = place * PLACE + (words[at + MAC_AND_NET]! & 0xffff);
    packet.reset(start, start + size);
    packet.floor = place * PLACE + HEADER + VNET_HDR_SIZE;
    readVnetHeader(packet);
    return true;
  }

  /** Its VLAN tag: TCI, and the TPID above. */
  tag(ahead: number): number {
    return this.#words[((this.#at + ahead) & (PLACES - 1)) * PLACE_WORDS + VLAN]!;
  }

  /** Gives the first `count` places back to the kernel. */
  release(count: number): void {
    for (let i = 0; i < count; i++) {
      Atomics.store(this.#words, (this.#at & (PLACES - 1)) * PLACE_WORDS, TP_STATUS_KERNEL);
      this.#at = (this.#at + 1) | 0;
    }
  }

  close(): void {
    this.#libc.unmap(this.address, PLACES * PLACE);
  }
}
