import fc from "fast-check";
import { expect, test } from "vitest";
import { LaneTree } from "./lane-tree.js";

const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff),
  fc.nat(0xffff_ffff),
);
const steps = fc.array(fc.oneof(fc.record({ add: value }), fc.record({ remove: fc.nat(100) })), {
  maxLength: 60,
});

/** Bits that two values have in common from the most significant on. */
const common = (a: number, b: number): number => Math.clz32(a ^ b);

test("so many leading bits tell a value from all others, and no fewer", () => {
  fc.assert(
    fc.property(steps, fc.array(value, { minLength: 1, maxLength: 10 }), (script, asked) => {
      const tree = new LaneTree();
      const values: number[] = [];
      for (const step of script) {
        if ("add" in step) {
          tree.add(step.add);
          values.push(step.add);
        } else if (values.length > 0) {
          const [gone] = values.splice(step.remove % values.length, 1);
          tree.remove(gone!);
        }
      }
      expect(tree.size).toBe(new Set(values).size);
      for (const one of [...asked, ...values]) {
        const longest = Math.max(0, ...values.map((other) => common(one, other)));
        expect(tree.distinguishing(one)).toBe(longest === 32 ? 0 : longest + 1);
      }
    }),
    { numRuns: 500 },
  );
});
