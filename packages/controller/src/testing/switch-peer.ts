import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  decode,
  encode,
  Framer,
  type MessageInitOf,
  type MessageOf,
  type OfMessage,
  type OfMessageInit,
  type OfMessageType,
  type PortInit,
} from "@sluice/openflow-codec";

/** A switch's end of a real connection, message by message, for the framework's own tests. */
export class SwitchPeer {
  readonly #socket: Socket;
  readonly #framer = new Framer();
  readonly #inbox: OfMessage[] = [];
  #wake: () => void = () => {};
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.#framer.push(chunk);
      for (let bytes = this.#framer.next(); bytes; bytes = this.#framer.next())
        this.#inbox.push(decode(bytes));
      this.#wake();
    });
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** Connects to `ptcp:PORT:127.0.0.1`. */
  static async connect(target: string): Promise<SwitchPeer> {
    const socket = connect(Number(target.split(":")[1]), "127.0.0.1");
    await once(socket, "connect");
    return new SwitchPeer(socket);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Stops and resumes reading. */
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  send(...messages: OfMessageInit[]): void {
    this.sendBytes(Buffer.concat(messages.map((message) => encode(message))));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next message of that type; those before it are passed over. */
  async next<T extends OfMessageType>(type: T): Promise<MessageOf<T>> {
    for (;;) {
      const at = this.#inbox.findIndex((message) => message.type === type);
      if (at >= 0) return this.#inbox.splice(0, at + 1)[at] as MessageOf<T>;
      if (this.#isClosed)
        throw new Error(`closed while waiting for ${type}; got ${JSON.stringify(this.#types())}`);
      await this.#news();
    }
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#news();
  }

  /** HELLO, FEATURES and PORT_DESC, as a switch that behaves. */
  async handshake(datapath_id: bigint, ports: readonly PortInit[] = []): Promise<void> {
    this.send({ type: "OFPT_HELLO" });
    const features = await this.next("OFPT_FEATURES_REQUEST");
    this.send(featuresReply(features.xid, datapath_id));
    const desc = await this.next("OFPT_MULTIPART_REQUEST");
    this.send({
      type: "OFPT_MULTIPART_REPLY",
      xid: desc.xid,
      body: { type: "OFPMP_PORT_DESC", entries: [...ports] },
    });
  }

  end(): void {
    this.#socket.end();
  }

  #types(): string[] {
    return this.#inbox.map((message) => message.type);
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export const featuresReply = (xid: number, datapath_id: bigint): MessageInitOf<"OFPT_FEATURES_REPLY"> => ({
  type: "OFPT_FEATURES_REPLY",
  xid,
  datapath_id,
  n_buffers: 0,
  n_tables: 1,
  auxiliary_id: 0,
  capabilities: 0,
});

export const port = (port_no: number, state = 0): PortInit => ({
  port_no,
  hw_addr: "02:00:00:00:00:01",
  name: `p${port_no}`,
  state,
});
