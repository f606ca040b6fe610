import { type Datum, datumToText } from "../schema/datum.js";
import type { ColumnSchema, TableSchema } from "../schema/schema.js";

/** Where the columns of a row are read from when they are first asked for. */
export interface StoredRows {
  colsAt(at: number): Datum[];
}

/** One version of a row. The transaction that makes it may change it until its commit; nobody does after. */
export class Row {
  readonly uuid: string;
  /** Changes whenever a column does. */
  version: string;
  #cols: Datum[] | undefined;
  #stored: StoredRows | undefined;
  readonly #at: number;

  /** `cols` by ColumnSchema.index, or where they are to be read from and the place there. */
  constructor(uuid: string, version: string, cols: Datum[] | StoredRows, at = 0) {
    this.uuid = uuid;
    this.version = version;
    const isHere = Array.isArray(cols);
    this.#cols = isHere ? cols : undefined;
    this.#stored = isHere ? undefined : cols;
    this.#at = at;
  }

  /** By ColumnSchema.index. */
  get cols(): Datum[] {
    return this.#cols ?? this.#load();
  }

  #load(): Datum[] {
    const cols = this.#stored!.colsAt(this.#at);
    this.#cols = cols;
    this.#stored = undefined;
    return cols;
  }

  get(column: ColumnSchema): Datum {
    if (column.index >= 0) return this.cols[column.index];
    return { keys: [column.index === -1 ? this.uuid : this.version], values: null };
  }
}

export const defaultCols = (schema: TableSchema): Datum[] => schema.defaults.slice();

/** `"name":value` of a column of the row. */
export const cellText = (row: Row, column: ColumnSchema): string =>
  `"${column.name}":${datumToText(column.type, row.get(column))}`;

/** The row as JSON text (RFC 7047 §5.1 `<row>`) with all of `columns`. */
export const rowText = (row: Row, columns: readonly ColumnSchema[]): string => {
  let text = "";
  for (const column of columns) text += (text ? "," : "{") + cellText(row, column);
  return text ? `${text}}` : "{}";
};
