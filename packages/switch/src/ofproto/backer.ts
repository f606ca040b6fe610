import type { Clock, Timer } from "@sluice/runtime";
import type { OdpAction } from "../dpif/actions.js";
import {
  DATAGRAM,
  DEFAULT_VLAN_LIMIT,
  type DpFlow,
  type Dpif,
  type DpPort,
  type DpPortEvent,
  type DpPortSpec,
  type Offload,
  type Upcall,
} from "../dpif/dpif.js";
import { extract, Layers, MAX_TAGS } from "../flow/extract.js";
import { type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import type { TableChange } from "./lookup-index.js";
import { Megaflows } from "./megaflows.js";
import type { Action } from "./of.js";
import type { OfPort } from "./ofport.js";
import { Reassembler } from "./reassembly.js";
import type { OfprotoCommon, OfprotoLog } from "./types.js";
import { KeyedMatch } from "./wire-match.js";
import type { Effect, Recorder } from "./xlate/context.js";
import {
  ContentTable,
  type Frozen,
  frozenText,
  type PacketInContext,
  packetInText,
} from "./xlate/contexts.js";
import { macTag, translate, type XlateInput, type XlateResult, XlateScratch } from "./xlate/pipeline.js";
import type { XBridge, XContexts } from "./xlate/world.js";

export interface BackerOptions extends OfprotoCommon {
  dpif: Dpif;
  /** Megaflows kept in the datapath: 200,000 by default (Open_vSwitch other_config:flow-limit). */
  flowLimit?: number;
  /** ms after which an unused megaflow leaves the datapath: 10,000 by default (other_config:max-idle). */
  maxIdle?: number;
}

/** What the backer needs of a bridge beyond what translation sees. */
export interface BackedBridge extends XBridge {
  /** A packet for the controllers. */
  packetIn(context: PacketInContext, packet: Uint8Array, totalLen: number): void;
  portChanged(port: OfPort, change: DpPortEvent): void;
  heard(effect: Effect & { type: "mac" }, usedMs: number): void;
  /** An NXAST_LEARN action was met. */
  learn(effect: Effect & { type: "learn" }, usedMs: number): void;
  /** An NXAST_FIN_TIMEOUT action was met by the end of a TCP connection. */
  finished(effect: Effect & { type: "fin" }): void;
  /** Drops MACs that have aged. */
  age(): void;
  forgetMacs(macs: readonly { readonly vlan: number; readonly mac: number }[]): void;
}

const FLOW_LIMIT = 200_000;
const MAX_IDLE_MS = 10_000;
/** Different packet-ins, and different recirculations, that megaflows may refer to at a time. */
const MAX_CONTEXTS = 100_000;
/** ms between rounds of statistics, ageing and expiry. */
const ROUND_MS = 500;
/** Megaflows translated again before others have their turn, and how many times as long that lasts. */
const SLICE = 500;
const REST = 4;

/** # The backer
 *
 *  **What.** Bridges of one datapath_type share one datapath. The backer knows whose each datapath port is, answers
 *  the datapath's upcalls, owns its megaflows and keeps them true.
 *
 *  **Order.** An upcall installs its megaflow before the packet is executed, so that an answer to the packet finds it
 *  there. A change is in force when `barrier` resolves; without a barrier, soon after. */
export class DpBacker {
  readonly dpif: Dpif;
  readonly megaflows: Megaflows;
  readonly #clock: Clock;
  readonly #log: OfprotoLog;
  readonly #bridges = new Set<BackedBridge>();
  readonly #ports = new Map<number, OfPort>();
  readonly #byName = new Map<string, OfPort>();
  readonly #packetIns = new ContentTable<PacketInContext>(MAX_CONTEXTS, packetInText);
  readonly #frozen = new ContentTable<Frozen>(MAX_CONTEXTS, frozenText);
  readonly #layers = new Layers();
  readonly #scratch = new XlateScratch();
  readonly #reassembler = new Reassembler();
  readonly #round: Timer;
  #revalidation: Timer | undefined;
  /** Clock ms before which no slice of revalidation begins, unless a barrier waits. */
  #restUntil = 0;
  #isMaintaining = false;
  /** VLAN tags that keys tell of. */
  #tags = DEFAULT_VLAN_LIMIT;
  #isPaused = false;
  #nextMeter = 1;
  readonly #freeMeters: number[] = [];
  maxIdle: number;
  /** The rounds of statistics and expiry: megaflows of each on average and at most, and ms that the last one took. */
  readonly rounds = { average: 0, most: 0, durationMs: 0 };
  readonly counters = { upcalls: 0, upcallsUnknownPort: 0, packetIns: 0, packetInsStale: 0, xlateErrors: 0 };
  /** What became of fragments, where they are put together. */
  readonly fragmentCounters = this.#reassembler.counters;

  /** Numbers for what actions refer to. */
  readonly contexts: XContexts = {
    packetIn: (context) => this.#packetIns.idOf(context),
    freeze: (state) => this.#frozen.idOf(state),
  };

  constructor(options: BackerOptions) {
    this.dpif = options.dpif;
    this.#clock = options.clock;
    this.#log = options.log;
    this.maxIdle = options.maxIdle ?? MAX_IDLE_MS;
    this.megaflows = new Megaflows(
      options.dpif,
      {
        translate: (key) => this.translateKey(key, undefined, this.#scratch),
        ref: (actions) => this.#forEachContext(actions, "ref"),
        unref: (actions) => this.#forEachContext(actions, "unref"),
        apply: (effects, usedMs) => this.apply(effects, usedMs),
      },
      options.flowLimit ?? FLOW_LIMIT,
    );
    this.dpif.events.on("upcall", this.#onUpcall);
    this.dpif.events.on("port", this.#onPort);
    this.#round = this.#clock.setInterval(() => void this.#maintain(), ROUND_MS);
  }

  /** Stops timers; the bridges are destroyed before. Does not destroy the dpif. */
  close(): void {
    this.#round.cancel();
    this.#revalidation?.cancel();
    this.#revalidation = undefined;
    this.dpif.events.off("upcall", this.#onUpcall);
    this.dpif.events.off("port", this.#onPort);
    this.megaflows.close();
  }

  /** Flows are being restored (Open_vSwitch other_config flow-restore-wait): packets that would be translated by half
   *  of them are dropped. */
  isWaiting = false;

  /** Open_vSwitch other_config flow-limit, max-idle (ms) and vlan-limit: VLAN tags that matches see; 0: as many as there
   *  can be. */
  configure(config: { flowLimit?: number; maxIdle?: number; vlanLimit?: number }): void {
    this.megaflows.limit = config.flowLimit ?? FLOW_LIMIT;
    this.maxIdle = config.maxIdle ?? MAX_IDLE_MS;
    const { vlanLimit = DEFAULT_VLAN_LIMIT } = config;
    const tags = vlanLimit === 0 ? MAX_TAGS : Math.min(vlanLimit, MAX_TAGS);
    if (tags === this.#tags) return;
    // What is cached stays true: its masks say what of a key it depended on.
    this.#tags = tags;
    this.dpif.tagsSet(tags);
  }

  attach(bridge: BackedBridge): void {
    this.#bridges.add(bridge);
  }

  detach(bridge: BackedBridge): void {
    this.#bridges.delete(bridge);
  }

  /** Opens a port in the datapath. */
  openPort(spec: DpPortSpec): Promise<DpPort> {
    return this.dpif.portAdd(spec);
  }

  /** Makes a port known: packets from it go to its bridge, patch ports that name it find it. */
  adopt(port: OfPort): void {
    if (port.odpPort !== undefined) this.#ports.set(port.odpPort, port);
    this.#byName.set(port.name, port);
    this.connectPatches();
    this.changed();
  }

  /** Forgets ports. Their megaflows are gone, and the datapath's ports too, when this resolves. */
  async release(ports: readonly OfPort[]): Promise<void> {
    for (const port of ports) {
      if (this.#byName.get(port.name) === port) this.#byName.delete(port.name);
      if (port.odpPort !== undefined) this.#ports.delete(port.odpPort);
    }
    this.connectPatches();
    this.changed();
    await this.#revalidated();
    for (const { odpPort } of ports) if (odpPort !== undefined) await this.dpif.portDel(odpPort);
  }

  /** A port of `bridge` behind which these addresses were is going. Who was behind it may be behind another port now, and
   *  so by another way from the other bridges, too: they forget them as well. */
  forgetMacs(bridge: BackedBridge, macs: readonly { readonly vlan: number; readonly mac: number }[]): void {
    if (macs.length === 0) return;
    for (const other of this.#bridges) if (other !== bridge) other.forgetMacs(macs);
  }

  /** Joins patch ports that name each other. */
  connectPatches(): void {
    for (const port of this.#byName.values()) {
      if (port.peerName === undefined) continue;
      const other = this.#byName.get(port.peerName);
      const peer = other?.peerName === port.name ? other : undefined;
      if (peer === port.peer) continue;
      port.peer = peer;
      this.changed();
    }
  }

  portNamed(name: string): OfPort | undefined {
    return this.#byName.get(name);
  }

  portByOdp(odpPort: number): OfPort | undefined {
    return this.#ports.get(odpPort);
  }

  /** Anything that translations depend on may have changed. */
  changed(): void {
    this.megaflows.changed();
    this.#schedule();
  }

  /** A rule came, went or changed. */
  ruleChanged(change: TableChange): void {
    this.megaflows.ruleChanged(change);
    this.#schedule();
  }

  /** So many rules are about to change. */
  rulesChange(count: number): void {
    this.megaflows.rulesChange(count);
    this.#schedule();
  }

  /** A place in a MAC table has changed. */
  macChanged(bridge: XBridge, vlan: number, mac: number): void {
    this.megaflows.macChanged(macTag(bridge, vlan, mac));
    this.#schedule();
  }

  /** While it is paused no megaflow expires or is translated again, but where somebody waits for a change: those put in
   *  by hand stay until then. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused;
    if (isPaused) this.#revalidation?.cancel();
    if (isPaused) this.#revalidation = undefined;
    else if (this.megaflows.isStale) this.#schedule();
  }

  /** Puts a megaflow in as somebody wants it; what OpenFlow would do with its packets says for whom they count. Gives
   *  its id; 0: there is no room. */
  putByHand(flow: Omit<DpFlow, "id">, mayStay: boolean): number {
    const in_port = this.#ports.get(flow.key[LANE_IN_PORT]!)?.ofport ?? 0;
    const result = this.translateKey(flow.key);
    return this.megaflows.putByHand(flow, in_port, result, mayStay, this.#clock.now());
  }

  #schedule(): void {
    if (this.megaflows.size === 0 || this.#revalidation || this.#isPaused) return;
    this.#revalidation = this.#clock.setTimeout(
      this.#revalidate,
      Math.max(0, this.#restUntil - this.#clock.now()),
    );
  }

  /** Resolves when every change so far is in force for the next packet. Packets and requests of others have their turn
   *  while many megaflows have to change. */
  async barrier(): Promise<void> {
    await this.#revalidated();
    await this.dpif.barrier();
  }

  /** Resolves when all megaflows are true. */
  async #revalidated(): Promise<void> {
    for (;;) {
      const behind = this.dpif.caughtUp();
      if (behind) await behind;
      this.megaflows.revalidate(SLICE);
      if (!this.megaflows.isStale) return;
      await othersTurn();
    }
  }

  /** Resolves when all counters are current. */
  syncStats(): Promise<void> {
    return this.megaflows.syncStats();
  }

  /** Resolves when every change so far is in force and what was counted before is known; undefined when no cached flow
   *  counts. */
  settleStats(): Promise<void> | undefined {
    return this.megaflows.isCounting ? this.barrier().then(() => this.syncStats()) : undefined;
  }

  /** Gives a meter's number back once no megaflow has it any more. */
  async retireMeter(dpId: number): Promise<void> {
    try {
      await this.barrier();
    } catch (error) {
      this.#log.warn(`meter ${dpId}: ${(error as Error).message}`);
    }
    this.returnMeter(dpId);
  }

  /** A number for a meter in the datapath, which the bridges share. */
  takeMeter(): number {
    return this.#freeMeters.pop() ?? this.#nextMeter++;
  }

  returnMeter(dpId: number): void {
    this.dpif.meterSet(dpId, null);
    this.#freeMeters.push(dpId);
  }

  /** What the bridges would do with a packet of this flow; undefined when its port is nobody's. */
  translateKey(key: FlowKey, record?: Recorder, scratch?: XlateScratch): XlateResult | undefined {
    const start = this.#startOf(key);
    if (!start) return undefined;
    const { bridge, inPort, in_port } = start;
    const result = translate({ bridge, inPort, in_port, start: start.start, key, record, scratch });
    if (result.error) {
      this.counters.xlateErrors++;
      this.#log.warn(`${start.bridge.name}: translation gave up: ${result.error}`);
    }
    return result;
  }

  /** The flow of a packet, as the datapath would extract it. */
  keyOf(packet: Uint8Array, odpPort: number): FlowKey {
    const key = newFlowKey();
    extract(packet, 0, packet.length, key, this.#layers, this.#tags);
    key[LANE_IN_PORT] = odpPort;
    return key;
  }

  /** The match that a packet alone has. */
  matchOf(packet: Uint8Array): KeyedMatch {
    const match = new KeyedMatch();
    match.key.set(this.keyOf(packet, 0));
    match.mask.fill(0xffff_ffff);
    return match;
  }

  /** What actions make of a packet that no port has brought (1.3.5 §7.3.7), by the tables as they are now: the call
   *  that carries it out. */
  preparePacketOut(
    bridge: XBridge,
    packet: Uint8Array,
    in_port: number,
    actions: readonly Action[],
  ): () => void {
    const inPort = bridge.portMap.get(in_port);
    const odpPort = inPort?.odpPort ?? 0;
    const key = this.keyOf(packet, odpPort);
    const result = translate({ bridge, inPort, in_port, key, start: { actions } });
    return () => this.#carryOut(packet, odpPort, key, result, undefined);
  }

  readonly #onUpcall = (upcall: Upcall): void => {
    if (upcall.kind === "action") {
      const context = this.#packetIns.get(upcall.cookie);
      if (context?.reason === "fragment") {
        this.#reassemble(context, upcall);
        return;
      }
      this.counters[context ? "packetIns" : "packetInsStale"]++;
      if (context) (context.bridge as BackedBridge).packetIn(context, upcall.packet, upcall.totalLen);
      return;
    }
    if (this.isWaiting) return;
    this.counters.upcalls++;
    const result = this.translateKey(upcall.key, undefined, this.#scratch);
    if (!result) {
      this.counters.upcallsUnknownPort++;
      return;
    }
    const in_port = this.#ports.get(upcall.odpPort)?.ofport ?? 0;
    this.megaflows.install(upcall.key, in_port, result, this.#clock.now());
    this.#carryOut(upcall.packet, upcall.odpPort, upcall.key, result, upcall.offload);
  };

  /** A whole datagram comes in where its fragments did. */
  #reassemble({ bridge, in_port }: PacketInContext, { packet, odpPort }: Upcall): void {
    const whole = this.#reassembler.push(`${bridge.name} ${in_port}`, packet, this.#clock.now());
    if (!whole) return;
    const key = this.keyOf(whole, odpPort);
    const inPort = bridge.portMap.get(in_port);
    const result = translate({ bridge, inPort, in_port, key, start: "tables" });
    this.#carryOut(whole, odpPort, key, result, DATAGRAM);
  }

  /** What waits for the packets that come back with this recirc_id. */
  frozen(recirc: number): Frozen | undefined {
    const frozen = this.#frozen.get(recirc);
    return frozen && this.#bridges.has(frozen.bridge as BackedBridge) ? frozen : undefined;
  }

  #carryOut(
    packet: Uint8Array,
    odpPort: number,
    key: FlowKey,
    result: XlateResult,
    offload: Offload | undefined,
  ): void {
    const now = this.#clock.now();
    for (const sink of result.sinks) sink.credit(1, packet.length, now);
    this.apply(result.effects, now);
    if (result.actions.length > 0) this.dpif.execute(packet, odpPort, result.actions, key, offload);
  }

  #startOf(key: FlowKey): Pick<XlateInput, "bridge" | "inPort" | "in_port" | "start"> | undefined {
    const recirc = key[LANE_RECIRC_ID]!;
    if (recirc === 0) {
      const inPort = this.#ports.get(key[LANE_IN_PORT]!);
      return inPort && { bridge: inPort.bridge, inPort, in_port: inPort.ofport, start: "tables" };
    }
    const frozen = this.frozen(recirc);
    if (!frozen) return undefined;
    const { bridge, in_port } = frozen;
    return { bridge, inPort: bridge.portMap.get(in_port), in_port, start: { frozen } };
  }

  /** Carries out what a packet's translation asks for beside forwarding it. */
  apply(effects: readonly Effect[], usedMs = this.#clock.now()): void {
    for (const effect of effects) {
      if (effect.type === "mac") (effect.heard.bridge as BackedBridge).heard(effect, usedMs);
      else if (effect.type === "learn") (effect.bridge as BackedBridge).learn(effect, usedMs);
      else (effect.bridge as BackedBridge).finished(effect);
    }
  }

  readonly #onPort = (change: DpPortEvent): void => {
    const port = this.#ports.get(change.odpPort);
    if (port) (port.bridge as BackedBridge).portChanged(port, change);
  };

  /** Revalidates a slice; then packets, requests and others have their turn for four times as long. */
  readonly #revalidate = (): void => {
    if (!this.#revalidation) return;
    const behind = this.dpif.caughtUp();
    if (behind) {
      void behind.then(this.#revalidate);
      return;
    }
    const begun = this.#clock.now();
    this.#revalidation = undefined;
    this.megaflows.revalidate(SLICE);
    const now = this.#clock.now();
    this.#restUntil = now + REST * (now - begun);
    if (this.megaflows.isStale) this.#schedule();
  };

  /** A round of statistics, expiry and ageing; one that takes long is not overtaken by the next. */
  async #maintain(): Promise<void> {
    if (this.#isMaintaining) return;
    this.#isMaintaining = true;
    const begun = this.#clock.now();
    const { size } = this.megaflows;
    this.rounds.average = (this.rounds.average + size) / 2;
    this.rounds.most = Math.max(this.rounds.most, size);
    try {
      await this.syncStats();
      this.#reassembler.expire(this.#clock.now());
      if (!this.#isPaused) {
        for (const _ of this.megaflows.sweep(this.#clock.now(), this.maxIdle))
          await (this.dpif.caughtUp() ?? othersTurn());
        if (this.megaflows.isStale) this.#schedule();
      }
      for (const bridge of this.#bridges) bridge.age();
    } catch (error) {
      this.#log.warn(`statistics: ${(error as Error).message}`);
    } finally {
      this.#isMaintaining = false;
      this.rounds.durationMs = this.#clock.now() - begun;
    }
  }

  #forEachContext(actions: readonly OdpAction[], change: "ref" | "unref"): void {
    for (const action of actions) {
      if (action.type === "userspace") this.#packetIns[change](action.cookie);
      else if (action.type === "recirc") this.#frozen[change](action.id);
      else if ("actions" in action) this.#forEachContext(action.actions, change);
    }
  }
}

/** Resolves when packets and requests that wait have been seen to. */
const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
