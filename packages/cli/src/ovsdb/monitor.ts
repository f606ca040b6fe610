import {
  type Cell,
  type ColumnSchema,
  type ColumnType,
  type DatabaseSchema,
  datumFromJson,
  emptyDatum,
  isObject,
  type TextTable,
} from "@sluice/ovsdb";
import { CliError } from "../io.js";

type Json = Record<string, unknown>;

/** The monitor requests that the command line asks for: TABLE and groups of columns, or ALL. */
export function monitorRequests(schema: DatabaseSchema, args: readonly string[], where?: unknown): Json {
  const [name, ...groups] = args;
  if (name === undefined) throw new CliError("a TABLE or ALL must be given");
  const names = name === "ALL" ? [...schema.tables.keys()].sort() : [name];
  return Object.fromEntries(
    names.map((table) => [
      table,
      (groups.length > 0 ? groups : [""]).map((group) => request(schema, table, group, where)),
    ]),
  );
}

function request(schema: DatabaseSchema, tableName: string, group: string, where: unknown): Json {
  const table = schema.tables.get(tableName);
  if (!table) throw new CliError(`the database has no table named "${tableName}"`);
  const words = group.split(",").filter((word) => word);
  const select: Record<string, boolean> = {};
  const columns: string[] = [];
  for (const word of words) {
    if (/^!(initial|insert|delete|modify)$/.test(word)) select[word.slice(1)] = false;
    else if (table.find(word)) columns.push(word);
    else
      throw new CliError(
        `"${word}" is not a column of table ${tableName} or one of !initial, !insert, !delete, !modify`,
      );
  }
  const all =
    columns.length > 0 ? columns : [...table.columns.map((column) => column.name).sort(), "_version"];
  return { columns: all, select, ...(where !== undefined && { where }) };
}

const free = (type: ColumnType): ColumnType => ({
  key: { type: type.key.type },
  ...(type.value && { value: { type: type.value.type } }),
  min: 0,
  max: type.max > 1 ? Infinity : 1,
});

/** What `<table-updates>` of either form says, a table for each table that it changes. */
export function updateTables(
  schema: DatabaseSchema,
  requests: Json,
  updates: unknown,
  isInitial: boolean,
): TextTable[] {
  if (!isObject(updates)) return [];
  const isMany = Object.keys(requests).length > 1;
  const tables = Object.entries(updates).sort(([a], [b]) => (a < b ? -1 : 1));
  return tables.map(([name, rows]) => {
    const columns = (requests[name] as { columns: string[] }[])
      .flatMap((one) => one.columns)
      .map((column) => schema.table(name).column(column));
    return {
      ...(isMany && { caption: name }),
      headings: ["row", "action", ...columns.map((column) => column.name)],
      rows: Object.entries(rows as Record<string, Json>).flatMap(([uuid, update]) =>
        updateRows(columns, uuid, update, isInitial),
      ),
    };
  });
}

const cellsOf = (columns: readonly ColumnSchema[], json: unknown): Cell[] =>
  columns.map((column) => {
    if (!isObject(json) || !(column.name in json)) return "";
    const type = free(column.type);
    return { type: column.type, datum: datumFromJson(type, json[column.name]) ?? emptyDatum(type) };
  });

function updateRows(
  columns: readonly ColumnSchema[],
  uuid: string,
  update: Json,
  isInitial: boolean,
): Cell[][] {
  const { old, new: now } = update;
  if (old === undefined && now === undefined) {
    // update2: one member, named as the action.
    const [action, cells] = Object.entries(update)[0] ?? ["", undefined];
    return [[uuid, action, ...cellsOf(columns, cells)]];
  }
  if (old === undefined) return [[uuid, isInitial ? "initial" : "insert", ...cellsOf(columns, now)]];
  if (now === undefined) return [[uuid, "delete", ...cellsOf(columns, old)]];
  return [
    [uuid, "old", ...cellsOf(columns, old)],
    ["", "new", ...cellsOf(columns, now)],
  ];
}
