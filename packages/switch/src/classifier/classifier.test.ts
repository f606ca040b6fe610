import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Classifier, type Conjoined } from "./classifier.js";
import type { Conjunction } from "./conjunction.js";
import { LinearClassifier } from "./oracle.js";
import type { Classified } from "./subtable.js";

const LANES = 3;
const CONJ_ID = 2;
/** Lanes 0 and 2 come first. */
const stageOf = (lane: number): number => (lane === 1 ? 1 : 0);

interface TestRule extends Classified {
  name: string;
}

const newRule = (
  name: string,
  priority: number,
  conjunctions: readonly Conjunction[] | undefined = undefined,
): TestRule => ({ name, priority, conjunctions, subtable: undefined, slot: -1 });

/** Few different words, so that rules meet, overlap and repeat. */
const word = fc.constantFrom(0, 1, 2, 3, 0x8000_0000, 0xffff_ffff);
const maskWord = fc.constantFrom(0, 1, 3, 0xff, 0xff00_0000, 0xffff_ffff);
const words = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<Uint32Array> =>
  fc.array(arbitrary, { minLength: LANES, maxLength: LANES }).map((list) => Uint32Array.from(list));
/** Parts of two conjunctions of two clauses and one of three; fewer words still, so that they become complete. */
const conjunction = fc
  .tuple(fc.constantFrom(1, 1, 2, 3), fc.nat(2))
  .map(([id, i]): Conjunction => ({ id, clause: id === 3 ? i : i % 2, n_clauses: id === 3 ? 3 : 2 }));
const bit = fc.constantFrom(0, 1);
const adds = (keyWord: fc.Arbitrary<number>, maskWord: fc.Arbitrary<number>, isPart: fc.Arbitrary<boolean>) =>
  fc.record({
    op: fc.constant("add" as const),
    key: words(keyWord),
    mask: words(maskWord),
    priority: fc.nat(4),
    conjunctions: isPart.chain((is) =>
      is ? fc.array(conjunction, { minLength: 1, maxLength: 3 }) : fc.constant(undefined),
    ),
  });
const removes = fc.record({ op: fc.constant("remove" as const), index: fc.nat(40) });
const plainStep = fc.oneof(
  { weight: 4, arbitrary: adds(word, maskWord, fc.constant(false)) },
  { weight: 1, arbitrary: removes },
);
const conjunctiveStep = fc.oneof(
  { weight: 4, arbitrary: adds(bit, bit, fc.boolean()) },
  { weight: 1, arbitrary: adds(fc.constantFrom(0, 1, 2), fc.constantFrom(0, 3), fc.constant(false)) },
  { weight: 1, arbitrary: removes },
);
const steps = (maxLength: number): fc.Arbitrary<Step[]> =>
  fc.oneof(fc.array(plainStep, { maxLength }), fc.array(conjunctiveStep, { maxLength }));
const key = fc.oneof(words(word), words(bit));

type Step = typeof plainStep extends fc.Arbitrary<infer T> ? T : never;

function build(steps: Step[]): {
  real: Classifier<TestRule>;
  oracle: LinearClassifier<TestRule>;
  rules: TestRule[];
} {
  const real = new Classifier<TestRule>(LANES, stageOf, CONJ_ID);
  const oracle = new LinearClassifier<TestRule>(CONJ_ID);
  const rules: TestRule[] = [];
  for (const s of steps) {
    if (s.op === "add") {
      if (real.find(s.key, s.mask, s.priority)) continue;
      const rule = newRule(`r${rules.length}`, s.priority, s.conjunctions);
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
      fc.property(steps(40), fc.array(key, { minLength: 1, maxLength: 20 }), (steps, keys) => {
        const { real, oracle, rules } = build(steps);
        expect(real.size).toBe(rules.length);
        for (const key of keys) {
          const found = real.lookup(key);
          const expected = oracle.lookup(key);
          if (expected.length === 0) expect(found).toBeUndefined();
          else expect(expected).toContain(found);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("in loose selection and in overlap", () => {
    fc.assert(
      fc.property(steps(30), words(word), words(maskWord), fc.nat(4), (steps, key, mask, priority) => {
        const { real, oracle } = build(steps);
        const names = (rules: Iterable<TestRule>): string[] => [...rules].map((rule) => rule.name).sort();
        expect(names(real.looser(key, mask))).toEqual(names(oracle.looser(key, mask)));
        const overlapping = oracle.overlap(key, mask, priority);
        const found = real.overlap(key, mask, priority);
        if (overlapping.length === 0) expect(found).toBeUndefined();
        else expect(overlapping).toContain(found);
      }),
      { numRuns: 300 },
    );
  });
});

test("flipping any bit that stays wildcarded gives the same verdict", () => {
  fc.assert(
    fc.property(steps(30), key, (steps, key) => {
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
    { numRuns: 2000 },
  );
});

test("a lookup stops at the first subtable that no other can beat, and leaves the rest wildcarded", () => {
  const real = new Classifier<TestRule>(LANES);
  real.insert(newRule("high", 10), Uint32Array.of(1, 0, 0), Uint32Array.of(0xff, 0, 0));
  real.insert(newRule("low", 1), Uint32Array.of(0, 7, 0), Uint32Array.of(0, 0xff, 0));
  const wildcards = { mask: new Uint32Array(LANES), fixed: new Uint32Array(LANES) };
  expect(real.lookup(Uint32Array.of(1, 7, 0), wildcards)?.name).toBe("high");
  expect([...wildcards.mask]).toEqual([0xff, 0, 0]);
});

const ruleNamed = (name: string): TestRule => newRule(name, 1);
const noWildcards = () => ({ mask: new Uint32Array(LANES), fixed: new Uint32Array(LANES) });

test("one value that no rule has is enough to know that none matches, and of it the leading bits", () => {
  const real = new Classifier<TestRule>(LANES, stageOf);
  const mask = Uint32Array.of(0xffff_ffff, 0xffff, 0xff);
  real.insert(ruleNamed("a"), Uint32Array.of(0x0a00_0001, 80, 6), mask);
  real.insert(ruleNamed("b"), Uint32Array.of(0x0a00_0002, 80, 6), mask);
  const wildcards = noWildcards();
  // 192 begins with a 1, 10 with a 0; rounded up to four bits.
  expect(real.lookup(Uint32Array.of(0xc0a8_0001, 80, 6), wildcards)).toBeUndefined();
  expect([...wildcards.mask]).toEqual([0xf000_0000, 0, 0]);
  // The bits that are known by now tell this one too, whatever its port.
  expect(real.lookup(Uint32Array.of(0xc0a8_0001, 81, 6), wildcards)).toBeUndefined();
  expect([...wildcards.mask]).toEqual([0xf000_0000, 0, 0]);
});

test("values that occur, but not together, leave what comes after the first stages wildcarded", () => {
  const real = new Classifier<TestRule>(LANES, stageOf);
  const mask = Uint32Array.of(0xff, 0xff, 0xff);
  real.insert(ruleNamed("a"), Uint32Array.of(1, 5, 3), mask);
  real.insert(ruleNamed("b"), Uint32Array.of(2, 5, 4), mask);
  const wildcards = noWildcards();
  expect(real.lookup(Uint32Array.of(1, 5, 4), wildcards)).toBeUndefined();
  expect([...wildcards.mask]).toEqual([0xff, 0, 0xff]);
});

test("a bit that an action has fixed is not un-wildcarded", () => {
  const real = new Classifier<TestRule>(LANES);
  real.insert(newRule("r", 1), Uint32Array.of(1, 2, 0), Uint32Array.of(0xff, 0xff, 0));
  const wildcards = { mask: new Uint32Array(LANES), fixed: Uint32Array.of(0xff, 0, 0) };
  real.lookup(Uint32Array.of(1, 2, 3), wildcards);
  expect([...wildcards.mask]).toEqual([0, 0xff, 0]);
});

test("the match of a rule is given back as it was put in, masked", () => {
  const real = new Classifier<TestRule>(LANES);
  const rule = newRule("r", 1);
  real.insert(rule, Uint32Array.of(0x1234, 0xffff_ffff, 9), Uint32Array.of(0xff00, 0xffff_ffff, 0));
  expect([...real.keyOf(rule)]).toEqual([0x1200, 0xffff_ffff, 0]);
});

test("a conjunction needs a rule for each clause, of one priority; its id finds the rule that counts", () => {
  const real = new Classifier<TestRule>(LANES, stageOf, CONJ_ID);
  const part = (clause: number): Conjunction[] => [{ id: 7, clause, n_clauses: 2 }];
  const exact = Uint32Array.of(0xffff_ffff, 0, 0);
  real.insert(newRule("first", 5, part(0)), Uint32Array.of(1, 0, 0), exact);
  real.insert(newRule("second", 5, part(1)), Uint32Array.of(0, 2, 0), Uint32Array.of(0, 0xff, 0));
  real.insert(newRule("miss", 0), new Uint32Array(LANES), new Uint32Array(LANES));
  const verdict = (...key: number[]): string | undefined => real.lookup(Uint32Array.from(key))?.name;
  expect(verdict(1, 3, 0)).toBe("miss");
  // Nothing is said of conj_id=7 as yet: the lookup with the id finds the table-miss rule too.
  expect(verdict(1, 2, 0)).toBe("miss");
  const answer = newRule("answer", 1);
  real.insert(answer, Uint32Array.of(0, 0, 7), Uint32Array.of(0, 0, 0xffff_ffff));
  const conjoined: Conjoined<TestRule>[] = [];
  expect(real.lookup(Uint32Array.of(1, 2, 0), undefined, conjoined)).toBe(answer);
  expect(conjoined).toMatchObject([{ id: 7, priority: 5, clauses: [{ name: "first" }, { name: "second" }] }]);
  // The lookup with the id goes over all plain rules; one of the clauses' own priority leaves nothing to look up.
  real.insert(newRule("below", 4), Uint32Array.of(1, 0, 0), Uint32Array.of(0xff, 0, 0));
  expect(verdict(1, 2, 0)).toBe("below");
  real.insert(newRule("plain", 5), Uint32Array.of(1, 0, 0), Uint32Array.of(0xf, 0, 0));
  expect(verdict(1, 2, 0)).toBe("plain");
});
