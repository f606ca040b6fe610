import type { Duplex } from "node:stream";
import { Idl, type IdlRow, OpenVSwitch, type OvsRow, type TableName } from "@sluice/ovsdb";
import type { Clock, Log, TlsOptions } from "@sluice/runtime";
import type { RowUpdate } from "./bridge/status.js";
import type { ConfigDatabase, Configuration } from "./bridge/sync.js";

/** The server of the Open_vSwitch database: a target to connect to, or a function that gives the client's end of a
 *  connection within the process (`() => ovsdbServer.connect()`). */
export type DatabaseTarget =
  | { readonly target: string; readonly tls?: TlsOptions }
  | { readonly connect: () => Duplex | Promise<Duplex> };

export interface SwitchDatabaseOptions {
  clock: Clock;
  log: Log;
  target: DatabaseTarget;
  onChange: () => void;
}

/** One daemon at a time drives the switch of a database; the others wait for this lock. */
const LOCK = "ovs_vswitchd";

type Table = TableName<OpenVSwitch>;

/** The switch's view of its database: a replica of the tables that configure it. */
export class SwitchDatabase implements ConfigDatabase {
  readonly #idl: Idl<OpenVSwitch>;
  readonly #log: Log;
  #isContested = false;

  constructor({ clock, log, target, onChange }: SwitchDatabaseOptions) {
    this.#log = log;
    this.#idl = new Idl(OpenVSwitch, {
      ...("connect" in target
        ? { connect: target.connect }
        : { connect: target.target, ...(target.tls === undefined ? {} : { tls: target.tls }) }),
      tables: {
        Open_vSwitch: true,
        Bridge: true,
        Port: true,
        Interface: true,
        Controller: true,
        QoS: true,
        Queue: true,
        Flow_Table: true,
        SSL: true,
      },
      lock: LOCK,
      clock,
      log,
    });
    this.#idl.events.on("change", onChange);
    this.#idl.events.on("synced", () => {
      this.#noteLock();
      onChange();
    });
    this.#idl.events.on("lock", () => {
      this.#noteLock();
      onChange();
    });
  }

  readonly schemaVersion = OpenVSwitch.version;

  start(): void {
    this.#idl.start();
  }

  /** Resolves when the replica is in step with the server. */
  synced(): Promise<void> {
    return this.#idl.synced();
  }

  async close(): Promise<void> {
    this.#idl.close();
  }

  config(): Configuration | undefined {
    if (!this.#idl.isSynced || !this.#idl.hasLock) return undefined;
    const root = this.#idl.rows("Open_vSwitch")[0];
    return {
      rootUuid: root?.uuid,
      next_cfg: root?.columns.next_cfg ?? 0,
      root: root?.columns ?? { bridges: [], ssl: undefined, other_config: new Map() },
      bridges: this.#table("Bridge"),
      ports: this.#table("Port"),
      interfaces: this.#table("Interface"),
      controllers: this.#table("Controller"),
      qos: this.#table("QoS"),
      queues: this.#table("Queue"),
      flowTables: this.#table("Flow_Table"),
      ssl: this.#table("SSL"),
    };
  }

  row(table: RowUpdate["table"], uuid: string): Readonly<Record<string, unknown>> | undefined {
    return this.#idl.row(table, uuid)?.columns as Readonly<Record<string, unknown>> | undefined;
  }

  async write(updates: readonly RowUpdate[]): Promise<void> {
    const { status, error } = await this.#idl.transact((txn) => {
      // A row may have gone since the status was gathered.
      for (const { table, uuid, columns } of updates) {
        if (this.#idl.row(table, uuid)) txn.update(table, uuid, columns as Partial<OvsRow<typeof table>>);
      }
    });
    // Not connected: the status is written when the replica is in step again.
    if (status === "error") throw new Error(error?.message ?? status);
  }

  #table<T extends Table>(table: T): ReadonlyMap<string, IdlRow<OpenVSwitch, T>["columns"]> {
    return new Map(this.#idl.rows(table).map(({ uuid, columns }) => [uuid, columns]));
  }

  #noteLock(): void {
    const isContested = this.#idl.isSynced && !this.#idl.hasLock;
    if (isContested && !this.#isContested) {
      this.#log.err("another switch daemon has this database; waiting until it goes away");
    }
    this.#isContested = isContested;
  }
}
