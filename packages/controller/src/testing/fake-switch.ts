import {
  type Bucket,
  type MessageOf,
  OFP_NO_BUFFER,
  OFPFF,
  OFPPS,
  type OfMessage,
  type OfMessageInit,
  type Port,
} from "@sluice/openflow-codec";
import { type Log, nullLog, realClock } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import type { App, ObservedSwitch, Observer } from "../framework/app.js";
import { Dispatcher } from "../framework/dispatch.js";
import { OfpRequestError, type ReplyTo } from "../framework/requests.js";
import { fieldValue, frameBytes, type ModelPacket, packetFromFrame } from "../tables/packet.js";
import {
  asReceived,
  type ModelFlow,
  type ModelGroup,
  type Refusal,
  SwitchTables,
  type TableChange,
} from "../tables/switch-tables.js";
import { type SwitchTrace, tracePacketOut, traceSwitch } from "../tables/trace.js";
import { ANSWERS } from "./fake-answers.js";

const UPDATES = { add: "ONFFME_ADDED", modify: "ONFFME_MODIFIED", delete: "ONFFME_DELETED" } as const;

/** A flow of the fake switch. `actions` are those that it applies at once. */
export interface FakeFlow extends ModelFlow {
  readonly actions: readonly object[];
}

export interface FakeSwitchOptions {
  dpid?: bigint;
  /** Port numbers, all up. 1 to 4 unless given. */
  ports?: readonly number[];
  /** Whether it has flow monitors, as Open vSwitch has; unless given it refuses them. */
  flowMonitors?: boolean;
}

/** A frame on its way out. */
export interface Delivery {
  readonly port: number;
  readonly frame: Uint8Array;
  readonly queue_id: number | undefined;
}

const fakePort = (port_no: number, state = 0): Port => ({
  port_no,
  hw_addr: macFromNumber(0x02_0000_000000 + port_no),
  name: `p${port_no}`,
  config: 0,
  state,
  curr: 0,
  advertised: 0,
  supported: 0,
  peer: 0,
  curr_speed: 0,
  max_speed: 0,
});

/** A switch without a network, for apps' tests: applies to its tables, groups and meters what the apps send, refuses what
 *  a switch refuses, and answers where a packet goes. Time does not pass for it: timeouts are kept, not carried out. An
 *  action that the model of the tables does not know makes it throw. */
export class FakeSwitch implements ObservedSwitch {
  readonly dpid: bigint;
  readonly id: string;
  readonly log: Log = nullLog;
  /** Every message that apps sent, in order. */
  readonly sent: OfMessageInit[] = [];
  readonly tables = new SwitchTables();
  readonly #ports = new Map<number, Port>();
  readonly #dispatcher: Dispatcher;
  readonly #hasMonitors: boolean;
  #packetIns = 0;
  #xid = 0;
  #observers: readonly Observer[] = [];
  #left: Delivery[] = [];

  /** Connects at once: the apps get `datapath_up`. */
  constructor(apps: readonly App[], options: FakeSwitchOptions = {}) {
    this.dpid = options.dpid ?? 1n;
    this.#hasMonitors = options.flowMonitors ?? false;
    this.id = this.dpid.toString(16).padStart(16, "0");
    for (const port of options.ports ?? [1, 2, 3, 4]) this.#ports.set(port, fakePort(port));
    const fail = (text: string): void => {
      throw new Error(text);
    };
    this.#dispatcher = new Dispatcher(apps, { ...nullLog, err: fail }, { clock: realClock });
    this.#dispatcher.dispatch("datapath_up", this);
  }

  get ports(): ReadonlyMap<number, Port> {
    return this.#ports;
  }

  /** All tables, highest priority first. */
  get flows(): FakeFlow[] {
    return this.tables.flows.map((flow) => ({
      ...flow,
      actions: flow.instructions.flatMap((one) => (one.type === "OFPIT_APPLY_ACTIONS" ? one.actions : [])),
    }));
  }

  get groups(): ReadonlyMap<number, ModelGroup> {
    return this.tables.groups;
  }

  /** Packets that went to the controller so far. */
  get packetIns(): number {
    return this.#packetIns;
  }

  /** A frame comes in by a port. Gives the ports that it leaves by, in ascending order. */
  receive(inPort: number, frame: Uint8Array): number[] {
    return this.deliver(inPort, frame)
      .map(({ port }) => port)
      .sort((a, b) => a - b);
  }

  /** A frame comes in by a port. Gives what leaves, with what actions made of it. */
  deliver(inPort: number, frame: Uint8Array): Delivery[] {
    this.#left = [];
    const packet = packetFromFrame(frame);
    if (packet !== undefined) this.#carryOut(traceSwitch(this.#world, packet, inPort), inPort, frame);
    return this.#left;
  }

  /** What the tables would do with a frame, table by table; nothing is sent. */
  explain(inPort: number, frame: Uint8Array): SwitchTrace {
    const packet = packetFromFrame(frame);
    if (packet === undefined) throw new RangeError("too short to be an Ethernet frame");
    return traceSwitch(this.#world, packet, inPort);
  }

  /** A port goes up or down, and the apps are told. */
  setPort(port_no: number, isUp: boolean): void {
    const desc = fakePort(port_no, isUp ? 0 : OFPPS.LINK_DOWN);
    this.#ports.set(port_no, desc);
    const message = { type: "OFPT_PORT_STATUS", xid: 0, reason: "OFPPR_MODIFY", desc } as const;
    this.#dispatcher.dispatch("port_status", this, message);
  }

  /** The connection ends and comes back; flows stay. */
  reconnect(): void {
    this.#dispatcher.dispatch("datapath_down", this, "reconnect");
    this.#dispatcher.dispatch("datapath_up", this);
  }

  /** Other apps take the place of those that run, as in a controller that reloads them. */
  setApps(apps: readonly App[]): void {
    this.#dispatcher.replaceApps(apps, [this]);
  }

  observe(observer: Observer): () => void {
    this.#observers = [...this.#observers, observer];
    return () => {
      this.#observers = this.#observers.filter((one) => one !== observer);
    };
  }

  #received(message: OfMessage): void {
    for (const observer of this.#observers) observer.received(message);
  }

  send(message: OfMessageInit): boolean {
    const refusal = this.#take(message);
    if (refusal === undefined) return true;
    const error = errorOf(refusal, this.#xid);
    this.#received(error);
    this.#dispatcher.dispatch("error", this, error);
    return true;
  }

  /** A flow goes by itself, as when its time is over, and the switch says so where the flow asks for it. */
  expire(flow: ModelFlow): void {
    this.tables.remove(flow);
    if ((flow.flags & OFPFF.SEND_FLOW_REM) === 0) return;
    const { terms: _, instructions: _1, flags: _2, ...rest } = flow;
    const counters = { duration_sec: 1, duration_nsec: 0, packet_count: 0n, byte_count: 0n };
    const message = { type: "OFPT_FLOW_REMOVED", xid: 0, reason: "OFPRR_IDLE_TIMEOUT", ...rest, ...counters };
    this.#received(message as MessageOf<"OFPT_FLOW_REMOVED">);
    this.#dispatcher.dispatch("flow_removed", this, message as MessageOf<"OFPT_FLOW_REMOVED">);
  }

  async request<const I extends OfMessageInit>(message: I): Promise<ReplyTo<I>> {
    const refusal = this.#take(message);
    const xid = this.#xid;
    if (refusal !== undefined) {
      const error = errorOf(refusal, xid);
      this.#received(error);
      throw new OfpRequestError(message, error);
    }
    const reply = this.#reply(message);
    if (reply !== undefined) this.#received({ ...reply, xid });
    return reply as ReplyTo<I>;
  }

  async barrier(): Promise<void> {
    await this.request({ type: "OFPT_BARRIER_REQUEST" });
  }

  /** A flow came, changed or went, and the switch says so. */
  readonly #update = (change: TableChange, { terms: _, flags: _1, ...flow }: ModelFlow): void => {
    const type = UPDATES[change];
    const body = { type: "ONFMP_FLOW_MONITOR", entries: [{ type, reason: 0, ...flow }] } as const;
    this.#received(asReceived({ type: "OFPT_MULTIPART_REPLY", body }));
  };

  get #world() {
    return { tables: this.tables, ports: this.#ports, select: byHash };
  }

  /** Applies a message; gives the error that it meets with. */
  #take(message: OfMessageInit): Refusal | undefined {
    const xid = ++this.#xid;
    for (const observer of this.#observers) observer.sent(message, xid);
    if (message.type !== "OFPT_BARRIER_REQUEST") this.sent.push(message);
    const received = asReceived(message);
    if (received.type === "OFPT_MULTIPART_REQUEST") {
      const { type } = received.body;
      const isMonitor = type === "ONFMP_FLOW_MONITOR";
      if (isMonitor && this.#hasMonitors) this.tables.watcher = { flow: this.#update };
      else if (isMonitor || ANSWERS[type] === undefined) return ["OFPET_BAD_REQUEST", "OFPBRC_BAD_MULTIPART"];
    } else if (received.type === "ONFT_FLOW_MONITOR_CANCEL") this.tables.watcher = undefined;
    if (received.type === "OFPT_PACKET_OUT") this.#packetOut(received);
    return this.tables.apply(received);
  }

  #packetOut({ actions, in_port, data }: MessageOf<"OFPT_PACKET_OUT">): void {
    const packet = packetFromFrame(data);
    if (packet !== undefined)
      this.#carryOut(tracePacketOut(this.#world, packet, in_port, actions), in_port, data);
  }

  #reply(message: OfMessageInit): OfMessage | undefined {
    if (message.type === "OFPT_BARRIER_REQUEST") return { type: "OFPT_BARRIER_REPLY", xid: 0 };
    if (message.type === "OFPT_ECHO_REQUEST")
      return { type: "OFPT_ECHO_REPLY", xid: 0, data: message.data ?? new Uint8Array() };
    if (message.type !== "OFPT_MULTIPART_REQUEST") return undefined;
    const { body } = asReceived(message) as MessageOf<"OFPT_MULTIPART_REQUEST">;
    return { type: "OFPT_MULTIPART_REPLY", xid: 0, flags: 0, body: ANSWERS[body.type]!(this, body as never) };
  }

  #carryOut(trace: SwitchTrace, inPort: number, frame: Uint8Array): void {
    if (trace.unknown.length > 0) throw new Error(`FakeSwitch: does not know ${trace.unknown.join(", ")}`);
    for (const { port, packet, queue_id } of trace.outputs)
      this.#left.push({ port, frame: frameBytes(packet) ?? frame, queue_id });
    for (const { packet, table_id, cookie, reason } of trace.packetIns) {
      if (reason === "OFPR_INVALID_TTL") continue;
      this.#packetIns++;
      const data = frameBytes(packet) ?? frame;
      this.#dispatcher.dispatch("packet_in", this, {
        ...{ type: "OFPT_PACKET_IN", xid: 0, buffer_id: OFP_NO_BUFFER, total_len: data.length },
        ...{ reason, table_id, cookie, match: matchOf(packet, inPort), data },
      } as MessageOf<"OFPT_PACKET_IN">);
    }
  }
}

/** The pipeline fields that go with a packet-in (§7.4.1). */
function matchOf(packet: ModelPacket, in_port: number): MessageOf<"OFPT_PACKET_IN">["match"] {
  const metadata = fieldValue(packet, "metadata");
  return metadata === 0n ? { in_port } : { in_port, metadata };
}

const errorOf = ([error_type, error_code]: Refusal, xid: number): MessageOf<"OFPT_ERROR"> =>
  ({ type: "OFPT_ERROR", xid, error_type, error_code, data: new Uint8Array() }) as MessageOf<"OFPT_ERROR">;

/** The same packet takes the same bucket, by its addresses and ports. */
function byHash(_group: ModelGroup, live: readonly Bucket[], packet: ModelPacket): Bucket | undefined {
  let hash = 0n;
  for (const [name, bits] of packet.fields) {
    if (/_(src|dst)$/.test(name)) hash = (hash * 31n + bits) % 0xffff_fffbn;
  }
  const total = live.reduce((sum, { weight }) => sum + weight, 0);
  let at = Number(hash % BigInt(total));
  return live.find(({ weight }) => {
    at -= weight;
    return at < 0;
  });
}
