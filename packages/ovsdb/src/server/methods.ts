import { stringifyJson } from "@sluice/runtime";
import type { Database } from "../engine/database.js";
import { errorText } from "../engine/transact.js";
import { isId, isUuid } from "../schema/atom.js";
import { OvsdbError, stringifySorted, syntaxError } from "../schema/error.js";
import { DatabaseSchema } from "../schema/schema.js";
import { Monitor } from "./monitor.js";
import { type MergedChanges, type MonitorVersion, mergeCommit } from "./monitor-shape.js";
import type { Session } from "./session.js";

/** Answers a request with the JSON text of its result, or with undefined where the answer comes later or never.
 *  Throws OvsdbError. */
type Method = (session: Session, params: readonly unknown[], id: string) => string | undefined;

/** Transactions that one client may have waiting. */
const MAX_TRIGGERS = 1000;
const MAX_MONITORS = 1000;

const databaseOf = (session: Session, name: unknown): Database => {
  if (typeof name !== "string") throw syntaxError("the first parameter must be the name of a database", name);
  const database = session.server.databases.get(name);
  if (!database) throw new OvsdbError("unknown database", `no database named ${name}`, name);
  return database;
};

const expectCount = (params: readonly unknown[], least: number, most = least): void => {
  if (params.length < least || params.length > most)
    throw syntaxError(
      `expected ${least === most ? least : `${least} to ${most}`} parameters, not ${params.length}`,
      params,
    );
};

/** The lock that is asked for, where the client may have any. */
const lockName = (session: Session, params: readonly unknown[]): string => {
  if (session.readOnly || session.server.backup.isBackup)
    throw new OvsdbError("not allowed", "lock and unlock methods not allowed, DB server is read only.");
  if (params.length !== 1 || !isId(params[0]))
    throw syntaxError("expected the name of a lock, an <id>", params);
  return params[0];
};

const monitor =
  (version: MonitorVersion): Method =>
  (session, params) => {
    expectCount(params, version === 3 ? 4 : 3);
    const [name, id, requests, lastId] = params;
    const database = databaseOf(session, name);
    const key = stringifySorted(id);
    if (session.monitors.has(key)) throw syntaxError("duplicate monitor ID", id);
    if (session.monitors.size >= MAX_MONITORS)
      throw new OvsdbError("resources exhausted", `a client may have ${MAX_MONITORS} monitors`);
    if (version === 3 && !isUuid(lastId)) throw syntaxError("the last transaction must be a UUID", lastId);
    const shape = session.server.shapeOf(database, version, requests);
    session.server.subscribe(session, key, new Monitor(session, version, stringifyJson(id), shape));
    if (version !== 3) return shape.initialText() || "{}";
    const commits = database.since(lastId as string);
    if (!commits) return `[false,"${database.lastId}",${shape.initialText() || "{}"}]`;
    const changes: MergedChanges = new Map();
    for (const commit of commits) mergeCommit(changes, commit);
    return `[true,"${database.lastId}",${shape.changesText(changes) || "{}"}]`;
  };

/** RFC 7047 §4.1 and ovsdb-server(7) §4. */
export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["list_dbs", (session) => JSON.stringify([...session.server.databases.keys()].sort())],
  [
    "get_schema",
    (session, params) => {
      expectCount(params, 1);
      return stringifyJson(databaseOf(session, params[0]).schema.toJson());
    },
  ],
  ["get_server_id", (session) => JSON.stringify(session.server.id)],
  ["echo", (_session, params) => stringifyJson(params)],
  [
    "transact",
    (session, params, id) => {
      const database = databaseOf(session, params[0]);
      const { server } = session;
      if (server.triggers.size > 0 && server.triggers.countOf(session) >= MAX_TRIGGERS)
        throw new OvsdbError("resources exhausted", `a client may have ${MAX_TRIGGERS} transactions waiting`);
      const options = {
        ownsLock: (name: string) => server.locks.owns(session, name),
        readOnly: session.readOnly || server.isClosedToWrites(database),
      };
      server.triggers.run({
        owner: session,
        id,
        database,
        operations: params.slice(1),
        options,
        done: (outcome) => session.replyOutcome(id, outcome, () => database.storage.sync()),
      });
      return undefined;
    },
  ],
  [
    "cancel",
    (session, params) => {
      const id = stringifyJson(params[0]);
      for (const canceled of session.server.triggers.cancel((t) => t.owner === session && t.id === id))
        session.replyError(canceled.id, '"canceled"');
      return undefined;
    },
  ],
  ["monitor", monitor(1)],
  ["monitor_cond", monitor(2)],
  ["monitor_cond_since", monitor(3)],
  [
    "monitor_cond_change",
    (session, params) => {
      expectCount(params, 3);
      const [oldId, newId, requests] = params;
      const changed = session.monitors.get(stringifySorted(oldId));
      // Only monitor_cancel has an error of that name (RFC 7047 §4.1.7).
      if (!changed) throw syntaxError("unknown monitor session", oldId);
      if (changed.version === 1) throw syntaxError("only conditional monitors have conditions", oldId);
      const newKey = stringifySorted(newId);
      const oldKey = stringifySorted(oldId);
      if (newKey !== oldKey && session.monitors.has(newKey)) throw syntaxError("duplicate monitor ID", newId);
      const shape = changed.shape.withConditions(requests);
      changed.flush();
      session.server.unsubscribe(session, oldKey);
      const updates = changed.shape.switchText(shape);
      changed.shape = shape;
      changed.id = stringifyJson(newId);
      session.server.subscribe(session, newKey, changed);
      changed.notify(updates, shape.database.lastId);
      return "{}";
    },
  ],
  [
    "monitor_cancel",
    (session, params) => {
      expectCount(params, 1);
      session.monitor(params[0]);
      session.server.unsubscribe(session, stringifySorted(params[0]));
      return "{}";
    },
  ],
  [
    "lock",
    (session, params) =>
      JSON.stringify({ locked: session.server.locks.lock(session, lockName(session, params)) }),
  ],
  [
    "steal",
    (session, params) =>
      JSON.stringify({ locked: session.server.locks.steal(session, lockName(session, params)) }),
  ],
  [
    "unlock",
    (session, params) => {
      session.server.locks.unlock(session, lockName(session, params));
      return "{}";
    },
  ],
  [
    "set_db_change_aware",
    (session, params) => {
      expectCount(params, 1);
      if (typeof params[0] !== "boolean") throw syntaxError("expected a boolean", params);
      session.isChangeAware = params[0];
      return "{}";
    },
  ],
  [
    "convert",
    (session, params, id) => {
      expectCount(params, 2);
      const database = databaseOf(session, params[0]);
      if (session.readOnly || session.server.isClosedToWrites(database))
        throw new OvsdbError(
          "not allowed",
          "convert operation not allowed on a read-only connection or database",
        );
      const schema = DatabaseSchema.fromJson(params[1]);
      session.server.convert(database, schema, session).then(
        () => session.reply(id, "{}"),
        (error: unknown) => {
          if (!(error instanceof OvsdbError)) session.server.log.err(`convert: ${(error as Error).message}`);
          const known =
            error instanceof OvsdbError ? error : new OvsdbError("I/O error", (error as Error).message);
          session.replyError(id, errorText(known));
        },
      );
      return undefined;
    },
  ],
]);
