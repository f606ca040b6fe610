import fc from "fast-check";
import { expect, test } from "vitest";
import { NO_SLOT, SlotMap } from "./slot-map.js";

// Few, so that they meet; and some that differ in what does not fit into a word.
const id = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((n) => n * 2 ** 20 + 3),
  fc.nat(40).map((n) => n * 2 ** 32 + 5),
);
const steps = fc.array(fc.oneof(fc.record({ set: id, slot: fc.nat(1000) }), fc.record({ delete: id })), {
  maxLength: 2000,
  size: "max",
});

test("gives what a Map would, as ids come and go and there are more than before", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const slots = new SlotMap();
      const wanted = new Map<number, number>();
      for (const step of script) {
        if ("set" in step) {
          slots.set(step.set, step.slot);
          wanted.set(step.set, step.slot);
        } else {
          slots.delete(step.delete);
          wanted.delete(step.delete);
          expect(slots.get(step.delete)).toBe(NO_SLOT);
        }
      }
      expect(slots.size).toBe(wanted.size);
      for (const [id, slot] of wanted) expect(slots.get(id)).toBe(slot);
      expect(new Map(slots)).toEqual(wanted);
    }),
    { numRuns: 100 },
  );
});

test("many that follow each other, half of which go again", () => {
  const slots = new SlotMap();
  for (let i = 0; i < 10_000; i++) slots.set(i * 2 ** 20 + (i % 7), i);
  for (let i = 0; i < 10_000; i += 2) slots.delete(i * 2 ** 20 + (i % 7));
  expect(slots.size).toBe(5000);
  for (let i = 0; i < 10_000; i++) expect(slots.get(i * 2 ** 20 + (i % 7))).toBe(i % 2 === 0 ? NO_SLOT : i);
});
