import type { SymbolTable } from "../schema/atom.js";
import { datumEquals } from "../schema/datum.js";
import { OvsdbError } from "../schema/error.js";
import { newUuid } from "../schema/uuid.js";
import { checkIndexes, checkMaxRows, updateIndexes } from "./constraints.js";
import { applyCounts, collectGarbage, countReferences, pruneWeak, updateWeak } from "./references.js";
import { defaultCols, Row } from "./row.js";
import type { Table } from "./table.js";

/** What a transaction did to one row: `old` absent for an insert, `new` absent for a delete. */
export interface Change {
  readonly table: Table;
  readonly uuid: string;
  readonly old: Row | undefined;
  new: Row | undefined;
}

export type Changes = Map<Table, Map<string, Change>>;

/** A committed transaction, as monitors, the history and the file see it. */
export interface Commit {
  readonly id: string;
  readonly changes: Changes;
  readonly comment: string;
  readonly durable: boolean;
}

/** Changes to the tables, made in place so that later operations see them, and either committed or undone. */
export class Transaction implements SymbolTable {
  readonly id = newUuid();
  readonly changes: Changes = new Map();
  #symbols: Map<string, { uuid: string; isCreated: boolean }> | undefined;
  durable = false;
  comment = "";

  /** The uuid that a name stands for, known or not yet (RFC 7047 §5.1 `<named-uuid>`). */
  uuidOf(name: string): string {
    return this.#symbol(name).uuid;
  }

  #symbol(name: string): { uuid: string; isCreated: boolean } {
    this.#symbols ??= new Map();
    let symbol = this.#symbols.get(name);
    if (!symbol) {
      symbol = { uuid: newUuid(), isCreated: false };
      this.#symbols.set(name, symbol);
    }
    return symbol;
  }

  /** Names the row to be inserted. */
  create(name: string, uuid: string | undefined): string {
    const symbol = this.#symbol(name);
    if (symbol.isCreated)
      throw new OvsdbError(
        "duplicate uuid-name",
        `This "uuid-name" appeared on an earlier "insert" operation.`,
        name,
      );
    symbol.isCreated = true;
    if (uuid !== undefined) symbol.uuid = uuid;
    return symbol.uuid;
  }

  insert(table: Table, uuid: string): Row {
    const changes = this.#changesOf(table);
    if (table.rows.has(uuid) || changes.has(uuid))
      throw new OvsdbError(
        "duplicate uuid",
        `This UUID would duplicate a UUID already present within the table.`,
        uuid,
      );
    const row = new Row(uuid, this.id, defaultCols(table.schema));
    changes.set(uuid, { table, uuid, old: undefined, new: row });
    table.rows.set(uuid, row);
    return row;
  }

  /** The row's version that this transaction may change. */
  modify(table: Table, row: Row): Row {
    const changes = this.#changesOf(table);
    const change = changes.get(row.uuid);
    if (change?.new) return change.new;
    const copy = new Row(row.uuid, this.id, row.cols.slice());
    changes.set(row.uuid, { table, uuid: row.uuid, old: row, new: copy });
    table.rows.set(row.uuid, copy);
    return copy;
  }

  delete(table: Table, row: Row): void {
    const changes = this.#changesOf(table);
    const change = changes.get(row.uuid);
    if (change) change.new = undefined;
    else changes.set(row.uuid, { table, uuid: row.uuid, old: row, new: undefined });
    table.rows.delete(row.uuid);
  }

  #changesOf(table: Table): Map<string, Change> {
    let changes = this.changes.get(table);
    if (!changes) {
      changes = new Map();
      this.changes.set(table, changes);
    }
    return changes;
  }

  rollback(): void {
    for (const [table, changes] of this.changes)
      for (const { uuid, old } of changes.values()) {
        if (old) table.rows.set(uuid, old);
        else table.rows.delete(uuid);
      }
    this.changes.clear();
  }

  /** Checks what holds only of whole transactions, in ovsdb-server's order; `write` then makes it last. Throws
   *  OvsdbError, after which nothing has changed. The result is undefined where nothing changed anyway. */
  commit(write: (commit: Commit) => void): Commit | undefined {
    try {
      this.#dropNoops();
      if (this.changes.size === 0) return undefined;
      countReferences(this);
      collectGarbage(this);
      checkMaxRows(this.changes.keys());
      while (pruneWeak(this)) collectGarbage(this);
      this.#dropNoops();
      if (this.changes.size === 0) return undefined;
      checkIndexes(this.changes);
      const { id, changes, comment, durable } = this;
      const commit = { id, changes, comment, durable };
      write(commit);
      applyCounts(this);
      updateWeak(changes);
      updateIndexes(changes);
      return commit;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** Forgets rows that are as they were, and makes equal columns the same object, so that `!==` tells a change. */
  #dropNoops(): void {
    for (const [table, changes] of this.changes) {
      for (const change of changes.values()) {
        const { old, new: now, uuid } = change;
        if (old && now) {
          let isSame = true;
          for (let i = 0; i < now.cols.length; i++) {
            if (now.cols[i] === old.cols[i]) continue;
            if (datumEquals(now.cols[i], old.cols[i])) now.cols[i] = old.cols[i];
            else isSame = false;
          }
          if (!isSame) continue;
          table.rows.set(uuid, old);
        } else if (old || now) continue;
        changes.delete(uuid);
      }
      if (changes.size === 0) this.changes.delete(table);
    }
  }
}
