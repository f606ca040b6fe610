import type { Duplex } from "node:stream";
import { type Clock, type JsonFramerOptions, type Log, nullLog, realClock } from "@sluice/runtime";
import { duplexPair } from "../client/pipe.js";
import { convertDatabase } from "../engine/convert.js";
import { Database } from "../engine/database.js";
import { transact } from "../engine/transact.js";
import type { Commit } from "../engine/transaction.js";
import { OvsdbError } from "../schema/error.js";
import type { DatabaseSchema } from "../schema/schema.js";
import { newUuid } from "../schema/uuid.js";
import { ServerSchema } from "../vswitch/server-schema.js";
import { BackupRole } from "./backup-role.js";
import { Locks } from "./locks.js";
import type { Monitor } from "./monitor.js";
import { MonitorShape, type MonitorVersion, shapeKey } from "./monitor-shape.js";
import type { RemoteOptions } from "./remotes.js";
import { Remotes } from "./remotes.js";
import { Session, type SessionOptions } from "./session.js";
import { Triggers } from "./triggers.js";

export interface OvsdbServerOptions {
  clock?: Clock;
  log?: Log;
  /** Limits on one message. */
  framing?: JsonFramerOptions;
  /** TLS key, certificate and CA for `ssl:` and `pssl:` remotes. */
  tls?: RemoteOptions["tls"];
}

interface Subscribers {
  readonly shape: MonitorShape;
  readonly key: string;
  readonly monitors: Set<Monitor>;
}

/** What sessions see of the server: its databases, and what clients share. */
export class ServerCore {
  readonly id = newUuid();
  readonly clock: Clock;
  readonly log: Log;
  readonly databases = new Map<string, Database>();
  readonly locks = new Locks<Session>();
  readonly triggers: Triggers<Session>;
  readonly sessions = new Set<Session>();
  readonly backup: BackupRole;
  /** How often what has happened, for coverage/show. */
  readonly counters = {
    ...{ sessions: 0, sessions_malformed: 0, requests: 0, requests_refused: 0 },
    ...{ commits: 0, updates: 0, updates_merged: 0 },
  };
  readonly #framing: JsonFramerOptions;
  readonly #shapes = new Map<Database, Map<string, Subscribers>>();
  readonly #byMonitor = new Map<Monitor, Subscribers>();
  readonly #stopListening = new Map<Database, () => void>();
  /** The `_Server` database, which tells clients of the others. */
  readonly #self = new Database(ServerSchema);

  constructor({ clock = realClock, log = nullLog, framing = {}, tls = () => ({}) }: OvsdbServerOptions = {}) {
    this.clock = clock;
    this.log = log;
    this.#framing = framing;
    this.triggers = new Triggers(clock);
    this.backup = new BackupRole(this, tls);
    this.#serve(this.#self);
    this.#describe(this.#self);
  }

  /** It is the server's own. */
  isReadOnly(database: Database): boolean {
    return database === this.#self;
  }

  /** Takes no changes from clients. */
  isClosedToWrites(database: Database): boolean {
    return this.isReadOnly(database) || this.backup.isBackup;
  }

  /** Serves the database from now on. Throws where the name is taken. */
  addDatabase(database: Database): void {
    if (this.databases.has(database.name))
      throw new Error(`${database.name}: there is a database of that name`);
    this.#serve(database);
    this.#describe(database);
    this.#disconnectUnaware("a database was added");
  }

  /** Serves it no more; the caller closes its storage. */
  removeDatabase(name: string): Database {
    const database = this.databases.get(name);
    if (!database || database === this.#self) throw new Error(`${name}: no such database`);
    this.#dropClients(database);
    this.#stopListening.get(database)?.();
    this.databases.delete(name);
    this.#write({ op: "delete", table: "Database", where: [["name", "==", name]] });
    this.#disconnectUnaware("a database was removed");
    return database;
  }

  #serve(database: Database): void {
    this.databases.set(database.name, database);
    this.#stopListening.set(
      database,
      database.onCommit((commit) => this.#onCommit(commit, database)),
    );
  }

  #describe({ name, schema }: Database): void {
    this.#write({
      op: "insert",
      table: "Database",
      row: {
        name,
        model: "standalone",
        connected: true,
        leader: true,
        schema: JSON.stringify(schema.toJson()),
      },
    });
  }

  #write(operation: unknown): void {
    const outcome = transact(this.#self, [operation]);
    if ("failed" in outcome && outcome.failed) throw new Error(`_Server: ${outcome.results}`);
  }

  #onCommit(commit: Commit, database: Database): void {
    this.counters.commits++;
    this.triggers.onCommit(commit);
    for (const { shape, monitors } of this.#shapes.get(database)?.values() ?? []) {
      if (shape.commitText(commit) === "") continue;
      for (const monitor of monitors) monitor.deliver(commit);
    }
  }

  /** A shape for these requests, shared with whoever asked for the same. */
  shapeOf(database: Database, version: MonitorVersion, requests: unknown): MonitorShape {
    const key = shapeKey(version, requests);
    const known = this.#shapes.get(database)?.get(key);
    if (known) return known.shape;
    const shape = MonitorShape.fromJson(database, version, requests);
    this.#shapesOf(database).set(key, { shape, key, monitors: new Set() });
    return shape;
  }

  #shapesOf(database: Database): Map<string, Subscribers> {
    let shapes = this.#shapes.get(database);
    if (!shapes) {
      shapes = new Map();
      this.#shapes.set(database, shapes);
    }
    return shapes;
  }

  subscribe(session: Session, key: string, monitor: Monitor): void {
    const { shape } = monitor;
    const shapes = this.#shapesOf(shape.database);
    let subscribers = [...shapes.values()].find((known) => known.shape === shape);
    if (!subscribers) {
      // Conditions that were changed are this client's alone.
      subscribers = { shape, key: newUuid(), monitors: new Set() };
      shapes.set(subscribers.key, subscribers);
    }
    subscribers.monitors.add(monitor);
    this.#byMonitor.set(monitor, subscribers);
    session.monitors.set(key, monitor);
  }

  unsubscribe(session: Session, key: string): void {
    const monitor = session.monitors.get(key);
    if (!monitor) return;
    session.monitors.delete(key);
    const subscribers = this.#byMonitor.get(monitor)!;
    this.#byMonitor.delete(monitor);
    subscribers.monitors.delete(monitor);
    if (subscribers.monitors.size === 0)
      this.#shapes.get(subscribers.shape.database)?.delete(subscribers.key);
  }

  /** Replaces the database's schema (the "convert" request). Rejects with OvsdbError, and nothing has changed. */
  async convert(database: Database, schema: DatabaseSchema, by?: Session): Promise<void> {
    if (schema.name !== database.name)
      throw new OvsdbError(
        "invalid parameters",
        `new schema name (${schema.name}) does not match database name (${database.name})`,
      );
    const next = new Database(schema);
    await database.storage.convert(next, () => convertDatabase(database, next));
    this.#dropClients(database);
    database.replaceBy(next);
    this.#write({
      op: "update",
      table: "Database",
      where: [["name", "==", database.name]],
      row: { schema: JSON.stringify(schema.toJson()) },
    });
    this.#disconnectUnaware("a database was converted", by);
  }

  /** Ends the monitors and waiting transactions of a database that goes or changes. */
  #dropClients(database: Database): void {
    for (const { owner, id } of this.triggers.cancel((_trigger, of) => of === database))
      owner.replyError(id, '"canceled"');
    for (const session of this.sessions)
      for (const [key, monitor] of [...session.monitors]) {
        if (monitor.shape.database !== database) continue;
        this.unsubscribe(session, key);
        if (session.isChangeAware)
          session.send(`{"id":null,"method":"monitor_canceled","params":[${monitor.id}]}`);
      }
  }

  /** Ends every client's connection; they come back, and the remotes that the server connects to are tried anew. */
  reconnect(): void {
    for (const session of [...this.sessions]) session.close("reconnection was asked for");
  }

  /** What there is, by name, for memory/show. */
  usage(): Readonly<Record<string, number>> {
    const tables = [...this.databases.values()].flatMap((database) => [...database.tables.values()]);
    const sum = <T>(all: Iterable<T>, count: (one: T) => number): number => {
      let total = 0;
      for (const one of all) total += count(one);
      return total;
    };
    return {
      // With _uuid and _version, as ovsdb-server counts them.
      cells: sum(tables, ({ rows, schema }) => rows.size * (schema.columns.length + 2)),
      monitors: this.#byMonitor.size,
      "n-weak-refs": sum(tables, ({ weak }) =>
        sum(weak, ({ referrers }) => sum(referrers.values(), ({ size }) => size)),
      ),
      sessions: this.sessions.size,
      triggers: this.triggers.size,
    };
  }

  #disconnectUnaware(why: string, except?: Session): void {
    for (const session of [...this.sessions])
      if (!session.isChangeAware && session !== except) session.close(`${why}: reconnect`);
  }

  /** Serves a client on any stream. */
  attach(stream: Duplex, options: SessionOptions): Session {
    const session = new Session(this, stream, { framing: this.#framing, ...options });
    this.sessions.add(session);
    this.counters.sessions++;
    return session;
  }

  /** The session has ended. */
  forget(session: Session): void {
    if (!this.sessions.delete(session)) return;
    for (const key of [...session.monitors.keys()]) this.unsubscribe(session, key);
    this.triggers.cancel((trigger) => trigger.owner === session);
    this.locks.release(session);
  }
}

/** An OVSDB server: databases, the remotes on which it serves them, and its clients. */
export class OvsdbServer extends ServerCore {
  readonly #remotes: Remotes;

  constructor(options: OvsdbServerOptions = {}) {
    super(options);
    this.#remotes = new Remotes(this, options.tls);
  }

  /** Listens on `punix:`, `ptcp:` or `pssl:`, connects to `unix:`, `tcp:` or `ssl:`, or does what the rows of
   *  `db:DATABASE,TABLE,COLUMN` say. Resolves with the target (with the real port) once it listens; rejects with
   *  StreamError. */
  listen(target: string): Promise<string> {
    return this.#remotes.add(target);
  }

  /** Stops what `listen(target)` began. */
  unlisten(target: string): Promise<void> {
    return this.#remotes.remove(target);
  }

  /** The targets given to `listen`. */
  get remotes(): readonly string[] {
    return this.#remotes.targets;
  }

  /** A connection within the process: the client's end of it. */
  connect(name = "in-process"): Duplex {
    const [client, server] = duplexPair();
    this.attach(server, { name });
    return client;
  }

  /** Stops listening, ends the sessions, and closes the databases' files. */
  async close(): Promise<void> {
    this.backup.stop();
    await this.#remotes.close();
    for (const session of [...this.sessions]) session.close("server stops");
    await Promise.all([...this.databases.values()].map((database) => database.storage.close()));
  }
}
