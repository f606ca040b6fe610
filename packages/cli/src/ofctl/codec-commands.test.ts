import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../main.js";
import { sluice } from "../testing.js";

const HELLO = "04000010000000010001000800000010";
const ECHO = "0402000a000000076869";

const lines = (text: string): unknown[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("decode", () => {
  test("gives a JSON document a line, and goes on after a bad one", async () => {
    const input = `${HELLO}\n\n# a comment\nnot hex\n0402000b00000007\n  ${ECHO}  # hi\n`;
    const { code, stdout, stderr } = await sluice(["ofctl", "decode"], input);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [hello, notHex, tooShort, echo, ...more] = lines(stdout);
    expect(hello).toMatchObject({ type: "OFPT_HELLO", xid: 1 });
    expect(notHex).toMatchObject({ error: { message: expect.stringContaining("line 4") } });
    expect(tooShort).toEqual({
      error: {
        type: "OFPET_BAD_REQUEST",
        code: "OFPBRC_BAD_LEN",
        path: expect.any(String),
        offset: expect.any(Number),
        message: expect.any(String),
      },
    });
    expect(echo).toMatchObject({ type: "OFPT_ECHO_REQUEST", xid: 7, data: "6869" });
    expect(more).toEqual([]);
  });

  test("answers each line as it comes", async () => {
    const stdin = new PassThrough();
    const stdout = new PassThrough();
    const done = main(["ofctl", "decode"], { stdin, stdout, stderr: new PassThrough(), env: {} });
    for (const hex of [HELLO, ECHO]) {
      stdin.write(`${hex}\n`);
      const [chunk] = (await new Promise<unknown[]>((resolve) =>
        stdout.once("data", (...args) => resolve(args)),
      ))!;
      expect(String(chunk)).toMatch(/^\{.*\}\n$/);
    }
    stdin.end();
    expect(await done).toBe(0);
  });

  test("a line without end does not fill the memory", async () => {
    const { stdout } = await sluice(["ofctl", "decode"], `${"0".repeat(1 << 20)}\n${ECHO}`);
    const [tooLong, echo] = lines(stdout);
    expect(tooLong).toMatchObject({ error: { message: "line 1 is longer than any message" } });
    expect(echo).toMatchObject({ xid: 7 });
  });

  test("an unknown format is refused", async () => {
    const { code, stderr } = await sluice(["ofctl", "--format=xml", "decode"], ECHO);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "sluice ofctl: --format xml: allowed are json and text\n",
    });
  });

  test("text is what ovs-ofctl prints", async () => {
    const { stdout } = await sluice(["ofctl", "decode", "--format=text"], `${HELLO}\n0402000b00000007`);
    expect(stdout).toMatch(
      /^OFPT_HELLO \(OF1\.3\) \(xid=0x1\):\n version bitmap: 0x04\nerror: OFPET_BAD_REQUEST /,
    );
  });
});

describe("encode", () => {
  test("takes back what decode gives", async () => {
    const decoded = await sluice(["ofctl", "decode"], `${HELLO}\n${ECHO}\n`);
    expect(await sluice(["ofctl", "encode"], decoded.stdout)).toEqual({
      code: 0,
      stdout: `${HELLO}\n${ECHO}\n`,
      stderr: "",
    });
  });

  test("tells of a bad line, and goes on", async () => {
    const input = '{"type":"OFPT_NOPE"}\nnot json\n{"type":"OFPT_ECHO_REQUEST","xid":7,"data":"6869"}\n';
    const { stdout } = await sluice(["ofctl", "encode"], input);
    const [unknown, notJson, echo] = stdout.trimEnd().split("\n");
    expect(JSON.parse(unknown!)).toMatchObject({ error: { line: 1 } });
    expect(JSON.parse(notJson!)).toMatchObject({ error: { line: 2 } });
    expect(echo).toBe(ECHO);
  });
});

describe("decode --pcap", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "sl-cli-"));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  /** A pcap of one raw IPv4 packet that holds the bytes in a TCP segment. */
  function capture(hex: string): Buffer {
    const payload = Buffer.from(hex, "hex");
    const packet = Buffer.alloc(40 + payload.length);
    packet.set([0x45, 0, 0, packet.length, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.writeUInt16BE(6653, 20);
    packet.writeUInt16BE(40000, 22);
    packet[32] = 0x50;
    payload.copy(packet, 40);
    const header = Buffer.alloc(40);
    header.set([0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4]);
    header[23] = 101;
    header.writeUInt32BE(1_700_000_000, 24);
    header.writeUInt32BE(42, 28);
    header.writeUInt32BE(packet.length, 32);
    header.writeUInt32BE(packet.length, 36);
    return Buffer.concat([header, packet]);
  }

  test("gives time and both ends with each message, which encode leaves aside", async () => {
    const path = join(dir, "x.pcap");
    writeFileSync(path, capture(HELLO + ECHO));
    const { stdout } = await sluice(["ofctl", "decode", "--pcap", path]);
    expect(lines(stdout)).toMatchObject([
      {
        time: "2023-11-14T22:13:20.000042Z",
        src: "10.0.0.1:6653",
        dst: "10.0.0.2:40000",
        type: "OFPT_HELLO",
      },
      { type: "OFPT_ECHO_REQUEST" },
    ]);
    expect((await sluice(["ofctl", "encode"], stdout)).stdout).toBe(`${HELLO}\n${ECHO}\n`);
    const again = await sluice(["ofctl", "decode", "--pcap", path, "--format", "text"]);
    expect(again.stdout).toContain("2023-11-14T22:13:20.000042Z 10.0.0.1:6653 > 10.0.0.2:40000: OFPT_HELLO");
  });

  test("what cannot be read is told in one line", async () => {
    expect(await sluice(["ofctl", "decode", "--pcap", "-"], "hello world")).toEqual({
      code: 1,
      stdout: "",
      stderr: "sluice ofctl: not a pcap or pcapng file\n",
    });
    expect((await sluice(["ofctl", "decode", "--pcap", "/nowhere"])).stderr).toBe(
      "sluice ofctl: /nowhere: no such file\n",
    );
  });
});
