import { describe, expect, test } from "vitest";
import { helloVerdict } from "./hello.js";

const verdict = (hex: string) => helloVerdict(Buffer.from(hex.replaceAll(" ", ""), "hex"));

describe("§6.3.1 version negotiation", () => {
  test.each([
    ["1.3 with its bitmap", "04 00 0010 00000001 0001 0008 00000010"],
    ["1.5 whose bitmap has 1.3", "06 00 0010 00000001 0001 0008 00000052"],
    ["1.5 without a bitmap, which includes all before", "06 00 0008 00000001"],
    ["an unknown element before the bitmap", "06 00 0018 00000001 0009 0006 0000 0000 0001 0008 00000010"],
  ])("%s is agreed", (_, hex) => {
    expect(verdict(hex)).toEqual({ ok: true });
  });

  test.each([
    ["1.0", "01 00 0008 00000009", /version 1 or earlier/],
    ["1.3 in the header but only 1.0 in the bitmap", "04 00 0010 00000009 0001 0008 00000002", /version 1;/],
    ["another message before the HELLO", "04 05 0008 00000009", /expecting OFPT_HELLO/],
  ])("%s is refused with a text", (_, hex, text) => {
    expect(verdict(hex)).toMatchObject({ ok: false, xid: 9, text: expect.stringMatching(text) });
  });
});
