import type { Duplex } from "node:stream";
import { Framer } from "@sluice/openflow-codec";

/** Messages handled before other connections and the datapath get their turn. */
const BATCH = 64;
/** Bytes waiting to be sent above which a peer counts as slow: its requests are not read until it reads replies. */
const CONGESTED_BYTES = 512 * 1024;
/** Bytes waiting above which the connection is given up: it can no longer be told the truth. */
const HOPELESS_BYTES = 64 * 1024 * 1024;

export interface ConnectionHandlers {
  /** Bytes came in. */
  activity(): void;
  /** One whole message, in order; the next is not handed over before a promise is settled. */
  message(bytes: Uint8Array): void | Promise<void>;
  /** The peer takes more again. */
  drain(): void;
  /** Ended, for the reason given; told once. */
  closed(why: string): void;
}

/** Lets other connections and the datapath have their turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The bytes of one OpenFlow connection: cuts what comes into messages, writes what goes, and keeps both bounded. */
export class Connection {
  readonly #stream: Duplex;
  readonly #handlers: ConnectionHandlers;
  readonly #framer = new Framer();
  #why = "connection closed by peer";
  #isCorked = false;
  #isClosed = false;
  /** Sees every message either way, for snoopers. */
  tap: ((bytes: Uint8Array) => void) | undefined;
  readonly counters = { received: 0, sent: 0 };

  constructor(stream: Duplex, handlers: ConnectionHandlers) {
    this.#stream = stream;
    this.#handlers = handlers;
    stream.on("error", (error) => {
      this.#why = error.message.split("\n")[0]!;
    });
    stream.on("drain", () => handlers.drain());
    stream.once("close", () => {
      this.#isClosed = true;
      handlers.closed(this.#why);
    });
  }

  /** Begins to read. */
  start(): void {
    void this.#read();
  }

  get isClosed(): boolean {
    return this.#isClosed || this.#stream.destroyed;
  }

  /** Whether the peer is behind with reading what it was sent. */
  get isCongested(): boolean {
    return this.#stream.writableLength >= CONGESTED_BYTES;
  }

  /** Sends whole messages. All that is sent in one turn leaves in one write. */
  send(bytes: Uint8Array): void {
    if (this.isClosed || this.#stream.writableEnded) return;
    if (this.#stream.writableLength + bytes.length > HOPELESS_BYTES) {
      this.close(`peer does not read: ${this.#stream.writableLength} bytes wait to be sent`);
      return;
    }
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#stream.uncork();
      });
    }
    this.counters.sent++;
    this.tap?.(bytes);
    this.#stream.write(bytes);
  }

  /** Ends the connection at once. */
  close(why: string): void {
    this.#why = why;
    this.#stream.destroy();
  }

  /** Ends the connection once what was sent has left. */
  finish(why: string): void {
    this.#why = why;
    this.#stream.end(() => this.#stream.destroy());
  }

  async #read(): Promise<void> {
    try {
      // Leaving the loop must not cut off what is still to be sent.
      for await (const chunk of this.#stream.iterator({ destroyOnReturn: false })) {
        this.#handlers.activity();
        this.#framer.push(chunk as Uint8Array);
        await this.#handleMessages();
        if (this.#stream.writableEnded) break;
      }
    } catch (error) {
      this.#why = error instanceof Error ? error.message : String(error);
    } finally {
      if (!this.#stream.destroyed && !this.#stream.writableEnded) this.finish(this.#why);
    }
  }

  async #handleMessages(): Promise<void> {
    let count = 0;
    for (let bytes = this.#framer.next(); bytes !== undefined; bytes = this.#framer.next()) {
      if (this.isClosed || this.#stream.writableEnded) return;
      this.counters.received++;
      this.tap?.(bytes);
      const pending = this.#handlers.message(bytes);
      if (pending !== undefined) await pending;
      if (this.isCongested) await this.drained();
      if (++count % BATCH === 0) await nextTurn();
    }
  }

  /** Resolves when the peer has read enough, or is gone. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done);
        this.#stream.off("close", done);
        resolve();
      };
      this.#stream.on("drain", done);
      this.#stream.on("close", done);
      if (!this.#stream.writableNeedDrain || this.isClosed) done();
    });
  }
}
