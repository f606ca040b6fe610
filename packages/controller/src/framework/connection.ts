// Hot path: `#onData` and what it calls run for each message. No allocation beyond the decoded value.
import type { Socket } from "node:net";
import {
  decode,
  errorFor,
  Framer,
  OfDecodeError,
  type OfMessage,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { type Clock, IdleProbe, type Log } from "@sluice/runtime";
import { readHello, strangeStart } from "./hello.js";
import type { Outbox, Sink } from "./outbox.js";

const OFP_VERSION = 4;
const TYPE = { HELLO: 0, ERROR: 1, ECHO_REQUEST: 2, ECHO_REPLY: 3 } as const;

/** A switch that leaves this much unread is not read from until it has caught up. */
const CONGESTED_BYTES = 1 << 20;
/** With this much unread, nothing more is queued: `send` says false. */
const FULL_BYTES = 16 << 20;
/** How long a closed connection may take to hand over what was sent last. */
const LINGER_MS = 1000;

export interface ConnectionHandlers {
  /** The version is agreed on. */
  ready(): void;
  /** A whole, well-formed message that is neither HELLO nor an echo. */
  message(message: OfMessage): void;
  /** A malformed message of the given xid was answered with an error. */
  malformed(xid: number, error: OfDecodeError): void;
  /** Ended, for the reason given; told once. */
  closed(why: string): void;
}

/** Sees what goes over a connection. */
export interface Tap {
  received(bytes: Uint8Array): void;
  sent(bytes: Uint8Array): void;
  closed(): void;
}

export interface ConnectionOptions {
  socket: Socket;
  peer: string;
  clock: Clock;
  log: Log;
  outbox: Outbox;
  probeIntervalMs: number;
  tap?: Tap | undefined;
  handlers: ConnectionHandlers;
}

export interface ConnectionCounters {
  rx: number;
  tx: number;
  malformed: number;
  /** Messages not sent because the switch did not read. */
  dropped: number;
}

/** One connection of a switch: whole messages in and out, the version agreed on, echoes answered, silence probed,
 *  malformed messages refused by the error that the specification asks for. */
export class Connection implements Sink {
  readonly peer: string;
  readonly counters: ConnectionCounters = { rx: 0, tx: 0, malformed: 0, dropped: 0 };
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #outbox: Outbox;
  readonly #handlers: ConnectionHandlers;
  readonly #framer = new Framer();
  readonly #idle: IdleProbe;
  readonly #tap: Tap | undefined;
  #xid = 0;
  #isNegotiated = false;
  #isClosed = false;
  #unreadAtProbe = 0;
  #why = "connection closed by peer";

  constructor(options: ConnectionOptions) {
    this.peer = options.peer;
    this.#socket = options.socket;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#outbox = options.outbox;
    this.#handlers = options.handlers;
    this.#tap = options.tap;
    this.#idle = new IdleProbe({
      clock: options.clock,
      intervalMs: options.probeIntervalMs,
      probe: this.#onIdle,
      dead: () => this.close("no response to inactivity probe"),
    });
    this.#socket
      .on("data", this.#onData)
      .on("drain", () => this.#socket.resume())
      .on("error", (error) => {
        this.#why = error.message.split("\n")[0]!;
      })
      .once("close", this.#onClose);
    this.#idle.start();
    this.send({
      type: "OFPT_HELLO",
      elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [1 << OFP_VERSION] }],
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes that the switch has yet to read. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** A transaction id not used on this connection lately. */
  nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0 || 1;
    return this.#xid;
  }

  /** Queues a message; false when the connection is closed, or the switch leaves too much unread (then the message
   *  is dropped and counted). Throws the codec's EncodeError for a value without an encoding. */
  send(message: OfMessageInit, xid = message.xid ?? this.nextXid()): boolean {
    if (!this.#canSend()) return false;
    this.#outbox.add(this, message, xid);
    this.counters.tx++;
    return true;
  }

  /** Only for the outbox. */
  write(batch: Uint8Array): void {
    if (this.#isClosed) return;
    this.#tap?.sent(batch);
    this.#socket.write(batch);
    // Requests make answers: a switch that does not read gets no further ones out of us.
    if (this.#socket.writableLength > CONGESTED_BYTES) this.#socket.pause();
  }

  /** Ends the connection, after what was sent has left if the switch takes it. */
  close(why: string): void {
    if (this.#isClosed) return;
    this.#why = why;
    this.#outbox.flush();
    this.#onClose();
    this.#socket.destroySoon();
    const lastly = this.#clock.setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once("close", () => lastly.cancel());
  }

  #canSend(): boolean {
    if (this.#isClosed) return false;
    if (this.#socket.writableLength < FULL_BYTES) return true;
    this.counters.dropped++;
    return false;
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#idle.activity();
    this.#tap?.received(chunk);
    if (this.counters.rx === 0 && !this.#isNegotiated) {
      const strange = strangeStart(chunk);
      if (strange !== undefined) {
        this.counters.malformed++;
        this.close(strange);
        return;
      }
    }
    this.#outbox.beginTurn();
    try {
      this.#framer.push(chunk);
      for (let bytes = this.#framer.next(); bytes !== undefined; bytes = this.#framer.next()) {
        if (this.#isClosed) return;
        this.counters.rx++;
        this.#onMessage(bytes);
      }
    } catch (error) {
      if (!(error instanceof OfDecodeError)) throw error;
      this.counters.malformed++;
      this.close(`framing lost: ${error.message}`);
    } finally {
      this.#outbox.endTurn();
    }
  };

  #onMessage(bytes: Uint8Array): void {
    const type = bytes[1]!;
    if (!this.#isNegotiated) this.#onHello(bytes);
    else if (type === TYPE.ECHO_REQUEST && bytes[0] === OFP_VERSION) this.#onEchoRequest(bytes);
    else if (type === TYPE.ECHO_REPLY || type === TYPE.HELLO) return;
    else {
      const message = this.#decode(bytes);
      if (message !== undefined) this.#handlers.message(message);
    }
  }

  #decode(bytes: Uint8Array): OfMessage | undefined {
    try {
      return decode(bytes);
    } catch (error) {
      if (!(error instanceof OfDecodeError)) throw error;
      this.#onMalformed(bytes, error);
      return undefined;
    }
  }

  #onMalformed(bytes: Uint8Array, error: OfDecodeError): void {
    this.counters.malformed++;
    this.#log.warn(`${this.peer}: malformed message refused: ${error.message}`, hostOf(this.peer));
    const xid = readXid(bytes);
    // An error in answer to an error could go on for ever.
    if (bytes[1] !== TYPE.ERROR) this.send(errorFor(error, bytes), xid);
    this.#handlers.malformed(xid, error);
  }

  #onHello(bytes: Uint8Array): void {
    const verdict = readHello(bytes);
    if (verdict.ok) {
      this.#isNegotiated = true;
      this.#handlers.ready();
      return;
    }
    const text = `switch speaks ${verdict.theirs}; this controller speaks OpenFlow 1.3`;
    const data = Buffer.from(text, "latin1");
    if (bytes[1] !== TYPE.ERROR) {
      const error = { error_type: "OFPET_HELLO_FAILED", error_code: "OFPHFC_INCOMPATIBLE" } as const;
      this.send({ type: "OFPT_ERROR", ...error, data }, readXid(bytes));
    }
    this.close(text);
  }

  #onEchoRequest(bytes: Uint8Array): void {
    if (!this.#canSend()) return;
    // The codec would give the same bytes: only the type differs (§7.5.3).
    const reply = Buffer.from(bytes);
    reply[1] = TYPE.ECHO_REPLY;
    this.#outbox.addBytes(this, reply);
    this.counters.tx++;
  }

  readonly #onIdle = (): void => {
    // While a slow switch is not read from, its reading is the sign of life.
    const unread = this.#socket.writableLength;
    if (unread > 0 && unread < this.#unreadAtProbe) this.#idle.activity();
    this.#unreadAtProbe = unread;
    this.send({ type: "OFPT_ECHO_REQUEST" });
  };

  readonly #onClose = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#idle.stop();
    this.#tap?.closed();
    this.#handlers.closed(this.#why);
  };
}

/** The peer without its port: lines of the log about one host are no reason to drop those about another. */
export const hostOf = (peer: string): string => peer.replace(/:\d+$/, "");

const readXid = (bytes: Uint8Array): number =>
  ((bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!) >>> 0;
