import type { Timer } from "@sluice/runtime";
import { DEFAULT_VLAN_LIMIT, type DpPortEvent } from "../dpif/dpif.js";
import type { DpBacker } from "../ofproto/backer.js";
import { Bridge, type BridgeContext } from "./bridge.js";
import type { DesiredBridge, DesiredSwitch } from "./desired.js";
import { diff, type Step } from "./diff.js";

export interface ReconfigureOptions extends BridgeContext {
  /** Opens the datapath that serves a datapath_type, or gives the one that is open. Rejects with one line. */
  backerFor(datapathType: string): Promise<DpBacker>;
  /** No bridge uses it any more. */
  releaseBacker(backer: DpBacker): Promise<void>;
}

export interface FailedBridge {
  readonly desired: DesiredBridge;
  /** One line. */
  readonly why: string;
}

/** How long a port that could not be had is left alone before it is tried again. */
const RETRY_MS = 1_000;

/** The bridges that run, and how they become what the configuration says. */
export class Bridges {
  readonly #options: ReconfigureOptions;
  readonly #bridges = new Map<string, Bridge>();
  readonly #backers = new Map<Bridge, DpBacker>();
  readonly #watched = new Map<DpBacker, (event: DpPortEvent) => void>();
  readonly #failed = new Map<string, FailedBridge>();
  readonly #complaints = new Set<string>();
  #desired: DesiredSwitch = {
    bridges: new Map(),
    flowLimit: undefined,
    maxIdle: undefined,
    cores: [],
    flowRestoreWait: false,
    vlanLimit: DEFAULT_VLAN_LIMIT,
    bundleIdleMs: undefined,
    statisticsMs: undefined,
    complaints: [],
  };
  /** Until flow-restore-wait is first seen not to be set; from then on it means nothing. */
  #isWaiting = true;
  #hasToldOfWaiting = false;
  #retry: Timer | undefined;
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;
  readonly counters = { reconfigurations: 0, retries: 0 };

  constructor(options: ReconfigureOptions) {
    this.#options = options;
  }

  get running(): ReadonlyMap<string, Bridge> {
    return this.#bridges;
  }

  /** Bridges that could not be set up. */
  get failed(): ReadonlyMap<string, FailedBridge> {
    return this.#failed;
  }

  /** What serves a running bridge: its datapath with the megaflows. */
  backerOf(bridge: Bridge): DpBacker {
    return this.#backers.get(bridge)!;
  }

  /** The cores that each datapath has a thread on; empty: one thread, on any. */
  get cores(): readonly number[] {
    return this.#desired.cores;
  }

  /** Every datapath in use. */
  backers(): ReadonlySet<DpBacker> {
    return new Set(this.#backers.values());
  }

  /** Makes it so; resolves when all of it is in force, or is known to have failed. One at a time. */
  apply(desired: DesiredSwitch): Promise<void> {
    return this.#serially(async () => {
      this.#desired = desired;
      this.#complain(desired.complaints);
      await this.#carryOut();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    await this.#serially(async () => {
      for (const name of [...this.#bridges.keys()]) await this.#removeBridge(name);
    });
  }

  #serially(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(work, work);
    return this.#work;
  }

  async #carryOut(): Promise<void> {
    this.counters.reconfigurations++;
    this.#isWaiting &&= this.#desired.flowRestoreWait;
    if (this.#isWaiting && !this.#hasToldOfWaiting) {
      this.#hasToldOfWaiting = true;
      const what =
        "no controller is connected, and packets that need the flow tables are dropped, until it is gone";
      this.#options.log("bridge").info(`other_config:flow-restore-wait is true: ${what}`);
    }
    for (const step of diff(this.#bridges, this.#desired)) {
      try {
        await this.#step(step);
      } catch (error) {
        this.#stepFailed(step, (error as Error).message.split("\n")[0]!);
      }
    }
    for (const name of this.#failed.keys()) {
      if (this.#bridges.has(name) || !this.#desired.bridges.has(name)) this.#failed.delete(name);
    }
    const { flowLimit, maxIdle, vlanLimit, cores, bundleIdleMs } = this.#desired;
    for (const { connmgr } of this.#bridges.values()) {
      connmgr.setBundleIdle(bundleIdleMs);
      await connmgr.hold(this.#isWaiting);
    }
    for (const backer of this.backers()) {
      backer.isWaiting = this.#isWaiting;
      await backer.dpif.threadsSet(cores);
      backer.configure({
        vlanLimit,
        ...(flowLimit === undefined ? {} : { flowLimit }),
        ...(maxIdle === undefined ? {} : { maxIdle }),
      });
    }
    for (const [name, bridge] of this.#bridges) {
      bridge.desired = this.#desired.bridges.get(name) ?? bridge.desired;
      bridge.forgetErrors();
    }
    this.#armRetry();
  }

  /** A step that failed leaves the difference as it was: it is tried again. Each reason is told once. */
  #stepFailed(step: Step, why: string): void {
    const log = this.#options.log("bridge");
    if (step.op !== "addBridge") {
      log.err(
        `bridge ${typeof step.bridge === "string" ? step.bridge : step.bridge.name}: ${step.op}: ${why}`,
      );
      return;
    }
    const { name } = step.bridge;
    if (this.#failed.get(name)?.why !== why) log.err(`bridge ${name}: ${why}`);
    this.#failed.set(name, { desired: step.bridge, why });
  }

  async #step(step: Step): Promise<void> {
    if (step.op === "addBridge") {
      const backer = await this.#options.backerFor(step.bridge.datapathType);
      this.#watch(backer);
      backer.isWaiting = this.#isWaiting;
      const bridge = new Bridge(step.bridge, backer, this.#options);
      this.#bridges.set(step.bridge.name, bridge);
      this.#backers.set(bridge, backer);
      await bridge.connmgr.hold(this.#isWaiting);
      return bridge.open();
    }
    if (step.op === "removeBridge") return this.#removeBridge(step.bridge);
    const bridge = this.#bridges.get(typeof step.bridge === "string" ? step.bridge : step.bridge.name);
    if (!bridge) return;
    if (step.op === "set") return bridge.set(step.setting, step.bridge);
    if (step.op === "removePorts") return bridge.removePorts(step.ports);
    if (step.op === "addPort") return bridge.addPort(step.port);
    return bridge.updatePort(step.port, step.change);
  }

  async #removeBridge(name: string): Promise<void> {
    const bridge = this.#bridges.get(name);
    if (!bridge) return;
    this.#bridges.delete(name);
    const backer = this.#backers.get(bridge)!;
    this.#backers.delete(bridge);
    await bridge.close();
    if ([...this.#backers.values()].includes(backer)) return;
    backer.dpif.events.off("port", this.#watched.get(backer));
    this.#watched.delete(backer);
    await this.#options.releaseBacker(backer);
  }

  #complain(complaints: readonly string[]): void {
    for (const complaint of complaints) {
      if (!this.#complaints.has(complaint)) this.#options.log("bridge").warn(complaint);
    }
    this.#complaints.clear();
    for (const complaint of complaints) this.#complaints.add(complaint);
  }

  /** A device may come later: ports without one are tried again for as long as they are wanted. */
  #armRetry(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    const isMissing =
      this.#failed.size > 0 || [...this.#bridges.values()].some(({ isIncomplete }) => isIncomplete);
    if (!isMissing || this.#isClosed) return;
    this.#retry = this.#options.clock.setTimeout(() => {
      this.counters.retries++;
      void this.#serially(async () => {
        if (this.#isClosed) return;
        await this.#carryOut();
        this.#options.changed();
      });
    }, RETRY_MS);
  }

  #watch(backer: DpBacker): void {
    if (this.#watched.has(backer)) return;
    const onPort = (event: DpPortEvent): void => {
      if (event.gone) void this.#serially(() => this.#lostPort(backer, event.odpPort));
      this.#options.changed();
    };
    this.#watched.set(backer, onPort);
    backer.dpif.events.on("port", onPort);
  }

  async #lostPort(backer: DpBacker, odpPort: number): Promise<void> {
    for (const [bridge, itsBacker] of this.#backers) {
      if (itsBacker !== backer) continue;
      const info = bridge.ofproto.ports().find((port) => port.odpPort === odpPort);
      if (info) await bridge.lostPort(info.name);
    }
    this.#armRetry();
    this.#options.changed();
  }
}
