import { statSync } from "node:fs";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import {
  decode,
  encode,
  Framer,
  type MessageInitOf,
  type MessageOf,
  MultipartJoiner,
  OFP_VERSION,
  OfDecodeError,
  type OfMessage,
  type OfMessageInit,
  splitMultipart,
} from "@sluice/openflow-codec";
import { openStream, runDir, type TlsOptions } from "@sluice/runtime";
import { CliError, drained, type Io } from "../io.js";

export type Reply<T extends MultipartReply["body"]["type"]> = Extract<MultipartReply["body"], { type: T }>;
type MultipartReply = MessageOf<"OFPT_MULTIPART_REPLY">;
export type MultipartBody = MessageInitOf<"OFPT_MULTIPART_REQUEST">["body"];

/** The switch answered with OFPT_ERROR. */
export class RefusedError extends Error {
  readonly reply: MessageOf<"OFPT_ERROR">;

  constructor(reply: MessageOf<"OFPT_ERROR">) {
    super(`${reply.error_type}, ${reply.error_code}`);
    this.reply = reply;
  }
}

/** What came in: the message, or why its bytes are none. */
export type Received =
  | { bytes: Uint8Array; message: OfMessage; error?: undefined }
  | { bytes: Uint8Array; message?: undefined; error: OfDecodeError };

/** Transaction ids of one run of the command, over all its connections. */
export interface Xids {
  next: number;
}

export interface VconnOptions extends TlsOptions {
  env: Io["env"];
  xids: Xids;
}

const NONE: ReadonlySet<number> = new Set();

const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;

/** The stream that SWITCH means: a target as it is, a socket's path, or a bridge by its `.mgmt` (or other) socket. */
function switchTarget(name: string, env: Io["env"], suffix: "mgmt" | "snoop" = "mgmt"): string {
  if (name.includes(":")) return name;
  const socket = join(runDir(env), `${name}.${suffix}`);
  const path = [socket, name].find(isSocket);
  if (path === undefined) throw new CliError(`${name} is not a bridge or a socket (no ${socket})`);
  return `unix:${resolve(path)}`;
}

/** An OpenFlow 1.3 connection to a switch, for programs that ask one thing after another. Messages are read when they
 *  are asked for, so a switch that talks a lot is slowed by TCP and not kept in memory. */
export class Vconn {
  readonly name: string;
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #framer = new Framer();
  readonly #xids: Xids;

  private constructor(name: string, socket: Socket, xids: Xids) {
    this.name = name;
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
    this.#xids = xids;
  }

  /** Connects and agrees on the version. Rejects with one line. */
  static async open(name: string, options: VconnOptions, suffix?: "mgmt" | "snoop"): Promise<Vconn> {
    const socket = await openStream(switchTarget(name, options.env, suffix), options);
    const vconn = new Vconn(name, socket, options.xids);
    try {
      await vconn.#hello();
      return vconn;
    } catch (error) {
      vconn.close();
      throw error;
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends a message under a new xid, which it gives. */
  send(init: OfMessageInit): number {
    const xid = this.#xids.next++;
    this.sendBytes(encode({ ...init, xid }));
    return xid;
  }

  /** The xid that the next `send` will use. */
  get nextXid(): number {
    return this.#xids.next;
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Waits while the switch is slow to read. */
  async flushed(): Promise<void> {
    if (this.#socket.writableNeedDrain) await drained(this.#socket);
  }

  /** The next message; undefined once the switch has closed. Echo requests are answered here. */
  async receive(): Promise<Received | undefined> {
    for (;;) {
      const bytes = await this.#next();
      if (bytes === undefined) return undefined;
      const received = decodeReceived(bytes);
      if (received.message?.type !== "OFPT_ECHO_REQUEST") return received;
      const { xid, data } = received.message;
      this.sendBytes(encode({ type: "OFPT_ECHO_REPLY", xid, data }));
    }
  }

  /** The reply to `xid`; what else arrives meanwhile is none of the asker's, but for refusals of `earlier` messages:
   *  rejects with RefusedError of the first of these, else of `xid` itself. */
  async reply(xid: number, earlier: ReadonlySet<number> = NONE): Promise<OfMessage> {
    let refusal: RefusedError | undefined;
    for (;;) {
      const received = await this.receive();
      if (received === undefined)
        throw refusal ?? new CliError(`${this.name}: the switch closed the connection`);
      const { message, bytes, error } = received;
      if (message?.type === "OFPT_ERROR" && (message.xid === xid || earlier.has(message.xid)))
        refusal ??= new RefusedError(message);
      if ((message?.xid ?? xidOf(bytes)) !== xid) continue;
      if (refusal) throw refusal;
      if (error) throw new CliError(`${this.name}: bad reply: ${error.message}`);
      return message;
    }
  }

  /** Asks, and gives the one reply. */
  async request<T extends OfMessage["type"]>(init: OfMessageInit, replyType: T): Promise<MessageOf<T>> {
    const message = await this.reply(this.send(init));
    if (message.type !== replyType) throw unexpected(this.name, message);
    return message as MessageOf<T>;
  }

  /** Each part of the reply to a multipart request, as it comes. */
  async *multipart(body: MultipartBody): AsyncGenerator<MultipartReply> {
    const xid = this.#xids.next++;
    for (const part of splitMultipart({ type: "OFPT_MULTIPART_REQUEST", xid, body }))
      this.sendBytes(encode(part));
    for (let more = true; more; ) {
      const message = await this.reply(xid);
      if (message.type !== "OFPT_MULTIPART_REPLY") throw unexpected(this.name, message);
      more = (message.flags & 1) !== 0;
      yield message;
    }
  }

  /** The reply to a multipart request, its parts joined. */
  async joined(body: MultipartBody): Promise<MultipartReply> {
    const joiner = new MultipartJoiner();
    for await (const part of this.multipart(body)) {
      const whole = joiner.push(part);
      if (whole) return whole as MultipartReply;
    }
    throw new CliError(`${this.name}: the switch's reply has no end`);
  }

  /** The body of the joined reply to a multipart request. */
  async ask<const B extends MultipartBody>(body: B): Promise<Reply<B["type"]>> {
    return (await this.joined(body)).body as Reply<B["type"]>;
  }

  /** Sends what has no reply and waits until the switch has done it. Rejects with RefusedError. */
  async command(init: OfMessageInit): Promise<void> {
    await this.barrier(new Set([this.send(init)]));
  }

  /** Waits until the switch has done everything sent before; rejects with the first refusal among `xids`. */
  async barrier(xids: ReadonlySet<number>): Promise<void> {
    await this.reply(this.send({ type: "OFPT_BARRIER_REQUEST" }), xids);
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = this.#framer.next();
      if (bytes !== undefined) return bytes;
      const chunk = await this.#chunks.next().catch(() => ({ done: true as const, value: undefined }));
      if (chunk.done) return undefined;
      this.#framer.push(chunk.value);
    }
  }

  /** §6.3.1: each side says which versions it speaks; the highest that both do is spoken. */
  async #hello(): Promise<void> {
    this.send({
      type: "OFPT_HELLO",
      elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [1 << OFP_VERSION] }],
    });
    const bytes = await this.#next();
    if (bytes === undefined)
      throw new CliError(`${this.name}: the switch closed the connection without a hello`);
    const { message } = decodeReceived(bytes);
    if (message?.type !== "OFPT_HELLO")
      throw new CliError(`${this.name}: no OpenFlow switch there: it began with no hello`);
    const bitmap = message.elements.find((element) => element.type === "OFPHET_VERSIONBITMAP");
    const theirs = bitmap && "bitmaps" in bitmap ? versionsOf(bitmap.bitmaps[0] ?? 0) : upTo(message.version);
    if (theirs.includes(OFP_VERSION)) return;
    const reason = `${this.name}: no version in common: we speak ${versionName(OFP_VERSION)}, the switch ${theirs.map(versionName).join(", ")}`;
    const data = new TextEncoder().encode(reason);
    const refusal = { error_type: "OFPET_HELLO_FAILED", error_code: "OFPHFC_INCOMPATIBLE", data } as const;
    this.#socket.end(encode({ type: "OFPT_ERROR", xid: message.xid, ...refusal }));
    throw new CliError(reason);
  }
}

function decodeReceived(bytes: Uint8Array): Received {
  try {
    return { bytes, message: decode(bytes) };
  } catch (error) {
    if (error instanceof OfDecodeError) return { bytes, error };
    throw error;
  }
}

const xidOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4);

const unexpected = (name: string, message: OfMessage): CliError =>
  new CliError(`${name}: unexpected reply ${message.type}`);

const versionsOf = (bitmap: number): number[] =>
  Array.from({ length: 31 }, (_, version) => version).filter((version) => bitmap & (1 << version));
/** Without a bitmap a side speaks every version up to its hello's, as far as anyone can tell. */
const upTo = (version: number): number[] => Array.from({ length: version }, (_, i) => i + 1);

const VERSION_NAMES = [
  "",
  "OpenFlow10",
  "OpenFlow11",
  "OpenFlow12",
  "OpenFlow13",
  "OpenFlow14",
  "OpenFlow15",
];
const versionName = (version: number): string =>
  `${VERSION_NAMES[version] || "OpenFlow"} (0x${version.toString(16).padStart(2, "0")})`;
