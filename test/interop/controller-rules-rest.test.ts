import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { RestController } from "../support/rest.js";

/** The commands of the Ryu book's chapters on rest_firewall and rest_qos, and what hosts then get through. */

const DPID = "0000000000000001";
const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const KINDS = [
  ["Sluice", startSluice],
  ["Open vSwitch", startOvs],
] as const;
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server", "ip", "ping", "ethtool"];
const result = (command_result: unknown) => ({ status: 200, body: [{ switch_id: DPID, command_result }] });
const added = (details: string, more: object = {}) => result([{ result: "success", details, ...more }]);

describeWith({ root: true, programs: PROGRAMS }, "apps with rules", () => {
  describe.each(KINDS)("on %s", (kind, start) => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let rest: RestController;

    const run = async (...apps: string[]): Promise<void> => {
      await rest?.stop();
      await sut.ofctl("del-flows", "br0");
      rest = await RestController.start(`${sut.rundir}/c.sock`, ...apps.flatMap((app) => ["--app", app]));
      await rest.hasSwitches(1);
    };
    const ping = (from: string, to: string): Promise<boolean> => net.ping(from, to, 2);
    /** Open vSwitch answers before a change is in force for what is in its cache. */
    const isBlocked = async (from: string, to: string): Promise<true> => {
      const isLost = async () => (await net.run(from, ["ping", "-c", "1", "-W", "1", to])).code !== 0;
      await until(isLost, `a ping from ${from} to ${to} to be lost`, 10_000);
      return true;
    };

    beforeAll(async () => {
      const netns = await net.add("sw");
      await net.addHost("a", `${A}/24`, "p1", "sw", { offloads: false });
      await net.addHost("b", `${B}/24`, "p2", "sw", { offloads: false });
      await net.addHost("c", `${C}/24`, "p3", "sw", { offloads: false });
      sut = await start({ netns });
      await sut.vsctl(
        ..."add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols=OpenFlow13".split(
          " ",
        ),
        `other_config:datapath-id=${DPID}`,
        ...["p1", "p2", "p3"].flatMap((port, i) =>
          `-- add-port br0 ${port} -- set interface ${port} ofport_request=${i + 1}`.split(" "),
        ),
        ...`-- set-controller br0 unix:${sut.rundir}/c.sock`.split(" "),
        ..."-- set controller br0 max_backoff=1000".split(" "),
      );
    });
    afterAll(async () => {
      await rest?.stop();
      await sut?.stop();
      await net.destroy();
    });

    describe("firewall", () => {
      const RULES = `/firewall/rules/${DPID}`;
      const module = (what: string, details: string) =>
        expect(rest.put(`/firewall/${what}/${DPID}`)).resolves.toEqual(
          result({ result: "success", details }),
        );

      beforeAll(() => run("firewall"));

      test("at first it lets nothing pass; enabled, what rules allow", async () => {
        expect((await rest.get("/firewall/module/status")).body).toEqual([
          { status: "disable", switch_id: DPID },
        ]);
        expect(await isBlocked("a", B)).toBe(true);
        await module("module/enable", "firewall running.");
        expect((await rest.get("/firewall/module/status")).body).toEqual([
          { status: "enable", switch_id: DPID },
        ]);
        expect(await isBlocked("a", B)).toBe(true);
        const rule = (nw_src: string, nw_dst: string) => ({ nw_src: `${nw_src}/32`, nw_dst: `${nw_dst}/32` });
        const icmp = { nw_proto: "ICMP" };
        expect(await rest.post(RULES, { ...rule(A, B), ...icmp })).toEqual(added("Rule added. : rule_id=1"));
        expect(await rest.post(RULES, { ...rule(B, A), ...icmp })).toEqual(added("Rule added. : rule_id=2"));
        expect(await rest.post(RULES, rule(B, C))).toEqual(added("Rule added. : rule_id=3"));
        expect(await rest.post(RULES, rule(C, B))).toEqual(added("Rule added. : rule_id=4"));
        expect(await ping("a", B)).toBe(true);
        expect(await ping("c", B)).toBe(true);
        expect(await isBlocked("a", C)).toBe(true);
      });

      test("a rule of a higher priority denies, and goes by its number", async () => {
        const deny = (nw_src: string, nw_dst: string) => ({
          ...{ nw_src: `${nw_src}/32`, nw_dst: `${nw_dst}/32`, nw_proto: "ICMP" },
          ...{ actions: "DENY", priority: "10" },
        });
        expect(await rest.post(RULES, deny(B, C))).toEqual(added("Rule added. : rule_id=5"));
        expect(await rest.post(RULES, deny(C, B))).toEqual(added("Rule added. : rule_id=6"));
        expect(await isBlocked("c", B)).toBe(true);
        await until(
          () => /blocked .*10\.0\.0\.3 > 10\.0\.0\.2 icmpv4/.test(rest.daemon.output),
          "the log to tell of it",
          10_000,
          () => rest.daemon.output,
        );
        const [{ access_control_list }] = (await rest.get(RULES)).body;
        expect(access_control_list).toHaveLength(1);
        expect(access_control_list[0].rules).toHaveLength(6);
        expect(access_control_list[0].rules).toContainEqual({
          ...{
            priority: 10,
            dl_type: "IPv4",
            nw_proto: "ICMP",
            nw_dst: B,
            nw_src: C,
            rule_id: 6,
            actions: "DENY",
          },
        });
        expect(access_control_list[0].rules).toContainEqual({
          ...{
            priority: 1,
            dl_type: "IPv4",
            nw_proto: "ICMP",
            nw_dst: A,
            nw_src: B,
            rule_id: 2,
            actions: "ALLOW",
          },
        });
        expect(await rest.delete(RULES, { rule_id: "5" })).toEqual(added("Rule deleted. : ruleID=5"));
        expect(await rest.delete(RULES, { rule_id: "6" })).toEqual(added("Rule deleted. : ruleID=6"));
        expect(await rest.delete(RULES, { rule_id: "6" })).toEqual(
          result({ result: "failure", details: "Rule is not exist. : ruleID=6" }),
        );
        expect(await ping("c", B)).toBe(true);
      });

      test("rules of a VLAN, and of IPv6, stand apart", async () => {
        const rule = { nw_src: "10.0.0.0/8", nw_proto: "ICMP" };
        expect(await rest.post(`${RULES}/2`, rule)).toEqual(added("Rule added. : rule_id=1", { vlan_id: 2 }));
        const of = { ipv6_src: "fe80::200:ff:fe00:1", ipv6_dst: "ff02::1:ff00:2", nw_proto: "ICMPv6" };
        expect(await rest.post(`${RULES}/2`, of)).toEqual(added("Rule added. : rule_id=2", { vlan_id: 2 }));
        const [{ access_control_list }] = (await rest.get(`${RULES}/2`)).body;
        expect(access_control_list).toEqual([
          {
            vlan_id: "2",
            rules: expect.arrayContaining([
              {
                ...{ rule_id: 1, priority: 1, dl_type: "IPv4", nw_proto: "ICMP", dl_vlan: "2" },
                ...{ nw_src: "10.0.0.0/255.0.0.0", actions: "ALLOW" },
              },
              {
                ...{ rule_id: 2, priority: 1, dl_type: "IPv6", nw_proto: "ICMPv6", dl_vlan: "2" },
                ...{ ipv6_src: of.ipv6_src, ipv6_dst: of.ipv6_dst, actions: "ALLOW" },
              },
            ]),
          },
        ]);
        const deleted = await rest.delete(`${RULES}/2`, { rule_id: "all" });
        expect(deleted.body[0].command_result[0].details).toMatch(/^Rule deleted\. : ruleID=(1,2|2,1)$/);
        expect((await rest.get(`${RULES}/2`)).body[0].access_control_list).toEqual([]);
      });

      test("the log is turned off and on", async () => {
        expect((await rest.get("/firewall/log/status")).body).toEqual([
          { log_status: "enable", switch_id: DPID },
        ]);
        await module("log/disable", "Log collection stopped.");
        expect((await rest.get("/firewall/log/status")).body[0].log_status).toBe("disable");
        expect(await sut.ofctl("dump-flows", "br0")).not.toContain("CONTROLLER");
        await module("log/enable", "Log collection started.");
        expect(await sut.ofctl("dump-flows", "br0")).toMatch(/priority=0 actions=CONTROLLER:128/);
      });

      test.each([
        [{ priority: 70_000 }, "priority"],
        [{ priority: 0 }, "priority"],
        [{ nw_proto: "TCP" }, "nw_proto"],
        [{ dl_type: "ARP", nw_proto: "TCP" }, "nw_proto"],
        [{ nw_src: "10.0.0.1", ipv6_dst: "fe80::1" }, "ipv6_dst"],
        [{ nw_src: "10.0.0" }, "nw_src"],
        [{ nw_source: "10.0.0.1" }, "nw_source"],
        [{ actions: "PASS" }, "actions"],
      ])("%j is refused", async (rule, field) => {
        expect(await rest.post(RULES, rule)).toMatchObject({ status: 400, body: { field } });
      });

      test("what is meant must be there", async () => {
        expect(await rest.get("/firewall/rules/0000000000000009")).toMatchObject({ status: 404 });
        expect(await rest.get("/firewall/rules/1")).toMatchObject({
          status: 400,
          body: { field: "switch_id" },
        });
        expect(await rest.get(`${RULES}/1`)).toMatchObject({ status: 400, body: { field: "vlan_id" } });
        expect(await rest.delete(RULES, {})).toMatchObject({ status: 400, body: { field: "rule_id" } });
      });

      test("its rules outlive the controller, and it stops everything when told to", async () => {
        await rest.stop();
        rest = await RestController.start(`${sut.rundir}/c.sock`, "--app", "firewall");
        await rest.hasSwitches(1);
        expect((await rest.get("/firewall/module/status")).body[0].status).toBe("enable");
        expect((await rest.get(RULES)).body[0].access_control_list[0].rules).toHaveLength(4);
        expect(await ping("a", B)).toBe(true);
        expect((await rest.post(RULES, { in_port: "1" })).body[0].command_result[0].details).toBe(
          "Rule added. : rule_id=5",
        );
        await module("module/disable", "firewall stopped.");
        expect(await isBlocked("a", B)).toBe(true);
      });

      test("before another app, what it allows goes on to that one's table", async () => {
        await run("firewall", "topology", "learning-switch");
        await module("module/enable", "firewall running.");
        await rest.post(RULES, { nw_proto: "ICMP" });
        expect(await ping("a", B)).toBe(true);
        const flows = await sut.ofctl("dump-flows", "br0");
        expect(flows).toMatch(/table=0,.*icmp actions=goto_table:1/);
        expect(flows).toMatch(/table=0,.*priority=65535,dl_type=0x88cc actions=CONTROLLER/);
        expect(flows).toMatch(/table=1,.*idle_timeout=60/);
      });
    });

    describe("qos", () => {
      const RULES = `/qos/rules/${DPID}`;
      const CONF = "/v1.0/conf/switches";

      beforeAll(async () => {
        await run("qos", "learning-switch");
      });

      test("hosts reach each other by the app behind, in table 1", async () => {
        expect(await ping("a", B)).toBe(true);
        const flows = await sut.ofctl("dump-flows", "br0");
        expect(flows).toMatch(/table=0,.*priority=0 actions=goto_table:1/);
        expect(flows).toMatch(/table=1,.*priority=0 actions=CONTROLLER/);
      });

      test("queues need to know the switch's database", async () => {
        const body = { port_name: "p1", max_rate: "1000000", queues: [{ max_rate: "500000" }] };
        expect((await rest.post(`/qos/queue/${DPID}`, body)).body[0].command_result).toEqual({
          result: "failure",
          details: "ovs_bridge is not exists",
        });
        const absent = await rest.put(`${CONF}/${DPID}/ovsdb_addr`, '"unix:/nonexistent.sock"');
        expect(absent).toMatchObject({
          status: 400,
          body: { error: expect.stringContaining("not available") },
        });
        expect(await rest.put(`${CONF}/${DPID}/ovsdb_addr`, JSON.stringify(sut.db))).toEqual({
          status: 201,
          body: "",
        });
        expect((await rest.get(CONF)).body).toEqual([DPID]);
        expect((await rest.get(`${CONF}/${DPID}`)).body).toEqual(["ovsdb_addr"]);
        expect((await rest.get(`${CONF}/${DPID}/ovsdb_addr`)).body).toBe(sut.db);
        expect(await rest.get(`${CONF}/${DPID}/nothing`)).toMatchObject({ status: 404 });
      });

      test("queues are set in the database, told, and taken away", async () => {
        const body = {
          ...{ port_name: "p1", type: "linux-htb", max_rate: "1000000" },
          queues: [{ max_rate: "500000" }, { min_rate: "800000" }],
        };
        const details = {
          "0": { config: { "max-rate": "500000" } },
          "1": { config: { "min-rate": "800000" } },
        };
        expect(await rest.post(`/qos/queue/${DPID}`, body)).toEqual(result({ result: "success", details }));
        expect(await rest.get(`/qos/queue/${DPID}`)).toEqual(
          result({ result: "success", details: { p1: details } }),
        );
        const columns = ["--columns=type,other_config", "list", "qos"];
        expect(await sut.vsctl(...columns)).toMatch(
          /type +: linux-htb\nother_config +: \{max-rate="1000000"\}/,
        );
        expect(await sut.vsctl("--columns=other_config", "list", "queue")).toContain('min-rate="800000"');
        // Once more: the rows of before are not left behind.
        await rest.post(`/qos/queue/${DPID}`, { ...body, queues: [{ max_rate: 700000 }] });
        expect((await sut.vsctl("--columns=_uuid", "list", "queue")).match(/_uuid/g)).toHaveLength(1);
        expect((await rest.get(`/qos/queue/status/${DPID}`)).body[0].command_result).toEqual({
          "1": expect.any(Array),
        });
        expect(await rest.delete(`/qos/queue/${DPID}`)).toEqual(result("success"));
        expect(await sut.vsctl("get", "port", "p1", "qos")).toBe("[]\n");
        expect(await sut.vsctl("list", "qos")).toBe("");
        expect((await rest.get(`/qos/queue/${DPID}`)).body[0].command_result.result).toBe("failure");
        expect(await rest.post(`/qos/queue/${DPID}`, { ...body, port_name: "px" })).toMatchObject({
          status: 400,
        });
      });

      test("rules mark, meter and queue; they are told as the book has it", async () => {
        const udp = { nw_dst: A, nw_proto: "UDP", tp_dst: "5002" };
        expect(await rest.post(RULES, { match: udp, actions: { queue: "1" } })).toEqual(
          added("QoS added. : qos_id=1"),
        );
        expect(
          await rest.post(RULES, { match: { ...udp, tp_dst: "5003" }, actions: { mark: "26" } }),
        ).toEqual(added("QoS added. : qos_id=2"));
        const meter = { meter_id: "1", flags: "KBPS", bands: [{ type: "DROP", rate: "400" }] };
        expect(await rest.post(`/qos/meter/${DPID}`, meter)).toEqual(added("Meter added. : Meter ID=1"));
        expect(await rest.post(RULES, { match: { ip_dscp: "10" }, actions: { meter: "1" } })).toEqual(
          added("QoS added. : qos_id=3"),
        );
        const [{ command_result }] = (await rest.get(RULES)).body;
        const common = { priority: 1, dl_type: "IPv4" };
        expect(command_result).toHaveLength(1);
        expect(command_result[0].qos).toHaveLength(3);
        for (const rule of [
          { ...common, nw_proto: "UDP", tp_dst: 5002, qos_id: 1, nw_dst: A, actions: [{ queue: "1" }] },
          { ...common, nw_proto: "UDP", tp_dst: 5003, qos_id: 2, nw_dst: A, actions: [{ mark: "26" }] },
          { ...common, ip_dscp: 10, qos_id: 3, actions: [{ meter: "1" }] },
        ])
          expect(command_result[0].qos).toContainEqual(rule);
        expect(await sut.ofctl("dump-flows", "br0")).toMatch(/tp_dst=5002 actions=set_queue:1,goto_table:1/);
        expect((await rest.get(`/qos/meter/${DPID}`)).body[0].command_result["1"]).toMatchObject([
          { meter_id: 1, len: 56, flow_count: 1 },
        ]);
        expect(await ping("a", B)).toBe(true);
        expect(await rest.delete(RULES, { qos_id: "2" })).toEqual(added(" deleted. : QoS ID=2"));
        expect(await rest.delete(`/qos/meter/${DPID}`, { meter_id: "1" })).toEqual(
          result({ result: "success", details: "Meter deleted. : Meter ID=1" }),
        );
        expect(await rest.delete(RULES, { qos_id: "all" })).toMatchObject({ status: 200 });
        expect((await rest.get(RULES)).body[0].command_result).toEqual([]);
      });

      test("a meter drops what is too much, and counts it", async () => {
        const meter = { meter_id: "2", flags: "PKTPS", bands: [{ type: "DROP", rate: "5" }] };
        expect(await rest.post(`/qos/meter/${DPID}`, meter)).toMatchObject({ status: 200 });
        const match = { nw_dst: A, nw_proto: "ICMP" };
        expect(await rest.post(RULES, { match, actions: { meter: "2" } })).toMatchObject({ status: 200 });
        const { stdout } = await net.run("b", ["ping", "-c", "100", "-i", "0.005", "-W", "1", A]);
        const received = Number(/(\d+) received/.exec(stdout)?.[1]);
        expect(received).toBeGreaterThan(0);
        expect(received).toBeLessThan(90);
        // What is counted follows what is done by up to a second. On Open vSwitch a packet or two may be there before
        // the rule is in force.
        const count = async () => {
          const [stats] = (await rest.get(`/qos/meter/${DPID}`)).body[0].command_result["1"];
          return { seen: stats.packet_in_count, dropped: stats.band_stats[0].packet_band_count };
        };
        await until(
          async () => {
            const { seen, dropped } = await count();
            return dropped === 100 - received && seen > 90 && seen <= 100;
          },
          `100 to be seen, ${received} to be let through`,
          10_000,
          async () => JSON.stringify(await count()),
        );
        await rest.delete(RULES, { qos_id: "all" });
        await rest.delete(`/qos/meter/${DPID}`, { meter_id: "2" });
      });

      test("what a rule puts into a queue leaves by that queue of the port's scheduler", async () => {
        const body = {
          ...{ port_name: "p1", type: "linux-htb", max_rate: "10000000" },
          queues: [{ max_rate: "5000000" }, { min_rate: "1000000" }],
        };
        expect(await rest.post(`/qos/queue/${DPID}`, body)).toMatchObject({ status: 200 });
        await rest.post(RULES, { match: { nw_dst: A, nw_proto: "ICMP" }, actions: { queue: "1" } });
        const sent = async (queue: number): Promise<number> => {
          const { body: answer } = await rest.get(`/qos/queue/status/${DPID}`);
          const all = answer[0].command_result["1"] as Record<string, number>[];
          return all.find((one) => one.port_no === 1 && one.queue_id === queue)?.tx_packets ?? -1;
        };
        await until(async () => (await sent(1)) >= 0, "the queue", 10_000);
        const before = await sent(1);
        expect((await net.run("b", ["ping", "-c", "30", "-i", "0.01", "-W", "3", A])).stdout).toContain(
          "30 received",
        );
        // Open vSwitch's user-space datapath does not tell the kernel's scheduler of queues.
        if (kind === "Sluice")
          await until(
            async () => (await sent(1)) - before === 30,
            "30 in the queue",
            10_000,
            async () => String(await sent(1)),
          );
        await rest.delete(RULES, { qos_id: "all" });
        await rest.delete(`/qos/queue/${DPID}`);
      });

      test("before the router app, as in the book's second part, that one's flows are in table 1", async () => {
        await run("qos", "router");
        const added = await rest.post(`/router/${DPID}`, { address: "10.0.0.254/24" });
        expect(added.body[0].command_result[0].details).toBe("Add address [address_id=1]");
        expect(await ping("a", "10.0.0.254")).toBe(true);
        expect(await ping("a", B)).toBe(true);
        const flows = await sut.ofctl("dump-flows", "br0");
        expect(flows).toMatch(/table=0,.*priority=0 actions=goto_table:1/);
        expect(flows).toMatch(/table=1,.*nw_dst=10\.0\.0\.254 actions=CONTROLLER/);
      });

      test("a meter that is not there, and words that are none", async () => {
        expect(await rest.post(RULES, { match: { ip_dscp: 1 }, actions: { meter: 9 } })).toMatchObject({
          body: { error_type: expect.any(String) },
        });
        expect(await rest.post(RULES, { match: { ip_dscp: 1 }, actions: { mark: 64 } })).toMatchObject({
          status: 400,
          body: { field: "actions.mark" },
        });
        expect(await rest.post(RULES, { actions: { mark: 1 } })).toMatchObject({
          status: 400,
          body: { field: "match" },
        });
      });
    });
  });
});
