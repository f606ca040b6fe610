import {
  decode,
  EncodeError,
  encode,
  fromJson,
  interpret,
  OfDecodeError,
  type OfMessageInit,
  parseActions,
} from "@sluice/openflow-codec";
import { describe, expect, test } from "vitest";

/** Work is linear in a message's size, whatever is in it, and recursion is bounded. Work is counted, not timed: every
 *  byte that decoding reads or copies, in messages of which one is twice the other. */

/** The bytes, and how many were read. */
function watched(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly reads: () => number } {
  let count = 0;
  const proxy = new Proxy(bytes, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof key === "string" && /^\d/.test(key)) count++;
      if (typeof value !== "function" || key === "constructor") return value;
      return (...args: unknown[]) => {
        const result = Reflect.apply(value, target, args) as unknown;
        count += result instanceof Uint8Array ? result.length : target.length;
        return result;
      };
    },
  });
  return { bytes: proxy, reads: () => count };
}

const LARGEST = 0xffff;
const u16 = (value: number): number[] => [value >>> 8, value & 0xff];

/** A length at `at` of all that follows `from`, with the padding after it or without. */
interface Length {
  readonly at: number;
  readonly from: number;
  readonly padded?: boolean;
}

/** `head`, then as many of `part` as `size` has room for, padded to 8; lengths filled in. */
function message(
  head: readonly number[],
  part: readonly number[],
  size: number,
  ...lengths: readonly Length[]
): Uint8Array {
  const end = head.length + part.length * Math.floor(((size & ~7) - head.length) / part.length);
  const bytes = new Uint8Array(Math.ceil(end / 8) * 8);
  bytes.set(head);
  for (let at = head.length; at < end; at += part.length) bytes.set(part, at);
  for (const { at, from, padded } of [{ at: 2, from: 0, padded: true }, ...lengths])
    bytes.set(u16((padded ? bytes.length : end) - from), at);
  return bytes;
}

const header = (type: number): number[] => [4, type, 0, 0, 0, 0, 0, 9];
const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
const PACKET_OUT = [...header(13), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, ...zeros(6)];
const FLOW_MOD = [...header(14), ...zeros(32), 0, 0, 0, 0, 0, 0, 0, 0];
const MATCH = [0, 1, 0, 4, 0, 0, 0, 0];
const reply = (type: number): number[] => [...header(19), ...u16(type), ...zeros(6)];
const nicira = (size: number, subtype: number): number[] => [
  0xff,
  0xff,
  ...u16(size),
  0,
  0,
  0x23,
  0x20,
  ...u16(subtype),
];

/** Lists of NXAST_CLONE one in the other, as deep as `size` has room for, `to` at most. */
function clones(size: number, to = Number.POSITIVE_INFINITY): Uint8Array {
  const depth = Math.min(to, Math.floor((size - PACKET_OUT.length) / 16));
  const bytes = [...PACKET_OUT];
  for (let i = 0; i < depth; i++) bytes.push(...nicira(16 * (depth - i), 42), ...zeros(6));
  const all = Uint8Array.from(bytes);
  all.set(u16(all.length), 2);
  all.set(u16(all.length - PACKET_OUT.length), 16);
  return all;
}

/** The same of NXAST_CT. */
function tracked(size: number): Uint8Array {
  const depth = Math.floor((size - PACKET_OUT.length) / 24);
  const bytes = [...PACKET_OUT];
  for (let i = 0; i < depth; i++) bytes.push(...nicira(24 * (depth - i), 35), ...zeros(14));
  const all = Uint8Array.from(bytes);
  all.set(u16(all.length), 2);
  all.set(u16(all.length - PACKET_OUT.length), 16);
  return all;
}

const ACTIONS: Length = { at: 16, from: 24, padded: true };
const ACTION: Length = { at: 26, from: 24, padded: true };
const MATCH_LENGTH: Length = { at: 50, from: 48 };
const TABLE: Length = { at: 16, from: 16, padded: true };
const learnSpec = [0x20, 0x10, 0, 0, 0, 1, 0, 2, 0, 0];
const HOSTILE: Readonly<Record<string, (size: number) => Uint8Array>> = {
  "hello elements of 4 bytes": (size) => message(header(0), [0, 7, 0, 4, 0, 0, 0, 0], size),
  "actions of 8 bytes": (size) => message(PACKET_OUT, [0, 18, 0, 8, 0, 0, 0, 0], size, ACTIONS),
  "instructions without actions": (size) => message([...FLOW_MOD, ...MATCH], [0, 4, 0, 8, 0, 0, 0, 0], size),
  "match fields without value": (size) =>
    message([...FLOW_MOD, 0, 1, 0, 0], [0x80, 0x55, 2, 0], size, MATCH_LENGTH),
  "match fields of experimenters, each another": (size) => {
    const bytes = message([...FLOW_MOD, 0, 1, 0, 0], [0xff, 0xff, 2, 4, 0, 0, 0, 0], size, MATCH_LENGTH);
    for (let at = 52, i = 0; at + 8 <= bytes.length; at += 8, i++) bytes.set([0, 1, ...u16(i)], at + 4);
    return bytes;
  },
  "buckets without actions": (size) =>
    message([...header(15), 0, 0, 0, 0, 0, 0, 0, 1], [0, 16, ...zeros(14)], size),
  "meter bands": (size) =>
    message([...header(29), 0, 0, 0, 1, 0, 0, 0, 1], [0, 1, 0, 16, ...zeros(12)], size),
  "properties of a table": (size) =>
    message([...reply(12), ...zeros(64)], [0, 2, 0, 4, 0, 0, 0, 0], size, TABLE),
  "ids in a property of a table": (size) =>
    message([...reply(12), ...zeros(64), 0, 4, 0, 0], [0, 0, 0, 4], size, TABLE, { at: 82, from: 80 }),
  "fields in a property of a table": (size) =>
    message([...reply(12), ...zeros(64), 0, 8, 0, 0], [0x80, 0, 2, 4], size, TABLE, { at: 82, from: 80 }),
  "flows of a multipart": (size) => message(reply(1), [0, 56, ...zeros(46), ...MATCH], size),
  "ports of a multipart": (size) => message(reply(13), [0, 0, 0, 1, ...zeros(60)], size),
  "bucket counters of a group": (size) => message([...reply(6), ...zeros(40)], zeros(16), size, TABLE),
  "queues without properties": (size) =>
    message([...header(23), ...zeros(8)], [0, 0, 0, 1, 0, 0, 0, 1, 0, 16, ...zeros(6)], size),
  "learn specs": (size) =>
    message([...PACKET_OUT, ...nicira(0, 16), ...zeros(22)], learnSpec, size, ACTIONS, ACTION),
  "properties of controller(2)": (size) =>
    message([...PACKET_OUT, ...nicira(0, 37), ...zeros(6)], [0, 4, 0, 4, 0, 0, 0, 0], size, ACTIONS, ACTION),
  "clones in clones": clones,
  "ct in ct": tracked,
  "a frame": (size) => message(PACKET_OUT, [1], size),
};

/** Too deep, and a field that is there twice. */
const REFUSED = new Set(["clones in clones", "ct in ct", "match fields without value"]);

const attempt = (read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): "value" | OfDecodeError => {
  try {
    read(bytes);
    return "value";
  } catch (error) {
    if (error instanceof OfDecodeError) return error;
    throw error;
  }
};

describe.each(Object.entries(HOSTILE))("%s", (name, make) => {
  test.each([
    ["decode", decode],
    ["interpret", interpret],
  ] as const)("%s reads each byte a bounded number of times", (_what, read) => {
    const half = watched(make(LARGEST >> 1));
    const whole = watched(make(LARGEST));
    if (!REFUSED.has(name)) expect(attempt(read, half.bytes)).toBe("value");
    else attempt(read, half.bytes);
    attempt(read, whole.bytes);
    if (!REFUSED.has(name)) expect(whole.reads()).toBeGreaterThan(LARGEST / 16);
    expect(whole.reads()).toBeLessThan(16 * LARGEST);
    expect(whole.reads()).toBeLessThan(2.1 * half.reads() + 1000);
  });
});

/** As deep as ovs-ofctl's own text goes. */
const DEEPEST = 99;

test("lists in lists of their kind are read to that depth, and refused beyond", () => {
  expect(attempt(decode, clones(LARGEST, DEEPEST))).toBe("value");
  expect(attempt(interpret, clones(LARGEST, DEEPEST))).toBe("value");
  for (const read of [decode, interpret]) {
    const error = attempt(read, clones(LARGEST));
    expect(error).toMatchObject({ error_type: "OFPET_BAD_ACTION", error_code: "OFPBAC_TOO_MANY" });
    expect((error as OfDecodeError).offset).toBe(PACKET_OUT.length + 16 * (DEEPEST + 1));
    expect((error as OfDecodeError).path).toMatch(/^actions\[0\](\.actions\[0\]){99}\.actions$/);
  }
  // The next message starts at the top again.
  expect(attempt(decode, clones(LARGEST, DEEPEST))).toBe("value");
});

test("values, JSON and text deeper than that are refused, not run into the stack's end", () => {
  let action: object = { type: "OFPAT_OUTPUT", port: 1 };
  for (let i = 0; i < 50_000; i++) action = { type: "NXAST_CLONE", actions: [action] };
  const packetOut = { type: "OFPT_PACKET_OUT", in_port: 1, actions: [action] } as OfMessageInit;
  expect(() => encode(packetOut)).toThrow(EncodeError);
  expect(() => fromJson(packetOut)).toThrow(/more than 99 deep/);
  const text = (depth: number): string => `${"clone(".repeat(depth)}output:1${")".repeat(depth)}`;
  expect(
    decode(encode({ ...packetOut, actions: parseActions(text(DEEPEST)) } as OfMessageInit)),
  ).toMatchObject({
    actions: parseActions(text(DEEPEST)),
  });
  expect(() => parseActions(text(DEEPEST + 1))).toThrow(/Action nested too deeply/);
  expect(() => parseActions(text(50_000))).toThrow(/Action nested too deeply/);
});
