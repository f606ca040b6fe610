// Hot path: `receive` and `forward`. Nothing is allocated but for upcalls, nothing throws.

import type { OdpAction } from "../../dpif/actions.js";
import {
  DATAGRAM,
  DEFAULT_VLAN_LIMIT,
  type MeterConfig,
  type MeterStats,
  type Offload,
  type QueueStats,
  type QueuesConfig,
  type Upcall,
} from "../../dpif/dpif.js";
import type { FlowKey, FlowMask } from "../../flow/flow-key.js";
import { LANE_IN_PORT, LANE_TCI2_FLAGS, LANES_IPV4 } from "../../flow/lanes.js";
import type { Netdev } from "../../netdev/netdev.js";
import { GSO_NONE, Packet } from "../../netdev/packet.js";
import { finishChecksum } from "./actions/checksum.js";
import { Context } from "./actions/context.js";
import { Executor, type ExecutorHost } from "./actions/executor.js";
import { Meter } from "./actions/meter.js";
import { Programs } from "./actions/programs.js";
import { Shaper } from "./actions/shaper.js";
import type { PackedCounts } from "./lookup/counts.js";
import { Emc, EmcUse, hashKey } from "./lookup/emc.js";
import { Megaflows } from "./lookup/megaflow.js";
import { DatapathCounters, Port } from "./port.js";
import { STAGES, Stage, Stages } from "./stages.js";
import type { RawUpcall } from "./worker/records.js";

/** Where the datapath lives: this thread's event loop, or a worker. */
export interface DatapathHost {
  /** Puts the time, clock ms, into the first place of `time`: a number that is handed over may be one for the collector. */
  readClock(time: Float64Array): void;
  /** Whether the slow path has room for an upcall from this port with so many lanes and bytes. */
  hasRoom(odpPort: number, lanes: number, size: number): boolean;
  /** What it is told is overwritten by the next. */
  upcall(upcall: RawUpcall): void;
}

const EMC_PLACES = 8192;
/** Words of an entry: 3 and the lanes. */
const EMC_STRIDE = 16;
const EMC_WIDE_STRIDE = 36;
/** Packets that are looked up together, so that the processor waits for the memory of all of them at a time. */
const BATCH = 32;
/** Packets of the slow path that go out together. */
const MAX_EXECUTING = 32;
const SCTP_CSUM_OFFSET = 8;

/** The datapath itself: ports, caches, megaflows. It knows no thread and no clock of its own. */
export class Datapath implements ExecutorHost {
  readonly counters = new DatapathCounters();
  /** Clock ms of this burst. */
  readonly #time = new Float64Array(1);
  readonly #host: DatapathHost;
  readonly #ports: (Port | undefined)[] = [];
  /** Ports with queues. */
  #shaped: Port[] = [];
  readonly #programs = new Programs();
  readonly #flows: Megaflows;
  readonly #emc = new Emc(EMC_PLACES, EMC_STRIDE);
  /** For keys that are longer: ARP, MPLS, IPv6. */
  readonly #wideEmc = new Emc(EMC_PLACES, EMC_WIDE_STRIDE);
  readonly #emcUse = new EmcUse();
  readonly #executor: Executor;
  readonly #stages: Stages;
  /** Of memory that was loaded ahead of its use: kept, so that the loads are. */
  touched = 0;
  /** Packets that came in and have not been looked up yet. */
  readonly #batch: readonly Context[];
  #batched = 0;
  /** What packets of the slow path are in, and how many of them ports hold. */
  readonly #executePackets = [new Packet()];
  #executing = 0;
  readonly #ctx = new Context(this.#executePackets[0]!);

  readonly #raw: RawUpcall;

  /** `slots`: flows that memory is taken for now; without, it is taken as there are more. */
  constructor(host: DatapathHost, slots?: number) {
    this.#host = host;
    this.#readClock();
    const time = new Float64Array(1);
    this.#stages = new Stages(() => {
      host.readClock(time);
      return time[0]!;
    });
    this.#flows = new Megaflows(this.#programs, slots);
    this.#raw = {
      kind: "miss",
      odpPort: 0,
      cookie: 0,
      key: this.#ctx.key,
      lanes: 0,
      packet: this.#ctx.packet,
      size: 0,
      offload: undefined,
    };
    this.#executor = new Executor(this, this.#ports);
    this.#batch = Array.from({ length: BATCH }, () => new Context(this.#executePackets[0]!));
  }

  /** How many VLAN tags keys tell of. */
  tags = DEFAULT_VLAN_LIMIT;

  get now(): number {
    return this.#time[0]!;
  }

  #readClock(): void {
    this.#host.readClock(this.#time);
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
    this.#readClock();
    this.#stages.begin(this.now);
  }

  /** Takes a packet that came in, to be forwarded with those that come with it: by `flush` at the latest, which has to
   *  follow before its buffer is used again. */
  receive(odpPort: number, packet: Packet): void {
    // A card's offer to finish SCTP's CRC cannot be told to the next card by a virtio_net_hdr.
    if (packet.csumStart !== 0 && packet.csumOffset === SCTP_CSUM_OFFSET) finishChecksum(packet);
    this.#batch[this.#batched++]!.take(packet, odpPort, 0);
    if (this.#batched === BATCH) this.#forwardBatch();
  }

  /** How many packets `receive` takes before it has forwarded all that it was given. */
  static readonly BATCH = BATCH;

  /** Ends a burst: forwards what came in, and sends what ports hold. */
  flush(): void {
    if (this.#batched > 0) this.#forwardBatch();
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

  /** Looks up the packets of a batch, in the caches one after the other, then carries out what was found for each, in
   *  order. The loops are short, so that the processor fetches for the next packets what it waits for with this one. */
  #forwardBatch(): void {
    const batch = this.#batch;
    const flows = this.#flows;
    const count = this.#batched;
    const { isSampling } = this.#stages;
    this.#batched = 0;
    this.counters.packets += count;
    if (isSampling) {
      this.#stages.packets += count;
      this.#stages.mark();
    }
    for (let i = 0; i < count; i++) batch[i]!.extract(this.tags);
    if (isSampling) this.#stages.lap(Stage.Parse);
    const asksEmc = this.#emcUse.isAsked;
    let hits = 0;
    for (let i = 0; i < count; i++) {
      const ctx = batch[i]!;
      const { key, lanes } = ctx;
      const hash = hashKey(key, lanes);
      ctx.hash = hash;
      ctx.slot = asksEmc ? this.#emcOf(lanes).lookup(key, lanes, hash, flows) : -1;
      if (ctx.slot >= 0) hits++;
    }
    this.counters.emc_hits += hits;
    this.#emcUse.tell(count, hits);
    if (isSampling) this.#stages.lap(Stage.Emc);
    if (hits < count) {
      this.#askSmc(count, asksEmc);
      if (isSampling) this.#stages.lap(Stage.Smc);
      for (let i = 0; i < count; i++) if (batch[i]!.slot < 0) this.#askMasks(batch[i]!, asksEmc);
      if (isSampling) this.#stages.lap(Stage.Megaflow);
    }
    const { version } = flows;
    for (let i = 0; i < count; i++) {
      const ctx = batch[i]!;
      // Flows have come or gone meanwhile, by an upcall that was answered at once.
      if (flows.version !== version) this.forward(ctx);
      else this.#act(ctx);
    }
    if (isSampling) this.#stages.lap(Stage.Actions);
  }

  /** Looks for the flows of a batch, where the exact-match cache does not know them, in the signature-match cache. What
   *  has to be loaded is loaded for all before it is waited for once. */
  #askSmc(count: number, asksEmc: boolean): void {
    const batch = this.#batch;
    const flows = this.#flows;
    for (let i = 0; i < count; i++)
      if (batch[i]!.slot < 0) batch[i]!.candidate = flows.candidate(batch[i]!.hash);
    let touched = 0;
    for (let i = 0; i < count; i++) {
      const { slot, candidate } = batch[i]!;
      if (slot < 0 && candidate >= 0) touched ^= flows.touch(candidate);
    }
    this.touched = touched;
    for (let i = 0; i < count; i++) {
      const ctx = batch[i]!;
      if (ctx.slot >= 0 || ctx.candidate < 0 || !flows.matches(ctx.candidate, ctx.key)) continue;
      this.counters.smc_hits++;
      ctx.slot = ctx.candidate;
      if (asksEmc) this.#remember(ctx);
    }
  }

  /** Looks one packet up, and carries out what is found. */
  forward(ctx: Context): void {
    const { key, lanes } = ctx;
    ctx.hash = hashKey(key, lanes);
    const asksEmc = this.#emcUse.isAsked;
    ctx.slot = asksEmc ? this.#emcOf(lanes).lookup(key, lanes, ctx.hash, this.#flows) : -1;
    this.#emcUse.tell(1, ctx.slot >= 0 ? 1 : 0);
    if (ctx.slot >= 0) this.counters.emc_hits++;
    else {
      ctx.slot = this.#flows.candidate(ctx.hash);
      if (ctx.slot >= 0 && this.#flows.matches(ctx.slot, key)) {
        this.counters.smc_hits++;
        if (asksEmc) this.#remember(ctx);
      } else this.#askMasks(ctx, asksEmc);
    }
    this.#act(ctx);
  }

  /** Looks for a flow among the megaflows, where no cache knows it. */
  #askMasks(ctx: Context, asksEmc: boolean): void {
    ctx.slot = this.#flows.lookup(ctx.key, ctx.hash);
    if (asksEmc && ctx.slot >= 0) this.#remember(ctx);
  }

  /** Tells the exact-match cache which flow was found. */
  #remember({ key, lanes, hash, slot }: Context): void {
    this.#emcOf(lanes).insert(key, lanes, hash, slot, this.#flows);
  }

  #emcOf(lanes: number): Emc {
    return lanes <= LANES_IPV4 ? this.#emc : this.#wideEmc;
  }

  #act(ctx: Context): void {
    const { packet, slot } = ctx;
    if (slot < 0) {
      this.#miss(ctx);
      return;
    }
    this.#flows.count(slot, packet.end - packet.start, this.#time, ctx.key[LANE_TCI2_FLAGS]! & 0xfff);
    this.#executor.run(ctx, this.#flows.ops(slot));
  }

  /** Carries out a program on a packet from the slow path that was looked up with this recirc_id; `flush` has to
   *  follow, some packets later. Where there is no such program, nothing happens. */
  execute(frame: Uint8Array, odpPort: number, program: number, recirc: number, offload?: Offload): void {
    if (!this.#programs.has(program)) return;
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
    this.#readClock();
    this.#ctx.begin(packet, odpPort, recirc);
    if (offload?.isDatagram === true) this.#ctx.isDatagram = true;
    this.#executor.run(this.#ctx, this.#programs.ops(program));
    if (packet.held !== 0) this.#executing++;
  }

  /** Throws a RangeError for actions that the datapath does not have; flows with the program drop then, and
   *  packets are not executed. */
  programPut(program: number, actions: readonly OdpAction[]): void {
    this.#programs.put(program, actions);
  }

  programDel(program: number): void {
    this.#programs.delete(program);
  }

  flowPut(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void {
    this.#flows.put(slot, id, key, mask, program);
  }

  /** The flow's last counts go to `counts`. */
  flowReplace(slot: number, id: number, program: number, counts: PackedCounts): void {
    this.#flows.replace(slot, id, program, counts);
  }

  flowDel(slot: number, counts: PackedCounts): void {
    this.#flows.remove(slot, counts);
  }

  get hasCounts(): boolean {
    return this.#flows.hasCounts;
  }

  /** Begins to pack what flows have counted; goes on with at most so many, and says whether that was all. */
  beginPacking(): void {
    this.#flows.beginPacking();
  }

  pack(limit: number, counts: PackedCounts): boolean {
    return this.#flows.pack(limit, counts);
  }

  /** `memory`: of `meterMemory`, where others meter the same. */
  meterSet(id: number, config: MeterConfig | null, memory?: SharedArrayBuffer): void {
    this.#readClock();
    if (config) this.#executor.meters.set(id, new Meter(config, this.now, memory));
    else this.#executor.meters.delete(id);
  }

  meterStats(id: number): MeterStats | undefined {
    return this.#executor.meters.get(id)?.stats();
  }

  queuesSet(odpPort: number, config: QueuesConfig | null, memory?: SharedArrayBuffer): void {
    const port = this.#ports[odpPort];
    if (!port) return;
    this.#readClock();
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
    this.#readClock();
    for (const port of this.#shaped) due = Math.min(due, port.shaper!.due(this.now));
    return due;
  }

  /** Sends what has waited in queues and may go by now. */
  serveQueues(): void {
    if (this.#shaped.length === 0) return;
    this.#readClock();
    for (const port of this.#shaped) if (port.shaper!.backlog > 0) this.#executor.serve(port, port.shaper!);
    this.#executor.flush();
  }

  /** All counters by name. */
  readCounters(): Record<string, number> {
    return {
      ...this.counters,
      megaflow_lookups: this.#flows.lookups,
      megaflow_probes: this.#flows.probes,
      megaflow_hit_probes: this.#flows.hitProbes,
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
    this.counters.misses++;
    if (!this.#mayUpcall(ctx, packet.size)) {
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
    const size = Math.min(maxLen, ctx.packet.size);
    if (this.#mayUpcall(ctx, size)) this.#upcall(ctx, "action", cookie, size, undefined);
  }

  #mayUpcall({ key, lanes }: Context, size: number): boolean {
    if (this.#host.hasRoom(key[LANE_IN_PORT]!, lanes, size)) {
      this.counters.upcalls++;
      return true;
    }
    this.counters.upcalls_lost++;
    return false;
  }

  #upcall(ctx: Context, kind: Upcall["kind"], cookie: number, size: number, offload?: Offload): void {
    const raw = this.#raw;
    raw.kind = kind;
    raw.odpPort = ctx.key[LANE_IN_PORT]!;
    raw.cookie = cookie;
    raw.key = ctx.key;
    raw.lanes = ctx.lanes;
    raw.packet = ctx.packet;
    raw.size = size;
    raw.offload = offload;
    this.#host.upcall(raw);
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
