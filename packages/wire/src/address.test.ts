import { expect, test } from "vitest";
import { macFromNumber, macToNumber } from "./address.js";

test("a number is the same address each time, whatever other numbers came in between", () => {
  expect(macFromNumber(0)).toBe("00:00:00:00:00:00");
  expect(macFromNumber(0xffff_ffff_ffff)).toBe("ff:ff:ff:ff:ff:ff");
  expect(macFromNumber(0x0200_0000_000a)).toBe("02:00:00:00:00:0a");
  // Many of these share a place.
  const numbers = Array.from({ length: 20_000 }, (_, i) => (i * 0x1_0001_1003) % 2 ** 48);
  for (const round of [0, 1])
    for (const number of numbers)
      expect(macToNumber(macFromNumber(number)), `${number}, round ${round}`).toBe(number);
});
