import { expect, test } from "vitest";
import { MacTable } from "./mac-table.js";

test("tells a new, a known and a moved address apart", () => {
  const table = new MacTable();
  expect(table.learn(-1, 10, 1, 0)).toEqual({ kind: "new" });
  expect(table.learn(-1, 10, 1, 1)).toEqual({ kind: "known" });
  expect(table.learn(-1, 10, 2, 2)).toEqual({ kind: "moved", port: 1 });
  expect(table.lookup(-1, 10, 3)).toBe(2);
});

test("holds no more than its size: the fullest VLAN gives up its oldest", () => {
  const table = new MacTable({ size: 10 });
  table.learn(5, 999, 1, 0);
  for (let address = 0; address < 100; address++) table.learn(-1, address, 1, 0);
  expect([table.count, table.evicted]).toEqual([10, 91]);
  expect(table.lookup(5, 999, 0)).toBe(1);
  expect(table.lookup(-1, 99, 0)).toBe(1);
  expect(table.lookup(-1, 0, 0)).toBeUndefined();
});

test("a VLAN whose last address is gone takes no room", () => {
  const table = new MacTable();
  for (let vlan = 0; vlan < 4096; vlan++) table.learn(vlan, 1, 1, 0);
  table.flushPort(1);
  expect(table.count).toBe(0);
  expect(table.lookup(7, 1, 0)).toBeUndefined();
});
