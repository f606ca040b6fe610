import fc from "fast-check";
import { expect, test } from "vitest";
import type { FlowStatsDelta } from "../../../dpif/dpif.js";
import { DP_LANES, newFlowKey } from "../../../flow/flow-key.js";
import { NO_PROGRAM, Programs } from "../actions/programs.js";
import { deltasOf, PackedCounts } from "./counts.js";
import { Emc, hashKey } from "./emc.js";
import { FlowRecords } from "./flow-records.js";
import { Megaflows } from "./megaflow.js";
import { TupleSpace } from "./tuple-space.js";

/** Small numbers in few lanes, so that keys meet. */
const lanes = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 });
const toKey = (words: readonly number[]) => {
  const key = newFlowKey();
  words.forEach((word, i) => {
    key[[0, 5, 10, 20][i]!] = word;
  });
  return key;
};

const NOW = 1000;

function deltasIn(counts: PackedCounts): FlowStatsDelta[] {
  const deltas: FlowStatsDelta[] = [];
  deltasOf(counts.take(NOW), NOW).forEach((delta) => void deltas.push({ ...delta }));
  return deltas;
}

/** What flows have counted, taken in pieces of `limit`. */
function takeCounts(flows: Megaflows, limit = Infinity) {
  const counts = new PackedCounts();
  flows.beginPacking();
  while (!flows.pack(limit, counts));
  return deltasIn(counts);
}

const steps = fc.array(
  fc.oneof(
    fc.record({ put: fc.nat(12), key: lanes, mask: lanes }),
    fc.record({ del: fc.nat(12) }),
    fc.record({ find: lanes }),
  ),
  { maxLength: 80 },
);

const at = (ms: number): Float64Array => Float64Array.of(ms);

/** What a packet's hash has to be good for, and not: two bits of the place, two of the signature. */
const poor = (hash: number): number => hash & 0xc000_0003;

test("megaflows, and the caches before them, agree with a list that is searched from its end", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const flows = new Megaflows(new Programs());
      const emc = new Emc(4, 36);
      let list: { id: number; key: number[]; mask: number[] }[] = [];
      const isSame = (a: number[], b: number[], mask: number[]) =>
        a.every((word, i) => ((word ^ b[i]!) & mask[i]!) === 0);
      for (const step of script) {
        if ("put" in step) {
          if (list.some(({ id }) => id === step.put)) continue;
          flows.put(step.put, step.put, toKey(step.key), toKey(step.mask), NO_PROGRAM);
          list.push({ id: step.put, key: step.key, mask: step.mask });
        } else if ("del" in step) {
          if (list.some(({ id }) => id === step.del)) flows.remove(step.del, new PackedCounts());
          // An equal flow that was displaced does not come back: its owner is to delete it.
          list = list.filter(({ id }) => id !== step.del);
        } else {
          const key = toKey(step.find);
          const hash = hashKey(key, DP_LANES);
          let slot = emc.lookup(key, DP_LANES, hash, flows);
          if (slot < 0) {
            slot = flows.candidate(poor(hash));
            if (slot < 0 || !flows.matches(slot, key)) slot = flows.lookup(key, poor(hash));
            if (slot >= 0) emc.insert(key, DP_LANES, hash, slot, flows);
          }
          const matching = list.filter((flow) => isSame(flow.key, step.find, flow.mask));
          if (slot >= 0) {
            flows.count(slot, 1, at(0), 0);
            const [delta] = takeCounts(flows);
            expect(matching.map(({ id }) => id)).toContain(delta!.id);
          } else {
            // None, or only such as had been displaced.
            const displaced = (flow: (typeof list)[number]) =>
              script.some(
                (other) =>
                  "put" in other &&
                  other.put !== flow.id &&
                  other.mask.join() === flow.mask.join() &&
                  isSame(other.key, flow.key, flow.mask),
              );
            expect(matching.every(displaced)).toBe(true);
          }
        }
      }
    }),
  );
});

test("whatever masks come and go, a key is found by the first that has it", () => {
  const flow = fc.record({ key: lanes, mask: lanes });
  const script = fc.array(fc.oneof(fc.record({ add: flow }), fc.record({ del: fc.nat() })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(script, fc.array(lanes, { minLength: 20, maxLength: 20 }), (steps, keys) => {
      const records = new FlowRecords(64);
      const tuples = new TupleSpace(records);
      const flows: { slot: number; key: number[]; mask: number[] }[] = [];
      const free = Array.from({ length: 64 }, (_, slot) => slot);
      const matches = (one: (typeof flows)[number], key: number[]) =>
        one.mask.every((bits, i) => ((key[i]! ^ one.key[i]!) & bits) === 0);
      for (const step of steps) {
        if ("del" in step) {
          const [gone] = flows.splice(flows.length > 0 ? step.del % flows.length : 0, 1);
          if (!gone) continue;
          tuples.remove(gone.slot);
          free.push(gone.slot);
        } else {
          const slot = free.pop()!;
          const displaced = tuples.insert(slot, toKey(step.add.key), toKey(step.add.mask));
          const before = flows.findIndex((one) => one.slot === displaced);
          if (displaced >= 0 && before < 0) expect.fail("what was displaced was not there");
          if (before >= 0) free.push(flows.splice(before, 1)[0]!.slot);
          flows.push({ slot, ...step.add });
        }
        for (const key of keys) {
          const allowed = flows.filter((one) => matches(one, key)).map(({ slot }) => slot);
          const found = tuples.find(toKey(key));
          if (allowed.length === 0 ? found !== -1 : !allowed.includes(found))
            expect.fail(`${key} led to ${found} in place of ${allowed}`);
        }
        expect(tuples.masks).toBe(new Set(flows.map(({ mask }) => mask.join())).size);
      }
    }),
    { numRuns: 50 },
  );
});

test("a table that grows, shrinks and grows while it is searched finds what a map finds", () => {
  const mask = toKey([0xffff_ffff, 0, 0, 0]);
  const script = fc.record({
    seed: fc.integer({ min: 1 }),
    // How likely a flow comes rather than goes, by phases.
    phases: fc.array(fc.constantFrom(0.1, 0.5, 0.9), { minLength: 2, maxLength: 6 }),
  });
  fc.assert(
    fc.property(script, ({ seed, phases }) => {
      const records = new FlowRecords(4096);
      const table = new TupleSpace(records);
      const present = new Map<number, number>();
      const values: number[] = [];
      let random = seed;
      const next = (): number => {
        random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        return random >>> 8;
      };
      let slot = 0;
      for (const share of phases) {
        for (let i = 0; i < 600; i++) {
          const value = next() % 2000;
          const key = toKey([value, 0, 0, 0]);
          if (next() % 100 < 100 * share) {
            const before = present.get(value) ?? -1;
            if (table.insert(slot, key, mask) !== before) expect.fail(`${value}: another was displaced`);
            if (before < 0) values.push(value);
            present.set(value, slot++);
          } else if (values.length > 0) {
            const [gone] = values.splice(next() % values.length, 1);
            table.remove(present.get(gone!)!);
            present.delete(gone!);
            if (table.find(toKey([gone!, 0, 0, 0])) !== -1) expect.fail(`${gone} is still there`);
          }
          if (table.find(key) !== (present.get(value) ?? -1)) expect.fail(`${value} is not found`);
        }
        for (const [value, slot] of present)
          if (table.find(toKey([value, 0, 0, 0])) !== slot) expect.fail(`${value} is lost`);
      }
    }),
    { numRuns: 30 },
  );
});

test("ten thousand flows of one mask are found, and after every second is deleted only the others", () => {
  const flows = new Megaflows(new Programs());
  const counts = new PackedCounts();
  const mask = toKey([0xffff_ffff, 0, 0, 0]);
  for (let i = 0; i < 10_000; i++) flows.put(i, i, toKey([i, 0, 0, 0]), mask, NO_PROGRAM);
  expect([flows.size, flows.masks]).toEqual([10_000, 1]);
  for (let i = 0; i < 10_000; i += 2) flows.remove(i, counts);
  for (let i = 0; i < 10_000; i++) expect(flows.lookup(toKey([i, 9, 9, 9]), 0) >= 0).toBe(i % 2 === 1);
  for (let i = 1; i < 10_000; i += 2) flows.remove(i, counts);
  expect([flows.size, flows.masks]).toEqual([0, 0]);
});

test("counts of a slot that is freed and used again go to the right flow", () => {
  const flows = new Megaflows(new Programs());
  const counts = new PackedCounts();
  for (let id = 0; id < 200; id++) {
    flows.put(0, id, newFlowKey(), newFlowKey(), NO_PROGRAM);
    flows.count(flows.lookup(newFlowKey(), 0), 60, at(id), 0x10);
    if (id === 199) break;
    flows.remove(0, counts);
    expect(deltasIn(counts)).toMatchObject([{ id, packets: 1 }]);
  }
  expect(takeCounts(flows)).toEqual([{ id: 199, packets: 1, bytes: 60, usedMs: 199, tcpFlags: 0x10 }]);
});

test("a flow that is replaced is found at once, and each id has the packets of its time", () => {
  const flows = new Megaflows(new Programs());
  const counts = new PackedCounts();
  flows.put(3, 7, newFlowKey(), newFlowKey(), NO_PROGRAM);
  for (let i = 0; i < 2; i++) flows.count(flows.lookup(newFlowKey(), 0), 60, at(1), 0);
  flows.replace(3, 8, NO_PROGRAM, counts);
  flows.count(flows.lookup(newFlowKey(), 0), 60, at(2), 0);
  expect(deltasIn(counts)).toMatchObject([{ id: 7, packets: 2 }]);
  expect(takeCounts(flows)).toMatchObject([{ id: 8, packets: 1 }]);
});

test("counts that are packed in pieces are complete, with packets, deletions and new flows between the pieces", () => {
  const script = fc.array(
    fc.oneof(
      fc.record({ count: fc.nat(9) }),
      fc.record({ change: fc.nat(9), how: fc.constantFrom("put", "remove", "replace") }),
      fc.record({ pack: fc.integer({ min: 1, max: 3 }) }),
    ),
    { maxLength: 100 },
  );
  const keyOf = (slot: number) => toKey([slot & 3, slot >>> 2, 0, 0]);
  const mask = toKey([3, 3, 0, 0]);
  fc.assert(
    fc.property(script, (steps) => {
      const flows = new Megaflows(new Programs());
      const counts = new PackedCounts();
      const idOf = new Map<number, number>();
      const expected = new Map<number, number>();
      let nextId = 100;
      let isPacking = false;
      for (const step of steps) {
        if ("count" in step) {
          const id = idOf.get(step.count);
          if (id === undefined) continue;
          flows.count(flows.lookup(keyOf(step.count), 0), 60, at(0), 0);
          expected.set(id, (expected.get(id) ?? 0) + 1);
        } else if ("pack" in step) {
          if (!isPacking) flows.beginPacking();
          isPacking = !flows.pack(step.pack, counts);
        } else {
          const slot = step.change;
          const isThere = idOf.has(slot);
          if (step.how === "put" && !isThere) flows.put(slot, nextId, keyOf(slot), mask, NO_PROGRAM);
          else if (step.how === "replace" && isThere) flows.replace(slot, nextId, NO_PROGRAM, counts);
          else if (step.how === "remove" && isThere) flows.remove(slot, counts);
          else continue;
          if (step.how === "remove") idOf.delete(slot);
          else idOf.set(slot, nextId++);
        }
      }
      flows.pack(Infinity, counts);
      flows.beginPacking();
      flows.pack(Infinity, counts);
      const told = new Map<number, number>();
      for (const { id, packets } of deltasIn(counts)) told.set(id, (told.get(id) ?? 0) + packets);
      expect(told).toEqual(expected);
      expect(flows.hasCounts).toBe(false);
    }),
  );
});
