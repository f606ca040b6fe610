import { parseJson } from "@sluice/runtime";
import { datumFromJson, datumToText } from "../schema/datum.js";
import type { Database } from "./database.js";
import { defaultCols, type Row } from "./row.js";
import { Transaction } from "./transaction.js";

/** Fills the empty `next` with the rows of `from`, under next's schema: tables and columns that it lacks are left
 *  out, those that are new get defaults, and every constraint holds (ovsdb-server(7) 4.1.19). Throws OvsdbError. */
export const convertDatabase = (from: Database, next: Database): void => {
  const txn = new Transaction();
  for (const source of from.tables.values()) {
    const table = next.tables.get(source.name);
    if (!table) continue;
    const columns = table.schema.columns.flatMap((column) => {
      const old = source.schema.find(column.name);
      return old ? [[old, column] as const] : [];
    });
    for (const row of source.rows.values()) {
      const cols = defaultCols(table.schema);
      for (const [old, column] of columns) {
        // By way of JSON: what the old type held may or may not be a value of the new one.
        const json = parseJson(`[${datumToText(old.type, row.get(old))}]`) as unknown[];
        cols[column.index] = datumFromJson(column.type, json[0]);
      }
      const inserted: Row = txn.insert(table, row.uuid);
      for (let i = 0; i < cols.length; i++) inserted.cols[i] = cols[i];
    }
  }
  txn.commit(() => {});
};
