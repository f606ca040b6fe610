import { deviceError, type Libc } from "./libc.js";

/** The little of bpf(2) that AF_XDP needs: a map of sockets, and a program that gives them a device's packets. */

const BPF_MAP_CREATE = 0;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_MAP_TYPE_XSKMAP = 17;
const BPF_PROG_TYPE_XDP = 6;
const BPF_ATTACH_XDP = 37;
const XDP_PASS = 2;
const REDIRECT_MAP = 51;
const RX_QUEUE_INDEX = 16;
const ATTR_SIZE = 128;
const NEEDS = "CAP_BPF and CAP_NET_ADMIN";

/** How the program is attached: XDP_FLAGS_*. */
export const XDP_FLAGS_SKB_MODE = 2;
export const XDP_FLAGS_DRV_MODE = 4;

/** bpf(2) with an attribute that `fill` writes. Throws an Error of one line. */
function bpf(
  libc: Libc,
  device: string,
  command: number,
  what: string,
  fill: (attr: DataView) => void,
): number {
  const attr = new DataView(new ArrayBuffer(ATTR_SIZE));
  fill(attr);
  const result = libc.bpf(command, libc.addressOf(attr.buffer), ATTR_SIZE);
  if (result < 0) throw deviceError(device, what, libc.errno(), NEEDS);
  return result;
}

/** A map from a device's receive queues to sockets. Gives its descriptor. */
export const createSocketMap = (libc: Libc, device: string, queues: number): number =>
  bpf(libc, device, BPF_MAP_CREATE, "cannot make an XSKMAP", (attr) => {
    attr.setUint32(0, BPF_MAP_TYPE_XSKMAP, true);
    attr.setUint32(4, 4, true);
    attr.setUint32(8, 4, true);
    attr.setUint32(12, queues, true);
  });

export function setSocket(libc: Libc, device: string, map: number, queue: number, socket: number): void {
  const key = Uint32Array.of(queue);
  const value = Uint32Array.of(socket);
  bpf(libc, device, BPF_MAP_UPDATE_ELEM, "cannot enter the socket into the XSKMAP", (attr) => {
    attr.setUint32(0, map, true);
    attr.setBigUint64(8, BigInt(libc.addressOf(key.buffer)), true);
    attr.setBigUint64(16, BigInt(libc.addressOf(value.buffer)), true);
  });
}

/** Loads `return bpf_redirect_map(map, ctx->rx_queue_index, XDP_PASS)` (RFC 9669). Gives its descriptor. */
export function loadRedirect(libc: Libc, device: string, map: number): number {
  const program = new DataView(new ArrayBuffer(6 * 8));
  const instructions: readonly (readonly [code: number, registers: number, offset: number, imm: number])[] = [
    [0x61, 0x12, RX_QUEUE_INDEX, 0], // r2 = *(u32 *)(r1 + 16)
    [0x18, 0x11, 0, map], // r1 = map, in two
    [0, 0, 0, 0],
    [0xb7, 0x03, 0, XDP_PASS], // r3 = XDP_PASS
    [0x85, 0, 0, REDIRECT_MAP], // call
    [0x95, 0, 0, 0], // exit
  ];
  instructions.forEach(([code, registers, offset, imm], i) => {
    program.setUint8(i * 8, code);
    program.setUint8(i * 8 + 1, registers);
    program.setInt16(i * 8 + 2, offset, true);
    program.setInt32(i * 8 + 4, imm, true);
  });
  const license = new TextEncoder().encode("Dual MIT/GPL\0").slice();
  return bpf(libc, device, BPF_PROG_LOAD, "cannot load the XDP program", (attr) => {
    attr.setUint32(0, BPF_PROG_TYPE_XDP, true);
    attr.setUint32(4, instructions.length, true);
    attr.setBigUint64(8, BigInt(libc.addressOf(program.buffer)), true);
    attr.setBigUint64(16, BigInt(libc.addressOf(license.buffer)), true);
  });
}

/** Attaches an XDP program to a device for as long as the descriptor given is open. */
export const attachXdp = (
  libc: Libc,
  device: string,
  ifindex: number,
  program: number,
  flags: number,
): number =>
  bpf(libc, device, BPF_LINK_CREATE, "cannot attach the XDP program", (attr) => {
    attr.setUint32(0, program, true);
    attr.setUint32(4, ifindex, true);
    attr.setUint32(8, BPF_ATTACH_XDP, true);
    attr.setUint32(12, flags, true);
  });
