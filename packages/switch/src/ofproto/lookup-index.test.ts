import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { type Looked, LookupIndex, type TableChange } from "./lookup-index.js";
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
interface KeyedLook extends Looked {
  readonly key: FlowKey;
}
const newIndex = () => new LookupIndex<KeyedLook>(({ key }) => key);
const looked = fc
  .record({ table, key, known: mask, priority })
  .map((one): KeyedLook => ({ ...one, group: undefined, place: 0 }));
const change = fc.record({ table, key, mask, priority: fc.nat(3) });

const isConcerned = (one: KeyedLook, { table, key, mask, priority }: TableChange): boolean =>
  one.table === table &&
  priority >= one.priority &&
  mask.every((bits, lane) => ((one.key[lane]! ^ key[lane]!) & bits & one.known[lane]!) === 0);

describe("the lookup index", () => {
  test("finds whom a scan would find, as lookups come and go", () => {
    fc.assert(
      fc.property(fc.array(looked), fc.array(change), fc.array(fc.nat(20)), (all, changes, leaving) => {
        const index = newIndex();
        const present = new Set(all);
        for (const one of all) index.add(one);
        const check = (): void => {
          for (const one of changes) {
            const found = new Set<KeyedLook>();
            index.forEach(one, (looked) => found.add(looked));
            const wanted = [...present].filter((candidate) => isConcerned(candidate, one));
            expect(found.size).toBe(wanted.length);
            expect(wanted.every((looked) => found.has(looked))).toBe(true);
          }
        };
        check();
        for (const at of leaving) {
          const one = all[at];
          if (one && present.delete(one)) index.remove(one);
        }
        check();
      }),
    );
  });

  test("a rule below the one that was found concerns nobody", () => {
    const index = newIndex();
    const all = { table: tables[0]!, key: newFlowKey(), mask: newFlowKey() };
    const known = newFlowKey();
    const own = { table: tables[0]!, key: newFlowKey(), known, priority: 5, group: undefined, place: 0 };
    index.add(own);
    const found = (priority: number) => {
      let count = 0;
      index.forEach({ ...all, priority }, () => count++);
      return count;
    };
    expect([found(4), found(5), found(6)]).toEqual([0, 1, 1]);
  });
});
