import {
  type Change,
  type Commit,
  type Database,
  formatDatum,
  type OvsdbServer,
  type Row,
} from "@sluice/ovsdb";
import type { ControlCommands, Log } from "@sluice/runtime";

/** ovsdb-server/tlog-set and tlog-list: rows of chosen tables as they come, change and go, a line each in the log. */
export function transactionLogCommands(server: OvsdbServer, log: Log): ControlCommands {
  /** Of each database that is listened to. */
  const logged = new WeakMap<Database, Set<string>>();

  function set(target: string, state: string): void {
    const [, name, table] = /^([^:]+):([^:]+)$/.exec(target) ?? [];
    if (name === undefined || table === undefined) throw new Error("invalid DB:TABLE argument");
    const database = server.databases.get(name);
    if (!database) throw new Error("no such database");
    if (!database.tables.has(table)) throw new Error("no such table");
    if (state !== "on" && state !== "off") throw new Error("invalid command argument");
    let tables = logged.get(database);
    if (!tables) {
      if (state === "off") return;
      const chosen = new Set<string>();
      database.onCommit((commit) => tell(commit, chosen, log));
      logged.set(database, chosen);
      tables = chosen;
    }
    if (state === "on") tables.add(table);
    else tables.delete(table);
  }

  const list = (): string => {
    const rows = [...server.databases.values()].sort(byName).flatMap((database) => [
      `${database.name.padEnd(16)} `,
      ...[...database.tables.keys()].sort().map((table) => {
        const state = logged.get(database)?.has(table) ? "ON" : "OFF";
        return `${" ".repeat(16)}${table.padEnd(27)} ${state}`;
      }),
    ]);
    return [...HEAD, ...rows].join("\n");
  };

  return {
    "ovsdb-server/tlog-set": {
      usage: "DB:TABLE on|off",
      args: [2, 2],
      run: ([target, state]) => set(target!, state!) as undefined,
    },
    "ovsdb-server/tlog-list": { run: list },
  };
}

const byName = (a: Database, b: Database): number => (a.name < b.name ? -1 : 1);

const HEAD = [
  "database        table                       logging",
  "--------        -----                       -------",
];

function tell({ changes }: Commit, tables: ReadonlySet<string>, log: Log): void {
  if (tables.size === 0) return;
  for (const [table, rows] of changes)
    if (tables.has(table.name)) for (const change of rows.values()) tellOne(change, log);
}

function tellOne({ table, old, new: now }: Change, log: Log): void {
  // One that came and went in the same transaction was never there.
  const row = now ?? old;
  if (!row) return;
  const op = now === undefined ? "deleted" : old === undefined ? "inserted" : "updated";
  log.info(`table:${table.name},op:${op},${cells(table, row)}`);
}

const cells = ({ schema }: Change["table"], row: Row): string =>
  [...["_uuid", "_version"].map((name) => schema.find(name)!), ...schema.columns]
    .map((column) => `${column.name}:${formatDatum(column.type, row.get(column))}`)
    .join(",");
