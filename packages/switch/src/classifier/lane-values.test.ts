import fc from "fast-check";
import { expect, test } from "vitest";
import { newFlowKey } from "../flow/flow-key.js";
import { MAX_MEMBERS } from "./lane-tree.js";
import { LaneValues } from "./lane-values.js";

const BITS = 0xffff_0000;
const value = fc.nat(31).map((n) => (n << 27) >>> 0);
const step = fc.oneof(
  fc.record({ join: fc.constant(true) }),
  fc.record({ add: value, to: fc.nat(4) }),
  fc.record({ remove: fc.nat(20), from: fc.nat(4) }),
  fc.record({ empty: fc.nat(4) }),
);

/** Leading bits that tell `value` from all of `others`; 0: it is one of them. */
function told(value: number, others: readonly number[]): number {
  const longest = Math.max(0, ...others.map((other) => Math.clz32(value ^ other)));
  return longest === 32 ? 0 : longest + 1;
}

test("what tells a value from those of each subtable, as subtables come and go", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(value, { minLength: 1 }), (steps, asked) => {
      const shared = new LaneValues(2, BITS);
      const subtables: { member: number; values: number[] }[] = [];
      for (const one of steps) {
        if ("join" in one) {
          if (shared.hasRoom) subtables.push({ member: shared.join(), values: [] });
        } else if ("add" in one) {
          const to = subtables[one.to];
          if (to) shared.add(to.member, one.add);
          to?.values.push(one.add);
        } else if ("remove" in one) {
          const from = subtables[one.from];
          if (!from || from.values.length === 0) continue;
          const [gone] = from.values.splice(one.remove % from.values.length, 1);
          shared.remove(from.member, gone!);
        } else if (subtables.length > 0) {
          // A subtable goes when it has no rules any more; the last one takes the values with it.
          const [gone] = subtables.splice(one.empty % subtables.length, 1);
          for (const left of gone!.values) shared.remove(gone!.member, left);
          shared.leave(gone!.member);
        }
      }
      expect(new Set(subtables.map(({ member }) => member)).size).toBe(subtables.length);
      expect(shared.isEmpty).toBe(subtables.length === 0);
      const key = newFlowKey();
      asked.forEach((value, lookup) => {
        key[2] = value | 0x1234;
        for (const { member, values } of subtables)
          if (values.length > 0) expect(shared.leading(member, key, lookup)).toBe(told(value, values));
      });
    }),
    { numRuns: 500 },
  );
});

test("there is room for so many subtables", () => {
  const shared = new LaneValues(2, BITS);
  const members = Array.from({ length: MAX_MEMBERS }, () => shared.join());
  expect(new Set(members).size).toBe(MAX_MEMBERS);
  expect(shared.hasRoom).toBe(false);
  shared.leave(members[7]!);
  expect(shared.hasRoom).toBe(true);
  expect(shared.join()).toBe(members[7]);
});
