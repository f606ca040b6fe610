import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** Dummy ports need no privilege and no devices: what is tried here is the configuration, not the forwarding. */
describeWith(
  { root: true, programs: ["ovs-vsctl", "ovs-appctl", "ip"] },
  "ovs-vsctl configures the switch",
  () => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let netns: string;
    /** The database's server, where a test has started it anew. */
    let database: Daemon | undefined;

    beforeAll(async () => {
      netns = await net.add("sw");
      sut = await startSluice({ netns });
      await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    });

    afterAll(async () => {
      await sut?.stop();
      await database?.stop();
      await net.destroy();
    });

    const get = async (...what: string[]): Promise<string> => (await sut.vsctl("get", ...what)).trim();
    const addDummy = (bridge: string, name: string, ...more: string[]): Promise<string> =>
      sut.vsctl("add-port", bridge, name, "--", "set", "interface", name, "type=dummy", ...more);
    /** By the daemon's name: ovs-appctl finds the socket by the pid file, which has to be locked. */
    const appctl = async (...args: string[]): Promise<string> => {
      const env = { OVS_RUNDIR: sut.rundir };
      const result = await run(["ovs-appctl", "-t", "ovs-vswitchd", ...args], { netns, env });
      return result.stdout + result.stderr;
    };

    test("the root row tells what the switch is and can", async () => {
      expect(await get("open_vswitch", ".", "datapath_types")).toBe("[netdev, system]");
      expect(await get("open_vswitch", ".", "iface_types")).toContain("internal");
      expect(await get("open_vswitch", ".", "db_version")).toMatch(/^"8\.\d+\.\d+"$/);
      expect(await get("open_vswitch", ".", "cur_cfg")).toBe(await get("open_vswitch", ".", "next_cfg"));
    });

    test("ports get numbers: the one asked for, else the next free one", async () => {
      await addDummy("br0", "d1", "ofport_request=17");
      await addDummy("br0", "d2");
      expect(await get("interface", "d1", "ofport")).toBe("17");
      expect(await get("interface", "d2", "ofport")).toBe("1");
      await sut.vsctl("set", "interface", "d2", "ofport_request=18");
      expect(await get("interface", "d2", "ofport")).toBe("18");
    });

    test("a wrong interface tells why in error, and ovs-vsctl repeats it", async () => {
      const result = await run(["ovs-vsctl", `--db=${sut.db}`, "add-port", "br0", "no-such-dev"], { netns });
      expect(result.stderr).toMatch(/no-such-dev/);
      expect(await get("interface", "no-such-dev", "ofport")).toBe("-1");
      expect(await get("interface", "no-such-dev", "error")).toMatch(/no-such-dev: .*no such device/i);
      await sut.vsctl("del-port", "br0", "no-such-dev");
      await sut.vsctl("add-port", "br0", "vx", "--", "set", "interface", "vx", "type=vxlan").catch(() => {});
      expect(await get("interface", "vx", "error")).toMatch(/type \\"vxlan\\" is not supported/);
      await sut.vsctl("del-port", "br0", "vx");
    });

    test("a feature that is not there is told in the row's status and by sluice vsctl, until nobody asks for it", async () => {
      const vsctl = (...args: string[]) => run([SLUICE, "vsctl", `--db=${sut.db}`, ...args], { netns });
      const asked = await vsctl("set", "bridge", "br0", "stp_enable=true");
      expect(asked).toMatchObject({ code: 0 });
      expect(asked.stderr).toBe("sluice vsctl: bridge br0: the switch does not support stp_enable\n");
      expect((await vsctl("set", "bridge", "br0", "external_ids:x=1")).stderr).toBe("");
      await addDummy("br0", "lag", "--", "set", "port", "lag", "lacp=active");
      expect(await get("bridge", "br0", "status:unsupported")).toBe("stp_enable");
      expect(await get("port", "lag", "status:unsupported")).toBe("lacp");
      await sut.vsctl("del-port", "br0", "lag", "--", "set", "bridge", "br0", "stp_enable=false");
      expect(await get("bridge", "br0", "status")).toBe("{}");
    });

    test("datapath_id follows other_config, and is stable without", async () => {
      const own = await get("bridge", "br0", "datapath_id");
      expect(own).toMatch(/^"0000[0-9a-f]{12}"$/);
      await sut.vsctl("set", "bridge", "br0", "other-config:datapath-id=00000000000000ab");
      expect(await get("bridge", "br0", "datapath_id")).toBe('"00000000000000ab"');
      expect(await sut.ofctl("show", "br0")).toContain("dpid:00000000000000ab");
      await sut.vsctl("remove", "bridge", "br0", "other-config", "datapath-id");
      expect(await get("bridge", "br0", "datapath_id")).toBe(own);
    });

    test("datapath_type system falls back to user space and says so", async () => {
      await sut.vsctl("add-br", "br-sys");
      expect(await get("interface", "br-sys", "ofport")).toBe("65534");
      expect(await get("bridge", "br-sys", "status")).toMatch(/user.space/);
      await sut.vsctl("del-br", "br-sys");
      expect(await sut.vsctl("list-br")).toBe("br0\n");
    });

    test("fail-mode standalone without a controller is a NORMAL flow; secure has none", async () => {
      const flows = (): Promise<string> => sut.ofctl("dump-flows", "br0");
      expect(await flows()).toContain("NORMAL");
      await sut.vsctl("set-fail-mode", "br0", "secure");
      await sut.ofctl("del-flows", "br0");
      expect(await flows()).not.toContain("NORMAL");
      await sut.vsctl("del-fail-mode", "br0");
      await until(async () => (await flows()).includes("NORMAL"), "the NORMAL flow");
    });

    test("a controller that is away shows its state and error", async () => {
      await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6655");
      expect(await get("controller", "br0", "is_connected")).toBe("false");
      await until(
        async () => /refused/.test(await get("controller", "br0", "status")),
        "the error in Controller.status",
      );
      expect(await get("controller", "br0", "status")).toMatch(/state=(BACKOFF|CONNECTING)/);
      await sut.vsctl("del-controller", "br0");
    });

    test("ovs-appctl finds its commands", async () => {
      expect(await appctl("ofproto/list")).toBe("br0\n");
      expect(await appctl("fdb/show", "br0")).toContain(" port  VLAN  MAC                Age");
      expect(await appctl("fdb/show", "nobr")).toMatch(/no such bridge "nobr"/);
      expect(await appctl("dpif/show")).toMatch(/br0 65534\/\d+: \(\w+\)/);
      expect(await appctl("bridge/dump-flows", "br0")).toContain("actions=NORMAL");
      expect(await appctl("coverage/show")).toContain("total:");
      expect(await appctl("dpif-netdev/pmd-perf-show")).toMatch(
        /^\nTime: [\d:.]+\nMeasurement duration: [\d.]+ s\n\nmain thread:\n\n {2}Iterations: +\d+ {2}\([\d.]+ us\/it\)\n[\s\S]*\n {2}Rx packets: +\d+[\s\S]*\n {2}Tx packets: +\d+[\s\S]*\nHistograms\n {2}us\/it\n {2}below 16 us +\d+\n/,
      );
      expect(await appctl("dpif-netdev/pmd-stats-show")).toMatch(
        /^main thread:\n {2}packets received: \d+\n {2}packet recirc/,
      );
      expect(await appctl("dpif-netdev/pmd-stats-clear")).toBe("");
      expect(await appctl("ofproto/trace", "br0", "in_port=d1,dl_dst=02:00:00:00:00:09")).toMatch(
        /NORMAL\n.*flooding/,
      );
      expect(await appctl("ofproto/trace", "br0", "in_prt=1")).toMatch(/in_prt/);
      expect(await appctl("dpctl/show")).toMatch(/port \d+: d1 \(dummy\)/);
      expect(await appctl("memory/show")).toContain("ports:");
      expect(await appctl("vlog/list")).toContain("connmgr");
      expect(await appctl("vlog/set", "connmgr:console:dbg")).toBe("");
      expect(await appctl("version")).toContain("sluice");
      expect(await appctl("list-commands")).toContain("ofproto/list");
      expect(await appctl("no/such")).toMatch(/not a valid command/);
    });

    test("a database that goes and comes back finds the switch as it was", async () => {
      await sut.ofctl("add-flow", "br0", "cookie=0x77,in_port=1,actions=drop");
      await sut.daemons[0]!.stop();
      const again = new Daemon(
        ["node", SLUICE, "ovsdb-server", join(sut.rundir, "conf.db"), `--remote=punix:${sut.rundir}/db.sock`],
        { netns, env: { SLUICE_RUNDIR: sut.rundir, OVS_RUNDIR: sut.rundir } },
      );
      database = again;
      await until(
        () => existsSync(join(sut.rundir, "db.sock")),
        "the database",
        20_000,
        () => again.output,
      );
      await addDummy("br0", "d3");
      expect(await get("interface", "d3", "ofport")).toMatch(/^\d+$/);
      expect(await get("interface", "d1", "ofport")).toBe("17");
      expect(await sut.ofctl("dump-flows", "br0")).toContain("cookie=0x77");
    });

    test("del-br takes its ports and sockets with it", async () => {
      await sut.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev");
      const mgmt = join(sut.rundir, "br1.mgmt");
      expect(existsSync(mgmt)).toBe(true);
      await sut.vsctl("del-br", "br1");
      expect(existsSync(mgmt)).toBe(false);
      expect((await run(["ip", "link", "show", "br1"], { netns })).code).not.toBe(0);
    });

    test("the daemon ends on SIGTERM with its devices and sockets gone, and comes back as it was", async () => {
      expect(await sut.daemons[1]!.stop()).toBe(0);
      expect(readdirSync(sut.rundir).filter((name) => /mgmt|snoop|vswitchd.*ctl/.test(name))).toEqual([]);
      expect((await run(["ip", "link", "show", "br0"], { netns })).code).not.toBe(0);
      const again = new Daemon(["node", SLUICE, "vswitchd", sut.db], {
        netns,
        env: { SLUICE_RUNDIR: sut.rundir, OVS_RUNDIR: sut.rundir },
      });
      try {
        await until(
          () => existsSync(join(sut.rundir, "br0.mgmt")),
          "br0 to be back",
          20_000,
          () => again.output,
        );
        await until(async () => (await sut.ofctl("show", "br0")).includes("17(d1)"), "its ports to be back");
      } finally {
        expect(await again.stop("SIGINT")).toBe(0);
      }
    });
  },
);
