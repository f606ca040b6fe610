import type { Readable } from "node:stream";
import {
  type Cell,
  datumFromJson,
  fileContents,
  isObject,
  type OvsdbClient,
  stringifySorted,
  type TextTable,
} from "@sluice/ovsdb";
import { realClock } from "@sluice/runtime";
import { CliError } from "../io.js";
import { parseArgument, readSchema } from "./arguments.js";
import { fetchDatabase, restore } from "./backup.js";
import { monitorRequests, updateTables } from "./monitor.js";
import { compareRows } from "./output.js";

export interface ClientContext {
  readonly client: OvsdbClient;
  /** What follows the server and, where the command has one, the database. */
  readonly args: readonly string[];
  readonly stdin: Readable;
  readonly isForced: boolean;
  print(text: string | Uint8Array): void;
  /** Prints JSON as `--pretty` says. */
  printJson(json: unknown): void;
  printTable(table: TextTable): void;
}

export interface ClientCommand {
  readonly usage: string;
  /** Does a database follow the server? */
  readonly hasDatabase: boolean;
  readonly min: number;
  readonly max: number;
  readonly run: (context: ClientContext, database: string) => Promise<void>;
}

const MANY = Number.MAX_SAFE_INTEGER;

const command = (
  usage: string,
  min: number,
  max: number,
  run: ClientCommand["run"],
  hasDatabase = true,
): ClientCommand => ({ usage, min, max, run, hasDatabase });

/** ovsdb-client(1). */
export const clientCommands: Readonly<Record<string, ClientCommand>> = {
  "list-dbs": command(
    "",
    0,
    0,
    async ({ client, print }) => {
      for (const name of (await client.listDatabases()).sort()) print(`${name}\n`);
    },
    false,
  ),
  "get-schema": command("[DATABASE]", 0, 0, async ({ client, printJson }, database) =>
    printJson(await client.request("get_schema", [database])),
  ),
  "get-schema-version": command("[DATABASE]", 0, 0, async ({ client, print }, database) =>
    print(`${(await client.getSchema(database)).version}\n`),
  ),
  "get-schema-cksum": command("[DATABASE]", 0, 0, async ({ client, print }, database) =>
    print(`${(await client.getSchema(database)).cksum ?? ""}\n`),
  ),
  "list-tables": command("[DATABASE]", 0, 0, async ({ client, printTable }, database) => {
    const schema = await client.getSchema(database);
    printTable({ headings: ["Table"], rows: [...schema.tables.keys()].sort().map((name) => [name]) });
  }),
  "list-columns": command("[DATABASE] [TABLE]", 0, 1, listColumns),
  transact: command("TRANSACTION", 1, 1, transact, false),
  query: command("TRANSACTION", 1, 1, query, false),
  dump: command("[DATABASE] [TABLE [COLUMN...]]", 0, MANY, dump),
  backup: command("[DATABASE] > SNAPSHOT", 0, 0, async ({ client, print }, database) => {
    const copy = await fetchDatabase(client, await client.getSchema(database));
    for (const part of fileContents(copy, realClock.wallNow(), "produced by ovsdb-client backup"))
      print(part);
  }),
  restore: command("[DATABASE] < SNAPSHOT", 0, 0, async ({ client, stdin, isForced }, database) =>
    restore(client, await client.getSchema(database), stdin, isForced),
  ),
  monitor: command("[DATABASE] TABLE|ALL [COLUMN,...]...", 1, MANY, (context, database) =>
    monitor(context, database, "monitor"),
  ),
  "monitor-cond": command("[DATABASE] CONDITIONS TABLE [COLUMN,...]...", 2, MANY, (context, database) =>
    monitor(context, database, "monitor_cond"),
  ),
  "monitor-cond-since": command(
    "[DATABASE] [LAST-ID] CONDITIONS TABLE [COLUMN,...]...",
    2,
    MANY,
    (context, database) => monitor(context, database, "monitor_cond_since"),
  ),
  convert: command(
    "SCHEMA",
    1,
    1,
    async ({ client, args }) => {
      const schema = readSchema(args[0]!);
      await client.request("set_db_change_aware", [true]).catch(() => {});
      await client.request("convert", [schema.name, schema.toJson()]);
    },
    false,
  ),
  "needs-conversion": command(
    "SCHEMA",
    1,
    1,
    async ({ client, args, print }) => {
      const schema = readSchema(args[0]!);
      const theirs = await client.getSchema(schema.name);
      print(stringifySorted(theirs.toJson()) === stringifySorted(schema.toJson()) ? "no\n" : "yes\n");
    },
    false,
  ),
  wait: command("DATABASE STATE", 2, 2, wait, false),
  lock: command("LOCK", 1, 1, (context) => lock(context, "lock"), false),
  steal: command("LOCK", 1, 1, (context) => lock(context, "steal"), false),
  unlock: command("LOCK", 1, 1, (context) => lock(context, "unlock"), false),
};

async function listColumns({ client, args, printTable }: ClientContext, database: string): Promise<void> {
  const schema = await client.getSchema(database);
  const json = schema.toJson().tables as Record<string, { columns: Record<string, { type: unknown }> }>;
  const names = args.length > 0 ? [args[0]!] : [...schema.tables.keys()].sort();
  const rows = names.flatMap((name) => {
    const table = json[name];
    if (!table) throw new CliError(`the database has no table named "${name}"`);
    const columns: [string, unknown][] = [
      ["_uuid", "uuid"],
      ["_version", "uuid"],
      ...Object.entries(table.columns).map(([column, { type }]): [string, unknown] => [column, type]),
    ];
    return columns.map(([column, type]): Cell[] => [
      ...(args.length > 0 ? [] : [name]),
      column,
      { json: type },
    ]);
  });
  printTable({ headings: [...(args.length > 0 ? [] : ["Table"]), "Column", "Type"], rows });
}

const transaction = (text: string): unknown[] => {
  const json = parseArgument(text);
  if (!Array.isArray(json) || typeof json[0] !== "string") throw new CliError("not a valid OVSDB query");
  return json as unknown[];
};

async function transact({ client, args, printJson }: ClientContext): Promise<void> {
  printJson(await client.request("transact", transaction(args[0]!)));
}

/** As transact, but nothing is changed: an "abort" goes with it. */
async function query({ client, args, printJson }: ClientContext): Promise<void> {
  const operations = transaction(args[0]!);
  const results = (await client.request("transact", [...operations, { op: "abort" }])) as unknown[];
  const last = results.at(-1);
  if (results.length === operations.length && isObject(last) && last.error === "aborted") results.pop();
  printJson(results);
}

async function dump({ client, args, printTable }: ClientContext, database: string): Promise<void> {
  const schema = await client.getSchema(database);
  const [named, ...columnNames] = args;
  if (named !== undefined && !schema.tables.has(named)) throw new CliError(`No table "${named}" found.`);
  const tables = named === undefined ? [...schema.tables.keys()].sort() : [named];
  const columnsOf = (name: string) => {
    const table = schema.table(name);
    if (columnNames.length === 0)
      return ["_uuid", ...table.columns.map((column) => column.name).sort()].map((column) =>
        table.column(column),
      );
    return [...columnNames].sort().map((column) => {
      if (!table.find(column)) throw new CliError(`Table "${name}" has no column ${column}.`);
      return table.column(column);
    });
  };
  const results = await client.transact(
    database,
    tables.map((table) => ({
      op: "select",
      table,
      where: [],
      columns: columnsOf(table).map((column) => column.name),
    })),
  );
  tables.forEach((name, i) => {
    const columns = columnsOf(name);
    const isOther = (_: Cell, at: number): boolean => columns[at]!.name !== "_uuid";
    const rows = (results[i]!.rows ?? []).map((row): Cell[] =>
      columns.map((column) => ({ type: column.type, datum: datumFromJson(column.type, row[column.name]) })),
    );
    printTable({
      caption: `${name} table`,
      headings: columns.map((column) => column.name),
      // Uuids say nothing: rows come in the order of what they hold.
      rows: rows.sort((a, b) => compareRows(a.filter(isOther), b.filter(isOther)) || compareRows(a, b)),
    });
  });
}

/** Prints what there is and then each change, until the connection ends. */
async function monitor(context: ClientContext, database: string, method: string): Promise<void> {
  const { client, printTable } = context;
  const schema = await client.getSchema(database);
  const args = [...context.args];
  const lastId =
    method === "monitor_cond_since" && /^[0-9a-f-]{36}$/.test(args[0] ?? "") ? args.shift() : undefined;
  const where = method === "monitor" ? undefined : parseArgument(args.shift()!);
  const requests = monitorRequests(schema, args, where);
  const show = (updates: unknown, isInitial: boolean): void => {
    for (const table of updateTables(schema, requests, updates, isInitial)) printTable(table);
  };
  const ended = new Promise<string>((resolve) => client.events.once("close", resolve));
  const early: unknown[] = [];
  let isStarted = false;
  client.events.on("notification", (name, params) => {
    if (name !== "update" && name !== "update2" && name !== "update3") return;
    const updates = name === "update3" ? params[2] : params[1];
    if (isStarted) show(updates, false);
    else early.push(updates);
  });
  const since = method === "monitor_cond_since" ? [lastId ?? "00000000-0000-0000-0000-000000000000"] : [];
  const reply = await client.request(method, [database, null, requests, ...since]);
  if (since.length > 0) {
    const [isFound, id, updates] = reply as [boolean, string, unknown];
    context.print(`found: ${isFound}, last_id: ${id}\n`);
    show(updates, true);
  } else show(reply, true);
  isStarted = true;
  for (const updates of early) show(updates, false);
  throw new CliError(await ended);
}

async function wait({ client, args }: ClientContext): Promise<void> {
  const [database, state] = args as [string, string];
  const conditions: Record<string, { columns: string[]; rows: unknown[] }> = {
    added: { columns: ["name"], rows: [{ name: database }] },
    connected: { columns: ["name", "connected"], rows: [{ name: database, connected: true }] },
    removed: { columns: ["name"], rows: [] },
  };
  const condition = Object.hasOwn(conditions, state) ? conditions[state] : undefined;
  if (!condition) throw new CliError(`unknown state "${state}"; there are added, connected, removed`);
  const where = [["name", "==", database]];
  await client.request("set_db_change_aware", [true]);
  await client.transact("_Server", [{ op: "wait", table: "Database", where, until: "==", ...condition }]);
}

/** Asks for the lock, prints the answer, and then each "locked" and "stolen", until the connection ends. */
async function lock({ client, args, printJson }: ClientContext, method: string): Promise<void> {
  const ended = new Promise<string>((resolve) => client.events.once("close", resolve));
  client.events.on("notification", (name, params) => {
    if (name === "locked" || name === "stolen") printJson({ id: null, method: name, params });
  });
  printJson(await client.request(method, [args[0]!]));
  throw new CliError(await ended);
}
