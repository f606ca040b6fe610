import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Database } from "../engine/database.js";
import { rowText } from "../engine/row.js";
import { loadDatabase } from "./load.js";
import { encodeLine } from "./record.js";

const column = (type: unknown) => ({ type });
const set = (key: unknown) => column({ key, min: 0, max: "unlimited" });
const columns = {
  b: column("boolean"),
  i: column({ key: { type: "integer", minInteger: -5, maxInteger: 1e12 } }),
  r: column("real"),
  s: column({ key: { type: "string", enum: ["set", ["", "one", "two"]] } }),
  is: set("integer"),
  ss: set("string"),
  us: set("uuid"),
  m: column({ key: "string", value: "integer", min: 0, max: 2 }),
};
const schema = {
  name: "D",
  version: "1.0.0",
  tables: { T: { columns }, I: { columns, indexes: [["i"]] } },
};

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

const load = (...records: string[]): Database => {
  const folder = mkdtempSync(join(tmpdir(), "sl-ovsdb-"));
  const path = join(folder, "d.db");
  try {
    const texts = [JSON.stringify(schema), ...records];
    writeFileSync(path, Buffer.concat(texts.map((text) => encodeLine(text))));
    return loadDatabase(path).database;
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const contents = (database: Database): string[] =>
  [...database.tables.values()].flatMap((table) =>
    [...table.rows.values()].map((row) => `${table.name} ${row.uuid} ${rowText(row, table.schema.columns)}`),
  );

/** What the load says, be it rows or a refusal. A space keeps the quick reader from a record. */
const outcome = (isQuick: boolean, ...records: string[]): string[] => {
  try {
    return contents(load(...records.map((text) => (isQuick ? text : ` ${text}`))));
  } catch (error) {
    return [(error as Error).message.replace(/^.*d\.db/, "")];
  }
};

const row = (cells: string, n = 1) => `{"T":{"${uuid(n)}":{${cells}}},"_date":1,"_is_diff":true}`;

test.each([
  ["no columns", [row("")]],
  ["scalars", [row('"b":true,"i":-3,"s":"two"')]],
  ["a large integer", [row('"i":999999999999')]],
  ["an integer out of range", [row('"i":-6')]],
  ["a string that the enum has not", [row('"s":"three"')]],
  ["a real", [row('"r":1.5')]],
  ["an integer beyond 53 bits", [row('"is":["set",[9007199254740993]]')]],
  [
    "sets",
    [row(`"is":["set",[-1,0,7]],"ss":["set",["","a","ab","b"]],"us":["set",[["uuid","${uuid(3)}"]]]`)],
  ],
  ["a set of one without its brackets", [row('"is":7,"ss":"x"')]],
  ["sets out of order", [row('"is":["set",[7,-1]],"ss":["set",["b","ab"]]')]],
  ["a set that has something twice", [row('"ss":["set",["a","a"]]')]],
  ["maps", [row('"m":["map",[["k",1],["l",2]]]')]],
  ["a map of too many", [row('"m":["map",[["k",1],["l",2],["m",3]]]')]],
  ["escapes and what is beyond ASCII", [row('"ss":["set",["\\n","é"]]')]],
  ["a column twice", [row('"i":1,"i":2')]],
  ["a column that is not there", [row('"x":1')]],
  ["the wrong type", [row('"b":1')]],
  [
    "many rows, of two tables",
    [`{"I":{"${uuid(1)}":{"i":1},"${uuid(2)}":{"i":2}},"T":{"${uuid(1)}":{"b":true},"${uuid(4)}":{}}}`],
  ],
  ["an index broken", [`{"I":{"${uuid(1)}":{"i":1},"${uuid(2)}":{"i":1}}}`]],
  ["a row changed later", [row('"ss":["set",["a","b"]],"i":3'), row('"ss":["set",["b","c"]]')]],
  ["a row deleted later", [row('"i":3'), `{"T":{"${uuid(1)}":null}}`]],
  [
    "a new row and a changed one in a record",
    [row('"i":3'), `{"T":{"${uuid(2)}":{"i":4},"${uuid(1)}":{"b":true}}}`],
  ],
  ["not JSON", [`{"T":{"${uuid(1)}":{"i":1}}`]],
])("a record read quickly says what it says read slowly: %s", (_what, records) => {
  expect(outcome(true, ...records)).toEqual(outcome(false, ...records));
});

test("columns are read when they are asked for, in any order, and stay the same objects", () => {
  const records = Array.from({ length: 5000 }, (_, n) => row(`"i":${n},"m":["map",[["k",${n}]]]`, n));
  const table = load(...records).table("T");
  for (const n of [4999, 0, 2500, 0]) {
    const found = table.rows.get(uuid(n))!;
    expect(found.cols[table.schema.column("i").index].keys).toEqual([n]);
    const { cols } = found;
    expect(found.cols).toBe(cols);
    expect(found.cols[table.schema.column("m").index]).toEqual({ keys: ["k"], values: [n] });
  }
});
