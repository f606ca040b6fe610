import type { Duplex } from "node:stream";
import {
  type Clock,
  IdleProbe,
  JsonFramer,
  type JsonFramerOptions,
  JsonFramingError,
  listen,
  OVSDB_PORT,
  openStream,
  parseTarget,
  realClock,
  type StreamOptions,
  stringifyJson,
} from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { isObject, OvsdbError } from "../schema/error.js";
import { DatabaseSchema } from "../schema/schema.js";

export interface OvsdbClientOptions {
  clock?: Clock;
  /** Milliseconds of silence before an echo request, and again before the server counts as dead; 0, which is the
   *  default, never asks. */
  probeIntervalMs?: number;
  framing?: JsonFramerOptions;
}

export interface OvsdbClientEvents {
  /** A notification: update, update2, update3, locked, stolen, monitor_canceled. */
  notification: (method: string, params: readonly unknown[]) => void;
  /** Something came in. */
  activity: () => void;
  /** The connection is gone; every open request has been rejected. */
  close: (why: string) => void;
}

/** The connection ended before the answer came: whether the request was carried out is not known. */
export class ConnectionClosedError extends Error {
  constructor(why: string) {
    super(why);
    this.name = "ConnectionClosedError";
  }
}

/** The result of one operation of a transaction (RFC 7047 §5.2). */
export interface OperationResult {
  count?: number;
  uuid?: ["uuid", string];
  rows?: Record<string, unknown>[];
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** One connection to an OVSDB server: a promise for each request. */
export class OvsdbClient {
  readonly events = new EventEmitter<OvsdbClientEvents>();
  readonly #stream: Duplex;
  readonly #framer: JsonFramer;
  readonly #probe: IdleProbe;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #closedBecause: string | undefined;

  constructor(stream: Duplex, options: OvsdbClientOptions = {}) {
    this.#stream = stream;
    this.#framer = new JsonFramer({ maxSize: 1024 * 1024 * 1024, ...options.framing });
    this.#probe = new IdleProbe({
      clock: options.clock ?? realClock,
      intervalMs: options.probeIntervalMs ?? 0,
      probe: () => this.echo(),
      dead: () => this.close("no response to inactivity probe"),
    });
    this.#probe.start();
    stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    stream.on("error", (error: Error) => this.close(error.message));
    stream.on("end", () => this.close("connection closed by peer"));
    stream.on("close", () => this.close("connection closed by peer"));
  }

  /** Connects to `tcp:HOST[:PORT]`, `unix:PATH` or `ssl:HOST[:PORT]`; on `ptcp:`, `punix:` or `pssl:` waits for a
   *  server to connect. Rejects with StreamError. */
  static async connect(
    target: string,
    options: OvsdbClientOptions & StreamOptions = {},
  ): Promise<OvsdbClient> {
    if (parseTarget(target, OVSDB_PORT).passive) return OvsdbClient.#accept(target, options);
    const stream = await openStream(target, { ...options, defaultPort: OVSDB_PORT });
    return new OvsdbClient(stream, options);
  }

  /** The first to connect is the server; the listener lasts as long as that connection. */
  static async #accept(target: string, options: OvsdbClientOptions & StreamOptions): Promise<OvsdbClient> {
    let take!: (stream: Duplex) => void;
    const first = new Promise<Duplex>((resolve) => {
      take = resolve;
    });
    let isTaken = false;
    const onConnection = (stream: Duplex): void => {
      if (isTaken) stream.destroy();
      isTaken = true;
      take(stream);
    };
    const listener = await listen(target, onConnection, { ...options, defaultPort: OVSDB_PORT });
    const client = new OvsdbClient(await first, options);
    client.events.once("close", () => void listener.close());
    return client;
  }

  get isClosed(): boolean {
    return this.#closedBecause !== undefined;
  }

  /** The result; rejects with OvsdbError where the server refuses, ConnectionClosedError where it goes away. `params`
   *  may be JSON text of an array, given as `{ text }`. */
  request(method: string, params: readonly unknown[] | { readonly text: string }): Promise<unknown> {
    return this.start(method, params).result;
  }

  /** As `request`, with the id for `cancel`. */
  start(
    method: string,
    params: readonly unknown[] | { readonly text: string },
  ): { id: number; result: Promise<unknown> } {
    const id = this.#nextId++;
    const result = new Promise<unknown>((resolve, reject) => {
      if (this.#closedBecause !== undefined) {
        reject(new ConnectionClosedError(this.#closedBecause));
        return;
      }
      this.#waiting.set(id, { resolve, reject });
      const text = "text" in params ? params.text : stringifyJson(params);
      this.#stream.write(`{"method":${JSON.stringify(method)},"params":${text},"id":${id}}`);
    });
    return { id, result };
  }

  notify(method: string, params: readonly unknown[]): void {
    if (this.#closedBecause === undefined) this.#stream.write(stringifyJson({ method, params, id: null }));
  }

  /** Asks for a sign of life. */
  echo(): void {
    this.request("echo", []).catch(() => {});
  }

  async listDatabases(): Promise<string[]> {
    return (await this.request("list_dbs", [])) as string[];
  }

  async getSchema(database: string): Promise<DatabaseSchema> {
    return DatabaseSchema.fromJson(await this.request("get_schema", [database]));
  }

  /** One result for each operation. Rejects with the OvsdbError of the one that failed. */
  async transact(database: string, operations: readonly unknown[]): Promise<OperationResult[]> {
    const results = (await this.request("transact", [database, ...operations])) as unknown[];
    const failed = results.find((result) => isObject(result) && "error" in result);
    if (failed) throw errorFromJson(failed);
    return results as OperationResult[];
  }

  /** Ends the connection; open requests are rejected. */
  close(why = "connection closed"): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = why;
    this.#probe.stop();
    this.#stream.end();
    this.#stream.destroy();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new ConnectionClosedError(why));
    this.events.emit("close", why);
  }

  #onData(chunk: Uint8Array): void {
    if (this.isClosed) return;
    this.#probe.activity();
    this.events.emit("activity");
    try {
      this.#framer.push(chunk);
    } catch (error) {
      if (!(error instanceof JsonFramingError)) throw error;
      this.close(error.message);
      return;
    }
    for (let message = this.#framer.next(); message !== undefined; message = this.#framer.next()) {
      this.#handle(message);
      if (this.isClosed) return;
    }
  }

  #handle(message: unknown): void {
    if (!isObject(message)) {
      this.close("the server sent what is not a JSON-RPC message");
      return;
    }
    const { method, params, id } = message;
    if (typeof method === "string") {
      const list = Array.isArray(params) ? (params as unknown[]) : [];
      if (id === null || id === undefined) this.events.emit("notification", method, list);
      else if (method === "echo") this.#stream.write(stringifyJson({ id, result: list, error: null }));
      else this.#stream.write(stringifyJson({ id, result: null, error: "unknown method" }));
      return;
    }
    const waiting = this.#waiting.get(id as number);
    if (!waiting) return;
    this.#waiting.delete(id as number);
    const { error } = message;
    if (error === null || error === undefined) waiting.resolve(message.result);
    else waiting.reject(errorFromJson(error));
  }
}

/** RFC 7047 `<error>`, or the bare string that some errors are. */
export const errorFromJson = (json: unknown): OvsdbError => {
  if (typeof json === "string") return new OvsdbError(json, json);
  if (!isObject(json)) return new OvsdbError("ovsdb error", stringifyJson(json));
  const error = new OvsdbError(String(json.error), typeof json.details === "string" ? json.details : "");
  return typeof json.syntax === "string" ? Object.assign(error, { syntax: json.syntax }) : error;
};
