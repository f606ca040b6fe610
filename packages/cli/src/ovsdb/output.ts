import {
  type Cell,
  compareAtoms,
  type DataFormat,
  formatTable,
  TABLE_FORMATS,
  type TableFormat,
  type TableStyle,
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
  "max-column-width": { value: true },
  timestamp: {},
} as const;

export interface TableOptions {
  format?: string;
  data?: string;
  "no-headings"?: boolean;
  pretty?: boolean;
  bare?: boolean;
  "max-column-width"?: string;
  timestamp?: boolean;
}

const DATA_FORMATS = ["string", "bare", "json"];

/** What the options say of tables; without them the format is `defaultFormat`. */
export function tableStyle(options: TableOptions, defaultFormat: TableFormat): TableStyle {
  const format = options.format ?? (options.bare ? "list" : defaultFormat);
  const data = options.data ?? (options.bare ? "bare" : "string");
  if (!(TABLE_FORMATS as readonly string[]).includes(format))
    throw new CliError(`unknown output format "${format}"; there are ${TABLE_FORMATS.join(", ")}`);
  if (!DATA_FORMATS.includes(data))
    throw new CliError(`unknown data format "${data}"; there are ${DATA_FORMATS.join(", ")}`);
  const width = options["max-column-width"];
  if (width !== undefined && !/^\d+$/.test(width))
    throw new CliError(`--max-column-width: "${width}" is not a number of characters`);
  return {
    format: format as TableFormat,
    data: data as DataFormat,
    headings: !options["no-headings"] && !options.bare,
    pretty: options.pretty ?? false,
    ...(Number(width) > 0 && { maxColumnWidth: Number(width) }),
  };
}

/** Prints one table after the other, with a blank line between them where the format has such. */
export const tablePrinter = (
  options: TableOptions,
  print: (text: string) => void,
): ((table: TextTable) => void) => {
  const style = tableStyle(options, "table");
  let count = 0;
  return (table) => {
    const timestamp = options.timestamp ? { timestamp: realClock.wallNow() } : {};
    const gap = count++ > 0 && style.format !== "json" && style.format !== "html" ? "\n" : "";
    print(gap + formatTable({ ...table, ...timestamp }, style));
  };
};

/** The order in which a dump shows its rows: by what their cells hold, fewer elements first. */
export const compareRows = (a: readonly Cell[], b: readonly Cell[]): number => {
  for (let i = 0; i < a.length; i++) {
    const order = compareCells(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return 0;
};

const compareCells = (a: Cell, b: Cell): number => {
  if (typeof a === "string" || typeof b === "string" || "json" in a || "json" in b) return 0;
  const [x, y] = [a.datum, b.datum];
  if (x.keys.length !== y.keys.length) return x.keys.length - y.keys.length;
  for (const side of ["keys", "values"] as const)
    for (let i = 0; i < x.keys.length; i++) {
      const order = compareAtoms(x[side]?.[i] ?? 0, y[side]?.[i] ?? 0);
      if (order !== 0) return order;
    }
  return 0;
};
