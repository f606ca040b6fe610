import { Idl, OpenVSwitch, OvsdbServer, openDatabase } from "@sluice/ovsdb";
import { createLog, VirtualClock } from "@sluice/runtime";
import { afterEach, describe, expect, test } from "vitest";
import { dumpFlows } from "./appctl/flows.js";
import { createVswitchd, DummyHub, type Vswitchd } from "./index.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A database, a switch on it with dummy ports, and somebody who configures: all in this process and without time. */
async function start() {
  const clock = new VirtualClock();
  const logs = createLog({ clock, console: () => {} });
  const server = new OvsdbServer({ clock });
  server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
  const idl = new Idl(OpenVSwitch, {
    connect: () => server.connect(),
    tables: {
      Open_vSwitch: true,
      Bridge: true,
      Port: true,
      Interface: true,
      Controller: true,
      QoS: true,
      Queue: true,
    },
    clock,
  }).start();
  await idl.synced();
  await idl.transact((txn) => void txn.insert("Open_vSwitch", {}));
  const dummies = new DummyHub();
  const vswitchd = createVswitchd({
    clock,
    logs,
    database: { connect: () => server.connect() },
    dpifHost: "inline",
    dummies,
  });
  await vswitchd.start();
  cleanups.push(
    () => server.close(),
    () => idl.close(),
    () => vswitchd.stop(),
  );
  return { clock, idl, vswitchd, dummies, server };
}

type World = Awaited<ReturnType<typeof start>>;

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition() && turn < 100_000; turn++) await nextTurn();
  expect(condition()).toBe(true);
}

/** Configures, as ovs-vsctl does: counts next_cfg up and waits for cur_cfg. */
async function configure({ idl }: World, change: Parameters<typeof idl.transact>[0]): Promise<void> {
  const root = idl.rows("Open_vSwitch")[0]!;
  const next = root.columns.next_cfg + 1;
  const result = await idl.transact((txn) => {
    change(txn);
    txn.update("Open_vSwitch", root.uuid, { next_cfg: next });
  });
  expect(result).toEqual({ status: "success" });
  await until(() => root.columns.cur_cfg >= next);
}

const addBridge = (world: World, name: string, ports: string[] = []): Promise<void> =>
  configure(world, (txn) => {
    const rows = [name, ...ports].map((port) => {
      const type = port === name ? "internal" : "dummy";
      return txn.insert("Port", { name: port, interfaces: [txn.insert("Interface", { name: port, type })] });
    });
    const bridge = txn.insert("Bridge", { name, datapath_type: "netdev", ports: rows });
    txn.mutate("Open_vSwitch", world.idl.rows("Open_vSwitch")[0]!.uuid, "bridges", "insert", [bridge]);
  });

const columnsOf = ({ idl }: World, name: string) =>
  idl.find("Interface", (row) => row.name === name)!.columns;

const frame = (hex: string): Uint8Array => Buffer.from(hex.padEnd(120, "0"), "hex");
const BROADCAST = frame("ffffffffffff0200000000010800");

describe("the switch follows its database", () => {
  test("cur_cfg comes together with ofport and error", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1", "d2"]);
    expect(columnsOf(world, "br0")).toMatchObject({ ofport: 65534, error: undefined });
    expect(columnsOf(world, "d1")).toMatchObject({ ofport: 1, link_state: "up", admin_state: "up" });
    expect(columnsOf(world, "d2").ofport).toBe(2);
    const bridge = world.idl.rows("Bridge")[0]!.columns;
    expect(bridge.datapath_id).toMatch(/^0000[0-9a-f]{12}$/);
  });

  test("without a thread of its own the local port is a dummy one, and says so", async () => {
    const world = await start();
    await addBridge(world, "br0");
    expect(columnsOf(world, "br0").status.get("fallback")).toMatch(/dummy port stands in/);
  });

  test("a standalone bridge floods a broadcast to its other ports", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1", "d2", "d3"]);
    const seen: string[] = [];
    for (const name of ["d1", "d2", "d3"]) world.dummies.port(name).onTransmit = () => seen.push(name);
    expect(world.dummies.port("d1").receive(BROADCAST)).toBe(true);
    await until(() => seen.length >= 2);
    expect(seen.sort()).toEqual(["d2", "d3"]);
  });

  test("a port that cannot be had is an error of its row, and nothing else is disturbed", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1"]);
    await configure(world, (txn) => {
      const iface = txn.insert("Interface", { name: "gre0", type: "gre" });
      const port = txn.insert("Port", { name: "gre0", interfaces: [iface] });
      txn.mutate("Bridge", world.idl.rows("Bridge")[0]!.uuid, "ports", "insert", [port]);
    });
    expect(columnsOf(world, "gre0")).toMatchObject({
      ofport: -1,
      error: expect.stringMatching(/"gre" is not supp/),
    });
    expect(columnsOf(world, "d1").ofport).toBe(1);
  });

  test("statistics are written every five seconds", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1", "d2"]);
    world.dummies.port("d1").receive(BROADCAST);
    world.clock.advance(5_000);
    await until(() => columnsOf(world, "d1").statistics.get("rx_packets") === 1);
    expect(columnsOf(world, "d2").statistics.get("tx_packets")).toBe(1);
  });

  test("other_config:stats-update-interval says how often", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1", "d2"]);
    await configure(world, (txn) => {
      const other_config = new Map([["stats-update-interval", "30000"]]);
      txn.update("Open_vSwitch", world.idl.rows("Open_vSwitch")[0]!.uuid, { other_config });
    });
    world.dummies.port("d1").receive(BROADCAST);
    world.clock.advance(29_000);
    await world.vswitchd.settled();
    expect(columnsOf(world, "d1").statistics.get("rx_packets")).not.toBe(1);
    world.clock.advance(1_000);
    await until(() => columnsOf(world, "d1").statistics.get("rx_packets") === 1);
  });

  test("a port's QoS row becomes its queues, and they go with it", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1"]);
    const port = world.idl.find("Port", (row) => row.name === "d1")!;
    await configure(world, (txn) => {
      const queue = txn.insert("Queue", { other_config: new Map([["min-rate", "1000000"]]) });
      const qos = txn.insert("QoS", { type: "linux-htb", queues: new Map([[3, queue]]) });
      txn.update("Port", port.uuid, { qos });
    });
    const queues = () => world.vswitchd.bridges.running.get("br0")!.ofproto.queueGetConfig(1).queues;
    expect(queues().map(({ queue_id }) => queue_id)).toEqual([3]);
    await configure(world, (txn) => txn.update("Port", port.uuid, { qos: undefined }));
    expect(queues()).toEqual([]);
  });

  test("the NORMAL flow of fail-mode standalone is seen by bridge/dump-flows, not by controllers", async () => {
    const world = await start();
    await addBridge(world, "br0");
    await configure(world, (txn) => {
      const controller = txn.insert("Controller", { target: "unix:/nowhere/at/all" });
      txn.update("Bridge", world.idl.rows("Bridge")[0]!.uuid, { controller: [controller] });
    });
    const bridge = world.vswitchd.bridges.running.get("br0")!;
    const shown = () => dumpFlows(bridge, world.clock.now());
    expect(await shown()).toBe("");
    world.clock.advance(15_000);
    expect(await shown()).toMatch(/priority=15790320.*actions=NORMAL/);
    expect([...bridge.ofproto.tables[0]!.rules]).toHaveLength(1);
  });

  test("flow-restore-wait keeps controllers and packets away until the flows are restored", async () => {
    const world = await start();
    const root = world.idl.rows("Open_vSwitch")[0]!;
    await configure(world, (txn) => {
      txn.update("Open_vSwitch", root.uuid, { other_config: new Map([["flow-restore-wait", "true"]]) });
    });
    await addBridge(world, "br0", ["d1", "d2"]);
    await configure(world, (txn) => {
      const controller = txn.insert("Controller", { target: "unix:/nowhere/at/all" });
      txn.update("Bridge", world.idl.rows("Bridge")[0]!.uuid, { controller: [controller] });
    });
    const { ofproto, connmgr } = world.vswitchd.bridges.running.get("br0")!;
    let sent = 0;
    world.dummies.port("d2").onTransmit = () => sent++;
    ofproto.flowMod({
      command: "OFPFC_ADD",
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: 2 }] }],
    });
    world.dummies.port("d1").receive(BROADCAST);
    world.clock.advance(60_000);
    expect(connmgr.status()).toEqual([]);
    expect(sent).toBe(0);
    await configure(world, (txn) => txn.update("Open_vSwitch", root.uuid, { other_config: new Map() }));
    expect(connmgr.status()).toHaveLength(1);
    expect([...ofproto.tables[0]!.rules]).toHaveLength(1);
    world.dummies.port("d1").receive(BROADCAST);
    await until(() => sent === 1);
  });

  test("a cable that is cut shows in link_state", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1"]);
    world.dummies.port("d1").link = false;
    await until(() => columnsOf(world, "d1").link_state === "down");
  });

  test("a bridge that is removed leaves nothing", async () => {
    const world = await start();
    await addBridge(world, "br0", ["d1"]);
    await configure(world, (txn) => {
      txn.update("Open_vSwitch", world.idl.rows("Open_vSwitch")[0]!.uuid, { bridges: [] });
    });
    expect(world.vswitchd.bridges.running.size).toBe(0);
    expect(world.dummies.port("d1").receive(BROADCAST)).toBe(false);
  });

  test("a second daemon waits for the lock and takes over when the first is gone", async () => {
    const world = await start();
    await addBridge(world, "br0");
    const second: Vswitchd = createVswitchd({
      clock: world.clock,
      logs: createLog({ clock: world.clock, console: () => {} }),
      database: { connect: () => world.server.connect() },
      dpifHost: "inline",
    });
    await second.start();
    cleanups.push(() => second.stop());
    await second.database.synced();
    await second.settled();
    expect(second.bridges.running.size).toBe(0);
    await world.vswitchd.stop();
    await until(() => second.bridges.running.has("br0"));
  });
});
