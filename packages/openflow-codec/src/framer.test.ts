import fc from "fast-check";
import { expect, test } from "vitest";
import { encode, Framer, OfDecodeError } from "./index.js";

const messages = [
  encode({ type: "OFPT_HELLO" }),
  encode({ type: "OFPT_ECHO_REQUEST", data: Uint8Array.from({ length: 300 }, (_, i) => i) }),
  encode({ type: "OFPT_BARRIER_REQUEST" }),
  encode({ type: "OFPT_ECHO_REPLY", data: new Uint8Array(65_527) }),
];
const stream = Uint8Array.from(messages.flatMap((message) => [...message]));

function drain(framer: Framer): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let next = framer.next(); next !== undefined; next = framer.next()) out.push(next);
  return out;
}

test("any chunking gives the same messages", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 30 }), (sizes) => {
      const framer = new Framer();
      const out: Uint8Array[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        framer.push(stream.slice(at, at + size));
        out.push(...drain(framer));
        at += size;
      }
      expect(out.map((message) => message.length)).toEqual(messages.map((message) => message.length));
      expect(out.every((message, i) => Buffer.compare(message, messages[i]!) === 0)).toBe(true);
      expect(framer.pending).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test("byte by byte takes time in proportion to the bytes", () => {
  const framer = new Framer();
  let count = 0;
  for (let i = 0; i < stream.length; i++) {
    framer.push(stream.subarray(i, i + 1));
    count += drain(framer).length;
  }
  expect(count).toBe(messages.length);
});

test("a message taken from a joined buffer is not overwritten by later chunks", () => {
  const framer = new Framer();
  framer.push(messages[1]!.slice(0, 100));
  framer.push(messages[1]!.slice(100));
  const first = framer.next()!;
  framer.push(new Uint8Array(300).fill(0xff));
  expect(Buffer.compare(first, messages[1]!)).toBe(0);
});

test("a length below a header's ends the stream with an error", () => {
  const framer = new Framer();
  framer.push(Uint8Array.of(4, 0, 0, 7, 0, 0, 0, 0));
  expect(() => framer.next()).toThrow(OfDecodeError);
});

test("what waits is bounded", () => {
  const framer = new Framer(100_000);
  framer.push(new Uint8Array(60_000));
  expect(() => framer.push(new Uint8Array(60_000))).toThrow(/would wait/);
});
