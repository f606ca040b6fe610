import {
  checkBytes,
  decode,
  encode,
  encodeInto,
  formatMessage,
  fuzz,
  OfDecodeError,
  parseFlow,
  toJson,
} from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { allFixtures, FIXTURE_FILES, readFixtures } from "./codec-fixtures.js";

/** The codec's laws, on messages that os-ken and Open vSwitch made. */

/** Of long messages, some places: reading all of it at each would be quadratic. */
const step = (bytes: Uint8Array): number => Math.ceil(bytes.length / 1000);

describe.each(FIXTURE_FILES)("%s", (file) => {
  const fixtures = readFixtures(file);

  test("decode gives the value that the JSON tells of", () => {
    for (const { name, bytes, json } of fixtures) expect(toJson(decode(bytes)), name).toEqual(json);
  });

  test("encode gives the bytes back", () => {
    for (const { name, bytes } of fixtures) expect(toHex(encode(decode(bytes))), name).toBe(toHex(bytes));
  });

  test("encodeInto writes between other bytes and touches none of them", () => {
    for (const { name, bytes } of fixtures) {
      const target = new Uint8Array(bytes.length + 16).fill(0xa5);
      expect(encodeInto(decode(bytes), target, 8), name).toBe(8 + bytes.length);
      expect(toHex(target), name).toBe("a5".repeat(8) + toHex(bytes) + "a5".repeat(8));
    }
  });

  test("every proper prefix is refused, and so is the message with a length that is a prefix's", () => {
    for (const { name, bytes } of fixtures) {
      for (let length = 0; length < bytes.length; length += step(bytes)) {
        const prefix = bytes.slice(0, length);
        expect(() => decode(prefix), `${name}, ${length} bytes`).toThrow(OfDecodeError);
        if (length < 8) continue;
        prefix[2] = length >>> 8;
        prefix[3] = length;
        checkBytes(prefix);
      }
    }
  });

  test("every change of a byte gives a value or an OfDecodeError, the same from compiled and interpreted", () => {
    fixtures.forEach(({ bytes }, i) => {
      const changed = Uint8Array.from(bytes);
      for (let at = i % step(bytes); at < bytes.length; at += step(bytes)) {
        // One of three for each byte: the next fixture of the kind gets another.
        changed[at] = [0xff, bytes[at]! + 1, bytes[at]! - 1][(at + i) % 3]!;
        checkBytes(changed);
        changed[at] = bytes[at]!;
      }
    });
  });
});

/** What ovs-ofctl 3.1 itself prints wrongly: nothing, or no mask, of these fields. */
const NOT_PRINTED = /^(tun_gbp_flags=.*\/|tun_erspan_|tun_gtpu_|dl_type=0x894f,nsh_(c|flags=.*\/))/;

test("ovs-ofctl prints the same text", () => {
  const different: string[] = [];
  for (const { name, bytes, text, file } of allFixtures()) {
    if (text === undefined || file === "os-ken.of13" || file === "ovs-nxm.of13") continue;
    if (NOT_PRINTED.test(name)) continue;
    const message = decode(bytes);
    // Not ours to print alike: a multipart that has no name here.
    // The frame in it is for the caller to print.
    const head = text.replace(/\nicmp,.*$/m, "");
    if (/IPFIX/.test(text)) continue;
    // A paused packet's state and connections' tuples are the switch's own: kept as bytes. And gtpu_flags is no name
    // that ovs-ofctl itself takes.
    if (/continuation\.|NXT_CT_FLUSH |unknown data in hello|gtpu_/.test(text)) continue;
    if (formatMessage(message).trimEnd() !== head)
      different.push(`${name}\n${text}\n${formatMessage(message)}`);
  }
  expect(different).toEqual([]);
});

test("ovs-ofctl add-flow sends what parseFlow makes of the same text", () => {
  const ports = new Map([
    ["p1", 1],
    ["p2", 2],
    ["br0", 0xfffffffe],
  ]);
  for (const { name, bytes } of readFixtures("ovs-flows.of13")) {
    const flow = parseFlow(name, "add", { number: (port) => ports.get(port) });
    expect(toJson(decode(encode({ ...flow, xid: decode(bytes).xid }))), name).toEqual(toJson(decode(bytes)));
    expect(toHex(encode({ ...flow, xid: decode(bytes).xid })), name).toBe(toHex(bytes));
  }
});

test("mutated messages keep the laws (20 000 turns; `npm run fuzz` does more)", () => {
  const seeds = allFixtures().map(({ bytes }) => bytes);
  expect(fuzz(seeds, 20_000, 1)).toBeGreaterThan(1000);
});
