import { expect, test } from "vitest";
import { Pace } from "./pace.js";

const PERIOD = 20;

test("many short packets, and many commands, are let come together until there are few again", () => {
  const pace = new Pace();
  expect(pace.isDense).toBe(false);
  for (let turn = 0; turn < 1000; turn++) pace.add(2, 120, 0);
  expect(pace.isDue(PERIOD - 1)).toBe(false);
  expect(pace.isDue(PERIOD)).toBe(true);
  pace.settle(PERIOD);
  expect(pace.isDense).toBe(true);
  for (let turn = 0; turn < 500; turn++) pace.add(2, 120, 2);
  pace.settle(2 * PERIOD);
  expect(pace.isDense).toBe(true);
  for (let turn = 0; turn < 2000; turn++) pace.add(0, 0, 1);
  pace.settle(3 * PERIOD);
  expect(pace.isDense).toBe(true);
  // One after the other, as questions and answers are, however fast.
  for (let turn = 0; turn < 1000; turn++) pace.add(1, 60, 0);
  pace.settle(4 * PERIOD);
  expect(pace.isDense).toBe(false);
});

test("a stream's packets are not waited for, nor are few in a long time", () => {
  const pace = new Pace();
  for (let turn = 0; turn < 100; turn++) pace.add(64, 32 * 1514 + 32 * 66, 0);
  pace.settle(PERIOD);
  expect(pace.isDense).toBe(false);
  for (let turn = 0; turn < 2000; turn++) pace.add(1, 60, 0);
  pace.settle(10 * PERIOD);
  expect(pace.isDense).toBe(false);
  pace.settle(11 * PERIOD);
  expect(pace.isDense).toBe(false);
});
