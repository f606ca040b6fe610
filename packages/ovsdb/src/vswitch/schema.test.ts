import { existsSync, readFileSync } from "node:fs";
import { expect, expectTypeOf, test } from "vitest";
import { DatabaseSchema, OpenVSwitch, type OvsRow, ServerSchema, stringifySorted } from "../index.js";

const REAL = "/usr/share/openvswitch/vswitch.ovsschema";

test.skipIf(!existsSync(REAL))(`the declared schema is that of the installed Open vSwitch (${REAL})`, () => {
  const real = DatabaseSchema.fromJson(JSON.parse(readFileSync(REAL, "utf8")));
  expect(OpenVSwitch.version).toBe("8.3.1");
  expect(OpenVSwitch.toJson()).toEqual(real.toJson());
});

test("a schema's JSON leads back to it", () => {
  for (const schema of [OpenVSwitch, ServerSchema]) {
    const again = DatabaseSchema.fromJson(JSON.parse(stringifySorted(schema.toJson())));
    expect(again.toJson()).toEqual(schema.toJson());
  }
});

test("the row types follow from the declaration", () => {
  expectTypeOf<OvsRow<"Bridge">["name"]>().toEqualTypeOf<string>();
  expectTypeOf<OvsRow<"Bridge">["fail_mode"]>().toEqualTypeOf<"standalone" | "secure" | undefined>();
  expectTypeOf<OvsRow<"Bridge">["ports"]>().toEqualTypeOf<readonly string[]>();
  expectTypeOf<OvsRow<"Interface">["statistics"]>().toEqualTypeOf<ReadonlyMap<string, number>>();
});

test.each([
  ["no tables", { name: "x", version: "1.0.0" }],
  ["a bad version", { name: "x", version: "1", tables: {} }],
  [
    "a reference to nowhere",
    { name: "x", tables: { t: { columns: { c: { type: { key: { type: "uuid", refTable: "u" } } } } } } },
  ],
  ["an unknown member", { name: "x", tables: {}, extra: 1 }],
  [
    "an index on no column",
    { name: "x", tables: { t: { columns: { c: { type: "string" } }, indexes: [["d"]] } } },
  ],
  [
    "a limit that is no number",
    { name: "x", tables: { t: { columns: { c: { type: { key: "string", max: "x" } } } } } },
  ],
])("a schema with %s is refused", (_what, json) => {
  expect(() => DatabaseSchema.fromJson(json)).toThrow(/syntax error/);
});
