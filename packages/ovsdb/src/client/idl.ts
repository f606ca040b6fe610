import type { Duplex } from "node:stream";
import {
  type Clock,
  type Log,
  nullLog,
  OVSDB_PORT,
  openStream,
  Reconnect,
  realClock,
  type TlsOptions,
} from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { ZERO_UUID } from "../schema/atom.js";
import type { Declared, RowOf, TableName, Tables } from "../schema/declare.js";
import { isObject, OvsdbError } from "../schema/error.js";
import type { DatabaseSchema } from "../schema/schema.js";
import { ConnectionClosedError, errorFromJson, OvsdbClient } from "./client.js";
import { Replica, type UpdateForm } from "./replica.js";
import { Txn, type TxnResult } from "./txn.js";

/** A row of the replica. The object stays the same for the life of the row; `columns` is a new frozen object after
 *  each change: scalars bare, optionals `T | undefined`, sets arrays, maps Maps, references uuids. */
export interface IdlRow<S, T extends TableName<S>> {
  readonly table: T;
  readonly uuid: string;
  readonly columns: RowOf<S, T>;
}

/** What an update did to one row: `old` is absent for a new row, `new` for a deleted one. */
export type IdlChange<S> = {
  [T in TableName<S>]: {
    readonly table: T;
    readonly uuid: string;
    readonly row: IdlRow<S, T>;
    readonly old?: RowOf<S, T>;
    readonly new?: RowOf<S, T>;
  };
}[TableName<S>];

export interface IdlEvents<S> {
  /** Once for each update, after the replica holds all of it. The first has every row. */
  change: (changes: readonly IdlChange<S>[]) => void;
  /** The replica is in step with the server (again). */
  synced: () => void;
  disconnected: (why: string) => void;
  /** The lock asked for is ours, or is no longer. */
  lock: (isHeld: boolean) => void;
}

export interface IdlOptions<S> {
  /** `unix:PATH`, `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`, or a function that gives the client's end of a connection. */
  connect: string | (() => Duplex | Promise<Duplex>);
  /** The tables to replicate, wholly (true) or some columns of them. Those that the server's schema lacks are empty. */
  tables: { readonly [T in TableName<S>]?: true | readonly (keyof RowOf<S, T> & string)[] };
  clock?: Clock;
  log?: Log;
  tls?: TlsOptions;
  /** A lock (RFC 7047 §4.1.8) to ask for; transactions assert it. */
  lock?: string;
  maxBackoffMs?: number;
  /** 5000 unless given; 0 for connections within the process. */
  probeIntervalMs?: number;
}

/** A live, typed replica of an OVSDB database. It connects, fetches, follows the updates, and after a lost connection
 *  fetches what it missed: every change is seen once. */
export class Idl<S extends Declared<Tables>> {
  readonly schema: S;
  readonly events = new EventEmitter<IdlEvents<S>>();
  readonly #options: IdlOptions<S>;
  readonly #log: Log;
  readonly #replica: Replica;
  readonly #reconnect: Reconnect;
  #client: OvsdbClient | undefined;
  #serverSchema: DatabaseSchema | undefined;
  /** The state of the server that the replica has, or zeros. */
  #lastId = ZERO_UUID;
  #isSynced = false;
  #hasLock = false;
  #monitorCount = 0;
  #attempt: AbortController | undefined;
  /** Updates that came before the answer they follow was looked at. */
  #early: [method: string, params: readonly unknown[]][] | undefined;

  constructor(schema: S, options: IdlOptions<S>) {
    this.schema = schema;
    this.#options = options;
    this.#log = options.log ?? nullLog;
    const wanted = new Map<string, readonly string[]>();
    for (const [name, columns] of Object.entries(options.tables) as [string, true | readonly string[]][])
      wanted.set(name, columns === true ? schema.table(name).columns.map((column) => column.name) : columns);
    this.#replica = new Replica(schema, wanted);
    const isLocal = typeof options.connect !== "string" || options.connect.startsWith("unix:");
    this.#reconnect = new Reconnect({
      clock: options.clock ?? realClock,
      log: this.#log,
      name: typeof options.connect === "string" ? options.connect : "in-process",
      ...(options.maxBackoffMs !== undefined && { maxBackoffMs: options.maxBackoffMs }),
      probeIntervalMs: options.probeIntervalMs ?? (isLocal ? 0 : 5000),
      connect: () => void this.#connect(),
      disconnect: () => this.#drop("disconnected"),
      probe: () => this.#client?.echo(),
    });
  }

  /** Begins to connect, and goes on until `close`. */
  start(): this {
    this.#reconnect.enable();
    return this;
  }

  close(): void {
    this.#reconnect.disable();
    this.#drop("closed");
  }

  /** The replica is in step with a connected server. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  get hasLock(): boolean {
    return this.#hasLock;
  }

  /** Resolves when the replica is in step, at once if it is. */
  synced(): Promise<void> {
    if (this.#isSynced) return Promise.resolve();
    return new Promise((resolve) => this.events.once("synced", resolve));
  }

  /** The rows of a table, in the order in which they came. */
  rows<T extends TableName<S>>(table: T): readonly IdlRow<S, T>[] {
    return [...this.#rowsOf(table).values()];
  }

  row<T extends TableName<S>>(table: T, uuid: string): IdlRow<S, T> | undefined {
    return this.#rowsOf(table).get(uuid);
  }

  /** The first row for which `test` holds. */
  find<T extends TableName<S>>(table: T, test: (columns: RowOf<S, T>) => boolean): IdlRow<S, T> | undefined {
    for (const row of this.#rowsOf(table).values()) if (test(row.columns)) return row;
    return undefined;
  }

  #rowsOf<T extends TableName<S>>(table: T): ReadonlyMap<string, IdlRow<S, T>> {
    const replica = this.#replica.tables.get(table);
    if (!replica) throw new Error(`table ${table} is not replicated`);
    return replica.rows as unknown as ReadonlyMap<string, IdlRow<S, T>>;
  }

  /** Runs `build` on the replica as it is now and sends what it asked for, as one transaction. Where something that
   *  was verified has changed meanwhile, "try again", or with `retries` it is built anew after the replica has caught
   *  up. When the promise resolves, the replica has the transaction's changes. Never rejects. */
  async transact(build: (txn: Txn<S>) => void, { retries = 0 } = {}): Promise<TxnResult> {
    for (let attempt = 0; ; attempt++) {
      const result = await this.#transactOnce(build);
      if (result.status !== "try again" || attempt >= retries) return result;
    }
  }

  async #transactOnce(build: (txn: Txn<S>) => void): Promise<TxnResult> {
    const client = this.#client;
    if (!this.#isSynced || !client) return { status: "not connected" };
    if (this.#options.lock !== undefined && !this.#hasLock) return { status: "not locked" };
    const txn = new Txn(this.schema, this.#replica, (table, column) => this.#isKnown(table, column));
    build(txn);
    const operations = txn.toOperations();
    if (operations.length === 0) return { status: "unchanged" };
    const lock =
      this.#options.lock === undefined ? [] : [JSON.stringify({ op: "assert", lock: this.#options.lock })];
    const text = `[${[JSON.stringify(this.schema.name), ...lock, ...operations].join(",")}]`;
    try {
      const results = (await client.request("transact", { text })) as unknown[];
      const failed = results.find((result) => isObject(result) && "error" in result);
      return failed ? failure(errorFromJson(failed)) : { status: "success" };
    } catch (error) {
      if (error instanceof ConnectionClosedError) return { status: "unknown" };
      return failure(error instanceof OvsdbError ? error : new OvsdbError("ovsdb error", String(error)));
    }
  }

  #isKnown(table: string, column?: string): boolean {
    const known = this.#serverSchema?.tables.get(table);
    return known !== undefined && (column === undefined || known.find(column) !== undefined);
  }

  async #connect(): Promise<void> {
    const { connect, tls, clock } = this.#options;
    const attempt = new AbortController();
    this.#attempt?.abort();
    this.#attempt = attempt;
    let client: OvsdbClient | undefined;
    try {
      const stream =
        typeof connect === "string"
          ? await openStream(connect, { ...tls, defaultPort: OVSDB_PORT, signal: attempt.signal })
          : await connect();
      if (attempt.signal.aborted) {
        stream.destroy();
        return;
      }
      client = new OvsdbClient(stream, clock ? { clock } : {});
      this.#client = client;
      const mine = client;
      client.events.on("activity", () => this.#reconnect.activity());
      client.events.on("notification", (method, params) => this.#onNotification(mine, method, params));
      client.events.on("close", (why) => {
        if (this.#client !== mine) return;
        this.#forget(why);
        this.#reconnect.disconnected(why);
      });
      // From here on the probe watches: the first contents of a large database may take longer than any attempt is given.
      this.#reconnect.connected();
      await this.#sync(client);
    } catch (error) {
      if (attempt.signal.aborted) return;
      const why = (error as Error).message;
      if (client) {
        // Its 'close' tells the rest.
        this.#log.warn(`${this.schema.name}: ${why}`);
        client.close(why);
      } else this.#reconnect.disconnected(why);
    }
  }

  #drop(why: string): void {
    this.#attempt?.abort();
    const client = this.#client;
    this.#forget(why);
    client?.close(why);
  }

  #forget(why: string): void {
    const wasSynced = this.#isSynced;
    this.#client = undefined;
    this.#isSynced = false;
    this.#setLock(false);
    if (wasSynced) this.events.emit("disconnected", why);
  }

  /** Fetches what the replica lacks, by the best method that the server has, and takes the updates from then on. */
  async #sync(client: OvsdbClient): Promise<void> {
    this.#serverSchema = await client.getSchema(this.schema.name);
    const requests: Record<string, unknown> = {};
    for (const [name, table] of this.#replica.tables) {
      const columns = table.columns
        .map((column) => column.name)
        .filter((column) => this.#isKnown(name, column));
      if (columns.length > 0) requests[name] = [{ columns }];
    }
    const monitor = `idl-${++this.#monitorCount}`;
    const base = [this.schema.name, monitor, requests];
    this.#early = [];
    await this.#askForLock(client);
    try {
      const reply = (await client.request("monitor_cond_since", [...base, this.#lastId])) as unknown[];
      const [isFound, lastId, updates] = reply;
      this.#lastId = String(lastId);
      this.#accept(updates, 2, isFound !== true);
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.tag !== "unknown method") throw error;
      this.#lastId = ZERO_UUID;
      this.#accept(await client.request("monitor", base), 1, true);
    }
    const early = this.#early;
    this.#early = undefined;
    for (const [method, params] of early) this.#onUpdate(method, params);
    this.#isSynced = true;
    this.events.emit("synced");
  }

  #accept(updates: unknown, form: UpdateForm, isWhole: boolean): void {
    const changes = isWhole ? this.#replica.resync(updates, form) : this.#replica.apply(updates, form);
    if (changes.length > 0) this.events.emit("change", changes as unknown as readonly IdlChange<S>[]);
  }

  async #askForLock(client: OvsdbClient): Promise<void> {
    const { lock } = this.#options;
    if (lock === undefined) return;
    const reply = await client.request("lock", [lock]);
    if (isObject(reply) && reply.locked === true) this.#setLock(true);
  }

  #setLock(isHeld: boolean): void {
    if (this.#hasLock === isHeld) return;
    this.#hasLock = isHeld;
    this.events.emit("lock", isHeld);
  }

  #onNotification(client: OvsdbClient, method: string, params: readonly unknown[]): void {
    if (this.#client !== client) return;
    if (method === "locked" && params[0] === this.#options.lock) this.#setLock(true);
    else if (method === "stolen" && params[0] === this.#options.lock) this.#setLock(false);
    else if (method === "monitor_canceled") this.#reconnect.force();
    else if (this.#early) this.#early.push([method, params]);
    else this.#onUpdate(method, params);
  }

  #onUpdate(method: string, params: readonly unknown[]): void {
    if (method === "update3") {
      this.#lastId = String(params[1]);
      this.#accept(params[2], 2, false);
    } else if (method === "update2") this.#accept(params[1], 2, false);
    else if (method === "update") this.#accept(params[1], 1, false);
  }
}

const failure = (error: OvsdbError): TxnResult =>
  error.tag === "timed out" ? { status: "try again", error } : { status: "error", error };
