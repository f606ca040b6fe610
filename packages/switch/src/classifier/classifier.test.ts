import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Classifier } from "./classifier.js";
import { LinearClassifier } from "./oracle.js";
import type { Classified } from "./subtable.js";

const LANES = 3;
/** Lanes 0 and 2 come first. */
const stageOf = (lane: number): number => (lane === 1 ? 1 : 0);

interface TestRule extends Classified {
  name: string;
}

/** Few different words, so that rules meet, overlap and repeat. */
const word = fc.constantFrom(0, 1, 2, 3, 0x8000_0000, 0xffff_ffff);
const maskWord = fc.constantFrom(0, 1, 3, 0xff, 0xff00_0000, 0xffff_ffff);
const words = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<Uint32Array> =>
  fc.array(arbitrary, { minLength: LANES, maxLength: LANES }).map((list) => Uint32Array.from(list));
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("add" as const),
      key: words(word),
      mask: words(maskWord),
      priority: fc.nat(4),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("remove" as const), index: fc.nat(40) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function build(steps: Step[]): {
  real: Classifier<TestRule>;
  oracle: LinearClassifier<TestRule>;
  rules: TestRule[];
} {
  const real = new Classifier<TestRule>(LANES, stageOf);
  const oracle = new LinearClassifier<TestRule>();
  const rules: TestRule[] = [];
  for (const s of steps) {
    if (s.op === "add") {
      if (real.find(s.key, s.mask, s.priority)) continue;
      const rule: TestRule = {
        name: `r${rules.length}`,
        priority: s.priority,
        subtable: undefined,
        slot: -1,
      };
      real.insert(rule, s.key, s.mask);
      oracle.insert(rule, s.key, s.mask);
      rules.push(rule);
    } else if (rules.length > 0) {
      const [rule] = rules.splice(s.index % rules.length, 1);
      real.remove(rule!);
      oracle.remove(rule!);
    }
  }
  return { real, oracle, rules };
}

const flip = (key: Uint32Array, lane: number, bit: number): Uint32Array => {
  const other = key.slice();
  other[lane]! ^= 1 << bit;
  return other;
};

describe("the classifier equals a linear scan", () => {
  test("in every lookup", () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(words(word), { minLength: 1, maxLength: 20 }),
        (steps, keys) => {
          const { real, oracle, rules } = build(steps);
          expect(real.size).toBe(rules.length);
          for (const key of keys) {
            const found = real.lookup(key);
            const expected = oracle.lookup(key);
            if (expected.length === 0) expect(found).toBeUndefined();
            else expect(expected).toContain(found);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("in loose selection and in overlap", () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        words(word),
        words(maskWord),
        fc.nat(4),
        (steps, key, mask, priority) => {
          const { real, oracle } = build(steps);
          const names = (rules: Iterable<TestRule>): string[] => [...rules].map((rule) => rule.name).sort();
          expect(names(real.looser(key, mask))).toEqual(names(oracle.looser(key, mask)));
          const overlapping = oracle.overlap(key, mask, priority);
          const found = real.overlap(key, mask, priority);
          if (overlapping.length === 0) expect(found).toBeUndefined();
          else expect(overlapping).toContain(found);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("flipping any bit that stays wildcarded gives the same verdict", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), words(word), (steps, key) => {
      const { real } = build(steps);
      const wildcards = { mask: new Uint32Array(LANES), fixed: new Uint32Array(LANES) };
      const verdict = real.lookup(key, wildcards);
      for (let lane = 0; lane < LANES; lane++) {
        for (let bit = 0; bit < 32; bit++) {
          if ((wildcards.mask[lane]! >>> bit) & 1) continue;
          expect(real.lookup(flip(key, lane, bit))).toBe(verdict);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("a lookup stops at the first subtable that no other can beat, and leaves the rest wildcarded", () => {
  const real = new Classifier<TestRule>(LANES);
  const rule = (name: string, priority: number): TestRule => ({
    name,
    priority,
    subtable: undefined,
    slot: -1,
  });
  real.insert(rule("high", 10), Uint32Array.of(1, 0, 0), Uint32Array.of(0xff, 0, 0));
  real.insert(rule("low", 1), Uint32Array.of(0, 7, 0), Uint32Array.of(0, 0xff, 0));
  const wildcards = { mask: new Uint32Array(LANES), fixed: new Uint32Array(LANES) };
  expect(real.lookup(Uint32Array.of(1, 7, 0), wildcards)?.name).toBe("high");
  expect([...wildcards.mask]).toEqual([0xff, 0, 0]);
});

test("what no rule agrees with in an early stage leaves the later ones wildcarded", () => {
  const real = new Classifier<TestRule>(LANES, stageOf);
  const rule: TestRule = { name: "r", priority: 1, subtable: undefined, slot: -1 };
  real.insert(rule, Uint32Array.of(1, 2, 3), Uint32Array.of(0xff, 0xff, 0xff));
  const wildcards = { mask: new Uint32Array(LANES), fixed: new Uint32Array(LANES) };
  expect(real.lookup(Uint32Array.of(9, 2, 3), wildcards)).toBeUndefined();
  expect([...wildcards.mask]).toEqual([0xff, 0, 0xff]);
  expect(real.lookup(Uint32Array.of(1, 9, 3), wildcards)).toBeUndefined();
  expect([...wildcards.mask]).toEqual([0xff, 0xff, 0xff]);
});

test("a bit that an action has fixed is not un-wildcarded", () => {
  const real = new Classifier<TestRule>(LANES);
  real.insert(
    { name: "r", priority: 1, subtable: undefined, slot: -1 },
    Uint32Array.of(1, 2, 0),
    Uint32Array.of(0xff, 0xff, 0),
  );
  const wildcards = { mask: new Uint32Array(LANES), fixed: Uint32Array.of(0xff, 0, 0) };
  real.lookup(Uint32Array.of(1, 2, 3), wildcards);
  expect([...wildcards.mask]).toEqual([0, 0xff, 0]);
});

test("the match of a rule is given back as it was put in, masked", () => {
  const real = new Classifier<TestRule>(LANES);
  const rule: TestRule = { name: "r", priority: 1, subtable: undefined, slot: -1 };
  real.insert(rule, Uint32Array.of(0x1234, 0xffff_ffff, 9), Uint32Array.of(0xff00, 0xffff_ffff, 0));
  expect([...real.keyOf(rule)]).toEqual([0x1200, 0xffff_ffff, 0]);
});
