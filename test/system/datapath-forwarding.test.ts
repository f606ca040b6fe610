import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { checksumAdd, checksumFold } from "@sluice/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Topology } from "../support/netns.js";
import { Daemon, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const FORWARDER = fileURLToPath(new URL("./datapath-forwarder.mjs", import.meta.url));

interface FlowSpec {
  in_port: number;
  match?: object;
  actions: readonly object[];
}
interface PortSpec {
  name: string;
  type: string;
  options?: Record<string, string>;
  mac?: string;
  mtu?: number;
}

/** The datapath alone, in a namespace, told what to do line by line. */
class Forwarder {
  readonly #child;
  readonly said: [string, never][] = [];
  readonly #exit: Promise<number | null>;

  constructor(netns: string, ports: readonly PortSpec[], flows: readonly FlowSpec[], hurry = 1) {
    const argument = JSON.stringify({ ports, flows, hurry });
    this.#child = spawn("ip", ["netns", "exec", netns, process.execPath, FORWARDER, argument], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      // One that is killed may end in the middle of a line.
      if (line.endsWith("]")) this.said.push(JSON.parse(line));
    });
    this.#exit = new Promise((resolve) => this.#child.once("exit", (code) => resolve(code)));
  }

  /** What it has said under this name. */
  all<T = Record<string, unknown>>(what: string): T[] {
    return this.said.filter(([name]) => name === what).map(([, value]) => value as T);
  }

  async says<T = Record<string, unknown>>(
    what: string,
    test: (value: T) => boolean = () => true,
  ): Promise<T> {
    await until(
      () => this.all<T>(what).some(test),
      `the datapath to say ${what}`,
      20_000,
      () => JSON.stringify(this.said),
    );
    return this.all<T>(what).find(test)!;
  }

  /** Calls a method of the dpif and gives its result. */
  async call<T = Record<string, unknown>>(method: string, ...args: unknown[]): Promise<T> {
    const before = this.all(method).length;
    this.#child.stdin.write(`${JSON.stringify([method, ...args])}\n`);
    await until(
      () => this.all(method).length > before,
      `an answer to ${method}`,
      20_000,
      () => JSON.stringify(this.said),
    );
    return this.all<T>(method)[before]!;
  }

  /** Descriptors that it has open, and pieces of memory that sockets share with it. */
  get held(): { descriptors: number; rings: number } {
    const proc = `/proc/${this.#child.pid}`;
    return {
      descriptors: readdirSync(`${proc}/fd`).length,
      rings: readFileSync(`${proc}/maps`, "utf8").split("socket:").length - 1,
    };
  }

  async stop(): Promise<number | null> {
    this.#child.stdin.end();
    return this.#exit;
  }

  get exited(): Promise<number | null> {
    return this.#exit;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Whether a frame's TCP checksum holds; true for frames that have none. */
function l4ChecksumIsRight(frame: Uint8Array): boolean {
  const isTcp = frame[12] === 8 && frame[13] === 0 && frame[23] === 6;
  if (!isTcp) return true;
  const end = 14 + ((frame[16]! << 8) | frame[17]!);
  const pseudo = checksumAdd(frame, 26, 34, 6 + end - 34);
  return checksumFold(checksumAdd(frame, 34, end, pseudo)) === 0;
}

const output = (port: number) => ({ type: "output", port });
const CROSS: readonly FlowSpec[] = [
  { in_port: 1, actions: [output(2)] },
  { in_port: 2, actions: [output(1)] },
];
const VETHS: readonly PortSpec[] = [
  { name: "p1", type: "system" },
  { name: "p2", type: "system" },
];

const needs = { root: true, programs: ["ip", "ping", "iperf3", "ethtool"] };

describeWith(needs, "the user-space datapath on real devices", () => {
  let topology: Topology;
  let running: Forwarder[];

  beforeEach(async () => {
    topology = new Topology();
    running = [];
    await topology.add("sw");
  });

  afterEach(async () => {
    for (const forwarder of running) forwarder.kill();
    await topology.destroy();
  });

  async function start(
    ports: readonly PortSpec[],
    flows: readonly FlowSpec[],
    hurry?: number,
  ): Promise<Forwarder> {
    const forwarder = new Forwarder(topology.netns("sw"), ports, flows, hurry);
    running.push(forwarder);
    await forwarder.says("ready");
    return forwarder;
  }

  async function addHosts(offloads: boolean): Promise<void> {
    await topology.addHost("a", "10.9.0.1/24", "p1", "sw", { offloads });
    await topology.addHost("b", "10.9.0.2/24", "p2", "sw", { offloads });
  }

  /** Bits a second that a TCP stream from `from` to `to` carried. */
  async function tcp(from: string, to: string, address: string, how = ["-t", "1"]): Promise<number> {
    const server = new Daemon(["iperf3", "-s", "-1", "--forceflush"], { netns: topology.netns(to) });
    try {
      await server.prints(/Server listening/);
      const text = await topology.check(from, ["iperf3", "-J", "-c", address, ...how]);
      const { end } = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } };
      return end.sum_received.bits_per_second;
    } finally {
      server.kill();
    }
  }

  test.each([
    ["at their defaults", true],
    ["off", false],
  ])("hosts with offloads %s ping and stream TCP each way", async (_, offloads) => {
    await addHosts(offloads);
    const forwarder = await start(VETHS, CROSS);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    // A lost super-frame would leave a few kb/s of retransmissions.
    expect(await tcp("a", "b", "10.9.0.2")).toBeGreaterThan(20e6);
    expect(await tcp("b", "a", "10.9.0.1")).toBeGreaterThan(20e6);
    const stats = await forwarder.call<{ rx_bytes: number; rx_packets: number }>("portStats", 1);
    expect(stats).toMatchObject({ rx_errors: 0, tx_errors: 0 });
    const counters = await forwarder.call("counters");
    expect(counters).toMatchObject({ upcalls: 0, drop_oversize: 0, drop_bad_offload: 0 });
    expect(await forwarder.stop()).toBe(0);
  });

  test("super-frames keep their sense in a VLAN between two switches", async () => {
    await addHosts(true);
    const cable = "ip link add p3 type veth peer name p4 && ip link set p3 up && ip link set p4 up";
    await topology.check("sw", ["sh", "-c", cable]);
    const push = { type: "push_vlan", tpid: 0x8100, tci: 0x6005 };
    const tagged = { vlan_vid: 0x1005, vlan_pcp: 3 };
    // The kernel takes the tag off what arrives by p3 and p4, and tells it beside the frame.
    const forwarder = await start(
      [...VETHS, { name: "p3", type: "system" }, { name: "p4", type: "system" }],
      [
        { in_port: 1, actions: [push, output(3)] },
        { in_port: 4, match: tagged, actions: [{ type: "pop_vlan" }, output(2)] },
        { in_port: 2, actions: [push, output(4)] },
        { in_port: 3, match: tagged, actions: [{ type: "pop_vlan" }, output(1)] },
      ],
    );
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(await tcp("a", "b", "10.9.0.2")).toBeGreaterThan(20e6);
    expect(await tcp("b", "a", "10.9.0.1")).toBeGreaterThan(20e6);
    const { rx_packets, rx_bytes } = await forwarder.call<Record<string, number>>("portStats", 4);
    expect(rx_bytes! / rx_packets!).toBeGreaterThan(1518);
  });

  test("unfinished checksums stay right when addresses and ports are rewritten", async () => {
    await addHosts(true);
    // Host b believes that it speaks with 10.9.0.77: the datapath translates, as NAT does.
    const address = (hex: string) => ({ hex });
    await start(VETHS, [
      {
        in_port: 1,
        match: { eth_type: 0x0800 },
        actions: [{ type: "set_field", field: "ipv4_src", value: address("0a09004d") }, output(2)],
      },
      {
        in_port: 2,
        match: { eth_type: 0x0800 },
        actions: [{ type: "set_field", field: "ipv4_dst", value: address("0a090001") }, output(1)],
      },
      {
        in_port: 1,
        match: { eth_type: 0x0806 },
        actions: [{ type: "set_field", field: "arp_spa", value: address("0a09004d") }, output(2)],
      },
      {
        in_port: 2,
        match: { eth_type: 0x0806 },
        actions: [{ type: "set_field", field: "arp_tpa", value: address("0a090001") }, output(1)],
      },
    ]);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(await tcp("a", "b", "10.9.0.2")).toBeGreaterThan(20e6);
    expect(await tcp("a", "b", "10.9.0.2", ["-R", "-t", "1"])).toBeGreaterThan(20e6);
    expect(await tcp("a", "b", "10.9.0.2", ["-u", "-b", "50M", "-t", "1"])).toBeGreaterThan(20e6);
  });

  test("packets for the slow path come with finished checksums, super-frames in pieces", async () => {
    await addHosts(true);
    const forwarder = await start(VETHS, [
      { in_port: 2, actions: [output(1)] },
      { in_port: 1, actions: [output(2), { type: "userspace", cookie: 7, max_len: 0xffff }] },
    ]);
    await tcp("a", "b", "10.9.0.2", ["-n", "2M"]);
    // How many there is room for depends on the machine; some are pieces of super-frames.
    await forwarder.says<{ size: number }>("upcall", ({ size }) => size === 1514);
    const upcalls = forwarder.all<{ kind: string; cookie: number; size: number; packet: string }>("upcall");
    for (const { kind, cookie, size, packet } of upcalls) {
      expect({ kind, cookie, fits: size <= 1514 }).toEqual({ kind: "action", cookie: 7, fits: true });
      expect(l4ChecksumIsRight(Buffer.from(packet, "hex"))).toBe(true);
    }
  });

  test("a TAP device is the host's way into the switch, and is gone when the datapath ends", async () => {
    await topology.addHost("a", "10.9.0.1/24", "p1", "sw");
    const forwarder = await start(
      [
        { name: "p1", type: "system" },
        { name: "br0", type: "internal", mac: "02:00:00:00:00:99", mtu: 1400 },
      ],
      CROSS,
    );
    expect(forwarder.all("added")[1]).toMatchObject({ mac: "02:00:00:00:00:99", mtu: 1400, admin: false });
    await forwarder.call("portSet", 2, { up: true });
    await topology.check("sw", ["ip", "addr", "add", "10.9.0.9/24", "dev", "br0"]);
    await forwarder.says("port", ({ odpPort, link }) => odpPort === 2 && link === true);
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    expect(await tcp("a", "sw", "10.9.0.9")).toBeGreaterThan(20e6);
    expect(await tcp("sw", "a", "10.9.0.1")).toBeGreaterThan(20e6);
    await forwarder.stop();
    expect((await topology.run("sw", ["ip", "link", "show", "br0"])).code).not.toBe(0);
  });

  test.each(["generic", "native", "best-effort"])(
    "AF_XDP in mode %s carries what a packet socket does",
    async (mode) => {
      await addHosts(false);
      await topology.addHost("c", "10.9.0.3/24", "p3", "sw", { offloads: false });
      const options = { "xdp-mode": mode };
      const isArp = { eth_type: 0x0806 };
      // a and b by AF_XDP; what c sees of their ARP goes by a packet socket.
      const forwarder = await start(
        [
          { name: "p1", type: "system", options },
          { name: "p2", type: "afxdp", options },
          { name: "p3", type: "system" },
        ],
        [
          { in_port: 1, match: isArp, actions: [output(2), output(3)] },
          { in_port: 1, match: { eth_type: 0x0800 }, actions: [output(2)] },
          { in_port: 2, actions: [output(1)] },
          { in_port: 3, actions: [output(1)] },
        ],
      );
      expect(await topology.ping("a", "10.9.0.2")).toBe(true);
      expect(await tcp("a", "b", "10.9.0.2")).toBeGreaterThan(20e6);
      expect(await tcp("b", "a", "10.9.0.1")).toBeGreaterThan(20e6);
      const stats = await forwarder.call<Record<string, number>>("portStats", 1);
      expect(stats).toMatchObject({ rx_errors: 0, tx_errors: 0 });
      expect(stats.rx_packets).toBeGreaterThan(1000);
      expect((await forwarder.call<Record<string, number>>("portStats", 3)).tx_packets).toBeGreaterThan(0);
      // Gone with the port: the host's stack has its packets again.
      expect(await topology.check("sw", ["ip", "link", "show", "p1"])).toContain("xdp");
      await forwarder.stop();
      expect(await topology.check("sw", ["ip", "link", "show", "p1"])).not.toContain("xdp");
    },
  );

  test("link state, MTU and the end of a device are told as they happen, and its return", async () => {
    await addHosts(true);
    const carrier = async () =>
      (await topology.check("sw", ["ip", "link", "show", "p1"])).includes("state UP");
    await until(carrier, "p1 to have a carrier");
    const forwarder = await start(VETHS, CROSS);
    await topology.check("a", ["ip", "link", "set", "eth0", "down"]);
    await forwarder.says("port", ({ odpPort, link }) => odpPort === 1 && link === false);
    await topology.check("sw", ["ip", "link", "set", "p2", "mtu", "1300"]);
    await forwarder.says("port", ({ odpPort, mtu }) => odpPort === 2 && mtu === 1300);
    await topology.check("sw", ["ip", "link", "del", "p1"]);
    await forwarder.says("port", ({ odpPort, gone }) => odpPort === 1 && gone === true);
    const back = "ip link add p1 type veth peer name back && ip link set p1 up && ip link set back up";
    await topology.check("sw", ["sh", "-c", back]);
    await forwarder.says("port", ({ odpPort, gone, link }) => odpPort === 1 && !gone && link === true);
  });

  test("a datapath that fails comes back with its ports, flows and TAP devices", async () => {
    await topology.addHost("a", "10.9.0.1/24", "p1", "sw");
    const forwarder = await start(
      [
        { name: "p1", type: "system" },
        { name: "br0", type: "internal" },
      ],
      CROSS,
    );
    await forwarder.call("portSet", 2, { up: true });
    await topology.check("sw", ["ip", "addr", "add", "10.9.0.9/24", "dev", "br0"]);
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    const before = await forwarder.call<Record<string, number>>("portStats", 1);
    expect(before.rx_packets).toBeGreaterThan(1);
    await forwarder.call("crash");
    await forwarder.says<string>("error", (text) => text.includes("told to crash"));
    await forwarder.says<string>("log", (text) => text.includes("is back"));
    await forwarder.call("barrier");
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    // What the port counted before is in it.
    const after = await forwarder.call<Record<string, number>>("portStats", 1);
    for (const [name, count] of Object.entries(before)) expect(after[name]).toBeGreaterThanOrEqual(count);
    expect(after.rx_packets).toBeGreaterThan(before.rx_packets!);
    expect(await forwarder.call("counters")).toMatchObject({ restarts: 1, flows: 2 });
    expect(await forwarder.stop()).toBe(0);
  });

  test("twenty failures in the middle of traffic are told and made good, and leave nothing open", async () => {
    await addHosts(true);
    const forwarder = await start([...VETHS, { name: "br0", type: "internal" }], CROSS, 1000);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    const traffic = new Daemon(["ping", "-q", "-i", "0.002", "10.9.0.2"], { netns: topology.netns("a") });
    const isBack = (): number =>
      forwarder.all<string>("log").filter((text) => text.includes("is back")).length;
    try {
      let first = forwarder.held;
      for (let failure = 1; failure <= 20; failure++) {
        await forwarder.call("crash");
        await until(() => isBack() === failure, `the datapath to be back for the ${failure}. time`);
        await forwarder.call("barrier");
        if (failure === 1) first = forwarder.held;
      }
      await until(
        () => forwarder.held.descriptors <= first.descriptors && forwarder.held.rings <= first.rings,
        `no more to be held than ${JSON.stringify(first)}`,
        20_000,
        () => JSON.stringify(forwarder.held),
      );
      expect(first.rings).toBeGreaterThan(0);
    } finally {
      traffic.kill();
      await traffic.ended();
    }
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(forwarder.all("error")).toHaveLength(20);
    expect(await forwarder.call("counters")).toMatchObject({ restarts: 20, flows: 2 });
    expect(await forwarder.stop()).toBe(0);
  });

  test("without memory for a ring a packet socket carries the same", async () => {
    await addHosts(true);
    const fixture = fileURLToPath(new URL("./af-packet-forwarder.mjs", import.meta.url));
    const forwarder = new Daemon([process.execPath, fixture, "p1", "p2"], { netns: topology.netns("sw") });
    try {
      await forwarder.prints(/ready/);
      expect(await topology.ping("a", "10.9.0.2")).toBe(true);
      expect(await tcp("a", "b", "10.9.0.2")).toBeGreaterThan(20e6);
      expect(await tcp("a", "b", "10.9.0.2", ["-R", "-t", "1"])).toBeGreaterThan(20e6);
      forwarder.endInput();
      expect(await forwarder.ended()).toBe(0);
      const [first, second] = JSON.parse(/^\[.*\]$/m.exec(forwarder.output)![0]) as Record<string, number>[];
      expect(first).toMatchObject({ rx_errors: 0, tx_errors: 0 });
      // Super-frames are among them.
      expect(first!.rx_bytes! / first!.rx_packets!).toBeGreaterThan(1518);
      expect(second!.tx_packets).toBeGreaterThan(100);
    } finally {
      forwarder.kill();
    }
  });

  test.each([true, false])(
    "datagrams of all lengths arrive whole and in order, offloads %s",
    async (offloads) => {
      await addHosts(offloads);
      const forwarder = await start(VETHS, CROSS);
      const fixture = fileURLToPath(new URL("./datagrams.mjs", import.meta.url));
      const receiver = new Daemon([process.execPath, fixture, "receive"], { netns: topology.netns("b") });
      try {
        await receiver.prints(/ready/);
        const sent = await topology.check("a", [process.execPath, fixture, "send", "10.9.0.2"]);
        expect(sent).toContain("2000 datagrams, all answered in order");
      } finally {
        receiver.kill();
      }
      const stats = await forwarder.call<Record<string, number>>("portStats", 2);
      expect(stats).toMatchObject({ tx_errors: 0, tx_dropped: 0 });
      expect(stats.tx_packets).toBeGreaterThanOrEqual(2000);
    },
  );

  test.each([56, 1000])("the first packet of %i bytes through a port that was down is sent", async (size) => {
    await addHosts(false);
    const forwarder = await start(VETHS, CROSS);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    await topology.check("sw", ["ip", "link", "set", "p2", "down"]);
    await forwarder.says("port", ({ odpPort, link }) => odpPort === 2 && link === false);
    await topology.check("sw", ["ip", "link", "set", "p2", "up"]);
    await until(
      () => forwarder.all("port").at(-1)?.link === true,
      "the port to be up again",
      20_000,
      () => JSON.stringify(forwarder.said),
    );
    const pings = await topology.check("a", ["ping", "-c", "1", "-W", "5", "-s", `${size}`, "10.9.0.2"]);
    expect(pings).toContain("1 received");
  });

  test("packets go on while the control plane's thread stands still, and none is lost", async () => {
    await addHosts(false);
    const forwarder = await start(VETHS, CROSS);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    const directory = mkdtempSync(join(tmpdir(), "sl-block-"));
    try {
      const fifo = join(directory, "fifo");
      execFileSync("mkfifo", [fifo]);
      const before = await forwarder.call<Record<string, number>>("counters");
      const unblocked = forwarder.call("block", fifo);
      await forwarder.says("blocked");
      // Whatever it is told, it hears nothing.
      const counted = forwarder.call<Record<string, number>>("counters");
      const pings = await topology.check("a", ["ping", "-c", "200", "-i", "0.005", "-W", "5", "10.9.0.2"]);
      expect(pings).toContain("200 packets transmitted, 200 received");
      expect(forwarder.all("block")).toEqual([]);
      expect(forwarder.all("counters")).toHaveLength(1);
      writeFileSync(fifo, "");
      await unblocked;
      const after = await counted;
      expect(after.packets! - before.packets!).toBeGreaterThanOrEqual(400);
      expect(after).toMatchObject({ upcalls: 0, upcalls_lost: 0 });
    } finally {
      rmSync(directory, { recursive: true });
    }
    expect(await forwarder.stop()).toBe(0);
  });

  test("two threads share a device's packets by flow, a TAP device and the statistics", async () => {
    await addHosts(true);
    const forwarder = await start(
      [...VETHS, { name: "br0", type: "internal", mac: "02:00:00:00:00:99" }],
      [
        { in_port: 1, match: { eth_type: 0x0806 }, actions: [output(2), output(3)] },
        { in_port: 1, match: { eth_type: 0x0800, ipv4_dst: "10.9.0.9" }, actions: [output(3)] },
        { in_port: 1, match: { eth_type: 0x0800, ipv4_dst: "10.9.0.2" }, actions: [output(2)] },
        { in_port: 2, actions: [output(1)] },
        { in_port: 3, actions: [output(1)] },
      ],
    );
    await forwarder.call("threadsSet", [0, 0]);
    await forwarder.call("portSet", 3, { up: true });
    await topology.check("sw", ["ip", "addr", "add", "10.9.0.9/24", "dev", "br0"]);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    expect(await tcp("a", "b", "10.9.0.2", ["-t", "1", "-P", "16"])).toBeGreaterThan(20e6);
    expect(await tcp("a", "sw", "10.9.0.9", ["-t", "1", "-P", "16"])).toBeGreaterThan(20e6);
    const each = await forwarder.call<{ packets: number; flows: number }[]>("threadCounters");
    expect(each).toMatchObject([{ flows: 5 }, { flows: 5 }]);
    for (const { packets } of each) expect(packets).toBeGreaterThan(100);
    const all = await forwarder.call<Record<string, number>>("counters");
    expect(all).toMatchObject({ threads: 2, flows: 5 });
    // A crash of one leaves the other at work, and its own share comes back.
    await forwarder.call("crash");
    await forwarder.says<string>("log", (text) => text.includes("is back"));
    await forwarder.call("barrier");
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    // And back to one.
    await forwarder.call("threadsSet", []);
    expect(await topology.ping("a", "10.9.0.2")).toBe(true);
    expect(await topology.ping("a", "10.9.0.9")).toBe(true);
    expect(await forwarder.call("counters")).toMatchObject({ threads: 1, flows: 5 });
    expect(await forwarder.stop()).toBe(0);
    expect((await topology.run("sw", ["ip", "link", "show", "br0"])).code).not.toBe(0);
  });

  test.each<[string, PortSpec, RegExp]>([
    ["a missing device", { name: "nope0", type: "system" }, /^nope0: .*no such device$/],
    [
      "an XDP mode that there is not",
      { name: "lo", type: "system", options: { "xdp-mode": "turbo" } },
      /^lo: xdp-mode is turbo: there are best-effort, native-with-zerocopy, native, generic$/,
    ],
    ["a name too long", { name: "abcdefghijklmnop", type: "internal" }, /name has 1 to 15 bytes$/],
    ["a name that is taken", { name: "lo", type: "internal" }, /^lo: .*there is a device of this name$/],
    ["an unknown type", { name: "x0", type: "gre" }, /^x0: .*type gre$/],
  ])("%s is told in one line", async (_, port, text) => {
    const forwarder = new Forwarder(topology.netns("sw"), [port], []);
    running.push(forwarder);
    expect(await forwarder.says<string>("failed")).toMatch(text);
    expect(await forwarder.exited).toBe(1);
  });

  test("a missing privilege is told in one line", async () => {
    await topology.addHost("a", "10.9.0.1/24", "p1", "sw");
    const spec = JSON.stringify({ ports: [{ name: "p1", type: "system" }], flows: [] });
    const argv = ["setpriv", "--bounding-set=-net_raw", process.execPath, FORWARDER, spec];
    const { stdout, code } = await topology.run("sw", argv);
    expect(stdout).toContain("p1: cannot be opened: not permitted (needs CAP_NET_RAW)");
    expect(code).toBe(1);
  });
});
