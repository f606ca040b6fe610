import type { Duplex } from "node:stream";
import {
  decoderWith,
  encode,
  encodeMultipart,
  errorFor,
  OfDecodeError,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import type { Clock, Log } from "@sluice/runtime";
import { OfpError, refuse } from "../ofproto/error.js";
import type { Ofproto } from "../ofproto/ofproto.js";
import type { PacketInEvent } from "../ofproto/types.js";
import { MatchReader } from "../ofproto/wire-match.js";
import { type AsyncKind, wants } from "./async.js";
import { Channel } from "./channel.js";
import { Connection } from "./connection.js";
import { BundleError, ERROR_DATA, niciraError } from "./experimenter-error.js";
import { FlowMonitors } from "./flow-monitor.js";
import type { Request } from "./handlers/handler.js";
import { handlers } from "./handlers/index.js";
import { helloVerdict, OUR_HELLO } from "./hello.js";
import type { PacketBuffers } from "./packet-buffers.js";
import { packetInFor } from "./packet-in.js";
import { PacketInQueue } from "./packet-in-queue.js";
import { mayRequest, type Role } from "./roles.js";
import { flowNumber } from "./spread.js";
import { isForUnreliable, isSetUp } from "./unreliable.js";

const OFPT_HELLO = 0;
const OFPT_ERROR = 1;

const matches = new MatchReader();
/** Requests are carried out one by one: a flow_mod's match is read into the same key each time. */
const decode = decoderWith((bytes, at, end) => matches.read(bytes, at, end));

/** What the connections of one bridge share. */
export interface SwitchState {
  readonly ofproto: Ofproto;
  readonly clock: Clock;
  readonly log: Log;
  readonly buffers: PacketBuffers;
  /** The newest generation_id that a controller gave. */
  generation_id: bigint | undefined;
  readonly agents: ReadonlySet<Agent>;
  readonly limits: { bundleIdleMs: number };
  /** A flow monitor came or went. */
  readonly monitorsChanged: () => void;
}

export interface AgentOptions {
  stream: Duplex;
  /** The peer, as the log names it. */
  name: string;
  /** A service connection (BRIDGE.mgmt, a passive target) gets asynchronous messages only after it has asked for
   *  them by setting miss_send_len, and does not count as a controller for the fail mode. */
  isService: boolean;
  state: SwitchState;
  /** The main connection that this one belongs to, and its number (§6.3.5). */
  auxiliary?: { main: Agent; id: number; isReliable: boolean };
  /** The versions were agreed: the connection is up. */
  onOpen?: (agent: Agent) => void;
  /** Something came in. */
  onActivity?: () => void;
  onClosed?: (agent: Agent, why: string) => void;
  onRole?: () => void;
  /** The peer was told who this switch is. */
  onIdentified?: () => void;
}

/** A packet-in that waits, with the number of its flow. */
interface WaitingPacketIn {
  readonly flow: number;
  readonly message: OfMessageInit;
}

/** The switch's side of one OpenFlow connection (1.3.5 §6.3): versions, requests in order, and the asynchronous
 *  messages that this peer wants. */
export class Agent {
  readonly name: string;
  readonly isService: boolean;
  readonly state: SwitchState;
  readonly connection: Connection;
  /** What holds for all connections of this controller. */
  readonly channel: Channel;
  /** 0: this is the main connection of its channel (§6.3.5). */
  readonly auxiliary_id: number;
  /** Of the channel: the auxiliary connections share the main one's. */
  readonly packetIns: PacketInQueue<WaitingPacketIn>;
  readonly #options: AgentOptions;
  readonly #isReliable: boolean;
  #isOpen = false;
  readonly flowMonitors = new FlowMonitors();
  /** The request that is being handled, for events that it causes. */
  currentXid: number | undefined;
  /** What handlers keep for the connection's life, by handler file (bundles, monitors). */
  readonly memory = new Map<symbol, unknown>();

  constructor(options: AgentOptions) {
    this.name = options.name;
    this.isService = options.isService;
    this.state = options.state;
    this.#options = options;
    const { auxiliary } = options;
    this.auxiliary_id = auxiliary?.id ?? 0;
    this.#isReliable = auxiliary?.isReliable ?? true;
    this.channel = auxiliary?.main.channel ?? new Channel(this, options.isService, () => options.onRole?.());
    this.connection = new Connection(options.stream, {
      activity: () => options.onActivity?.(),
      message: (bytes) => this.#receive(bytes),
      drain: () => this.packetIns.drain(),
      closed: (why) => {
        this.#isOpen = false;
        if (auxiliary) this.channel.auxiliaries.delete(this);
        else this.packetIns.close();
        options.onClosed?.(this, why);
      },
    });
    if (auxiliary) this.channel.auxiliaries.add(this);
    this.packetIns =
      auxiliary?.main.packetIns ??
      new PacketInQueue(
        options.state.clock,
        ({ flow, message }) => this.channel.carrier(flow).notify(message),
        () => this.channel.isWritable,
      );
  }

  /** Sends our HELLO and begins to listen. */
  start(): void {
    this.send(OUR_HELLO);
    this.connection.start();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isMain(): boolean {
    return this.auxiliary_id === 0;
  }

  get role(): Role {
    return this.channel.role;
  }

  /** The peer was told who this switch is (OFPT_FEATURES_REPLY). */
  identified(): void {
    this.#options.onIdentified?.();
  }

  /** Sends a packet-in as soon as the queue lets it, by the connection that carries its flow. */
  packetIn(event: PacketInEvent): void {
    this.packetIns.push(() => ({
      flow: this.channel.auxiliaries.size === 0 ? 0 : flowNumber(event.data),
      message: packetInFor(event, this),
    }));
  }

  send(message: OfMessageInit): void {
    this.connection.send(encode(message));
  }

  /** Sends what the peer did not ask for. A message that has no encoding is our mistake: it is logged, and whoever
   *  told of the event goes on. */
  notify(message: OfMessageInit): void {
    try {
      if (message.type !== "OFPT_MULTIPART_REPLY") this.send(message);
      else for (const part of encodeMultipart(message)) this.connection.send(part);
    } catch (error) {
      this.state.log.err(`${this.name}: ${message.type} not sent: ${(error as Error).message}`);
    }
  }

  /** Asks for a sign of life (§7.5.2). Before the versions are agreed that is a HELLO, which UDP may have lost. */
  probe(): void {
    if (this.#isOpen) this.send({ type: "OFPT_ECHO_REQUEST" });
    else if (!this.#isReliable) this.send(OUR_HELLO);
  }

  close(why: string): void {
    this.connection.close(why);
  }

  /** Whether an asynchronous message of this kind and reason is for this channel; auxiliary connections get none by
   *  themselves. */
  wants(kind: AsyncKind, reason: string): boolean {
    const { miss_send_len, async, role } = this.channel;
    if (!this.#isOpen || !this.isMain) return false;
    if (this.isService && miss_send_len === 0) return false;
    return wants(async, role, kind, reason);
  }

  #receive(bytes: Uint8Array): void | Promise<void> {
    if (!this.#isOpen) return this.#receiveHello(bytes);
    try {
      const pending = this.#handle(decode(bytes), bytes);
      if (pending === undefined) return;
      return pending.catch((error: unknown) => this.refuse(error, bytes));
    } catch (error) {
      this.refuse(error, bytes);
    }
  }

  #handle(message: Request, bytes: Uint8Array): void | Promise<void> {
    if (!mayRequest(this.role, message.type)) throw refuse("OFPBRC_IS_SLAVE");
    if (!this.#isReliable && !isForUnreliable(message)) {
      throw refuse("OFPBRC_BAD_TYPE", `${message.type} is not for an unreliable connection`);
    }
    const handler = handlers[message.type];
    if (handler === undefined) throw refuse("OFPBRC_BAD_TYPE", `${message.type} is not for a switch`);
    this.currentXid = message.xid;
    return handler(this, message, bytes);
  }

  /** §6.3.1: both sides say which versions they speak; the connection goes on in the highest common one. */
  #receiveHello(bytes: Uint8Array): void | Promise<void> {
    const verdict = helloVerdict(bytes);
    if (verdict.ok) {
      this.#isOpen = true;
      this.#options.onOpen?.(this);
      return;
    }
    if (!this.#isReliable && bytes[1] !== OFPT_HELLO) return this.#receiveEarly(bytes);
    this.state.log.info(`${this.name}: ${verdict.text}`);
    this.send({
      type: "OFPT_ERROR",
      xid: verdict.xid,
      error_type: "OFPET_HELLO_FAILED",
      error_code: "OFPHFC_INCOMPATIBLE",
      data: new TextEncoder().encode(verdict.text),
    });
    this.connection.finish(verdict.text);
  }

  /** §6.3.5: on an unreliable connection another message may come before the HELLO, which may be lost. In our version
   *  it shows that the connection is set up; in another it is refused, and a HELLO may follow. */
  #receiveEarly(bytes: Uint8Array): void | Promise<void> {
    if (!isSetUp(bytes)) return this.refuse(refuse("OFPBRC_BAD_VERSION"), bytes);
    this.#isOpen = true;
    this.#options.onOpen?.(this);
    return this.#receive(bytes);
  }

  /** Answers a request with the error that `error` stands for; an error that stands for none is a bug of ours. */
  refuse(error: unknown, request: Uint8Array): void {
    const { log } = this.state;
    // An error is never answered with an error, lest two peers never stop.
    const isAnswered = request[1] !== OFPT_ERROR;
    if (error instanceof OfDecodeError || error instanceof OfpError) {
      log.dbg(`${this.name}: ${error.message}`);
      if (isAnswered)
        this.send(
          error instanceof OfpError && error.error_type === "OFPET_EXPERIMENTER"
            ? niciraError(error, request)
            : errorFor(error, request, ERROR_DATA),
        );
    } else if (error instanceof BundleError) {
      log.dbg(`${this.name}: ${error.message}`);
      this.send(error.toMessage(request));
    } else {
      log.err(`${this.name}: request failed: ${error instanceof Error ? error.stack : String(error)}`);
      if (isAnswered) this.send(errorFor(refuse("OFPBRC_EPERM"), request, ERROR_DATA));
    }
  }
}
