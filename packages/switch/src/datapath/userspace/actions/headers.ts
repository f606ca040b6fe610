// Hot path. Nothing is allocated, nothing throws. Headers are pushed into the headroom and popped by moving the
// start, so that everything behind them stays where it is. All need fresh layers and a packet that is not held.

import { ETH_MPLS, ETH_MPLS_MC, ETH_PBB } from "../../../flow/extract.js";
import { adjustChecksum } from "./checksum.js";
import type { Context } from "./context.js";
import { hasTag } from "./set-field.js";

const MAC_BYTES = 12;
/** A backbone header that is pushed: new Ethernet header (its EtherType 0x88e7) and I-TAG. */
const PBB_PUSH = 18;
/** The I-TAG's customer addresses lie where the old Ethernet header's are: 4 bytes of it come before them. */
const ITAG_BYTES = 4;

/** Moves the packet's start back by `size` bytes, and its two MAC addresses along. False: no room. */
function grow(ctx: Context, size: number): boolean {
  const { packet } = ctx;
  const start = packet.start - size;
  if (start < packet.floor) return false;
  const b = packet.buffer;
  for (let i = 0; i < MAC_BYTES; i++) b[start + i] = b[packet.start + i]!;
  packet.start = start;
  return true;
}

/** Removes `size` bytes after the two MAC addresses. */
function shrink(ctx: Context, size: number): void {
  const { packet } = ctx;
  const b = packet.buffer;
  for (let i = MAC_BYTES - 1; i >= 0; i--) b[packet.start + size + i] = b[packet.start + i]!;
  packet.start += size;
}

function changed(ctx: Context): void {
  ctx.layersFresh = false;
  ctx.keyFresh = false;
}

function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

function putU32(b: Uint8Array, at: number, value: number): void {
  putU16(b, at, value >>> 16);
  putU16(b, at + 2, value);
}

export function pushVlan(ctx: Context, tpid: number, tci: number): boolean {
  if (!grow(ctx, 4)) return false;
  const { packet } = ctx;
  putU16(packet.buffer, packet.start + 12, tpid);
  putU16(packet.buffer, packet.start + 14, tci);
  changed(ctx);
  return true;
}

export function popVlan(ctx: Context): void {
  if (!hasTag(ctx)) return;
  shrink(ctx, 4);
  changed(ctx);
}

/** Pushes a label between the VLAN tags and what follows them. */
export function pushMpls(ctx: Context, ethertype: number, lse: number): boolean {
  const { packet, layers } = ctx;
  const b = packet.buffer;
  const front = layers.payload - packet.start;
  if (layers.ethType === 0 || packet.start - 4 < packet.floor) return false;
  b.copyWithin(packet.start - 4, packet.start, packet.start + front);
  packet.start -= 4;
  putU32(b, layers.payload - 4, lse);
  putU16(b, layers.ethType - 4, ethertype);
  changed(ctx);
  return true;
}

/** Pops the outermost label; what follows is `ethertype`. */
export function popMpls(ctx: Context, ethertype: number): void {
  const { packet, layers } = ctx;
  const type = ctx.ethType;
  if ((type !== ETH_MPLS && type !== ETH_MPLS_MC) || packet.end - layers.payload < 4) return;
  const front = layers.payload - packet.start;
  packet.buffer.copyWithin(packet.start + 4, packet.start, packet.start + front);
  packet.start += 4;
  putU16(packet.buffer, layers.ethType + 4, ethertype);
  changed(ctx);
}

/** Where the TTL lies that the outermost label's is copied from or to: in the next label, or in the IP header that the
 *  last label covers. 0: the packet has no such. */
function innerTtl(ctx: Context): number {
  const { packet, layers } = ctx;
  const type = ctx.ethType;
  const label = layers.payload;
  const inner = label + 4;
  if ((type !== ETH_MPLS && type !== ETH_MPLS_MC) || packet.end - inner < 4) return 0;
  const b = packet.buffer;
  if ((b[label + 2]! & 1) === 0) return inner + 3;
  const version = b[inner]! >>> 4;
  if (version === 4 && packet.end - inner >= 20) return inner + 8;
  return version === 6 && packet.end - inner >= 40 ? inner + 7 : 0;
}

/** Copies the TTL under the outermost label into it (OpenFlow 1.3.5 §5.12). */
export function copyTtlOut(ctx: Context): void {
  const at = innerTtl(ctx);
  if (at === 0) return;
  const b = ctx.packet.buffer;
  b[ctx.layers.payload + 3] = b[at]!;
  ctx.keyFresh = false;
}

/** Copies the TTL of the outermost label to what is under it. The key does not tell of that. */
export function copyTtlIn(ctx: Context): void {
  const at = innerTtl(ctx);
  if (at === 0) return;
  const b = ctx.packet.buffer;
  const { payload } = ctx.layers;
  const ttl = b[payload + 3]!;
  const inner = payload + 4;
  if (at === inner + 8) {
    const delta = (ttl - b[at]!) << 8;
    putU16(b, inner + 10, adjustChecksum((b[inner + 10]! << 8) | b[inner + 11]!, delta));
  }
  b[at] = ttl;
}

/** Puts a backbone header in front: the frame's own MAC addresses, `ethertype`, and the I-TAG `itag`; the whole
 *  frame follows it as the customer's (OpenFlow 1.3.5 §5.12). */
export function pushPbb(ctx: Context, ethertype: number, itag: number): boolean {
  if (!grow(ctx, PBB_PUSH)) return false;
  const { packet } = ctx;
  putU16(packet.buffer, packet.start + 12, ethertype);
  putU32(packet.buffer, packet.start + 14, itag);
  changed(ctx);
  return true;
}

/** Takes the backbone header off: the customer's frame is left. */
export function popPbb(ctx: Context): void {
  const { packet, layers } = ctx;
  if (ctx.ethType !== ETH_PBB || packet.end - layers.payload < ITAG_BYTES + 14) return;
  packet.start = layers.payload + ITAG_BYTES;
  changed(ctx);
}
