import type { Libc } from "./libc.js";
import { HEADROOM, MAX_FRAME, Packet, VNET_HDR_SIZE } from "./packet.js";

/** Messages a burst. */
export const BURST = 32;
/** Bytes of struct mmsghdr on 64-bit Linux, and where its members lie, in 32-bit words. */
export const MMSG_WORDS = 16;
export const MSG_IOV = 4;
export const MSG_IOVLEN = 6;
export const MSG_CONTROL = 8;
export const MSG_CONTROLLEN = 10;
export const MSG_FLAGS = 12;
export const MSG_LEN = 14;
/** Room for the one control message of PACKET_AUXDATA: cmsghdr 16, tpacket_auxdata 20, rounded up. */
export const CONTROL_SIZE = 40;

/** Writes an address as two words. */
export function putAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address >>> 0;
  words[at + 1] = Math.floor(address / 0x1_0000_0000);
}

/** Buffers for one burst, and the mmsghdr array that receives into them. One ring serves all devices of a thread:
 *  a burst has been forwarded, and all that it made sent, before the next begins. */
export class RxRing {
  readonly packets: readonly Packet[];
  /** Where each packet's virtio_net_hdr goes. */
  readonly addresses: readonly number[];
  readonly messages: Uint32Array;
  readonly control: DataView;
  readonly messagesAddress: number;
  /** Kept from the collector: the messages point into it. */
  readonly #iov: Uint32Array;

  constructor(libc: Libc) {
    this.packets = Array.from({ length: BURST }, () => new Packet(HEADROOM + MAX_FRAME));
    this.addresses = this.packets.map((packet) => {
      packet.address = libc.addressOf(packet.buffer.buffer);
      return packet.address + HEADROOM - VNET_HDR_SIZE;
    });
    this.messages = new Uint32Array(new ArrayBuffer(BURST * MMSG_WORDS * 4));
    this.control = new DataView(new ArrayBuffer(BURST * CONTROL_SIZE));
    this.#iov = new Uint32Array(new ArrayBuffer(BURST * 16));
    this.messagesAddress = libc.addressOf(this.messages.buffer);
    const controlAddress = libc.addressOf(this.control.buffer);
    const iovAddress = libc.addressOf(this.#iov.buffer);
    for (let i = 0; i < BURST; i++) {
      putAddress(this.#iov, i * 4, this.addresses[i]!);
      this.#iov[i * 4 + 2] = VNET_HDR_SIZE + MAX_FRAME;
      putAddress(this.messages, i * MMSG_WORDS + MSG_IOV, iovAddress + i * 16);
      this.messages[i * MMSG_WORDS + MSG_IOVLEN] = 1;
      putAddress(this.messages, i * MMSG_WORDS + MSG_CONTROL, controlAddress + i * CONTROL_SIZE);
    }
  }
}
