import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, run, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** ARP request as hex, from 02:…:01 to everybody. */
const FRAME = `ffffffffffff020000000001${"0806"}0001080006040001020000000001${"0a000001"}000000000000${"0a000002"}`;

describeWith(
  { root: true, programs: ["ovs-vsctl", "ovs-ofctl", "ip"] },
  "the real ovs-ofctl on our switch",
  () => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let netns: string;

    beforeAll(async () => {
      netns = await net.add("sw");
      sut = await startSluice({ netns });
      await sut.vsctl(
        ...addBridge("br0", "datapath_type=netdev", "fail_mode=secure"),
        ...[1, 2].flatMap((n) => addPort("br0", `d${n}`, "type=dummy", `ofport_request=${n}`)),
      );
      await sut.vsctl("set-controller", "br0", "ptcp:16653:127.0.0.1");
    });

    afterAll(async () => {
      await sut?.stop();
      await net.destroy();
    });

    const ofctl = (...args: string[]): Promise<string> =>
      check(["ovs-ofctl", "-O", "OpenFlow13", "--timeout=15", ...args], { netns });
    /** ovs-ofctl that stays makes a control socket of its own. */
    const env = () => ({ netns, env: { OVS_RUNDIR: sut.rundir } });
    const flows = async (target: string): Promise<string[]> =>
      (await ofctl("--no-stats", "--no-names", "dump-flows", target))
        .trim()
        .split("\n")
        .map((line) => line.trim());

    describe.each([
      ["BRIDGE.mgmt", () => `unix:${sut.rundir}/br0.mgmt`],
      ["a ptcp: controller", () => "tcp:127.0.0.1:16653"],
    ])("over %s", (_, target) => {
      test("show, dump-desc, dump-ports-desc, dump-ports, dump-tables", async () => {
        const show = await ofctl("show", target());
        expect(show).toMatch(/OFPT_FEATURES_REPLY \(OF1\.3\) .*dpid:[0-9a-f]{16}/);
        expect(show).toMatch(/n_tables:254, n_buffers:256/);
        expect(show).toMatch(/1\(d1\): addr:/);
        expect(show).toMatch(/LOCAL\(br0\): addr:/);
        expect(show).toContain("OFPT_GET_CONFIG_REPLY (OF1.3)");
        expect(await ofctl("dump-desc", target())).toMatch(/Manufacturer: .+\nHardware: .+\nSoftware: .+/);
        expect(await ofctl("dump-ports-desc", target())).toContain("2(d2)");
        expect(await ofctl("dump-ports", target())).toMatch(/port +1: rx pkts=\d+/);
        expect(await ofctl("dump-tables", target())).toMatch(/table 0/);
      });

      test("add-flow, mod-flows, del-flows", async () => {
        await ofctl("del-flows", target());
        await ofctl("add-flow", target(), "priority=5,in_port=1,dl_vlan=7,actions=pop_vlan,output:2");
        await ofctl(
          "add-flow",
          target(),
          "cookie=0xab,ip,nw_dst=10.0.0.0/8,actions=set_field:1.2.3.4->ip_dst,2",
        );
        expect((await flows(target())).sort()).toEqual([
          "cookie=0xab, ip,nw_dst=10.0.0.0/8 actions=set_field:1.2.3.4->ip_dst,output:2",
          "priority=5,in_port=1,dl_vlan=7 actions=pop_vlan,output:2",
        ]);
        await ofctl("mod-flows", target(), "in_port=1,dl_vlan=7,actions=drop");
        expect(await flows(target())).toContain("priority=5,in_port=1,dl_vlan=7 actions=drop");
        await ofctl("del-flows", target(), "cookie=0xab/-1");
        expect(await flows(target())).toHaveLength(1);
        await ofctl("--strict", "del-flows", target(), "priority=5,in_port=1,dl_vlan=7");
        expect(await flows(target())).toEqual([""]);
      });

      test("a wrong flow is refused with the error, and the connection goes on", async () => {
        const result = await run(
          ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", target(), "actions=group:77"],
          { netns },
        );
        expect(result.stderr).toMatch(/OFPBAC_BAD_OUT_GROUP/);
      });

      test("add-flows in one bundle is all or nothing", async () => {
        await ofctl("del-flows", target());
        const input = ["in_port=1,actions=2", "in_port=2,actions=group:77"].join("\n");
        const bundle = ["ovs-ofctl", "-O", "OpenFlow13", "--bundle", "add-flows", target(), "-"];
        const refused = await run(bundle, { netns, input: `${input}\n` });
        expect(refused.code).not.toBe(0);
        expect(await flows(target())).toEqual([""]);
        const taken = await run(bundle, { netns, input: "in_port=1,actions=2\nin_port=2,actions=1\n" });
        expect(taken.stderr).toBe("");
        expect(await flows(target())).toHaveLength(2);
      });

      test("packet-out and monitor: what a flow sends to the controller arrives", async () => {
        await ofctl("del-flows", target());
        await ofctl("add-flow", target(), "in_port=1,actions=controller:100");
        const monitor = new Daemon(["ovs-ofctl", "-O", "OpenFlow13", "monitor", target(), "65534"], env());
        try {
          await until(async () => {
            await ofctl("packet-out", target(), `in_port=1,packet=${FRAME},actions=table`);
            return /PACKET_IN/.test(monitor.output);
          }, "a packet-in");
          expect(monitor.output).toMatch(/\(via action\)/);
          expect(monitor.output).toMatch(/arp_spa=10\.0\.0\.1/);
        } finally {
          await monitor.stop();
        }
      });

      test("monitor watch: tells of flows that there are and that change", async () => {
        await ofctl("del-flows", target());
        await ofctl("add-flow", target(), "in_port=1,actions=2");
        const monitor = new Daemon(["ovs-ofctl", "-O", "OpenFlow13", "monitor", target(), "watch:"], env());
        try {
          await monitor.prints(/event=ADDED .*in_port=(1|"?d1"?)/);
          await ofctl("add-flow", target(), "in_port=2,actions=1");
          await monitor.prints(/event=ADDED .*in_port=(2|"?d2"?)/);
          // A flow that takes the place of another is added.
          await ofctl("add-flow", target(), "in_port=2,cookie=0x17,actions=drop");
          await monitor.prints(/event=ADDED .*cookie=0x17/);
          await ofctl("mod-flows", target(), "in_port=2,actions=output:7");
          await monitor.prints(/event=MODIFIED .*cookie=0x17/);
          await ofctl("del-flows", target(), "in_port=2");
          await monitor.prints(/event=DELETED reason=delete .*in_port=(2|"?d2"?)/);
        } finally {
          await monitor.stop();
        }
      });

      test("monitor watch: of an out_port tells what leads there and what no longer does", async () => {
        await ofctl("del-flows", target());
        const args = ["-O", "OpenFlow13", "monitor", target(), "watch:out_port=7"];
        const monitor = new Daemon(["ovs-ofctl", ...args], env());
        try {
          await until(async () => {
            await ofctl("add-flow", target(), "in_port=1,cookie=1,actions=output:7");
            return /event=ADDED .*cookie=0x1 /.test(monitor.output);
          }, "a flow that leads there");
          await ofctl("mod-flows", target(), "in_port=1,actions=output:8");
          await monitor.prints(/event=MODIFIED .*cookie=0x1 .*actions=output:8/);
        } finally {
          await monitor.stop();
        }
      });

      test("probe, ping and the rest of the questions get answers", async () => {
        await ofctl("probe", target());
        expect(await ofctl("ping", target(), "8")).toContain("8 bytes from");
        expect(await ofctl("dump-aggregate", target())).toContain("flow_count=");
        expect(await ofctl("dump-groups", target())).toContain("OFPST_GROUP_DESC reply");
        expect(await ofctl("dump-group-features", target())).toContain("Group table");
        expect(await ofctl("meter-features", target())).toContain("max_meter");
        expect(await ofctl("dump-meters", target())).toContain("OFPST_METER_CONFIG reply");
        expect(await ofctl("queue-stats", target())).toContain("OFPST_QUEUE reply");
        expect(await ofctl("get-frags", target())).toBe("normal\n");
        expect(await ofctl("dump-table-features", target())).toContain("table 0");
      });
    });

    test("ports can be shut and opened", async () => {
      await ofctl("mod-port", "br0", "d1", "down").catch(() => {});
      await ofctl("mod-port", `unix:${sut.rundir}/br0.mgmt`, "1", "down");
      expect(await ofctl("dump-ports-desc", `unix:${sut.rundir}/br0.mgmt`)).toMatch(
        /1\(d1\).*\n *config: +PORT_DOWN/,
      );
      await ofctl("mod-port", `unix:${sut.rundir}/br0.mgmt`, "1", "up");
    });

    test("snoop shows what the bridge and its controller say to each other", async () => {
      const snoop = new Daemon(["ovs-ofctl", "-O", "OpenFlow13", "snoop", "br0"], {
        netns,
        env: { OVS_RUNDIR: sut.rundir },
      });
      const controller = new Daemon(
        ["ovs-testcontroller", `--unixctl=${sut.rundir}/tc.ctl`, "-O", "OpenFlow13", "ptcp:16654:127.0.0.1"],
        { netns },
      );
      try {
        await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:16654");
        await snoop.prints(/OFPT_FEATURES_REQUEST/);
        await snoop.prints(/OFPT_FEATURES_REPLY.*dpid:/);
      } finally {
        await snoop.stop();
        await controller.stop();
      }
    });
  },
);
