import fc from "fast-check";
import { expect, test } from "vitest";
import { RingReader, RingWriter, ringMemory } from "./ring.js";

const CAPACITY = 32;

test("records come out whole and in order, however they are written and read, and only those that had room", () => {
  const step = fc.oneof(
    fc.record({ write: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ read: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (script) => {
      const memory = ringMemory(CAPACITY);
      const writer = new RingWriter(memory);
      const reader = new RingReader(memory);
      const waiting: number[][] = [];
      let next = 0;
      const readOne = () => {
        const at = reader.next();
        if (at < 0) return undefined;
        const count = reader.words[at]!;
        const record = [...reader.words.subarray(at + 1, at + count)];
        reader.release(at);
        return record;
      };
      for (const step of script) {
        if ("write" in step) {
          const hasRoom = writer.hasRoom(step.write);
          const at = writer.reserve(step.write);
          expect(at >= 0).toBe(hasRoom);
          if (at < 0) {
            // Full: what waits, and what is left out at the end, leave no room for it.
            expect(writer.position - reader.position).toBeGreaterThan(CAPACITY - 2 * step.write);
            continue;
          }
          const record = Array.from({ length: step.write - 1 }, () => next++);
          writer.words.set(record, at + 1);
          writer.commit();
          waiting.push(record);
        } else for (let i = 0; i < step.read; i++) expect(readOne()).toEqual(waiting.shift());
      }
      while (waiting.length > 0) expect(readOne()).toEqual(waiting.shift());
      expect([readOne(), writer.isEmpty]).toEqual([undefined, true]);
    }),
  );
});

test("a reader that waits is woken once; one that finds something does not wait", () => {
  const memory = ringMemory(CAPACITY);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const write = () => {
    writer.reserve(2);
    writer.commit();
  };
  expect(writer.mustWake()).toBe(false);
  expect(reader.mayWait()).toBe(true);
  write();
  expect([writer.mustWake(), writer.mustWake()]).toEqual([true, false]);
  expect(reader.mayWait()).toBe(false);
  write();
  expect(writer.mustWake()).toBe(false);
});
