import {
  type Change,
  type ColumnSchema,
  type Datum,
  datumEquals,
  datumToText,
  diffDatum,
  findKey,
  type Transaction,
} from "@sluice/ovsdb";
import { parseJson } from "@sluice/runtime";

const json = (column: ColumnSchema, datum: Datum): unknown =>
  (parseJson(`[${datumToText(column.type, datum)}]`) as unknown[])[0];

const where = (uuid: string): unknown => [["_uuid", "==", ["uuid", uuid]]];

/** The operations that do on the server what the transaction did to the copy. Scalars that are overwritten must still
 *  be what they were, so that nobody's change is lost; sets and maps get only the elements that were added or removed. */
export const operationsOf = (txn: Transaction): unknown[] => {
  const waits: unknown[] = [];
  const operations: unknown[] = [];
  for (const changes of txn.changes.values())
    for (const change of changes.values()) {
      const { table, uuid, old, new: now } = change;
      if (!old && !now) continue;
      if (!now) operations.push({ op: "delete", table: table.name, where: where(uuid) });
      else if (!old) {
        const row: Record<string, unknown> = {};
        for (const column of table.schema.columns)
          if (!datumEquals(now.get(column), column.default)) row[column.name] = json(column, now.get(column));
        operations.push({ op: "insert", table: table.name, uuid, row });
      } else modify(change, waits, operations);
    }
  return [...waits, ...operations];
};

function modify({ table, uuid, old, new: now }: Change, waits: unknown[], operations: unknown[]): void {
  const expected: Record<string, unknown> = { _uuid: ["uuid", uuid] };
  const row: Record<string, unknown> = {};
  const mutations: unknown[] = [];
  for (const column of table.schema.columns) {
    const before = old!.get(column);
    const after = now!.get(column);
    if (datumEquals(before, after)) continue;
    if (column.type.max === 1) {
      expected[column.name] = json(column, before);
      row[column.name] = json(column, after);
    } else mutations.push(...mutationsOf(column, before, after));
  }
  if (Object.keys(row).length === 0 && mutations.length === 0) return;
  waits.push({
    op: "wait",
    timeout: 0,
    table: table.name,
    where: where(uuid),
    columns: Object.keys(expected),
    until: "==",
    rows: [expected],
  });
  if (Object.keys(row).length > 0)
    operations.push({ op: "update", table: table.name, where: where(uuid), row });
  if (mutations.length > 0)
    operations.push({ op: "mutate", table: table.name, where: where(uuid), mutations });
}

function mutationsOf(column: ColumnSchema, before: Datum, after: Datum): unknown[] {
  const { keys } = diffDatum(before, after);
  const keysType = { ...column, type: { key: column.type.key, min: 0, max: Infinity } };
  // A pair whose value changes is removed and added anew: inserting leaves a key that is there alone.
  const removed = keys.filter((key) => findKey(before.keys, key) >= 0);
  const added = keys.filter((key) => findKey(after.keys, key) >= 0);
  const insert: Datum = {
    keys: added,
    values: after.values && added.map((key) => after.values![findKey(after.keys, key)]!),
  };
  return [
    ...(removed.length > 0 ? [[column.name, "delete", json(keysType, { keys: removed, values: null })]] : []),
    ...(added.length > 0 ? [[column.name, "insert", json(column, insert)]] : []),
  ];
}
