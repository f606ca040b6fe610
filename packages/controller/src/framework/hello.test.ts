import { expect, test } from "vitest";
import { readHello } from "./hello.js";

const hello = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(" ", ""), "hex");

test.each([
  ["OpenFlow 1.3 without elements", "04 00 0008 00000001", { ok: true }],
  ["1.5 without elements stands for all before it", "06 00 0008 00000001", { ok: true }],
  ["a bitmap decides, whatever the header says", "06 00 0010 00000001 0001 0008 00000012", { ok: true }],
  ["1.0 only", "01 00 0008 00000001", { ok: false, theirs: "only OpenFlow 1.0" }],
  [
    "a bitmap without 1.3",
    "06 00 0010 00000001 0001 0008 00000042",
    { ok: false, theirs: "only OpenFlow 1.0, OpenFlow 1.5" },
  ],
  [
    "unknown elements are passed over",
    "04 00 0018 00000001 0007 0005 ff000000 0001 0008 00000010",
    { ok: true },
  ],
  ["an element cut short counts as none", "04 00 000c 00000001 0001 0008", { ok: true }],
  ["an element without a length counts as none", "04 00 0010 00000001 0007 0000 00000000", { ok: true }],
  [
    "another message first",
    "04 05 0008 00000001",
    { ok: false, theirs: "no OFPT_HELLO (its first message has type 5)" },
  ],
])("%s", (_name, bytes, verdict) => {
  expect(readHello(hello(bytes))).toEqual(verdict);
});
