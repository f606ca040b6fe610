import type { Atom } from "../schema/atom.js";
import type { Datum } from "../schema/datum.js";
import { OvsdbError } from "../schema/error.js";
import type { Row } from "./row.js";
import type { Reference, Table } from "./table.js";
import type { Change, Changes, Transaction } from "./transaction.js";

// Referential integrity (RFC 7047 §3.2 "refType", §5.2 and "isRoot"). A strong reference must lead to a row and keeps it
// alive; a row of a non-root table that nothing refers to is deleted; a weak reference goes with its row.

const atomsOf = (row: Row | undefined, { column, side }: Reference): readonly Atom[] =>
  row?.cols[column.index][side] ?? [];

const isUnchanged = (change: Change, { column }: Reference): boolean =>
  change.old !== undefined &&
  change.new !== undefined &&
  change.old.cols[column.index] === change.new.cols[column.index];

/** Calls `visit` for each strong reference that the change adds (+1) or takes away (-1). */
const visitStrong = (
  change: Change,
  visit: (reference: Reference, uuid: string, delta: 1 | -1) => void,
): void => {
  for (const reference of change.table.strong) {
    if (isUnchanged(change, reference)) continue;
    const before = atomsOf(change.old, reference);
    const after = atomsOf(change.new, reference);
    if (reference.side === "values") {
      for (const uuid of before) if (uuid !== change.uuid) visit(reference, uuid as string, -1);
      for (const uuid of after) if (uuid !== change.uuid) visit(reference, uuid as string, 1);
      continue;
    }
    // Both are sorted: only what differs is visited, so that one more port of a thousand costs one visit.
    let i = 0;
    let j = 0;
    while (i < before.length || j < after.length) {
      if (i < before.length && j < after.length && before[i] === after[j]) {
        i++;
        j++;
      } else if (j >= after.length || (i < before.length && before[i] < after[j])) {
        if (before[i] !== change.uuid) visit(reference, before[i] as string, -1);
        i++;
      } else {
        if (after[j] !== change.uuid) visit(reference, after[j] as string, 1);
        j++;
      }
    }
  }
};

/** Throws where a new strong reference leads nowhere. */
export const countReferences = (txn: Transaction): void => {
  for (const changes of txn.changes.values())
    for (const change of changes.values())
      visitStrong(change, ({ column, target }, uuid, delta) => {
        if (delta < 0 || target.rows.has(uuid)) return;
        // A row that this transaction deleted is reported as such below.
        if (txn.changes.get(target)?.has(uuid)) return;
        throw new OvsdbError(
          "referential integrity violation",
          `Table ${change.table.name} column ${column.name} row ${change.uuid} references nonexistent row ${uuid} in table ${target.name}.`,
        );
      });
};

class Deltas {
  readonly #byTable = new Map<Table, Map<string, number>>();

  add(table: Table, uuid: string, delta: number): number {
    let counts = this.#byTable.get(table);
    if (!counts) {
      counts = new Map();
      this.#byTable.set(table, counts);
    }
    const total = (counts.get(uuid) ?? 0) + delta;
    counts.set(uuid, total);
    return total;
  }

  count(table: Table, uuid: string): number {
    return (table.strongCounts.get(uuid) ?? 0) + (this.#byTable.get(table)?.get(uuid) ?? 0);
  }

  *touched(): Iterable<[Table, string]> {
    for (const [table, counts] of this.#byTable) for (const uuid of counts.keys()) yield [table, uuid];
  }
}

/** Deletes the rows that nothing keeps any more, and what they alone kept; then throws where a deleted row is still
 *  referred to. */
export const collectGarbage = (txn: Transaction): void => {
  const deltas = new Deltas();
  const suspects: [Table, string][] = [];
  for (const changes of txn.changes.values())
    for (const change of changes.values()) {
      if (change.new && !change.old && !change.table.schema.isRoot)
        suspects.push([change.table, change.uuid]);
      visitStrong(change, ({ target }, uuid, delta) => {
        deltas.add(target, uuid, delta);
        if (delta < 0 && !target.schema.isRoot) suspects.push([target, uuid]);
      });
    }
  for (let suspect = suspects.pop(); suspect; suspect = suspects.pop()) {
    const [table, uuid] = suspect;
    const row = table.rows.get(uuid);
    if (!row || deltas.count(table, uuid) > 0) continue;
    txn.delete(table, row);
    for (const reference of table.strong)
      for (const atom of atomsOf(row, reference)) {
        if (atom === uuid) continue;
        deltas.add(reference.target, atom as string, -1);
        if (!reference.target.schema.isRoot) suspects.push([reference.target, atom as string]);
      }
  }
  for (const changes of txn.changes.values())
    for (const { table, uuid, new: now } of changes.values()) {
      const count = now ? 0 : deltas.count(table, uuid);
      if (count > 0)
        throw new OvsdbError(
          "referential integrity violation",
          `cannot delete ${table.name} row ${uuid} because of ${count} remaining reference(s)`,
        );
    }
};

/** Takes dangling weak references out of the changed rows and of those that referred to deleted ones. Was a strong
 *  reference lost on the way? */
export const pruneWeak = (txn: Transaction): boolean => {
  const suspects = new Map<Table, Set<string>>();
  const suspect = (table: Table, uuid: string): void => {
    const uuids = suspects.get(table);
    if (uuids) uuids.add(uuid);
    else suspects.set(table, new Set([uuid]));
  };
  for (const [table, changes] of txn.changes)
    for (const change of changes.values()) {
      if (change.new) {
        if (table.weak.some((reference) => !isUnchanged(change, reference))) suspect(table, change.uuid);
      } else {
        for (const { from, referrers } of table.weakIncoming)
          for (const uuid of referrers.get(change.uuid) ?? []) suspect(from, uuid);
      }
    }
  let isStrongLost = false;
  for (const [table, uuids] of suspects)
    for (const uuid of uuids) {
      const row = table.rows.get(uuid);
      if (!row) continue;
      for (const { column, side, target } of table.weak) {
        const datum = row.cols[column.index];
        const kept = keepIndexes(datum, (i) => target.rows.has(datum[side]![i] as string));
        if (!kept) continue;
        if (kept.keys.length < column.type.min)
          throw new OvsdbError(
            "constraint violation",
            `Deletion of weak reference(s) from column ${column.name} in table ${table.name} row ${uuid} leaves ` +
              `${kept.keys.length} element(s), but at least ${column.type.min} must remain.`,
          );
        txn.modify(table, row).cols[column.index] = kept;
        isStrongLost ||= table.strong.some((reference) => reference.column === column);
      }
    }
  return isStrongLost;
};

/** The datum without the elements for which `keeps` is false, or undefined where there is none such. */
const keepIndexes = (datum: Datum, keeps: (index: number) => boolean): Datum | undefined => {
  const kept = datum.keys.map((_, i) => i).filter(keeps);
  if (kept.length === datum.keys.length) return undefined;
  return { keys: kept.map((i) => datum.keys[i]), values: datum.values && kept.map((i) => datum.values![i]) };
};

/** Brings the reference counts up to date with a transaction that stands. */
export const applyCounts = (txn: Transaction): void => {
  for (const changes of txn.changes.values())
    for (const change of changes.values())
      visitStrong(change, ({ target }, uuid, delta) => {
        const count = (target.strongCounts.get(uuid) ?? 0) + delta;
        if (count === 0) target.strongCounts.delete(uuid);
        else target.strongCounts.set(uuid, count);
      });
};

export const updateWeak = (allChanges: Changes): void => {
  for (const [table, changes] of allChanges)
    for (const reference of table.weak)
      for (const change of changes.values()) {
        if (isUnchanged(change, reference)) continue;
        const { referrers } = reference;
        for (const uuid of atomsOf(change.old, reference) as string[]) {
          const rows = referrers.get(uuid);
          rows?.delete(change.uuid);
          if (rows?.size === 0) referrers.delete(uuid);
        }
        for (const uuid of atomsOf(change.new, reference) as string[]) {
          const rows = referrers.get(uuid);
          if (rows) rows.add(change.uuid);
          else referrers.set(uuid, new Set([change.uuid]));
        }
      }
};
