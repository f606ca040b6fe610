import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** Four bridges in a ring of cables, a host at each; and a Linux bridge, which knows nothing of OpenFlow, between the
 *  first and the third, with a host of its own. */
const BRIDGES = ["s1", "s2", "s3", "s4"];
const HOSTS = ["a", "b", "c", "d", "e"];
const ipOf = (host: string): string => `10.0.0.${HOSTS.indexOf(host) + 1}`;
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip", "ping", "ethtool"];

describeWith({ root: true, programs: PROGRAMS }, "sluice controller --app forwarding", () => {
  describe.each([
    ["Sluice", startSluice],
    ["Open vSwitch", startOvs],
  ])("on a ring of 4 bridges of %s", (_name, startSwitch) => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let controller: Daemon;

    beforeAll(async () => {
      const netns = await net.add("sw");
      const ip = (...args: string[]) => net.check("sw", ["ip", ...args]);
      const ports: [bridge: string, port: string][] = [];
      const cable = async (one: string, other: string): Promise<void> => {
        await ip("link", "add", one, "type", "veth", "peer", "name", other);
        for (const end of [one, other]) {
          await net.offloadsOff("sw", end);
          await ip("link", "set", end, "up");
        }
      };
      for (const [i, bridge] of BRIDGES.entries()) {
        await net.addHost(HOSTS[i]!, `${ipOf(HOSTS[i]!)}/24`, `p${i + 1}`, "sw", { offloads: false });
        const next = (i + 1) % 4;
        await cable(`right${i + 1}`, `left${next + 1}`);
        ports.push([bridge, `p${i + 1}`], [bridge, `right${i + 1}`], [BRIDGES[next]!, `left${next + 1}`]);
      }
      await ip("link", "add", "seg", "type", "bridge");
      await ip("link", "set", "seg", "up");
      await net.addHost("e", `${ipOf("e")}/24`, "pe", "sw", { offloads: false });
      await ip("link", "set", "pe", "master", "seg");
      for (const at of [1, 3]) {
        await cable(`out${at}`, `in${at}`);
        await ip("link", "set", `in${at}`, "master", "seg");
        ports.push([`s${at}`, `out${at}`]);
      }
      sut = await startSwitch({ netns });
      for (const [i, bridge] of BRIDGES.entries()) {
        await sut.vsctl(
          ..."--no-wait add-br".split(" "),
          bridge,
          ...`-- set bridge ${bridge} datapath_type=netdev fail_mode=secure protocols=OpenFlow13`.split(" "),
          `other_config:datapath-id=000000000000000${i + 1}`,
          ...ports.filter(([at]) => at === bridge).flatMap(([, port]) => ["--", "add-port", bridge, port]),
          ...`-- set-controller ${bridge} tcp:127.0.0.1:6653`.split(" "),
        );
      }
      const argv = ["node", SLUICE, "controller", "--app", "topology", "--app", "forwarding"];
      controller = new Daemon(argv, { netns });
      for (const id of [1, 2, 3, 4])
        await controller.prints(new RegExp(`switch 000000000000000${id} connected`));
      // Ports without a link are hosts' after two seconds; the first thing that this shows is the flow for a sender.
      await until(
        async () => (await ping("a", "b")) === "",
        "the first ping",
        30_000,
        () => flows("s1"),
      );
    });

    afterAll(async () => {
      await controller?.stop("SIGKILL");
      await sut?.stop();
      await net.destroy();
    });

    const flows = (bridge: string): Promise<string> => sut.ofctl("dump-flows", bridge);
    const groups = (bridge: string): Promise<string> => sut.ofctl("--no-names", "dump-groups", bridge);
    const portNo = async (name: string): Promise<number> =>
      Number(await sut.vsctl("get", "interface", name, "ofport"));
    /** Empty when one echo came back, once. */
    const ping = async (from: string, to: string): Promise<string> => {
      await net.check(from, ["ip", "neigh", "flush", "dev", "eth0"]);
      const { stdout } = await net.run(from, ["ping", "-c", "1", "-W", "3", ipOf(to)]);
      return / 1 received/.test(stdout) && !/DUP|duplicates/.test(stdout) ? "" : stdout;
    };
    const lost = async (): Promise<string[]> => {
      const wrong: string[] = [];
      for (const from of HOSTS)
        for (const to of HOSTS) if (from !== to && (await ping(from, to)) !== "") wrong.push(`${from}-${to}`);
      return wrong;
    };
    const received = async (host: string): Promise<number> =>
      Number(await net.check(host, ["cat", "/sys/class/net/eth0/statistics/rx_packets"]));

    test("all pairs ping, each echo comes once, and no broadcast goes round", async () => {
      expect(await lost()).toEqual([]);
      const before = await received("c");
      expect(await ping("a", "b")).toBe("");
      expect(await ping("b", "d")).toBe("");
      // The two questions of ARP, and the controller's probes.
      expect((await received("c")) - before).toBeLessThan(30);
    });

    test("a cable that is cut is gone round, and used again when it is mended", async () => {
      const link = (state: string) => net.check("sw", ["ip", "link", "set", "right1", state]);
      await link("down");
      await until(
        async () => (await ping("a", "b")) === "",
        "a way round",
        10_000,
        () => flows("s1"),
      );
      expect(await lost()).toEqual([]);
      await link("up");
      const uses = async () => (await groups("s1")).includes(`output:${await portNo("right1")}`);
      await until(uses, "the cable in use again", 15_000, () => groups("s1"));
      expect(await lost()).toEqual([]);
    });

    test("paths that are equally short share the flows in a select group", async () => {
      expect(await ping("a", "c")).toBe("");
      const table = await groups("s1");
      const ports = [await portNo("right1"), await portNo("left1")].sort((x, y) => x - y);
      expect(table).toMatch(
        new RegExp(`type=select,.*actions=output:${ports[0]},.*actions=output:${ports[1]}\n`),
      );
      expect(table).toMatch(/type=ff/);
    });

    test("a host that moves to another switch is reached there", async () => {
      // The cables of hosts b and d are swapped: their ports keep their carrier, and their bridges do not notice.
      const setIp = async (host: string, ip: string, mac: string): Promise<void> => {
        await net.check(host, ["ip", "addr", "flush", "dev", "eth0"]);
        await net.check(host, ["ip", "link", "set", "eth0", "address", mac]);
        await net.check(host, ["ip", "addr", "add", `${ip}/24`, "dev", "eth0"]);
      };
      const macOf = (host: string) =>
        net.check(host, ["cat", "/sys/class/net/eth0/address"]).then((text) => text.trim());
      const [b, d] = [await macOf("b"), await macOf("d")];
      await setIp("b", ipOf("d"), "02:00:00:00:00:99");
      await setIp("d", ipOf("b"), b);
      await setIp("b", ipOf("d"), d);
      // Each speaks once; then it is found.
      for (const host of ["b", "d"]) await net.run(host, ["ping", "-c", "1", "-W", "3", ipOf("a")]);
      const pings = async (from: string, ip: string): Promise<boolean> => {
        await net.check(from, ["ip", "neigh", "flush", "dev", "eth0"]);
        return (await net.run(from, ["ping", "-c", "1", "-W", "3", ip])).code === 0;
      };
      for (const ip of [ipOf("b"), ipOf("d")]) expect(await pings("c", ip)).toBe(true);
    });

    test("neither side finds anything wrong with the other", () => {
      expect(controller.output).not.toMatch(/refused|malformed|failed/);
    });
  });
});
