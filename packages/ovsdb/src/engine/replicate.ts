import { datumFromJson } from "../schema/datum.js";
import { isObject } from "../schema/error.js";
import type { Database } from "./database.js";
import type { Table } from "./table.js";
import { Transaction } from "./transaction.js";

/** Makes the rows of a database those of another server, as one transaction: `updates` are RFC 7047's `<table-updates>` of
 *  whole rows. With `whole`, tables of that set have no rows but those of the updates. Throws OvsdbError where the result
 *  would not be a state of the database, and nothing has changed. */
export const replicate = (database: Database, updates: unknown, whole: ReadonlySet<Table> = NONE): void => {
  const txn = new Transaction();
  try {
    const seen = new Set<string>();
    for (const [name, rows] of members(updates)) {
      const table = database.table(name);
      for (const [uuid, update] of members(rows)) {
        seen.add(uuid);
        putRow(txn, table, uuid, isObject(update) ? update.new : undefined);
      }
    }
    for (const table of whole)
      for (const row of [...table.rows.values()]) if (!seen.has(row.uuid)) txn.delete(table, row);
  } catch (error) {
    txn.rollback();
    throw error;
  }
  database.commit(txn);
};

const NONE: ReadonlySet<Table> = new Set();

const members = (json: unknown): [string, unknown][] => (isObject(json) ? Object.entries(json) : []);

/** `cells` are the whole row as it is now, or undefined where it is no more. */
const putRow = (txn: Transaction, table: Table, uuid: string, cells: unknown): void => {
  const old = table.rows.get(uuid);
  if (!isObject(cells)) {
    if (old) txn.delete(table, old);
    return;
  }
  const row = old ? txn.modify(table, old) : txn.insert(table, uuid);
  for (const [name, json] of Object.entries(cells)) {
    const column = table.schema.column(name);
    row.cols[column.index] = datumFromJson(column.type, json);
  }
};
