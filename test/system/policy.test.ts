import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const HOSTS = ["a", "b", "c"];
const ipOf = (host: string): string => `10.0.0.${HOSTS.indexOf(host) + 1}`;
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip", "ping", "ethtool"];

/** An access list of a VLAN, and a rule that shows its packets to port pc. */
const mirrored = (isUdpAllowed: boolean): string => `
vlans:
  office: { vid: 100, acl_in: for-all }
acls:
  for-all:
    - { match: udp, allow: ${isUdpAllowed} }
    - { match: icmp, allow: true, mirror: pc }
    - { allow: true }
dps:
  br0:
    dp_id: 0x1
    interfaces:
      pa: { native_vlan: office }
      pb: { native_vlan: office }
      pc: {}
`;

const file = (vlanOfC: string, aclOfA: string): string => `
vlans:
  office: { vid: 100 }
  guests: { vid: 200 }
acls:
  open: [{ allow: true }]
  no-ping:
    - { match: icmp, allow: false }
    - { allow: true }
dps:
  br0:
    dp_id: 0x1
    interfaces:
      pa: { native_vlan: office, acl_in: ${aclOfA} }
      pb: { native_vlan: office }
      pc: { native_vlan: ${vlanOfC} }
`;

describeWith({ root: true, programs: PROGRAMS }, "sluice controller --app policy", () => {
  describe.each([
    ["Sluice", startSluice],
    ["Open vSwitch", startOvs],
  ])("on a bridge of %s", (_name, startSwitch) => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let controller: Daemon;
    let path: string;

    beforeAll(async () => {
      const netns = await net.add("sw");
      for (const host of HOSTS)
        await net.addHost(host, `${ipOf(host)}/24`, `p${host}`, "sw", { offloads: false });
      sut = await startSwitch({ netns });
      path = `${sut.rundir}/net.yaml`;
      writeFileSync(path, file("guests", "open"));
      await sut.vsctl(
        ..."add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols=OpenFlow13".split(
          " ",
        ),
        ..."other_config:datapath-id=0000000000000001".split(" "),
        ...HOSTS.flatMap((host) => ["--", "add-port", "br0", `p${host}`]),
        ..."-- set-controller br0 tcp:127.0.0.1:6653".split(" "),
      );
      await startController();
      await until(
        async () => /dl_vlan=100/.test(await flows()),
        "the flows",
        10_000,
        () => controller.output,
      );
    });
    afterAll(async () => {
      await controller?.stop("SIGKILL");
      await sut?.stop();
      await net.destroy();
    });

    const startController = async (): Promise<void> => {
      const argv = ["node", SLUICE, "controller", "--app", "policy", "--set", `policy.file=${path}`];
      controller = new Daemon(argv, { netns: net.netns("sw") });
      await controller.prints(/switch 0000000000000001 connected/);
    };
    const flows = (): Promise<string> => sut.ofctl("dump-flows", "br0");
    const pings = async (from: string, to: string): Promise<boolean> => {
      await net.check(from, ["ip", "neigh", "flush", "dev", "eth0"]);
      return (await net.run(from, ["ping", "-c", "1", "-W", "1", ipOf(to)])).code === 0;
    };
    const takenUp = async (text: string): Promise<void> => {
      const lines = controller.output.split("taken up").length;
      writeFileSync(path, text);
      await until(
        async () => controller.output.split("taken up").length > lines,
        "the file to be read",
        10_000,
        () => controller.output,
      );
    };

    test("hosts reach those of their VLAN only", async () => {
      expect(await pings("a", "b")).toBe(true);
      expect(await pings("a", "c")).toBe(false);
    });

    test("the file is followed: a port changes its VLAN, and only that", async () => {
      const duration = async (): Promise<number> =>
        Number(
          /duration=([\d.]+)s, table=1,[^\n]*in_port=("?pb"?|2),vlan_tci=0x0000/.exec(await flows())?.[1],
        );
      const before = await duration();
      await takenUp(file("office", "open"));
      expect(await pings("a", "c")).toBe(true);
      // What stayed was not sent again.
      expect(await duration()).toBeGreaterThan(before);
    });

    test("an access list is in force as soon as it is written", async () => {
      await takenUp(file("office", "no-ping"));
      await until(async () => !(await pings("a", "b")), "the list to be in force", 10_000, flows);
      expect(await pings("b", "c")).toBe(true);
      await takenUp(file("office", "open"));
      await until(() => pings("a", "b"), "the list to be gone", 10_000, flows);
    });

    test("a file that is wrong changes nothing, and the log says where and what", async () => {
      await takenUp(file("offce", "open"));
      await controller.prints(
        /not taken up: .*net\.yaml: dps\.br0\.interfaces\.pc\.native_vlan: "offce" is not the name of a VLAN; there are office, guests/,
      );
      expect(await pings("a", "c")).toBe(true);
    });

    test("a list for a whole VLAN, and a rule that mirrors what it takes", async () => {
      await takenUp(mirrored(true));
      expect(await pings("a", "b")).toBe(true);
      const received = async (): Promise<number> =>
        Number(await net.check("c", ["cat", "/sys/class/net/eth0/statistics/rx_packets"]));
      const before = await received();
      const ping = await net.run("a", ["ping", "-c", "10", "-i", "0.02", "-W", "3", ipOf("b")]);
      expect(ping.stdout).toContain("10 received");
      // Echoes and replies; of ARP nothing.
      expect((await received()) - before).toBe(20);
    });

    test("at SIGHUP, while hosts talk, only what is different is sent, and no packet is lost", async () => {
      const ages = async (): Promise<number[]> =>
        [...(await flows()).matchAll(/duration=([\d.]+)s/g)].map(([, age]) => Number(age));
      const count = (await ages()).length;
      const pinging = net.run("a", ["ping", "-c", "100", "-i", "0.02", "-W", "3", ipOf("b")]);
      const lines = controller.output.split("taken up").length;
      writeFileSync(path, mirrored(false));
      controller.signal("SIGHUP");
      await until(
        async () => controller.output.split("taken up").length > lines,
        "the file to be read",
        10_000,
        () => controller.output,
      );
      const changed = [...controller.output.matchAll(/taken up: (\d+) flows added, (\d+) removed/g)].at(-1);
      expect(changed?.slice(1).map(Number)).toEqual([expect.toSatisfy((n) => n > 0 && n < count / 2), 0]);
      expect((await pinging).stdout).toContain("100 received");
      expect((await ages()).length).toBe(count);
    });

    test("a controller that is killed and started anew goes on with what the switch has", async () => {
      const pinging = net.run("a", ["ping", "-c", "100", "-i", "0.05", "-W", "3", ipOf("b")]);
      const count = (await flows()).match(/duration=/g)!.length;
      await controller.stop("SIGKILL");
      const killedAt = performance.now();
      await startController();
      expect((await pinging).stdout).toContain("100 received");
      const ages = [...(await flows()).matchAll(/duration=([\d.]+)s/g)].map(([, age]) => Number(age));
      expect(ages).toHaveLength(count);
      expect(Math.min(...ages)).toBeGreaterThan((performance.now() - killedAt) / 1000);
    });

    test("neither side finds anything wrong with the other", () => {
      expect(controller.output).not.toMatch(/refused a|malformed|failed/);
    });
  });
});
