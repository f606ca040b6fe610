import { type Datum, datumToText } from "../schema/datum.js";
import type { ColumnSchema, TableSchema } from "../schema/schema.js";

/** One version of a row. The transaction that makes it may change it until its commit; nobody does after. */
export class Row {
  readonly uuid: string;
  /** Changes whenever a column does. */
  version: string;
  /** By ColumnSchema.index. */
  readonly cols: Datum[];

  constructor(uuid: string, version: string, cols: Datum[]) {
    this.uuid = uuid;
    this.version = version;
    this.cols = cols;
  }

  get(column: ColumnSchema): Datum {
    if (column.index >= 0) return this.cols[column.index];
    return { keys: [column.index === -1 ? this.uuid : this.version], values: null };
  }
}

export const defaultCols = (schema: TableSchema): Datum[] => schema.columns.map((column) => column.default);

/** `"name":value` of a column of the row. */
export const cellText = (row: Row, column: ColumnSchema): string =>
  `"${column.name}":${datumToText(column.type, row.get(column))}`;

/** The row as JSON text (RFC 7047 §5.1 `<row>`) with all of `columns`. */
export const rowText = (row: Row, columns: readonly ColumnSchema[]): string => {
  let text = "";
  for (const column of columns) text += (text ? "," : "{") + cellText(row, column);
  return text ? `${text}}` : "{}";
};
