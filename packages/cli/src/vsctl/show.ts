import { datumEquals, formatDatum, type Row } from "@sluice/ovsdb";
import type { CallContext, Context } from "./context.js";

/** What "show" tells of a table's rows: their name, and which columns. */
interface Shown {
  readonly name: string | undefined;
  readonly columns: readonly string[];
}

const SHOWN: Readonly<Record<string, Shown>> = {
  Open_vSwitch: { name: undefined, columns: ["manager_options", "bridges", "ovs_version"] },
  Bridge: { name: "name", columns: ["controller", "fail_mode", "datapath_type", "ports"] },
  Port: { name: "name", columns: ["tag", "trunks", "interfaces"] },
  Interface: { name: "name", columns: ["type", "options", "error"] },
  Controller: { name: "target", columns: ["is_connected"] },
  Manager: { name: "target", columns: ["is_connected"] },
};

/** The configuration as a tree. */
export function show(context: CallContext): void {
  const seen = new Set<string>();
  for (const row of context.db.rows("Open_vSwitch")) showRow(context, "Open_vSwitch", row, 0, seen);
}

function showRow(context: CallContext, table: string, row: Row, level: number, seen: Set<string>): void {
  const { db } = context;
  const { name, columns } = SHOWN[table]!;
  const indent = " ".repeat(level * 4);
  context.print(`${indent}${name === undefined ? row.uuid : `${table} ${cell(db, table, row, name)}`}\n`);
  if (seen.has(row.uuid)) return;
  seen.add(row.uuid);
  const { schema } = db.table(table);
  for (const columnName of columns) {
    const column = schema.find(columnName);
    if (!column) continue;
    const { refTable } = column.type.key;
    if (refTable !== undefined && SHOWN[refTable]) {
      for (const uuid of db.uuids(table, row, columnName)) {
        const referred = db.row(refTable, uuid);
        if (referred) showRow(context, refTable, referred, level + 1, seen);
      }
      continue;
    }
    if (!datumEquals(row.get(column), column.default))
      context.print(`${indent}    ${columnName}: ${cell(db, table, row, columnName)}\n`);
  }
}

const cell = (db: Context, table: string, row: Row, name: string): string =>
  formatDatum(db.table(table).schema.column(name).type, db.get(table, row, name));
