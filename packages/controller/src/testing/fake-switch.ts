import {
  type Action,
  type ActionInit,
  type Match,
  type MessageInitOf,
  OFP_NO_BUFFER,
  OFPP,
  OFPPS,
  OFPVID,
  type OfMessage,
  type OfMessageInit,
  type Port,
} from "@sluice/openflow-codec";
import { type Log, nullLog } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import { readFrameHead } from "../apps/frame.js";
import type { App, Switch } from "../framework/app.js";
import { Dispatcher } from "../framework/dispatch.js";
import type { ReplyTo } from "../framework/requests.js";

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;
type PacketOut = MessageInitOf<"OFPT_PACKET_OUT">;

export interface FakeFlow {
  priority: number;
  cookie: bigint;
  idle_timeout: number;
  match: Match;
  actions: readonly ActionInit[];
}

export interface FakeSwitchOptions {
  dpid?: bigint;
  /** Port numbers, all up. 1 to 4 unless given. */
  ports?: readonly number[];
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

/** A switch without a network, for apps' tests: applies to its one table what the apps send, and answers where a
 *  packet goes. Knows matches on the input port and the Ethernet head, and output actions; anything else that an
 *  app sends makes it throw. */
export class FakeSwitch implements Switch {
  readonly dpid: bigint;
  readonly id: string;
  readonly log: Log = nullLog;
  /** Every message that apps sent, in order. */
  readonly sent: OfMessageInit[] = [];
  readonly #ports = new Map<number, Port>();
  readonly #dispatcher: Dispatcher;
  #flows: FakeFlow[] = [];
  #packetIns = 0;
  #left: number[] = [];

  /** Connects at once: the apps get `datapath_up`. */
  constructor(apps: readonly App[], options: FakeSwitchOptions = {}) {
    this.dpid = options.dpid ?? 1n;
    this.id = this.dpid.toString(16).padStart(16, "0");
    for (const port of options.ports ?? [1, 2, 3, 4]) this.#ports.set(port, fakePort(port));
    const fail = (text: string): void => {
      throw new Error(text);
    };
    this.#dispatcher = new Dispatcher(apps, { ...nullLog, err: fail });
    this.#dispatcher.dispatch("datapath_up", this);
  }

  get ports(): ReadonlyMap<number, Port> {
    return this.#ports;
  }

  /** The table, highest priority first. */
  get flows(): readonly FakeFlow[] {
    return this.#flows;
  }

  /** Packets that went to the controller so far. */
  get packetIns(): number {
    return this.#packetIns;
  }

  /** A frame comes in by a port. Gives the ports that it leaves by, in ascending order. */
  receive(inPort: number, frame: Uint8Array): number[] {
    this.#left = [];
    const flow = this.#flows.find((candidate) => matches(candidate.match, inPort, frame));
    if (flow) this.#execute(flow.actions, inPort, frame, flow.cookie);
    return this.#left.sort((a, b) => a - b);
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

  send(message: OfMessageInit): boolean {
    this.sent.push(message);
    if (message.type === "OFPT_FLOW_MOD") this.#flowMod(message);
    else if (message.type === "OFPT_PACKET_OUT") this.#packetOut(message);
    else if (message.type !== "OFPT_BARRIER_REQUEST")
      throw new Error(`FakeSwitch: does not know ${message.type}`);
    return true;
  }

  async request<const I extends OfMessageInit>(message: I): Promise<ReplyTo<I>> {
    this.send(message);
    const barrier: OfMessage = { type: "OFPT_BARRIER_REPLY", xid: 0 };
    return (message.type === "OFPT_BARRIER_REQUEST" ? barrier : undefined) as ReplyTo<I>;
  }

  async barrier(): Promise<void> {}

  #flowMod(message: FlowMod): void {
    const { command, match = {}, priority = 0x8000, cookie = 0n, idle_timeout = 0 } = message;
    const actions = actionsOf(message);
    const isStrict = command === "OFPFC_MODIFY_STRICT" || command === "OFPFC_DELETE_STRICT";
    const isMeant = (flow: FakeFlow): boolean =>
      (isStrict ? flow.priority === priority && same(flow.match, match) : covers(match, flow.match)) &&
      (flow.cookie & (message.cookie_mask ?? 0n)) === (cookie & (message.cookie_mask ?? 0n));
    if (command === "OFPFC_ADD") {
      this.#flows = this.#flows.filter((flow) => flow.priority !== priority || !same(flow.match, match));
      this.#flows.push({ priority, cookie, idle_timeout, match: match as Match, actions });
      this.#flows.sort((a, b) => b.priority - a.priority);
    } else if (command === "OFPFC_MODIFY" || command === "OFPFC_MODIFY_STRICT") {
      for (const flow of this.#flows) if (isMeant(flow)) flow.actions = actions;
    } else {
      const outPort = message.out_port ?? OFPP.ANY;
      const sendsTo = (flow: FakeFlow): boolean =>
        outPort === OFPP.ANY || flow.actions.some((a) => a.type === "OFPAT_OUTPUT" && a.port === outPort);
      this.#flows = this.#flows.filter((flow) => !(isMeant(flow) && sendsTo(flow)));
    }
  }

  #packetOut(message: PacketOut): void {
    this.#execute(message.actions ?? [], message.in_port, message.data ?? new Uint8Array(), 0n);
  }

  #execute(
    actions: readonly (Action | ActionInit)[],
    inPort: number,
    frame: Uint8Array,
    cookie: bigint,
  ): void {
    for (const action of actions) {
      if (action.type !== "OFPAT_OUTPUT") throw new Error(`FakeSwitch: does not know ${action.type}`);
      const { port } = action;
      if (port === OFPP.CONTROLLER) this.#packetIn(inPort, frame, cookie);
      else if (port === OFPP.IN_PORT) this.#left.push(inPort);
      else if (port === OFPP.FLOOD || port === OFPP.ALL) {
        for (const other of this.#ports.values()) if (other.port_no !== inPort) this.#leave(other.port_no);
      } else if (port !== inPort) this.#leave(port);
    }
  }

  #leave(port: number): void {
    if (this.#ports.get(port)?.state === 0) this.#left.push(port);
  }

  #packetIn(in_port: number, data: Uint8Array, cookie: bigint): void {
    this.#packetIns++;
    this.#dispatcher.dispatch("packet_in", this, {
      type: "OFPT_PACKET_IN",
      xid: 0,
      buffer_id: OFP_NO_BUFFER,
      total_len: data.length,
      reason: "OFPR_NO_MATCH",
      table_id: 0,
      cookie,
      match: { in_port },
      data,
    });
  }
}

function actionsOf(message: FlowMod): readonly ActionInit[] {
  return (message.instructions ?? []).flatMap((instruction) => {
    if (instruction.type !== "OFPIT_APPLY_ACTIONS")
      throw new Error(`FakeSwitch: does not know ${instruction.type}`);
    return instruction.actions ?? [];
  });
}

type AnyMatch = Readonly<Record<string, unknown>>;

const entries = (match: object): [string, unknown][] =>
  Object.entries(match as AnyMatch).filter(([, value]) => value !== undefined);
/** Whether every packet that `narrow` takes is one that `wide` takes. */
const covers = (wide: object, narrow: object): boolean =>
  entries(wide).every(([name, value]) => (narrow as AnyMatch)[name] === value);
const same = (a: object, b: object): boolean => covers(a, b) && covers(b, a);

function matches(match: Match, inPort: number, frame: Uint8Array): boolean {
  const head = readFrameHead(frame);
  const fields: AnyMatch = {
    in_port: inPort,
    eth_dst: head && macFromNumber(head.dst),
    eth_src: head && macFromNumber(head.src),
    eth_type: head?.ethType,
    vlan_vid: head && (head.vlan < 0 ? OFPVID.NONE : OFPVID.PRESENT | head.vlan),
  };
  const unknown = entries(match).find(([name, value]) => !(name in fields) || typeof value === "object");
  if (unknown) throw new Error(`FakeSwitch: does not know the match on ${unknown[0]}`);
  return covers(match, fields);
}
