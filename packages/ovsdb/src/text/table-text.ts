import { parseJson } from "@sluice/runtime";
import { type Datum, datumToText } from "../schema/datum.js";
import type { ColumnType } from "../schema/types.js";
import { type DataFormat, formatters } from "./datum-text.js";
import { formatJson } from "./json-text.js";

/** A value of a column, plain text, or any JSON. */
export type Cell = string | { readonly type: ColumnType; readonly datum: Datum } | { readonly json: unknown };

export interface TextTable {
  readonly caption?: string;
  /** Milliseconds since 1970, where the output is to say when. */
  readonly timestamp?: number;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export const TABLE_FORMATS = ["table", "list", "html", "csv", "json"] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

export interface TableStyle {
  readonly format: TableFormat;
  readonly data: DataFormat;
  readonly headings: boolean;
  /** Breaks format json into lines. */
  readonly pretty?: boolean;
  /** Characters of a cell in format table; what is longer is cut off. */
  readonly maxColumnWidth?: number;
}

/** The table in the way of the OVS tools' `--format`, `--data` and `--no-headings`. */
export const formatTable = (table: TextTable, style: TableStyle): string =>
  printers[style.format](table, style);

const cellText = (cell: Cell, data: DataFormat): string => {
  if (typeof cell === "string") return cell;
  return "json" in cell ? formatJson(cell.json) : formatters[data](cell.type, cell.datum);
};

const stamp = (ms: number): string => new Date(ms).toISOString().replace("T", " ").replace("Z", "");

const captionOf = ({ caption, timestamp }: TextTable): string => {
  const parts = [timestamp === undefined ? "" : stamp(timestamp), caption ?? ""].filter((part) => part);
  return parts.join(" ");
};

type Printer = (table: TextTable, style: TableStyle) => string;

const printTable: Printer = (table, { data, headings, maxColumnWidth }) => {
  const cells = table.rows.map((row) => row.map((cell) => cellText(cell, data).slice(0, maxColumnWidth)));
  const widths = table.headings.map((heading, i) =>
    Math.max(headings ? heading.length : 0, ...cells.map((row) => row[i].length)),
  );
  const line = (row: readonly string[]): string =>
    `${row
      .map((text, i) => text.padEnd(widths[i]))
      .join(" ")
      .replace(/ +$/, "")}\n`;
  const caption = captionOf(table);
  let text = caption ? `${caption}\n` : "";
  if (headings) text += line(table.headings) + line(widths.map((width) => "-".repeat(width)));
  for (const row of cells) text += line(row);
  return text;
};

const printList: Printer = (table, { data, headings }) => {
  const caption = captionOf(table);
  const records = table.rows.map((row) =>
    row
      .map((cell, i) => `${headings ? `${table.headings[i].padEnd(20)}: ` : ""}${cellText(cell, data)}\n`)
      .join(""),
  );
  return (caption ? `${caption}\n` : "") + records.join("\n");
};

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** A row's own uuid is a place to which its other mentions lead. */
const linkUuids = (html: string, attribute: "name" | "href"): string =>
  html.replace(
    UUID,
    (uuid) => `<a ${attribute}="${attribute === "href" ? "#" : ""}${uuid}">${uuid.slice(0, 8)}</a>`,
  );

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);

const printHtml: Printer = (table, { data, headings }) => {
  const attributeOf = (at: number) => (table.headings[at] === "_uuid" ? "name" : "href");
  const row = (cells: readonly string[], tag: string): string =>
    `  <tr>\n${cells
      .map((text, i) => `    <${tag}>${linkUuids(escapeHtml(text), attributeOf(i))}</${tag}>\n`)
      .join("")}  </tr>\n`;
  const caption = captionOf(table);
  return (
    `<table border=1>\n${caption ? `    <caption>${escapeHtml(caption)}</caption>\n` : ""}` +
    (headings ? row(table.headings, "th") : "") +
    table.rows
      .map((cells) =>
        row(
          cells.map((cell) => cellText(cell, data)),
          "td",
        ),
      )
      .join("") +
    "</table>\n"
  );
};

const quoteCsv = (text: string): string => (/[\n",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const printCsv: Printer = (table, { data, headings }) => {
  const line = (cells: readonly string[]): string => `${cells.map(quoteCsv).join(",")}\n`;
  const caption = captionOf(table);
  return (
    (caption ? `${caption}\n` : "") +
    (headings ? line(table.headings) : "") +
    table.rows.map((row) => line(row.map((cell) => cellText(cell, data)))).join("")
  );
};

const printJson: Printer = (table, { pretty }) => {
  const cell = (one: Cell): unknown => {
    if (typeof one === "string") return one;
    return "json" in one ? one.json : (parseJson(`[${datumToText(one.type, one.datum)}]`) as unknown[])[0];
  };
  const json = {
    ...(table.caption !== undefined && { caption: table.caption }),
    data: table.rows.map((row) => row.map(cell)),
    headings: table.headings,
    ...(table.timestamp !== undefined && { time: stamp(table.timestamp) }),
  };
  return `${formatJson(json, pretty)}\n`;
};

const printers: Readonly<Record<TableFormat, Printer>> = {
  table: printTable,
  list: printList,
  html: printHtml,
  csv: printCsv,
  json: printJson,
};
