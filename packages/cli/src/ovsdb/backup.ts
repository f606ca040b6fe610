import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import {
  Database,
  type DatabaseSchema,
  datumEquals,
  datumFromJson,
  datumToText,
  loadDatabase,
  type OvsdbClient,
  Row,
  stringifySorted,
} from "@sluice/ovsdb";
import { parseJson } from "@sluice/runtime";
import { CliError } from "../io.js";

/** The rows of the server's database, without ephemeral columns. */
export async function fetchDatabase(client: OvsdbClient, schema: DatabaseSchema): Promise<Database> {
  const database = new Database(schema);
  const tables = [...database.tables.values()];
  const results = await client.transact(
    schema.name,
    tables.map((table) => ({
      op: "select",
      table: table.name,
      where: [],
      columns: ["_uuid", ...table.schema.columns.filter((c) => !c.ephemeral).map((c) => c.name)],
    })),
  );
  tables.forEach((table, i) => {
    for (const cells of results[i]!.rows ?? []) {
      const [, uuid] = cells._uuid as [string, string];
      const cols = table.schema.columns.map((column) =>
        column.name in cells ? datumFromJson(column.type, cells[column.name]) : column.default,
      );
      table.rows.set(uuid, new Row(uuid, "", cols));
    }
  });
  return database;
}

/** Replaces the server's rows by those of the database file that `input` is. */
export async function restore(
  client: OvsdbClient,
  schema: DatabaseSchema,
  input: Readable,
  isForced: boolean,
): Promise<void> {
  const snapshot = await readSnapshot(input);
  const isSame = stringifySorted(snapshot.schema.toJson()) === stringifySorted(schema.toJson());
  if (!isSame && !isForced)
    throw new CliError(
      "backup schema has differences from database schema (use --force to restore all the same)",
    );
  const uuids = new Set([...snapshot.tables.values()].flatMap((table) => [...table.rows.keys()]));
  const name = (uuid: string): string => `row${uuid.replaceAll("-", "_")}`;
  // A uuid that was deleted may not be used again in the same transaction: the rows get new ones.
  const renamed = (text: string): unknown =>
    (
      parseJson(
        `[${text.replace(/\["uuid","([0-9a-f-]{36})"\]/g, (whole, uuid: string) =>
          uuids.has(uuid) ? `["named-uuid","${name(uuid)}"]` : whole,
        )}]`,
      ) as unknown[]
    )[0];
  const operations: unknown[] = [...schema.tables.keys()].map((table) => ({
    op: "delete",
    table,
    where: [],
  }));
  for (const table of snapshot.tables.values())
    for (const row of table.rows.values()) {
      const cells: Record<string, unknown> = {};
      for (const column of table.schema.columns)
        if (!column.ephemeral && !datumEquals(row.get(column), column.default))
          cells[column.name] = renamed(datumToText(column.type, row.get(column)));
      operations.push({ op: "insert", table: table.name, "uuid-name": name(row.uuid), row: cells });
    }
  operations.push({ op: "comment", comment: "sluice ovsdb-client: restored database from backup" });
  operations.push({ op: "commit", durable: true });
  await client.transact(schema.name, operations);
}

async function readSnapshot(input: Readable): Promise<Database> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk as Uint8Array));
  const folder = mkdtempSync(join(tmpdir(), "sluice-restore-"));
  try {
    const path = join(folder, "snapshot");
    writeFileSync(path, Buffer.concat(chunks));
    return loadDatabase(path).database;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
