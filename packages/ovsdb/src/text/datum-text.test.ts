import { expect, test } from "vitest";
import { formatAtom } from "./datum-text.js";

test.each([
  [0, "0"],
  [1.25, "1.25"],
  [0.1 + 0.2, "0.3"],
  [1e14, "100000000000000"],
  [1e15, "1e+15"],
  [-1.5e20, "-1.5e+20"],
  [0.0001, "0.0001"],
  [0.00001, "1e-05"],
  [1e-300, "1e-300"],
  [123456789.123457, "123456789.123457"],
])("the real %d is printed as C's %%.15g prints it", (value, text) => {
  expect(formatAtom("real", value)).toBe(text);
});
