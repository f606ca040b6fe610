import type { Clock } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import { EventEmitter } from "eventemitter3";
import type { DpPort, DpPortEvent } from "../dpif/dpif.js";
import { flowField, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import type { BackedBridge, DpBacker } from "./backer.js";
import { type CheckContext, checkActionList } from "./check.js";
import { OfpError, refuse } from "./error.js";
import { type FailState, failActions } from "./fail-mode.js";
import { FlowStore } from "./flow-store.js";
import { ANY_GROUP, GroupTable } from "./group-table.js";
import { isPinned, type LearnedMac, MacLearning } from "./mac-learning.js";
import { formatKey } from "./match.js";
import { MeterTable, OFPM } from "./meter-table.js";
import { answerMultipart, flowStatsParts } from "./multipart.js";
import type {
  FlowMod,
  GroupMod,
  Instruction,
  Match,
  MeterMod,
  MultipartReplyBody,
  MultipartRequestBody,
  PacketOut,
  Port,
  PortMod,
  TableMod,
} from "./of.js";
import { DEFAULT_MTU, OfPort } from "./ofport.js";
import { N_TABLES, type OfTable } from "./oftable.js";
import { PortTable } from "./port-table.js";
import { configureQueues, type PacketQueue, packetQueues, readQueues, selectPorts } from "./queues.js";
import { outputsOf } from "./rule.js";
import { type Transaction, transact } from "./transaction.js";
import type {
  FailMode,
  FlowTableConfig,
  MacEntry,
  MacTableConfig,
  OfprotoCommon,
  OfprotoEvents,
  OfprotoIdentity,
  OfprotoLog,
  PortInfo,
  PortSpec,
  QueueSpec,
  QueueStatistics,
  VlanConfig,
} from "./types.js";
import { scramble } from "./xlate/buckets.js";
import type { Effect } from "./xlate/context.js";
import type { PacketInContext } from "./xlate/contexts.js";
import { restorePipeline, withoutUnset } from "./xlate/field.js";
import { OFPC_FRAG, OFPG, OFPP, OFPTT } from "./xlate/reserved.js";
import { type LearnRoom, OFPPC, type XContexts, type XPort } from "./xlate/world.js";

export interface OfprotoOptions extends OfprotoCommon {
  name: string;
  datapathId: bigint;
  backer: DpBacker;
  /** What OFPMP_DESC answers; each part has a default. */
  identity?: Partial<OfprotoIdentity>;
}

/** What a bundle may hold. */
export type BundledMessage =
  | ({ readonly type: "OFPT_FLOW_MOD" } & FlowMod)
  | ({ readonly type: "OFPT_GROUP_MOD" } & GroupMod)
  | ({ readonly type: "OFPT_PORT_MOD" } & PortMod)
  | ({ readonly type: "OFPT_PACKET_OUT" } & PacketOut);

/** A bundle was refused; nothing of it was done. */
export class BundleError extends OfpError {
  constructor(
    cause: OfpError,
    /** Which message was refused. */
    readonly index: number,
  ) {
    super(cause.error_type, cause.error_code, cause.message);
  }
}

/** OFPC_* (1.3.5 §7.3.1): FLOW_STATS, TABLE_STATS, PORT_STATS, GROUP_STATS, IP_REASM, QUEUE_STATS. */
const CAPABILITIES = 0x6f;
const ETHERNET_HEADER = 14;
const DEFAULT_VLAN: VlanConfig = { vlan_mode: "trunk", tag: 0, trunks: [] };
const EVERY_GROUP = { command: "OFPGC_DELETE", group_type: "OFPGT_ALL", group_id: OFPG.ALL } as const;
const EVERY_METER = { command: "OFPMC_DELETE", flags: 0, meter_id: OFPM.ALL } as const;
const PORT_CONFIG = OFPPC.PORT_DOWN | OFPPC.NO_RECV | OFPPC.NO_FWD | OFPPC.NO_PACKET_IN;

/** One OpenFlow switch: a bridge's tables, groups, meters and ports. Requests are the codec's values; a request that
 *  the specification refuses throws OfpError with the type and code to answer. */
export class Ofproto implements BackedBridge {
  readonly name: string;
  readonly events = new EventEmitter<OfprotoEvents>();
  readonly identity: OfprotoIdentity;
  datapathId: bigint;
  forwardBpdu = false;
  fragments = 0;
  readonly macLearning: MacLearning<XPort>;
  readonly contexts: XContexts;
  floodVlans: ReadonlySet<number> = new Set();
  readonly #clock: Clock;
  readonly #log: OfprotoLog;
  readonly #backer: DpBacker;
  readonly #flows: FlowStore;
  readonly #groups: GroupTable;
  readonly #meters: MeterTable;
  readonly #ports = new PortTable();
  readonly #check: CheckContext;
  #fail: FailState = { mode: "standalone", configured: false, connected: false };

  constructor(options: OfprotoOptions) {
    this.name = options.name;
    this.datapathId = options.datapathId;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#backer = options.backer;
    this.contexts = options.backer.contexts;
    this.identity = {
      mfr_desc: "Sluice contributors",
      hw_desc: "Sluice",
      sw_desc: "0.1.0",
      serial_num: "None",
      dp_desc: options.name,
      ...withoutUndefined(options.identity ?? {}),
    };
    this.macLearning = new MacLearning(options.clock);
    const changed = (): void => this.#backer.changed();
    this.#check = {
      hasGroup: (group_id) => this.groups.has(group_id),
      hasMeter: (meter_id) => this.meters.has(meter_id),
    };
    this.#flows = new FlowStore(options.clock, {
      ...this.#check,
      ruleChanged: (change) => this.#backer.ruleChanged(change),
      rulesChange: (count) => this.#backer.rulesChange(count),
      flowRemoved: (event) => this.events.emit("flow_removed", event),
      flowUpdate: (event) => this.events.emit("flow_update", event),
      isMonitored: () => this.#isMonitored(),
      syncStats: () => this.#backer.syncStats(),
      settleStats: () => this.#backer.settleStats(),
      wantsChanges: () => this.#backer.megaflows.wantsChanges,
    });
    this.#groups = new GroupTable(options.clock, {
      check: this.#check,
      changed,
      removeFlowsTo: (group_id, transaction) =>
        this.#removeFlows(sendsTo(group_id), "OFPRR_GROUP_DELETE", transaction),
    });
    this.#meters = new MeterTable(options.clock, options.backer, {
      changed,
      removeFlowsWith: (meter_id, transaction) =>
        this.#removeFlows(uses(meter_id), "OFPRR_DELETE", transaction),
    });
    this.#backer.attach(this);
    this.#enterFailState(undefined, this.#fail);
  }

  get tables(): readonly OfTable[] {
    return this.#flows.tables;
  }

  get flows(): FlowStore {
    return this.#flows;
  }

  get groups(): GroupTable["groups"] {
    return this.#groups.groups;
  }

  get meters(): MeterTable["meters"] {
    return this.#meters.meters;
  }

  /** Ports by OpenFlow number, as translation sees them. */
  get portMap(): ReadonlyMap<number, OfPort> {
    return this.#ports.byNumber;
  }

  get backer(): DpBacker {
    return this.#backer;
  }

  /** The body of OFPT_FEATURES_REPLY. */
  features(): {
    datapath_id: bigint;
    n_buffers: number;
    n_tables: number;
    auxiliary_id: number;
    capabilities: number;
  } {
    return {
      datapath_id: this.datapathId,
      n_buffers: 0,
      n_tables: N_TABLES,
      auxiliary_id: 0,
      capabilities: CAPABILITIES,
    };
  }

  /** OFPT_GET_CONFIG_REPLY's flags (fragments); miss_send_len belongs to each connection. */
  getConfig(): { flags: number } {
    return { flags: this.fragments };
  }

  setConfig(config: { flags?: number }): void {
    const flags = config.flags ?? 0;
    if (flags > OFPC_FRAG.NX_MATCH)
      throw refuse("OFPSCFC_BAD_FLAGS", `switch configuration flags 0x${flags.toString(16)}`);
    this.fragments = flags;
    this.#backer.changed();
  }

  /** `owner` marks who asked, for flow monitors. buffer_id is the connection's affair: it sends the buffered packet
   *  to OFPP_TABLE with packetOut after this returns. */
  flowMod(message: FlowMod, owner?: unknown): void {
    this.#transact((transaction) => this.#flows.apply(message, owner, transaction), false);
  }

  groupMod(message: GroupMod, owner?: unknown): void {
    this.#transact((transaction) => this.#groups.apply(message, transaction));
    this.events.emit("modified", { ...message, type: "OFPT_GROUP_MOD" }, owner);
  }

  meterMod(message: MeterMod, owner?: unknown): void {
    this.#transact((transaction) => this.#meters.apply(message, transaction));
    this.events.emit("modified", { ...message, type: "OFPT_METER_MOD" }, owner);
  }

  #transact(body: (transaction: Transaction) => void, canUndo?: boolean): void {
    transact(body, canUndo);
    if (this.#isMonitored()) this.events.emit("carried_out");
  }

  #isMonitored(): boolean {
    return this.events.listenerCount("flow_update") > 0;
  }

  /** Refuses what could not be in a bundle whatever was before it. */
  checkBundled(message: BundledMessage): void {
    if (message.type === "OFPT_FLOW_MOD") this.#flows.check(message);
    else if (message.type === "OFPT_GROUP_MOD") this.#groups.check(message);
    else if (message.type === "OFPT_PACKET_OUT")
      this.#checkPacketOut(message, { ...this.#check, hasGroup: ANY_GROUP });
  }

  /** All or nothing, in order; `isAtomic`: packets must not see a part of it. Throws BundleError, with nothing
   *  changed. */
  bundle(messages: readonly BundledMessage[], owner?: unknown, isAtomic = false): void {
    this.#transact((transaction) => {
      messages.forEach((message, index) => {
        try {
          // A port's configuration is not the tables': it changes before or after them.
          if (isAtomic && message.type === "OFPT_PORT_MOD")
            throw refuse("OFPBFC_MSG_FAILED", "a port_mod in an atomic bundle");
          this.#applyBundled(message, owner, transaction);
        } catch (error) {
          throw error instanceof OfpError ? new BundleError(error, index) : error;
        }
      });
    });
  }

  #applyBundled(message: BundledMessage, owner: unknown, transaction: Transaction): void {
    switch (message.type) {
      case "OFPT_FLOW_MOD":
        this.#flows.apply(message, owner, transaction);
        return;
      case "OFPT_GROUP_MOD":
        this.#groups.apply(message, transaction);
        transaction.onCommit(() => this.events.emit("modified", message, owner));
        return;
      case "OFPT_PORT_MOD": {
        this.#checkPortMod(message);
        transaction.onCommit(() => this.portMod(message, owner));
        return;
      }
      case "OFPT_PACKET_OUT":
        this.#checkPacketOut(message);
        // By the tables as they are at this place of the bundle; on its way once all of it is certain.
        transaction.onCommit(this.#preparePacketOut(message));
        return;
    }
  }

  portMod(message: PortMod, owner?: unknown): void {
    const port = this.#checkPortMod(message);
    const changed = ((message.config ?? 0) ^ port.config) & (message.mask ?? 0);
    if (changed === 0) return;
    port.config ^= changed;
    if ((changed & OFPPC.PORT_DOWN) !== 0 && port.odpPort !== undefined) {
      this.#backer.dpif
        .portSet(port.odpPort, { up: (port.config & OFPPC.PORT_DOWN) === 0 })
        .catch((error: Error) => this.#log.warn(`${this.name}: ${port.name}: ${error.message}`));
    }
    port.update({});
    this.#backer.changed();
    this.events.emit("port_status", { reason: "OFPPR_MODIFY", desc: port.desc(), owner });
  }

  #checkPortMod(message: PortMod): OfPort {
    const port = this.portMap.get(message.port_no);
    if (!port) throw refuse("OFPPMFC_BAD_PORT", `there is no port ${message.port_no}`);
    if (message.hw_addr.toLowerCase() !== port.mac)
      throw refuse("OFPPMFC_BAD_HW_ADDR", `port ${message.port_no} has ${port.mac}, not ${message.hw_addr}`);
    const bits = (message.config ?? 0) | (message.mask ?? 0);
    if ((bits & ~PORT_CONFIG) !== 0) throw refuse("OFPPMFC_BAD_CONFIG", `port config 0x${bits.toString(16)}`);
    return port;
  }

  tableMod(message: TableMod): void {
    const config = message.config ?? 0;
    const table = this.tables[message.table_id];
    if (message.table_id === OFPTT.MAX) throw refuse("OFPTMFC_EPERM", "table 254 is the switch's own");
    if (message.table_id !== OFPTT.ALL && (!table || table.isRemoved))
      throw refuse("OFPTMFC_BAD_TABLE", `table ${message.table_id}`);
    if ((config & ~3) !== 0) throw refuse("OFPTMFC_BAD_CONFIG", `table config 0x${config.toString(16)}`);
    for (const table of this.tables)
      if (message.table_id === OFPTT.ALL || table.table_id === message.table_id) table.config = config;
  }

  packetOut(message: PacketOut): void {
    this.#checkPacketOut(message);
    this.#preparePacketOut(message)();
  }

  #preparePacketOut({ data, in_port, actions }: PacketOut): () => void {
    return this.#backer.preparePacketOut(this, data ?? new Uint8Array(), in_port, actions ?? []);
  }

  #checkPacketOut(message: PacketOut, check = this.#check): void {
    const { in_port } = message;
    if (in_port >= OFPP.MAX && in_port < OFPP.CONTROLLER)
      throw refuse("OFPBRC_BAD_PORT", `in_port 0x${in_port.toString(16)}`);
    const { actions = [], data } = message;
    if ((data?.length ?? 0) < ETHERNET_HEADER)
      throw refuse("OFPBRC_BAD_LEN", `a frame of ${data?.length ?? 0} bytes`);
    checkActionList(actions, check, () => this.#backer.matchOf(data!));
  }

  /** Answers OFPMP_FLOW as messages, which may be many. */
  flowStats(
    body: Extract<MultipartRequestBody, { type: "OFPMP_FLOW" }>,
    xid: number,
  ): AsyncIterable<Uint8Array> {
    return flowStatsParts(this, this.#clock, body, xid);
  }

  /** Whole; the connection splits it. */
  multipart<B extends MultipartRequestBody>(
    body: B,
  ): Promise<Extract<MultipartReplyBody, { type: B["type"] }>> {
    return answerMultipart(this, this.#clock, body) as Promise<
      Extract<MultipartReplyBody, { type: B["type"] }>
    >;
  }

  /** Queues of OFPT_QUEUE_GET_CONFIG_REPLY. */
  queueGetConfig(port_no: number): { port: number; queues: PacketQueue[] } {
    return { port: port_no, queues: selectPorts(this.portMap, port_no).flatMap(packetQueues) };
  }

  /** The queues of a port, that set_queue chooses from; undefined or none: nothing is shaped. `maxRate`, bits/s,
   *  bounds the port as a whole (OVSDB QoS other_config:max-rate). Patch ports have no queues. */
  setQueues(ofport: number, queues: readonly QueueSpec[] | undefined, maxRate?: number): void {
    const port = this.portMap.get(ofport);
    if (!port) throw new Error(`${this.name} has no port ${ofport}`);
    configureQueues(this.#backer.dpif, port, queues, maxRate, this.#clock.now());
  }

  /** What the queues of a port have sent, by queue_id. */
  queueStatistics(ofport: number): Promise<QueueStatistics[]> {
    const port = this.portMap.get(ofport);
    if (!port) return Promise.reject(new Error(`${this.name} has no port ${ofport}`));
    return readQueues(this.#backer.dpif, port, this.#clock.now());
  }

  /** Resolves when the datapath is no longer far behind with what it was told; undefined: it is not. Requests that tell it
   *  something wait for this. */
  caughtUp(): Promise<void> | undefined {
    return this.#backer.dpif.caughtUp();
  }

  /** Resolves when every request so far is in force for the next packet. */
  async barrier(): Promise<void> {
    await this.#backer.barrier();
    await this.#flows.removalsTold();
  }

  /** Adds a port; resolves with its OpenFlow number, rejects with one line for Interface.error. */
  async addPort(spec: PortSpec): Promise<number> {
    if (this.#ports.named(spec.name)) throw new Error(`${spec.name}: the bridge has a port of this name`);
    const { name, type } = spec;
    let opened: DpPort | undefined;
    if (type !== "patch") {
      const { mac, mtu } = spec;
      opened = await this.#backer.openPort({
        name,
        type,
        options: spec.options ?? {},
        ...withoutUndefined({ mac, mtu }),
      });
    }
    const ofport = name === this.name ? OFPP.LOCAL : this.#ports.allocate(spec.ofportRequest);
    if (ofport === undefined) {
      if (opened) await this.#backer.dpif.portDel(opened.odpPort);
      throw new Error(`${name}: all port numbers of ${this.name} are in use`);
    }
    const port = new OfPort({
      bridge: this,
      ofport,
      name,
      type,
      mac: opened?.mac ?? spec.mac ?? macFor(`${this.name}/${name}`),
      vlan: { ...DEFAULT_VLAN, ...spec.vlan },
      peerName: spec.patchPeer,
      nowMs: this.#clock.now(),
    });
    port.mtuRequest = spec.mtu;
    port.odpPort = opened?.odpPort;
    port.ifindex = opened?.ifindex ?? 0;
    port.update(opened ?? { link: true });
    port.linkResets = 0;
    this.#ports.byNumber.set(ofport, port);
    this.#backer.adopt(port);
    this.events.emit("port_status", { reason: "OFPPR_ADD", desc: port.desc() });
    await this.#followMtu();
    return ofport;
  }

  /** Those that are there. Together, since whatever is cached has to be looked through once. */
  async removePorts(ofports: readonly number[]): Promise<void> {
    const ports = ofports.map((ofport) => this.portMap.get(ofport)).filter((port) => port !== undefined);
    for (const { ofport } of ports) this.#ports.release(ofport);
    const unheard = this.macLearning.flush(({ port }) => this.portMap.get(port.ofport) !== port);
    this.#backer.forgetMacs(this, unheard);
    for (const port of ports) this.events.emit("port_status", { reason: "OFPPR_DELETE", desc: port.desc() });
    if (ports.length === 0) return;
    await this.#backer.release(ports);
    await this.#followMtu();
  }

  removePort(ofport: number): Promise<void> {
    return this.removePorts([ofport]);
  }

  /** Changes what may change while the port lives. */
  async updatePort(
    ofport: number,
    change: { vlan?: Partial<VlanConfig>; patchPeer?: string; mac?: string; mtu?: number; noFlood?: boolean },
  ): Promise<void> {
    const port = this.portMap.get(ofport);
    if (!port) throw new Error(`${this.name} has no port ${ofport}`);
    if (change.vlan) {
      port.vlan = { ...port.vlan, ...change.vlan };
      this.macLearning.flush((entry) => entry.port === port);
    }
    if (change.patchPeer !== undefined) port.peerName = change.patchPeer;
    if (change.noFlood !== undefined)
      port.config = change.noFlood ? port.config | OFPPC.NO_FLOOD : port.config & ~OFPPC.NO_FLOOD;
    this.#backer.connectPatches();
    this.#backer.changed();
    if ("mtu" in change) port.mtuRequest = change.mtu;
    await this.#setDevice(port, withoutUndefined({ mac: change.mac, mtu: change.mtu }));
    if ("mtu" in change) await this.#followMtu();
  }

  async #setDevice(port: OfPort, change: { mac?: string; mtu?: number }): Promise<void> {
    if (Object.keys(change).length === 0) return;
    if (port.odpPort !== undefined) await this.#backer.dpif.portSet(port.odpPort, change);
    if (port.update(change)) this.events.emit("port_status", { reason: "OFPPR_MODIFY", desc: port.desc() });
  }

  /** Somebody else has changed the MTU of a port's device: what was asked for is set again, others follow. That of an
   *  internal port is left to him. */
  async #keepMtu(port: OfPort): Promise<void> {
    if (port.followsMtu) return;
    const { mtuRequest: mtu = port.mtu } = port;
    if (mtu !== port.mtu)
      await this.#setDevice(port, { mtu }).catch((error: Error) => this.#log.warn(error.message));
    await this.#followMtu();
  }

  /** Internal ports of which nobody has asked for an MTU have the least of the others': who sends by them shall not send
   *  what does not fit out of all of them. */
  async #followMtu(): Promise<void> {
    const ports = [...this.portMap.values()] as OfPort[];
    const others = ports.filter((port) => port.type !== "patch" && !port.followsMtu);
    const mtu = others.length === 0 ? DEFAULT_MTU : Math.min(...others.map((port) => port.mtu));
    for (const port of ports) {
      if (!port.followsMtu || port.mtu === mtu) continue;
      await this.#setDevice(port, { mtu }).catch((error: Error) => this.#log.warn(error.message));
    }
  }

  /** Live ports, LOCAL included, by number. */
  ports(): PortInfo[] {
    return this.#ports.sorted().map((port) => port.info());
  }

  port(nameOrNumber: string | number): PortInfo | undefined {
    const port =
      typeof nameOrNumber === "number" ? this.portMap.get(nameOrNumber) : this.#ports.named(nameOrNumber);
    return port?.info();
  }

  /** As OFPMP_PORT_DESC describes them. */
  portDescs(): Port[] {
    return this.#ports.sorted().map((port) => port.desc());
  }

  /** OVSDB Interface.statistics: rx_packets, tx_packets, rx_bytes, … */
  async portStatistics(ofport: number): Promise<Record<string, number>> {
    const port = this.portMap.get(ofport);
    if (!port) throw new Error(`${this.name} has no port ${ofport}`);
    if (port.odpPort !== undefined) return { ...(await this.#backer.dpif.portStats(port.odpPort)) };
    await this.#backer.syncStats();
    const { rx, tx } = port;
    return { rx_packets: rx.packets, tx_packets: tx.packets, rx_bytes: rx.bytes, tx_bytes: tx.bytes };
  }

  setFailMode(mode: FailMode): void {
    this.#setFailState({ ...this.#fail, mode });
  }

  /** Told by the connection manager: whether controllers are configured, and one is there. */
  setControllerState(state: { configured: boolean; connected: boolean }): void {
    this.#setFailState({ ...this.#fail, ...state });
  }

  #setFailState(after: FailState): void {
    const before = this.#fail;
    this.#fail = after;
    this.#enterFailState(before, after);
  }

  #enterFailState(before: FailState | undefined, after: FailState): void {
    const { flush, add, hidden } = failActions(before, after);
    transact((transaction) => {
      if (flush) {
        this.#removeFlows(() => true, "OFPRR_DELETE", transaction);
        this.#groups.apply(EVERY_GROUP, transaction);
        this.#meters.apply(EVERY_METER, transaction);
      }
      if (add) this.#flows.apply(add, undefined, transaction);
      const standing = [...this.tables[0]!.rules].find((rule) => rule.hidden);
      if (hidden && !standing) this.#flows.apply(hidden, undefined, transaction);
      if (!hidden && standing) this.#flows.remove(standing, "OFPRR_DELETE", undefined, transaction);
    });
  }

  setMacTable(config: MacTableConfig): void {
    if (config.ageing !== undefined) this.macLearning.ageingMs = config.ageing * 1000;
    if (config.size !== undefined) this.macLearning.size = config.size;
    this.age();
  }

  setFlowTables(configs: readonly FlowTableConfig[]): void {
    this.#flows.configure(configs);
  }

  setFloodVlans(vlans: readonly number[]): void {
    this.floodVlans = new Set(vlans);
    this.macLearning.flush((entry) => this.floodVlans.has(entry.vlan));
    this.#backer.changed();
  }

  setForwardBpdu(on: boolean): void {
    this.forwardBpdu = on;
    this.#backer.changed();
  }

  /** What NORMAL has learned. */
  macs(): MacEntry[] {
    const now = this.#clock.now();
    return [...this.macLearning].map(({ port, vlan, mac, heardMs }) => ({
      ofport: port.ofport,
      vlan,
      mac: macFromNumber(mac),
      age: heardMs === Number.POSITIVE_INFINITY ? undefined : Math.floor((now - heardMs) / 1000),
    }));
  }

  /** Takes out what is known of these addresses. */
  forgetMacs(macs: readonly { readonly vlan: number; readonly mac: number }[]): void {
    for (const { vlan, mac } of macs) {
      const entry = this.macLearning.lookup(vlan, mac);
      if (entry) this.macLearning.forget(entry);
    }
  }

  /** Takes out what was learned; what was put there stays. */
  flushMacs(): void {
    this.macLearning.flush((entry) => !isPinned(entry));
    this.#backer.changed();
  }

  /** Says where an address is, whatever is heard. Answers where it was before, and whether somebody had said so. */
  pinMac(ofport: number, vlan: number, mac: number): { ofport: number; isStatic: boolean } | undefined {
    const port = this.portMap.get(ofport);
    if (!port) throw new Error(`${this.name} has no port ${ofport}`);
    const before = this.macLearning.lookup(vlan, mac);
    this.macLearning.pin(vlan, mac, port);
    this.#backer.macChanged(this, vlan, mac);
    return before && { ofport: before.port.ofport, isStatic: isPinned(before) };
  }

  /** Takes out an address that was put there; false when it was not. */
  unpinMac(vlan: number, mac: number): boolean {
    const entry = this.macLearning.lookup(vlan, mac);
    if (!entry || !isPinned(entry)) return false;
    this.macLearning.forget(entry);
    this.#backer.macChanged(this, vlan, mac);
    return true;
  }

  /** Removes all flows and ports. */
  async destroy(): Promise<void> {
    await this.removePorts([...this.portMap.keys()]);
    this.#flows.close();
    this.#meters.close();
    this.#backer.detach(this);
    this.#backer.changed();
    this.events.removeAllListeners();
  }

  /** BackedBridge: a packet for the controllers. */
  packetIn(context: PacketInContext, data: Uint8Array, total_len: number): void {
    const { reason, table_id, cookie, max_len, controllerId, userdata } = context;
    this.events.emit("packet_in", {
      reason,
      table_id,
      cookie,
      max_len,
      controllerId,
      ...(userdata ? { userdata } : {}),
      match: pipelineMatch(context),
      data,
      total_len,
    });
  }

  /** BackedBridge: the device changed. */
  portChanged(port: OfPort, change: DpPortEvent): void {
    const { link, admin, mac, mtu, speed, gone } = change;
    const isOtherMtu = mtu !== undefined && mtu !== port.mtu;
    const isOther = port.update({ link: link && !gone, admin, mac, mtu, speed });
    if (isOtherMtu && !gone) void this.#keepMtu(port);
    if (!isOther) return;
    this.#backer.changed();
    this.events.emit("port_status", { reason: "OFPPR_MODIFY", desc: port.desc() });
  }

  /** BackedBridge: a source address was heard. */
  heard({ heard }: Effect & { type: "mac" }, usedMs: number): void {
    if (this.portMap.get(heard.port.ofport) !== heard.port) return;
    if (this.macLearning.learn(heard.vlan, heard.mac, heard.port, usedMs) !== "same")
      this.#backer.macChanged(this, heard.vlan, heard.mac);
    if (this.macLearning.count > this.macLearning.size) this.age();
  }

  /** XBridge: whether a flow is there that is to be learned, or can be. */
  roomToLearn(flow: FlowMod, limit: number): LearnRoom {
    try {
      return this.#flows.roomToLearn(flow, limit);
    } catch (error) {
      if (error instanceof OfpError) return "full";
      throw error;
    }
  }

  /** BackedBridge: adds the flow that NXAST_LEARN asks for, or refreshes it when it is there. */
  learn({ flow, limit }: Effect & { type: "learn" }, usedMs: number): void {
    try {
      transact((transaction) => this.#flows.learn(flow, limit, usedMs, transaction));
    } catch (error) {
      if (!(error instanceof OfpError)) throw error;
      this.#log.warn(`${this.name}: a learned flow was refused: ${error.message}`);
    }
  }

  /** BackedBridge: a TCP connection ended. */
  finished({ rule, idle, hard }: Effect & { type: "fin" }): void {
    this.#flows.reduceTimeouts(rule, idle, hard);
  }

  /** BackedBridge: drops MACs that have aged. */
  age(): void {
    for (const { vlan, mac } of this.macLearning.expire()) this.#backer.macChanged(this, vlan, mac);
  }

  /** What is learned about an address. */
  macEntry(vlan: number, mac: number): LearnedMac<XPort> | undefined {
    return this.macLearning.lookup(vlan, mac);
  }

  #removeFlows(
    which: (instructions: readonly Instruction[]) => boolean,
    reason: string,
    transaction: Transaction,
  ): void {
    for (const rule of [...this.#flows.all()])
      if (!rule.hidden && which(rule.instructions)) this.#flows.remove(rule, reason, undefined, transaction);
  }
}

const sendsTo =
  (group_id: number) =>
  (instructions: readonly Instruction[]): boolean =>
    [...outputsOf(instructions)].some((output) => output.group_id === group_id);

const uses =
  (meter_id: number) =>
  (instructions: readonly Instruction[]): boolean =>
    instructions.some(
      (instruction) => instruction.type === "OFPIT_METER" && instruction.meter_id === meter_id,
    );

/** in_port and the pipeline's fields that are not zero (1.3.5 §7.4.1). */
function pipelineMatch(context: PacketInContext): Match {
  const key = newFlowKey();
  const mask = newFlowKey();
  restorePipeline(key, context.pipeline);
  withoutUnset(key);
  key[LANE_IN_PORT] = context.in_port;
  for (let lane = 0; lane < key.length; lane++) if (key[lane] !== 0) mask[lane] = 0xffff_ffff;
  // Both halves of a 64-bit field belong to it.
  return formatKey(key, wholeFields(mask));
}

/** Un-masked halves of metadata and tunnel_id join the other. */
function wholeFields(mask: Uint32Array): Uint32Array {
  for (const name of ["metadata", "tunnel_id"] as const) {
    const { lane } = flowField(name);
    if (mask[lane] !== 0 || mask[lane + 1] !== 0) mask.fill(0xffff_ffff, lane, lane + 2);
  }
  return mask;
}

/** A locally administered unicast address that a name always gets. */
function macFor(name: string): string {
  let hash = 0;
  for (const char of name) hash = scramble(hash ^ char.charCodeAt(0));
  return macFromNumber(0x0200_0000_0000 + (scramble(hash + 1) & 0xff) * 0x1_0000_0000 + hash);
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as Partial<T>;
}
