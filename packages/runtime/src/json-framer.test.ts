import fc from "fast-check";
import { expect, test } from "vitest";
import { JsonFramer, JsonFramingError, parseJson, stringifyJson } from "./json-framer.js";

const all = (framer: JsonFramer): unknown[] => {
  const values: unknown[] = [];
  for (let value = framer.next(); value !== undefined; value = framer.next()) values.push(value);
  return values;
};

test("RFC 7047 §4: messages come whole out of any chunking", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue())), {
        maxLength: 5,
      }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (messages, sizes) => {
        const text = messages.map((message) => JSON.stringify(message));
        const bytes = Buffer.from(text.join(" \n"));
        const framer = new JsonFramer();
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!;
          framer.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(all(framer).map(stringifyJson)).toEqual(text.map((one) => stringifyJson(parseJson(one))));
        expect(framer.pendingSize).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});

test("a chunk may be overwritten by its owner afterwards", () => {
  const framer = new JsonFramer();
  const chunk = Buffer.from('{"a":');
  framer.push(chunk);
  chunk.fill(0);
  framer.push(Buffer.from("1}"));
  expect(all(framer)).toEqual([{ a: 1 }]);
});

test.each([
  ["garbage", "GET / HTTP/1.1"],
  ["a bare string", '"x"'],
  ["an unbalanced bracket", "]"],
  ["what only looks like an object", "{a:1}"],
  ["brackets that do not match", "{]"],
])("%s ends the stream", (_what, text) => {
  expect(() => new JsonFramer().push(Buffer.from(text))).toThrow(JsonFramingError);
});

test("invalid UTF-8 ends the stream", () => {
  const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  expect(() => new JsonFramer().push(bytes)).toThrow(/UTF-8/);
});

test("size and depth are bounded", () => {
  const small = new JsonFramer({ maxSize: 10 });
  expect(() => small.push(Buffer.from('{"a":"0123456789'))).toThrow(/longer than 10 bytes/);
  const shallow = new JsonFramer({ maxDepth: 3 });
  shallow.push(Buffer.from("[[[]]]"));
  expect(() => shallow.push(Buffer.from("[[[["))).toThrow(/deeper than 3/);
});

test("what was whole before the garbage is still there", () => {
  const framer = new JsonFramer();
  expect(() => framer.push(Buffer.from('{"a":1} nonsense'))).toThrow();
  expect(all(framer)).toEqual([{ a: 1 }]);
});

test("integers of 64 bits survive; digits in strings stay strings", () => {
  const text = '{"a":9223372036854775807,"b":[-9223372036854775808,1],"c":"1234567890123456789","d":1.5e3}';
  const value = parseJson(text) as Record<string, unknown>;
  expect(value).toEqual({
    a: 9223372036854775807n,
    b: [-9223372036854775808n, 1],
    c: "1234567890123456789",
    d: 1500,
  });
  expect(stringifyJson(value)).toBe(text.replace("1.5e3", "1500"));
});

test("no string is taken for an integer, whatever it begins with", () => {
  const big = 12345678901234567890n;
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("\0", "\\", '"', "1234567890123456", "integer:", ":", " "), { maxLength: 6 }),
      (parts) => {
        const text = parts.join("");
        const value = { [text]: [text, big], x: { y: text } };
        expect(parseJson(stringifyJson(value))).toEqual(value);
      },
    ),
    { examples: [[["\0", "integer:", "1234567890123456"]], [["\0", "1234567890123456"]], [["\0", "\0"]]] },
  );
});

test.each([
  "1e999",
  "-1e309",
  "[0,17976931348623159e300]",
  `{"a":${"9".repeat(401)}}`,
  '["x", 1E+400]',
  "123.5e400",
])("a number that no double can hold is refused: %s", (text) => {
  expect(() => parseJson(text)).toThrow(/^not JSON: number out of range: /);
});

test.each([
  "1e308",
  "[1e-999]",
  '["1e999",["a\\"1e999"," 1e999"]]',
  '{"x":"2f5d91e9-1e99-4e99-9e99-1e999e999e99"}',
])("what only looks like one is as JSON.parse reads it: %s", (text) => {
  expect(parseJson(text)).toEqual(JSON.parse(text));
});
