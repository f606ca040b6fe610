import type { Timer } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import type { OdpAction } from "../../dpif/actions.js";
import type {
  DpFlow,
  Dpif,
  DpifEvents,
  DpPort,
  DpPortChange,
  DpPortSpec,
  MeterConfig,
  MeterStats,
  NetdevStats,
  Offload,
  QueueStats,
  QueuesConfig,
  Recirculated,
} from "../../dpif/dpif.js";
import type { FlowKey } from "../../flow/flow-key.js";
import { LANE_RECIRC_ID } from "../../flow/lanes.js";
import { DummyHub, DummyNetdev } from "../../netdev/dummy.js";
import { Packet } from "../../netdev/packet.js";
import { Datapath, type DatapathHost } from "./datapath.js";
import { FlowDirectory } from "./flow-directory.js";
import { deltasOf, PackedCounts } from "./lookup/counts.js";
import { defaultMac, MAX_FLOWS, STATS_PERIOD_MS, type UserspaceDpifOptions } from "./options.js";
import { rehearse } from "./rehearsal.js";
import { ownUpcall, type RawUpcall } from "./worker/records.js";

/** Frames and packets to execute that came while the datapath was at work, at most. */
const MAX_QUEUED = 4096;
const MAX_JOBS = 1 << 20;

interface OpenPort {
  readonly port: DpPort;
  readonly netdev: DummyNetdev;
}

/** The datapath in the caller's thread. A frame that a dummy port receives has left by the other ports, or been
 *  upcalled, when `receive` returns; what listeners and cables do in the meantime waits its turn. */
export class InlineDpif implements Dpif, DatapathHost {
  readonly type = "netdev";
  readonly events = new EventEmitter<DpifEvents>();
  readonly #options: UserspaceDpifOptions;
  readonly #dummies: DummyHub;
  readonly #datapath: Datapath;
  readonly #directory: FlowDirectory;
  readonly #counts = new PackedCounts();
  readonly #open = new Map<number, OpenPort>();
  /** As many as came at a time, and no more than the datapath holds. */
  readonly #packets: Packet[] = [];
  readonly #queue: (() => void)[] = [];
  #busy = false;
  #statsTimer: Timer | undefined;
  #queueTimer: Timer | undefined;

  constructor(options: UserspaceDpifOptions) {
    this.#options = options;
    this.#dummies = options.dummies ?? new DummyHub();
    const datapath = new Datapath(this);
    this.#datapath = datapath;
    this.#directory = new FlowDirectory(
      {
        programPut: (program, actions) => this.#guard(() => datapath.programPut(program, actions)),
        programDel: (program) => datapath.programDel(program),
        flowPut: (slot, id, key, mask, program) => datapath.flowPut(slot, id, key, mask, program),
        flowReplace: (slot, id, program) => datapath.flowReplace(slot, id, program, this.#counts),
        flowDel: (slot) => datapath.flowDel(slot, this.#counts),
      },
      options.maxFlows ?? MAX_FLOWS,
    );
  }

  // What the datapath asks of its host.

  readClock(time: Float64Array): void {
    time[0] = this.#options.clock.now();
  }

  hasRoom(): boolean {
    return true;
  }

  upcall(upcall: RawUpcall): void {
    this.events.emit("upcall", ownUpcall(upcall));
  }

  // What others ask of the datapath.

  async portAdd(spec: DpPortSpec): Promise<DpPort> {
    if (spec.type !== "dummy") {
      throw new Error(`${spec.name}: a datapath without a thread of its own has dummy ports only`);
    }
    for (const { port } of this.#open.values()) {
      if (port.name === spec.name) throw new Error(`${spec.name}: already a port of the datapath`);
    }
    let odpPort = 1;
    while (this.#open.has(odpPort)) odpPort++;
    const cable = this.#dummies.port(spec.name);
    const netdev = new DummyNetdev(spec.name, spec.mac ?? defaultMac(odpPort), spec.mtu, (packet) =>
      cable.onTransmit?.(packet.frame()),
    );
    netdev.link = cable.link;
    const { gone: _, ...status } = netdev.status();
    const port: DpPort = { odpPort, name: spec.name, type: spec.type, ...status };
    this.#open.set(odpPort, { port, netdev });
    this.#datapath.addPort(odpPort, netdev);
    cable.onReceive = (frames) => this.#receive(odpPort, netdev, frames);
    cable.onLink = (link) => {
      netdev.link = link;
      this.#portChanged(odpPort);
    };
    return port;
  }

  async portDel(odpPort: number): Promise<void> {
    const open = this.#open.get(odpPort);
    if (!open) return;
    this.#open.delete(odpPort);
    this.#datapath.removePort(odpPort);
    const cable = this.#dummies.port(open.port.name);
    cable.onReceive = undefined;
    cable.onLink = undefined;
    open.netdev.close();
  }

  async portStats(odpPort: number): Promise<NetdevStats> {
    return { ...this.#portOf(odpPort).netdev.stats };
  }

  async portSet(odpPort: number, change: DpPortChange): Promise<void> {
    const { netdev } = this.#portOf(odpPort);
    netdev.set(change);
    const port = this.#datapath.port(odpPort);
    if (port && change.mtu !== undefined) port.mtu = change.mtu;
    this.#portChanged(odpPort);
  }

  flowPut(flow: DpFlow): void {
    this.#directory.put(flow);
    this.#emitStats();
  }

  flowReplace(old: number, id: number, actions: readonly OdpAction[]): void {
    this.#directory.replace(old, id, actions);
    this.#emitStats();
  }

  flowDel(id: number): void {
    this.#directory.remove(id);
    this.#emitStats();
  }

  flowFlush(): void {
    this.#directory.flush();
    this.#emitStats();
  }

  execute(
    packet: Uint8Array,
    odpInPort: number,
    actions: readonly OdpAction[],
    key?: FlowKey,
    offload?: Offload,
  ): void {
    const run = (packet: Uint8Array): void =>
      this.#guard(() => {
        const program = this.#directory.programOf(actions);
        this.#datapath.execute(packet, odpInPort, program, key ? key[LANE_RECIRC_ID]! : 0, offload);
        this.#datapath.flush();
      });
    if (!this.#busy) this.#work(() => run(packet));
    else if (this.#mayQueue()) {
      const copy = new Uint8Array(packet);
      this.#queue.push(() => run(copy));
    }
  }

  rehearse(packet: Uint8Array, actions: readonly OdpAction[]): readonly Recirculated[] {
    return rehearse(packet, actions);
  }

  async barrier(): Promise<void> {}

  async syncStats(): Promise<void> {
    this.#takeStats();
  }

  meterSet(id: number, config: MeterConfig | null): void {
    this.#datapath.meterSet(id, config);
  }

  async meterStats(id: number): Promise<MeterStats | undefined> {
    return this.#datapath.meterStats(id);
  }

  queuesSet(odpPort: number, config: QueuesConfig | null): void {
    if (this.#busy) this.#queue.push(() => this.#datapath.queuesSet(odpPort, config));
    else this.#work(() => this.#datapath.queuesSet(odpPort, config));
  }

  async queueStats(odpPort: number): Promise<readonly QueueStats[]> {
    return this.#datapath.queueStats(odpPort);
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    return { ...this.#datapath.readCounters(), flows_refused: this.#directory.refused };
  }

  /** It is told and does at once. */
  caughtUp(): undefined {
    return undefined;
  }

  tagsSet(tags: number): void {
    this.#datapath.tags = tags;
  }

  async threadsSet(): Promise<void> {}

  async threadCounters(): Promise<readonly Readonly<Record<string, number>>[]> {
    return [{ ...(await this.counters()), ...this.#datapath.readTimes() }];
  }

  async destroy(): Promise<void> {
    for (const odpPort of [...this.#open.keys()]) await this.portDel(odpPort);
    this.#statsTimer?.cancel();
    this.#queueTimer?.cancel();
    this.#queue.length = 0;
    this.events.removeAllListeners();
  }

  #portOf(odpPort: number): OpenPort {
    const open = this.#open.get(odpPort);
    if (!open) throw new Error(`the datapath has no port ${odpPort}`);
    return open;
  }

  #portChanged(odpPort: number): void {
    const { netdev } = this.#portOf(odpPort);
    const { mac, mtu, link, admin, speed } = netdev.status();
    this.events.emit("port", { odpPort, mac, mtu, link, admin, speed });
  }

  #receive(odpPort: number, netdev: DummyNetdev, frames: readonly Uint8Array[]): number {
    if (!this.#busy) {
      this.#busy = true;
      try {
        this.#forward(odpPort, netdev, frames);
      } finally {
        this.#finish();
      }
      return frames.length;
    }
    for (let i = 0; i < frames.length; i++) {
      if (!this.#mayQueue()) {
        netdev.stats.rx_dropped += frames.length - i;
        return i;
      }
      const copy = [new Uint8Array(frames[i]!)];
      this.#queue.push(() => this.#forward(odpPort, netdev, copy));
    }
    return frames.length;
  }

  #forward(odpPort: number, netdev: DummyNetdev, frames: readonly Uint8Array[]): void {
    // The port may have been deleted while the frame waited.
    if (this.#datapath.port(odpPort)?.netdev !== netdev) return;
    this.#datapath.beginBurst();
    for (let i = 0, next = 0; i < frames.length; i++) {
      if (next === this.#packets.length) this.#packets.push(new Packet());
      const packet = this.#packets[next]!;
      if (!netdev.accept(frames[i]!, packet)) continue;
      this.#datapath.receive(odpPort, packet);
      next = (next + 1) & (Datapath.BATCH - 1);
    }
    this.#datapath.flush();
  }

  #mayQueue(): boolean {
    if (this.#queue.length < MAX_QUEUED) return true;
    this.#datapath.counters.drop_queue_full++;
    return false;
  }

  #work(job: () => void): void {
    this.#busy = true;
    try {
      job();
    } finally {
      this.#finish();
    }
  }

  /** Does what queued up meanwhile. Cables that make a loop with no delay could go on for ever: after MAX_JOBS the
   *  rest is dropped. */
  #finish(): void {
    if (this.#queue.length > 0) this.#drain();
    this.#busy = false;
    if (this.#statsTimer === undefined && this.#datapath.hasCounts) this.#scheduleStats();
    if (this.#queueTimer === undefined && this.#datapath.isShaping) this.#scheduleQueues();
  }

  #drain(): void {
    let jobs = 0;
    try {
      while (this.#queue.length > 0 && jobs < MAX_JOBS) {
        const batch = this.#queue.splice(0);
        for (const job of batch) job();
        jobs += batch.length;
      }
    } finally {
      this.#datapath.counters.drop_queue_full += this.#queue.length;
      this.#queue.length = 0;
      this.#busy = false;
    }
  }

  #scheduleStats(): void {
    this.#statsTimer = this.#options.clock.setTimeout(() => this.#takeStats(), STATS_PERIOD_MS);
  }

  #scheduleQueues(): void {
    const due = this.#datapath.queuesDue();
    if (due !== Infinity) this.#queueTimer = this.#options.clock.setTimeout(() => this.#serveQueues(), due);
  }

  #serveQueues(): void {
    this.#queueTimer = undefined;
    this.#work(() => this.#datapath.serveQueues());
  }

  #guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.events.emit("error", error);
    }
  }

  #takeStats(): void {
    this.#statsTimer?.cancel();
    this.#statsTimer = undefined;
    this.#datapath.beginPacking();
    this.#datapath.pack(Infinity, this.#counts);
    this.#emitStats();
  }

  #emitStats(): void {
    if (this.#counts.size === 0) return;
    const now = this.#options.clock.now();
    this.events.emit("stats", deltasOf(this.#counts.take(now), now));
  }
}
