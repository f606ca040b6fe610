import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, Framer, type OfMessage, type OfMessageInit } from "@sluice/openflow-codec";
import { type Listener, listen } from "@sluice/runtime";
import { fromHex, toHex } from "@sluice/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sluice } from "../testing.js";

/** What a switch of the tests says to each message; bytes go out as they are. */
type Answer = (message: OfMessage) => readonly (OfMessageInit | Uint8Array)[];

let dir: string;
let listener: Listener | undefined;
let heard: Uint8Array[];
let hearing: EventEmitter;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-vconn-"));
  heard = [];
  hearing = new EventEmitter();
});
afterEach(async () => {
  await listener?.close();
  rmSync(dir, { recursive: true });
});

const HELLO = encode({ type: "OFPT_HELLO", elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [1 << 4] }] });

/** A bridge br0 that begins with `hello` and answers by `answer`. */
async function bridge(answer: Answer, hello: Uint8Array = HELLO): Promise<void> {
  const serve = (socket: Socket): void => {
    const framer = new Framer();
    socket.write(hello);
    socket.on("data", (chunk) => {
      framer.push(chunk);
      for (let bytes = framer.next(); bytes !== undefined; bytes = framer.next()) {
        heard.push(bytes);
        hearing.emit("message");
        const message = decode(bytes);
        if (message.type === "OFPT_HELLO") continue;
        for (const reply of answer(message))
          socket.write(reply instanceof Uint8Array ? reply : encode(reply));
      }
    });
  };
  listener = await listen(`punix:${join(dir, "br0.mgmt")}`, serve);
}

/** The first `count` messages that the switch has heard. */
async function heardFirst(count: number): Promise<Uint8Array[]> {
  while (heard.length < count) await once(hearing, "message");
  return heard.slice(0, count);
}

const ofctl = (...args: string[]) => sluice(["ofctl", ...args], "", { SLUICE_RUNDIR: dir });
const barrierAnd =
  (answer: Answer): Answer =>
  (message) =>
    message.type === "OFPT_BARRIER_REQUEST"
      ? [{ type: "OFPT_BARRIER_REPLY", xid: message.xid }]
      : answer(message);

describe("the version is agreed on", () => {
  test("by bitmaps, where both have one", async () => {
    const hello = encode({
      type: "OFPT_HELLO",
      version: 6,
      elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [0b1110010] }],
    });
    await bridge(({ xid }) => [{ type: "OFPT_ECHO_REPLY", xid }], hello);
    expect(await ofctl("probe", "br0")).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("or not: one line names both sides' versions, and the switch is told", async () => {
    await bridge(() => [], fromHex("0100000800000001"));
    expect(await ofctl("probe", "br0")).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "sluice ofctl: br0: no version in common: we speak OpenFlow13 (0x04), the switch OpenFlow10 (0x01)\n",
    });
    expect((await heardFirst(2)).map((bytes) => decode(bytes).type)).toEqual(["OFPT_HELLO", "OFPT_ERROR"]);
  });

  test("a peer that is no switch is told from one", async () => {
    await bridge(() => [], Buffer.from("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".repeat(1000)));
    const { code, stderr } = await ofctl("probe", "br0");
    expect(code).toBe(1);
    expect(stderr.split("\n")).toHaveLength(2);
  });
});

describe("replies", () => {
  test("are told from what else the switch sends, and its echo requests are answered", async () => {
    const noise: OfMessageInit[] = [
      { type: "OFPT_ECHO_REQUEST", xid: 99, data: Uint8Array.of(1, 2) },
      { type: "OFPT_BARRIER_REPLY", xid: 77 },
    ];
    const unknown = fromHex("0463000800000063");
    await bridge(({ type, xid }) =>
      type === "OFPT_ECHO_REQUEST" ? [...noise, unknown, { type: "OFPT_ECHO_REPLY", xid }] : [],
    );
    expect((await ofctl("probe", "br0")).code).toBe(0);
    expect((await heardFirst(3)).map(toHex)).toContain("0403000a000000630102");
  });

  test("in parts are printed as they come, and joined for --json", async () => {
    const part = (xid: number, flags: number, table_id: number): OfMessageInit => ({
      type: "OFPT_MULTIPART_REPLY",
      xid,
      flags,
      body: {
        type: "OFPMP_FLOW",
        entries: [{ table_id, instructions: [] }],
      },
    });
    await bridge((message) =>
      message.type === "OFPT_MULTIPART_REQUEST" && message.body.type === "OFPMP_FLOW"
        ? [part(message.xid, 1, 1), part(message.xid, 0, 2)]
        : message.type === "OFPT_MULTIPART_REQUEST"
          ? [
              {
                type: "OFPT_MULTIPART_REPLY",
                xid: message.xid,
                body: { type: "OFPMP_PORT_DESC", entries: [] },
              },
            ]
          : [],
    );
    const { stdout } = await ofctl("--json", "dump-flows", "br0");
    expect(JSON.parse(stdout).body.entries).toMatchObject([{ table_id: 1 }, { table_id: 2 }]);
    expect((await ofctl("dump-flows", "br0")).stdout.match(/OFPST_FLOW reply/g)).toHaveLength(2);
  });

  test("that never come end with the timeout, and a switch that goes away with one line", async () => {
    await bridge(() => []);
    expect(await ofctl("-t", "0.05", "probe", "br0")).toEqual({
      code: 142,
      stdout: "",
      stderr: "sluice ofctl: not done after 0.05 s\n",
    });
    const asked = ofctl("probe", "br0");
    await heardFirst(4);
    await listener!.close();
    listener = undefined;
    expect((await asked).stderr).toBe("sluice ofctl: br0: the switch closed the connection\n");
  });
});

test("of many changes the refused one is named, and shown whole though the switch gives back 64 bytes", async () => {
  const requests = new Map<number, Uint8Array>();
  await bridge(
    barrierAnd((message) => {
      if (message.type === "OFPT_MULTIPART_REQUEST")
        return [
          { type: "OFPT_MULTIPART_REPLY", xid: message.xid, body: { type: "OFPMP_PORT_DESC", entries: [] } },
        ];
      if (message.type !== "OFPT_FLOW_MOD" || message.priority !== 7) return [];
      requests.set(message.xid, encode(message));
      const error = { error_type: "OFPET_FLOW_MOD_FAILED", error_code: "OFPFMFC_TABLE_FULL" } as const;
      return [{ type: "OFPT_ERROR", xid: message.xid, ...error, data: encode(message).subarray(0, 64) }];
    }),
  );
  const flows = "priority=6,ip,actions=1\npriority=7,tcp,tp_dst=80,actions=2,3\n";
  const { code, stderr } = await sluice(["ofctl", "add-flows", "br0", "-"], flows, { SLUICE_RUNDIR: dir });
  expect(code).toBe(1);
  expect(stderr).toContain("sluice ofctl: -:2: refused: OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL\n");
  expect(stderr).toContain("ADD priority=7,tcp,tp_dst=80 actions=output:2,output:3");
});
