import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { OfClient } from "../support/conformance/client.js";
import { flowMod } from "../support/conformance/session.js";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** What OpenFlow says of traffic (meters, queues, groups, many flow_mods), with the tools and interfaces of a user. */

const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "iperf3", "ip", "ping", "ethtool", "python3"];
const ADDRESS = { h1: "10.0.0.1", h2: "10.0.0.2", h3: "10.0.0.3" } as const;

/** Sends datagrams of 500 bytes to an address, by 64 source ports in turn. */
const DATAGRAMS = `
import socket, sys
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
for i in range(int(sys.argv[2])):
    socks[i % 64].sendto(b"x" * 500, (sys.argv[1], 9))
`;

describeWith({ root: true, programs: PROGRAMS }, "OpenFlow and real traffic", () => {
  const net = new Topology();
  let sut: SwitchUnderTest;

  beforeAll(async () => {
    const netns = await net.add("sw");
    for (const [i, [host, address]] of Object.entries(ADDRESS).entries())
      await net.addHost(host, `${address}/24`, `p${i + 1}`, "sw");
    sut = await startSluice({ netns });
    await sut.vsctl(
      ...addBridge("br0", "datapath_type=netdev", "fail_mode=secure"),
      ...[1, 2, 3].flatMap((n) => addPort("br0", `p${n}`, `ofport_request=${n}`)),
    );
  });

  beforeEach(async () => {
    for (const command of ["del-flows", "del-groups", "del-meters"]) await sut.ofctl(command, "br0");
    await sut.ofctl("add-flow", "br0", "priority=1,actions=NORMAL");
  });

  afterAll(async () => {
    await sut?.stop();
    await net.destroy();
  });

  const appctl = (...args: string[]): Promise<string> =>
    check(["node", SLUICE, "appctl", ...args], { env: { SLUICE_RUNDIR: sut.rundir } });

  test("flows that share a meter share its rate; its statistics say what it let through", async () => {
    // One packet a second, after a burst of five.
    await sut.ofctl("add-meter", "br0", "meter=1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=5");
    await sut.ofctl("add-flow", "br0", "priority=9,icmp,nw_dst=10.0.0.2,actions=meter:1,NORMAL");
    await sut.ofctl("add-flow", "br0", "priority=9,icmp,nw_dst=10.0.0.3,actions=meter:1,NORMAL");
    await net.ping("h1", ADDRESS.h2, 1);
    const ping = ["ping", "-q", "-c", "20", "-i", "0.002", "-W", "1"];
    const replies = await Promise.all([
      net.run("h1", [...ping, ADDRESS.h2]),
      net.run("h1", [...ping, ADDRESS.h3]),
    ]);
    const received = replies.reduce((sum, { stdout }) => sum + Number(/(\d+) received/.exec(stdout)![1]), 0);
    const text = await sut.ofctl("meter-stats", "br0", "meter=1");
    const [, packets] = /packet_in_count:(\d+)/.exec(text)!;
    const [, dropped] = /\n0: packet_count:(\d+)/.exec(text)!;
    expect(text).toContain("flow_count:2 ");
    expect(Number(packets)).toBe(41);
    expect(received).toBe(Number(packets) - Number(dropped) - 1);
    expect(received).toBeLessThan(20);
  });

  test("set_queue chooses the queue of an OVSDB QoS row, which bounds the rate and counts", async () => {
    const queue = (rate: number, name: string) =>
      `--id=@${name} create queue other-config:max-rate=${rate}`.split(" ");
    await sut.vsctl(
      ...["set", "port", "p2", "qos=@qos", "--"],
      ..."--id=@qos create qos type=linux-htb queues:0=@q0 queues:1=@q1 --".split(" "),
      ...queue(1_000_000_000, "q0"),
      "--",
      ...queue(2_000_000, "q1"),
    );
    await sut.ofctl("add-flow", "br0", "priority=9,icmp,nw_dst=10.0.0.2,actions=set_queue:1,NORMAL");
    // 12 Mb/s of pings through 2 Mb/s, for half a second and more: they wait, and what finds the queue full is an error.
    const flood = ["ping", "-q", "-c", "500", "-i", "0.001", "-s", "1400", "-W", "1", ADDRESS.h2];
    await net.run("h1", flood);
    const stats = await sut.ofctl("queue-stats", "br0", "2", "1");
    const [, bytes, packets, errors, duration] =
      /queue 1: bytes=(\d+), pkts=(\d+), errors=(\d+), duration=([\d.]+)s/.exec(stats)!.map(Number);
    expect(packets! + errors!).toBe(500);
    expect(bytes).toBe(packets! * 1442);
    // A rate times a time, and the burst of at least 10 ms that may come first.
    expect(bytes! * 8).toBeLessThan(2_000_000 * (duration! + 0.1));
    expect(await sut.ofctl("queue-get-config", "br0", "2")).toMatch(/queue 1: max_rate:/);
    await sut.vsctl(
      "clear",
      "port",
      "p2",
      "qos",
      "--",
      "--all",
      "destroy",
      "qos",
      "--",
      "--all",
      "destroy",
      "queue",
    );
    expect(await net.ping("h1", ADDRESS.h2)).toBe(true);
  });

  test("with threads for two cores a meter and a queue hold their rates, and count every packet once", async () => {
    await sut.vsctl(
      ...["set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=3", "--"],
      ...["set", "port", "p3", "qos=@qos", "--"],
      ..."--id=@qos create qos type=linux-htb queues:0=@q0 queues:1=@q1 --".split(" "),
      ..."--id=@q0 create queue other-config:max-rate=1000000000 --".split(" "),
      ..."--id=@q1 create queue other-config:max-rate=20000000".split(" "),
    );
    try {
      await sut.ofctl(
        "add-meter",
        "br0",
        "meter=1,pktps,burst,stats,bands=type=drop,rate=2000,burst_size=200",
      );
      await sut.ofctl("add-flow", "br0", "priority=9,udp,nw_dst=10.0.0.2,actions=meter:1,output:2");
      await sut.ofctl("add-flow", "br0", "priority=9,udp,nw_dst=10.0.0.3,actions=set_queue:1,output:3");
      await net.ping("h1", ADDRESS.h2, 1);
      await net.ping("h1", ADDRESS.h3, 1);
      const send = (to: string): Promise<string> =>
        net.check("h1", ["python3", "-c", DATAGRAMS, to, "10000"]);
      await Promise.all([send(ADDRESS.h2), send(ADDRESS.h3)]);
      // Both threads have had their part: a flow's packets stay with one, and there are many flows.
      const threads = (await appctl("dpif-netdev/pmd-stats-show")).matchAll(/packets received: (\d+)/g);
      for (const [, packets] of threads) expect(Number(packets)).toBeGreaterThan(1000);
      const text = await sut.ofctl("meter-stats", "br0", "meter=1");
      const [, packets, bytes] = /packet_in_count:(\d+) byte_in_count:(\d+)/.exec(text)!.map(Number);
      const [, duration] = /duration:([\d.]+)s/.exec(text)!.map(Number);
      const [, dropped] = /\n0: packet_count:(\d+)/.exec(text)!.map(Number);
      const flows = await sut.ofctl("dump-flows", "br0", "udp");
      const counted = (to: string): number[] => {
        const line = flows.split("\n").find((one) => one.includes(`nw_dst=${to}`))!;
        return /n_packets=(\d+), n_bytes=(\d+)/.exec(line)!.slice(1).map(Number);
      };
      expect(counted(ADDRESS.h2)).toEqual([packets, bytes]);
      expect(bytes).toBe(packets! * 542);
      // Threads that look at a bucket in one instant may both take the same token.
      const passed = packets! - dropped!;
      expect(passed).toBeLessThan(1.2 * (2000 * duration! + 200));
      expect(passed).toBeGreaterThan(200);
      expect(dropped).toBeGreaterThan(0);
      // What waits in a queue is counted when it leaves.
      let queue: number[] = [];
      await until(async () => {
        const stats = await sut.ofctl("queue-stats", "br0", "3", "1");
        queue = /bytes=(\d+), pkts=(\d+), errors=(\d+), duration=([\d.]+)s/.exec(stats)!.slice(1).map(Number);
        return queue[1]! + queue[2]! === counted(ADDRESS.h3)[0];
      }, "the queue to be empty");
      expect(queue[0]).toBe(queue[1]! * 542);
      expect(queue[0]! * 8).toBeLessThan(1.2 * 20_000_000 * (queue[3]! + 0.1));
      expect(await appctl("qos/show", "p3")).toMatch(
        /^QoS: p3 linux-htb\n[\s\S]*\nQueue 1:\n {2}max-rate: 20000000\n/,
      );
    } finally {
      await sut.vsctl(
        "remove",
        "Open_vSwitch",
        ".",
        "other_config",
        "pmd-cpu-mask",
        "--",
        "clear",
        "port",
        "p3",
        "qos",
      );
    }
  });

  test("fast failover leaves a bucket whose port's cable is pulled, and comes back to it", async () => {
    await sut.ofctl(
      ...["add-group", "br0"],
      "group_id=1,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:3,output:3",
    );
    await sut.ofctl("add-flow", "br0", "priority=9,icmp,in_port=1,actions=group:1");
    const bucketCounts = async (): Promise<number[]> =>
      [...(await sut.ofctl("dump-group-stats", "br0")).matchAll(/bucket\d:packet_count=(\d+)/g)].map(
        ([, count]) => Number(count),
      );
    const sent = async (): Promise<number[]> => {
      const before = await bucketCounts();
      // Only the bucket that is chosen matters, not whether the host there answers.
      await net.run("h1", ["ping", "-q", "-c", "3", "-i", "0.2", "-W", "1", ADDRESS.h2]);
      return (await bucketCounts()).map((count, i) => count - before[i]!);
    };
    await net.ping("h2", ADDRESS.h1, 1);
    expect(await sent()).toEqual([3, 0]);
    const isLive = async (): Promise<boolean> =>
      /2\(p2\)[\s\S]*?state:\s+(\S+)/.exec(await sut.ofctl("dump-ports-desc", "br0"))![1] === "LIVE";
    await net.check("h2", ["ip", "link", "set", "eth0", "down"]);
    await until(async () => !(await isLive()), "port 2 to be down");
    expect(await sent()).toEqual([0, 3]);
    await net.check("h2", ["ip", "link", "set", "eth0", "up"]);
    await until(isLive, "port 2 to be live");
    expect(await sent()).toEqual([3, 0]);
  });

  test("datagrams put together (set-frags reassemble) leave in fragments where the MTU asks for it", async () => {
    await sut.ofctl("set-frags", "br0", "reassemble");
    await sut.ofctl("add-flow", "br0", "priority=9,icmp,icmp_type=8,actions=NORMAL");
    const ping = ["ping", "-q", "-c", "3", "-i", "0.2", "-s", "8000", "-W", "4", ADDRESS.h2];
    expect((await net.run("h1", ping)).stdout).toContain(" 3 received");
    expect(await sut.ofctl("dump-flows", "br0", "icmp")).toMatch(/n_packets=3, n_bytes=24126,/);
    await sut.ofctl("set-frags", "br0", "normal");
  });

  test("a flood of flow_mods leaves pings crossing and other controllers answered", async () => {
    const target = `unix:${sut.rundir}/br0.mgmt`;
    const [flooder, other] = [await OfClient.connect(target), await OfClient.connect(target)];
    try {
      const mods = Array.from({ length: 30_000 }, (_, n) =>
        flowMod(`table=5,udp,udp_dst=${n},nw_src=10.0.0.${n % 4},actions=drop`),
      );
      let isFlooding = true;
      const flood = flooder.exchange(...mods).then((answers) => {
        isFlooding = false;
        return answers;
      });
      const pings = net.run("h1", ["ping", "-q", "-c", "20", "-i", "0.02", "-W", "5", ADDRESS.h2]);
      let answered = 0;
      while (isFlooding) {
        await other.request({ type: "OFPT_ECHO_REQUEST" }, "OFPT_ECHO_REPLY");
        await other.request({ type: "OFPT_BARRIER_REQUEST" }, "OFPT_BARRIER_REPLY");
        if (isFlooding) answered++;
      }
      expect(answered).toBeGreaterThan(0);
      expect(await flood).toEqual([]);
      expect((await pings).stdout).toContain(" 20 received");
      expect(await sut.ofctl("dump-aggregate", "br0", "table=5")).toContain("flow_count=30000");
    } finally {
      flooder.close();
      other.close();
    }
  });
});
