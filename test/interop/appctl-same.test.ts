import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sluice } from "../../packages/cli/src/testing.js";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { type RunResult, run, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** Control commands by ovs-appctl and by sluice appctl, on Open vSwitch and on our switch: the tools say the same, and the
 *  switches lay their answers out in the same way. */

const FLOWS = [
  "table=0,priority=10,cookie=0xab,in_port=1,ip,actions=set_field:5->reg0,resubmit(,1)",
  "table=0,priority=10,in_port=2,arp,actions=NORMAL",
  "table=0,priority=5,in_port=1,arp,actions=group:1",
  "table=0,priority=5,in_port=2,ip,actions=dec_ttl,goto_table:2",
  "table=0,priority=5,in_port=2,ipv6,actions=resubmit(,1),output:1",
  "table=0,priority=5,in_port=LOCAL,tcp,actions=push_mpls:0x8847,set_field:99->mpls_label,output:2",
  "table=0,priority=5,in_port=LOCAL,udp,actions=write_actions(set_field:10.0.0.9->ip_dst,output:1)",
  "table=0,priority=5,in_port=LOCAL,icmp,actions=drop",
  "table=1,priority=7,ip,nw_dst=10.0.0.0/24,actions=mod_dl_dst:00:00:00:00:00:05,output:2",
  "table=1,priority=3,actions=drop",
  "table=1,priority=4,ipv6,actions=output:LOCAL",
  "table=2,udp,actions=set_field:9->udp_dst,LOCAL",
  "table=2,tcp,actions=output:1,output:2,IN_PORT",
];
/** Bridges joined by patch ports: q0 (5) of br0, q1 (6) of br1. */
const PATCHED = {
  br0: [
    "priority=9,in_port=1,udp,actions=set_field:00:00:00:00:00:07->eth_dst,output:5",
    "priority=9,in_port=2,sctp,actions=output:5,output:1",
    "priority=9,in_port=LOCAL,conj_id=5,sctp,actions=output:5",
    "priority=9,in_port=LOCAL,sctp,nw_src=10.0.0.1,actions=conjunction(5,1/2)",
    "priority=9,in_port=LOCAL,sctp,nw_dst=10.0.0.2,actions=conjunction(5,2/2)",
  ],
  br1: ["dl_dst=00:00:00:00:00:07,actions=output:9", "priority=1,actions=output:6,IN_PORT"],
};
const GROUP = "group_id=1,type=all,bucket=output:2,bucket=set_field:00:00:00:00:00:01->eth_dst,output:LOCAL";
const ARP = "ffffffffffff0000000000010806000108000604000100000000000100000000000000000000000000000000";

const TRACES: readonly (readonly string[])[] = [
  ["in_port=1,tcp,nw_dst=10.0.0.5"],
  ["in_port=1,tcp,nw_dst=10.1.0.5"],
  ["in_port=1,arp"],
  ["in_port=2,arp,dl_src=00:00:00:00:00:09,dl_dst=ff:ff:ff:ff:ff:ff"],
  ["in_port=2,udp,nw_ttl=64"],
  ["in_port=2,tcp,nw_ttl=64"],
  ["in_port=2,ipv6"],
  ["in_port=LOCAL,udp"],
  ["in_port=LOCAL,icmp"],
  ["in_port=7,icmp"],
  ["in_port=p1,tcp,nw_dst=10.0.0.5", "-generate"],
  ["in_port=1", ARP],
  ["in_port=1,udp"],
  ["in_port=2,sctp"],
  ["in_port=LOCAL,sctp,nw_src=10.0.0.1,nw_dst=10.0.0.2"],
];

/** Traces of datapath flows; ports by name, since each switch numbers them in its own way. */
const ETH = "eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)";
const ODP_TRACES: readonly (readonly string[])[] = [
  [
    `recirc_id(0),in_port(p1),packet_type(ns=0,id=0),${ETH},eth_type(0x0800),ipv4(src=1.2.3.4,dst=10.0.0.5,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(0x10)`,
  ],
  [`in_port(p1),${ETH},eth_type(0x0800),ipv4(src=1.2.3.4,dst=10.0.0.0/255.255.255.0,proto=17,frag=no)`],
  [`skb_mark(0/0),in_port(p1),${ETH},eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1)`],
  [`in_port(p2),${ETH},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,proto=58,hlimit=1,frag=no)`],
];

/** Datapath actions that both have words for. */
const ODP_ACTIONS: readonly (readonly string[])[] = [
  ["drop"],
  [""],
  ["1 2,3"],
  ["1", "2"],
  ["set(eth(dst=00:00:00:00:00:03,src=00:00:00:00:00:04)),push_vlan(vid=3,pcp=1),1,pop_vlan"],
  ["set(eth(dst=00:00:00:00:00:03/ff:ff:ff:ff:ff:00)),push_vlan(tpid=0x88a8,vid=3,pcp=1),2"],
  ["trunc(100),2,meter(3),clone(1),recirc(7)"],
  ["sample(sample=50.0%,actions(2)),clone(set(eth(dst=00:00:00:00:00:03)),2)"],
  ["check_pkt_len(size=200,gt(drop),le(2))"],
];

/** What both switches have: `isSame` where all that they say is the same but for `settled`. */
const COMMANDS: readonly { args: readonly string[]; isSame?: boolean }[] = [
  ...TRACES.map((args) => ({ args: ["ofproto/trace", "br0", ...args], isSame: true })),
  ...ODP_TRACES.map((args) => ({ args: ["ofproto/trace", ...args], isSame: true })),
  { args: ["ofproto/trace", `recirc_id(0x77),in_port(p1),${ETH},eth_type(0x0800)`], isSame: true },
  { args: ["ofproto/trace", "foo(3)"] },
  { args: ["ofproto/trace", "nodatapath", `in_port(p1),${ETH}`] },
  // A packet, unlike a flow, teaches an address.
  ...[[], ["-generate"], ["--generate"]].flatMap((generate) => [
    {
      args: [
        "ofproto/trace",
        "br0",
        "in_port=2,arp,dl_src=00:00:00:00:00:0b,dl_dst=00:00:00:00:00:0c",
        ...generate,
      ],
      isSame: true,
    },
    { args: ["fdb/show", "br0"], isSame: true },
    { args: ["fdb/flush", "br0"], isSame: true },
  ]),
  { args: ["ofproto/trace", "br0", "in_port=2", ARP], isSame: true },
  {
    args: [
      "ofproto/trace-packet-out",
      "br0",
      "in_port=1,arp,dl_src=00:00:00:00:00:0d",
      "-generate",
      "NORMAL",
    ],
    isSame: true,
  },
  { args: ["fdb/show", "br0"], isSame: true },
  { args: ["ofproto/trace", "br0", "in_port=2,arp", ARP, "-generate"] },
  ...ODP_TRACES.slice(0, 2).map((args) => ({
    args: ["ofproto/trace-packet-out", ...args, "2"],
    isSame: true,
  })),
  { args: ["ofproto/trace-packet-out", "nodatapath", `in_port(p1),${ETH}`, "2"] },
  { args: ["ofproto/trace-packet-out", `in_port(p1),${ETH}`] },
  { args: ["ofproto/trace-packet-out", "br0", "in_port=1,ip", "2"], isSame: true },
  { args: ["ofproto/trace-packet-out", "br0", "in_port=1,ip", "resubmit(,1),LOCAL"], isSame: true },
  { args: ["ofproto/trace", "br0", "in_port=2,icmp,nw_ttl=64"] },
  { args: ["ofproto/trace", "br0", "in_port=LOCAL,tcp"] },
  { args: ["ofproto/trace", "br0", "in_port=1", "zz"] },
  { args: ["ofproto/trace", "br0", "foo=1"] },
  { args: ["ofproto/trace", "nobr", "in_port=1"] },
  { args: ["ofproto/trace", "br0"] },
  { args: ["ofproto/list"], isSame: true },
  { args: ["bridge/dump-flows", "br0"], isSame: true },
  { args: ["bridge/dump-flows", "--offload-stats", "br0"], isSame: true },
  { args: ["bridge/dump-flows", "nobr"] },
  { args: ["fdb/show", "br0"], isSame: true },
  { args: ["fdb/add", "br0", "p1", "0", "00:00:00:00:00:07"], isSame: true },
  { args: ["fdb/show", "br0"], isSame: true },
  { args: ["fdb/flush", "br0"], isSame: true },
  { args: ["fdb/stats-show", "br0"], isSame: true },
  { args: ["fdb/add", "br0", "p2", "0", "00:00:00:00:00:07"], isSame: true },
  { args: ["fdb/add", "br0", "p2", "0", "zz"] },
  { args: ["fdb/del", "br0", "0", "00:00:00:00:00:07"], isSame: true },
  { args: ["fdb/del", "br0", "0", "00:00:00:00:00:07"], isSame: true },
  { args: ["fdb/stats-clear", "br0"], isSame: true },
  { args: ["fdb/stats-show", "br0"], isSame: true },
  { args: ["fdb/flush"], isSame: true },
  { args: ["fdb/show"], isSame: true },
  { args: ["fdb/show", "nobr"] },
  { args: ["dpif/show"] },
  { args: ["dpif/dump-dps"], isSame: true },
  { args: ["dpif/dump-flows"], isSame: true },
  { args: ["dpctl/dump-dps"] },
  { args: ["dpctl/show"] },
  { args: ["dpctl/show", "-s"] },
  { args: ["dpctl/dump-flows", "filter=nofield=1"] },
  { args: ["dpctl/dump-flows", "filter=ip,nw_src=1.2.3.4", "netdev@ovs-netdev"], isSame: true },
  { args: ["dpctl/dump-flows", "type=offloaded,tc"], isSame: true },
  { args: ["dpctl/dump-flows", "type=nosuch"] },
  { args: ["dpctl/get-flow", "ufid:00000000-0000-0000-0000-000000000000"] },
  { args: ["dpctl/dump-flows", "pmd=7"], isSame: true },
  { args: ["dpctl/dump-flows", "pmd=zz"] },
  { args: ["dpctl/del-flow", "in_port(1),eth(),eth_type(0x0806),arp()"], isSame: true },
  { args: ["dpctl/del-flow", "ufid:00000000-0000-0000-0000-000000000000"], isSame: true },
  { args: ["dpctl/mod-flow", "in_port(1),eth(),eth_type(0x0806),arp()", "1"], isSame: true },
  { args: ["dpctl/add-flow", "in_port(1)"], isSame: true },
  { args: ["dpctl/add-flow", "--zork", "in_port(1)", "1"], isSame: true },
  { args: ["dpctl/add-flow", "foo(2)", "3"], isSame: true },
  { args: ["dpctl/add-flow", "in_port(1),eth(),eth_type(0x0806),arp()", "zork"] },
  { args: ["dpctl/add-flow", "nodatapath", "in_port(1)", "1"] },
  { args: ["dpctl/add-flow", "in_port(1),eth_type(0x0800),ipv4(proto=6),udp(dst=3)", "1"] },
  { args: ["dpctl/add-flow", "eth_type(0x0800),ipv4(proto=6)", "1"] },
  { args: ["dpctl/mod-flows"], isSame: true },
  ...ODP_ACTIONS.map((args) => ({ args: ["dpctl/parse-actions", ...args], isSame: true })),
  ...["zork", "clone(1", "set(eth(zork=1))", "1,drop", "recirc(zork)"].map((actions) => ({
    args: ["dpctl/parse-actions", actions],
  })),
  { args: ["dpctl/del-flows"], isSame: true },
  { args: ["upcall/show"], isSame: true },
  { args: ["upcall/disable-megaflows"], isSame: true },
  { args: ["upcall/enable-megaflows"], isSame: true },
  { args: ["revalidator/pause"], isSame: true },
  { args: ["revalidator/resume"], isSame: true },
  { args: ["upcall/set-flow-limit", "150000"], isSame: true },
  { args: ["revalidator/wait"], isSame: true },
  { args: ["revalidator/purge"], isSame: true },
  { args: ["dpif-netdev/pmd-rxq-show"], isSame: true },
  { args: ["dpif-netdev/pmd-rxq-show", "-secs", "5"], isSame: true },
  { args: ["dpif-netdev/pmd-rxq-show", "-pmd", "0", "-secs", "5"], isSame: true },
  { args: ["dpif-netdev/pmd-perf-show", "-nh", "-pmd", "0"], isSame: true },
  { args: ["dpif-netdev/pmd-stats-show", "-pmd", "0", "netdev@ovs-netdev"], isSame: true },
  { args: ["qos/show", "p1"], isSame: true },
  { args: ["qos/show", "noport"], isSame: true },
  { args: ["qos/show-types", "p1"] },
  { args: ["qos/show-types", "noport"], isSame: true },
  { args: ["memory/show"] },
  { args: ["coverage/show"], isSame: true },
  { args: ["vlog/list"] },
  { args: ["vlog/set", "ofproto:console:info"], isSame: true },
  { args: ["vlog/set", "nomodule:dbg"], isSame: true },
  { args: ["vlog/list-pattern"] },
  { args: ["vlog/set", "PATTERN:nowhere:%m"], isSame: true },
  { args: ["vlog/disable-rate-limit", "nomodule"], isSame: true },
  { args: ["vlog/enable-rate-limit", "ofproto"], isSame: true },
  { args: ["vlog/close"], isSame: true },
  { args: ["vlog/reopen"], isSame: true },
  { args: ["version"] },
  { args: ["nosuch"], isSame: true },
];

const SWITCHES = ["Open vSwitch", "our switch"] as const;
type SwitchName = (typeof SWITCHES)[number];

/** Words of one switch only, times, and how the daemon was called. */
const settled = (text: string): string =>
  text
    .replace(
      /^\S+: server returned an error\n|^(ovs-appctl|sluice appctl): .*: (server returned an error)$/gm,
      "$2",
    )
    .replace(/^ovs-vswitchd: /gm, "")
    .replace(/^( +\w+ +\d+ +(?:[0-9a-f]{2}:){5}[0-9a-f]{2}) +\d+$/gm, "$1 _")
    .replace(/@(ovs|sluice)-netdev/g, "@_")
    .replace(/^ +\d+: \(keys/gm, "  _: (keys")
    .replace(/duration=\d+s/g, "duration=_")
    .replace(/^table_id=254, .*\n/gm, "")
    .replace(/(rss-kB|heap-kB|datapath_\w+ns|total|\/sec):? *[\d.]+/g, "$1 _")
    .replace(/\((avg|max|limit) \d+\)|dump duration : \d+ms/g, "_")
    .replace(/[\d.]+\/sec/g, "_/sec")
    .replace(/hash=[0-9a-f]+/g, "hash=_")
    .replace(/^ {2}counters: .*\n/gm, "")
    .replace(/^\w+ +_\/sec.*\n|^\d+ events never hit\n/gm, "");

/** Lists of bridges come in no order. */
const isList = (args: readonly string[]): boolean =>
  args[0] === "ofproto/list" || args[0] === "dpif/dump-dps";
const inOrder = (text: string): string => text.split("\n").sort().join("\n");

/** A trace without what may differ from switch to switch: which bits the megaflow needs, Open vSwitch's fields of a second
 *  tag, and our line on why the packet is dropped. Datapath ports by their names. */
function comparable(text: string, ports: ReadonlyMap<string, string>): string {
  const named = (line: string): string =>
    line.replace(/(?<=[ ,])\d+(?=,|$)/g, (port) => ports.get(port) ?? port);
  return settled(text)
    .replace(/^Megaflow: .*\n/gm, "")
    .replace(/^Dropped: .*\n/gm, "")
    .replace(/^ +(->|>>) .*\n/gm, "")
    .replace(/,ipv6_exthdr=0|,vlan_tci1=0x0000/g, "")
    .replace(/^Datapath actions: .*$/gm, (line) =>
      // Floods go to the ports in no order.
      /: [\d,]+$/.test(line) ? named(line).split(/[ ,]/).sort().join() : named(line),
    );
}

const needs = {
  root: true,
  programs: ["ovs-appctl", "ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ip", "ping"],
};

describeWith(needs, "control commands by ovs-appctl and sluice appctl", () => {
  const topology = new Topology();
  const suts = new Map<SwitchName, SwitchUnderTest>();
  const theirs = new Map<SwitchName, RunResult[]>();
  const ours = new Map<SwitchName, RunResult[]>();
  const ports = new Map<SwitchName, ReadonlyMap<string, string>>();

  const socketOf = ({ rundir }: SwitchUnderTest): string =>
    join(rundir, readdirSync(rundir).find((name) => /^ovs-vswitchd\.\d+\.ctl$/.test(name))!);
  const byOvs = (sut: SwitchUnderTest, args: readonly string[]): Promise<RunResult> =>
    run(["ovs-appctl", "-t", socketOf(sut), ...args]);
  const bySluice = (sut: SwitchUnderTest, args: readonly string[]): Promise<RunResult> =>
    sluice(["appctl", "-t", socketOf(sut), ...args]);

  beforeAll(async () => {
    for (const [name, start, ns] of [
      ["Open vSwitch", startOvs, "ovs"],
      ["our switch", startSluice, "ours"],
    ] as const) {
      const sut = await start({ netns: await topology.add(ns) });
      suts.set(name, sut);
      const port = (bridge: string, n: number): string[] =>
        addPort(bridge, `p${n}`, "type=internal", `ofport_request=${n}`);
      const set = ["datapath_type=netdev", "fail_mode=secure"];
      await sut.vsctl(...addBridge("br0", ...set), ...port("br0", 1), ...port("br0", 2));
      await sut.ofctl("add-group", "br0", GROUP);
      for (const flow of FLOWS) await sut.ofctl("add-flow", "br0", flow);
      const patch = (bridge: string, name: string, peer: string, ofport: number): string[] =>
        addPort(bridge, name, "type=patch", `options:peer=${peer}`, `ofport_request=${ofport}`);
      await sut.vsctl(
        ...addBridge("br1", ...set),
        ...[...patch("br0", "q0", "q1", 5), ...patch("br1", "q1", "q0", 6), ...port("br1", 9)],
      );
      for (const [bridge, flows] of Object.entries(PATCHED))
        for (const flow of flows) await sut.ofctl("add-flow", bridge, flow);
      const { stdout } = await byOvs(sut, ["dpif/show"]);
      ports.set(
        name,
        new Map([...stdout.matchAll(/^ +(\w+) \d+\/(\d+):/gm)].map(([, port, odp]) => [odp!, port!])),
      );
      const [ofOvs, ofSluice]: [RunResult[], RunResult[]] = [[], []];
      for (const { args } of COMMANDS) ofOvs.push(await byOvs(sut, args));
      for (const { args } of COMMANDS) ofSluice.push(await bySluice(sut, args));
      theirs.set(name, ofOvs);
      ours.set(name, ofSluice);
    }
  }, 120_000);

  afterAll(async () => {
    for (const sut of suts.values()) await sut.stop();
    await topology.destroy();
  });

  for (const [i, { args, isSame }] of COMMANDS.entries()) {
    const line = `${i}. ${args.join(" ")}`;
    for (const name of SWITCHES)
      test(`both tools on ${name}: ${line}`, () => {
        const [our, their] = [ours.get(name)![i]!, theirs.get(name)![i]!];
        const of = ({ code, stdout, stderr }: RunResult) => ({
          code,
          stdout: settled(stdout),
          stderr: settled(stderr),
        });
        expect(of(our)).toEqual(of(their));
      });
    test(`${isSame ? "the same" : "an answer"} on both switches: ${line}`, () => {
      const [ovs, own] = SWITCHES.map((name) => theirs.get(name)![i]!);
      expect(own!.code).toBe(ovs!.code);
      expect(own!.stderr === "").toBe(ovs!.stderr === "");
      if (!isSame) return;
      const [theirPorts, ourPorts] = SWITCHES.map((name) => ports.get(name)!);
      const [our, their] = [comparable(own!.stdout, ourPorts!), comparable(ovs!.stdout, theirPorts!)];
      if (isList(args)) expect(inOrder(our)).toBe(inOrder(their));
      else expect(our).toBe(their);
      expect(settled(own!.stderr)).toBe(settled(ovs!.stderr));
    });
  }

  test("list-commands of our switch has what is asked for here", async () => {
    const { stdout } = await byOvs(suts.get("our switch")!, ["list-commands"]);
    const commands = new Set(stdout.split("\n").map((line) => line.trim().split(/\s/)[0]));
    const asked = new Set(COMMANDS.map(({ args }) => args[0]!).filter((name) => name !== "nosuch"));
    expect([...asked].filter((name) => !commands.has(name))).toEqual([]);
  });

  test("of every command of Open vSwitch that our switch has not it says why", async () => {
    const listed = async (name: SwitchName): Promise<string[]> => {
      const { stdout } = await byOvs(suts.get(name)!, ["list-commands"]);
      return [...stdout.matchAll(/^ +(\S+\/\S+)/gm)].map(([, command]) => command!);
    };
    const [theirs, ours] = [await listed("Open vSwitch"), new Set(await listed("our switch"))];
    const absent = theirs.filter((name) => !ours.has(name));
    expect(absent.length).toBeGreaterThan(20);
    for (const name of absent) {
      const { code, stderr } = await byOvs(suts.get("our switch")!, [name]);
      expect([name, code, stderr]).toEqual([name, 2, expect.stringMatching(/is not a valid command: \w+/)]);
    }
  });

  test("ofproto/trace --json says the same as the text", async () => {
    const sut = suts.get("our switch")!;
    const trace = ["ofproto/trace", "br0", "in_port=1,tcp,nw_dst=10.0.0.5"];
    const { stdout } = await byOvs(sut, [...trace, "--json"]);
    const json = JSON.parse(stdout) as Record<string, unknown>;
    expect(json).toMatchObject({
      bridge: "br0",
      flow: { in_port: 1, ipv4_dst: "10.0.0.5" },
      steps: [
        { kind: "bridge", bridge: "br0" },
        { kind: "table", table_id: 0, rule: { priority: 10, cookie: "0xab" } },
        { kind: "action", text: "set_field:0x5->reg0" },
        { kind: "action", text: "resubmit(,1)" },
        { kind: "table", table_id: 1, rule: { priority: 7 } },
        { kind: "action" },
        { kind: "action", text: "output:2" },
      ],
      final_flow: { eth_dst: "00:00:00:00:00:05" },
      dropped: null,
    });
    const { stdout: text } = await byOvs(sut, trace);
    expect(text).toContain(`Datapath actions: ${String(json.datapath_actions)}\n`);
    const dropped = await byOvs(sut, ["ofproto/trace", "--json", "br0", "in_port=LOCAL,icmp"]);
    expect(JSON.parse(dropped.stdout)).toMatchObject({
      actions: [],
      datapath_actions: "drop",
      dropped: "the flow in table 0 has no actions",
    });
    // sluice appctl --json puts any command's text into a document; a trace's own document stands for itself.
    const own = await bySluice(sut, ["--json", ...trace]);
    expect(JSON.parse(own.stdout)).toEqual(json);
  });

  test("a traced packet teaches flows, and is not counted", async () => {
    for (const sut of suts.values()) {
      const learn = "learn(table=7,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
      await sut.ofctl("add-flow", "br1", `priority=50,in_port=9,udp,actions=${learn}`);
      const packet = ["ofproto/trace", "br1", "in_port=9,udp,dl_src=00:00:00:00:00:07"];
      const learned = async (): Promise<string> =>
        (await sut.ofctl("dump-flows", "--no-stats", "br1", "table=7")).trim();
      await byOvs(sut, packet);
      expect(await learned()).toBe("");
      await byOvs(sut, [...packet, "-generate"]);
      expect(await learned()).toMatch(/^table=7, dl_dst=00:00:00:00:00:07 actions=output:9$/);
      expect(await sut.ofctl("dump-flows", "br1", "in_port=9")).toMatch(/n_packets=0, .*learn/);
    }
  });

  test("datapath flows are told in the same syntax", async () => {
    const line =
      /^recirc_id\(0\),in_port\(\d+\),packet_type\(ns=0,id=0\),.*, packets:\d+, bytes:\d+, used:\S+, (flags:\S+, )?actions:\S+$/;
    for (const [name, ns] of [
      ["Open vSwitch", "ovs"],
      ["our switch", "ours"],
    ] as const) {
      const sut = suts.get(name)!;
      for (const command of [
        ["ip", "link", "set", "p1", "up"],
        ["ip", "address", "add", "10.0.0.1/24", "dev", "p1"],
        ["ip", "neigh", "add", "10.0.0.5", "lladdr", "02:00:00:00:00:05", "dev", "p1"],
      ])
        await topology.check(ns, command);
      let flows: string[] = [];
      await until(async () => {
        await topology.run(ns, ["ping", "-c", "1", "-W", "1", "10.0.0.5"]);
        flows = (await byOvs(sut, ["dpctl/dump-flows"])).stdout.trim().split("\n");
        return flows.some((flow) => flow.includes("eth_type(0x0800)"));
      }, "a datapath flow of IP packets");
      expect(flows[0]).toBe("flow-dump from the main thread:");
      for (const flow of flows.slice(1)) expect(flow).toMatch(line);
      const ip = flows.find((flow) => flow.includes("eth_type(0x0800)"))!;
      expect(ip).toMatch(/eth_type\(0x0800\),ipv4\(dst=10\.0\.0\.[05]\/255\.255\.255\.0/);
      expect(ip).toMatch(/actions:set\(eth\(dst=00:00:00:00:00:05\)\),\d+$/);
      const named = (await byOvs(sut, ["dpctl/dump-flows", "--names"])).stdout;
      expect(named).toMatch(/in_port\(p1\),.*eth_type\(0x0800\).*,p2$/m);
      const more = (await byOvs(sut, ["dpctl/dump-flows", "-m", "filter=ip"])).stdout.trim().split("\n");
      expect(more).toHaveLength(2);
      const [, ufid] = /^(ufid:[-0-9a-f]{36}), .*in_port\(p1\).* dp:ovs, actions:.*,p2/.exec(more[1]!)!;
      const numbered = (await byOvs(sut, ["dpif/dump-flows", "-m", "--no-names", "br0"])).stdout;
      expect(numbered).toMatch(/^ufid:.*in_port\(\d+\)/m);
      // With every field of the packet that made it, which can be traced as it is.
      expect(numbered).toMatch(
        /,eth\(src=[0-9a-f:]{17}\/00:00:00:00:00:00,dst=02:00:00:00:00:05(?:\/00:00:00:00:00:00)?\),eth_type\(0x0800\),ipv4\(src=10\.0\.0\.1\/0\.0\.0\.0,dst=10\.0\.0\.5\/255\.255\.255\.0,proto=1\/0,tos=0\/0,ttl=64\/0,frag=no(?:\/0)?\),icmp\(type=8\/0,code=0\/0\), packets/,
      );
      const whole = /^ufid:.*(recirc_id.*eth_type\(0x0800\).*?), packets:/m.exec(numbered)![1]!;
      expect((await byOvs(sut, ["ofproto/trace", whole])).stdout).toMatch(/^Flow: icmp,/);
      const got = await byOvs(sut, ["dpctl/get-flow", ufid!]);
      expect(got.stdout).toMatch(/^recirc_id\(0\),.*eth_type\(0x0800\).*, actions:.*\n$/);
      // What is dumped can be traced.
      const flow = /^(.*?), packets:/.exec(named.split("\n").find((one) => one.includes("0x0800"))!)![1]!;
      const traced = await byOvs(sut, [
        "ofproto/trace",
        flow.includes(",eth(") ? flow : flow.replace("eth_type", `${ETH},eth_type`),
      ]);
      expect(traced.stdout).toMatch(/^Flow: ip,in_port=1,/);
      expect(traced.stdout).toMatch(/\n 0\. ip,in_port=1, priority 10, cookie 0xab\n/);
      const ofBridge = (await byOvs(sut, ["dpif/dump-flows", "br0"])).stdout;
      expect(ofBridge).toMatch(/eth_type\(0x0800\).*,\d+$/m);
      const own = await sluice(["dpctl", "--target", socketOf(sut), "--names", "dump-flows"]);
      expect(own.stdout).toMatch(/in_port\(p1\),.*eth_type\(0x0800\).*,p2$/m);
      // And deleted, once.
      const meant = name === "our switch" ? more[1]!.split(", packets:")[0]! : ufid!;
      expect(await byOvs(sut, ["dpctl/del-flow", meant])).toMatchObject({ stderr: "", stdout: "", code: 0 });
      const again = await byOvs(sut, ["dpctl/del-flow", ufid!]);
      expect(again).toMatchObject({ code: 2, stderr: expect.stringMatching(/deleting flow \(No such file/) });
    }
  });

  test("datapath flows by hand", async () => {
    const said = new Map<SwitchName, string>();
    for (const [name, ns] of [
      ["Open vSwitch", "ovs"],
      ["our switch", "ours"],
    ] as const) {
      const sut = suts.get(name)!;
      const ask = async (...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await byOvs(sut, args);
        return `${args[0]} ${code}: ${settled(stderr + stdout).replace(/used:[\d.]+s/g, "used:_")}`;
      };
      const dumped = async (): Promise<string> => {
        const { stdout } = await byOvs(sut, ["dpctl/dump-flows", "--names", "filter=icmp"]);
        return stdout.replace(/used:[\d.]+s/g, "used:_");
      };
      const counted = async (): Promise<number> => {
        const flows = await sut.ofctl("dump-flows", "br0", "table=0,in_port=1,ip");
        return Number(/n_packets=(\d+)/.exec(flows)![1]);
      };
      const address = (await topology.run(ns, ["ip", "address", "show", "dev", "p1"])).stdout;
      if (!address.includes("10.0.0.1"))
        for (const command of [
          ["ip", "link", "set", "p1", "up"],
          ["ip", "address", "add", "10.0.0.1/24", "dev", "p1"],
          ["ip", "neigh", "add", "10.0.0.5", "lladdr", "02:00:00:00:00:05", "dev", "p1"],
        ])
          await topology.check(ns, command);
      const ping = async (): Promise<void> => {
        await topology.run(ns, ["ping", "-c", "1", "-W", "0.1", "10.0.0.5"]);
      };
      const port = (wanted: string): string =>
        [...ports.get(name)!].find(([, found]) => found === wanted)![0];

      await byOvs(sut, ["revalidator/purge"]);
      const before = await counted();
      const lines: string[] = [];
      // Nothing is translated again meanwhile.
      lines.push(await ask("revalidator/pause"));
      const icmp =
        "in_port(p1),packet_type(ns=0,id=0),eth(),eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8,code=0)";
      lines.push(await ask("dpctl/add-flow", icmp, port("br0")));
      lines.push(await ask("dpctl/add-flow", icmp, port("br0")));
      await ping();
      await ping();
      await until(async () => (await dumped()).includes("packets:2,"), "two packets counted");
      lines.push(await dumped());
      lines.push(await ask("dpctl/mod-flow", "-s", icmp, `set(eth(src=00:00:00:00:00:09)),${port("p2")}`));
      lines.push(await ask("dpctl/mod-flow", icmp.replace("p1", "p2"), "1"));
      await ping();
      await until(async () => (await dumped()).includes("packets:3,"), "three packets counted");
      lines.push(await dumped());
      lines.push(await ask("dpctl/mod-flow", icmp, "drop"));
      lines.push(await dumped());
      lines.push(await ask("revalidator/resume"));
      // Then it becomes what the tables say, or goes.
      await until(async () => !(await dumped()).includes("actions:drop"), "the flow put right");
      await until(async () => (await counted()) === before + 3, "three packets counted for the rule");

      await byOvs(sut, ["dpctl/del-flows"]);
      const ufid = "ufid:01234567-89ab-cdef-0123-456789abcdef";
      await byOvs(sut, ["revalidator/pause"]);
      lines.push(await ask("dpctl/mod-flow", "--may-create", `${ufid},${icmp}`, port("p2")));
      lines.push(await ask("dpctl/get-flow", "--names", ufid));
      lines.push(await ask("dpctl/del-flow", "-s", ufid));
      lines.push(await ask("dpctl/get-flow", ufid));
      const file = join(sut.rundir, "flows");
      writeFileSync(
        file,
        [
          "# Flows by a file.",
          `${icmp} ${port("p2")}`,
          `add ${icmp.replace("p1", "p2")} ${port("p1")}`,
          `modify ${icmp} drop`,
          `delete ${icmp.replace("p1", "p2")}`,
        ].join("\n"),
      );
      lines.push(await ask("dpctl/add-flows", file));
      lines.push(await dumped());
      writeFileSync(file, `${icmp}\n`);
      lines.push(await ask("dpctl/del-flows", file));
      lines.push(await dumped());
      const missing = await byOvs(sut, ["dpctl/add-flows", `${file}.gone`]);
      expect(missing.stdout + missing.stderr).toMatch(/Opening file ".*gone" failed \(No such file or/);
      await byOvs(sut, ["revalidator/resume"]);

      lines.push(await ask("upcall/disable-megaflows"));
      await ping();
      await until(async () => (await dumped()).includes("icmp("), "a flow of one packet alone");
      lines.push(
        (await dumped())
          .replace(/skb.*ct_label\(0\),|dp_hash\(0\),/g, "")
          .replace(/src=[0-9a-f:]{17}/g, "src=_")
          .replace(/packets:\d+, bytes:\d+, used:\w+/, "counts"),
      );
      lines.push(await ask("upcall/enable-megaflows"));
      said.set(name, lines.join("\n").replaceAll(sut.rundir, "_"));
    }
    expect(said.get("our switch")).toBe(said.get("Open vSwitch"));
    expect(said.get("our switch")).toContain("packets:2, bytes:196, used:_, actions:br0");
  });
});
