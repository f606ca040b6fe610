import { type Condition, conditionFromJson, holdsAny } from "../engine/condition.js";
import type { Database } from "../engine/database.js";
import { cellText, type Row } from "../engine/row.js";
import type { Table } from "../engine/table.js";
import type { Commit } from "../engine/transaction.js";
import { datumEquals, datumToText, diffDatum } from "../schema/datum.js";
import { isObject, stringifySorted, syntaxError } from "../schema/error.js";
import type { ColumnSchema } from "../schema/schema.js";
import { isComposite } from "../schema/types.js";

/** 1: "update" of RFC 7047; 2: "update2"; 3: "update3", which is 2 with the id of the last transaction. */
export type MonitorVersion = 1 | 2 | 3;

const SELECT = { initial: 1, insert: 2, delete: 4, modify: 8 } as const;
type Event = keyof typeof SELECT;
const SELECT_ALL = 15;

interface MonitoredColumn {
  readonly column: ColumnSchema;
  /** For which events it is sent: bits of SELECT. */
  readonly select: number;
}

interface MonitoredTable {
  readonly table: Table;
  readonly columns: readonly MonitoredColumn[];
  readonly select: number;
  readonly where: Condition;
}

export interface RowChange {
  readonly old: Row | undefined;
  readonly new: Row | undefined;
}

/** Changes of any number of commits, one entry for each row: what it was before all and is after all. */
export type MergedChanges = Map<Table, Map<string, RowChange>>;

export const mergeCommit = (into: MergedChanges, commit: Commit): void => {
  for (const [table, changes] of commit.changes) {
    let rows = into.get(table);
    if (!rows) {
      rows = new Map();
      into.set(table, rows);
    }
    for (const { uuid, old, new: now } of changes.values()) {
      const earlier = rows.get(uuid);
      const before = earlier ? earlier.old : old;
      if (before || now) rows.set(uuid, { old: before, new: now });
      else rows.delete(uuid);
    }
  }
};

/** What a client asked to be told. Clients that asked for the same share one, so that an update is put into words
 *  once for all of them. */
export class MonitorShape {
  readonly database: Database;
  readonly version: MonitorVersion;
  readonly #tables = new Map<Table, MonitoredTable>();
  #lastCommit: Commit | undefined;
  #lastText = "";

  constructor(database: Database, version: MonitorVersion, tables: Iterable<MonitoredTable>) {
    this.database = database;
    this.version = version;
    for (const monitored of tables) this.#tables.set(monitored.table, monitored);
  }

  /** `<monitor-requests>` of RFC 7047 §4.1.5, or `<monitor-cond-requests>` where the version is above 1. */
  static fromJson(database: Database, version: MonitorVersion, json: unknown): MonitorShape {
    if (!isObject(json)) throw syntaxError("monitor requests must be an object", json);
    return new MonitorShape(
      database,
      version,
      Object.keys(json).map((name) => monitoredTable(database.table(name, json), version, json[name])),
    );
  }

  /** The same with other conditions for some tables (monitor_cond_change). */
  withConditions(json: unknown): MonitorShape {
    if (!isObject(json)) throw syntaxError("monitor requests must be an object", json);
    const tables = new Map(this.#tables);
    for (const name of Object.keys(json)) {
      const table = this.database.table(name, json);
      const monitored = tables.get(table);
      if (!monitored) throw syntaxError(`table ${name} is not monitored`, json);
      const where = requestsOf(json[name]).flatMap((request) => whereOf(table, request));
      tables.set(table, { ...monitored, where });
    }
    return new MonitorShape(this.database, this.version, tables.values());
  }

  /** All rows asked for, as the text of `<table-updates>`. */
  initialText(): string {
    return this.#text(
      [...this.#tables.keys()].map((table) => [
        table,
        [...table.rows.values()].map((row) => [row.uuid, { old: undefined, new: row }] as const),
      ]),
      "initial",
    );
  }

  /** What the commit did to the rows asked for, as the text of `<table-updates>`; "" when that is nothing. */
  commitText(commit: Commit): string {
    if (this.#lastCommit === commit) return this.#lastText;
    this.#lastCommit = commit;
    this.#lastText = this.#text(commit.changes);
    return this.#lastText;
  }

  changesText(changes: MergedChanges): string {
    return this.#text(changes);
  }

  /** How the rows that the client sees differ when `next` takes this shape's place. */
  switchText(next: MonitorShape): string {
    let tables = "";
    for (const [table, before] of this.#tables) {
      const after = next.#tables.get(table)!;
      if (before.where === after.where) continue;
      let rows = "";
      for (const row of table.rows.values()) {
        const wasSeen = holdsAny(before.where, row);
        if (wasSeen === holdsAny(after.where, row)) continue;
        const text = wasSeen ? deleted2(after, row) : inserted2(after, row, "insert");
        if (text) rows += `${rows ? "," : ""}"${row.uuid}":${text}`;
      }
      if (rows) tables += `${tables ? "," : ""}"${table.name}":{${rows}}`;
    }
    return tables && `{${tables}}`;
  }

  #text(
    changes: Iterable<readonly [Table, Iterable<readonly [string, RowChange]>]>,
    insertion: "initial" | "insert" = "insert",
  ): string {
    const describe = this.version === 1 ? rowUpdate : rowUpdate2;
    let tables = "";
    for (const [table, tableChanges] of changes) {
      const monitored = this.#tables.get(table);
      if (!monitored) continue;
      let rows = "";
      for (const [uuid, change] of tableChanges) {
        const text = describe(monitored, change, insertion);
        if (text) rows += `${rows ? "," : ""}"${uuid}":${text}`;
      }
      if (rows) tables += `${tables ? "," : ""}"${table.name}":{${rows}}`;
    }
    return tables && `{${tables}}`;
  }
}

const REQUEST_MEMBERS = ["columns", "select", "where"];

const requestsOf = (json: unknown): readonly Record<string, unknown>[] => {
  const requests = Array.isArray(json) ? (json as unknown[]) : [json];
  return requests.map((request) => {
    if (!isObject(request)) throw syntaxError("a monitor request must be an object", request);
    for (const member of Object.keys(request))
      if (!REQUEST_MEMBERS.includes(member))
        throw syntaxError(`unexpected member "${member}" in a monitor request`, request);
    return request;
  });
};

const monitoredTable = (table: Table, version: MonitorVersion, json: unknown): MonitoredTable => {
  const columns: MonitoredColumn[] = [];
  const where: Condition[number][] = [];
  let tableSelect = 0;
  for (const request of requestsOf(json)) {
    const select = selectOf(request.select);
    // Of a request without columns the client still wants to know which rows there are.
    tableSelect |= select;
    for (const column of columnsOf(table, request.columns)) {
      if (columns.some((known) => known.column === column))
        throw syntaxError(`column ${column.name} is mentioned more than once`, json);
      columns.push({ column, select });
    }
    if (version > 1) where.push(...whereOf(table, request));
    else if (request.where !== undefined) throw syntaxError('"where" is for monitor_cond', request);
  }
  return { table, columns, select: tableSelect, where };
};

const columnsOf = (table: Table, json: unknown): readonly ColumnSchema[] => {
  if (json === undefined) return [table.schema.column("_version"), ...table.schema.columns];
  if (!Array.isArray(json)) throw syntaxError("columns must be an array of column names", json);
  return (json as unknown[]).map((name) => {
    if (typeof name !== "string") throw syntaxError("columns must be an array of column names", json);
    const column = table.schema.find(name);
    if (!column) throw syntaxError(`${name} is not a column of table ${table.name}`, json);
    return column;
  });
};

const selectOf = (json: unknown): number => {
  if (json === undefined) return SELECT_ALL;
  if (!isObject(json)) throw syntaxError("select must be an object", json);
  let select = SELECT_ALL;
  for (const [name, isWanted] of Object.entries(json)) {
    if (!Object.hasOwn(SELECT, name)) throw syntaxError(`unexpected member "${name}" in select`, json);
    if (typeof isWanted !== "boolean") throw syntaxError(`select's ${name} must be a boolean`, json);
    if (!isWanted) select &= ~SELECT[name as Event];
  }
  return select;
};

const whereOf = (table: Table, request: Record<string, unknown>): Condition =>
  request.where === undefined ? [] : conditionFromJson(table.schema, request.where);

const cells = (monitored: MonitoredTable, row: Row, event: Event): string => {
  let text = "";
  for (const { column, select } of monitored.columns)
    if (select & SELECT[event]) text += (text ? "," : "") + cellText(row, column);
  return `{${text}}`;
};

const isChanged = (column: ColumnSchema, old: Row, now: Row): boolean => {
  if (column.index === -1) return false;
  if (column.index === -2) return old.version !== now.version;
  const [before, after] = [old.cols[column.index], now.cols[column.index]];
  return before !== after && !datumEquals(before, after);
};

/** RFC 7047 §4.1.6 `<row-update>`. */
const rowUpdate = (
  monitored: MonitoredTable,
  { old, new: now }: RowChange,
  insertion: "initial" | "insert",
): string => {
  if (!old)
    return now && monitored.select & SELECT[insertion] ? `{"new":${cells(monitored, now, insertion)}}` : "";
  if (!now) return monitored.select & SELECT.delete ? `{"old":${cells(monitored, old, "delete")}}` : "";
  let before = "";
  let isRealChange = false;
  for (const { column, select } of monitored.columns) {
    if (!(select & SELECT.modify) || !isChanged(column, old, now)) continue;
    before += (before ? "," : "") + cellText(old, column);
    isRealChange ||= column.index >= 0 || monitored.columns.length === 1;
  }
  return isRealChange ? `{"new":${cells(monitored, now, "modify")},"old":{${before}}}` : "";
};

/** ovsdb-server(7) 4.1.14 `<row-update2>`. */
const rowUpdate2 = (
  monitored: MonitoredTable,
  { old, new: now }: RowChange,
  insertion: "initial" | "insert",
): string => {
  const wasSeen = old !== undefined && holdsAny(monitored.where, old);
  const isSeen = now !== undefined && holdsAny(monitored.where, now);
  if (!wasSeen) return isSeen ? inserted2(monitored, now, insertion) : "";
  if (!isSeen) return deleted2(monitored, old);
  let text = "";
  for (const { column, select } of monitored.columns) {
    if (!(select & SELECT.modify) || !isChanged(column, old, now)) continue;
    const after = now.get(column);
    const datum = isComposite(column.type) ? diffDatum(old.get(column), after) : after;
    text += `${text ? "," : ""}"${column.name}":${datumToText(column.type, datum)}`;
  }
  return text && `{"modify":{${text}}}`;
};

const inserted2 = (monitored: MonitoredTable, row: Row, event: "initial" | "insert"): string => {
  if (!(monitored.select & SELECT[event])) return "";
  let text = "";
  for (const { column, select } of monitored.columns) {
    if (!(select & SELECT[event]) || datumEquals(row.get(column), column.default)) continue;
    text += (text ? "," : "") + cellText(row, column);
  }
  return `{"${event}":{${text}}}`;
};

const deleted2 = (monitored: MonitoredTable, _row: Row): string =>
  monitored.select & SELECT.delete ? '{"delete":null}' : "";

/** Equal for requests that can share a shape. */
export const shapeKey = (version: MonitorVersion, requests: unknown): string =>
  `${version === 1 ? 1 : 2}${stringifySorted(requests)}`;
