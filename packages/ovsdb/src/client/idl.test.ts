import { VirtualClock } from "@sluice/runtime";
import { afterEach, expect, test } from "vitest";
import { Idl, type IdlChange, OpenVSwitch, OvsdbClient, OvsdbServer, openDatabase } from "../index.js";
import { duplexPair } from "./pipe.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const tables = {
  Open_vSwitch: true,
  Bridge: true,
  Port: ["name", "interfaces", "tag"],
  Interface: true,
} as const;

const start = async () => {
  const clock = new VirtualClock();
  const server = new OvsdbServer({ clock });
  server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
  const idl = new Idl(OpenVSwitch, { connect: () => server.connect(), tables, clock }).start();
  cleanups.push(
    () => server.close(),
    () => idl.close(),
  );
  await idl.synced();
  return { clock, server, idl };
};

const addBridge = (idl: Idl<OpenVSwitch>, name: string) =>
  idl.transact((txn) => {
    const iface = txn.insert("Interface", { name, type: "internal", options: { a: "b" } });
    const port = txn.insert("Port", { name, interfaces: [iface] });
    const bridge = txn.insert("Bridge", { name, ports: [port], fail_mode: "secure" });
    const root = idl.rows("Open_vSwitch")[0];
    if (root) txn.mutate("Open_vSwitch", root.uuid, "bridges", "insert", [bridge]);
    else txn.insert("Open_vSwitch", { bridges: [bridge] });
  });

test("rows are typed: scalars bare, optionals undefined, sets arrays, maps Maps, references uuids", async () => {
  const { idl } = await start();
  expect(await addBridge(idl, "br0")).toEqual({ status: "success" });
  const bridge = idl.find("Bridge", ({ name }) => name === "br0")!;
  expect(bridge.columns.fail_mode).toBe("secure");
  expect(bridge.columns.datapath_id).toBeUndefined();
  const port = idl.row("Port", bridge.columns.ports[0])!;
  const iface = idl.row("Interface", port.columns.interfaces[0])!;
  expect(iface.columns.options).toEqual(new Map([["a", "b"]]));
  expect(iface.columns.ofport).toBeUndefined();
});

test("a change event tells once of all that an update did, when the replica has it", async () => {
  const { idl } = await start();
  await addBridge(idl, "br0");
  const seen: (readonly IdlChange<OpenVSwitch>[])[] = [];
  idl.events.on("change", (changes) => {
    expect(idl.rows("Interface")[0].columns.ofport).toBe(7);
    seen.push(changes);
  });
  const iface = idl.rows("Interface")[0];
  const before = iface.columns;
  await idl.transact((txn) => txn.update("Interface", iface.uuid, { ofport: 7, name: "br0" }));
  expect(seen).toHaveLength(1);
  expect(seen[0]).toEqual([
    { table: "Interface", uuid: iface.uuid, row: iface, old: before, new: iface.columns },
  ]);
});

test("what the replica has already is not sent", async () => {
  const { idl } = await start();
  await addBridge(idl, "br0");
  const { uuid } = idl.rows("Interface")[0];
  const again = await idl.transact((txn) =>
    txn.update("Interface", uuid, { type: "internal", options: { a: "b" } }),
  );
  expect(again).toEqual({ status: "unchanged" });
});

test("a transaction whose verified columns have changed is to be tried again", async () => {
  const { idl, server } = await start();
  await addBridge(idl, "br0");
  const bridge = idl.rows("Bridge")[0];
  const other = new OvsdbClient(server.connect());
  await other.listDatabases();
  const theirs = other.transact("Open_vSwitch", [
    { op: "update", table: "Bridge", where: [], row: { datapath_type: "netdev" } },
  ]);
  const change = (retries: number) =>
    idl.transact(
      (txn) => {
        txn.verify("Bridge", bridge.uuid, "datapath_type");
        txn.update("Bridge", bridge.uuid, { stp_enable: true });
      },
      { retries },
    );
  const mine = change(0);
  await theirs;
  expect((await mine).status).toBe("try again");
  expect((await change(1)).status).toBe("success");
  expect(bridge.columns).toMatchObject({ datapath_type: "netdev", stp_enable: true });
});

test("after a lost connection the replica sees what it missed, once", async () => {
  const { idl, server, clock } = await start();
  await addBridge(idl, "br0");
  const changes: string[] = [];
  idl.events.on("change", (all) => {
    for (const { table, old, new: now } of all)
      changes.push(`${table} ${old ? (now ? "modify" : "delete") : "insert"}`);
  });
  for (const session of [...server.sessions]) session.close("test");
  await new Promise((resolve) => idl.events.once("disconnected", resolve));
  const other = new OvsdbClient(server.connect());
  await other.transact("Open_vSwitch", [
    { op: "mutate", table: "Open_vSwitch", where: [], mutations: [["next_cfg", "+=", 1]] },
    { op: "update", table: "Bridge", where: [], row: { fail_mode: ["set", []] } },
  ]);
  expect((await idl.transact((txn) => txn.delete("Bridge", "x"))).status).toBe("not connected");
  const synced = idl.synced();
  clock.advance(1000);
  await synced;
  expect(changes.sort()).toEqual(["Bridge modify", "Open_vSwitch modify"]);
  expect(idl.rows("Bridge")[0].columns.fail_mode).toBeUndefined();
});

test("a refused transaction says why, and changes nothing", async () => {
  const { idl } = await start();
  await addBridge(idl, "br0");
  const result = await addBridge(idl, "br0");
  expect(result.status).toBe("error");
  expect(result.error?.tag).toBe("constraint violation");
  expect(idl.rows("Bridge")).toHaveLength(1);
});

test("a server that says nothing to a probe counts as dead: what was asked of it is refused, and the replica connects anew", async () => {
  const clock = new VirtualClock();
  const server = new OvsdbServer({ clock });
  server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
  const [mine, silent] = duplexPair();
  let heard = "";
  silent.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
  });
  const client = new OvsdbClient(mine, { clock, probeIntervalMs: 5000 });
  const asked = client.listDatabases();
  const refused = expect(asked).rejects.toThrow("no response to inactivity probe");
  await clock.advanceAsync(4999);
  expect(heard).not.toContain("echo");
  await clock.advanceAsync(1);
  expect(heard).toContain('"method":"echo"');
  expect(client.isClosed).toBe(false);
  await clock.advanceAsync(5000);
  expect(client.isClosed).toBe(true);
  await refused;

  let attempts = 0;
  const dead = duplexPair();
  dead[1].resume();
  const connect = () => (attempts++ === 0 ? dead[0] : server.connect());
  const idl = new Idl(OpenVSwitch, { connect, tables, clock, probeIntervalMs: 5000 }).start();
  cleanups.push(
    () => server.close(),
    () => idl.close(),
  );
  const synced = idl.synced();
  await clock.advanceAsync(10_000, 1000);
  expect(dead[0].destroyed).toBe(true);
  await clock.advanceAsync(1000);
  await synced;
  expect(attempts).toBe(2);
});
