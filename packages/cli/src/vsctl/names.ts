import { type ColumnSchema, type Datum, isUuid, type Row, type RowTable } from "@sluice/ovsdb";
import { CliError } from "../io.js";
import type { Context } from "./context.js";

const fold = (name: string): string => name.toLowerCase().replaceAll("-", "_");

/** The name that `text` means, in any case, with "-" for "_", shortened as long as it stays unique. */
const match = (names: readonly string[], text: string): string | "ambiguous" | undefined => {
  const exact = names.find((name) => name === text) ?? names.find((name) => fold(name) === fold(text));
  if (exact !== undefined) return exact;
  const found = names.filter((name) => fold(name).startsWith(fold(text)));
  return found.length > 1 ? "ambiguous" : found[0];
};

export const findTable = (db: Context, text: string): RowTable => {
  const name = match([...db.database.tables.keys()], text);
  if (name === undefined) throw new CliError(`unknown table "${text}"`);
  if (name === "ambiguous") throw new CliError(`multiple table names match "${text}"`);
  return db.table(name);
};

export const findColumn = (table: RowTable, text: string): ColumnSchema => {
  const names = ["_uuid", ...table.schema.columns.map((column) => column.name)];
  const name = match(names, text);
  if (name === undefined)
    throw new CliError(`${table.name} does not contain a column whose name matches "${text}"`);
  if (name === "ambiguous")
    throw new CliError(
      `${table.name} contains more than one column whose name matches "${text}": ` +
        names
          .filter((one) => fold(one).startsWith(fold(text)))
          .sort()
          .join(", "),
    );
  return table.schema.column(name);
};

/** How rows are known by names: by a column of their own, or as what a named row of another table refers to. */
interface RowName {
  readonly column?: string;
  readonly via?: { readonly table: string; readonly name?: string; readonly refers: string };
}

const ROW_NAMES: Readonly<Record<string, readonly RowName[]>> = {
  Bridge: [{ column: "name" }],
  Port: [{ column: "name" }],
  Interface: [{ column: "name" }],
  Mirror: [{ column: "name" }],
  Manager: [{ column: "target" }],
  Flow_Table: [{ column: "name" }],
  Controller: [{ via: { table: "Bridge", name: "name", refers: "controller" } }],
  NetFlow: [{ via: { table: "Bridge", name: "name", refers: "netflow" } }],
  sFlow: [{ via: { table: "Bridge", name: "name", refers: "sflow" } }],
  IPFIX: [{ via: { table: "Bridge", name: "name", refers: "ipfix" } }],
  AutoAttach: [{ via: { table: "Bridge", name: "name", refers: "auto_attach" } }],
  QoS: [{ via: { table: "Port", name: "name", refers: "qos" } }],
  SSL: [{ via: { table: "Open_vSwitch", refers: "ssl" } }],
};

/** The row that `text` means: a uuid, a name, "." where there can be one only, a unique beginning of a uuid, or
 *  `@NAME` for one that this command line makes. */
export const findRow = (db: Context, table: RowTable, text: string, isRequired: boolean): Row | undefined => {
  const row =
    text.startsWith("@") && db.symbols.has(text)
      ? table.rows.get(db.symbol(text))
      : isUuid(text.toLowerCase())
        ? table.rows.get(text.toLowerCase())
        : (byName(db, table, text) ?? byPrefix(table, text));
  if (!row && isRequired) throw new CliError(`no row "${text}" in table ${table.name}`);
  return row;
};

const byName = (db: Context, table: RowTable, text: string): Row | undefined => {
  if (text === "." && table.schema.maxRows === 1) return table.rows.values().next().value;
  const found = new Set<Row>();
  for (const { column, via } of ROW_NAMES[table.name] ?? []) {
    if (column !== undefined)
      for (const row of table.rows.values()) if (db.text(table.name, row, column) === text) found.add(row);
    if (!via) continue;
    for (const row of db.rows(via.table)) {
      if (via.name === undefined ? text !== "." : db.text(via.table, row, via.name) !== text) continue;
      for (const uuid of db.uuids(via.table, row, via.refers)) {
        const referred = table.rows.get(uuid);
        if (referred) found.add(referred);
      }
    }
  }
  if (found.size > 1) throw new CliError(`multiple rows in ${table.name} match "${text}"`);
  return [...found][0];
};

const byPrefix = (table: RowTable, text: string): Row | undefined => {
  if (!/^[0-9a-f-]{4,}$/i.test(text)) return undefined;
  const found = [...table.rows.values()].filter((row) => row.uuid.startsWith(text.toLowerCase()));
  if (found.length > 1) throw new CliError(`${text} contains 2 or more rows whose UUIDs begin so`);
  return found[0];
};

/** The record's name for messages. */
export const single = (datum: Datum): string => String(datum.keys[0] ?? "");
