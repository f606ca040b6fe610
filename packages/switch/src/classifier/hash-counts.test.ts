import fc from "fast-check";
import { expect, test } from "vitest";
import { HashCounts } from "./hash-counts.js";

test("counts as a Map does", () => {
  const hash = fc.oneof(fc.nat(20), fc.integer());
  fc.assert(
    fc.property(fc.array(fc.tuple(hash, fc.boolean()), { maxLength: 400 }), (steps) => {
      const counts = new HashCounts();
      const model = new Map<number, number>();
      for (const [hash, isAdd] of steps) {
        const before = model.get(hash) ?? 0;
        if (isAdd) counts.add(hash);
        else if (before > 0) counts.remove(hash);
        model.set(hash, Math.max(0, before + (isAdd ? 1 : -1)));
        for (const [other, count] of model) if (counts.has(other) !== count > 0) return false;
      }
      return true;
    }),
  );
});

test("hashes that come and go leave room for others", () => {
  const counts = new HashCounts();
  for (let i = 0; i < 100_000; i++) {
    counts.add(i);
    if (i > 0) counts.remove(i - 1);
  }
  expect([counts.has(99_998), counts.has(99_999)]).toEqual([false, true]);
});
