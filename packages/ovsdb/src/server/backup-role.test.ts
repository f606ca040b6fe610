import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "@sluice/runtime";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  database,
  OpenVSwitch,
  OvsdbClient,
  OvsdbServer,
  one,
  openDatabase,
  string,
  table,
} from "../index.js";

// Two servers in one process, over a socket: the active one of the pair and its backup.

let clock: VirtualClock;
let dir: string;
let target: string;
let active: OvsdbServer;
let backup: OvsdbServer;
beforeEach(async () => {
  clock = new VirtualClock();
  dir = mkdtempSync(join(tmpdir(), "sl-ab-"));
  target = `unix:${join(dir, "a.sock")}`;
  [active, backup] = [new OvsdbServer({ clock }), new OvsdbServer({ clock })];
  for (const server of [active, backup])
    server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
  await active.listen(`p${target}`);
});
afterEach(async () => {
  await Promise.all([active.close(), backup.close()]);
  rmSync(dir, { recursive: true });
});

const ask = async (server: OvsdbServer, method: string, params: unknown[]): Promise<unknown> => {
  const client = new OvsdbClient(server.connect());
  try {
    return await client.request(method, params);
  } finally {
    client.close();
  }
};
const insert = (server: OvsdbServer, name: string): Promise<unknown> =>
  ask(server, "transact", [
    "Open_vSwitch",
    { op: "insert", table: "Bridge", row: { name }, "uuid-name": "b" },
    { op: "insert", table: "QoS", row: { type: name } },
    {
      op: "mutate",
      table: "Open_vSwitch",
      where: [],
      mutations: [["bridges", "insert", ["named-uuid", "b"]]],
    },
  ]);
const start = async (server: OvsdbServer, name: string): Promise<void> => {
  await ask(server, "transact", ["Open_vSwitch", { op: "insert", table: "Open_vSwitch", row: {} }]);
  await insert(server, name);
};
const column = (server: OvsdbServer, tableName: string, name: string): unknown[] => {
  const { rows, schema } = server.databases.get("Open_vSwitch")!.table(tableName);
  return [...rows.values()].map((row) => row.get(schema.column(name)).keys[0]).sort();
};
const status = (): string => backup.backup.describe();
const follow = async (): Promise<void> => {
  backup.backup.active = target;
  backup.backup.connect();
  await vi.waitFor(() => expect(status()).toContain("database: Open_vSwitch"));
};

test("a backup has the active server's rows, those that were there and those that come; its own are gone", async () => {
  await start(active, "br0");
  await start(backup, "other");
  expect(status()).toBe("state: active");
  await follow();
  expect(status()).toBe(`state: backup\nreplicating: ${target}\ndatabase: Open_vSwitch`);
  expect(column(backup, "Bridge", "name")).toEqual(["br0"]);
  await insert(active, "br1");
  await vi.waitFor(() => expect(column(backup, "Bridge", "name")).toEqual(["br0", "br1"]));
  await ask(active, "transact", [
    "Open_vSwitch",
    { op: "update", table: "Bridge", where: [["name", "==", "br0"]], row: { datapath_type: "netdev" } },
    { op: "delete", table: "QoS", where: [] },
  ]);
  await vi.waitFor(() => expect(column(backup, "Bridge", "datapath_type")).toEqual(["", "netdev"]));
  expect(column(backup, "QoS", "type")).toEqual([]);
  const rows = (server: OvsdbServer) => [
    ...server.databases.get("Open_vSwitch")!.table("Bridge").rows.keys(),
  ];
  expect(rows(backup)).toEqual(rows(active));
});

test("a backup takes no changes and no locks; what it has stays when it takes the active part", async () => {
  await start(active, "br0");
  const client = new OvsdbClient(backup.connect());
  const closed = new Promise((resolve) => client.events.once("close", resolve));
  await follow();
  await closed;
  const [refused] = (await insert(backup, "x")) as { error: string; details: string }[];
  expect(refused).toEqual({
    error: "not allowed",
    details: "insert operation not allowed on a read-only connection or database",
  });
  await expect(ask(backup, "lock", ["x"])).rejects.toThrow("DB server is read only");
  backup.backup.disconnect();
  expect(status()).toBe("state: active");
  expect(column(backup, "Bridge", "name")).toEqual(["br0"]);
  await insert(backup, "br1");
  expect(column(backup, "Bridge", "name")).toEqual(["br0", "br1"]);
  expect(column(active, "Bridge", "name")).toEqual(["br0"]);
});

test("excluded tables are left alone", async () => {
  await start(active, "br0");
  await start(backup, "other");
  expect(() => backup.backup.setExclude(["QoS"])).toThrow('"QoS" is not DB:TABLE');
  backup.backup.setExclude(["Open_vSwitch:QoS"]);
  await follow();
  expect(column(backup, "Bridge", "name")).toEqual(["br0"]);
  expect(column(backup, "QoS", "type")).toEqual(["other"]);
  expect(status()).toContain("exclude: Open_vSwitch:QoS");
});

test("a backup catches up with an active server that was away", async () => {
  await start(active, "br0");
  await follow();
  await active.unlisten(`p${target}`);
  active.reconnect();
  await vi.waitFor(() => expect(status()).toBe(`state: backup\nconnecting: ${target}`));
  await insert(active, "br1");
  await active.listen(`p${target}`);
  clock.advance(1000);
  await vi.waitFor(() => expect(column(backup, "Bridge", "name")).toEqual(["br0", "br1"]));
});

test("no server is its own backup, none follows nothing, and databases that differ are left alone", async () => {
  expect(() => backup.backup.connect()).toThrow("active server is not specified");
  await backup.listen(`punix:${join(dir, "b.sock")}`);
  backup.backup.active = `unix:${join(dir, "b.sock")}`;
  backup.backup.connect();
  await vi.waitFor(() => expect(status()).toBe("state: active"));

  const schema = (name: string) => database("Mine", "1.0.0", "", { T: table({ [name]: one(string) }) });
  active.addDatabase(await openDatabase("memory", { schema: schema("theirs") }));
  backup.addDatabase(await openDatabase("memory", { schema: schema("ours") }));
  await follow();
  await vi.waitFor(() => expect(status()).toMatch(/^database: Open_vSwitch$/m));
});
