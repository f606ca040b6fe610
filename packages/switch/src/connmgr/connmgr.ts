import { join } from "node:path";
import type { Duplex } from "node:stream";
import { encode, type MessageInitOf, type OfMessageInit } from "@sluice/openflow-codec";
import type { Clock, Log, Timer } from "@sluice/runtime";
import type { Ofproto } from "../ofproto/ofproto.js";
import type { FlowRemovedEvent, FlowUpdateEvent, PacketInEvent, PortStatusEvent } from "../ofproto/types.js";
import { ActiveController } from "./active-controller.js";
import { Agent, type SwitchState } from "./agent.js";
import {
  type AdoptOptions,
  type ControllerConfig,
  type ControllerStatus,
  type ControllerTarget,
  configure,
  isPassive,
  isService,
  type TargetHost,
} from "./controller.js";
import { collect, type FlowUpdate, monitorReply } from "./flow-monitor.js";
import { PacketBuffers } from "./packet-buffers.js";
import { DEFAULT_LIMITS } from "./packet-in-queue.js";
import { PassiveController } from "./passive-controller.js";
import { Snoop } from "./snoop.js";

type FlowRemoved = MessageInitOf<"OFPT_FLOW_REMOVED">;
type PortStatus = MessageInitOf<"OFPT_PORT_STATUS">;

export interface ConnMgrOptions {
  ofproto: Ofproto;
  clock: Clock;
  log: Log;
  /** A controller's status that OVSDB shows has changed. */
  onChange?: () => void;
}

/** How the connections to local tools behave. */
const SERVICE: Omit<ControllerConfig, "target"> = {
  maxBackoffMs: 8000,
  probeIntervalMs: 0,
  limits: DEFAULT_LIMITS,
  tls: {},
  isAsyncEnabled: true,
  type: "service",
};

/** A controller counts as lost after this many inactivity probe intervals without it (ovs-vswitchd.conf.db,
 *  Bridge.fail_mode): a short break must not give forwarding away. */
const LOST_AFTER_PROBES = 3;
const DEFAULT_PROBE_MS = 5_000;

/** Open_vSwitch other_config:bundle-idle-timeout. */
const DEFAULT_BUNDLE_IDLE_MS = 10_000;

/** The OpenFlow connections of one bridge: its controllers, its local service and snoop sockets. Turns what
 *  ofproto tells into messages for those who want them, and tells ofproto whether a controller is there. */
export class ConnMgr {
  readonly #ofproto: Ofproto;
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #targets = new Map<string, ControllerTarget>();
  #configs: readonly ControllerConfig[] = [];
  #isHeld = false;
  readonly #agents = new Set<Agent>();
  /** Flow updates of the request at hand. */
  readonly #updates = new Map<Agent, FlowUpdate[]>();
  readonly #state: SwitchState;
  readonly #snoop = new Snoop();
  readonly #clock: Clock;
  #service: PassiveController | undefined;
  #lost: Timer | undefined;
  #isLost = false;
  /** `packetInsDropped` is of connections that are gone; those there are count their own. */
  readonly counters = { packetIns: 0, packetInsUnwanted: 0, packetInsDropped: 0 };

  constructor(options: ConnMgrOptions) {
    this.#ofproto = options.ofproto;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#onChange = options.onChange ?? (() => {});
    this.#state = {
      ofproto: options.ofproto,
      clock: options.clock,
      log: options.log,
      buffers: new PacketBuffers(options.clock),
      generation_id: undefined,
      limits: { bundleIdleMs: DEFAULT_BUNDLE_IDLE_MS },
      agents: this.#agents,
      monitorsChanged: () => this.#watchFlows(),
    };
    const { events } = options.ofproto;
    events.on("packet_in", this.#onPacketIn);
    events.on("flow_removed", this.#onFlowRemoved);
    events.on("port_status", this.#onPortStatus);
    events.on("modified", this.#onModified);
    events.on("carried_out", this.#tellUpdates);
  }

  /** Opens RUNDIR/BRIDGE.mgmt and RUNDIR/BRIDGE.snoop. Rejects with one line. */
  async openService(rundir: string): Promise<void> {
    const path = (kind: string): string => `punix:${join(rundir, `${this.#ofproto.name}.${kind}`)}`;
    this.#service = new PassiveController(this.#host, { ...SERVICE, target: path("mgmt") });
    await this.#service.ready;
    await this.#snoop.listen(path("snoop"));
  }

  /** Makes the set of controllers what it should be: keeps, adds, removes by target. */
  async setControllers(configs: readonly ControllerConfig[]): Promise<void> {
    this.#configs = configs;
    const allowed = configs.filter((config) => !this.#isHeld || isService(config));
    const wanted = new Map(allowed.map((config) => [config.target, config]));
    for (const [target, controller] of this.#targets) {
      const config = wanted.get(target);
      if (config && isService(config) === isService(controller.config)) continue;
      this.#targets.delete(target);
      await controller.close();
    }
    for (const [target, config] of wanted) {
      const controller = this.#targets.get(target);
      if (controller) controller.update(config);
      else this.#targets.set(target, this.#open(config));
    }
    this.#updateFailMode();
  }

  /** How long a bundle waits for what is still to come, ms; undefined: the default. */
  setBundleIdle(ms: number = DEFAULT_BUNDLE_IDLE_MS): void {
    this.#state.limits.bundleIdleMs = ms;
  }

  /** While held, controllers are not connected to, and yet count as being there: the flows are about to be restored by
   *  a local tool (Open_vSwitch other_config flow-restore-wait). */
  async hold(isHeld: boolean): Promise<void> {
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    await this.setControllers(this.#configs);
  }

  /** Serves a controller of the same program over a stream that is already there. */
  serve(stream: Duplex, name: string): void {
    const agent = this.#adopt({
      stream,
      name,
      config: { ...SERVICE, target: name, type: "primary" },
      onOpen: () => this.#updateFailMode(),
      onClosed: () => this.#updateFailMode(),
    });
    agent.start();
  }

  /** Of each controller, by target. */
  status(): ControllerStatus[] {
    return [...this.#targets.values()].map((target) => target.status());
  }

  /** Every connection there is, for people. */
  connections(): { name: string; role: string; isService: boolean; sent: number; received: number }[] {
    return [...this.#agents].map(({ name, role, isService, connection }) => ({
      name,
      role,
      isService,
      ...connection.counters,
    }));
  }

  /** Event counters of the bridge's connections, for coverage/show. */
  allCounters(): Record<string, number> {
    const { buffers } = this.#state;
    const { copied, missed } = this.#snoop.counters;
    const mains = [...this.#agents].filter(({ isMain }) => isMain);
    const packetIns = mains.map((agent) => agent.packetIns.counters);
    return {
      packet_in: this.counters.packetIns,
      packet_in_unwanted: this.counters.packetInsUnwanted,
      packet_in_dropped: packetIns.reduce(
        (sum, { dropped }) => sum + dropped,
        this.counters.packetInsDropped,
      ),
      packet_buffered: buffers.counters.stored,
      packet_buffers_full: buffers.counters.full,
      snoop_copied: copied,
      snoop_missed: missed,
    };
  }

  /** The target of a passive controller with the port really taken. */
  boundTarget(target: string): string | undefined {
    const controller = this.#targets.get(target);
    return controller instanceof PassiveController ? controller.boundTarget : undefined;
  }

  /** Drops every controller's connection and connects anew. */
  reconnect(): void {
    for (const target of this.#targets.values()) target.reconnect();
  }

  async close(): Promise<void> {
    const { events } = this.#ofproto;
    events.off("packet_in", this.#onPacketIn);
    events.off("flow_removed", this.#onFlowRemoved);
    events.off("port_status", this.#onPortStatus);
    events.off("flow_update", this.#onFlowUpdate);
    events.off("modified", this.#onModified);
    events.off("carried_out", this.#tellUpdates);
    this.#lost?.cancel();
    const targets = [...this.#targets.values()];
    this.#targets.clear();
    await Promise.all(targets.map((target) => target.close()));
    await this.#service?.close();
    await this.#snoop.close();
    for (const agent of this.#agents) agent.close("switch stops");
  }

  #open(config: ControllerConfig): ControllerTarget {
    return isPassive(config.target)
      ? new PassiveController(this.#host, config)
      : new ActiveController(this.#host, config);
  }

  readonly #host: TargetHost = ((manager: ConnMgr): TargetHost => ({
    get clock() {
      return manager.#clock;
    },
    get log() {
      return manager.#log;
    },
    adopt: (options) => manager.#adopt(options),
    changed: () => {
      manager.#updateFailMode();
      manager.#onChange();
    },
  }))(this);

  #adopt({ config, ...options }: AdoptOptions): Agent {
    const agent = new Agent({
      ...options,
      isService: isService(config),
      state: this.#state,
      onClosed: (closed, why) => {
        this.#agents.delete(closed);
        this.#watchFlows();
        if (closed.isMain) this.counters.packetInsDropped += closed.packetIns.counters.dropped;
        options.onClosed?.(closed, why);
      },
    });
    if (agent.isMain) configure(agent, config);
    if (!agent.isService) agent.connection.tap = this.#snoop.copy;
    this.#agents.add(agent);
    return agent;
  }

  /** Tells ofproto whether there are controllers, and whether all have been away for long enough to count. */
  #updateFailMode(): void {
    const primaries = this.#configs.filter((config) => !isService(config));
    const configured = primaries.length > 0;
    const connected =
      this.#isHeld || [...this.#agents].some((agent) => agent.isOpen && agent.isMain && !agent.isService);
    if (connected || !configured) {
      this.#lost?.cancel();
      this.#lost = undefined;
      this.#isLost = false;
    } else if (!this.#lost && !this.#isLost) {
      const probeMs = Math.max(
        ...primaries.map(({ probeIntervalMs }) => probeIntervalMs || DEFAULT_PROBE_MS),
      );
      this.#lost = this.#clock.setTimeout(() => {
        this.#lost = undefined;
        this.#isLost = true;
        this.#updateFailMode();
      }, LOST_AFTER_PROBES * probeMs);
    }
    this.#ofproto.setControllerState({ configured, connected: configured && !this.#isLost });
  }

  readonly #onPacketIn = (event: PacketInEvent): void => {
    let isWanted = false;
    for (const agent of this.#agents) {
      if (agent.channel.controllerId !== event.controllerId || !agent.wants("packet_in", event.reason))
        continue;
      isWanted = true;
      agent.packetIn(event);
    }
    if (isWanted) this.counters.packetIns++;
    else this.counters.packetInsUnwanted++;
  };

  readonly #onFlowRemoved = (event: FlowRemovedEvent): void => {
    // OpenFlow 1.3 has no reason for a deleted meter (§7.4.2): the flow was deleted.
    const reason = event.reason === "OFPRR_METER_DELETE" ? "OFPRR_DELETE" : event.reason;
    const match = event.match as FlowRemoved["match"];
    for (const agent of this.#agents) {
      if (agent.wants("flow_removed", reason)) {
        agent.notify({ ...event, type: "OFPT_FLOW_REMOVED", reason: reason as FlowRemoved["reason"], match });
      }
    }
  };

  /** Flow updates are listened to only while somebody monitors: each costs ofproto its description. */
  #watchFlows(): void {
    const { events } = this.#ofproto;
    events.off("flow_update", this.#onFlowUpdate);
    const isMonitored = [...this.#agents].some(({ flowMonitors }) => !flowMonitors.isEmpty);
    if (isMonitored) events.on("flow_update", this.#onFlowUpdate);
  }

  readonly #onFlowUpdate = (event: FlowUpdateEvent): void => {
    for (const agent of this.#agents) {
      if (agent.flowMonitors.isEmpty) continue;
      const update = agent.flowMonitors.update(event, agent === event.owner ? agent.currentXid : undefined);
      if (!update) continue;
      if (this.#updates.size === 0) queueMicrotask(this.#tellUpdates);
      let updates = this.#updates.get(agent);
      if (!updates) {
        updates = [];
        this.#updates.set(agent, updates);
      }
      collect(updates, update);
    }
  };

  /** What one request has changed is told at once; and so is what time has. */
  readonly #tellUpdates = (): void => {
    for (const [agent, updates] of this.#updates) agent.notify(monitorReply(updates));
    this.#updates.clear();
  };

  /** ONF extension 235 (OpenFlow 1.4 §7.4.6): whoever asked for it gets the group_mods and meter_mods of others. */
  readonly #onModified = (request: { type: string }, owner: unknown): void => {
    const reason = request.type === "OFPT_GROUP_MOD" ? "OFPRFR_GROUP_MOD" : "OFPRFR_METER_MOD";
    for (const agent of this.#agents) {
      if (agent.channel === (owner as Agent | undefined)?.channel) continue;
      if (!agent.wants("requestforward", reason)) continue;
      agent.notify({ type: "ONFT_REQUESTFORWARD", request: encode(request as OfMessageInit) });
    }
  };

  /** OpenFlow 1.3 has the requester of a port_mod not told of it, and Open vSwitch the others. */
  readonly #onPortStatus = ({ reason, desc, owner }: PortStatusEvent): void => {
    for (const agent of this.#agents) {
      if (owner !== undefined && agent.channel === (owner as Agent).channel) continue;
      if (agent.wants("port_status", reason)) {
        agent.notify({ type: "OFPT_PORT_STATUS", reason: reason as PortStatus["reason"], desc });
      }
    }
  };
}
