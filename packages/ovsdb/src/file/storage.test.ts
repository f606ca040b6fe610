import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "@sluice/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Database, OpenVSwitch, openDatabase, transact } from "../index.js";
import { encodeRecord } from "./record.js";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sl-ovsdb-"));
  path = join(folder, "conf.db");
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = () => openDatabase(path, { schema: OpenVSwitch });

const run = (database: Database, ...operations: unknown[]) => {
  const outcome = transact(database, operations);
  expect("failed" in outcome && !outcome.failed).toBe(true);
};
const insert = (row: object) => ({ op: "insert", table: "QoS", row });
const types = (database: Database) =>
  [...database.table("QoS").rows.values()]
    .map((row) => row.get(database.schema.table("QoS").column("type")).keys[0])
    .sort();

test("what was committed is there after the file is opened again, ephemeral columns aside", async () => {
  let database = await open();
  run(
    database,
    insert({
      type: "a",
      other_config: [
        "map",
        [
          ["k", "v"],
          ["l", "w"],
        ],
      ],
    }),
  );
  run(database, { op: "mutate", table: "QoS", where: [], mutations: [["other_config", "delete", "k"]] });
  run(database, {
    op: "update",
    table: "QoS",
    where: [],
    row: { external_ids: ["map", [["é\n", "\u{1f600}"]]] },
  });
  run(database, insert({ type: "b" }));
  run(database, { op: "delete", table: "QoS", where: [["type", "==", "b"]] });
  run(database, {
    op: "insert",
    table: "Open_vSwitch",
    row: { statistics: ["map", [["x", "y"]]], cur_cfg: 3 },
  });
  const before = [...database.table("QoS").rows.values()][0]!;
  await database.storage.close();
  database = await open();
  const after = [...database.table("QoS").rows.values()][0]!;
  expect(after.uuid).toBe(before.uuid);
  expect(after.cols).toEqual(before.cols);
  const root = [...database.table("Open_vSwitch").rows.values()][0]!;
  const { statistics, cur_cfg } = Object.fromEntries(
    database.schema.table("Open_vSwitch").columns.map((c) => [c.name, root.get(c)]),
  );
  expect(statistics!.keys).toEqual([]);
  expect(cur_cfg!.keys).toEqual([3]);
  await database.storage.close();
});

test("a last record torn at any byte is dropped, and everything before it kept", async () => {
  let database = await open();
  run(database, insert({ type: "kept" }));
  const size = statSync(path).size;
  run(database, insert({ type: "torn" }));
  await database.storage.close();
  const whole = readFileSync(path);
  for (let end = size + 1; end < whole.length; end += 7) {
    writeFileSync(path, whole.subarray(0, end));
    database = await open();
    expect(types(database)).toEqual(["kept"]);
    run(database, insert({ type: "after" }));
    await database.storage.close();
    database = await open();
    expect(types(database)).toEqual(["after", "kept"]);
    await database.storage.close();
  }
});

test("a damaged file is refused in one line, and left as it is", async () => {
  const database = await open();
  run(database, insert({ type: "a" }));
  run(database, insert({ type: "b" }));
  await database.storage.close();
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('"type":"a"') + 8] = 0x78;
  writeFileSync(path, bytes);
  await expect(open()).rejects.toThrow(/^\S+conf\.db: damaged at byte \d+: .*$/);
  expect(readFileSync(path)).toEqual(bytes);
  for (const text of [
    "",
    "not a database\n",
    "OVSDB CLUSTER 2 0000000000000000000000000000000000000000\n{}",
  ]) {
    writeFileSync(path, text);
    await expect(open()).rejects.toThrow(/^[^\n]*conf\.db: [^\n]+$/);
    expect(readFileSync(path, "utf8")).toBe(text);
  }
});

test("contents that break the schema are refused", async () => {
  const database = await open();
  await database.storage.close();
  appendFileSync(
    path,
    Buffer.concat(
      encodeRecord(
        '{"Port":{"00000000-0000-4000-8000-000000000001":{"interfaces":["uuid","00000000-0000-4000-8000-000000000002"]}}}',
      ),
    ),
  );
  await expect(open()).rejects.toThrow(/inconsistent/);
});

test("a second server is kept out; a lock whose holder is gone is taken over", async () => {
  const database = await open();
  await expect(open()).rejects.toThrow(/in use by another server \(pid \d+\)/);
  await database.storage.close();
  writeFileSync(join(folder, ".conf.db.~lock~"), "999999999 1\n");
  await (await open()).storage.close();
  expect(existsSync(join(folder, ".conf.db.~lock~"))).toBe(false);
});

test("compaction keeps every row, those committed while it runs too, and makes the file small", async () => {
  let database = await open();
  for (let i = 0; i < 3000; i++) run(database, insert({ type: `t${i}` }));
  for (let i = 0; i < 500; i++)
    run(database, {
      op: "update",
      table: "QoS",
      where: [["type", "==", "t0"]],
      row: { external_ids: ["map", [["n", String(i)]]] },
    });
  const before = statSync(path).size;
  const compacting = database.storage.compact(database);
  run(database, insert({ type: "meanwhile" }));
  await compacting;
  run(database, insert({ type: "later" }));
  const expected = types(database);
  await database.storage.close();
  expect(statSync(path).size).toBeLessThan(before);
  database = await open();
  expect(types(database)).toEqual(expected);
  await database.storage.close();
});

test("a file that has doubled is compacted on its own, ten minutes after the last time or once it is ten times as large", async () => {
  const clock = new VirtualClock();
  const database = await openDatabase(path, { schema: OpenVSwitch, clock, compactAtSize: 20_000 });
  const size = (): number => statSync(path).size;
  const rewrite = (times: number): void => {
    for (let i = 0; i < times; i++)
      run(
        database,
        { op: "delete", table: "QoS", where: [] },
        insert({ type: "x", external_ids: ["map", [["n", `${i}`]]] }),
      );
  };
  rewrite(200);
  const grown = size();
  expect(grown).toBeGreaterThan(40_000);
  clock.advance(10 * 60 * 1000);
  rewrite(1);
  await database.storage.compact(database);
  const small = size();
  expect(small).toBeLessThan(grown - 20_000);
  rewrite(200);
  expect(size()).toBeGreaterThan(small + 40_000);
  // Too soon; but not when it grows without bound.
  let isCompacted = false;
  while (!isCompacted) {
    const before = size();
    expect(before).toBeLessThan(200_000);
    rewrite(20);
    await new Promise((resolve) => setImmediate(resolve));
    isCompacted = size() < before;
  }
  await database.storage.close();
});

test("a record that cannot be written undoes its transaction", async () => {
  const database = await open();
  run(database, insert({ type: "a" }));
  const { storage } = database;
  database.storage = {
    ...storage,
    append: () => {
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    },
  } as typeof storage;
  expect(() => transact(database, [insert({ type: "b" })])).toThrow();
  expect(types(database)).toEqual(["a"]);
  database.storage = storage;
  truncateSync(path, statSync(path).size);
  await storage.close();
});
