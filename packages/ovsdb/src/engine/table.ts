import type { Datum } from "../schema/datum.js";
import { datumKey } from "../schema/datum.js";
import type { ColumnSchema, TableSchema } from "../schema/schema.js";
import type { Row } from "./row.js";

/** A column's keys or values that refer to rows of another table. */
export interface Reference {
  readonly column: ColumnSchema;
  readonly side: "keys" | "values";
  readonly target: Table;
}

/** A weak reference remembers who refers to what, so that a deleted row can be taken out of its referrers. */
export interface WeakReference extends Reference {
  readonly from: Table;
  /** Uuid of the target row → uuids of the rows that refer to it. */
  readonly referrers: Map<string, Set<string>>;
}

/** A unique index (RFC 7047 §3.2 "indexes") over the committed rows. */
export interface Index {
  readonly columns: readonly ColumnSchema[];
  readonly rows: Map<string, string>;
}

/** The rows of a table, with what is derived from them: reference counts and indexes, true as of the last commit. */
export class Table {
  readonly schema: TableSchema;
  readonly rows = new Map<string, Row>();
  readonly indexes: readonly Index[];
  readonly strong: Reference[] = [];
  readonly weak: WeakReference[] = [];
  /** Weak references of any table to this one. */
  readonly weakIncoming: WeakReference[] = [];
  /** Strong references to a row by other rows; absent is none. */
  readonly strongCounts = new Map<string, number>();

  constructor(schema: TableSchema) {
    this.schema = schema;
    this.indexes = schema.indexes.map((columns) => ({ columns, rows: new Map() }));
  }

  get name(): string {
    return this.schema.name;
  }

  /** Finds out, once all tables exist, which columns refer to which tables. */
  connect(tables: ReadonlyMap<string, Table>): void {
    for (const column of this.schema.columns) {
      const sides = [
        ["keys", column.type.key],
        ["values", column.type.value],
      ] as const;
      for (const [side, base] of sides) {
        if (base?.refTable === undefined) continue;
        const target = tables.get(base.refTable)!;
        if (base.refType !== "weak") this.strong.push({ column, side, target });
        else {
          const reference: WeakReference = { column, side, target, from: this, referrers: new Map() };
          this.weak.push(reference);
          target.weakIncoming.push(reference);
        }
      }
    }
  }
}

/** Is anything kept beside the table's rows that only their columns tell? */
export const hasDerived = ({ indexes, strong, weak }: Table): boolean =>
  indexes.length + strong.length + weak.length > 0;

export const indexKey = (index: Index, row: Row): string =>
  index.columns.length === 1
    ? datumKey(row.get(index.columns[0]))
    : JSON.stringify(index.columns.map((column) => datumKey(row.get(column))));

export const indexKeyOf = (data: readonly Datum[]): string =>
  data.length === 1 ? datumKey(data[0]) : JSON.stringify(data.map(datumKey));
