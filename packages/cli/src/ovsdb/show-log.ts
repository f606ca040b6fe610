import { DatabaseSchema, datumFromJson, formatDatum, isObject, type TableSchema } from "@sluice/ovsdb";

/** Prints the records of a database file: their time and comment; with `more` the rows, and with more of it their
 *  columns. */
export const showLog = (
  more: number,
  print: (text: string) => void,
): ((record: Record<string, unknown>, index: number) => void) => {
  let schema: DatabaseSchema | undefined;
  const names = new Map<string, string>();

  const rowLines = (
    table: TableSchema | undefined,
    name: string,
    uuid: string,
    row: unknown,
    isDiff: boolean,
  ): void => {
    const short = uuid.slice(0, 8);
    const known = names.get(uuid);
    const ownName = isObject(row) ? row.name : undefined;
    if (known === undefined && isObject(row)) {
      const shown = typeof ownName === "string" ? `"${ownName}"` : short;
      print(`  table ${name} insert row ${typeof ownName === "string" ? `${shown} (${short})` : shown}:\n`);
      names.set(uuid, shown);
    } else print(`  table ${name} row ${known ?? short} (${short})${isDiff ? " diff" : ""}:\n`);
    if (!isObject(row)) {
      print("    delete row\n");
      names.delete(uuid);
      return;
    }
    if (typeof ownName === "string") names.set(uuid, `"${ownName}"`);
    if (more < 2) return;
    for (const [column, value] of Object.entries(row)) print(`    ${column}=${cell(table, column, value)}\n`);
  };

  const cell = (table: TableSchema | undefined, name: string, value: unknown): string => {
    const column = table?.find(name);
    if (!column) return JSON.stringify(value);
    const { key, value: valueType, max } = column.type;
    const type = { key, ...(valueType && { value: valueType }), min: 0, max: max > 1 ? Infinity : 1 };
    return formatDatum(type, datumFromJson(type, value, undefined, true));
  };

  return (record, index) => {
    let hasMore = index === 0;
    if (index === 0) {
      schema = DatabaseSchema.fromJson(record);
      const { name, version, cksum = "" } = schema;
      print(`record 0: "${name}" schema, version="${version}", cksum="${cksum}"\n`);
    } else {
      const { _date: date, _comment: comment, _is_diff: isDiff, ...tables } = record;
      const when = typeof date === "number" ? ` ${stamp(date)}` : "";
      const why = typeof comment === "string" ? ` "${comment}"` : "";
      print(`record ${index}:${when}${why}\n`);
      hasMore = more > 0 && Object.keys(tables).length > 0;
      if (hasMore)
        for (const [name, rows] of Object.entries(tables))
          for (const [uuid, row] of Object.entries(isObject(rows) ? rows : {}))
            rowLines(schema?.tables.get(name), name, uuid, row, isDiff === true);
    }
    if (hasMore) print("\n");
  };
};

const stamp = (ms: number): string =>
  new Date(ms < 2 ** 32 ? ms * 1000 : ms).toISOString().replace("T", " ").replace("Z", "");
