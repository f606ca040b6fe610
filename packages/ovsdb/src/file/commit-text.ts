import type { Row } from "../engine/row.js";
import { cellText } from "../engine/row.js";
import type { Table } from "../engine/table.js";
import type { Change, Commit } from "../engine/transaction.js";
import { datumEquals, datumToText, diffDatum } from "../schema/datum.js";
import { isComposite } from "../schema/types.js";

/** The JSON text of a commit's record, or undefined where it changed ephemeral columns only. Of modified rows it
 *  holds the changed columns, sets and maps as differences. */
export const commitText = (commit: Commit, wallMs: number): string | undefined => {
  let text = "";
  for (const [table, changes] of commit.changes) {
    let rows = "";
    for (const change of changes.values()) {
      const row = changeText(change);
      if (row !== undefined) rows += `${rows ? "," : ""}"${change.uuid}":${row}`;
    }
    if (rows) text += `"${table.name}":{${rows}},`;
  }
  if (!text) return undefined;
  const comment = commit.comment ? `"_comment":${JSON.stringify(commit.comment)},` : "";
  return `{${text}${comment}"_date":${Math.floor(wallMs)},"_is_diff":true}`;
};

const changeText = ({ old, new: now, table }: Change): string | undefined => {
  if (!now) return "null";
  if (!old) return newRowText(table, now);
  let text = "";
  for (const column of table.schema.columns) {
    const value = now.cols[column.index];
    const before = old.cols[column.index];
    if (column.ephemeral || value === before) continue;
    const datum = isComposite(column.type) ? diffDatum(before, value) : value;
    text += `${text ? "," : "{"}"${column.name}":${datumToText(column.type, datum)}`;
  }
  return text ? `${text}}` : undefined;
};

/** What makes the row: its columns that are neither ephemeral nor at their default. */
export const newRowText = (table: Table, row: Row): string => {
  let text = "";
  for (const column of table.schema.columns) {
    const datum = row.cols[column.index];
    if (column.ephemeral || datum === column.default || datumEquals(datum, column.default)) continue;
    text += (text ? "," : "{") + cellText(row, column);
  }
  return text ? `${text}}` : "{}";
};
