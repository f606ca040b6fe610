import { OVSDB_PORT, openStream, parseTarget, Reconnect, type TlsOptions } from "@sluice/runtime";
import { OvsdbClient } from "../client/client.js";
import type { Database } from "../engine/database.js";
import { replicate } from "../engine/replicate.js";
import { stringifySorted } from "../schema/error.js";
import type { ColumnSchema, DatabaseSchema } from "../schema/schema.js";
import { columnTypeToJson } from "../schema/types.js";
import type { ServerCore } from "./server.js";

export interface ReplicationOptions {
  /** The active server. */
  readonly target: string;
  /** `DB:TABLE` of tables that are left as they are. */
  readonly exclude: ReadonlySet<string>;
  readonly probeIntervalMs: number;
  readonly tls: () => TlsOptions;
  /** This server cannot be a backup of that one. */
  readonly onRefused: () => void;
}

/** Keeps the databases of a backup server as those of the active one (ovsdb(7), "Active-Backup Database Service
 *  Model"): those that both have, where the active server's schema has all that ours has. */
export class Replication {
  readonly #server: ServerCore;
  readonly #options: ReplicationOptions;
  readonly #reconnect: Reconnect;
  readonly #databases = new Set<Database>();
  /** What came of databases whose first contents are still being waited for. */
  readonly #early = new Map<Database, unknown[]>();
  #client: OvsdbClient | undefined;
  #attempt = new AbortController();

  /** Throws StreamError where the target is none to connect to. */
  constructor(server: ServerCore, options: ReplicationOptions) {
    this.#server = server;
    this.#options = options;
    const { kind } = parseTarget(options.target, OVSDB_PORT);
    this.#reconnect = new Reconnect({
      clock: server.clock,
      log: server.log,
      name: options.target,
      probeIntervalMs: kind === "unix" ? 0 : options.probeIntervalMs,
      connect: () => void this.#connect(),
      disconnect: () => this.#drop(),
      probe: () => this.#client?.echo(),
    });
    this.#reconnect.enable();
  }

  stop(): void {
    this.#reconnect.disable();
  }

  get target(): string {
    return this.#options.target;
  }

  /** Names of the databases that follow the active server's, or undefined while there is no connection. */
  get databases(): readonly string[] | undefined {
    return this.#reconnect.isConnected ? [...this.#databases].map(({ name }) => name).sort() : undefined;
  }

  async #connect(): Promise<void> {
    const { target, tls } = this.#options;
    const { clock, log } = this.#server;
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      const files = target.startsWith("ssl:") ? tls() : {};
      const options = { ...files, defaultPort: OVSDB_PORT, signal: attempt.signal };
      const client = new OvsdbClient(await openStream(target, options), { clock });
      if (attempt.signal.aborted) {
        client.close();
        return;
      }
      this.#client = client;
      client.events.on("activity", () => this.#reconnect.activity());
      client.events.on("notification", (method, params) => {
        if (method === "update") this.#onUpdate(String(params[0]), params[1]);
      });
      client.events.on("close", (why) => {
        if (this.#client !== client) return;
        this.#forget();
        this.#reconnect.disconnected(why);
      });
      this.#reconnect.connected();
      await this.#follow(client).catch((error: Error) => {
        if (this.#client !== client) return;
        log.err(`${target}: ${error.message}`);
        client.close(error.message);
      });
    } catch (error) {
      if (!attempt.signal.aborted) this.#reconnect.disconnected((error as Error).message);
    }
  }

  /** Asks for the contents of the databases that both servers have, and for what changes in them from then on. */
  async #follow(client: OvsdbClient): Promise<void> {
    const { log, id, databases } = this.#server;
    const { target, exclude, onRefused } = this.#options;
    if ((await client.request("get_server_id", [])) === id) {
      log.err(`${target}: is this server itself, which cannot be its own backup`);
      onRefused();
      return;
    }
    const theirs = new Set(await client.listDatabases());
    for (const database of databases.values()) {
      const { name, schema, tables } = database;
      if (this.#server.isReadOnly(database) || !theirs.has(name)) continue;
      const missing = missingIn(await client.getSchema(name), schema);
      if (missing !== undefined) {
        log.err(`${target}: ${name} is not replicated: ${missing} is not there, or of another type`);
        continue;
      }
      const wanted = [...tables.values()].filter((table) => !exclude.has(`${name}:${table.name}`));
      const requests = wanted.map((table) => [
        table.name,
        { columns: table.schema.columns.map((c) => c.name) },
      ]);
      this.#early.set(database, []);
      const contents = await client.request("monitor", [name, name, Object.fromEntries(requests)]);
      if (this.#client !== client) return;
      replicate(database, contents, new Set(wanted));
      for (const updates of this.#early.get(database) ?? []) replicate(database, updates);
      this.#early.delete(database);
      this.#databases.add(database);
      log.info(`${target}: ${name} is replicated`);
    }
  }

  /** `name` is the monitor's: that of its database. */
  #onUpdate(name: string, updates: unknown): void {
    const database = this.#server.databases.get(name);
    if (database === undefined) return;
    const early = this.#early.get(database);
    try {
      if (early) early.push(updates);
      else replicate(database, updates);
    } catch (error) {
      this.#server.log.err(`${this.#options.target}: ${name}: ${(error as Error).message}`);
      this.#client?.close((error as Error).message);
    }
  }

  #drop(): void {
    this.#attempt.abort();
    const client = this.#client;
    this.#forget();
    client?.close();
  }

  #forget(): void {
    this.#client = undefined;
    this.#databases.clear();
    this.#early.clear();
  }
}

/** What of `ours` the other schema lacks, as `TABLE:COLUMN`; undefined where all is there. */
const missingIn = (theirs: DatabaseSchema, ours: DatabaseSchema): string | undefined => {
  for (const table of ours.tables.values())
    for (const column of table.columns) {
      const other = theirs.tables.get(table.name)?.find(column.name);
      if (!other || typeText(other) !== typeText(column)) return `${table.name}:${column.name}`;
    }
  return undefined;
};

const typeText = ({ type }: ColumnSchema): string => stringifySorted(columnTypeToJson(type));
