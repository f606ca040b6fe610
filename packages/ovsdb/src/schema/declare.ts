import { DatabaseSchema, type TableSpec } from "./schema.js";
import type { BaseType, ColumnType } from "./types.js";

// A schema is declared once, as data; the JSON schema, the row types and the IDL's rows follow from it.

declare const VALUE: unique symbol;

/** A base type whose atoms are `T` in TypeScript. */
export interface Base<T> extends BaseType {
  readonly [VALUE]?: T;
}

/** A column whose value is `T` in a typed row. */
export interface Column<T> {
  readonly type: ColumnType;
  readonly mutable?: boolean;
  readonly ephemeral?: boolean;
  readonly [VALUE]?: T;
}

export const integer: Base<number> = { type: "integer" };
export const real: Base<number> = { type: "real" };
export const boolean: Base<boolean> = { type: "boolean" };
export const string: Base<string> = { type: "string" };
export const uuid: Base<string> = { type: "uuid" };

export const integerAtLeast = (minInteger: number): Base<number> => ({ type: "integer", minInteger });
export const integerIn = (minInteger: number, maxInteger: number): Base<number> => ({
  type: "integer",
  minInteger,
  maxInteger,
});
export const oneOf = <const T extends string>(...members: readonly T[]): Base<T> => ({
  type: "string",
  enum: [...members].sort(),
});
/** A strong reference: keeps the other row alive. */
export const ref = (refTable: string): Base<string> => ({ type: "uuid", refTable });
/** A weak reference: goes away with the other row. */
export const weakRef = (refTable: string): Base<string> => ({ type: "uuid", refTable, refType: "weak" });

export const one = <T>(key: Base<T>): Column<T> => ({ type: { key, min: 1, max: 1 } });
export const optional = <T>(key: Base<T>): Column<T | undefined> => ({ type: { key, min: 0, max: 1 } });
export const set = <T>(key: Base<T>, max = Infinity, min = 0): Column<readonly T[]> => ({
  type: { key, min, max },
});
export const map = <K, V>(key: Base<K>, value: Base<V>): Column<ReadonlyMap<K, V>> => ({
  type: { key, value, min: 0, max: Infinity },
});
export const immutable = <T>(column: Column<T>): Column<T> => ({ ...column, mutable: false });
export const ephemeral = <T>(column: Column<T>): Column<T> => ({ ...column, ephemeral: true });

export type Columns = Readonly<Record<string, Column<unknown>>>;

export interface Table<C extends Columns> extends TableSpec {
  readonly columns: C;
}

export const table = <const C extends Columns>(
  columns: C,
  options: { isRoot?: boolean; maxRows?: number; indexes?: readonly (readonly (keyof C & string)[])[] } = {},
): Table<C> => ({ columns, ...options });

export type Tables = Readonly<Record<string, Table<Columns>>>;

/** A declared schema: a DatabaseSchema that knows the TypeScript types of its rows. */
export class Declared<T extends Tables> extends DatabaseSchema {
  declare readonly [VALUE]?: T;
}

export const database = <const T extends Tables>(
  name: string,
  version: string,
  cksum: string,
  tables: T,
): Declared<T> => new Declared<T>({ name, version, cksum, tables });

/** The tables of a declared schema. */
export type TablesOf<S> = S extends Declared<infer T> ? T : never;
export type TableName<S> = keyof TablesOf<S> & string;
type ValueOf<C> = C extends Column<infer T> ? T : never;
/** A row of table `N` as an object: scalars bare, optionals `T | undefined`, sets arrays, maps Maps. */
export type RowOf<S, N extends TableName<S>> = {
  readonly [C in keyof TablesOf<S>[N]["columns"] & string]: ValueOf<TablesOf<S>[N]["columns"][C]>;
};
