import type { Database, OvsdbServer } from "@sluice/ovsdb";
import type { ControlCommands } from "@sluice/runtime";

/** What the control commands work with. */
export interface ServerContext {
  readonly server: OvsdbServer;
  /** Opens a database's file. */
  readonly open: (path: string) => Promise<Database>;
  /** Ends the server. */
  readonly exit: () => void;
}

/** What `sluice ovsdb-server` can be asked over its control socket: ovsdb-server(1), "RUNTIME MANAGEMENT COMMANDS". */
export const serverCommands = ({ server, open, exit }: ServerContext): ControlCommands => ({
  exit: {
    run: () => {
      setImmediate(exit);
    },
  },
  "ovsdb-server/compact": {
    usage: "[DB]",
    args: [0, 1],
    run: async ([name]) => {
      for (const database of name === undefined ? server.databases.values() : [databaseOf(server, name)])
        if (!server.isReadOnly(database)) await database.storage.compact(database);
    },
  },
  "ovsdb-server/reconnect": {
    run: () => {
      server.reconnect();
    },
  },
  "memory/show": {
    run: () =>
      Object.entries(server.usage())
        .filter(([name, count]) => count > 0 || (name !== "sessions" && name !== "triggers"))
        .map(([name, count]) => `${name}:${count}`)
        .join(" "),
  },
  // A file that cannot be written refuses each commit by itself; none is given up.
  "ovsdb-server/get-db-storage-status": {
    usage: "DB",
    args: [1, 1],
    run: ([name]) => {
      if (!server.databases.has(name!)) throw new Error("Failed to find the database.");
      return "status: ok";
    },
  },
  "ovsdb-server/sync-status": { run: () => server.backup.describe() },
  "ovsdb-server/set-active-ovsdb-server": {
    usage: "SERVER",
    args: [1, 1],
    run: ([target]) => {
      server.backup.active = target;
    },
  },
  "ovsdb-server/get-active-ovsdb-server": { run: () => server.backup.active },
  "ovsdb-server/connect-active-ovsdb-server": {
    run: () => {
      if (server.backup.active === undefined) return "Unable to connect: active server is not specified.";
      server.backup.connect();
      return "";
    },
  },
  "ovsdb-server/disconnect-active-ovsdb-server": {
    run: () => {
      server.backup.disconnect();
    },
  },
  "ovsdb-server/set-active-ovsdb-server-probe-interval": {
    usage: "MILLISECONDS",
    args: [1, 1],
    run: ([text]) => {
      // No error to ovsdb-server: ovs-appctl exits with 0.
      if (!/^\d+$/.test(text!)) return "Invalid probe interval, integer value expected";
      server.backup.setProbeInterval(Number(text));
      return "";
    },
  },
  "ovsdb-server/set-sync-exclude-tables": {
    usage: "DB:TABLE[,DB:TABLE...]",
    args: [1, 1],
    run: ([tables]) => {
      server.backup.setExclude(tables!.split(","));
    },
  },
  "ovsdb-server/get-sync-exclude-tables": { run: () => server.backup.exclude.join(",") },
  "ovsdb-server/list-dbs": { run: () => [...server.databases.keys()].sort().join("\n") },
  "ovsdb-server/add-db": {
    usage: "DBFILE",
    args: [1, 1],
    run: async ([path]) => {
      server.addDatabase(await open(path!));
    },
  },
  "ovsdb-server/remove-db": {
    usage: "DB",
    args: [1, 1],
    run: async ([name]) => {
      const database = server.databases.get(name!);
      if (!database) throw new Error("Failed to find the database.");
      if (server.isReadOnly(database)) throw new Error("Cannot remove reserved database.");
      await server.removeDatabase(name!).storage.close();
    },
  },
  "ovsdb-server/add-remote": {
    usage: "REMOTE",
    args: [1, 1],
    run: async ([target]) => {
      await server.listen(target!);
    },
  },
  "ovsdb-server/remove-remote": {
    usage: "REMOTE",
    args: [1, 1],
    run: async ([target]) => {
      await server.unlisten(target!);
    },
  },
  "ovsdb-server/list-remotes": { run: () => [...server.remotes].sort().join("\n") },
});

function databaseOf(server: OvsdbServer, name: string): Database {
  const database = server.databases.get(name);
  if (!database) throw new Error("no database by that name");
  return database;
}
