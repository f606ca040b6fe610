import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, run, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** What comes of changes of ports, on Sluice and on Open vSwitch, with dummy ports: what a controller hears of, what the
 *  database and the control commands tell, what bridges remember. */
const KINDS = [
  ["Sluice", startSluice],
  ["Open vSwitch", (of: { netns: string }) => startOvs({ ...of, vswitchd: ["--enable-dummy=override"] })],
] as const;

const needs = { root: true, programs: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-vswitchd", "ip"] };

describeWith(needs, "changes of ports", () => {
  describe.each(KINDS)("on %s", (_kind, start) => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let monitor: Daemon;
    let heard = 0;

    beforeAll(async () => {
      const netns = await net.add("sw");
      sut = await start({ netns });
      const bridge = ["datapath_type=netdev", "fail-mode=secure"];
      await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", ...bridge);
      for (const [name, ...more] of [["mark", "ofport_request=99"], ["d1", "ofport_request=1"], ["d2"]])
        await sut.vsctl("add-port", "br0", name!, "--", "set", "interface", name!, "type=dummy", ...more);
      const argv = ["ovs-ofctl", "-O", "OpenFlow13", "monitor", "br0", "65535"];
      monitor = new Daemon(argv, { netns, env: { OVS_RUNDIR: sut.rundir } });
      // It says nothing when it has connected.
      const hears = () =>
        mark(1_000).then(
          () => true,
          () => false,
        );
      await until(hears, "the monitor to hear");
    });

    afterAll(async () => {
      await monitor?.stop();
      await sut?.stop();
      await net.destroy();
    });

    /** As ovs-appctl asks. */
    const appctl = async (...args: string[]): Promise<string> => {
      const argv = ["ovs-appctl", "-t", "ovs-vswitchd", ...args];
      return (await run(argv, { netns: net.netns("sw"), env: { OVS_RUNDIR: sut.rundir } })).stdout;
    };
    const number = async (name: string): Promise<number> =>
      Number(await sut.vsctl("get", "interface", name, "ofport"));

    const marks = (): number => monitor.output.match(/MOD: 99\(mark\)/g)?.length ?? 0;
    let isOn = true;
    /** Has the port "mark" tell of itself: what the monitor hears before has been told of before. */
    async function mark(patienceMs = 20_000): Promise<void> {
      const before = marks();
      isOn = !isOn;
      await sut.ofctl("mod-port", "br0", "mark", isOn ? "packet-in" : "no-packet-in");
      await until(
        () => marks() > before,
        "the mark",
        patienceMs,
        () => monitor.output,
      );
    }

    /** Ports that have come and gone by this change, as a controller hears it. */
    async function change(...args: string[]): Promise<string[]> {
      await sut.vsctl(...args);
      await mark();
      const text = monitor.output.slice(heard);
      heard = monitor.output.length;
      return [...text.matchAll(/(ADD|DEL): \d+\((\w+)\)/g)].map(([, what, port]) => `${what} ${port}`);
    }

    test("what a port has, heeds in place or does not heed does not take it down", async () => {
      await change("set", "interface", "d1", "external_ids:x=1");
      const rows: string[][] = [
        ["set", "interface", "d1", "ofport_request=1"],
        ["clear", "interface", "d1", "ofport_request"],
        ["set", "interface", "d2", `ofport_request=${await number("d2")}`],
        ["set", "interface", "d1", "external_ids:iface-id=vm1", "other_config:y=1", "options:n_rxq=2"],
        ["set", "interface", "d1", "mtu_request=1400"],
        ["clear", "interface", "d1", "mtu_request"],
        ["set", "interface", "d1", 'mac="02:00:00:00:00:aa"'],
        ["set", "interface", "d1", "lldp:enable=true", "bfd:enable=true", "cfm_mpid=1"],
        ["set", "interface", "d1", "ingress_policing_rate=1000", "ingress_policing_burst=100"],
        ["set", "port", "d1", "tag=5", "bond_mode=active-backup", "external_ids:a=b", "other_config:c=d"],
        ["clear", "port", "d1", "tag"],
        ["set", "port", "d1", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-htb"],
        ["clear", "port", "d1", "qos"],
        ["set", "interface", "br0", "ofport_request=5"],
        // Other rows for the same port.
        ["del-port", "d1", "--", "add-port", "br0", "d1", "--", "set", "interface", "d1", "type=dummy"],
      ];
      for (const row of rows) expect(await change(...row), row.join(" ")).toEqual([]);
      expect(await number("d1")).toBe(1);
    });

    test("who asks for a number gets it from who has not asked, and not from who has", async () => {
      const before = await number("d2");
      await sut.vsctl("clear", "interface", "d2", "ofport_request");
      const all = ["ADD d1", "ADD d2", "DEL d1", "DEL d2"];
      expect((await change("set", "interface", "d1", `ofport_request=${before}`)).sort()).toEqual(all);
      expect(await number("d1")).toBe(before);
      // A number that somebody had is not given to another at once.
      expect([1, before]).not.toContain(await number("d2"));
      expect(await change("set", "interface", "d2", `ofport_request=${before}`)).toEqual([]);
      // Until who has it moves on.
      expect((await change("set", "interface", "d1", "ofport_request=17")).sort()).toEqual(all);
      expect(await number("d2")).toBe(before);
      expect(await number("d1")).toBe(17);
    });

    test("patch ports show their peers, and say when there is none", async () => {
      const patch = (bridge: string, name: string, peer: string): string[] =>
        `-- add-port ${bridge} ${name} -- set interface ${name} type=patch options:peer=${peer}`.split(" ");
      await sut.vsctl(
        ..."add-br br1 -- set bridge br1 datapath_type=netdev fail-mode=secure".split(" "),
        ...patch("br0", "to1", "to0"),
      );
      const errorOf = async (name: string): Promise<string> =>
        (await sut.vsctl("get", "interface", name, "error")).trim();
      await until(async () => (await errorOf("to1")) !== "[]", "the error");
      expect(await errorOf("to1")).toMatch(/^"No usable peer 'to0' exists in '\w+' datapath\."$/);
      await sut.vsctl(...patch("br1", "to0", "to1").slice(1));
      await until(async () => (await errorOf("to1")) === "[]", "no error any more");
      const shown = await appctl("dpif/show");
      expect(shown).toMatch(/^ {4}to0 1\/none: \(patch: peer=to1\)$/m);
      expect(shown).toMatch(/^ {4}to1 \d+\/none: \(patch: peer=to0\)$/m);
    });

    test("who was behind a port that goes is forgotten by all bridges", async () => {
      for (const bridge of ["br0", "br1"]) await sut.ofctl("add-flow", bridge, "actions=NORMAL");
      await sut.vsctl(..."add-port br1 d3 -- set interface d3 type=dummy ofport_request=3".split(" "));
      const hear = async (bridge: string, in_port: number, mac: string): Promise<void> => {
        const packet = `ffffffffffff${mac}88b5${"00".repeat(46)}`;
        await sut.ofctl("packet-out", bridge, `in_port=${in_port},packet=${packet},actions=NORMAL`);
      };
      const known = async (bridge: string): Promise<string[]> => {
        const text = await appctl("fdb/show", bridge);
        return [...text.matchAll(/(?:[0-9a-f]{2}:){5}([0-9a-f]{2})/g)].map(([, last]) => last!).sort();
      };
      await hear("br0", await number("d1"), "000000000011");
      await hear("br0", await number("d2"), "000000000012");
      await hear("br1", 3, "000000000013");
      await appctl("fdb/add", "br1", "to0", "0", "00:00:00:00:00:11");
      for (const bridge of ["br0", "br1"])
        await until(async () => (await known(bridge)).join() === "11,12,13", `${bridge} to know all`);
      await sut.vsctl("del-port", "d1");
      for (const bridge of ["br0", "br1"]) expect(await known(bridge)).toEqual(["12", "13"]);
      await sut.vsctl("del-port", "d3");
      for (const bridge of ["br0", "br1"]) expect(await known(bridge)).toEqual(["12"]);
    });
  });
});
