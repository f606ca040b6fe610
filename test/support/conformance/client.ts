import type { Duplex } from "node:stream";
import {
  decode,
  encode,
  Framer,
  type MessageOf,
  MultipartJoiner,
  OFPCML,
  type OfMessage,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { openStream } from "@sluice/runtime";

export type OfError = MessageOf<"OFPT_ERROR">;
export type MultipartRequestBody = MultipartRequestInit["body"];
type MultipartRequestInit = Extract<OfMessageInit, { type: "OFPT_MULTIPART_REQUEST" }>;
type MultipartReply = MessageOf<"OFPT_MULTIPART_REPLY">["body"];
export type ReplyBody<T extends MultipartRequestBody["type"]> = Extract<MultipartReply, { type: T }>;

/** Longer than any answer takes; a switch that does not answer fails the case, not the run. */
const PATIENCE_MS = 10_000;

/** A controller's side of one OpenFlow 1.3 connection, for tests: it asks, and keeps what comes unasked. */
export class OfClient {
  readonly #stream: Duplex;
  readonly #framer = new Framer();
  readonly #joiner = new MultipartJoiner();
  readonly #received: OfMessage[] = [];
  readonly #waiting = new Set<() => void>();
  #isClosed = false;
  #failure: Error | undefined;
  #xid = 0x100;

  private constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    stream.on("error", (error) => {
      this.#failure = error;
    });
    stream.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** Connects to `unix:…` or `tcp:…` and says HELLO. A connection to BRIDGE.mgmt hears of packets and changes only
   *  once it has set miss_send_len; `miss_send_len: 0` leaves that out. */
  static async connect(target: string, miss_send_len: number = OFPCML.NO_BUFFER): Promise<OfClient> {
    const client = await OfClient.open(target);
    client.send({ type: "OFPT_HELLO", elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [0x10] }] });
    await client.#next((message) => message.type === "OFPT_HELLO");
    if (miss_send_len !== 0) client.send({ type: "OFPT_SET_CONFIG", miss_send_len });
    await client.settle();
    return client;
  }

  /** Connects and says nothing. */
  static async open(target: string): Promise<OfClient> {
    return new OfClient((await openStream(target)) as unknown as Duplex);
  }

  /** Resolves when the switch has closed the connection, with all that it sent before. */
  async ended(): Promise<OfMessage[]> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.#isClosed) await this.#somethingCame(end - performance.now());
    return this.#received.splice(0);
  }

  /** Sends a message; gives its xid. */
  send(message: OfMessageInit | Uint8Array): number {
    if (message instanceof Uint8Array) {
      this.#stream.write(message);
      return new DataView(message.buffer, message.byteOffset).getUint32(4);
    }
    const xid = message.xid ?? this.#xid++;
    this.#stream.write(encode({ ...message, xid }));
    return xid;
  }

  /** Sends messages and a barrier. Gives what came back on their behalf, and throws for a lost connection. */
  async exchange(...messages: readonly (OfMessageInit | Uint8Array)[]): Promise<OfMessage[]> {
    const xids = messages.map((message) => this.send(message));
    await this.#barrier();
    return this.answers(xids);
  }

  /** Takes what is here of the answers to these xids. */
  answers(xids: readonly number[]): OfMessage[] {
    return this.#takeWhere((message) => xids.includes(message.xid) && !ASYNCHRONOUS.has(message.type));
  }

  /** Sends bytes that need not be whole messages. */
  write(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** The error that a message is answered with, or undefined. */
  async errorOf(message: OfMessageInit | Uint8Array): Promise<OfError | undefined> {
    return (await this.exchange(message)).find((answer) => answer.type === "OFPT_ERROR");
  }

  /** The answer to a request. Rejects when that is an error. */
  async request<T extends OfMessage["type"]>(message: OfMessageInit, reply: T): Promise<MessageOf<T>> {
    const xid = this.send(message);
    const answer = await this.#next((one) => one.xid === xid);
    if (answer.type !== reply) throw new Error(`${message.type} was answered with ${say(answer)}`);
    return answer as MessageOf<T>;
  }

  /** The whole answer to a multipart request. Rejects when that is an error. */
  async multipart<B extends MultipartRequestBody>(body: B): Promise<ReplyBody<B["type"]>> {
    const { body: reply } = await this.request(
      { type: "OFPT_MULTIPART_REQUEST", body },
      "OFPT_MULTIPART_REPLY",
    );
    return reply as ReplyBody<B["type"]>;
  }

  /** Takes what has come unasked, once everything that the switch had to say so far is here. Open vSwitch tells of
   *  removed flows and of packets from other threads, behind a barrier's reply: `atLeast` waits for as many messages. */
  async unasked(atLeast = 0): Promise<OfMessage[]> {
    const end = performance.now() + PATIENCE_MS;
    const taken: OfMessage[] = [];
    do {
      await this.#barrier();
      taken.push(...this.#takeWhere((message) => ASYNCHRONOUS.has(message.type)));
    } while (taken.length < atLeast && performance.now() < end);
    return taken;
  }

  /** Waits until all requests so far are in force. */
  async settle(): Promise<void> {
    await this.#barrier();
  }

  close(): void {
    this.#stream.destroy();
  }

  async #barrier(): Promise<void> {
    const xid = this.send({ type: "OFPT_BARRIER_REQUEST" });
    await this.#next((message) => message.xid === xid && message.type === "OFPT_BARRIER_REPLY");
  }

  #takeWhere(is: (message: OfMessage) => boolean): OfMessage[] {
    const taken = this.#received.filter(is);
    const rest = this.#received.filter((message) => !is(message));
    this.#received.splice(0, this.#received.length, ...rest);
    return taken;
  }

  async #next(is: (message: OfMessage) => boolean): Promise<OfMessage> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#received.findIndex(is);
      if (at >= 0) return this.#received.splice(at, 1)[0]!;
      if (this.#failure) throw this.#failure;
      if (this.#isClosed) throw new Error(`the switch closed the connection${this.#tail()}`);
      await this.#somethingCame(end - performance.now());
    }
  }

  #somethingCame(patienceMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer in ${PATIENCE_MS} ms${this.#tail()}`)),
        Math.max(0, patienceMs),
      );
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
    });
  }

  #tail(): string {
    const last = this.#received.at(-1);
    return last ? `; the last message was ${say(last)}` : "";
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#framer.push(chunk);
      for (let bytes = this.#framer.next(); bytes; bytes = this.#framer.next()) this.#take(decode(bytes));
    } catch (error) {
      this.#failure = error as Error;
    }
    this.#wake();
  }

  #take(message: OfMessage): void {
    if (message.type === "OFPT_ECHO_REQUEST")
      this.send({ type: "OFPT_ECHO_REPLY", xid: message.xid, data: message.data });
    else if (message.type === "OFPT_MULTIPART_REPLY") {
      const whole = this.#joiner.push(message);
      if (whole) this.#received.push(whole as OfMessage);
    } else this.#received.push(message);
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

const ASYNCHRONOUS: ReadonlySet<string> = new Set([
  "OFPT_PACKET_IN",
  "OFPT_FLOW_REMOVED",
  "OFPT_PORT_STATUS",
  "NXT_PACKET_IN",
  "ONFT_ROLE_STATUS",
  "ONFT_REQUESTFORWARD",
]);

const say = (message: OfMessage): string =>
  message.type === "OFPT_ERROR" ? `${message.error_type} ${message.error_code}` : message.type;
