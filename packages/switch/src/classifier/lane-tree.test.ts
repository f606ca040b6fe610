import fc from "fast-check";
import { expect, test } from "vitest";
import { LaneTree, MAX_MEMBERS } from "./lane-tree.js";

const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff),
  fc.nat(0xffff_ffff),
);
const member = fc.constantFrom(0, 1, 2, 30, 31);
const steps = fc.array(fc.oneof(fc.record({ add: value, member }), fc.record({ remove: fc.nat(100) })), {
  maxLength: 80,
});

/** Leading bits that tell `value` from all of `others`; 0: it is one of them. */
function told(value: number, others: readonly number[]): number {
  const longest = Math.max(0, ...others.map((other) => Math.clz32(value ^ other)));
  return longest === 32 ? 0 : longest + 1;
}

test("so many leading bits tell a value from all of each member's, and no fewer", () => {
  fc.assert(
    fc.property(steps, fc.array(value, { minLength: 1, maxLength: 10 }), (script, asked) => {
      const tree = new LaneTree();
      const there: { value: number; member: number }[] = [];
      for (const step of script) {
        if ("add" in step) {
          tree.add(step.add, step.member);
          there.push({ value: step.add, member: step.member });
        } else if (there.length > 0) {
          const [gone] = there.splice(step.remove % there.length, 1);
          tree.remove(gone!.value, gone!.member);
        }
      }
      expect(tree.size).toBe(new Set(there.map(({ value }) => value)).size);
      const leading = new Uint8Array(MAX_MEMBERS);
      for (const one of [...asked, ...there.map(({ value }) => value)]) {
        tree.distinguish(one, leading);
        for (const member of new Set(there.map(({ member }) => member))) {
          const own = there.filter((other) => other.member === member).map(({ value }) => value);
          expect(leading[member]).toBe(told(one, own));
        }
      }
    }),
    { numRuns: 1000 },
  );
});
