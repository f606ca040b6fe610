import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
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

test("a record is read alike whether it is plain JSON or not", async () => {
  const uuid = "00000000-0000-4000-8000-00000000000";
  const rows = [
    // Plain; then the same with spaces, escapes, what is beyond ASCII, and elements out of order.
    `{"QoS":{"${uuid}1":{"type":"a","other_config":["map",[["k","v"],["l",""]]]}},"_date":1,"_comment":"x","_is_diff":true}`,
    `{ "QoS": {"${uuid}2": {"type": "a", "other_config": ["map", [["l", ""], ["k", "v"]]]}}, "_date": 1}`,
    `{"QoS":{"${uuid}3":{"other_config":["map",[["\\u006b","\\u0076"],["l",""]]],"type":"\\u0061"}},"_date":1}`,
    `{"QoS":{"${uuid}4":{"type":"\u00e9"}},"_date":1}`,
    // Changes a row that is there, twice; makes two at once; one with nothing in it.
    `{"QoS":{"${uuid}4":{"type":"a","other_config":["map",[["k","v"]]]}},"_date":1}`,
    `{"QoS":{"${uuid}4":{"other_config":["map",[["l",""]]]}},"_date":1,"_is_diff":true}`,
    `{"QoS":{"${uuid}5":{},"${uuid}6":{}},"_date":1}`,
    `{"QoS":{"${uuid}5":null,"${uuid}6":null}}`,
    `{"Queue":{"${uuid}7":{"dscp":63}},"_date":1}`,
    `{"QoS":{"${uuid}8":{"queues":["map",[[0,["uuid","${uuid}7"]]]]}},"_date":1}`,
  ];
  writeFileSync(
    path,
    Buffer.concat([JSON.stringify(OpenVSwitch.toJson()), ...rows].flatMap((text) => encodeRecord(text))),
  );
  const database = await open();
  const cells = (name: string, ...columns: string[]) =>
    [...database.table(name).rows.values()].map((row) => [
      row.uuid.at(-1),
      ...columns.map((column) => row.get(database.schema.table(name).column(column))),
    ]);
  const a = { keys: ["a"], values: null };
  const config = { keys: ["k", "l"], values: ["v", ""] };
  expect(cells("QoS", "type", "other_config").filter(([end]) => end !== "8")).toEqual(
    ["1", "2", "3", "4"].map((end) => [end, a, config]),
  );
  expect(cells("QoS", "queues").at(-1)).toEqual(["8", { keys: [0], values: [`${uuid}7`] }]);
  expect(cells("Queue", "dscp")).toEqual([["7", { keys: [63], values: null }]]);
  await database.storage.close();
  for (const [bad, why] of [
    [`{"Queue":{"${uuid}9":{"dscp":64}},"_date":1}`, /constraint violation/],
    [`{"Queue":{"${uuid}9":{"nope":1}},"_date":1}`, /No column nope/],
    [`{"Nope":{"${uuid}9":{}},"_date":1}`, /No table named Nope/],
    [`{"QoS":{"${uuid}9":{"other_config":["map",[["k","a"],["k","b"]]]}}}`, /duplicate/],
    [`{"QoS":{"${uuid}9":{"queues":["map",[[0,["uuid","${uuid}0"]]]]}},"_date":1}`, /inconsistent/],
  ] as const) {
    const before = readFileSync(path);
    appendFileSync(path, Buffer.concat(encodeRecord(bad)));
    await expect(open()).rejects.toThrow(why);
    writeFileSync(path, before);
  }
});

test("a link to a file stays one when the file is compacted", async () => {
  const link = join(folder, "link.db");
  await (await open()).storage.close();
  symlinkSync(path, link);
  const database = await openDatabase(link);
  run(database, insert({ type: "a" }));
  await database.storage.compact(database);
  await database.storage.close();
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(types(await open())).toEqual(["a"]);
});

test("a second server is kept out; a lock whose holder is gone is taken over", async () => {
  const database = await open();
  await expect(open()).rejects.toThrow(/in use by another server \(pid \d+\)/);
  await database.storage.close();
  writeFileSync(join(folder, ".conf.db.~lock~"), "999999999 1\n");
  await (await open()).storage.close();
  expect(existsSync(join(folder, ".conf.db.~lock~"))).toBe(false);
});

test.runIf(process.platform === "linux")(
  "a dead process that nobody has waited for holds no lock",
  async () => {
    await (await open()).storage.close();
    // The shell's child ends, and what the shell becomes does not ask after it.
    const parent = spawn("sh", ["-c", "sh -c 'echo $$' & exec sleep 60"]);
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const stat = (): string[] => readFileSync(`/proc/${String(line).trim()}/stat`, "latin1").split(" ");
    while (stat()[2] !== "Z") await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(join(folder, ".conf.db.~lock~"), `${String(line).trim()} ${stat()[21]}\n`);
    await (await open()).storage.close();
    parent.kill();
  },
);

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
