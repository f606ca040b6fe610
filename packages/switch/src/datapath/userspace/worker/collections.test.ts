import { expect, test } from "vitest";
import { Collections } from "./collections.js";

test("each collection is counted once, with its pause, whether or not it was asked for in between", () => {
  const collections = new Collections();
  const before = collections.read();
  let kept: number[][] = [];
  const makeGarbage = (): void => {
    for (let i = 0; i < 400_000; i++) {
      if ((i & 0xffff) === 0) kept = [];
      kept.push([i, i + 0.5]);
    }
  };
  makeGarbage();
  collections.turn(10_000);
  const between = collections.read();
  makeGarbage();
  const after = collections.read();
  expect(between.collections).toBeGreaterThan(before.collections!);
  expect(after.collections).toBeGreaterThan(between.collections!);
  expect(after.collections_us).toBeGreaterThan(between.collections_us!);
  expect(kept.length).toBeGreaterThan(0);
});
