import {
  type Cell,
  type DataFormat,
  formatTable,
  TABLE_FORMATS,
  type TableFormat,
  type TextTable,
} from "@sluice/ovsdb";
import { realClock } from "@sluice/runtime";
import { CliError } from "../io.js";

/** The options with which the OVS tools choose how tables look. */
export const TABLE_OPTIONS = {
  format: { short: "f", value: true },
  data: { short: "d", value: true },
  "no-headings": {},
  pretty: {},
  bare: {},
  timestamp: {},
} as const;

export interface TableOptions {
  format?: string;
  data?: string;
  "no-headings"?: boolean;
  bare?: boolean;
  timestamp?: boolean;
}

/** Prints one table after the other, with a blank line between them where the format has such. */
export const tablePrinter = (
  options: TableOptions,
  print: (text: string) => void,
): ((table: TextTable) => void) => {
  const format = options.format ?? (options.bare ? "list" : "table");
  const data = options.data ?? (options.bare ? "bare" : "string");
  if (!(TABLE_FORMATS as readonly string[]).includes(format))
    throw new CliError(`unrecognized format "${format}"; there are ${TABLE_FORMATS.join(", ")}`);
  if (!["string", "bare", "json"].includes(data))
    throw new CliError(`unrecognized data format "${data}"; there are string, bare, json`);
  const headings = !options["no-headings"] && !options.bare;
  const style = { format: format as TableFormat, data: data as DataFormat, headings };
  let count = 0;
  return (table) => {
    const timestamp = options.timestamp ? { timestamp: realClock.wallNow() } : {};
    const gap = count++ > 0 && format !== "json" && format !== "html" ? "\n" : "";
    print(gap + formatTable({ ...table, ...timestamp }, style));
  };
};

/** The order in which a dump shows its rows: by what their cells show. */
export const compareRows = (a: readonly Cell[], b: readonly Cell[]): number => {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [textOf(a[i]!), textOf(b[i]!)];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
};

const textOf = (cell: Cell): string => (typeof cell === "string" ? cell : cell.datum.keys.join("\0"));
