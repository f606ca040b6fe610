import { applyDiff, type Datum, datumEquals, datumFromJson } from "../schema/datum.js";
import { isObject } from "../schema/error.js";
import type { ColumnSchema, DatabaseSchema, TableSchema } from "../schema/schema.js";
import { type ColumnType, isComposite } from "../schema/types.js";
import { typedValue, type Value } from "./value.js";

/** A row as the replica has it. The object lives as long as the row; `columns` is another object after a change. */
export interface ReplicaRow {
  readonly table: string;
  readonly uuid: string;
  columns: Readonly<Record<string, Value>>;
}

/** What an update did to one row: `old` absent for a new row, `new` absent for a deleted one. */
export interface ReplicaChange {
  readonly table: string;
  readonly uuid: string;
  readonly row: ReplicaRow;
  readonly old?: Readonly<Record<string, Value>>;
  readonly new?: Readonly<Record<string, Value>>;
}

interface Entry {
  readonly row: ReplicaRow;
  readonly data: Map<string, Datum>;
}

/** Which form an update has: RFC 7047's, or that of update2 and update3. */
export type UpdateForm = 1 | 2;

/** Constraints are the server's; ours might be of another version of the schema. */
const relaxed = ({ type: { key, value } }: ColumnSchema): ColumnType => ({
  key: { type: key.type },
  ...(value && { value: { type: value.type } }),
  min: 0,
  max: Infinity,
});

class ReplicaTable {
  readonly schema: TableSchema;
  readonly columns: readonly ColumnSchema[];
  readonly #types: ReadonlyMap<string, ColumnType>;
  readonly #defaults: Readonly<Record<string, Value>>;
  readonly #entries = new Map<string, Entry>();
  readonly rows = new Map<string, ReplicaRow>();

  constructor(schema: TableSchema, columns: readonly ColumnSchema[]) {
    this.schema = schema;
    this.columns = columns;
    this.#types = new Map(columns.map((column) => [column.name, relaxed(column)]));
    // Columns that are not replicated read as their defaults.
    this.#defaults = Object.freeze(
      Object.fromEntries(
        schema.columns.map((column) => [column.name, typedValue(column.type, column.default)]),
      ),
    );
  }

  datum(uuid: string, column: ColumnSchema): Datum | undefined {
    const entry = this.#entries.get(uuid);
    return entry && (entry.data.get(column.name) ?? column.default);
  }

  /** Sets cells, as differences where `isDiff`. What it changed, or undefined. */
  put(uuid: string, cells: Readonly<Record<string, unknown>>, isDiff: boolean): ReplicaChange | undefined {
    let entry = this.#entries.get(uuid);
    const isNew = !entry;
    if (!entry) {
      entry = { row: { table: this.schema.name, uuid, columns: this.#defaults }, data: new Map() };
      this.#entries.set(uuid, entry);
      this.rows.set(uuid, entry.row);
    }
    const old = entry.row.columns;
    let now: Record<string, Value> | undefined;
    for (const name of Object.keys(cells)) {
      const type = this.#types.get(name);
      if (!type) continue;
      const column = this.schema.column(name);
      const before = entry.data.get(name) ?? column.default;
      const given = datumFromJson(type, cells[name]);
      const after = isDiff && isComposite(column.type) ? applyDiff(before, given) : given;
      if (datumEquals(before, after)) continue;
      entry.data.set(name, after);
      now ??= { ...old };
      now[name] = typedValue(column.type, after);
    }
    if (now) entry.row.columns = Object.freeze(now);
    else if (!isNew) return undefined;
    const { row } = entry;
    return { table: row.table, uuid, row, new: row.columns, ...(!isNew && { old }) };
  }

  delete(uuid: string): ReplicaChange | undefined {
    const entry = this.#entries.get(uuid);
    if (!entry) return undefined;
    this.#entries.delete(uuid);
    this.rows.delete(uuid);
    return { table: entry.row.table, uuid, row: entry.row, old: entry.row.columns };
  }

  /** Sets a row to just these cells: what they leave out is at its default. */
  replace(uuid: string, cells: Readonly<Record<string, unknown>>): ReplicaChange | undefined {
    const whole: Record<string, unknown> = { ...cells };
    const entry = this.#entries.get(uuid);
    if (entry)
      for (const name of entry.data.keys())
        if (!(name in whole)) whole[name] = defaultJson(this.schema.column(name));
    return this.put(uuid, whole, false);
  }
}

const defaultJson = ({ type, default: { keys } }: ColumnSchema): unknown =>
  type.value
    ? ["map", []]
    : keys.length === 0
      ? ["set", []]
      : type.key.type === "uuid"
        ? ["uuid", keys[0]]
        : keys[0];

/** A copy of parts of a database, kept true by the server's updates. */
export class Replica {
  readonly tables: ReadonlyMap<string, ReplicaTable>;

  /** `wanted`: table name → names of its columns. */
  constructor(schema: DatabaseSchema, wanted: ReadonlyMap<string, readonly string[]>) {
    this.tables = new Map(
      [...wanted].map(([name, columns]) => {
        const table = schema.table(name);
        return [
          name,
          new ReplicaTable(
            table,
            columns.map((column) => table.column(column)),
          ),
        ];
      }),
    );
  }

  /** Applies `<table-updates>`; the result is what really changed. */
  apply(json: unknown, form: UpdateForm): ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    this.#visit(json, (table, uuid, update) => {
      const change = form === 1 ? apply1(table, uuid, update) : apply2(table, uuid, update);
      if (change) changes.push(change);
    });
    return changes;
  }

  /** Takes `<table-updates>` as all there is: rows not in it are gone. */
  resync(json: unknown, form: UpdateForm): ReplicaChange[] {
    const seen = new Map<ReplicaTable, Set<string>>(
      [...this.tables.values()].map((table) => [table, new Set()]),
    );
    const changes: ReplicaChange[] = [];
    this.#visit(json, (table, uuid, update) => {
      seen.get(table)!.add(uuid);
      const cells = form === 1 ? update.new : (update.initial ?? update.insert);
      const change = isObject(cells) ? table.replace(uuid, cells) : undefined;
      if (change) changes.push(change);
    });
    for (const [table, uuids] of seen)
      for (const uuid of [...table.rows.keys()]) {
        const change = uuids.has(uuid) ? undefined : table.delete(uuid);
        if (change) changes.push(change);
      }
    return changes;
  }

  #visit(
    json: unknown,
    visit: (table: ReplicaTable, uuid: string, update: Record<string, unknown>) => void,
  ): void {
    if (!isObject(json)) return;
    for (const [name, rows] of Object.entries(json)) {
      const table = this.tables.get(name);
      if (!table || !isObject(rows)) continue;
      for (const [uuid, update] of Object.entries(rows)) if (isObject(update)) visit(table, uuid, update);
    }
  }
}

const apply1 = (
  table: ReplicaTable,
  uuid: string,
  update: Record<string, unknown>,
): ReplicaChange | undefined =>
  isObject(update.new) ? table.put(uuid, update.new, false) : table.delete(uuid);

const apply2 = (
  table: ReplicaTable,
  uuid: string,
  update: Record<string, unknown>,
): ReplicaChange | undefined => {
  const whole = update.initial ?? update.insert;
  if (isObject(whole)) return table.replace(uuid, whole);
  if (isObject(update.modify)) return table.put(uuid, update.modify, true);
  return "delete" in update ? table.delete(uuid) : undefined;
};
