import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
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
} from "../../dpif/dpif.js";
import type { FlowKey } from "../../flow/flow-key.js";
import { DummyHub } from "../../netdev/dummy.js";
import { type Libc, loadLibc } from "../../netdev/libc.js";
import {
  type AddedPort,
  type Command,
  PENDING_WORDS,
  pendingIndex,
  type Reply,
  type Report,
  type WorkerData,
} from "./messages.js";
import type { UserspaceDpifOptions } from "./options.js";

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
/** A datapath that fails is started again after this long, then twice as long, up to the second. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** One that has run this long before it failed begins again with the shortest wait. */
const STEADY_MS = 60_000;

/** Commands that go in one message. */
const MAX_BATCH = 64;

interface KnownPort {
  readonly port: DpPort;
  readonly spec: DpPortSpec;
  /** Of a TAP device: the descriptor that keeps it, whichever thread uses it. */
  fd: number | undefined;
}

interface Waiting {
  readonly command: Command & { seq: number };
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type Request = DistributiveOmit<Extract<Command, { seq: number }>, "seq">;

/** The datapath in a thread of its own. Commands go by the thread's port, in order, and an eventfd wakes its poll.
 *  What it has been told is remembered, so that a thread that failed can be replaced by one that knows the same. */
export class WorkerDpif implements Dpif {
  readonly type = "netdev";
  readonly events = new EventEmitter<DpifEvents>();
  readonly #options: UserspaceDpifOptions;
  readonly #dummies: DummyHub;
  readonly #libc: Libc;
  readonly #wakeFd: number;
  readonly #one = new BigUint64Array(new ArrayBuffer(8)).fill(1n);
  readonly #oneAddress: number;
  #pending = newPending();
  #worker: Worker;
  readonly #ports = new Map<number, KnownPort>();
  readonly #flows = new Map<number, DpFlow>();
  readonly #meters = new Map<number, MeterConfig>();
  readonly #queues = new Map<number, QueuesConfig>();
  readonly #waiting = new Map<number, Waiting>();
  #seq = 0;
  /** Commands that have not been sent yet: those of one turn go together. */
  #outbox: Command[] = [];
  #isWakeDue = false;
  #isBarrierDue = false;
  #barrier = Promise.resolve();
  #startedAt: number;
  #restartMs = RESTART_MS;
  #restarts = 0;
  #restartTimer: Timer | undefined;
  #isDown = false;
  #isDestroyed = false;

  /** Throws an Error of one line where threads cannot reach devices (no koffi, no Linux). */
  constructor(options: UserspaceDpifOptions) {
    this.#options = options;
    this.#dummies = options.dummies ?? new DummyHub();
    this.#libc = loadLibc();
    this.#oneAddress = this.#libc.addressOf(this.#one.buffer);
    this.#wakeFd = this.#libc.eventfd(0, EFD_NONBLOCK_CLOEXEC);
    if (this.#wakeFd < 0) throw new Error("the datapath cannot make an eventfd");
    this.#startedAt = options.clock.now();
    this.#worker = this.#start();
  }

  async portAdd(spec: DpPortSpec): Promise<DpPort> {
    for (const { port } of this.#ports.values()) {
      if (port.name === spec.name) throw new Error(`${spec.name}: already a port of the datapath`);
    }
    let odpPort = 1;
    while (this.#ports.has(odpPort)) odpPort++;
    const reserved: KnownPort = {
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
    };
    // The number and the name are taken while the thread opens the device.
    this.#ports.set(odpPort, reserved);
    try {
      const added = (await this.#ask({ op: "portAdd", odpPort, spec, adoptFd: undefined })) as AddedPort;
      const { gone: _, ...status } = added.status;
      Object.assign(reserved.port, status);
      reserved.fd = added.fd;
    } catch (error) {
      this.#ports.delete(odpPort);
      throw error;
    }
    if (spec.type === "dummy") this.#plug(odpPort, spec.name);
    return reserved.port;
  }

  async portDel(odpPort: number): Promise<void> {
    const known = this.#ports.get(odpPort);
    if (!known) return;
    if (known.spec.type === "dummy") this.#unplug(known.port.name);
    await this.#ask({ op: "portDel", odpPort });
    this.#ports.delete(odpPort);
    this.#queues.delete(odpPort);
  }

  portStats(odpPort: number): Promise<NetdevStats> {
    return this.#ask({ op: "portStats", odpPort }) as Promise<NetdevStats>;
  }

  async portSet(odpPort: number, change: DpPortChange): Promise<void> {
    await this.#ask({ op: "portSet", odpPort, change });
  }

  flowPut({ id, key, mask, actions }: DpFlow): void {
    const flow = { id, key, mask, actions: ownActions(actions) };
    this.#flows.set(id, flow);
    this.#tell({ op: "flowPut", flow });
  }

  flowDel(id: number): void {
    this.#flows.delete(id);
    this.#tell({ op: "flowDel", id });
  }

  flowFlush(): void {
    this.#flows.clear();
    this.#tell({ op: "flowFlush" });
  }

  execute(
    packet: Uint8Array,
    odpPort: number,
    actions: readonly OdpAction[],
    key?: FlowKey,
    offload?: Offload,
  ): void {
    const command = { packet: ownBytes(packet), odpPort, actions: ownActions(actions), key, offload };
    this.#tell({ op: "execute", ...command });
  }

  /** When nothing was told since the last barrier, that one's answer serves. */
  barrier(): Promise<void> {
    if (this.#isBarrierDue) {
      this.#isBarrierDue = false;
      this.#barrier = this.#ask({ op: "barrier" }).then(() => undefined);
    }
    return this.#barrier;
  }

  async syncStats(): Promise<void> {
    await this.#ask({ op: "syncStats" });
  }

  meterSet(id: number, config: MeterConfig | null): void {
    if (config) this.#meters.set(id, config);
    else this.#meters.delete(id);
    this.#tell({ op: "meterSet", id, config });
  }

  meterStats(id: number): Promise<MeterStats | undefined> {
    return this.#ask({ op: "meterStats", id }) as Promise<MeterStats | undefined>;
  }

  queuesSet(odpPort: number, config: QueuesConfig | null): void {
    if (!this.#ports.has(odpPort)) return;
    if (config) this.#queues.set(odpPort, config);
    else this.#queues.delete(odpPort);
    this.#tell({ op: "queuesSet", odpPort, config });
  }

  queueStats(odpPort: number): Promise<readonly QueueStats[]> {
    return this.#ask({ op: "queueStats", odpPort }) as Promise<readonly QueueStats[]>;
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const counters = (await this.#ask({ op: "counters" })) as Record<string, number>;
    return { ...counters, restarts: this.#restarts };
  }

  async threadCounters(): Promise<readonly Readonly<Record<string, number>>[]> {
    return [await this.counters()];
  }

  async destroy(): Promise<void> {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#restartTimer?.cancel();
    for (const { spec } of this.#ports.values()) if (spec.type === "dummy") this.#unplug(spec.name);
    if (this.#isDown) {
      for (const { fd } of this.#ports.values()) if (fd !== undefined) this.#libc.close(fd);
    } else {
      const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
      await this.#ask({ op: "destroy" });
      await ended;
    }
    for (const { reject } of this.#waiting.values()) reject(new Error("the datapath was destroyed"));
    this.#waiting.clear();
    this.#libc.close(this.#wakeFd);
    this.events.removeAllListeners();
  }

  /** Makes the thread fail, as a bug would. For tests. */
  crash(): void {
    this.#tell({ op: "crash" });
  }

  #start(): Worker {
    const data: WorkerData = {
      wakeFd: this.#wakeFd,
      pending: this.#pending,
      maxFlows: this.#options.maxFlows,
    };
    const worker = new Worker(workerFile(), { workerData: data, name: "datapath" });
    worker.on("message", (report: Report) => this.#take(report));
    worker.on("error", (error) => this.#failed(worker, error));
    worker.on("exit", (code) => {
      if (!this.#isDestroyed) this.#failed(worker, new Error(`the datapath's thread ended with ${code}`));
    });
    return worker;
  }

  #failed(worker: Worker, error: unknown): void {
    if (this.#isDown || this.#isDestroyed || worker !== this.#worker) return;
    this.#isDown = true;
    this.#outbox = [];
    this.#restarts++;
    const { clock, log } = this.#options;
    if (clock.now() - this.#startedAt > STEADY_MS) this.#restartMs = RESTART_MS;
    const text = error instanceof Error ? error.message : String(error);
    log.warn(`the datapath failed and starts again in ${this.#restartMs} ms: ${text}`);
    this.#restartTimer = clock.setTimeout(() => this.#restart(), this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, MAX_RESTART_MS);
    this.events.emit("error", error instanceof Error ? error : new Error(text));
  }

  /** A new thread is told all that the old one knew, and what it has not answered. */
  #restart(): void {
    this.#pending = newPending();
    this.#isDown = false;
    this.#startedAt = this.#options.clock.now();
    this.#worker = this.#start();
    const unanswered = [...this.#waiting.values()];
    const isUnanswered = new Set(
      unanswered.flatMap(({ command }) => (command.op === "portAdd" ? [command.odpPort] : [])),
    );
    for (const [odpPort, { spec, fd }] of this.#ports) {
      if (isUnanswered.has(odpPort)) continue;
      this.#ask({ op: "portAdd", odpPort, spec, adoptFd: fd }).catch((error: Error) => {
        this.#options.log.warn(`after the restart: ${error.message}`);
      });
    }
    for (const [odpPort, config] of this.#queues) this.#tell({ op: "queuesSet", odpPort, config });
    for (const [id, config] of this.#meters) this.#tell({ op: "meterSet", id, config });
    for (const flow of this.#flows.values()) this.#tell({ op: "flowPut", flow });
    for (const { command } of unanswered) this.#tell(command);
    this.#options.log.info(`the datapath is back with ${this.#ports.size} ports, ${this.#flows.size} flows`);
  }

  #tell(command: Command): void {
    if (!("seq" in command)) this.#isBarrierDue = true;
    // What is not remembered is lost while there is nobody to hear it.
    if (this.#isDown) return;
    this.#outbox.push(command);
    if (this.#outbox.length >= MAX_BATCH) this.#post();
    if (this.#isWakeDue) return;
    // One wake-up serves all that is told in this turn: it is written when the turn ends.
    this.#isWakeDue = true;
    queueMicrotask(() => {
      this.#isWakeDue = false;
      if (this.#outbox.length > 0) this.#post();
      this.#libc.write(this.#wakeFd, this.#oneAddress, 8);
    });
  }

  #post(): void {
    const commands = this.#outbox;
    this.#outbox = [];
    this.#worker.postMessage(commands);
  }

  #ask(request: Request): Promise<unknown> {
    const command = { ...request, seq: ++this.#seq } as Command & { seq: number };
    return new Promise((resolve, reject) => {
      this.#waiting.set(command.seq, { command, resolve, reject });
      this.#tell(command);
    });
  }

  #take(report: Report): void {
    const now = this.#options.clock.now();
    for (const text of report.errors) this.events.emit("error", new Error(text));
    if (report.stats.length > 0) {
      this.events.emit(
        "stats",
        report.stats.map((delta) => ({ ...delta, usedMs: now - delta.usedMs })),
      );
    }
    for (const event of report.ports) {
      const known = this.#ports.get(event.odpPort);
      if (!known) continue;
      const { gone: _, ...change } = event;
      Object.assign(known.port, change);
      this.events.emit("port", event);
    }
    for (const reply of report.replies) this.#answer(reply);
    for (const { name, frame } of report.transmitted) this.#dummies.port(name).onTransmit?.(frame);
    for (const upcall of report.upcalls) {
      Atomics.sub(this.#pending, 0, 1);
      Atomics.sub(this.#pending, pendingIndex(upcall.odpPort), 1);
      this.events.emit("upcall", upcall);
    }
  }

  #answer(reply: Reply): void {
    const waiting = this.#waiting.get(reply.seq);
    if (!waiting) return;
    this.#waiting.delete(reply.seq);
    if (reply.error === undefined) waiting.resolve(reply.value);
    else waiting.reject(new Error(reply.error));
  }

  #plug(odpPort: number, name: string): void {
    const cable = this.#dummies.port(name);
    cable.onReceive = (frames) => {
      for (const frame of frames) this.#tell({ op: "dummyReceive", odpPort, frame: ownBytes(frame) });
      return frames.length;
    };
    cable.onLink = (link) => this.#tell({ op: "dummyLink", odpPort, link });
    if (!cable.link) this.#tell({ op: "dummyLink", odpPort, link: false });
  }

  #unplug(name: string): void {
    const cable = this.#dummies.port(name);
    cable.onReceive = undefined;
    cable.onLink = undefined;
  }
}

/** The bytes alone: what goes to the thread is copied with all of the buffer that it is a part of. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);

const ownActions = (actions: readonly OdpAction[]): readonly OdpAction[] =>
  actions.map((action) => {
    if (action.type === "set_field") {
      const value = ownBytes(action.value);
      return action.mask ? { ...action, value, mask: ownBytes(action.mask) } : { ...action, value };
    }
    return "actions" in action ? { ...action, actions: ownActions(action.actions) } : action;
  });

const newPending = (): Int32Array => new Int32Array(new SharedArrayBuffer(PENDING_WORDS * 4));

/** The thread's program: beside this file when built; in the build's place when this is the source (under vitest). */
function workerFile(): string {
  const beside = fileURLToPath(new URL("./worker.js", import.meta.url));
  if (existsSync(beside)) return beside;
  const built = fileURLToPath(new URL("../../../dist/datapath/userspace/worker.js", import.meta.url));
  if (existsSync(built)) return built;
  throw new Error(`the datapath's thread is not built: ${built} is missing (npm run build)`);
}
