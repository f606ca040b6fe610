import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "iperf3", "ip", "ping", "ethtool"];
const H1 = "10.0.0.1";
const H2 = "10.0.0.2";

interface IperfReport {
  end: { sum_received: { bytes: number; bits_per_second: number } };
}

/** A two-second iperf3 TCP stream; gives the bytes that arrived. */
async function iperf(
  net: Topology,
  from: string,
  to: string,
  toAddress: string,
  ...options: string[]
): Promise<number> {
  const server = new Daemon(["iperf3", "-s", "-1", "--forceflush"], { netns: net.netns(to) });
  try {
    await server.prints(/Server listening/);
    const text = await net.check(from, ["iperf3", "-c", toAddress, "-t", "2", "-J", ...options], {
      timeoutMs: 15_000,
    });
    return (JSON.parse(text) as IperfReport).end.sum_received.bytes;
  } finally {
    await server.stop("SIGKILL");
  }
}

describeWith({ root: true, programs: PROGRAMS }, "the switch daemon on real interfaces", () => {
  const net = new Topology();
  let sut: SwitchUnderTest;

  beforeAll(async () => {
    const netns = await net.add("sw");
    await net.addHost("h1", `${H1}/24`, "p1", "sw");
    await net.addHost("h2", `${H2}/24`, "p2", "sw");
    sut = await startSluice({ netns });
  });

  afterAll(async () => {
    await sut?.stop();
    await net.destroy();
  });

  const get = async (table: string, record: string, column: string): Promise<string> =>
    (await sut.vsctl("get", table, record, column)).trim();

  test("ovs-vsctl makes a bridge with ports, and each row tells what the switch made of it", async () => {
    await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    await sut.vsctl("add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=7");
    await sut.vsctl("add-port", "br0", "p2");
    expect(await sut.vsctl("list-br")).toBe("br0\n");
    expect(await sut.vsctl("list-ports", "br0")).toBe("p1\np2\n");
    expect(await get("interface", "p1", "ofport")).toBe("7");
    expect(await get("interface", "p2", "ofport")).toMatch(/^\d+$/);
    await until(async () => (await get("interface", "p1", "link_state")) === "up", "link_state up");
    expect(await get("interface", "p1", "error")).toBe("[]");
    expect(await get("interface", "br0", "ofport")).toBe("65534");
    const link = await net.check("sw", ["cat", "/sys/class/net/p1/address"]);
    expect(await get("interface", "p1", "mac_in_use")).toBe(`"${link.trim()}"`);
    expect(await get("bridge", "br0", "datapath_id")).toMatch(/^"[0-9a-f]{16}"$/);
    expect(await sut.vsctl("show")).toMatch(/Bridge br0\n\s+datapath_type: netdev\n/);
  });

  test("hosts with their offloads at defaults ping and run TCP each way", async () => {
    expect(await net.ping("h1", H2)).toBe(true);
    expect(await iperf(net, "h1", "h2", H2)).toBeGreaterThan(1_000_000);
    expect(await iperf(net, "h1", "h2", H2, "--reverse")).toBeGreaterThan(1_000_000);
  });

  test("hosts with their offloads off ping and run TCP each way", async () => {
    for (const [ns, device] of [
      ["h1", "eth0"],
      ["h2", "eth0"],
      ["sw", "p1"],
      ["sw", "p2"],
    ] as const) {
      await net.offloadsOff(ns, device);
    }
    expect(await net.ping("h1", H2)).toBe(true);
    expect(await iperf(net, "h1", "h2", H2)).toBeGreaterThan(1_000_000);
    expect(await iperf(net, "h1", "h2", H2, "--reverse")).toBeGreaterThan(1_000_000);
  });

  test("one host with offloads and one without understand each other", async () => {
    await net.check("h1", ["ethtool", "-K", "eth0", "tx", "on", "tso", "on", "gso", "on", "gro", "on"]);
    await net.check("sw", ["ethtool", "-K", "p1", "tx", "on", "rx", "on", "tso", "on", "gso", "on"]);
    expect(await iperf(net, "h1", "h2", H2)).toBeGreaterThan(1_000_000);
    expect(await iperf(net, "h1", "h2", H2, "--reverse")).toBeGreaterThan(1_000_000);
  });

  test("large pings are fragmented by the hosts and cross whole", async () => {
    const result = await net.run("h1", ["ping", "-c", "2", "-i", "0.2", "-s", "8000", "-W", "2", H2]);
    expect(result.stdout).toContain("2 received");
  });

  test("with threads for two cores the rules count exactly what came in by the ports", async () => {
    await sut.vsctl("set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=3");
    await sut.ofctl("del-flows", "br0");
    for (const match of ["ip,nw_src=10.0.0.1", "ip", "priority=1"])
      await sut.ofctl("add-flow", "br0", `${match},actions=NORMAL`);
    expect(await net.ping("h1", H2)).toBe(true);
    const sumOf = (text: string, count: RegExp): number =>
      [...text.matchAll(count)].reduce((sum, [, number]) => sum + Number(number), 0);
    const received = async (): Promise<number> =>
      sumOf(await sut.ofctl("dump-ports", "br0"), /rx pkts=(\d+)/g);
    const counted = async (): Promise<number> =>
      sumOf(await sut.ofctl("dump-flows", "br0"), /n_packets=(\d+)/g);
    // What finds no room on its way to the slow path is dropped, and is no rule's.
    const lost = async (): Promise<number> =>
      Number(
        await check(["node", SLUICE, "appctl", "coverage/read-counter", "datapath_misses_lost"], {
          env: { SLUICE_RUNDIR: sut.rundir },
        }),
      );
    // Hosts may say something of their own between the questions: an answer that comes twice is right.
    const difference = async (): Promise<number> => {
      for (let last = Number.NaN; ; ) {
        const now = (await received()) - (await counted()) - (await lost());
        if (now === last) return now;
        last = now;
      }
    };
    const before = await difference();
    expect(await iperf(net, "h1", "h2", H2, "-P", "8")).toBeGreaterThan(1_000_000);
    expect(await counted()).toBeGreaterThan(1000);
    expect(await difference()).toBe(before);
    await sut.vsctl("remove", "Open_vSwitch", ".", "other_config", "pmd-cpu-mask");
    expect(await net.ping("h1", H2)).toBe(true);
  });

  test("the bridge's local port and an internal port are devices that reach the hosts", async () => {
    await net.check("sw", ["ip", "addr", "add", "10.0.0.100/24", "dev", "br0"]);
    await net.check("sw", ["ip", "link", "set", "br0", "up"]);
    expect(await net.ping("h1", "10.0.0.100")).toBe(true);
    await sut.vsctl("add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal");
    const h3 = await net.add("h3");
    await net.check("sw", ["ip", "link", "set", "int0", "netns", h3]);
    await net.check("h3", ["ip", "addr", "add", "10.0.0.3/24", "dev", "int0"]);
    await net.check("h3", ["ip", "link", "set", "int0", "up"]);
    expect(await net.ping("h1", "10.0.0.3")).toBe(true);
    expect(await iperf(net, "h1", "h3", "10.0.0.3")).toBeGreaterThan(1_000_000);
    expect(await iperf(net, "h1", "h3", "10.0.0.3", "--reverse")).toBeGreaterThan(1_000_000);
    await sut.vsctl("del-port", "br0", "int0");
  });

  test("patch ports join two bridges", async () => {
    await sut.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev");
    await net.addHost("h4", "10.0.0.4/24", "p4", "sw");
    await sut.vsctl("add-port", "br1", "p4");
    await sut.vsctl(
      ...["add-port", "br0", "to1", "--", "set", "interface", "to1", "type=patch", "options:peer=to0", "--"],
      ...["add-port", "br1", "to0", "--", "set", "interface", "to0", "type=patch", "options:peer=to1"],
    );
    expect(await net.ping("h1", "10.0.0.4")).toBe(true);
    await sut.vsctl("del-br", "br1");
    expect(await sut.vsctl("list-br")).toBe("br0\n");
  });

  test("an interface that does not exist is an error of its row, and is taken when it appears", async () => {
    await sut.vsctl("add-port", "br0", "later").catch(() => {});
    expect(await get("interface", "later", "ofport")).toBe("-1");
    expect(await get("interface", "later", "error")).toMatch(/later.*no such device/i);
    await net.addHost("h5", "10.0.0.5/24", "later", "sw");
    await until(
      async () => (await get("interface", "later", "error")) === "[]",
      "the interface to be taken",
      20_000,
      () => sut.daemons[1]!.output,
    );
    expect(await net.ping("h1", "10.0.0.5")).toBe(true);
  });

  test("link_state follows the cable, and a removed port forwards no more", async () => {
    await net.check("h2", ["ip", "link", "set", "eth0", "down"]);
    await until(async () => (await get("interface", "p2", "link_state")) === "down", "link_state down");
    await net.check("h2", ["ip", "link", "set", "eth0", "up"]);
    await until(async () => (await get("interface", "p2", "link_state")) === "up", "link_state up");
    expect(await net.ping("h1", H2)).toBe(true);
    await sut.vsctl("del-port", "br0", "p2");
    expect(await net.ping("h1", H2, 1)).toBe(false);
  });

  test("deleting the bridge removes its device, and SIGTERM stops both daemons cleanly", async () => {
    await sut.vsctl("del-br", "br0");
    expect((await net.run("sw", ["ip", "link", "show", "br0"])).code).not.toBe(0);
    for (const daemon of [...sut.daemons].reverse()) expect(await daemon.stop()).toBe(0);
  });
});
