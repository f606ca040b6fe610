import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, type RunResult, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** `sluice ofctl` beside the real ovs-ofctl on the same bridge: a real Open vSwitch's, and ours. */

/** Leaves out what differs from one moment to the next: transaction ids, ages and counters. */
const settled = (text: string): string =>
  text
    .replace(/xid=0x[0-9a-f]+/g, "xid=_")
    .replace(/duration[=:][\d.]+s/g, "duration=_")
    // Actions that we have and ovs-ofctl has no word for.
    .replace(/ copy_ttl_out copy_ttl_in| push_pbb pop_pbb/g, "")
    .replace(/\b(lookup|matched|n_packets|n_bytes|packet_count|byte_count|pkts|bytes|drop|errs)=\d+/g, "$1=_")
    .replace(/\b(packet_in_count|byte_in_count|packet_count|byte_count):\d+/g, "$1:_");

/** Flow dumps come in no order. */
const sorted = (text: string): string => settled(text).split("\n").sort().join("\n");

class Bridge {
  readonly sut: SwitchUnderTest;
  constructor(sut: SwitchUnderTest) {
    this.sut = sut;
  }
  get #env() {
    return { SLUICE_RUNDIR: this.sut.rundir, OVS_RUNDIR: this.sut.rundir };
  }
  ours(args: readonly string[], input = "", netns?: string): Promise<RunResult> {
    return run(["node", SLUICE, "ofctl", ...args], { env: this.#env, input, netns });
  }
  theirs(args: readonly string[], input?: string): Promise<RunResult> {
    const argv = ["ovs-ofctl", "-O", "OpenFlow13", "--timeout=15", ...args];
    return run(argv, { env: this.#env, ...(input === undefined ? {} : { input }) });
  }
  daemon(args: readonly string[]): Daemon {
    return new Daemon(["node", SLUICE, "ofctl", ...args], { env: this.#env });
  }
  /** Runs ours and expects it to succeed without a word. */
  async quietly(args: readonly string[], input?: string): Promise<void> {
    expect(await this.ours(args, input)).toEqual({ code: 0, stdout: "", stderr: "" });
  }
  /** The flows of the bridge as the real ovs-ofctl shows them with --no-stats, in order. */
  async flows(): Promise<string[]> {
    const { stdout } = await this.theirs(["--no-stats", "dump-flows", "br0"]);
    return stdout
      .trim()
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "")
      .sort();
  }
  file(name: string, ...lines: string[]): string {
    const path = join(this.sut.rundir, name);
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }
}

const FLOWS = [
  "table=0,cookie=0x5,priority=7,tcp,nw_src=10.1.0.0/16,tp_dst=80,idle_timeout=600,actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:p2,goto_table:1",
  "table=1,priority=1,actions=controller:128,LOCAL,NORMAL",
  "table=1,in_port=p1,dl_vlan=7,dl_dst=aa:bb:cc:dd:ee:ff,actions=strip_vlan,in_port",
  "table=2,ipv6,ipv6_dst=fe80::/10,send_flow_rem,hard_timeout=100,actions=dec_ttl,flood",
  "table=3,arp,arp_op=1,arp_tpa=10.0.0.9,actions=write_actions(set_queue:3,output:1),write_metadata:0x12/0xff",
  "table=4,udp,tp_src=53,actions=drop",
];

const KINDS = [
  { name: "a real Open vSwitch", start: startOvs },
  { name: "our switch", start: startSluice },
] as const;

const needs = { root: true, programs: ["ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "ip"] };

describe.each(KINDS)("$name", ({ start }) => {
  describeWith(needs, "sluice ofctl on its bridge", () => {
    const topology = new Topology();
    let bridge: Bridge;
    beforeAll(async () => {
      await topology.add("sw");
      bridge = new Bridge(await start({ netns: topology.netns("sw") }));
      const port = (name: string, ofport: number) => [
        "--",
        "add-port",
        "br0",
        name,
        "--",
        "set",
        "interface",
        name,
        "type=internal",
        `ofport_request=${ofport}`,
      ];
      const ports = [...port("p1", 1), ...port("p2", 2)];
      const set = ["datapath_type=netdev", "fail_mode=secure", "other-config:datapath-id=00000000000000aa"];
      await bridge.sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", ...set, ...ports);
      for (const flow of FLOWS) await bridge.quietly(["add-flow", "br0", flow]);
      await bridge.quietly([
        "add-group",
        "br0",
        "group_id=1,type=select,bucket=weight:5,output:p1,bucket=weight:7,output:2",
      ]);
      await bridge.quietly([
        "add-group",
        "br0",
        "group_id=2,type=ff,bucket=watch_port:1,output:1,bucket=watch_port:2,output:2",
      ]);
      await bridge.quietly([
        "add-meter",
        "br0",
        "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100",
      ]);
    });
    afterAll(async () => {
      await bridge?.sut.stop();
      await topology.destroy();
    });

    test.each([
      [["show", "br0"]],
      [["dump-desc", "br0"]],
      [["dump-tables", "br0"]],
      [["dump-ports", "br0"]],
      [["dump-ports", "br0", "p1"]],
      [["dump-ports", "br0", "LOCAL"]],
      [["dump-ports-desc", "br0"]],
      [["queue-stats", "br0"]],
      [["queue-get-config", "br0", "1"]],
      [["get-frags", "br0"]],
      [["dump-aggregate", "br0"]],
      [["dump-aggregate", "br0", "table=1"]],
      [["dump-flows", "br0"]],
      [["dump-flows", "br0", "table=1,in_port=p1"]],
      [["dump-flows", "br0", "cookie=5/-1"]],
      [["dump-flows", "br0", "tcp"]],
      [["--names", "dump-flows", "br0"]],
      [["--no-stats", "dump-flows", "br0"]],
      [["dump-groups", "br0"]],
      [["dump-group-stats", "br0"]],
      [["dump-group-features", "br0"]],
      [["dump-meters", "br0"]],
      [["meter-stats", "br0", "meter=1"]],
      [["meter-features", "br0"]],
    ])("%j prints what ovs-ofctl prints", async (args) => {
      const [ours, theirs] = [await bridge.ours(args), await bridge.theirs(args)];
      expect({ ...ours, stdout: sorted(ours.stdout) }).toEqual({ ...theirs, stdout: sorted(theirs.stdout) });
    });

    test.each([["--sort"], ["--rsort"], ["--sort=nw_src"], ["--rsort=in_port"]])(
      "%s puts flows in the same order",
      async (option) => {
        const args = ["--no-stats", option, "dump-flows", "br0", "table=1"];
        expect((await bridge.ours(args)).stdout).toEqual((await bridge.theirs(args)).stdout);
      },
    );

    test.each([
      [["show", "nobr"]],
      [["add-flow", "br0", "tcp"]],
      [["add-flow", "br0", "nosuchfield=1,actions=drop"]],
      [["add-flow", "br0", "actions=nosuchaction"]],
      [["add-flow", "br0", "actions=group:77"]],
      [["nosuchcommand", "br0"]],
      [["show"]],
      [["show", "br0", "more"]],
      [["mod-port", "br0", "nosuchport", "up"]],
      [["set-frags", "br0", "sometimes"]],
      [["--read-only", "del-flows", "br0"]],
      [["dump-flows", "br0", "priority=7"]],
      [["add-meter", "br0", "meter=1,kbps,band=type=drop,rate=5"]],
    ])("%j fails as it does with ovs-ofctl", async (args) => {
      const [ours, theirs] = [await bridge.ours(args), await bridge.theirs(args)];
      expect(ours.code).toBe(theirs.code);
      expect(ours.stdout).toBe("");
      const [ourLine, ...more] = settled(ours.stderr).split("\n");
      const [theirLine] = settled(theirs.stderr).split("\n");
      if (theirs.stderr.startsWith("OFPT_ERROR")) expect(ourLine).toBe(theirLine);
      else expect(more).toEqual([""]);
    });

    test("a bad flow in a file is told by file and line, and nothing after it is sent", async () => {
      const before = await bridge.flows();
      const file = bridge.file(
        "bad.txt",
        "# comment",
        "",
        "table=9,foo=1,actions=drop",
        "table=9,actions=drop",
      );
      expect(await bridge.ours(["add-flows", "br0", file])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(new RegExp(`^sluice ofctl: ${file}:3: .*foo`)),
      });
      expect(await bridge.flows()).toEqual(before);
    });

    test("flows are added, changed and deleted from arguments, files and standard input", async () => {
      const file = bridge.file("flows.txt", "table=20,ip,actions=1", "add table=20,arp,actions=2 # more", "");
      await bridge.quietly(["add-flows", "br0", file]);
      await bridge.quietly(["add-flow", "br0", "-"], "table=20,priority=9,ip,actions=drop\n");
      await bridge.quietly(["mod-flows", "br0", "table=20,ip,actions=LOCAL"]);
      const table20 = async () => (await bridge.flows()).filter((flow) => flow.includes("table=20"));
      expect(await table20()).toEqual([
        "table=20, arp actions=output:2",
        "table=20, ip actions=LOCAL",
        "table=20, priority=9,ip actions=LOCAL",
      ]);
      await bridge.quietly(["--strict", "mod-flows", "br0", "table=20,priority=9,ip,actions=drop"]);
      await bridge.quietly(["--strict", "del-flows", "br0", "table=20,ip"]);
      expect(await table20()).toEqual([
        "table=20, arp actions=output:2",
        "table=20, priority=9,ip actions=drop",
      ]);
      await bridge.quietly(["add-flows", "br0", "-"], "delete table=20,arp\n");
      await bridge.quietly(["del-flows", "br0", "table=20"]);
      expect(await table20()).toEqual([]);
    });

    test("diff-flows shows what differs, and replace-flows mends it", async () => {
      const there = (await bridge.flows()).map((flow) => flow.replaceAll(", ", ","));
      const same = bridge.file("same.txt", ...there);
      expect(await bridge.ours(["diff-flows", "br0", same])).toEqual({ code: 0, stdout: "", stderr: "" });
      const other = bridge.file("other.txt", ...there.slice(1), "table=30,ip,actions=2");
      const ours = await bridge.ours(["diff-flows", "br0", other]);
      const theirs = await bridge.theirs(["diff-flows", "br0", other]);
      expect({ ...ours, stdout: sorted(ours.stdout) }).toEqual({ ...theirs, stdout: sorted(theirs.stdout) });
      expect(ours.code).toBe(2);
      await bridge.quietly(["replace-flows", "br0", other]);
      expect((await bridge.theirs(["diff-flows", "br0", other])).code).toBe(0);
      await bridge.quietly(["replace-flows", "br0", same]);
      expect((await bridge.flows()).map((flow) => flow.replaceAll(", ", ","))).toEqual(there);
    });

    test("a bundle is done whole or not at all", async () => {
      const file = bridge.file(
        "bundle.txt",
        "flow table=40,actions=drop",
        "flow add table=40,ip,actions=group:99",
      );
      const refused = await bridge.ours(["bundle", "br0", file]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("OFPBAC_BAD_OUT_GROUP");
      expect((await bridge.flows()).join()).not.toContain("table=40");
      await bridge.quietly(
        ["--bundle", "add-flows", "br0", "-"],
        "table=40,actions=drop\ntable=40,ip,actions=2\n",
      );
      expect((await bridge.flows()).join()).toContain("table=40, ip actions=output:2");
      await bridge.quietly(["--bundle", "del-flows", "br0", "table=40"]);
    });

    test("groups are changed and deleted", async () => {
      await bridge.quietly(["add-group", "br0", "group_id=7,type=all,bucket=output:1"]);
      await bridge.quietly(["mod-group", "br0", "group_id=7,type=indirect,bucket=output:2"]);
      await bridge.quietly([
        "--may-create",
        "mod-group",
        "br0",
        "group_id=8,type=all,bucket=output:1,bucket=output:2",
      ]);
      const groups = async () => (await bridge.theirs(["dump-groups", "br0"])).stdout;
      expect(await groups()).toContain("group_id=7,type=indirect,bucket=actions=output:2");
      expect(await groups()).toContain("group_id=8,type=all");
      await bridge.quietly(["del-groups", "br0", "group_id=7"]);
      await bridge.quietly(["del-groups", "br0", "group_id=8"]);
      expect(await groups()).not.toMatch(/group_id=[78]/);
    });

    test("ports and fragment handling are configured", async () => {
      await bridge.quietly(["mod-port", "br0", "p2", "no-forward"]);
      expect((await bridge.theirs(["show", "br0"])).stdout).toContain("NO_FWD");
      await bridge.quietly(["mod-port", "br0", "2", "forward"]);
      await bridge.quietly(["set-frags", "br0", "drop"]);
      expect((await bridge.theirs(["get-frags", "br0"])).stdout).toBe("drop\n");
      await bridge.quietly(["set-frags", "br0", "normal"]);
    });

    test("monitor shows packet-ins, and flow changes where it watches", async () => {
      const monitor = bridge.daemon(["monitor", "br0", "65534", "watch:!initial,table=50"]);
      try {
        await monitor.prints(/FLOW_MONITOR reply/);
        await bridge.quietly(["add-flow", "br0", "table=50,ip,actions=2"]);
        await monitor.prints(/event=ADDED table=50 cookie=0 ip actions=output:2/);
        const frame =
          "ffffffffffff0000000000010806000108000604000100000000000100000000000000000000000000000000";
        await bridge.quietly(["packet-out", "br0", `in_port=p1,packet=${frame},actions=controller`]);
        await monitor.prints(/PACKET_IN2? .*in_port=1 \(via action/);
      } finally {
        await monitor.stop();
      }
      await bridge.quietly(["del-flows", "br0", "table=50"]);
    });

    test("snoop shows what passes between the switch and its controller", async () => {
      const netns = topology.netns("sw");
      const controller = new Daemon(["node", SLUICE, "controller", "--listen", "127.0.0.1:16654"], { netns });
      let snoop: Daemon | undefined;
      try {
        await bridge.sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:16654");
        await until(
          async () => (await bridge.sut.vsctl("get", "controller", "br0", "is_connected")).startsWith("true"),
          "the controller's connection",
        );
        snoop = bridge.daemon(["snoop", "br0"]);
        // The snoop is heard of by nobody: a port is changed until it shows.
        await until(async () => {
          await bridge.quietly(["mod-port", "br0", "p2", "no-forward"]);
          await bridge.quietly(["mod-port", "br0", "p2", "forward"]);
          return /OFPT_PORT_STATUS .*2\(p2\)/.test(snoop!.output);
        }, "the snoop to show port changes");
      } finally {
        await snoop?.stop();
        await bridge.sut.vsctl("del-controller", "br0");
        await controller.stop();
      }
    });

    test("--json gives a document a line that encode takes back", async () => {
      const { stdout } = await bridge.ours(["--json", "dump-flows", "br0"]);
      const reply = JSON.parse(stdout) as { body: { entries: unknown[] } };
      expect(reply.body.entries).toHaveLength((await bridge.flows()).length);
      const hex = await bridge.ours(["encode"], stdout);
      expect((await bridge.ours(["decode"], hex.stdout)).stdout).toBe(stdout);
    });

    test("probe, ping and benchmark are answered", async () => {
      await bridge.quietly(["probe", "br0"]);
      expect((await bridge.ours(["ping", "br0"])).stdout.trim().split("\n")).toHaveLength(10);
      expect((await bridge.ours(["benchmark", "br0", "100", "500"])).stdout).toMatch(
        /^Sending 500 packets \* 108 bytes/,
      );
    });

    test("a switch is asked over TCP too, and a refused connection is told in one line", async () => {
      await bridge.sut.vsctl("set-controller", "br0", "ptcp:16653:127.0.0.1");
      const netns = topology.netns("sw");
      await until(
        async () => (await bridge.ours(["probe", "tcp:127.0.0.1:16653"], "", netns)).code === 0,
        "the switch to listen",
      );
      const overTcp = await bridge.ours(["dump-desc", "tcp:127.0.0.1:16653"], "", netns);
      expect(settled(overTcp.stdout)).toBe(settled((await bridge.ours(["dump-desc", "br0"])).stdout));
      await bridge.sut.vsctl("del-controller", "br0");
      const refused = await bridge.ours(["show", "tcp:127.0.0.1:9"], "", netns);
      expect(refused).toEqual({
        code: 1,
        stdout: "",
        stderr: "sluice ofctl: tcp:127.0.0.1:9: connection refused\n",
      });
    });

    test.each([
      [["version"]],
      [["list-commands"]],
      [["ofproto/list"]],
      [["nosuchcommand"]],
      [["vlog/set", "nomodule:dbg"]],
    ])("appctl %j says what ovs-appctl says", async (args) => {
      const env = { SLUICE_RUNDIR: bridge.sut.rundir, OVS_RUNDIR: bridge.sut.rundir };
      const socket = readdirSync(bridge.sut.rundir).find((name) => /^ovs-vswitchd\.\d+\.ctl$/.test(name))!;
      const target = ["-t", join(bridge.sut.rundir, socket)];
      const ours = await run(["node", SLUICE, "appctl", ...target, ...args], { env });
      const theirs = await run(["ovs-appctl", ...target, ...args], { env });
      const renamed = theirs.stderr.replace("ovs-appctl:", "sluice appctl:");
      expect(ours).toEqual({ ...theirs, stderr: renamed });
    });
  });
});
