import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ethernet } from "@sluice/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { port, SwitchPeer } from "../../packages/controller/src/testing/switch-peer.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const [A, B] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"];
let dir: string;
let file: string;
const daemons: Daemon[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-rec-"));
  file = join(dir, "r.pcapng");
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop("SIGKILL");
  rmSync(dir, { recursive: true });
});

/** Starts a controller, and gives the port on which it listens. */
async function start(...options: string[]): Promise<[Daemon, string]> {
  const daemon = new Daemon(["node", SLUICE, "controller", "--listen=ptcp:0:127.0.0.1", ...options]);
  daemons.push(daemon);
  await daemon.prints(/listening on ptcp:\d+/);
  return [daemon, /listening on (ptcp:\d+:127\.0\.0\.1)/.exec(daemon.output)![1]!];
}

/** A switch on which A and B talk; its messages go one by one, each answered before the next. */
async function conversation(target: string, dpid: bigint, talks = 3, size = 46): Promise<void> {
  const peer = await SwitchPeer.connect(target);
  await peer.handshake(dpid, [port(1), port(2), port(3)]);
  const from = async (in_port: number, src: string, dst: string): Promise<void> => {
    const data = ethernet({ src, dst }, new Uint8Array(size));
    peer.send({
      ...{ type: "OFPT_PACKET_IN", reason: "OFPR_NO_MATCH", match: { in_port }, data, cookie: 0n },
      ...{ total_len: data.length, table_id: 0 },
    });
    await peer.next("OFPT_PACKET_OUT");
  };
  for (let i = 0; i < talks; i++) {
    await from(1, A, B);
    await from(2, B, A);
  }
  peer.end();
  await peer.closed();
}
const replay = (...options: string[]) => run(["node", SLUICE, "controller", `--replay=${file}`, ...options]);

describe("a recording", () => {
  test("replayed with the same apps gives the same; with others, where they differ", async () => {
    const [daemon, target] = await start("--record", file);
    await Promise.all([conversation(target, 1n), conversation(target, 2n)]);
    expect(await daemon.stop()).toBe(0);
    const same = await replay();
    expect(same).toMatchObject({ code: 0, stderr: "" });
    expect(same.stdout.split("\n").sort().slice(1)).toEqual([
      "switch 0000000000000001: 6 events; messages: 13 the same, 0 only in the recording (-), 0 only now (+)",
      "switch 0000000000000002: 6 events; messages: 13 the same, 0 only in the recording (-), 0 only now (+)",
    ]);
    const other = await replay("--max-idle=9");
    expect(other.code).toBe(2);
    expect(other.stdout).toMatch(/^- \d+\.\d{3} OFPT_FLOW_MOD ADD .*dl_dst=02:00:00:00:00:0a .*idle:60/m);
    expect(other.stdout).toMatch(/^\+ \d+\.\d{3} OFPT_FLOW_MOD ADD .*idle:9 .*\[after OFPT_PACKET_IN /m);
  });

  test("what apps made by chance is the same in a replay: the topology app signs its probes alike", async () => {
    const [daemon, target] = await start("--app=topology", "--record", file);
    const peer = await SwitchPeer.connect(target);
    await peer.handshake(1n, [port(1)]);
    const { data } = await peer.next("OFPT_PACKET_OUT");
    expect(data.length).toBeGreaterThan(60);
    peer.end();
    await peer.closed();
    expect(await daemon.stop()).toBe(0);
    const { stdout } = await replay("--app=topology");
    // A probe that was due when the switch went may be in one of them only.
    expect(Number(/messages: (\d+) the same/.exec(stdout)?.[1])).toBeGreaterThanOrEqual(3);
  });

  test("an app's requests are answered from it", async () => {
    const app = join(dir, "asks.mjs");
    writeFileSync(
      app,
      `export default () => ({ name: "asks", events: { datapath_up: async (dp) => {
        await dp.request({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: 5 });
        const { miss_send_len } = await dp.request({ type: "OFPT_GET_CONFIG_REQUEST" });
        return [{ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: miss_send_len }];
      } } });`,
    );
    const [daemon, target] = await start("--record", file, "--app", app);
    const peer = await SwitchPeer.connect(target);
    await peer.handshake(1n, [port(1)]);
    peer.send({ type: "OFPT_BARRIER_REPLY", xid: (await peer.next("OFPT_BARRIER_REQUEST")).xid });
    const { xid } = await peer.next("OFPT_GET_CONFIG_REQUEST");
    peer.send({ type: "OFPT_GET_CONFIG_REPLY", xid, flags: 0, miss_send_len: 77 });
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(77);
    peer.end();
    await daemon.prints(/disconnected/);
    await daemon.stop();
    const result = await replay("--app", app);
    expect([result.stderr, result.code]).toEqual(["", 0]);
    expect(result.stdout).toContain("messages: 3 the same, 0 only in the recording (-), 0 only now (+)");
  });

  test("ends at its limit, and says so; what cannot be recorded or replayed is told in one line", async () => {
    const control = join(dir, "c.ctl");
    const [daemon, target] = await start("--record", file, "--record-limit=1", `--unixctl=${control}`);
    await conversation(target, 1n, 250, 1400);
    await daemon.prints(/recording to .* ends: the file has 1048576 bytes, its limit/);
    expect(await check(["node", SLUICE, "appctl", "-t", control, "controller/show"])).toMatch(
      /^recording to .*\/r\.pcapng: \d+ packets, \d+ bytes, [1-9]\d* packets left out \(ended\)$/m,
    );
    await daemon.stop();
    expect(statSync(file).size).toBeLessThanOrEqual(1 << 20);
    expect((await replay()).stdout).toMatch(/^switch 0000000000000001: \d+ events/);
    const none = await run(["node", SLUICE, "controller", "--record", join(dir, "no", "x")]);
    expect([none.code, none.stderr.split("\n").length]).toEqual([1, 2]);
    expect((await run(["node", SLUICE, "controller", "--replay", "/nowhere"])).stderr).toBe(
      "sluice controller: --replay: /nowhere: no such file\n",
    );
  });
});

describe("a recording in several files", () => {
  test("goes on in the next when one is full, and in the end in the first again", async () => {
    const control = join(dir, "c.ctl");
    const options = ["--record-limit=1", "--record-files=3", `--unixctl=${control}`];
    const [daemon, target] = await start("--record", file, ...options);
    const show = () => check(["node", SLUICE, "appctl", "-t", control, "controller/show"]);
    const filesBefore = async () => Number(/(\d+) files before$/m.exec(await show())?.[1] ?? 0);
    await conversation(target, 1n, 200, 1400);
    expect(await filesBefore()).toBeGreaterThanOrEqual(1);
    expect(existsSync(file)).toBe(false);
    const head = async (path: string) =>
      (await run(["node", SLUICE, "ofctl", "decode", "--pcap", path])).stdout.split("\n")[0];
    // What was said first is in the first file, until its turn comes again.
    expect(await head(`${file}0`)).toContain("OFPT_HELLO");
    for (let dpid = 2n; (await filesBefore()) < 4; dpid++) await conversation(target, dpid, 200, 1400);
    const before = await filesBefore();
    expect(await show()).toMatch(
      new RegExp(
        `^recording to .*/r\\.pcapng${before % 3}: \\d+ packets, \\d+ bytes, 0 packets left out, `,
        "m",
      ),
    );
    await daemon.stop();
    expect(readdirSync(dir).sort()).toEqual(["r.pcapng0", "r.pcapng1", "r.pcapng2"]);
    for (const n of [0, 1, 2]) expect(statSync(file + n).size).toBeLessThanOrEqual(1 << 20);
    // In the order of time, one behind the other, they are one recording.
    writeFileSync(file, Buffer.concat([1, 2, 3].map((n) => readFileSync(`${file}${(before + n) % 3}`))));
    const { stdout, stderr } = await replay();
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      /^switch 0000000000000\d{3}: 400 events; messages: \d+ the same, 0 only in .*, 0 only now/m,
    );
  });

  test.each([
    [["--record-files=1"], '--record-files: "1" is not a number from 2 to 10000'],
    [
      ["--record-files=2", "--record-limit=0"],
      "--record-limit: 0 MiB is too little for each of several files",
    ],
  ])("%j is refused", async (options, line) => {
    const { code, stderr } = await run(["node", SLUICE, "controller", "--record", file, ...options]);
    expect([code, stderr]).toEqual([1, `sluice controller: ${line}\n`]);
  });
});

describeWith({ programs: ["tshark"] }, "a recording in Wireshark", () => {
  test("is OpenFlow 1.3 over TCP without a fault", async () => {
    const [daemon, target] = await start("--record", file);
    await conversation(target, 1n);
    await until(() => daemon.output.includes("disconnected"), "the switch to go");
    await daemon.stop();
    const tshark = (...args: string[]) => check(["tshark", "-n", "-r", file, ...args]);
    const types = (await tshark("-Y", "openflow_v4", "-T", "fields", "-e", "openflow_v4.type")).split(
      /[\s,]+/,
    );
    expect(types.slice(0, 4).sort()).toEqual(["0", "0", "5", "6"]);
    expect(types.filter((type) => type === "10")).toHaveLength(6);
    expect(types.filter((type) => type === "13")).toHaveLength(6);
    expect(await tshark("-Y", "tcp.analysis.flags or _ws.malformed")).toBe("");
    const bad = "tcp.checksum.status == 0 or ip.checksum.status == 0";
    const checked = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    expect(await tshark(...checked, "-Y", bad)).toBe("");
  });
});
