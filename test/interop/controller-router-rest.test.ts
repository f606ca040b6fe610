import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { RestController } from "../support/rest.js";

/** Two routers with a network between them, as in the Ryu book's chapter on rest_router, for IPv4 and IPv6:
 *
 *    a 172.16.20.10, a2 172.16.20.11 - s1 - 172.16.30.0/24 - s2 - 172.16.10.10 b
 *      2001:db8:20::10                      2001:db8:30::/64       2001:db8:10::10 */
const [S1, S2] = ["0000000000000001", "0000000000000002"];
const [A, A2, B] = ["172.16.20.10", "172.16.20.11", "172.16.10.10"];
const [A6, B6] = ["2001:db8:20::10", "2001:db8:10::10"];
const KINDS = [
  ["Sluice", startSluice],
  ["Open vSwitch", startOvs],
] as const;
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server", "ip", "ping", "ethtool"];

describeWith({ root: true, programs: PROGRAMS }, "the router app", () => {
  describe.each(KINDS)("on %s", (_kind, start) => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let rest: RestController;

    const add = async (dpid: string, body: object): Promise<string> => {
      const answer = await rest.post(`/router/${dpid}`, body);
      expect(answer).toMatchObject({ status: 200, body: [{ switch_id: dpid.slice(0, 16) }] });
      const [{ result, details }] = answer.body[0].command_result;
      return `${result}: ${details}`;
    };
    const ip = (host: string, ...args: string[]): Promise<string> =>
      check(["ip", "-n", net.netns(host), ...args]);
    const ping = (from: string, to: string): Promise<boolean> => net.ping(from, to, 2);
    const answerTo = async (from: string, ...args: string[]): Promise<string> =>
      (await net.run(from, ["ping", "-c", "1", "-W", "5", ...args])).stdout;

    beforeAll(async () => {
      const netns = await net.add("sw");
      const hosts = [
        ["a", `${A}/24`, "p1", "172.16.20.1", `${A6}/64`, "2001:db8:20::1"],
        ["a2", `${A2}/24`, "p2", "172.16.20.1", "2001:db8:20::11/64", "2001:db8:20::1"],
        ["b", `${B}/24`, "p3", "172.16.10.1", `${B6}/64`, "2001:db8:10::1"],
      ] as const;
      for (const [host, address, port, gateway, address6, gateway6] of hosts) {
        await net.addHost(host, address, port, "sw", { offloads: false });
        await net.check(host, ["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0"]);
        await ip(host, "addr", "add", address6, "dev", "eth0", "nodad");
        await ip(host, "route", "add", "default", "via", gateway);
        await ip(host, "-6", "route", "add", "default", "via", gateway6);
      }
      sut = await start({ netns });
      rest = await RestController.start(`${sut.rundir}/c.sock`, "--app", "router");
      const bridge = (name: string, dpid: string, ports: readonly string[], peer: string): string[] => [
        ...`-- add-br ${name} -- set bridge ${name} datapath_type=netdev fail_mode=secure`.split(" "),
        ...`protocols=OpenFlow13 other_config:datapath-id=${dpid}`.split(" "),
        ...ports.flatMap((port, i) =>
          `-- add-port ${name} ${port} -- set interface ${port} ofport_request=${i + 1}`.split(" "),
        ),
        ...`-- add-port ${name} ${name}-peer -- set interface ${name}-peer type=patch`.split(" "),
        `options:peer=${peer}-peer`,
        ...`-- set-controller ${name} unix:${rest.socket}`.split(" "),
        ...`-- set controller ${name} max_backoff=1000`.split(" "),
      ];
      await sut.vsctl(...bridge("s1", S1, ["p1", "p2"], "s2").slice(1), ...bridge("s2", S2, ["p3"], "s1"));
      await rest.hasSwitches(2);
    });
    afterAll(async () => {
      await rest?.stop();
      await sut?.stop();
      await net.destroy();
    });

    test("addresses and routes are added as the book has it", async () => {
      expect(await add(S1, { address: "172.16.20.1/24" })).toBe("success: Add address [address_id=1]");
      expect(await add(S1, { address: "172.16.30.30/24" })).toBe("success: Add address [address_id=2]");
      expect(await add(S2, { address: "172.16.10.1/24" })).toBe("success: Add address [address_id=1]");
      expect(await add(S2, { address: "172.16.30.1/24" })).toBe("success: Add address [address_id=2]");
      expect(await add(S1, { gateway: "172.16.30.1" })).toBe("success: Add route [route_id=1]");
      expect(await add(S2, { destination: "172.16.20.0/24", gateway: "172.16.30.30" })).toBe(
        "success: Add route [route_id=1]",
      );
      expect((await rest.get(`/router/${S1}`)).body).toEqual([
        {
          switch_id: S1,
          internal_network: [
            {
              address: [
                { address_id: 1, address: "172.16.20.1/24" },
                { address_id: 2, address: "172.16.30.30/24" },
              ],
              route: [{ route_id: 1, destination: "0.0.0.0/0", gateway: "172.16.30.1" }],
            },
          ],
        },
      ]);
      expect((await rest.get("/router/all")).body).toHaveLength(2);
    });

    test("what cannot be is told as Ryu tells it", async () => {
      expect(await add(S1, { address: "172.16.20.2/25" })).toBe("failure: Address overlaps [address_id=1]");
      expect(await add(S1, { gateway: "172.16.30.2" })).toBe("failure: Destination overlaps [route_id=1]");
      expect(await add(S1, { destination: "1.0.0.0/8", gateway: "10.0.0.1" })).toBe(
        "failure: Gateway=10.0.0.1's address is not registered.",
      );
      expect(await add(S1, { destination: "1.0.0.0/8", gateway: "172.16.30.30" })).toBe(
        "failure: Gateway=172.16.30.30 is used as default gateway of address_id=2",
      );
      expect(await rest.post(`/router/${S1}`, { address: "172.16.20/24" })).toMatchObject({
        status: 400,
        body: { field: "address", error: expect.stringContaining("Invalid [address] value.") },
      });
      expect(await rest.post(`/router/${S1}`, {})).toMatchObject({ status: 400 });
      expect(await rest.get("/router/0000000000000009")).toMatchObject({
        status: 404,
        body: { result: "failure", details: "Router SW is not connected. : switch_id=0000000000000009" },
      });
    });

    test("hosts reach their router, each other in their network, and those beyond two routers", async () => {
      expect(await ping("a", "172.16.20.1")).toBe(true);
      expect(await ping("a", A2)).toBe(true);
      expect(await ping("a", B)).toBe(true);
      expect(await ping("b", A2)).toBe(true);
      // Two routers are between them; both took one from the time to live.
      expect(await answerTo("a", B)).toContain("ttl=62");
      const flows = await sut.ofctl("--no-names", "dump-flows", "s2");
      expect(flows).toMatch(
        /send_flow_rem priority=600,ip,vlan_tci=0x0000\/0x1fff,dl_dst=06:00:00:00:00:02,nw_dst=172\.16\.10\.10 actions=dec_ttl,set_field/,
      );
    });

    test("once routed, packets pass the switches without the controller", async () => {
      const packetIns = async (): Promise<number> =>
        [
          ...((await rest.get("/metrics")).body as string).matchAll(/packet_ins_total\{[^}]*\} (\d+)/g),
        ].reduce((sum, [, count]) => sum + Number(count), 0);
      expect(await net.ping("a", B, 2, true)).toBe(true);
      const before = await packetIns();
      const run = await net.run("a", ["ping", "-c", "20", "-i", "0.02", "-W", "5", B]);
      expect(run.stdout).toContain("20 received");
      // Neighbours may ask each other anew meanwhile, but no echo comes by.
      expect((await packetIns()) - before).toBeLessThan(10);
    });

    test("a packet that cannot be forwarded is answered by the router", async () => {
      expect(await answerTo("a", "-t", "1", B)).toMatch(/From 172\.16\.20\.1 .*Time to live exceeded/);
      expect(await answerTo("a", "-t", "2", B)).toMatch(/From 172\.16\.30\.1 .*Time to live exceeded/);
      expect(await answerTo("b", "203.0.113.1")).toMatch(/From 172\.16\.10\.1 .*Destination Net Unreachable/);
      expect(await answerTo("a", "172.16.10.99")).toMatch(
        /From 172\.16\.30\.1 .*Destination Host Unreachable/,
      );
    });

    test("the same with IPv6, by neighbour discovery", async () => {
      for (const [dpid, body] of [
        [S1, { address: "2001:db8:20::1/64" }],
        [S1, { address: "2001:db8:30::30/64" }],
        [S2, { address: "2001:db8:10::1/64" }],
        [S2, { address: "2001:db8:30::1/64" }],
        [S1, { gateway: "2001:db8:30::1" }],
        [S2, { destination: "2001:db8:20::/64", gateway: "2001:db8:30::30" }],
      ] as const)
        expect(await add(dpid, body)).toMatch(/^success/);
      expect(await ping("a", "2001:db8:20::1")).toBe(true);
      expect(await ping("a", B6)).toBe(true);
      expect(await ping("b", A6)).toBe(true);
      expect(await answerTo("a", B6)).toContain("ttl=62");
      expect(await answerTo("a", "-t", "1", B6)).toMatch(/From 2001:db8:20::1 .*Time exceeded/);
      expect(await answerTo("b", "2001:db8:99::1")).toMatch(/From 2001:db8:10::1 .*No route/);
    });

    test("a host that moves to another port is reached there", async () => {
      const mac = async (host: string) => /ether (\S+)/.exec(await ip(host, "link", "show", "eth0"))![1]!;
      const [macA, macA2] = [await mac("a"), await mac("a2")];
      expect(await ping("b", A)).toBe(true);
      const become = async (host: string, ether: string, address: string, old: string): Promise<void> => {
        await ip(host, "addr", "del", `${old}/24`, "dev", "eth0");
        await ip(host, "link", "set", "eth0", "address", ether);
        await ip(host, "addr", "add", `${address}/24`, "dev", "eth0");
        await ip(host, "route", "replace", "default", "via", "172.16.20.1");
      };
      await become("a", macA2, A2, A);
      await become("a2", macA, A, A2);
      await answerTo("a2", "172.16.20.1");
      await answerTo("a", "172.16.20.1");
      expect(await ping("b", A)).toBe(true);
      expect(await ping("b", A2)).toBe(true);
      await become("a", macA, A, A2);
      await become("a2", macA2, A2, A);
      await answerTo("a", "172.16.20.1");
      await answerTo("a2", "172.16.20.1");
      expect(await ping("b", A)).toBe(true);
    });

    test("a switch that connects anew gets its flows again, and none that are left", async () => {
      await sut.ofctl("del-flows", "s1");
      await sut.ofctl(
        "add-flow",
        "s1",
        "cookie=0x5274000000000000,priority=9,ip,nw_dst=9.9.9.9,actions=drop",
      );
      await sut.vsctl("del-controller", "s1");
      await rest.hasSwitches(1);
      await sut.vsctl("set-controller", "s1", `unix:${rest.socket}`);
      await rest.hasSwitches(2);
      await until(
        async () => !(await sut.ofctl("dump-flows", "s1")).includes("9.9.9.9"),
        "the flow that is left to go",
        10_000,
        () => rest.daemon.output,
      );
      expect(await ping("a", B)).toBe(true);
      expect(await ping("a", B6)).toBe(true);
    });

    test("tenants by VLAN, as in the book's last part: each has routers of its own, and none gets to the other's", async () => {
      // Hosts at bridges that tag, since a kernel may have no VLAN devices.
      const tenant = async (host: string, address: string, port: string): Promise<void> => {
        await net.addHost(host, `${address}/24`, port, "sw", { offloads: false });
        await ip(host, "route", "add", "default", "via", address.replace(/\d+$/, "1"));
      };
      // Both tenants have the same addresses.
      await tenant("t2", "192.168.20.10", "pt2");
      await tenant("t110", "192.168.20.10", "pt110");
      await tenant("u2", "192.168.10.10", "pu2");
      const tagging = (name: string, router: string, ports: Readonly<Record<string, number>>): string[] => [
        ...`-- add-br ${name} -- set bridge ${name} datapath_type=netdev`.split(" "),
        ...Object.entries(ports).flatMap(([port, tag]) =>
          `-- add-port ${name} ${port} tag=${tag}`.split(" "),
        ),
        ...`-- add-port ${name} ${name}-up -- set interface ${name}-up type=patch`.split(" "),
        ...`options:peer=${name}-down -- add-port ${router} ${name}-down`.split(" "),
        ...`-- set interface ${name}-down type=patch options:peer=${name}-up`.split(" "),
      ];
      await sut.vsctl(
        ...tagging("ax1", "s1", { pt2: 2, pt110: 110 }).slice(1),
        ...tagging("ax2", "s2", { pu2: 2 }),
      );
      for (const vlan of [2, 110])
        for (const [dpid, body] of [
          [S1, { address: "192.168.20.1/24" }],
          [S1, { address: "192.168.30.30/24" }],
          [S2, { address: "192.168.10.1/24" }],
          [S2, { address: "192.168.30.1/24" }],
          [S1, { gateway: "192.168.30.1" }],
          [S2, { destination: "192.168.20.0/24", gateway: "192.168.30.30" }],
        ] as const)
          expect(await add(`${dpid}/${vlan}`, body)).toMatch(/^success/);
      const pings = async (host: string, to: string): Promise<string> =>
        (await net.run(host, ["ping", "-c", "2", "-i", "0.2", "-W", "4", to])).stdout;
      expect(await pings("t2", "192.168.20.1")).toContain(" 2 received");
      expect(await pings("t2", "192.168.10.10")).toContain(" 2 received");
      expect(await pings("u2", "192.168.20.10")).toContain(" 2 received");
      expect(await answerTo("t2", "-t", "1", "192.168.10.10")).toMatch(/From 192\.168\.20\.1 .*Time to live/);
      // The other tenant has its router, but no host there.
      expect(await pings("t110", "192.168.20.1")).toContain(" 2 received");
      expect(await answerTo("t110", "192.168.10.10")).toMatch(/Destination Host Unreachable/);
      expect((await rest.get(`/router/${S1}/2`)).body[0].internal_network).toMatchObject([
        { vlan_id: 2, address: [{ address: "192.168.20.1/24" }, { address: "192.168.30.30/24" }] },
      ]);
      const flows = await sut.ofctl("--no-names", "dump-flows", "s2");
      expect(flows).toMatch(/dl_vlan=2,.*nw_dst=192\.168\.10\.10 actions=dec_ttl,set_field/);
      for (const vlan of [2, 110])
        for (const [dpid, what] of [
          [S1, { route_id: "all" }],
          [S2, { route_id: "all" }],
          [S1, { address_id: "all" }],
          [S2, { address_id: "all" }],
        ] as const)
          expect((await rest.delete(`/router/${dpid}/${vlan}`, what)).body[0].command_result).toMatchObject([
            { result: "success" },
          ]);
      expect(await sut.ofctl("dump-flows", "s2")).not.toContain("dl_vlan=2");
    });

    test("routes and addresses are deleted, and their flows with them", async () => {
      const remove = async (body: object) =>
        (await rest.delete(`/router/${S1}`, body)).body[0].command_result;
      expect(await remove({ address_id: "2" })).toEqual([
        { result: "failure", details: "Skip delete (related route exist) [address_id=2]" },
      ]);
      expect(await remove({ route_id: "1" })).toEqual([
        { result: "success", details: "Delete route [route_id=1]" },
      ]);
      expect(await remove({ route_id: "1" })).toEqual([{ result: "failure", details: "Data is nothing." }]);
      expect(await answerTo("a", B)).toMatch(/From 172\.16\.20\.1 .*Destination Net Unreachable/);
      expect(await remove({ route_id: "all" })).toMatchObject([{ result: "success" }]);
      expect(await remove({ address_id: "all" })).toEqual([
        { result: "success", details: "Delete address [address_id=1,2,3,4]" },
      ]);
      expect((await rest.get(`/router/${S1}`)).body).toEqual([{ switch_id: S1, internal_network: [{}] }]);
      const left = (await sut.ofctl("--no-stats", "dump-flows", "s1")).trim().split("\n");
      expect(left).toHaveLength(1);
      expect(left[0]).toMatch(/priority=0 actions=NORMAL/);
      // Where the hosts were before they moved is forgotten once the switch hears them.
      await until(() => ping("a", A2), "hosts of a network to reach each other without a router");
    });
  });
});
