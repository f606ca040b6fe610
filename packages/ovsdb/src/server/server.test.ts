import type { Duplex } from "node:stream";
import { JsonFramer, VirtualClock } from "@sluice/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OpenVSwitch, OvsdbClient, OvsdbServer, openDatabase } from "../index.js";

let clock: VirtualClock;
let server: OvsdbServer;
beforeEach(async () => {
  clock = new VirtualClock();
  server = new OvsdbServer({ clock });
  server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
});
afterEach(() => server.close());

/** A client that sees everything that comes, in order. */
const raw = (stream: Duplex = server.connect()) => {
  const framer = new JsonFramer();
  const seen: Record<string, unknown>[] = [];
  let wake = (): void => {};
  let isClosed = false;
  stream.on("data", (chunk: Uint8Array) => {
    framer.push(chunk);
    for (let value = framer.next(); value !== undefined; value = framer.next())
      seen.push(value as Record<string, unknown>);
    wake();
  });
  stream.on("close", () => {
    isClosed = true;
    wake();
  });
  const take = async (): Promise<Record<string, unknown> | "closed"> => {
    while (seen.length === 0) {
      if (isClosed) return "closed";
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return seen.shift()!;
  };
  return {
    stream,
    take,
    send: (...messages: unknown[]) =>
      void stream.write(messages.map((m) => (typeof m === "string" ? m : JSON.stringify(m))).join("")),
    ask: async (method: string, params: unknown[], id: unknown = 1) => {
      stream.write(JSON.stringify({ method, params, id }));
      return (await take()) as { result: unknown; error: unknown; id: unknown };
    },
  };
};

const insertBridge = (name: string) => ({
  op: "insert",
  table: "Bridge",
  row: { name },
  "uuid-name": `b${name}`,
});
const addBridge = (name: string) => [
  "Open_vSwitch",
  insertBridge(name),
  { op: "insert", table: "Open_vSwitch", row: { bridges: ["named-uuid", `b${name}`] } },
];

test("§4.1.1, §4.1.2, §4.1.11: list_dbs, get_schema, echo, get_server_id", async () => {
  const client = raw();
  expect((await client.ask("list_dbs", [])).result).toEqual(["Open_vSwitch", "_Server"]);
  expect((await client.ask("get_schema", ["Open_vSwitch"])).result).toEqual(OpenVSwitch.toJson());
  expect((await client.ask("echo", [1, { a: [null] }], "x")).result).toEqual([1, { a: [null] }]);
  expect((await client.ask("get_server_id", [])).result).toMatch(/^[0-9a-f-]{36}$/);
});

test("errors are answers, and the connection goes on", async () => {
  const client = raw();
  expect((await client.ask("nope", [])).error).toBe("unknown method");
  expect((await client.ask("get_schema", ["nope"])).error).toMatchObject({ error: "unknown database" });
  expect((await client.ask("get_schema", [])).error).toMatchObject({ error: "syntax error" });
  expect((await client.ask("monitor_cancel", ["m"])).error).toBe("unknown monitor");
  expect(
    (await client.ask("transact", ["_Server", { op: "delete", table: "Database", where: [] }])).result,
  ).toMatchObject([{ error: "not allowed" }]);
  expect((await client.ask("echo", ["still here"])).result).toEqual(["still here"]);
});

test.each([
  ["garbage", "GET / HTTP/1.1\r\n"],
  ["what is no message", "[1]"],
  ["params that are no array", '{"method":"echo","params":{},"id":1}'],
  ["deep nesting", "[".repeat(100_000)],
])("%s ends that connection only", async (_what, text) => {
  const good = raw();
  await good.ask("echo", []);
  const bad = raw();
  bad.send(text);
  expect(await bad.take()).toBe("closed");
  expect((await good.ask("echo", ["alive"])).result).toEqual(["alive"]);
});

test("pipelined requests are answered in order", async () => {
  const client = raw();
  client.send(...Array.from({ length: 500 }, (_, id) => ({ method: "echo", params: [id], id })));
  for (let id = 0; id < 500; id++) expect(await client.take()).toMatchObject({ id, result: [id] });
});

test("10,000 operations in one transaction", async () => {
  const client = raw();
  const operations = Array.from({ length: 10_000 }, (_, i) => ({ op: "comment", comment: String(i) }));
  const { result } = await client.ask("transact", ["Open_vSwitch", ...operations]);
  expect(result).toHaveLength(10_000);
});

test("§4.1.5, §4.1.6: a monitor gets what there is, then the changes, before the reply to its own transaction", async () => {
  const client = raw();
  await client.ask("transact", addBridge("br0"));
  const initial = await client.ask("monitor", [
    "Open_vSwitch",
    "m",
    { Bridge: { columns: ["name", "fail_mode"] } },
  ]);
  const [uuid] = Object.keys((initial.result as { Bridge: object }).Bridge);
  expect(initial.result).toEqual({ Bridge: { [uuid!]: { new: { name: "br0", fail_mode: ["set", []] } } } });
  const change = { op: "update", table: "Bridge", where: [], row: { fail_mode: "secure", stp_enable: true } };
  client.send({ method: "transact", params: ["Open_vSwitch", change], id: 7 });
  expect(await client.take()).toEqual({
    id: null,
    method: "update",
    params: [
      "m",
      { Bridge: { [uuid!]: { new: { name: "br0", fail_mode: "secure" }, old: { fail_mode: ["set", []] } } } },
    ],
  });
  expect(await client.take()).toMatchObject({ id: 7, error: null });
  client.send({
    method: "transact",
    params: ["Open_vSwitch", { ...change, row: { stp_enable: false } }],
    id: 8,
  });
  expect(await client.take()).toMatchObject({ id: 8 });
});

test("a monitor of no columns still tells which rows there are", async () => {
  const client = raw();
  await client.ask("transact", addBridge("br0"));
  const { result } = await client.ask("monitor_cond", [
    "Open_vSwitch",
    1,
    { Open_vSwitch: [{ columns: [] }] },
  ]);
  expect(Object.values((result as { Open_vSwitch: object }).Open_vSwitch)).toEqual([{ initial: {} }]);
});

test("update2: sets and maps as differences, conditions let rows in and out", async () => {
  const client = raw();
  await client.ask("transact", addBridge("br0"));
  const where = [["fail_mode", "==", "secure"]];
  const first = await client.ask("monitor_cond", [
    "Open_vSwitch",
    1,
    { Bridge: [{ columns: ["name", "flood_vlans"], where }] },
  ]);
  expect(first.result).toEqual({});
  const set = async (row: object) => {
    client.send({
      method: "transact",
      params: ["Open_vSwitch", { op: "update", table: "Bridge", where: [], row }],
      id: 2,
    });
    const message = (await client.take()) as { params?: [number, { Bridge: Record<string, unknown> }] };
    if (message.params) await client.take();
    return message.params && Object.values(message.params[1].Bridge)[0];
  };
  expect(await set({ flood_vlans: ["set", [1, 2]] })).toBeUndefined();
  expect(await set({ fail_mode: "secure" })).toEqual({
    insert: { name: "br0", flood_vlans: ["set", [1, 2]] },
  });
  expect(await set({ flood_vlans: ["set", [2, 3]] })).toEqual({ modify: { flood_vlans: ["set", [1, 3]] } });
  expect(await set({ fail_mode: "standalone" })).toEqual({ delete: null });
  client.send({ method: "monitor_cond_change", params: [1, 2, { Bridge: [{ where: [true] }] }], id: 9 });
  expect(await client.take()).toMatchObject({ method: "update2", params: [2, {}] });
  expect(await client.take()).toMatchObject({ id: 9, result: {} });
});

test("monitor_cond_since: a client that comes back gets only what it missed", async () => {
  const client = raw();
  const requests = { Bridge: [{ columns: ["name"] }] };
  const zero = "00000000-0000-0000-0000-000000000000";
  const [found, id] = (await client.ask("monitor_cond_since", ["Open_vSwitch", "a", requests, zero]))
    .result as [boolean, string];
  expect(found).toBe(false);
  await raw().ask("transact", addBridge("br0"));
  const again = (await raw().ask("monitor_cond_since", ["Open_vSwitch", "a", requests, id])).result as [
    boolean,
    string,
    { Bridge: object },
  ];
  expect(again[0]).toBe(true);
  expect(Object.values(again[2].Bridge)).toEqual([{ insert: { name: "br0" } }]);
  const nothing = (await raw().ask("monitor_cond_since", ["Open_vSwitch", "a", requests, again[1]])).result;
  expect(nothing).toEqual([true, again[1], {}]);
});

test("§4.1.8 to §4.1.10: locks pass on when unlocked, stolen or when their owner goes", async () => {
  const [a, b, c] = [raw(), raw(), raw()];
  expect((await a.ask("lock", ["l"])).result).toEqual({ locked: true });
  expect((await b.ask("lock", ["l"])).result).toEqual({ locked: false });
  expect((await a.ask("lock", ["l"])).error).toMatchObject({ error: "syntax error" });
  expect((await a.ask("transact", ["Open_vSwitch", { op: "assert", lock: "l" }])).result).toEqual([{}]);
  expect((await a.ask("unlock", ["l"])).result).toEqual({});
  expect(await b.take()).toEqual({ id: null, method: "locked", params: ["l"] });
  expect((await c.ask("steal", ["l"])).result).toEqual({ locked: true });
  expect(await b.take()).toEqual({ id: null, method: "stolen", params: ["l"] });
  expect((await a.ask("lock", ["l"])).result).toEqual({ locked: false });
  c.stream.destroy();
  // Whom it was stolen from is next in line.
  expect(await b.take()).toEqual({ id: null, method: "locked", params: ["l"] });
  b.stream.destroy();
  expect(await a.take()).toEqual({ id: null, method: "locked", params: ["l"] });
});

test("§5.2.6, §4.1.4: a wait ends when it comes true, times out by the clock, or is canceled", async () => {
  const client = raw();
  const wait = (id: number, timeout?: number) => ({
    method: "transact",
    params: [
      "Open_vSwitch",
      {
        op: "wait",
        table: "Bridge",
        where: [],
        columns: ["name"],
        until: "==",
        rows: [{ name: "br0" }],
        ...(timeout && { timeout }),
      },
    ],
    id,
  });
  client.send(wait(1, 500), wait(2), wait(3));
  await raw().ask("echo", []);
  clock.advance(600);
  expect(await client.take()).toMatchObject({ id: 1, result: [{ error: "timed out" }] });
  client.send({ method: "cancel", params: [3], id: null });
  expect(await client.take()).toMatchObject({ id: 3, error: "canceled" });
  await raw().ask("transact", addBridge("br0"));
  expect(await client.take()).toMatchObject({ id: 2, result: [{}] });
});

test("a client that does not read gets merged updates, bounded by the rows, and all of the last state", async () => {
  const writer = new OvsdbClient(server.connect());
  await writer.transact("Open_vSwitch", addBridge("br0").slice(1));
  const slow = raw();
  await slow.ask("monitor", ["Open_vSwitch", "m", { Bridge: [{ columns: ["datapath_version"] }] }]);
  slow.stream.pause();
  const big = "x".repeat(20_000);
  for (let i = 0; i < 200; i++)
    await writer.transact("Open_vSwitch", [
      { op: "update", table: "Bridge", where: [], row: { datapath_version: `${i}${big}` } },
    ]);
  expect(server.counters.updates_merged).toBeGreaterThan(100);
  slow.stream.resume();
  for (;;) {
    const { params } = (await slow.take()) as {
      params: [string, { Bridge: Record<string, { new: { datapath_version: string } }> }];
    };
    if (Object.values(params[1].Bridge)[0]!.new.datapath_version === `199${big}`) break;
  }
});

test("a silent client is asked for a sign of life, and let go without one", async () => {
  const [ours, theirs] = (await import("../index.js")).duplexPair();
  server.attach(theirs, { name: "probed", probeIntervalMs: 5000 });
  const client = raw(ours);
  clock.advance(5000);
  expect(await client.take()).toMatchObject({ method: "echo", id: "echo" });
  clock.advance(5000);
  expect(await client.take()).toBe("closed");
});

test("convert: rows live on under the new schema; change-aware clients are told, others disconnected", async () => {
  const [aware, unaware, monitoring] = [raw(), raw(), raw()];
  await aware.ask("set_db_change_aware", [true]);
  await monitoring.ask("set_db_change_aware", [true]);
  await aware.ask("transact", addBridge("br0"));
  await unaware.ask("echo", []);
  await monitoring.ask("monitor", ["Open_vSwitch", "m", { Bridge: {} }]);
  const schema = OpenVSwitch.toJson() as {
    version: string;
    tables: { Bridge: { columns: Record<string, unknown> } };
  };
  schema.version = "9.0.0";
  schema.tables.Bridge.columns.extra = { type: "integer" };
  delete schema.tables.Bridge.columns.stp_enable;
  expect(await aware.ask("convert", ["Open_vSwitch", schema])).toMatchObject({ result: {}, error: null });
  expect(await unaware.take()).toBe("closed");
  expect(await monitoring.take()).toEqual({ id: null, method: "monitor_canceled", params: ["m"] });
  const select = { op: "select", table: "Bridge", where: [], columns: ["name", "extra"] };
  expect((await aware.ask("transact", ["Open_vSwitch", select])).result).toEqual([
    { rows: [{ name: "br0", extra: 0 }] },
  ]);
});
