import { line } from "@sluice/lab";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startOvs, startSluice } from "../support/daemons.js";
import { until } from "../support/process.js";
import { dpidOf, ipOf, macOf, RealFabric, type StartSwitch } from "../support/real-fabric.js";
import { describeWith } from "../support/requirements.js";
import { RestController } from "../support/rest.js";

/** Each bundled app on a line of three real bridges, a host at each. `forwarding` in other topologies, `policy`, `router` and
 *  the rules of `firewall` and `qos` have files of their own. */
const SHAPE = line(3);
const KINDS: [string, StartSwitch][] = [
  ["Sluice", startSluice],
  ["Open vSwitch", startOvs],
];
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip", "ping", "ethtool"];

describeWith({ root: true, programs: PROGRAMS }, "the bundled apps", () => {
  describe.each(KINDS)("on a line of bridges of %s", (_kind, startSwitch) => {
    let fabric: RealFabric;
    let rest: RestController;

    beforeAll(async () => {
      fabric = await RealFabric.start(startSwitch, SHAPE, {
        controller: (rundir) => `unix:${rundir}/c.sock`,
      });
    });
    afterAll(() => fabric?.destroy());
    afterEach(async () => {
      const { output } = rest.daemon;
      await rest.stop();
      expect(output).not.toMatch(/refused a|malformed|failed/);
      for (const [i] of fabric.shape.hosts.entries()) {
        await fabric.daemon(i).ofctl("del-flows", `s${i + 1}`);
        await fabric.daemon(i).ofctl("del-groups", `s${i + 1}`);
      }
    });

    const start = async (...apps: string[]): Promise<void> => {
      const options = apps.flatMap((app) => (app.startsWith("-") ? app.split(" ") : ["--app", app]));
      rest = await RestController.start(`${fabric.daemon(0).rundir}/c.sock`, ...options);
      await rest.hasSwitches(SHAPE.switches);
    };
    const soon = (isSo: () => Promise<boolean>, what: string): Promise<void> =>
      until(isSo, what, 20_000, () => rest.daemon.output);
    /** What a host is sent while two others talk, beside the questions that everybody hears. */
    const overheard = async (): Promise<number> => {
      const before = await fabric.received("h2");
      for (let i = 0; i < 5; i++) expect(await fabric.ping("h1", "h3")).toBe("");
      return (await fabric.received("h2")) - before;
    };

    test("learning-switch: all reach each other, what is known is not flooded, a host moves across switches", async () => {
      await start("learning-switch");
      expect(await fabric.lostPings()).toEqual([]);
      // h1 asks for h3 five times; a storm would be thousands.
      expect(await overheard()).toBeLessThan(15);
      expect(await fabric.flows(1)).toMatch(
        new RegExp(`idle_timeout=60.*dl_src=${macOf(1)},dl_dst=${macOf(3)} actions=output:2`),
      );
      await fabric.moveHost("h1", 0, 2);
      await soon(async () => (await fabric.ping("h1", "h2")) === "", "the host to be heard at its new place");
      expect(await fabric.lostPings()).toEqual([]);
      await fabric.moveHost("h1", 2, 0);
      await soon(async () => (await fabric.ping("h1", "h2")) === "", "the host to be heard where it was");
      expect(await fabric.lostPings()).toEqual([]);
    });

    test("hub: everybody hears everything, once", async () => {
      await start("hub");
      expect(await fabric.lostPings()).toEqual([]);
      // Question, answer, echo and its reply.
      expect(await overheard()).toBeGreaterThanOrEqual(20);
      expect(await fabric.flows(0)).toMatch(/actions=FLOOD/);
    });

    test("topology: links each way, hosts with their addresses, a cable that is pulled out and put back", async () => {
      await start("topology", "learning-switch");
      const links = async (): Promise<string[]> =>
        (await rest.get("/v1.0/topology/links")).body
          .map(({ src, dst }: Record<string, { name: string }>) => `${src!.name}>${dst!.name}`)
          .sort();
      const all = ["c1-2>c2-1", "c2-1>c1-2", "c2-3>c3-2", "c3-2>c2-3"];
      await soon(async () => (await links()).length === all.length, "the links");
      expect(await links()).toEqual(all);
      expect(await fabric.lostPings()).toEqual([]);
      const hosts = (await rest.get("/v1.0/topology/hosts")).body;
      expect(hosts).toHaveLength(3);
      for (const i of [1, 2, 3])
        expect(hosts).toContainEqual(
          expect.objectContaining({
            ...{ mac: macOf(i), ipv4: [ipOf(i)] },
            port: expect.objectContaining({ dpid: dpidOf(i - 1), name: `p${i}` }),
          }),
        );
      // A host with more addresses, which it tells of in ARP and in neighbour discovery.
      for (const [host, address] of [
        ["h1", "2001:db8::1"],
        ["h3", "2001:db8::3"],
      ] as const) {
        await fabric.net.check(host, ["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0"]);
        await fabric.net.check(host, ["ip", "addr", "add", `${address}/64`, "dev", "eth0", "nodad"]);
      }
      await fabric.net.check("h1", ["ip", "addr", "add", "10.0.0.101/24", "dev", "eth0"]);
      // What it asks for is heard by all; what it answers goes by the flows there are.
      expect(await fabric.ping("h1", "h3", "-I", "10.0.0.101")).toBe("");
      expect(await fabric.net.ping("h1", "2001:db8::3", 1)).toBe(true);
      const first = async () =>
        (await rest.get("/v1.0/topology/hosts")).body.find(({ mac }: { mac: string }) => mac === macOf(1));
      expect(await first()).toMatchObject({
        ipv4: expect.arrayContaining([ipOf(1), "10.0.0.101"]),
        ipv6: expect.arrayContaining(["2001:db8::1"]),
      });
      await fabric.cable(0, 1, "down");
      await soon(async () => (await links()).length === 2, "the links to go");
      await fabric.cable(0, 1, "up");
      await soon(async () => (await links()).length === 4, "the links to come back");
    });

    test("forwarding: all reach each other; a cable cuts the line in two, and joins it again", async () => {
      await start("forwarding");
      await soon(async () => (await fabric.ping("h1", "h3")) === "", "the first way");
      expect(await fabric.lostPings()).toEqual([]);
      expect(await overheard()).toBeLessThan(25);
      await fabric.cable(0, 1, "down");
      await soon(async () => (await fabric.ping("h1", "h2", "-W", "1")) !== "", "the line to be cut");
      expect(await fabric.lostPings(["h2", "h3"])).toEqual([]);
      await fabric.cable(0, 1, "up");
      await soon(async () => (await fabric.ping("h1", "h2", "-W", "1")) === "", "the line to be whole");
      expect(await fabric.lostPings()).toEqual([]);
    });

    test("firewall: rules at all switches at once, in front of the learning switch", async () => {
      await start("firewall", "learning-switch");
      expect((await rest.put("/firewall/module/enable/all")).body).toHaveLength(3);
      expect(await fabric.ping("h1", "h2", "-W", "1")).not.toBe("");
      expect((await rest.post("/firewall/rules/all", { nw_proto: "ICMP" })).body).toHaveLength(3);
      expect(await fabric.lostPings()).toEqual([]);
      const rule = { nw_src: ipOf(1), nw_dst: ipOf(3), nw_proto: "ICMP", actions: "DENY", priority: "10" };
      await rest.post(`/firewall/rules/${dpidOf(1)}`, rule);
      expect(await fabric.ping("h1", "h3", "-W", "1")).not.toBe("");
      expect(await fabric.ping("h1", "h2")).toBe("");
    });

    test("monitor: the rates of ports and flows while hosts talk", async () => {
      await start("monitor", "--set monitor.intervalMs=500", "learning-switch");
      expect(await fabric.ping("h1", "h3")).toBe("");
      const talk = fabric.net.run("h1", ["ping", "-c", "200", "-i", "0.02", "-s", "958", "-W", "5", ipOf(3)]);
      // 50 echoes of 1000 bytes a second, and as many replies.
      const busiest = async (what: string, counter: string): Promise<number> => {
        const { body } = await rest.get(`/v1/monitor/${what}/${dpidOf(1)}`);
        return Math.max(...body.map((one: Record<string, number>) => one[`${counter}_per_sec`] ?? 0));
      };
      await soon(async () => (await busiest("ports", "rx_packets")) > 5, "the rates of ports");
      await soon(async () => (await busiest("flows", "packet_count")) > 5, "the rates of flows");
      expect((await talk).stdout).toMatch(/200 received/);
      const counted = async (): Promise<number> => {
        const { body } = await rest.get("/metrics");
        const name = `sluice_port_receive_packets_total{dpid="${dpidOf(1)}",port="1",name="c2-1"}`;
        return Number(
          body
            .split("\n")
            .find((text: string) => text.startsWith(name))
            ?.split(" ")[1] ?? 0,
        );
      };
      await soon(async () => (await counted()) >= 200, "all to be counted");
    });
  });
});
