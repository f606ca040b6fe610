// Hot path. Nothing is allocated (but small closures where a packet is copied or cut up), nothing throws.

import { LANE_RECIRC_ID } from "../../../flow/lanes.js";
import { GSO_NONE, Packet } from "../../../netdev/packet.js";
import type { DatapathCounters, Port } from "../port.js";
import { adjustChecksum, finishChecksum } from "./checksum.js";
import { Context } from "./context.js";
import { forEachFragment } from "./fragment.js";
import { copyTtlIn, copyTtlOut, popMpls, popPbb, popVlan, pushMpls, pushPbb, pushVlan } from "./headers.js";
import { DROP, type Meter, PASS } from "./meter.js";
import { type Op, OpCode } from "./ops.js";
import { forEachSegment, isTunnelled } from "./segment.js";
import { applyWrite } from "./set-field.js";
import type { Shaper } from "./shaper.js";

/** Copies within copies (clone, sample, recirc in the middle of a list, segments). */
const MAX_DEPTH = 12;
const MAX_RECIRCS = 16;
const ETHERNET = 14;
const TAG = 4;

/** What the executor hands back to the datapath. */
export interface ExecutorHost {
  /** Looks the packet up and carries out what is found. Its key and layers are fresh. */
  forward(ctx: Context): void;
  /** Sends a copy to the slow path. Its key is fresh. */
  upcallAction(ctx: Context, cookie: number, maxLen: number): void;
  readonly counters: DatapathCounters;
  /** How many VLAN tags keys tell of. */
  readonly tags: number;
  /** Clock ms of this burst. */
  readonly now: number;
}

/** Carries out lists of actions on packets, and hands the results to ports. */
export class Executor {
  readonly meters = new Map<number, Meter>();
  readonly #host: ExecutorHost;
  readonly #ports: (Port | undefined)[];
  readonly #dirty: Port[] = [];
  #dirtyCount = 0;
  readonly #children: Context[] = [];
  readonly #scratch = new Packet();
  #depth = 0;
  #random = 0x2545_f491;

  constructor(host: ExecutorHost, ports: (Port | undefined)[]) {
    this.#host = host;
    this.#ports = ports;
  }

  /** Sends what ports hold. After it no packet is held. */
  flush(): void {
    const dirty = this.#dirty;
    const count = this.#dirtyCount;
    this.#dirtyCount = 0;
    this.#host.counters.output_batches += count;
    for (let i = 0; i < count; i++) {
      dirty[i]!.dirty = false;
      dirty[i]!.netdev.flush();
    }
  }

  run(ctx: Context, ops: readonly Op[], from = 0): void {
    for (let i = from; i < ops.length; i++) {
      const op = ops[i]!;
      switch (op.code) {
        case OpCode.Output:
          this.#output(ctx, op.a);
          break;
        case OpCode.Write:
          this.#prepare(ctx);
          applyWrite(ctx, op.write!);
          break;
        case OpCode.PushVlan:
          this.#prepare(ctx);
          if (!pushVlan(ctx, op.a, op.b)) {
            this.#host.counters.drop_no_headroom++;
            return;
          }
          break;
        case OpCode.PopVlan:
          this.#prepare(ctx);
          popVlan(ctx);
          break;
        case OpCode.PushMpls:
        case OpCode.PushPbb:
          // No card finishes checksums or cuts segments behind these headers: it is done before.
          if (ctx.packet.gsoType !== GSO_NONE) {
            this.#runOnSegments(ctx, ops, i);
            return;
          }
          this.#prepare(ctx);
          finishChecksum(ctx.packet);
          if (!(op.code === OpCode.PushMpls ? pushMpls : pushPbb)(ctx, op.a, op.b)) {
            this.#host.counters.drop_no_headroom++;
            return;
          }
          break;
        case OpCode.PopMpls:
          this.#prepare(ctx);
          popMpls(ctx, op.a);
          break;
        case OpCode.CopyTtlOut:
          this.#prepare(ctx);
          copyTtlOut(ctx);
          break;
        case OpCode.CopyTtlIn:
          this.#prepare(ctx);
          copyTtlIn(ctx);
          break;
        case OpCode.PopPbb:
          this.#prepare(ctx);
          popPbb(ctx);
          break;
        case OpCode.Userspace:
          this.#userspace(ctx, op);
          break;
        case OpCode.Meter:
          if (!this.#passesMeter(ctx, op.a)) return;
          break;
        case OpCode.SetQueue:
          ctx.queue = op.a;
          break;
        case OpCode.Clone:
          this.#runOnCopy(ctx, op.ops);
          break;
        case OpCode.Sample:
          if (this.#nextRandom() <= op.a) this.#runOnCopy(ctx, op.ops);
          break;
        case OpCode.CheckPktLen:
          if (sentSize(ctx) > op.a) {
            this.run(ctx, op.ops);
            return;
          }
          break;
        case OpCode.Recirc:
          if (i === ops.length - 1) this.#recirculate(ctx, op.a);
          else this.#recirculateCopy(ctx, op.a);
          break;
        case OpCode.Trunc:
          ctx.cut = op.a;
          break;
      }
    }
  }

  /** Makes a packet fit to be changed: sent where it waits, its layers known. */
  #prepare(ctx: Context): void {
    if (ctx.packet.held !== 0) {
      this.flush();
      ctx.packet.held = 0;
    }
    if (!ctx.layersFresh) ctx.extract();
  }

  #output(ctx: Context, odpPort: number): void {
    const port = this.#ports[odpPort];
    if (!port) {
      this.#host.counters.drop_no_port++;
      return;
    }
    let packet = ctx.packet;
    if (ctx.cut !== 0) packet = this.#truncated(ctx);
    if (packet.gsoType === GSO_NONE) {
      if (packet.end - packet.start - ETHERNET > port.mtu && isOversize(packet, packet.end, port.mtu)) {
        if (packet !== ctx.packet || !ctx.isDatagram || !this.#sendFragments(ctx, port)) this.#oversize(port);
        return;
      }
      if (packet.csumStart !== 0 && !port.netdev.takesOffload) {
        this.#prepare(ctx);
        finishChecksum(packet);
      }
      this.#send(port, packet, ctx.queue);
      return;
    }
    if (isOversize(packet, packet.hdrEnd + packet.gsoSize, port.mtu)) {
      this.#oversize(port);
      return;
    }
    if (!ctx.layersFresh) ctx.extract();
    if (port.netdev.takesOffload && !isTunnelled(packet, ctx.layers)) this.#send(port, packet, ctx.queue);
    else this.#sendSegments(ctx, port);
  }

  #oversize(port: Port): void {
    port.netdev.stats.tx_dropped++;
    this.#host.counters.drop_oversize++;
  }

  #send(port: Port, packet: Packet, queue: number): void {
    const { shaper } = port;
    if (shaper !== undefined && !shaper.admits(queue, packet.size, this.#host.now)) {
      if (!shaper.hold(queue, packet)) port.netdev.stats.tx_dropped++;
      return;
    }
    this.#hand(port, packet);
  }

  #hand(port: Port, packet: Packet): void {
    port.netdev.send(packet);
    this.#host.counters.output_packets++;
    if (!port.dirty) {
      port.dirty = true;
      this.#dirty[this.#dirtyCount++] = port;
    }
  }

  /** Sends what has waited in a port's queues and may go by now; all of it where the port has queues no more. */
  serve(port: Port, shaper: Shaper): void {
    const scratch = this.#scratch;
    const send = (packet: Packet): void => {
      this.#hand(port, packet);
      // The next one is loaded into the same buffer.
      if (packet.held !== 0) {
        port.netdev.flush();
        packet.held = 0;
      }
    };
    if (scratch.held !== 0) this.flush();
    if (port.shaper === undefined) shaper.release(scratch, send);
    else shaper.serve(this.#host.now, scratch, send);
  }

  #sendSegments(ctx: Context, port: Port): void {
    if (!ctx.layersFresh) ctx.extract();
    const done = this.#withChild((child) =>
      forEachSegment(ctx.packet, ctx.layers, child.packet, (segment) => {
        this.#host.counters.segmented++;
        this.#send(port, segment, ctx.queue);
        if (segment.held !== 0) port.netdev.flush();
      }),
    );
    if (!done) this.#host.counters.drop_bad_offload++;
  }

  /** False: it cannot be cut. */
  #sendFragments(ctx: Context, port: Port): boolean {
    this.#prepare(ctx);
    finishChecksum(ctx.packet);
    return this.#withChild((child) =>
      forEachFragment(ctx.packet, ctx.layers, port.mtu, child.packet, (fragment) => {
        this.#host.counters.fragmented++;
        this.#send(port, fragment, ctx.queue);
        if (fragment.held !== 0) port.netdev.flush();
      }),
    );
  }

  /** A cut copy of the packet, with finished checksums. */
  #truncated(ctx: Context): Packet {
    const scratch = this.#scratch;
    if (scratch.held !== 0) this.flush();
    scratch.copyFrom(ctx.packet);
    finishChecksum(scratch);
    scratch.gsoType = GSO_NONE;
    scratch.end = Math.min(scratch.end, scratch.start + ctx.cut);
    ctx.cut = 0;
    return scratch;
  }

  #userspace(ctx: Context, op: Op): void {
    const maxLen = ctx.cut !== 0 ? Math.min(ctx.cut, op.b) : op.b;
    ctx.cut = 0;
    if (ctx.packet.gsoType !== GSO_NONE) {
      this.#eachSegment(ctx, (child) => this.#host.upcallAction(child, op.a, maxLen));
      return;
    }
    if (ctx.packet.csumStart !== 0) {
      this.#prepare(ctx);
      finishChecksum(ctx.packet);
    }
    ctx.freshen(this.#host.tags);
    this.#host.upcallAction(ctx, op.a, maxLen);
  }

  #passesMeter(ctx: Context, meterId: number): boolean {
    const meter = this.meters.get(meterId);
    if (!meter) return true;
    const verdict = meter.run(ctx.packet.size, this.#host.now);
    if (verdict === PASS) return true;
    if (verdict === DROP) {
      this.#host.counters.drop_meter++;
      return false;
    }
    this.#prepare(ctx);
    raiseDropPrecedence(ctx, verdict);
    return true;
  }

  #recirculate(ctx: Context, id: number): void {
    if (ctx.recircs >= MAX_RECIRCS) {
      this.#host.counters.drop_too_deep++;
      return;
    }
    ctx.recircs++;
    this.#host.counters.recirculations++;
    ctx.key[LANE_RECIRC_ID] = id;
    ctx.freshen(this.#host.tags);
    this.#host.forward(ctx);
  }

  #recirculateCopy(ctx: Context, id: number): void {
    this.#withCopy(ctx, (child) => this.#recirculate(child, id));
  }

  #runOnCopy(ctx: Context, ops: readonly Op[]): void {
    this.#withCopy(ctx, (child) => this.run(child, ops));
  }

  #runOnSegments(ctx: Context, ops: readonly Op[], from: number): void {
    this.#eachSegment(ctx, (child) => this.run(child, ops, from));
  }

  #withCopy(ctx: Context, body: (child: Context) => void): void {
    this.#withChild((child) => {
      child.packet.copyFrom(ctx.packet);
      child.inherit(ctx, child.packet);
      body(child);
      return true;
    });
  }

  #eachSegment(ctx: Context, body: (child: Context) => void): void {
    if (!ctx.layersFresh) ctx.extract();
    const done = this.#withChild((child) =>
      forEachSegment(ctx.packet, ctx.layers, child.packet, (segment) => {
        this.#host.counters.segmented++;
        child.inherit(ctx, segment);
        body(child);
        if (segment.held !== 0) this.flush();
      }),
    );
    if (!done) this.#host.counters.drop_bad_offload++;
  }

  /** Lends the context and packet of the next depth. */
  #withChild(body: (child: Context) => boolean): boolean {
    if (this.#depth >= MAX_DEPTH) {
      this.#host.counters.drop_too_deep++;
      return true;
    }
    let child = this.#children[this.#depth];
    if (!child) {
      child = new Context(new Packet());
      this.#children.push(child);
    }
    this.#depth++;
    const done = body(child);
    this.#depth--;
    // The next to borrow it overwrites the packet.
    if (child.packet.held !== 0) {
      this.flush();
      child.packet.held = 0;
    }
    return done;
  }

  #nextRandom(): number {
    // xorshift32: seeded alike in every run, so that the lab's runs are the same.
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}

/** Bytes of the frame that an output would send, or of a super-frame's segments. */
function sentSize({ packet, cut }: Context): number {
  const size = packet.gsoType === GSO_NONE ? packet.size : packet.hdrEnd + packet.gsoSize - packet.start;
  return cut === 0 ? size : Math.min(cut, size);
}

/** Whether a frame (or a super-frame's segment) that ends at `end` is longer than the MTU allows; up to two VLAN tags
 *  are not counted. */
function isOversize(packet: Packet, end: number, mtu: number): boolean {
  const b = packet.buffer;
  let payload = packet.start + ETHERNET;
  for (let i = 0; i < 2; i++) {
    const type = (b[payload - 2]! << 8) | b[payload - 1]!;
    if (type !== 0x8100 && type !== 0x88a8) break;
    payload += TAG;
  }
  return end - payload > mtu;
}

/** Raises the drop precedence of an assured-forwarding DSCP (RFC 2597) by `levels`, at most to 3. */
function raiseDropPrecedence(ctx: Context, levels: number): void {
  const { l3 } = ctx.layers;
  const b = ctx.packet.buffer;
  const type = ctx.ethType;
  if (l3 === 0 || (type !== 0x0800 && type !== 0x86dd)) return;
  const isV4 = type === 0x0800;
  const tos = isV4 ? b[l3 + 1]! : ((b[l3]! << 4) | (b[l3 + 1]! >>> 4)) & 0xff;
  const dscp = tos >>> 2;
  const precedence = (dscp >>> 1) & 3;
  // Only classes 1 to 4 with a precedence are assured forwarding.
  if (dscp >>> 3 === 0 || dscp >>> 3 > 4 || precedence === 0 || (dscp & 1) !== 0) return;
  const raised = (dscp & ~6) | (Math.min(3, precedence + levels) << 1);
  writeTos(ctx, isV4, (raised << 2) | (tos & 3), tos);
}

function writeTos(ctx: Context, isV4: boolean, tos: number, old: number): void {
  const { l3 } = ctx.layers;
  const b = ctx.packet.buffer;
  ctx.keyFresh = false;
  if (isV4) {
    const checksum = adjustChecksum((b[l3 + 10]! << 8) | b[l3 + 11]!, tos - old);
    b[l3 + 1] = tos;
    b[l3 + 10] = checksum >>> 8;
    b[l3 + 11] = checksum;
    return;
  }
  b[l3] = 0x60 | (tos >>> 4);
  b[l3 + 1] = ((tos & 15) << 4) | (b[l3 + 1]! & 15);
}
