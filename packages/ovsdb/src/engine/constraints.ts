import { datumToText } from "../schema/datum.js";
import { OvsdbError } from "../schema/error.js";
import type { Row } from "./row.js";
import { type Index, indexKey, type Table } from "./table.js";
import type { Change, Changes } from "./transaction.js";

/** RFC 7047 §3.2 "maxRows". */
export const checkMaxRows = (tables: Iterable<Table>): void => {
  for (const table of tables) {
    const { maxRows } = table.schema;
    if (table.rows.size > maxRows)
      throw new OvsdbError(
        "constraint violation",
        `transaction causes "${table.name}" table to contain ${table.rows.size} rows, greater than the schema-defined limit of ${maxRows} row(s)`,
      );
  }
};

/** RFC 7047 §3.2 "indexes": no two rows may agree in all columns of one. */
export const checkIndexes = (allChanges: Changes): void => {
  for (const [table, changes] of allChanges)
    for (const index of table.indexes) {
      const taken = new Map<string, Row>();
      for (const { new: now } of changes.values()) {
        if (!now) continue;
        const key = indexKey(index, now);
        const mine = taken.get(key);
        if (mine) throw duplicate(table, index, mine, now, changes);
        taken.set(key, now);
        const owner = index.rows.get(key);
        if (owner === undefined || owner === now.uuid || changes.has(owner)) continue;
        throw duplicate(table, index, table.rows.get(owner)!, now, changes);
      }
    }
};

const duplicate = (
  table: Table,
  index: Index,
  first: Row,
  second: Row,
  changes: ReadonlyMap<string, Change>,
): OvsdbError => {
  const names = index.columns.map((column) => column.name).join(", ");
  const values = index.columns.map((column) => datumToText(column.type, first.get(column))).join(", ");
  const describe = ({ uuid }: Row): string => {
    const change = changes.get(uuid);
    return `row ${uuid} ${change ? `${change.old ? "existed before and was modified" : "was inserted"} by this transaction` : "existed in the database before this transaction and was not modified by it"}`;
  };
  return new OvsdbError(
    "constraint violation",
    `Transaction causes multiple rows in "${table.name}" table to have identical values (${values}) for index on ` +
      `column${index.columns.length > 1 ? "s" : ""} "${names}". First ${describe(first)}. Second ${describe(second)}.`,
  );
};

export const updateIndexes = (allChanges: Changes): void => {
  for (const [table, changes] of allChanges)
    for (const index of table.indexes) {
      for (const { old, uuid } of changes.values()) {
        if (!old) continue;
        const key = indexKey(index, old);
        if (index.rows.get(key) === uuid) index.rows.delete(key);
      }
      for (const { new: now, uuid } of changes.values()) if (now) index.rows.set(indexKey(index, now), uuid);
    }
};
