import { EventEmitter } from "eventemitter3";
import type { OdpAction } from "../../../dpif/actions.js";
import {
  DEFAULT_VLAN_LIMIT,
  type DpFlow,
  type Dpif,
  type DpifEvents,
  type DpPort,
  type DpPortChange,
  type DpPortSpec,
  type MeterConfig,
  type MeterStats,
  type NetdevStats,
  type Offload,
  type QueueStats,
  type QueuesConfig,
  type Recirculated,
} from "../../../dpif/dpif.js";
import type { FlowKey } from "../../../flow/flow-key.js";
import { LANE_RECIRC_ID } from "../../../flow/lanes.js";
import { DummyHub } from "../../../netdev/dummy.js";
import { type Libc, loadLibc } from "../../../netdev/libc.js";
import { meterMemory } from "../actions/meter.js";
import { shaperMemory } from "../actions/shaper.js";
import { FlowDirectory, type FlowTarget } from "../flow-directory.js";
import { deltasOf } from "../lookup/counts.js";
import { MAX_FLOWS, type UserspaceDpifOptions } from "../options.js";
import { rehearse } from "../rehearsal.js";
import type { AddedPort, Command, Counts, Report } from "./messages.js";
import { type Request, WorkerThread } from "./worker-thread.js";

interface KnownPort {
  readonly port: DpPort;
  readonly spec: DpPortSpec;
  /** Of a TAP device: the descriptor that keeps it, whichever thread uses it. */
  fd: number | undefined;
  /** Of a device that several threads receive from: the group of their sockets. */
  fanout: number | undefined;
  /** What threads counted that are no more. */
  counted: NetdevStats[];
}

/** A thread that no core is given to. */
const ANYWHERE: readonly [undefined] = [undefined];

/** The datapath in threads of its own: one, or one for each core that it is given. Each has all ports and flows, and a
 *  device's packets are spread over them by flow. The first opens what can be opened only once, carries out what
 *  the slow path sends, and tells of ports.
 *
 *  What they have been told is remembered, so that a thread that failed can be replaced by one that knows the same. */
export class WorkerDpif implements Dpif {
  readonly type = "netdev";
  readonly events = new EventEmitter<DpifEvents>();
  readonly #options: UserspaceDpifOptions;
  readonly #dummies: DummyHub;
  readonly #libc: Libc;
  #cores: readonly (number | undefined)[] = ANYWHERE;
  #threads: readonly WorkerThread[];
  readonly #ports = new Map<number, KnownPort>();
  readonly #flows: FlowDirectory;
  readonly #meters = new Map<number, { config: MeterConfig; memory: SharedArrayBuffer }>();
  readonly #queues = new Map<number, { config: QueuesConfig; memory: SharedArrayBuffer }>();
  #tags = DEFAULT_VLAN_LIMIT;
  #isBarrierDue = false;
  #barrier = Promise.resolve();
  #isDestroyed = false;

  /** Throws an Error of one line where threads cannot reach devices (no koffi, no Linux). */
  constructor(options: UserspaceDpifOptions) {
    this.#options = options;
    this.#dummies = options.dummies ?? new DummyHub();
    this.#libc = loadLibc();
    this.#threads = this.#startAll();
    this.#flows = new FlowDirectory(this.#tellFlows(), options.maxFlows ?? MAX_FLOWS);
  }

  async portAdd(spec: DpPortSpec): Promise<DpPort> {
    for (const { port } of this.#ports.values()) {
      if (port.name === spec.name) throw new Error(`${spec.name}: already a port of the datapath`);
    }
    let odpPort = 1;
    while (this.#ports.has(odpPort)) odpPort++;
    const known: KnownPort = {
      port: {
        odpPort,
        name: spec.name,
        type: spec.type,
        mac: "",
        mtu: 0,
        ifindex: 0,
        link: false,
        admin: false,
        speed: 0,
      },
      spec,
      fd: undefined,
      fanout: undefined,
      counted: [],
    };
    // The number and the name are taken while the thread opens the device.
    this.#ports.set(odpPort, known);
    try {
      await this.#open(known);
    } catch (error) {
      this.#ports.delete(odpPort);
      throw error;
    }
    if (spec.type === "dummy") this.#plug(odpPort, spec.name);
    return known.port;
  }

  async portDel(odpPort: number): Promise<void> {
    const known = this.#ports.get(odpPort);
    if (!known) return;
    if (known.spec.type === "dummy") this.#unplug(known.port.name);
    await this.#askAll({ op: "portDel", odpPort });
    this.#ports.delete(odpPort);
    this.#queues.delete(odpPort);
  }

  async portStats(odpPort: number): Promise<NetdevStats> {
    const counted = (await this.#askAll({ op: "portStats", odpPort })) as NetdevStats[];
    return sum([...counted, ...(this.#ports.get(odpPort)?.counted ?? [])]);
  }

  async portSet(odpPort: number, change: DpPortChange): Promise<void> {
    await this.#first.ask({ op: "portSet", odpPort, change });
  }

  flowPut(flow: DpFlow): void {
    this.#flows.put(flow);
  }

  flowReplace(old: number, id: number, actions: readonly OdpAction[]): void {
    this.#flows.replace(old, id, actions);
  }

  flowDel(id: number): void {
    this.#flows.remove(id);
  }

  flowFlush(): void {
    this.#flows.flush();
  }

  execute(
    packet: Uint8Array,
    odpPort: number,
    actions: readonly OdpAction[],
    key?: FlowKey,
    offload?: Offload,
  ): void {
    this.#isBarrierDue = true;
    if (this.#first.isDown) return;
    const program = this.#flows.programOf(actions);
    this.#first.flows.execute(packet, odpPort, program, key ? key[LANE_RECIRC_ID]! : 0, offload);
  }

  rehearse(packet: Uint8Array, actions: readonly OdpAction[]): readonly Recirculated[] {
    return rehearse(packet, actions);
  }

  caughtUp(): Promise<void> | undefined {
    const waits = this.#threads.map((thread) => thread.caughtUp()).filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** When nothing was told since the last barrier, that one's answer serves. */
  barrier(): Promise<void> {
    if (this.#isBarrierDue) {
      this.#isBarrierDue = false;
      this.#barrier = this.#askAll({ op: "barrier" }).then(() => undefined);
    }
    return this.#barrier;
  }

  async syncStats(): Promise<void> {
    await this.#askAll({ op: "syncStats" });
  }

  meterSet(id: number, config: MeterConfig | null): void {
    if (config) {
      const memory = meterMemory(config);
      this.#meters.set(id, { config, memory });
      this.#tellAll({ op: "meterSet", id, config, memory });
    } else {
      this.#meters.delete(id);
      this.#tellAll({ op: "meterSet", id, config: null });
    }
  }

  async meterStats(id: number): Promise<MeterStats | undefined> {
    const all = (await this.#askAll({ op: "meterStats", id })) as (MeterStats | undefined)[];
    const known = all.filter((stats) => stats !== undefined);
    const [first] = known;
    if (!first) return undefined;
    return {
      ...sum(known.map(({ packets, bytes }) => ({ packets, bytes }))),
      bands: first.bands.map((_, i) => sum(known.map(({ bands }) => bands[i]!))),
    };
  }

  queuesSet(odpPort: number, config: QueuesConfig | null): void {
    if (!this.#ports.has(odpPort)) return;
    if (config) {
      const memory = shaperMemory(config);
      this.#queues.set(odpPort, { config, memory });
      this.#tellAll({ op: "queuesSet", odpPort, config, memory });
    } else {
      this.#queues.delete(odpPort);
      this.#tellAll({ op: "queuesSet", odpPort, config: null });
    }
  }

  async queueStats(odpPort: number): Promise<readonly QueueStats[]> {
    const all = (await this.#askAll({ op: "queueStats", odpPort })) as (readonly QueueStats[])[];
    return all[0]!.map((first, i) => ({
      ...sum(all.map((list) => ({ ...list[i]! }))),
      queue_id: first.queue_id,
    }));
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const threads = (await this.#countAll()).map(({ counters }) => counters);
    // Each thread has all flows.
    const { flows = 0, masks = 0 } = threads[0]!;
    const restarts = this.#threads.reduce((total, thread) => total + thread.restarts, 0);
    const commands_overflowed = this.#threads.reduce((total, thread) => total + thread.overflows, 0);
    const commands_waited = this.#threads.reduce((total, thread) => total + thread.waits, 0);
    return {
      ...sum(threads),
      flows,
      masks,
      flows_refused: this.#flows.refused,
      commands_overflowed,
      commands_waited,
      restarts,
      threads: threads.length,
    };
  }

  async threadCounters(): Promise<readonly Readonly<Record<string, number>>[]> {
    return (await this.#countAll()).map(({ counters, times }) => ({ ...counters, ...times }));
  }

  tagsSet(tags: number): void {
    this.#tags = tags;
    this.#tellAll({ op: "tagsSet", tags });
  }

  /** Packets pause while the threads change. */
  async threadsSet(cores: readonly number[]): Promise<void> {
    const wanted: readonly (number | undefined)[] = cores.length === 0 ? ANYWHERE : cores;
    if (wanted.join() === this.#cores.join() && wanted.length === this.#cores.length) return;
    await this.syncStats();
    for (const [odpPort, known] of this.#ports) known.counted = [await this.portStats(odpPort)];
    await Promise.all(this.#threads.map((thread) => thread.stop("leave")));
    await this.#options.features?.putBack();
    this.#cores = wanted;
    this.#threads = this.#startAll();
    for (const known of this.#ports.values()) {
      known.fanout = undefined;
      await this.#open(known).catch((error: Error) => this.#options.log.warn(error.message));
    }
    for (const thread of this.#threads) this.#refill(thread);
    await this.#askAll({ op: "barrier" });
  }

  async destroy(): Promise<void> {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    for (const { spec } of this.#ports.values()) if (spec.type === "dummy") this.#unplug(spec.name);
    if (this.#first.isDown)
      for (const { fd } of this.#ports.values()) if (fd !== undefined) this.#libc.close(fd);
    await Promise.all(this.#threads.map((thread) => thread.stop("destroy")));
    await this.#options.features?.putBack();
    this.events.removeAllListeners();
  }

  /** Makes the first thread fail, as a bug would. For tests. */
  crash(): void {
    this.#first.tell({ op: "crash" });
  }

  /** Makes all threads stand still, as a machine that is too busy would, until what it gives is called. For tests. */
  stall(): () => void {
    const until = new Int32Array(new SharedArrayBuffer(4));
    this.#tellAll({ op: "stall", until });
    return () => {
      Atomics.store(until, 0, 1);
      Atomics.notify(until, 0);
    };
  }

  get #first(): WorkerThread {
    return this.#threads[0]!;
  }

  #startAll(): WorkerThread[] {
    const { clock, log, maxFlows = MAX_FLOWS } = this.#options;
    return this.#cores.map(
      (core, index) =>
        new WorkerThread({
          index,
          core,
          clock,
          log,
          libc: this.#libc,
          maxFlows,
          onReport: (report) => this.#take(report, index),
          onUpcall: (upcall) => this.events.emit("upcall", upcall),
          caughtUp: () => this.caughtUp(),
          keepFeatures: async (features) => this.#options.features?.keep(features) ?? false,
          onFailed: (error) => {
            // Only a datapath of one thread changes any.
            void this.#options.features?.putBack();
            // What was in force is so no more before the thread is back and has learnt it again.
            this.#isBarrierDue = true;
            this.events.emit("error", error);
          },
          onRestarted: (thread, unanswered) => this.#restarted(thread, index, unanswered),
        }),
    );
  }

  /** Tells all threads that hear; those that are started again learn it then. */
  #tellFlows(): FlowTarget {
    const each = (tell: (flows: FlowTarget) => void): void => {
      this.#isBarrierDue = true;
      for (const thread of this.#threads) if (!thread.isDown) tell(thread.flows);
    };
    return {
      programPut: (...of) => each((flows) => flows.programPut(...of)),
      programDel: (...of) => each((flows) => flows.programDel(...of)),
      flowPut: (...of) => each((flows) => flows.flowPut(...of)),
      flowReplace: (...of) => each((flows) => flows.flowReplace(...of)),
      flowDel: (...of) => each((flows) => flows.flowDel(...of)),
    };
  }

  #tellAll(command: Command): void {
    this.#isBarrierDue = true;
    for (const thread of this.#threads) thread.tell(command);
  }

  #askAll(request: Request): Promise<unknown[]> {
    return Promise.all(this.#threads.map((thread) => thread.ask(request)));
  }

  #countAll(): Promise<Counts[]> {
    return this.#askAll({ op: "counters" }) as Promise<Counts[]>;
  }

  /** Opens a port's device in each thread, the first thread first. */
  async #open(known: KnownPort): Promise<void> {
    const added = (await this.#first.ask(this.#portAdd(known, 0))) as AddedPort;
    const { gone: _, ...status } = added.status;
    Object.assign(known.port, status);
    known.fd = added.fd;
    known.fanout = added.fanout;
    await Promise.all(this.#threads.slice(1).map((thread, i) => thread.ask(this.#portAdd(known, i + 1))));
  }

  #portAdd({ port, spec, fd, fanout }: KnownPort, index: number): Extract<Request, { op: "portAdd" }> {
    return {
      op: "portAdd",
      odpPort: port.odpPort,
      spec,
      // The others close theirs by themselves.
      adoptFd: fd === undefined || index === 0 ? fd : this.#libc.dup(fd),
      fanout: this.#threads.length > 1 ? (fanout ?? "new") : undefined,
    };
  }

  /** A new thread is told all that the old one knew, and what it has not answered. */
  #restarted(thread: WorkerThread, index: number, unanswered: readonly Command[]): void {
    const isUnanswered = new Set(
      unanswered.flatMap((command) => (command.op === "portAdd" ? [command.odpPort] : [])),
    );
    for (const [odpPort, known] of this.#ports) {
      if (isUnanswered.has(odpPort)) continue;
      thread.ask(this.#portAdd(known, index)).catch((error: Error) => {
        this.#options.log.warn(`after the restart: ${error.message}`);
      });
    }
    this.#refill(thread);
    this.#options.log.info(`the datapath is back with ${this.#ports.size} ports, ${this.#flows.size} flows`);
  }

  #refill(thread: WorkerThread): void {
    thread.tell({ op: "tagsSet", tags: this.#tags });
    for (const [odpPort, queues] of this.#queues) thread.tell({ op: "queuesSet", odpPort, ...queues });
    for (const [id, meter] of this.#meters) thread.tell({ op: "meterSet", id, ...meter });
    this.#flows.tellAll(thread.flows);
  }

  #take(report: Report, index: number): void {
    for (const text of report.errors) this.events.emit("error", new Error(text));
    if (report.counts.length > 0)
      this.events.emit("stats", deltasOf(report.counts, this.#options.clock.now()));
    // All threads see the same of a device; one tells.
    for (const event of index === 0 ? report.ports : []) {
      const known = this.#ports.get(event.odpPort);
      if (!known) continue;
      const { gone: _, ...change } = event;
      Object.assign(known.port, change);
      this.events.emit("port", event);
    }
    for (const { odpPort, stats } of report.counted) {
      const known = this.#ports.get(odpPort);
      if (known) known.counted = [sum([...known.counted, stats])];
    }
    for (const { name, frame } of report.transmitted) this.#dummies.port(name).onTransmit?.(frame);
  }

  #plug(odpPort: number, name: string): void {
    const cable = this.#dummies.port(name);
    cable.onReceive = (frames) => {
      if (this.caughtUp()) return 0;
      for (const frame of frames) this.#first.tell({ op: "dummyReceive", odpPort, frame: ownBytes(frame) });
      this.#isBarrierDue = true;
      return frames.length;
    };
    cable.onLink = (link) => this.#tellAll({ op: "dummyLink", odpPort, link });
    if (!cable.link) this.#tellAll({ op: "dummyLink", odpPort, link: false });
  }

  #unplug(name: string): void {
    const cable = this.#dummies.port(name);
    cable.onReceive = undefined;
    cable.onLink = undefined;
  }
}

/** Adds up numbers by name. */
function sum<T extends object>(all: readonly T[]): T {
  const total: Record<string, number> = {};
  for (const one of all)
    for (const [name, value] of Object.entries(one)) total[name] = (total[name] ?? 0) + (value as number);
  return total as T;
}

/** The bytes alone: what goes to the thread is copied with all of the buffer that it is a part of. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
