import { beforeEach, expect, test } from "vitest";
import { Database, DatabaseSchema, transact } from "../index.js";

const schema = DatabaseSchema.fromJson({
  name: "Test",
  version: "1.0.0",
  tables: {
    Root: {
      isRoot: true,
      columns: {
        name: { type: "string" },
        n: { type: "integer" },
        r: { type: "real" },
        small: { type: { key: { type: "integer", minInteger: 0, maxInteger: 9 }, min: 0, max: 3 } },
        color: { type: { key: { type: "string", enum: ["set", ["red", "blue"]] }, min: 0 } },
        map: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        kids: { type: { key: { type: "uuid", refTable: "Kid" }, min: 0, max: "unlimited" } },
        weak: { type: { key: { type: "uuid", refTable: "Kid", refType: "weak" }, min: 0, max: "unlimited" } },
        fixed: { type: "string", mutable: false },
      },
      indexes: [["name"]],
      maxRows: 5,
    },
    Kid: {
      columns: {
        name: { type: "string" },
        kid: { type: { key: { type: "uuid", refTable: "Kid" }, min: 0 } },
        must: {
          type: { key: { type: "uuid", refTable: "Root", refType: "weak" }, min: 0, max: "unlimited" },
        },
      },
    },
  },
});

let database: Database;
beforeEach(() => {
  database = new Database(schema);
});

const run = (...operations: unknown[]): unknown[] => {
  const outcome = transact(database, operations);
  return "results" in outcome ? (JSON.parse(outcome.results) as unknown[]) : ["waits"];
};
const insert = (table: string, row: object, name?: string) => ({
  op: "insert",
  table,
  row,
  ...(name && { "uuid-name": name }),
});
const select = (table: string, where: unknown[] = [], ...columns: string[]) => ({
  op: "select",
  table,
  where,
  columns,
});
const rows = (table: string, ...columns: string[]) =>
  (run(select(table, [], ...columns))[0] as { rows: unknown[] }).rows;
const errorOf = (results: unknown[]) =>
  (results.find((r) => r && (r as { error?: string }).error) as { error?: string })?.error;

test("§5.2.1: an insert fills what it leaves out with defaults", () => {
  run(insert("Root", { name: "a" }));
  expect(rows("Root", "name", "n", "r", "small", "map")).toEqual([
    { name: "a", n: 0, r: 0, small: ["set", []], map: ["map", []] },
  ]);
});

test("§4.1.3: a transaction is all or nothing, and operations after an error are null", () => {
  const results = run(insert("Root", { name: "a" }), insert("Root", { n: "x" }), select("Root"));
  expect(results).toHaveLength(3);
  expect(errorOf(results)).toBe("syntax error");
  expect(results[2]).toBeNull();
  expect(rows("Root", "name")).toEqual([]);
});

test.each([
  ["an integer out of range", { small: 10 }, "constraint violation"],
  ["too many elements", { small: ["set", [1, 2, 3, 4]] }, "constraint violation"],
  ["a string that is not allowed", { color: "green" }, "constraint violation"],
  ["a fraction for an integer", { n: 1.5 }, "syntax error"],
  ["a duplicate element", { small: ["set", [1, 1]] }, "ovsdb error"],
  [
    "a duplicate key",
    {
      map: [
        "map",
        [
          ["a", "b"],
          ["a", "c"],
        ],
      ],
    },
    "ovsdb error",
  ],
  ["an unknown column", { nope: 1 }, "unknown column"],
  ["a string with NUL", { name: "a\0b" }, "syntax error"],
])("%s is refused", (_what, row, tag) => {
  expect(errorOf(run(insert("Root", row)))).toBe(tag);
});

test.each([
  ["an unknown operation", { op: "x" }, "syntax error"],
  ["an unknown table", select("Nope"), "syntax error"],
  ["an unexpected member", { ...select("Root"), extra: 1 }, "syntax error"],
  ["a missing member", { op: "insert", table: "Root" }, "syntax error"],
  ["what is no operation", 7, "syntax error"],
  ["an unknown function", select("Root", [["n", "~", 1]]), "unknown function"],
  ["an order of strings", select("Root", [["name", "<", "a"]]), "syntax error"],
  [
    "a negative timeout",
    { op: "wait", timeout: -1, table: "Root", where: [], until: "==", rows: [] },
    "syntax error",
  ],
  ["an assert of a lock not held", { op: "assert", lock: "l" }, "not owner"],
  ["abort", { op: "abort" }, "aborted"],
])("%s is an error", (_what, operation, tag) => {
  expect(errorOf(run(operation))).toBe(tag);
});

test("§5.1: conditions", () => {
  run(
    insert("Root", { name: "a", n: 1, small: ["set", [1, 2]], map: ["map", [["k", "v"]]] }),
    insert("Root", { name: "b", n: 5 }),
  );
  const found = (...clause: unknown[]) =>
    (run(select("Root", [clause], "name"))[0] as { rows: { name: string }[] }).rows.map((r) => r.name);
  expect(found("n", "<", 5)).toEqual(["a"]);
  expect(found("n", ">=", 1)).toEqual(["a", "b"]);
  expect(found("name", "==", "b")).toEqual(["b"]);
  expect(found("name", "!=", "b")).toEqual(["a"]);
  expect(found("small", "includes", 2)).toEqual(["a"]);
  expect(found("small", "excludes", 2)).toEqual(["b"]);
  expect(found("map", "includes", ["map", [["k", "v"]]])).toEqual(["a"]);
  expect(found("map", "excludes", ["map", [["k", "w"]]])).toEqual(["a", "b"]);
});

test("§5.2.2: a select says rows that look alike once", () => {
  run(insert("Root", { name: "a", n: 1 }), insert("Root", { name: "b", n: 1 }));
  expect(rows("Root", "n")).toEqual([{ n: 1 }]);
});

test("§5.2.4: mutations", () => {
  run(insert("Root", { name: "a", n: 7, small: ["set", [1, 2]], map: ["map", [["k", "v"]]] }));
  const mutate = (...mutation: unknown[]) =>
    run({ op: "mutate", table: "Root", where: [], mutations: [mutation] });
  mutate("n", "*=", 3);
  mutate("n", "%=", 4);
  mutate("small", "insert", 3);
  mutate("small", "delete", ["set", [1, 9]]);
  mutate("map", "insert", [
    "map",
    [
      ["k", "kept"],
      ["l", "new"],
    ],
  ]);
  mutate("map", "delete", ["set", ["nope"]]);
  expect(rows("Root", "n", "small", "map")).toEqual([
    {
      n: 1,
      small: ["set", [2, 3]],
      map: [
        "map",
        [
          ["k", "v"],
          ["l", "new"],
        ],
      ],
    },
  ]);
  // An optional value is a set of at most one.
  mutate("color", "insert", "red");
  expect(rows("Root", "color")).toEqual([{ color: "red" }]);
  expect(errorOf(mutate("color", "insert", "blue"))).toBe("constraint violation");
  mutate("color", "delete", "red");
  expect(rows("Root", "color")).toEqual([{ color: ["set", []] }]);
  expect(errorOf(mutate("n", "insert", 1))).toBe("syntax error");
  expect(errorOf(mutate("n", "/=", 0))).toBe("domain error");
  expect(errorOf(mutate("small", "+=", 7))).toBe("constraint violation");
  expect(errorOf(mutate("n", "**=", 7))).toBe("unknown mutator");
  expect(errorOf(mutate("fixed", "insert", "x"))).toBe("constraint violation");
});

test("integers have 64 bits, and no more", () => {
  run(insert("Root", { name: "a", n: 9007199254740991 }));
  const add = { op: "mutate", table: "Root", where: [], mutations: [["n", "*=", 1024]] };
  run(add);
  const outcome = transact(database, [select("Root", [], "n")]);
  expect("results" in outcome && outcome.results).toBe('[{"rows":[{"n":9223372036854774784}]}]');
  expect(errorOf(run(add))).toBe("range error");
});

test("§3.2: an immutable column cannot be changed", () => {
  run(insert("Root", { fixed: "a" }));
  expect(errorOf(run({ op: "update", table: "Root", where: [], row: { fixed: "b" } }))).toBe(
    "constraint violation",
  );
});

test("§3.2: indexes hold at the end of a transaction, not within it", () => {
  run(insert("Root", { name: "a" }), insert("Root", { name: "b" }));
  const rename = (from: string, to: string) => ({
    op: "update",
    table: "Root",
    where: [["name", "==", from]],
    row: { name: to },
  });
  expect(errorOf(run(rename("a", "b")))).toBe("constraint violation");
  expect(errorOf(run(rename("a", "x"), rename("b", "a"), rename("x", "b")))).toBeUndefined();
  expect(
    errorOf(
      run({ op: "delete", table: "Root", where: [["name", "==", "a"]] }, insert("Root", { name: "a" })),
    ),
  ).toBeUndefined();
});

test("§3.2: maxRows", () => {
  for (let i = 0; i < 5; i++) run(insert("Root", { name: `${i}` }));
  expect(errorOf(run(insert("Root", { name: "x" })))).toBe("constraint violation");
});

test("§5.1: a named-uuid may be used before its insert; an unknown one leads nowhere", () => {
  const named = ["named-uuid", "kid"];
  expect(
    errorOf(run(insert("Root", { name: "a", kids: named }), insert("Kid", { name: "k" }, "kid"))),
  ).toBeUndefined();
  expect(errorOf(run(insert("Root", { name: "b", kids: named })))).toBe("referential integrity violation");
  expect(errorOf(run(insert("Kid", {}, "k"), insert("Kid", {}, "k")))).toBe("duplicate uuid-name");
});

test("rows of non-root tables live as long as something else refers to them", () => {
  const results = run(insert("Kid", { name: "orphan" }), select("Kid", [], "name"));
  expect(results[1]).toEqual({ rows: [{ name: "orphan" }] });
  expect(rows("Kid", "name")).toEqual([]);
  run(insert("Kid", { name: "self", kid: ["named-uuid", "self"] }, "self"));
  expect(rows("Kid", "name")).toEqual([]);
  run(
    insert("Root", { name: "a", kids: ["named-uuid", "x"] }),
    insert("Kid", { name: "x", kid: ["named-uuid", "y"] }, "x"),
    insert("Kid", { name: "y" }, "y"),
  );
  expect(rows("Kid", "name")).toHaveLength(2);
  run({ op: "update", table: "Root", where: [], row: { kids: ["set", []] } });
  expect(rows("Kid", "name")).toEqual([]);
});

test("a row that is strongly referred to cannot be deleted", () => {
  run(insert("Root", { name: "a", kids: ["named-uuid", "x"] }), insert("Kid", { name: "x" }, "x"));
  expect(errorOf(run({ op: "delete", table: "Kid", where: [] }))).toBe("referential integrity violation");
  expect(rows("Kid", "name")).toHaveLength(1);
});

test("weak references go with their rows", () => {
  const x = ["named-uuid", "x"];
  run(insert("Root", { name: "a", kids: x, weak: x }), insert("Kid", { name: "x" }, "x"));
  run({ op: "update", table: "Root", where: [], row: { kids: ["set", []] } });
  expect(rows("Root", "weak")).toEqual([{ weak: ["set", []] }]);
});

test("§5.2.6: wait holds, times out at once with 0, or has the transaction wait", () => {
  run(insert("Root", { name: "a", n: 1 }));
  const wait = (until: string, n: number, timeout?: number) =>
    run({
      op: "wait",
      table: "Root",
      where: [["name", "==", "a"]],
      columns: ["n"],
      until,
      rows: [{ n }],
      ...(timeout !== undefined && { timeout }),
    });
  expect(wait("==", 1)).toEqual([{}]);
  expect(wait("!=", 2)).toEqual([{}]);
  expect(errorOf(wait("==", 2, 0))).toBe("timed out");
  expect(wait("==", 2, 100)).toEqual(["waits"]);
  expect(wait("==", 2)).toEqual(["waits"]);
});

test("the engine and a naive model agree on random sets", () => {
  const model = new Set<number>();
  run(insert("Root", { name: "a" }));
  let seed = 7;
  const random = (n: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % n;
  };
  for (let i = 0; i < 200; i++) {
    const value = random(10);
    const kind = random(2) ? "insert" : "delete";
    const next = new Set(model);
    if (kind === "insert") next.add(value);
    else next.delete(value);
    const failed =
      errorOf(run({ op: "mutate", table: "Root", where: [], mutations: [["small", kind, value]] })) !==
      undefined;
    expect(failed).toBe(next.size > 3);
    if (failed) continue;
    model.clear();
    for (const one of next) model.add(one);
    const sorted = [...model].sort();
    expect(rows("Root", "small")).toEqual([{ small: sorted.length === 1 ? sorted[0] : ["set", sorted] }]);
  }
});
