import { describe, expect, test } from "vitest";
import { failedInterfaceColumns, reduce } from "./status.js";

const update = (columns: Record<string, unknown>) => ({ table: "Interface", uuid: "u", columns }) as const;

describe("what is written back", () => {
  test("only columns that differ from the row", () => {
    expect(
      reduce(update({ ofport: 1, error: undefined }), { ofport: 1, error: undefined }, false),
    ).toBeUndefined();
    expect(reduce(update({ ofport: 2, error: undefined }), { ofport: 1, error: undefined }, false)).toEqual(
      update({ ofport: 2 }),
    );
  });

  test("maps and sets by their elements", () => {
    const row = { status: new Map([["driver_name", "tap"]]), datapath_types: ["netdev", "system"] };
    expect(reduce(update({ status: new Map([["driver_name", "tap"]]) }), row, false)).toBeUndefined();
    expect(reduce(update({ datapath_types: ["netdev", "system"] }), row, false)).toBeUndefined();
    expect(reduce(update({ status: new Map() }), row, false)).toEqual(update({ status: new Map() }));
  });

  test("a clock that ticks on is written only with the statistics", () => {
    const status = (n: string) =>
      new Map([
        ["state", "ACTIVE"],
        ["sec_since_connect", n],
      ]);
    expect(reduce(update({ status: status("2") }), { status: status("1") }, false)).toBeUndefined();
    expect(reduce(update({ status: status("2") }), { status: status("1") }, true)).toBeDefined();
  });

  test("nothing for a row that is gone", () => {
    expect(reduce(update({ ofport: 1 }), undefined, true)).toBeUndefined();
  });

  test("a port that could not be had has number -1 and the reason", () => {
    expect(failedInterfaceColumns("eth9: No such device")).toMatchObject({
      ofport: -1,
      error: "eth9: No such device",
    });
  });
});
