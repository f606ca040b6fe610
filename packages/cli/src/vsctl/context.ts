import { randomUUID } from "node:crypto";
import {
  type ColumnSchema,
  type Database,
  type Datum,
  datumEquals,
  type Row,
  type RowTable,
  type TextTable,
  type Transaction,
} from "@sluice/ovsdb";
import { CliError } from "../io.js";

/** One command of a command line: its own options, and its arguments. */
export interface Call {
  readonly command: Command;
  readonly options: ReadonlyMap<string, string>;
  readonly args: readonly string[];
}

/** A command: what it is called with, and what it does to the database as the transaction sees it. */
export interface Command {
  readonly min: number;
  readonly max: number;
  readonly usage: string;
  /** `--name` or, with a value, `--name=`. */
  readonly options?: readonly string[];
  readonly run: (context: CallContext) => void;
}

export type Commands = Readonly<Record<string, Command>>;

/** Thrown by wait-until: what it waits for is not so yet. */
export class NotYet extends Error {}

interface Symbol {
  uuid: string;
  isCreated: boolean;
}

/** The database as one attempt at the command line sees and changes it. */
export class Context {
  readonly database: Database;
  readonly txn: Transaction;
  readonly symbols = new Map<string, Symbol>();
  /** Interfaces that the commands made: the switch may refuse them. */
  readonly newInterfaces: string[] = [];
  readonly comments: string[] = [];

  constructor(database: Database, txn: Transaction) {
    this.database = database;
    this.txn = txn;
  }

  table(name: string): RowTable {
    const table = this.database.tables.get(name);
    if (!table) throw new CliError(`the database has no table ${name}`);
    return table;
  }

  rows(name: string): Row[] {
    return [...this.table(name).rows.values()];
  }

  row(table: string, uuid: string): Row | undefined {
    return this.table(table).rows.get(uuid);
  }

  /** The one row of Open_vSwitch. */
  root(): Row {
    return this.rows("Open_vSwitch")[0]!;
  }

  readonly symbol = (name: string): string => this.symbolOf(name).uuid;

  symbolOf(name: string): Symbol {
    let symbol = this.symbols.get(name);
    if (!symbol) {
      symbol = { uuid: randomUUID(), isCreated: false };
      this.symbols.set(name, symbol);
    }
    return symbol;
  }

  get(table: string, row: Row, column: string): Datum {
    return row.get(this.table(table).schema.column(column));
  }

  /** The first or only element of a column, as text; "" where there is none. */
  text(table: string, row: Row, column: string): string {
    return String(this.get(table, row, column).keys[0] ?? "");
  }

  uuids(table: string, row: Row, column: string): readonly string[] {
    return this.get(table, row, column).keys as readonly string[];
  }

  put(table: RowTable, row: Row, column: ColumnSchema, datum: Datum): void {
    const isNew = this.txn.changes.get(table)?.get(row.uuid)?.old === undefined && this.isChanged(table, row);
    if (column.index < 0 || (!column.mutable && !isNew))
      throw new CliError(`cannot modify read-only column ${column.name} in table ${table.name}`);
    if (!datumEquals(row.get(column), datum)) this.txn.modify(table, row).cols[column.index] = datum;
  }

  isChanged(table: RowTable, row: Row): boolean {
    return this.txn.changes.get(table)?.has(row.uuid) ?? false;
  }

  set(table: string, row: Row, column: string, atoms: readonly (string | number | boolean)[]): void {
    const store = this.table(table);
    this.put(store, row, store.schema.column(column), { keys: [...atoms].sort(byOrder), values: null });
  }

  insert(table: string, cells: Readonly<Record<string, string | number | boolean | readonly string[]>>): Row {
    const row = this.txn.insert(this.table(table), randomUUID());
    for (const [column, value] of Object.entries(cells))
      this.set(table, row, column, Array.isArray(value) ? (value as string[]) : [value as string]);
    return row;
  }

  delete(table: string, row: Row): void {
    this.txn.delete(this.table(table), row);
  }
}

const byOrder = (a: string | number | boolean, b: string | number | boolean): number =>
  a < b ? -1 : a > b ? 1 : 0;

/** What a running command has. */
export interface CallContext extends Call {
  readonly db: Context;
  /** Adds to what the command prints. */
  print(text: string): void;
  printTable(table: TextTable): void;
  /** Says something in one line on standard error. */
  warn(text: string): void;
  /** Sets the exit code of the command line. */
  exit(code: number): void;
}
