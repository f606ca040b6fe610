import fc from "fast-check";
import { expect, test } from "vitest";
import { DP_LANES, newFlowKey } from "../../flow/flow-key.js";
import { Emc, hashKey } from "./emc.js";
import { interpretFind, MaskTable } from "./mask-table.js";
import { Megaflows } from "./megaflow.js";

/** Small numbers in few lanes, so that keys meet. */
const lanes = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 });
const toKey = (words: readonly number[]) => {
  const key = newFlowKey();
  words.forEach((word, i) => {
    key[[0, 5, 10, 20][i]!] = word;
  });
  return key;
};

const steps = fc.array(
  fc.oneof(
    fc.record({ put: fc.nat(12), key: lanes, mask: lanes }),
    fc.record({ del: fc.nat(12) }),
    fc.record({ find: lanes }),
  ),
  { maxLength: 80 },
);

test("megaflows, and the cache before them, agree with a list that is searched from its end", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const flows = new Megaflows(1000);
      const emc = new Emc(4, 36);
      let list: { id: number; key: number[]; mask: number[] }[] = [];
      const isSame = (a: number[], b: number[], mask: number[]) =>
        a.every((word, i) => ((word ^ b[i]!) & mask[i]!) === 0);
      for (const step of script) {
        if ("put" in step) {
          if (list.some(({ id }) => id === step.put)) continue;
          flows.put({ id: step.put, key: toKey(step.key), mask: toKey(step.mask), actions: [] });
          list.push({ id: step.put, key: step.key, mask: step.mask });
        } else if ("del" in step) {
          flows.remove(step.del);
          // An equal flow that was displaced does not come back: its owner is to delete it.
          list = list.filter(({ id }) => id !== step.del);
        } else {
          const key = toKey(step.find);
          const hash = hashKey(key, DP_LANES);
          let slot = emc.lookup(key, DP_LANES, hash, flows);
          if (slot < 0) {
            slot = flows.lookup(key);
            if (slot >= 0) emc.insert(key, DP_LANES, hash, slot, flows);
          }
          const matching = list.filter((flow) => isSame(flow.key, step.find, flow.mask));
          if (slot >= 0) {
            flows.count(slot, 1, 0, 0);
            const [delta] = flows.takeCounts();
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

test("the interpreted lookup finds what the generated one finds", () => {
  const mask = toKey([3, 0, 0xffff_ffff, 0]);
  const tables = [new MaskTable(mask), new MaskTable(mask, interpretFind)];
  const keyOf = (i: number) => toKey([i, i, 0xffff_fff0 + (i >>> 2), 5]);
  for (const table of tables) for (let i = 0; i < 60; i += 3) table.insert(keyOf(i), i);
  const [generated, interpreted] = tables.map((table) =>
    Array.from({ length: 64 }, (_, i) => table.find(keyOf(i))),
  );
  expect(interpreted).toEqual(generated);
  expect(generated!.filter((slot) => slot >= 0).length).toBeGreaterThan(15);
});

test("ten thousand flows of one mask are found, and after every second is deleted only the others", () => {
  const flows = new Megaflows(1 << 20);
  const mask = toKey([0xffff_ffff, 0, 0, 0]);
  for (let i = 0; i < 10_000; i++) flows.put({ id: i, key: toKey([i, 0, 0, 0]), mask, actions: [] });
  expect([flows.size, flows.masks]).toEqual([10_000, 1]);
  for (let i = 0; i < 10_000; i += 2) flows.remove(i);
  for (let i = 0; i < 10_000; i++) expect(flows.lookup(toKey([i, 9, 9, 9])) >= 0).toBe(i % 2 === 1);
  for (let i = 1; i < 10_000; i += 2) flows.remove(i);
  expect([flows.size, flows.masks]).toEqual([0, 0]);
});

test("a full table refuses more flows, but not new actions for those it has", () => {
  const flows = new Megaflows(1);
  const flow = { key: newFlowKey(), mask: newFlowKey(), actions: [] };
  expect(flows.put({ id: 1, ...flow })).toBe(true);
  expect(flows.put({ id: 2, ...flow })).toBe(false);
  expect(flows.put({ id: 1, ...flow })).toBe(true);
});

test("counts of a slot that is freed and used again go to the right flow", () => {
  const flows = new Megaflows(10);
  const flow = { key: newFlowKey(), mask: newFlowKey(), actions: [] };
  for (let id = 0; id < 200; id++) {
    flows.put({ id, ...flow });
    flows.count(flows.lookup(newFlowKey()), 60, id, 0x10);
    if (id < 199) expect(flows.remove(id)).toMatchObject({ id, packets: 1 });
  }
  expect(flows.takeCounts()).toEqual([{ id: 199, packets: 1, bytes: 60, usedMs: 199, tcpFlags: 0x10 }]);
});
