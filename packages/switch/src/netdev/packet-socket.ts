import type { Libc } from "./libc.js";

/** What is told of packet sockets (packet(7)) in more than one place. */

const AF_PACKET = 17;
const SOCK_RAW = 3 | 0x800 | 0x80000; // SOCK_NONBLOCK, SOCK_CLOEXEC
export const SOL_SOCKET = 1;
export const SO_SNDBUFFORCE = 32;
export const SOL_PACKET = 263;
export const PACKET_VERSION = 10;
export const PACKET_VNET_HDR = 15;
export const TPACKET_V2 = 1;
export const MSG_DONTWAIT = 0x40;

/** A socket that is not bound yet, and so receives nothing; -1 where there is none to be had. */
export const openPacketSocket = (libc: Libc): number => libc.socket(AF_PACKET, SOCK_RAW, 0);

/** Sets an option whose value is these words; whether the kernel takes it. */
export function setOption(
  libc: Libc,
  fd: number,
  level: number,
  option: number,
  ...words: number[]
): boolean {
  const value = new Uint8Array(Uint32Array.from(words).buffer);
  return libc.setsockopt(fd, level, option, value, value.length) === 0;
}

/** Binds a socket to a device; it receives what is of `protocol` (an EtherType; ETH_P_ALL; 0: nothing). Whether that
 *  went well. */
export function bindPacketSocket(libc: Libc, fd: number, protocol: number, ifindex: number): boolean {
  // struct sockaddr_ll: family, protocol in network order, ifindex.
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol, false);
  address.setInt32(4, ifindex, true);
  return libc.bind(fd, new Uint8Array(address.buffer), 20) === 0;
}
