import { stringifyJson } from "@sluice/runtime";
import { datumEquals, datumToText } from "../schema/datum.js";
import type { Declared, RowOf, TableName, Tables } from "../schema/declare.js";
import type { OvsdbError } from "../schema/error.js";
import type { ColumnSchema, DatabaseSchema, TableSchema } from "../schema/schema.js";
import { newUuid } from "../schema/uuid.js";
import type { Replica } from "./replica.js";
import { datumOf, valueToText } from "./value.js";

/** How a transaction ended. "unchanged": there was nothing to do, and nothing was sent. "try again": what was verified
 *  is no longer so. "not connected": not sent. "unknown": the connection ended before the answer. */
export type TxnStatus =
  | "success"
  | "unchanged"
  | "try again"
  | "not locked"
  | "not connected"
  | "unknown"
  | "error";

export interface TxnResult {
  readonly status: TxnStatus;
  /** The server's refusal, where status is "error". */
  readonly error?: OvsdbError;
}

/** What may be given for a column: as in a typed row, a map also as a plain object, nothing as null. */
export type Writable<T> =
  T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<K, V> | (K extends string ? Readonly<Record<string, V>> : never)
    : T extends readonly (infer E)[]
      ? readonly E[] | ReadonlySet<E>
      : T | (undefined extends T ? null : never);

export type WritableRow<S, T extends TableName<S>> = {
  readonly [C in keyof RowOf<S, T>]?: Writable<RowOf<S, T>[C]> | undefined;
};

type Mutator = "+=" | "-=" | "*=" | "/=" | "%=" | "insert" | "delete";

/** The operations of one transaction, against the replica as it is now. A reference is the other row's uuid, also of
 *  a row that the same transaction inserts. */
export class Txn<S extends Declared<Tables>> {
  readonly #schema: DatabaseSchema;
  readonly #replica: Replica;
  readonly #isKnown: (table: string, column?: string) => boolean;
  readonly #waits: string[] = [];
  readonly #operations: string[] = [];
  readonly #comments: string[] = [];

  /** `isKnown`: does the server's schema have the table or column? */
  constructor(schema: S, replica: Replica, isKnown: (table: string, column?: string) => boolean) {
    this.#schema = schema;
    this.#replica = replica;
    this.#isKnown = isKnown;
  }

  /** Inserts a row; the result is its uuid, chosen here (ovsdb-server(7) 5.2.1). */
  insert<T extends TableName<S>>(table: T, row: WritableRow<S, T>): string {
    const uuid = newUuid();
    const cells = this.#cells(this.#schema.table(table), row);
    this.#operations.push(
      `{"op":"insert","table":"${table}","uuid":"${uuid}","row":{${cells.map(([, text]) => text).join(",")}}}`,
    );
    return uuid;
  }

  /** Sets columns of a row. What the replica has already is not sent. */
  update<T extends TableName<S>>(table: T, uuid: string, row: WritableRow<S, T>): void {
    const replica = this.#replica.tables.get(table);
    const changed = this.#cells(this.#schema.table(table), row).filter(([column]) => {
      const known = replica?.columns.includes(column) ? replica.datum(uuid, column) : undefined;
      return !known || !datumEquals(known, datumOf(column.type, row[column.name as keyof typeof row]));
    });
    if (changed.length === 0) return;
    const cells = changed.map(([, text]) => text).join(",");
    this.#operations.push(`{"op":"update","table":"${table}",${whereUuid(uuid)},"row":{${cells}}}`);
  }

  delete<T extends TableName<S>>(table: T, uuid: string): void {
    this.#operations.push(`{"op":"delete","table":"${table}",${whereUuid(uuid)}}`);
  }

  /** RFC 7047 §5.1 `<mutation>` of a column: arithmetic, or "insert" and "delete" of elements. */
  mutate<T extends TableName<S>, C extends keyof RowOf<S, T> & string>(
    table: T,
    uuid: string,
    column: C,
    mutator: Mutator,
    value: Writable<RowOf<S, T>[C]>,
  ): void {
    const { type } = this.#schema.table(table).column(column);
    const isKeys = type.value !== undefined && Array.isArray(value);
    const text = valueToText(isKeys ? { key: type.key, min: 0, max: Infinity } : type, value);
    this.#operations.push(
      `{"op":"mutate","table":"${table}",${whereUuid(uuid)},"mutations":[["${column}","${mutator}",${text}]]}`,
    );
  }

  /** Lets the transaction stand only if these columns of the row are still what the replica has. */
  verify<T extends TableName<S>>(
    table: T,
    uuid: string,
    ...columns: readonly (keyof RowOf<S, T> & string)[]
  ): void {
    const replica = this.#replica.tables.get(table);
    const names = columns.filter((column) => this.#isKnown(table, column));
    const cells = names.map((name) => {
      const column = this.#schema.table(table).column(name);
      const datum = replica?.columns.includes(column) ? replica.datum(uuid, column) : undefined;
      if (!datum) throw new Error(`verify: the replica has no ${table}.${name} of row ${uuid}`);
      return `"${name}":${datumToText(column.type, datum)}`;
    });
    this.#waits.push(
      `{"op":"wait","timeout":0,"table":"${table}",${whereUuid(uuid)},"columns":${JSON.stringify(names)},` +
        `"until":"==","rows":[{${cells.join(",")}}]}`,
    );
  }

  /** Any operation of RFC 7047 §5.2. */
  operation(operation: Readonly<Record<string, unknown>>): void {
    this.#operations.push(stringifyJson(operation));
  }

  /** Adds to the record of the transaction in the database file. */
  comment(text: string): void {
    this.#comments.push(text);
  }

  /** The operations as JSON texts: verifications first. Empty where nothing would change. */
  toOperations(): readonly string[] {
    if (this.#operations.length === 0) return [];
    const comments = this.#comments.map((comment) => stringifyJson({ op: "comment", comment }));
    return [...this.#waits, ...this.#operations, ...comments];
  }

  #cells(table: TableSchema, row: Readonly<Record<string, unknown>>): [ColumnSchema, string][] {
    return Object.keys(row)
      .filter((name) => this.#isKnown(table.name, name))
      .map((name) => {
        const column = table.column(name);
        return [column, `"${name}":${valueToText(column.type, row[name])}`];
      });
  }
}

const whereUuid = (uuid: string): string => `"where":[["_uuid","==",["uuid","${uuid}"]]]`;
