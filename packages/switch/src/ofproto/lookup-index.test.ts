import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newFlowKey } from "../flow/flow-key.js";
import { LookupIndex, type TableChange } from "./lookup-index.js";
import { OfTable } from "./oftable.js";

const tables = [new OfTable(0), new OfTable(1)];

/** A key of four small words, so that they meet often. */
const words = (lanes: readonly number[]) => {
  const key = newFlowKey();
  lanes.forEach((lane, i) => {
    key[i] = lane;
  });
  return key;
};
const key = fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }).map(words);
const mask = fc.array(fc.constantFrom(0, 0, 1, 3), { minLength: 4, maxLength: 4 }).map(words);
const table = fc.constantFrom(...tables);
const priority = fc.integer({ min: -1, max: 3 });
const changed = fc.option(fc.record({ key, known: mask }), { nil: undefined });
const lookups = fc.array(fc.record({ table, priority, changed }), { maxLength: 3 });
/** On whose behalf tables are looked into: the flow, what is known of it, and the lookups. */
const owner = fc.record({ key, known: mask, lookups });
const change = fc.record({ table, key, mask, priority: fc.nat(3) });
type Owner = typeof owner extends fc.Arbitrary<infer T> ? T : never;

const isConcerned = (one: Owner, { table, key, mask, priority }: TableChange): boolean =>
  one.lookups.some((lookup) => {
    const { key: own, known } = lookup.changed ?? one;
    return (
      lookup.table === table &&
      priority >= lookup.priority &&
      mask.every((bits, lane) => ((own[lane]! ^ key[lane]!) & bits & known[lane]!) === 0)
    );
  });

describe("the lookup index", () => {
  test("finds whom a scan would find, as lookups come and go", () => {
    fc.assert(
      fc.property(fc.array(owner), fc.array(change), fc.array(fc.nat(20)), (all, changes, leaving) => {
        const index = new LookupIndex((one) => all[one]!.key);
        const present = new Map(all.map((one, i) => [i, index.add(i, one.lookups, one.known)]));
        const check = (): void => {
          for (const one of changes) {
            const found = new Set<number>();
            index.forEach(one, (owner) => found.add(owner));
            expect([...found].sort()).toEqual(
              [...present.keys()].filter((candidate) => isConcerned(all[candidate]!, one)).sort(),
            );
          }
        };
        check();
        for (const i of leaving) {
          const first = present.get(i);
          if (first === undefined) continue;
          index.remove(first);
          present.delete(i);
        }
        check();
        // Others come in the places of those that have gone.
        for (const i of leaving) {
          const one = all[i];
          if (one && !present.has(i)) present.set(i, index.add(i, one.lookups, one.known));
        }
        check();
      }),
    );
  });

  test("a rule below the one that was found concerns nobody", () => {
    const index = new LookupIndex(() => newFlowKey());
    const all = { table: tables[0]!, key: newFlowKey(), mask: newFlowKey() };
    index.add(7, [{ table: tables[0]!, priority: 5, changed: undefined }], newFlowKey());
    const found = (priority: number) => {
      let count = 0;
      index.forEach({ ...all, priority }, () => count++);
      return count;
    };
    expect([found(4), found(5), found(6)]).toEqual([0, 1, 1]);
  });
});
