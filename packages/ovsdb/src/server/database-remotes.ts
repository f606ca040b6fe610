import { StreamError, type Timer } from "@sluice/runtime";
import type { Database } from "../engine/database.js";
import type { Row } from "../engine/row.js";
import type { Table } from "../engine/table.js";
import { transact } from "../engine/transact.js";
import type { ColumnSchema } from "../schema/schema.js";
import { type Remote, type RemoteOptions, type RemoteStatus, reasonOf, startRemote } from "./remote.js";
import type { ServerCore } from "./server.js";

/** Between two looks at what only time changes: seconds since something. */
const STATUS_INTERVAL_MS = 2500;

/** A remote that the database asks for: a target, and how it is wanted. */
interface Wanted {
  readonly target: string;
  readonly probeIntervalMs: number | undefined;
  readonly maxBackoffMs: number | undefined;
  readonly readOnly: boolean;
  /** The row to which its status goes. */
  readonly row: { readonly table: Table; readonly uuid: string } | undefined;
}

interface Running {
  readonly wanted: Wanted;
  /** Resolves with undefined where it could not be started. */
  readonly remote: Promise<Remote | undefined>;
  started: Remote | undefined;
  lastError: string | undefined;
  written: string;
}

/** The remotes that rows of a database ask for (`db:Open_vSwitch,Open_vSwitch,manager_options`): started and stopped
 *  as the rows change, with their state written back to the rows. */
export class DatabaseRemotes {
  readonly #server: ServerCore;
  readonly #database: Database;
  readonly #column: { table: string; column: string };
  readonly #options: RemoteOptions;
  readonly #running = new Map<string, Running>();
  readonly #stopListening: () => void;
  readonly #timer: Timer;
  #isScheduled = false;
  #isStopped = false;

  /** Throws StreamError where there is no such column. */
  static start(
    server: ServerCore,
    name: string,
    where: { database: string; table: string; column: string },
    options: RemoteOptions,
  ): DatabaseRemotes {
    const database = server.databases.get(where.database);
    if (!database) throw new StreamError(name, `no database named ${where.database}`);
    const column = database.schema.tables.get(where.table)?.find(where.column);
    if (!column) throw new StreamError(name, `no column ${where.column} in table ${where.table}`);
    if (column.type.key.type !== "string" && column.type.key.refTable === undefined)
      throw new StreamError(name, "the column must hold strings or refer to rows with a target");
    return new DatabaseRemotes(server, database, where, options);
  }

  private constructor(
    server: ServerCore,
    database: Database,
    column: { table: string; column: string },
    options: RemoteOptions,
  ) {
    this.#server = server;
    this.#database = database;
    this.#column = column;
    this.#options = options;
    this.#stopListening = database.onCommit(() => this.#schedule());
    this.#timer = server.clock.setInterval(() => this.#writeStatus(), STATUS_INTERVAL_MS);
    this.#reconcile();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    this.#timer.cancel();
    const running = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(running.map(async ({ remote }) => (await remote)?.stop()));
  }

  /** Looks again after the present turn, when whatever changes together has changed. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isStopped) this.#reconcile();
    });
  }

  #reconcile(): void {
    const wanted = new Map(this.#wanted().map((one) => [one.target, one]));
    for (const [target, running] of this.#running) {
      const next = wanted.get(target);
      if (next && isSame(next, running.wanted)) continue;
      this.#running.delete(target);
      void running.remote.then((remote) => remote?.stop()).then(() => this.#schedule());
      // The same port is taken again only once it is free: at the next look.
      wanted.delete(target);
    }
    for (const [target, one] of wanted) if (!this.#running.has(target)) this.#start(one);
    this.#writeStatus();
  }

  #start(wanted: Wanted): void {
    const { probeIntervalMs, maxBackoffMs, readOnly } = wanted;
    const options: RemoteOptions = {
      tls: this.#options.tls,
      readOnly,
      ...(probeIntervalMs !== undefined && { probeIntervalMs }),
      ...(maxBackoffMs !== undefined && { maxBackoffMs }),
    };
    const running: Running = {
      wanted,
      started: undefined,
      lastError: undefined,
      written: "",
      remote: startRemote(this.#server, wanted.target, options, () => this.#schedule()).then(
        (remote) => {
          running.started = remote;
          this.#schedule();
          return remote;
        },
        (error: Error) => {
          running.lastError = reasonOf(error);
          this.#server.log.err(error.message);
          this.#schedule();
          return undefined;
        },
      ),
    };
    this.#running.set(wanted.target, running);
  }

  #wanted(): Wanted[] {
    const table = this.#database.tables.get(this.#column.table);
    const column = table?.schema.find(this.#column.column);
    if (!table || !column) return [];
    const atoms = [...table.rows.values()].flatMap((row) => [...row.get(column).keys]) as string[];
    const { refTable } = column.type.key;
    if (refTable === undefined) return atoms.map((target) => plain(target));
    const targets = this.#database.tables.get(refTable)!;
    return atoms.flatMap((uuid) => {
      const row = targets.rows.get(uuid);
      return row ? [fromRow(targets, row)] : [];
    });
  }

  /** Says in each row's is_connected and status how its remote does. */
  #writeStatus(): void {
    // A backup's rows are the active server's.
    if (this.#server.backup.isBackup) return;
    const operations: unknown[] = [];
    for (const running of this.#running.values()) {
      const { row } = running.wanted;
      if (!row) continue;
      const status = running.started?.status();
      const cells: Record<string, unknown> = {};
      const set = (name: string, value: unknown): void => {
        if (row.table.schema.find(name)) cells[name] = value;
      };
      set("is_connected", status?.isConnected ?? false);
      set("status", ["map", statusPairs(status, running.lastError)]);
      if (row.table.schema.find("n_connections"))
        set("n_connections", ["set", status ? [status.connections] : []]);
      const text = JSON.stringify(cells);
      if (text === running.written) continue;
      running.written = text;
      operations.push({
        op: "update",
        table: row.table.name,
        where: [["_uuid", "==", ["uuid", row.uuid]]],
        row: cells,
      });
    }
    if (operations.length > 0) transact(this.#database, operations);
  }
}

/** The keys of Manager's `status` (ovs-vswitchd.conf.db(5)). A remote that could not be started is tried again when its
 *  row changes. */
const statusPairs = (
  status: RemoteStatus | undefined,
  startError: string | undefined,
): [string, string][] => {
  const values: Record<string, string | number | undefined> = {
    bound_port: status?.boundPort,
    last_error: status?.lastError ?? startError,
    locks_held: listed(status?.locks?.held),
    locks_lost: listed(status?.locks?.lost),
    locks_waiting: listed(status?.locks?.waiting),
    n_connections: status && status.connections > 1 ? status.connections : undefined,
    sec_since_connect: status?.secSinceConnect,
    sec_since_disconnect: status?.secSinceDisconnect,
    state: status ? status.state : startError ? "BACKOFF" : "CONNECTING",
  };
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, String(value)] as [string, string]],
  );
};

const listed = (names: readonly string[] = []): string | undefined => names.join(" ") || undefined;

const plain = (target: string): Wanted => ({
  target,
  probeIntervalMs: undefined,
  maxBackoffMs: undefined,
  readOnly: false,
  row: undefined,
});

const fromRow = (table: Table, row: Row): Wanted => {
  const first = (name: string): unknown => {
    const column: ColumnSchema | undefined = table.schema.find(name);
    return column && row.get(column).keys[0];
  };
  const number = (name: string): number | undefined => {
    const value = first(name);
    return value === undefined ? undefined : Number(value);
  };
  return {
    target: String(first("target") ?? ""),
    probeIntervalMs: number("inactivity_probe"),
    maxBackoffMs: number("max_backoff"),
    readOnly: first("read_only") === true,
    row: { table, uuid: row.uuid },
  };
};

const isSame = (a: Wanted, b: Wanted): boolean =>
  a.probeIntervalMs === b.probeIntervalMs &&
  a.maxBackoffMs === b.maxBackoffMs &&
  a.readOnly === b.readOnly &&
  a.row?.uuid === b.row?.uuid;
