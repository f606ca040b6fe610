import {
  type MessageOf,
  OFPCML,
  type OfMessage,
  type OfMessageInit,
  type Port,
} from "@sluice/openflow-codec";
import type { Log } from "@sluice/runtime";
import type { ObservedSwitch, Observer } from "./app.js";
import { Connection, type ConnectionCounters, type ConnectionOptions } from "./connection.js";
import { OfpRequestError, REPLY_TYPE, type ReplyTo, Requests } from "./requests.js";
import type { Role } from "./roles.js";
import type { Timings } from "./timings.js";

export interface DatapathHandlers {
  /** Features and ports are known. */
  up(dp: Datapath): void;
  message(dp: Datapath, message: OfMessage): void;
  /** Told once, whether or not it had been up. */
  down(dp: Datapath, why: string): void;
}

export interface DatapathOptions extends Omit<ConnectionOptions, "handlers"> {
  handlers: DatapathHandlers;
  /** For the handshake as a whole, and for each request. */
  timeoutMs: number;
  /** Where it is written down how long requests take. */
  timings?: Timings | undefined;
}

/** Messages kept during a handshake; more are left out. */
const MAX_EARLY = 256;

type Features = MessageOf<"OFPT_FEATURES_REPLY">;

/** One switch on its connection: the handshake (OpenFlow 1.3.5 §6.3.1: HELLO, FEATURES, SET_CONFIG, then its ports), then
 *  requests, ports kept up to date, and everything else handed on. */
export class Datapath implements ObservedSwitch {
  readonly log: Log;
  /** When its connection began, ms since 1970. */
  readonly connectedAt: number;
  readonly #connection: Connection;
  readonly #requests: Requests;
  readonly #handlers: DatapathHandlers;
  readonly #ports = new Map<number, Port>();
  readonly #handshakeTimer;
  /** What this controller is to the switch; kept by the controller. */
  role: Role = "equal";
  #features: Features | undefined;
  #isUp = false;
  #observers: readonly Observer[] = [];
  /** What came while the handshake was under way. */
  readonly #early: OfMessage[] = [];

  constructor(options: DatapathOptions) {
    this.log = options.log;
    this.#handlers = options.handlers;
    this.#requests = new Requests(options.clock, options.timeoutMs, options.timings);
    this.connectedAt = options.clock.wallNow();
    this.#handshakeTimer = options.clock.setTimeout(
      () => this.close(`no handshake in ${options.timeoutMs / 1000} s`),
      options.timeoutMs,
    );
    this.#connection = new Connection({
      ...options,
      handlers: {
        ready: () => void this.#handshake(),
        message: this.#onMessage,
        malformed: (xid, error) => void this.#requests.fail(xid, error),
        closed: this.#onClosed,
      },
    });
  }

  get dpid(): bigint {
    return this.#features?.datapath_id ?? 0n;
  }

  get id(): string {
    return this.dpid.toString(16).padStart(16, "0");
  }

  /** The switch's address. */
  get peer(): string {
    return this.#connection.peer;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** What the switch told of itself; known once it is up. */
  get features(): Features | undefined {
    return this.#features;
  }

  get ports(): ReadonlyMap<number, Port> {
    return this.#ports;
  }

  get counters(): Readonly<ConnectionCounters> {
    return this.#connection.counters;
  }

  /** Bytes that the switch has yet to read. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  send(message: OfMessageInit): boolean {
    return this.#send(message, message.xid ?? this.#connection.nextXid());
  }

  /** Requests that wait for their outcome. */
  get pendingRequests(): number {
    return this.#requests.count;
  }

  observe(observer: Observer): () => void {
    this.#observers = [...this.#observers, observer];
    return () => {
      this.#observers = this.#observers.filter((one) => one !== observer);
    };
  }

  #send(message: OfMessageInit, xid: number): boolean {
    const isSent = this.#connection.send(message, xid);
    if (isSent) for (const observer of this.#observers) observer.sent(message, xid);
    return isSent;
  }

  request<const I extends OfMessageInit>(message: I): Promise<ReplyTo<I>> {
    return this.#request(message) as Promise<ReplyTo<I>>;
  }

  async barrier(): Promise<void> {
    await this.request({ type: "OFPT_BARRIER_REQUEST" });
  }

  close(why: string): void {
    this.#connection.close(why);
  }

  async #request(message: OfMessageInit): Promise<OfMessage | undefined> {
    if (this.#requests.isFull)
      throw new Error(`${message.type}: too many requests wait for switch ${this.id}`);
    const xid = this.#connection.nextXid();
    if (!this.#send(message, xid)) throw new Error(`${message.type}: switch ${this.id} cannot take it`);
    const outcome = this.#requests.wait(xid, message);
    if (!(message.type in REPLY_TYPE)) {
      // The error of a message without a reply comes before the reply of the barrier that follows it (§6.2).
      this.barrier().then(
        () => this.#requests.confirm(xid),
        (error: Error) => void this.#requests.fail(xid, error),
      );
    }
    return outcome;
  }

  async #handshake(): Promise<void> {
    try {
      const features = await this.request({ type: "OFPT_FEATURES_REQUEST" });
      if (features.auxiliary_id !== 0) {
        this.close("auxiliary connections are not used");
        return;
      }
      this.#features = features;
      // Packets come whole; and Open vSwitch sends packet-ins to a controller that connected to it only after this.
      this.send({ type: "OFPT_SET_CONFIG", flags: 0, miss_send_len: OFPCML.NO_BUFFER });
      const { body } = await this.request({
        type: "OFPT_MULTIPART_REQUEST",
        body: { type: "OFPMP_PORT_DESC" },
      });
      for (const port of body.entries) this.#ports.set(port.port_no, port);
      this.#handshakeTimer.cancel();
      this.#isUp = true;
      this.#handlers.up(this);
      for (const message of this.#early.splice(0)) this.#onMessage(message);
    } catch (error) {
      // What speaks OpenFlow and is no switch is another controller, which watches whether this one lives.
      const isController =
        error instanceof OfpRequestError &&
        error.request.type === "OFPT_FEATURES_REQUEST" &&
        error.error_code === "OFPBRC_BAD_TYPE";
      if (!isController) this.close(`handshake failed: ${(error as Error).message}`);
      else {
        this.#handshakeTimer.cancel();
        this.log.info(`${this.peer} is another controller, which watches this one`);
      }
    }
  }

  readonly #onMessage = (message: OfMessage): void => {
    if (message.type !== "OFPT_PACKET_IN") for (const observer of this.#observers) observer.received(message);
    // Packet-ins have xids of their own.
    if (message.type !== "OFPT_PACKET_IN" && this.#requests.take(message)) return;
    if (!this.#isUp) {
      // The apps get it once they know the switch.
      if (this.#early.length < MAX_EARLY) this.#early.push(message);
      return;
    }
    if (message.type === "OFPT_PACKET_IN") {
      this.#handlers.message(this, message);
      return;
    }
    if (message.type === "OFPT_PORT_STATUS") {
      if (message.reason === "OFPPR_DELETE") this.#ports.delete(message.desc.port_no);
      else this.#ports.set(message.desc.port_no, message.desc);
    } else if (message.type === "OFPT_ERROR") {
      this.log.warn(`switch ${this.id} refused a message: ${message.error_type} ${message.error_code}`);
    }
    this.#handlers.message(this, message);
  };

  readonly #onClosed = (why: string): void => {
    this.#handshakeTimer.cancel();
    this.#requests.failAll(new Error(`switch ${this.id} is gone: ${why}`));
    this.#handlers.down(this, why);
  };
}
