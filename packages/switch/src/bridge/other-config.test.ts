import { expect, test } from "vitest";
import { cores } from "./other-config.js";

test.each([
  [undefined, [], []],
  ["", [], []],
  ["0x1", [0], []],
  ["a", [1, 3], []],
  ["0x30", [], ["pmd-cpu-mask: there is no core 4, 5"]],
  ["0x11", [0], ["pmd-cpu-mask: there is no core 4"]],
  ["0,1", [], ['pmd-cpu-mask "0,1" is not a hexadecimal number']],
])("pmd-cpu-mask %s is the cores %j of four", (text, expected, complaints) => {
  const told: string[] = [];
  expect(cores(text, (complaint) => told.push(complaint), 4)).toEqual(expected);
  expect(told).toEqual(complaints);
});
