import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { run, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** Packets let in by dummy ports with netdev-dummy/receive, on Open vSwitch and on our switch. */

const ETH = "eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";
const V4 = "ipv4(src=10.0.0.2,dst=10.0.0.1,tos=0,ttl=64,frag=no";
const PACKETS: readonly (readonly string[])[] = [
  [`in_port(1),${ETH},eth_type(0x0800),${V4},proto=6),tcp(src=8,dst=9),tcp_flags(ack)`],
  [`in_port(1),${ETH},eth_type(0x0800),${V4},proto=17),udp(src=8,dst=9)`, "--len", "200"],
  [`in_port(1),${ETH},eth_type(0x0800),${V4},proto=1),icmp(type=8,code=0)`],
  [
    `in_port(1),${ETH},eth_type(0x8100),vlan(vid=9,pcp=1),encap(eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1,sha=50:54:00:00:00:09,tha=00:00:00:00:00:00))`,
  ],
  ["ffffffffffff50540000000a1234", "ffffffffffff50540000000a12340102"],
];
const WRONG: readonly (readonly string[])[] = [
  ["netdev-dummy/receive", "nosuch", "00"],
  ["netdev-dummy/receive", "d1", "zz"],
  ["netdev-dummy/receive", "d1", "0011"],
  ["netdev-dummy/receive", "d1"],
  ["netdev-dummy/receive", "d1", "eth_type(0x1234)", "--len", "zz"],
  ["netdev-dummy/set-admin-state", "nosuch", "up"],
  ["netdev-dummy/set-admin-state", "d1", "sideways"],
];

const needs = { root: true, programs: ["ovs-appctl", "ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ip"] };

describeWith(needs, "dummy ports by ovs-appctl", () => {
  const topology = new Topology();
  const suts: SwitchUnderTest[] = [];

  beforeAll(async () => {
    suts.push(
      await startOvs({ netns: await topology.add("ovs"), vswitchd: ["--enable-dummy"] }),
      await startSluice({ netns: await topology.add("ours") }),
    );
    for (const [i, sut] of suts.entries())
      await sut.vsctl(
        ...addBridge("br0", `datapath_type=${i === 0 ? "dummy" : "netdev"}`, "fail_mode=secure"),
        ...addPort("br0", "d1", "type=dummy", "ofport_request=1"),
        ...addPort("br0", "d2", "type=dummy", "ofport_request=2"),
      );
  }, 60_000);

  afterAll(async () => {
    for (const sut of suts) await sut.stop();
    await topology.destroy();
  });

  const appctl = async ({ rundir }: SwitchUnderTest, ...args: string[]): Promise<string> => {
    const socket = readdirSync(rundir).find((name) => /^ovs-vswitchd\.\d+\.ctl$/.test(name))!;
    const { code, stdout, stderr } = await run(["ovs-appctl", "-t", join(rundir, socket), ...args]);
    return `${code} ${stdout}${stderr.split("\n")[0]}`;
  };

  test.each(WRONG)("%s %s %s is refused", async (...args) => {
    const [ovs, ours] = await Promise.all(suts.map((sut) => appctl(sut, ...args)));
    expect(ours).toBe(ovs);
    expect(ours).toMatch(/^2 /);
  });

  test("packets of flows and of bytes are as long, and match what they should", async () => {
    for (const sut of suts) {
      for (const match of [
        "tcp,tp_dst=9,tcp_flags=+ack",
        "udp,tp_src=8",
        "icmp,icmp_type=8",
        "arp,dl_vlan=9",
      ])
        await sut.ofctl("add-flow", "br0", `in_port=1,${match},actions=output:2`);
      await sut.ofctl("add-flow", "br0", "priority=1,actions=output:2");
      for (const packets of PACKETS)
        expect(await appctl(sut, "netdev-dummy/receive", "d1", ...packets)).toBe("0 ");
      const sent = (): Promise<string> => sut.ofctl("dump-ports", "br0", "2");
      await until(async () => (await sent()).includes("tx pkts=6,"), "six packets sent");
      const counts = async (): Promise<string> => {
        const flows = await sut.ofctl("dump-flows", "br0");
        const each = [...flows.matchAll(/n_packets=(\d+), n_bytes=(\d+)/g)];
        return each
          .map(([, packets, bytes]) => `${packets}/${bytes}`)
          .sort()
          .join();
      };
      await until(async () => (await counts()) === "1/106,1/118,1/200,1/46,2/30", "six packets counted");
      expect(await sent()).toContain("tx pkts=6, bytes=500,");
    }
  });

  test("our switch begins a flow's counts anew (mod-flow --clear); the rule's go on", async () => {
    const sut = suts[1]!;
    await sut.ofctl("add-flow", "br0", "priority=99,in_port=1,sctp,actions=output:2");
    const packet = `in_port(d1),${ETH},eth_type(0x0800),${V4},proto=132),sctp(src=8,dst=9)`;
    const flow = "in_port(d1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(proto=132),sctp(src=8,dst=9)";
    const counts = async (): Promise<string> =>
      /packets:\d+/.exec(await appctl(sut, "dpctl/mod-flow", "-s", flow, "drop"))![0];
    await appctl(sut, "revalidator/pause");
    expect(await appctl(sut, "dpctl/add-flow", flow, "drop")).toBe("0 ");
    for (let i = 0; i < 3; i++) await appctl(sut, "netdev-dummy/receive", "d1", packet);
    await until(async () => (await counts()) === "packets:3", "three packets counted");
    // What it tells is from before.
    expect(await appctl(sut, "dpctl/mod-flow", "-s", "--clear", flow, "drop")).toMatch(/^0 packets:3, /);
    expect(await counts()).toBe("packets:0");
    await appctl(sut, "netdev-dummy/receive", "d1", packet);
    await until(async () => (await counts()) === "packets:1", "one more packet counted");
    expect(await sut.ofctl("dump-flows", "br0", "sctp")).toMatch(/n_packets=4,/);
    await appctl(sut, "revalidator/resume");
  });

  test("set-admin-state takes a port down and brings it up", async () => {
    for (const sut of suts) {
      const told = async (): Promise<string> => {
        const show = await sut.ofctl("dump-ports-desc", "br0", "2");
        return show.replaceAll(/\s+/g, " ");
      };
      expect(await appctl(sut, "netdev-dummy/set-admin-state", "d2", "down")).toBe("0 OK\n");
      await until(async () => (await told()).includes("config: PORT_DOWN state: LINK_DOWN"), "the port down");
      expect(await appctl(sut, "netdev-dummy/set-admin-state", "up")).toBe("0 OK\n");
      await until(async () => (await told()).includes("config: 0 state: LIVE"), "the port up");
    }
  });
});
