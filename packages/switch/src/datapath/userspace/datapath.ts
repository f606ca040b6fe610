// Hot path: `receive` and `forward`. Nothing is allocated but for upcalls, nothing throws.

import type { OdpAction } from "../../dpif/actions.js";
import {
  DATAGRAM,
  type DpFlow,
  type FlowStatsDelta,
  type MeterConfig,
  type MeterStats,
  type Offload,
  type QueueStats,
  type QueuesConfig,
  type Upcall,
} from "../../dpif/dpif.js";
import type { FlowKey } from "../../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID, LANE_TCI2_FLAGS, LANES_IPV4 } from "../../flow/lanes.js";
import type { Netdev } from "../../netdev/netdev.js";
import { GSO_NONE, Packet } from "../../netdev/packet.js";
import { finishChecksum } from "./checksum.js";
import { Context } from "./context.js";
import { Emc, hashKey } from "./emc.js";
import { Executor, type ExecutorHost } from "./executor.js";
import { Megaflows } from "./megaflow.js";
import { Meter } from "./meter.js";
import { compileActions } from "./ops.js";
import { DatapathCounters, Port } from "./port.js";
import { Shaper } from "./shaper.js";
import { STAGES, Stage, Stages } from "./stages.js";

/** Where the datapath lives: this thread's event loop, or a worker. */
export interface DatapathHost {
  /** Clock ms. */
  now(): number;
  /** Whether the slow path has room for an upcall from this port. */
  hasRoom(odpPort: number): boolean;
  upcall(upcall: Upcall): void;
}

const EMC_PLACES = 8192;
/** Words of an entry: 3 and the lanes. */
const EMC_STRIDE = 16;
const EMC_WIDE_STRIDE = 36;
/** Packets of the slow path that go out together. */
const MAX_EXECUTING = 32;
const MAX_FLOWS = 1 << 20;
const SCTP_CSUM_OFFSET = 8;

/** The datapath itself: ports, caches, megaflows. It knows no thread and no clock of its own. */
export class Datapath implements ExecutorHost {
  readonly counters = new DatapathCounters();
  /** Clock ms of this burst. */
  now: number;
  readonly #host: DatapathHost;
  readonly #ports: (Port | undefined)[] = [];
  /** Ports with queues. */
  #shaped: Port[] = [];
  readonly #flows: Megaflows;
  readonly #emc = new Emc(EMC_PLACES, EMC_STRIDE);
  /** For keys that are longer: ARP, MPLS, IPv6. */
  readonly #wideEmc = new Emc(EMC_PLACES, EMC_WIDE_STRIDE);
  readonly #executor: Executor;
  readonly #stages: Stages;
  /** What packets of the slow path are in, and how many of them ports hold. */
  readonly #executePackets = [new Packet()];
  #executing = 0;
  readonly #ctx = new Context(this.#executePackets[0]!);

  constructor(host: DatapathHost, maxFlows = MAX_FLOWS) {
    this.#host = host;
    this.now = host.now();
    this.#stages = new Stages(() => host.now());
    this.#flows = new Megaflows(maxFlows);
    this.#executor = new Executor(this, this.#ports);
  }

  /** Adds a device under a number of the caller's choice. */
  addPort(odpPort: number, netdev: Netdev): void {
    const port = new Port(odpPort, netdev);
    // A device that came back has the queues that it had.
    port.shaper = this.#ports[odpPort]?.shaper;
    this.#ports[odpPort] = port;
    this.#shaped = this.#shaped.map((other) => (other.odpPort === odpPort ? port : other));
  }

  removePort(odpPort: number): void {
    this.#executor.flush();
    this.#ports[odpPort] = undefined;
    this.#shaped = this.#shaped.filter((port) => port.odpPort !== odpPort);
  }

  port(odpPort: number): Port | undefined {
    return this.#ports[odpPort];
  }

  /** Begins a burst: one reading of the clock serves for all its packets. */
  beginBurst(): void {
    this.now = this.#host.now();
    this.#stages.begin(this.now);
  }

  /** Forwards a packet that came in. `flush` has to follow before its buffer is used again. */
  receive(odpPort: number, packet: Packet): void {
    this.counters.packets++;
    // A card's offer to finish SCTP's CRC cannot be told to the next card by a virtio_net_hdr.
    if (packet.csumStart !== 0 && packet.csumOffset === SCTP_CSUM_OFFSET) finishChecksum(packet);
    if (this.#stages.isSampling) {
      this.#stages.packets++;
      this.#stages.mark();
    }
    this.#ctx.begin(packet, odpPort, 0);
    if (this.#stages.isSampling) this.#stages.lap(Stage.Parse);
    this.forward(this.#ctx);
    if (this.#stages.isSampling) this.#stages.lap(Stage.Actions);
  }

  /** Ends a burst: sends what ports hold. */
  flush(): void {
    this.#executing = 0;
    if (!this.#stages.isSampling) {
      this.#executor.flush();
      return;
    }
    this.#stages.mark();
    this.#executor.flush();
    this.#stages.lap(Stage.Send);
    this.#stages.end();
  }

  forward(ctx: Context): void {
    const { key, lanes } = ctx;
    if (ctx.recircs > 0 && this.#stages.isSampling) this.#stages.lap(Stage.Actions);
    const hash = hashKey(key, lanes);
    const emc = lanes <= LANES_IPV4 ? this.#emc : this.#wideEmc;
    let slot = emc.lookup(key, lanes, hash, this.#flows);
    if (this.#stages.isSampling) this.#stages.lap(Stage.Emc);
    if (slot >= 0) this.counters.emc_hits++;
    else {
      slot = this.#flows.lookup(key);
      if (this.#stages.isSampling) this.#stages.lap(Stage.Megaflow);
      if (slot < 0) {
        this.#miss(ctx);
        return;
      }
      emc.insert(key, lanes, hash, slot, this.#flows);
    }
    const packet = ctx.packet;
    this.#flows.count(slot, packet.end - packet.start, this.now, key[LANE_TCI2_FLAGS]! & 0xfff);
    this.#executor.run(ctx, this.#flows.ops(slot));
  }

  /** Carries out actions on a packet from the slow path; `flush` has to follow, some packets later. Throws a RangeError
   *  for actions that there are not. */
  execute(
    frame: Uint8Array,
    odpPort: number,
    actions: readonly OdpAction[],
    key?: FlowKey,
    offload?: Offload,
  ): void {
    const ops = compileActions(actions);
    this.counters.executes++;
    if (this.#executing === MAX_EXECUTING) this.flush();
    let packet = this.#executePackets[this.#executing];
    if (!packet) {
      packet = new Packet();
      this.#executePackets.push(packet);
    }
    if (!packet.load(frame)) {
      this.counters.drop_oversize++;
      return;
    }
    if (offload) setOffload(packet, offload);
    this.now = this.#host.now();
    this.#ctx.begin(packet, odpPort, key ? key[LANE_RECIRC_ID]! : 0);
    if (offload?.isDatagram === true) this.#ctx.isDatagram = true;
    this.#executor.run(this.#ctx, ops);
    if (packet.held !== 0) this.#executing++;
  }

  /** Throws a RangeError for actions that there are not. */
  flowPut(flow: DpFlow): void {
    if (!this.#flows.put(flow)) this.counters.flows_refused++;
  }

  flowDel(id: number): FlowStatsDelta | undefined {
    return this.#flows.remove(id);
  }

  /** Removes all flows; gives their last counts. */
  flowFlush(): FlowStatsDelta[] {
    const deltas = this.#flows.takeCounts();
    for (const id of [...this.#flows.ids()]) this.#flows.remove(id);
    return deltas;
  }

  get hasCounts(): boolean {
    return this.#flows.hasCounts;
  }

  takeCounts(): FlowStatsDelta[] {
    return this.#flows.takeCounts();
  }

  /** The same, packed for another thread. */
  packCounts(): Float64Array<ArrayBuffer> {
    return this.#flows.packCounts(this.#host.now());
  }

  /** `memory`: of `meterMemory`, where others meter the same. */
  meterSet(id: number, config: MeterConfig | null, memory?: SharedArrayBuffer): void {
    if (config) this.#executor.meters.set(id, new Meter(config, this.#host.now(), memory));
    else this.#executor.meters.delete(id);
  }

  meterStats(id: number): MeterStats | undefined {
    return this.#executor.meters.get(id)?.stats();
  }

  queuesSet(odpPort: number, config: QueuesConfig | null, memory?: SharedArrayBuffer): void {
    const port = this.#ports[odpPort];
    if (!port) return;
    this.now = this.#host.now();
    const old = port.shaper;
    port.shaper = config ? new Shaper(config, this.now, memory) : undefined;
    if (old && port.shaper) port.shaper.takeOver(old);
    else if (old) this.#executor.serve(port, old);
    this.#executor.flush();
    this.#shaped = this.#ports.filter((other) => other?.shaper !== undefined) as Port[];
  }

  queueStats(odpPort: number): readonly QueueStats[] {
    return this.#ports[odpPort]?.shaper?.stats() ?? [];
  }

  /** Whether some port has queues. */
  get isShaping(): boolean {
    return this.#shaped.length > 0;
  }

  /** ms until `serveQueues` has something to do; Infinity: no packet waits. */
  queuesDue(): number {
    let due = Infinity;
    if (this.#shaped.length === 0) return due;
    const now = this.#host.now();
    for (const port of this.#shaped) due = Math.min(due, port.shaper!.due(now));
    return due;
  }

  /** Sends what has waited in queues and may go by now. */
  serveQueues(): void {
    if (this.#shaped.length === 0) return;
    this.now = this.#host.now();
    for (const port of this.#shaped) if (port.shaper!.backlog > 0) this.#executor.serve(port, port.shaper!);
    this.#executor.flush();
  }

  /** All counters by name. */
  readCounters(): Record<string, number> {
    return {
      ...this.counters,
      megaflow_lookups: this.#flows.lookups,
      megaflow_probes: this.#flows.probes,
      flows: this.#flows.size,
      masks: this.#flows.masks,
    };
  }

  /** Where the time goes, by a sample of packets: ns by stage. */
  readTimes(): Record<string, number> {
    return {
      sampled_packets: this.#stages.packets,
      ...Object.fromEntries(
        STAGES.map((name, stage) => [
          `sampled_${name}_ns`,
          Math.max(0, Math.round(this.#stages.times[stage]! * 1e6)),
        ]),
      ),
    };
  }

  #miss(ctx: Context): void {
    const { packet } = ctx;
    const odpPort = ctx.key[LANE_IN_PORT]!;
    this.counters.misses++;
    if (!this.#mayUpcall(odpPort)) {
      this.counters.misses_lost++;
      return;
    }
    let offload: Offload | undefined;
    if (packet.gsoType === GSO_NONE) {
      if (packet.held !== 0) {
        this.#executor.flush();
        packet.held = 0;
      }
      finishChecksum(packet);
      if (ctx.isDatagram) offload = DATAGRAM;
    } else offload = offloadOf(packet);
    this.#upcall(ctx, "miss", 0, packet.size, offload);
  }

  upcallAction(ctx: Context, cookie: number, maxLen: number): void {
    if (!this.#mayUpcall(ctx.key[LANE_IN_PORT]!)) return;
    this.#upcall(ctx, "action", cookie, Math.min(maxLen, ctx.packet.size), undefined);
  }

  #mayUpcall(odpPort: number): boolean {
    if (this.#host.hasRoom(odpPort)) {
      this.counters.upcalls++;
      return true;
    }
    this.counters.upcalls_lost++;
    return false;
  }

  #upcall(ctx: Context, kind: Upcall["kind"], cookie: number, size: number, offload?: Offload): void {
    const { packet } = ctx;
    const upcall: Upcall = {
      kind,
      odpPort: ctx.key[LANE_IN_PORT]!,
      packet: packet.buffer.slice(packet.start, packet.start + size),
      key: ctx.key.slice(),
      cookie,
      totalLen: packet.size,
    };
    if (offload) upcall.offload = offload;
    this.#host.upcall(upcall);
  }
}

function offloadOf(packet: Packet): Offload {
  return {
    csumStart: packet.csumStart === 0 ? -1 : packet.csumStart - packet.start,
    csumOffset: packet.csumOffset,
    gsoType: packet.gsoType,
    gsoSize: packet.gsoSize,
    hdrLen: packet.hdrEnd - packet.start,
  };
}

function setOffload(packet: Packet, offload: Offload): void {
  packet.csumStart = offload.csumStart < 0 ? 0 : packet.start + offload.csumStart;
  packet.csumOffset = offload.csumOffset;
  packet.gsoType = offload.gsoType;
  packet.gsoSize = offload.gsoSize;
  packet.hdrEnd = packet.start + offload.hdrLen;
}
