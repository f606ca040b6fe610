import fc from "fast-check";
import { expect, test } from "vitest";
import { EmcUse } from "./emc.js";
import { Smc } from "./smc.js";

/** In a few places and with few signatures, so that hashes meet. */
const hash = fc
  .record({ place: fc.nat(2), signature: fc.nat(9) })
  .map(({ place, signature }) => (signature << 20) | place);

test("the signature-match cache tells of a hash what was last put in for it, or nothing", () => {
  const script = fc.array(fc.record({ hash, slot: fc.nat((1 << 20) - 1), isAsked: fc.boolean() }), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(script, (steps) => {
      const smc = new Smc();
      const last = new Map<number, number>();
      for (const { hash, slot, isAsked } of steps) {
        if (isAsked) {
          // An entry that was never written has signature 0 and slot 0.
          const known = [-1, last.get(hash) ?? -1, ...(hash >>> 20 === 0 ? [0] : [])];
          expect(known).toContain(smc.candidate(hash));
        } else {
          smc.insert(hash, slot, 0);
          last.set(hash, slot);
          expect(smc.candidate(hash)).toBe(slot);
        }
      }
    }),
  );
});

test("four hashes with one place are known, a fifth takes the place of one", () => {
  const smc = new Smc();
  const hashes = [1, 2, 3, 4, 5].map((signature) => (signature << 20) | 7);
  for (const [slot, hash] of hashes.entries()) {
    smc.insert(hash, slot, 0);
    const known = hashes.filter((other) => smc.candidate(other) >= 0);
    expect(known).toHaveLength(Math.min(slot + 1, 4));
  }
});

test("slots that do not fit into an entry are not remembered", () => {
  const smc = new Smc();
  smc.insert(0x7000_0000, 1 << 20, 0);
  expect(smc.candidate(0x7000_0000)).toBe(-1);
});

/** Hashes of so many keys, all different in place or signature. */
const spread = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.imul(i, 0x9e37_79b1));
const known = (smc: Smc, hashes: readonly number[]): number =>
  hashes.filter((hash, slot) => smc.candidate(hash) === slot).length;

test("the signature-match cache grows with the flows that there are, and knows nearly all of them", () => {
  const smc = new Smc();
  const hashes = spread(50_000);
  for (const flows of hashes.keys()) smc.fit(flows + 1);
  for (const [slot, hash] of hashes.entries()) smc.insert(hash, slot, 0);
  expect(known(smc, hashes)).toBeGreaterThan(0.98 * hashes.length);
});

test("what it knew is still known, by half, when it has grown, with reserved memory or without", () => {
  for (const smc of [new Smc(), new Smc(1 << 16)]) {
    const hashes = spread(1000);
    for (const [slot, hash] of hashes.entries()) smc.insert(hash, slot, 0);
    const before = known(smc, hashes);
    smc.fit(2000);
    expect(known(smc, hashes)).toBeGreaterThan(0.4 * before);
    for (const [slot, hash] of hashes.entries()) smc.insert(hash, slot, 0);
    expect(known(smc, hashes)).toBeGreaterThan(0.95 * hashes.length);
  }
});

test("it grows, too, when few flows have many keys that cost many masks to find, to a bound", () => {
  const [one, many] = [new Smc(), new Smc()];
  const hashes = spread(20_000);
  for (let round = 0; round < 4; round++) {
    for (const [slot, hash] of hashes.entries()) {
      if (one.candidate(hash) !== slot) one.insert(hash, slot, 0);
      if (many.candidate(hash) !== slot) many.insert(hash, slot, 10);
    }
  }
  expect(known(one, hashes)).toBeLessThan(5000);
  expect(known(many, hashes)).toBeGreaterThan(0.95 * hashes.length);
  const tooMany = spread(1_000_000);
  for (let round = 0; round < 2; round++)
    for (const [slot, hash] of tooMany.entries()) many.insert(hash, slot, 1000);
  expect(known(many, tooMany)).toBeLessThanOrEqual(1 << 18);
});

test("the exact-match cache is asked while it knows most packets, and tried again when it did not", () => {
  const use = new EmcUse();
  use.tell(1024, 1000);
  expect(use.isAsked).toBe(true);
  use.tell(1024, 500);
  expect(use.isAsked).toBe(false);
  let windows = 0;
  for (; !use.isAsked; windows++) use.tell(1024, 0);
  expect(windows).toBeLessThan(16);
  use.tell(1024, 1024);
  expect(use.isAsked).toBe(true);
});
