import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, scratchDir, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, run, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** Hosts a and b have their offloads off, so that what they send are segments with finished checksums. While much of it
 *  comes the kernel merges it at a's port, and cuts it up again at b's: b must not see a difference. c says nothing, and
 *  has all that a sends copied to it. */

const TRANSFER = fileURLToPath(new URL("../support/transfer.py", import.meta.url));
const PORT = 7000;
const B = "10.9.0.2";
const MTU_FRAME = 1514;

const needs = {
  root: true,
  programs: ["ovs-vsctl", "ip", "ethtool", "iperf3", "python3", "tcpdump", "tshark"],
};

describeWith(needs, "segments that are merged on their way", () => {
  const net = new Topology();
  const captures = scratchDir();
  let sut: SwitchUnderTest;
  let server: Daemon;
  let sink: Daemon;

  beforeAll(async () => {
    const netns = await net.add("sw");
    for (const [i, host] of ["a", "b", "c"].entries())
      await net.addHost(host, `10.9.0.${i + 1}/24`, `p${i + 1}`, "sw");
    for (const host of ["a", "b"]) await net.offloadsOff(host, "eth0");
    sut = await startSluice({ netns });
    await sut.vsctl(
      ...["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=secure"],
      ...["p1", "p2", "p3"].flatMap((port) => ["--", "add-port", "br0", port]),
    );
    await sut.ofctl("add-flow", "br0", "in_port=1,actions=output:2,output:3");
    await sut.ofctl("add-flow", "br0", "in_port=2,actions=output:1");
    server = new Daemon(["python3", TRANSFER, "serve", String(PORT)], { netns: net.netns("b") });
    sink = new Daemon(["iperf3", "-s", "--forceflush"], { netns: net.netns("b") });
    await server.prints(/ready/);
    await sink.prints(/listening/);
  });

  afterAll(async () => {
    await server?.stop();
    await sink?.stop();
    await sut?.stop();
    await net.destroy();
    rmSync(captures, { recursive: true, force: true });
  });

  /** Whether a port's device does something, as ethtool says it. */
  async function does(device: string, feature: "tx-checksumming" | "generic-receive-offload") {
    const text = await net.check("sw", ["ethtool", "-k", device]);
    return new RegExp(`^${feature}: on`, "m").test(text);
  }
  const records = (): string[] => readdirSync(sut.rundir).filter((name) => name.endsWith(".features"));
  const merges = (device: string) => does(device, "generic-receive-offload");
  const leavesUnfinished = (device: string) => does(device, "tx-checksumming");

  /** Has a send to b until something is so. */
  async function sendUntil(condition: () => Promise<boolean>, what: string): Promise<void> {
    const sender = new Daemon(["iperf3", "-c", B, "-t", "60"], { netns: net.netns("a") });
    try {
      await until(condition, what, 60_000, () => sender.output);
    } finally {
      await sender.stop("SIGINT");
    }
  }

  /** Carries a megabyte from a to b; gives what each of them saw arrive there, and at c. */
  async function carry(source: number): Promise<Record<string, string[][]>> {
    const sniffers = ["b", "c"].map((host) => {
      const file = join(captures, `${host}-${source}.pcap`);
      const what = `tcp and src port ${source}`;
      const argv = [
        "tcpdump",
        "-i",
        "eth0",
        "-w",
        file,
        "-U",
        "-B",
        "16384",
        "--immediate-mode",
        "-Q",
        "in",
        what,
      ];
      return { host, file, daemon: new Daemon(argv, { netns: net.netns(host) }) };
    });
    for (const { daemon } of sniffers) await daemon.prints(/listening on eth0/);
    await net.check("a", ["python3", TRANSFER, "send", String(PORT), String(source), `tcp@${B}`]);
    const rows: Record<string, string[][]> = {};
    for (const { host, file, daemon } of sniffers) {
      // Written as it comes, so that the end of the file may be half a frame until then.
      const has = async (): Promise<boolean> =>
        (await run([...TSHARK, file])).stdout.split("\n").some((line) => line.startsWith(`${MTU_FRAME}\t`));
      await until(has, `a segment at ${host}`);
      await daemon.stop("SIGINT");
      const text = await check([...TSHARK, file]);
      rows[host] = text
        .trim()
        .split("\n")
        .map((line) => line.split("\t"));
    }
    return rows;
  }

  const portCounts = async (): Promise<{ packets: number; bytes: number }> => {
    const [, packets, bytes] = /rx pkts=(\d+), bytes=(\d+)/.exec(await sut.ofctl("dump-ports", "br0", "1"))!;
    return { packets: Number(packets), bytes: Number(bytes) };
  };

  test("they are merged when there are many, and arrive as they were sent", async () => {
    expect(await Promise.all([merges("p1"), leavesUnfinished("p2"), leavesUnfinished("p3")])).toEqual([
      false,
      true,
      true,
    ]);
    await sendUntil(() => merges("p1"), "segments to be merged");
    expect(await Promise.all(["p1", "p2", "p3"].map(leavesUnfinished))).toEqual([false, false, false]);
    const before = await portCounts();
    await sendUntil(async () => {
      const { packets, bytes } = await portCounts();
      return bytes - before.bytes > MTU_FRAME * (packets - before.packets);
    }, "frames that are longer than what was sent");
    const rows = await carry(20_000);
    for (const [host, frames] of Object.entries(rows)) {
      const wrong = frames.filter(
        ([size, ip, tcp]) => Number(size) > MTU_FRAME || ip !== GOOD || tcp !== GOOD,
      );
      expect(wrong.slice(0, 5), host).toEqual([]);
    }
  });

  test("a tunnel of the hosts' gets through", async () => {
    for (const [host, local, remote] of [
      ["a", 1, 2],
      ["b", 2, 1],
    ] as const) {
      const ends = ["local", `10.9.0.${local}`, "remote", `10.9.0.${remote}`, "dev", "eth0"];
      const type = ["type", "vxlan", "id", "5", "dstport", "4789", "udpcsum", ...ends];
      await net.check(host, ["ip", "link", "add", "tunnel", ...type]);
      await net.check(host, ["ethtool", "-K", "tunnel", "tx", "off", "gso", "off", "gro", "off"]);
      await net.check(host, ["ip", "addr", "add", `10.20.0.${local}/24`, "dev", "tunnel"]);
      await net.check(host, ["ip", "link", "set", "tunnel", "up"]);
    }
    await net.check("a", ["python3", TRANSFER, "send", String(PORT), "21000", "tcp@10.20.0.2"]);
    expect(await merges("p1")).toBe(true);
  });

  test("devices are as they were when a host turns its offloads on, and when a port goes", async () => {
    await net.check("a", ["ethtool", "-K", "eth0", "tx", "on", "sg", "on", "tso", "on"]);
    await sendUntil(async () => !(await merges("p1")), "nothing to be merged");
    expect(await Promise.all(["p1", "p2", "p3"].map(leavesUnfinished))).toEqual([true, true, true]);
    await net.offloadsOff("a", "eth0");
    await sendUntil(() => merges("p1"), "segments to be merged again");
    await sut.vsctl("del-port", "br0", "p1");
    await until(
      async () => !(await merges("p1")) && (await leavesUnfinished("p1")) && (await leavesUnfinished("p2")),
      "devices as they were",
    );
    await until(async () => records().length === 0, "nothing on record");
    await sut.vsctl("add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1");
  });

  test("a switch that is killed leaves them changed, and the next puts them back; not those of another device of the name", async () => {
    await sendUntil(() => merges("p1"), "segments to be merged once more");
    expect(records()).toHaveLength(1);
    await sut.crash();
    expect(await Promise.all([merges("p1"), ...["p1", "p2", "p3"].map(leavesUnfinished)])).toEqual([
      true,
      false,
      false,
      false,
    ]);
    await net.check("sw", ["ip", "link", "del", "p3"]);
    await net.check("sw", ["ip", "link", "add", "p3", "type", "veth", "peer", "name", "far3"]);
    await net.check("sw", ["ethtool", "-K", "p3", "tx", "off"]);
    sut.startAgain();
    await until(async () => records().length === 0, "the record to have served", 30_000);
    expect(await Promise.all([merges("p1"), ...["p1", "p2", "p3"].map(leavesUnfinished)])).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(sut.daemons[1]!.output).toMatch(/p1: gro off again, as it was before/);
    // It goes on as the first did.
    await sut.ofctl("add-flow", "br0", "in_port=1,actions=output:2,output:3");
    await sut.ofctl("add-flow", "br0", "in_port=2,actions=output:1");
    await sendUntil(() => merges("p1"), "segments to be merged by the second");
  });
});

const TSHARK = [
  ...["tshark", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-T", "fields"],
  ...["frame.len", "ip.checksum.status", "tcp.checksum.status"].flatMap((name) => ["-e", name]),
  "-r",
];
/** As tshark says of a checksum. */
const GOOD = "1";
