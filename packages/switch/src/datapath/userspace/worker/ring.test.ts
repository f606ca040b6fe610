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
            // Full: what waits, what is left out at the end, and what is read but not told, leave no room for it.
            expect(writer.position - reader.position).toBeGreaterThan(
              CAPACITY - 2 * step.write - CAPACITY / 16,
            );
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

test("what is committed soon is seen when it is published, or there is much of it", () => {
  const memory = ringMemory(4096);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const write = (words: number) => {
    writer.reserve(words);
    writer.commitSoon();
  };
  const readAll = () => {
    let words = 0;
    for (let at = reader.next(); at >= 0; at = reader.next()) {
      words += reader.words[at]!;
      reader.release(at);
    }
    return words;
  };
  write(10);
  expect([readAll(), writer.isEmpty]).toEqual([0, false]);
  writer.publish();
  expect([readAll(), writer.isEmpty]).toEqual([10, true]);
  for (let i = 0; i < 100; i++) write(10);
  const seen = readAll();
  expect(seen).toBeGreaterThan(400);
  expect(seen).toBeLessThan(1000);
  writer.publish();
  expect([readAll() + seen, writer.isEmpty]).toEqual([1000, true]);
});
