import { checkIndexes, checkMaxRows, updateIndexes } from "../engine/constraints.js";
import { Database, type DatabaseOptions } from "../engine/database.js";
import { applyCounts, countReferences, pruneWeak, updateWeak } from "../engine/references.js";
import { defaultCols, Row } from "../engine/row.js";
import { hasDerived } from "../engine/table.js";
import { type Change, Transaction } from "../engine/transaction.js";
import { toUuid } from "../schema/atom.js";
import { applyDiff, datumFromJson } from "../schema/datum.js";
import { isObject, OvsdbError, syntaxError } from "../schema/error.js";
import { DatabaseSchema } from "../schema/schema.js";
import { isComposite } from "../schema/types.js";
import { newUuid } from "../schema/uuid.js";
import { QuickReader } from "./quick-record.js";
import { DatabaseFileError, type LogContents, readLog } from "./record.js";

/** Members of a transaction record that are not tables. */
const META = new Set(["_date", "_comment", "_is_diff"]);

export interface LoadedFile extends LogContents {
  readonly database: Database;
  readonly transactions: number;
}

/** Reads a database file into memory. `makeDatabase` gets the schema that the file begins with. Throws
 *  DatabaseFileError. */
export const loadDatabase = (
  path: string,
  options: (schema: DatabaseSchema) => DatabaseOptions = () => ({}),
): LoadedFile => {
  let database: Database | undefined;
  let transactions = 0;
  let quick: QuickReader | undefined;
  const guarded = <T>(index: number, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      const what = index === 0 ? "its schema" : `transaction ${index}`;
      throw new DatabaseFileError(path, `${what} cannot be used: ${error.message}`);
    }
  };
  const contents = readLog(
    path,
    (json, index) =>
      guarded(index, () => {
        if (!database) {
          const schema = DatabaseSchema.fromJson(json);
          database = new Database(schema, options(schema));
          quick = new QuickReader(database.tables, newUuid());
        } else {
          replay(database, json);
          transactions++;
        }
      }),
    (bytes, start, end, index) =>
      guarded(index, () => {
        const isTaken = quick?.read(bytes, start, end) ?? false;
        if (isTaken) transactions++;
        return isTaken;
      }),
  );
  try {
    settle(database!);
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw new DatabaseFileError(path, `its contents are inconsistent: ${error.message}`);
  }
  return { ...contents, database: database!, transactions };
};

/** Applies one record to the rows, without the checks that hold only of the whole. `isConverting`: tables and columns
 *  that the schema lacks are left out. */
export const replay = (database: Database, json: unknown, isConverting = false): void => {
  if (!isObject(json)) throw syntaxError("a transaction record must be an object", json);
  const isDiff = json._is_diff === true;
  const version = newUuid();
  for (const name of Object.keys(json)) {
    if (META.has(name)) continue;
    const table = database.tables.get(name);
    if (!table) {
      if (isConverting) continue;
      throw syntaxError(`No table named ${name}.`, name);
    }
    const rows = json[name];
    if (!isObject(rows)) throw syntaxError(`table ${name} must be an object`, rows);
    for (const key of Object.keys(rows)) {
      const uuid = toUuid(key, key);
      const cells = rows[key];
      if (cells === null) {
        if (!table.rows.delete(uuid)) throw syntaxError(`cannot delete missing row ${uuid} of table ${name}`);
        continue;
      }
      if (!isObject(cells)) throw syntaxError("a row must be an object", cells);
      let row = table.rows.get(uuid);
      const isOld = row !== undefined;
      if (!row) {
        row = new Row(uuid, version, defaultCols(table.schema));
        table.rows.set(uuid, row);
      }
      for (const columnName of Object.keys(cells)) {
        const column = table.schema.find(columnName);
        if (!column || column.index < 0) {
          if (isConverting) continue;
          throw syntaxError(`No column ${columnName} in table ${name}.`, columnName);
        }
        const isPart = isDiff && isOld && isComposite(column.type);
        const datum = datumFromJson(column.type, cells[columnName], undefined, isPart);
        row.cols[column.index] = isPart ? applyDiff(row.cols[column.index], datum) : datum;
      }
    }
  }
};

/** Derives counts and indexes of the rows that replay left, and checks them as one big transaction. */
export const settle = (database: Database): void => {
  const txn = new Transaction();
  const tables = [...database.tables.values()];
  for (const table of tables) {
    if (table.rows.size === 0 || !hasDerived(table)) continue;
    const changes = new Map<string, Change>();
    for (const row of table.rows.values())
      changes.set(row.uuid, { table, uuid: row.uuid, old: undefined, new: row });
    txn.changes.set(table, changes);
  }
  countReferences(txn);
  pruneWeak(txn);
  checkMaxRows(tables);
  checkIndexes(txn.changes);
  applyCounts(txn);
  updateWeak(txn.changes);
  updateIndexes(txn.changes);
};
