import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { SwitchUnderTest } from "../support/daemons.js";
import { until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { BRIDGE, type RestController, SWITCH_KINDS, switchWithRest } from "../support/rest.js";

/** `/v1/trace` by the controller's copy of the tables, on both switches: what REST and the apps send is in it, and what
 *  ovs-ofctl does behind the controller's back is found. */

const DPID = "0000000000000001";
const NOTHING = { missing: 0, surplus: 0, changed: 0, groups: 0 };

describeWith(
  { programs: ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server"] },
  "the controller's copy of the tables",
  () => {
    describe.each(SWITCH_KINDS)("of %s", (kind) => {
      let sut: SwitchUnderTest;
      let rest: RestController;

      beforeAll(async () => {
        ({ sut, rest } = await switchWithRest(kind, "--app", "topology", "--app", "forwarding"));
      });
      afterAll(async () => {
        await rest?.stop();
        await sut?.stop();
      });

      const trace = async (flow = "ip,nw_dst=10.0.0.2", more = "") => {
        const { body } = await rest.get(
          `/v1/trace?dpid=${DPID}&in_port=1&flow=${encodeURIComponent(flow)}${more}`,
        );
        return { ...body.path, ports: body.path.outputs.map((one: { port_no: number }) => one.port_no) };
      };
      const metric = async (name: string): Promise<number> => {
        const line = (await rest.get("/metrics")).body
          .split("\n")
          .find((one: string) => one.startsWith(`sluice_controller_copy_${name} `));
        return Number(line?.split(" ")[1]);
      };
      const add = async (body: object): Promise<void> => {
        const answer = await rest.post("/stats/flowentry/add", { dpid: 1, table_id: 0, ...body });
        expect(answer).toEqual({ status: 200, body: "" });
      };

      test("flows of apps and of REST are in it as the switch has them, in whatever form they were sent", async () => {
        await trace();
        const checks = await metric("checks_total");
        await rest.post("/stats/groupentry/add", {
          ...{ dpid: 1, type: "SELECT", group_id: 77 },
          buckets: [{ weight: 1, actions: [{ type: "OUTPUT", port: 3 }] }],
        });
        await add({
          priority: 20000,
          match: { eth_type: 2048, ipv4_dst: "10.0.0.0/255.255.255.0", in_port: 1 },
          actions: [{ type: "OUTPUT", port: 2, max_len: 99 }],
        });
        await add({
          ...{ priority: 20001, idle_timeout: 300, cookie: 7, flags: 1 },
          match: { dl_vlan: 5, ipv6_src: "2001:db8::/ffff:ffff::", eth_type: 0x86dd },
          actions: [{ type: "POP_VLAN" }, { type: "GROUP", group_id: 77 }],
        });
        await add({
          ...{ priority: 20002, match: { eth_type: 2048, ip_proto: 6, tcp_dst: 80 } },
          actions: [
            { type: "GOTO_TABLE", table_id: 1 },
            { type: "WRITE_METADATA", metadata: 5, metadata_mask: 255 },
            { type: "WRITE_ACTIONS", actions: [{ type: "OUTPUT", port: 3 }] },
            { type: "SET_FIELD", field: "ip_dscp", value: 8 },
          ],
        });
        await add({ priority: 20003, match: { dl_dst: "01:00:00:00:00:00/01:00:00:00:00:00" }, actions: [] });
        expect(await trace()).toMatchObject({ ports: [2], copy: NOTHING });
        expect(await metric("checks_total")).toBe(checks);

        // The switch tells of another controller's flow at once, and need not list any.
        await sut.ofctl("add-flow", BRIDGE, "priority=30000,ip,nw_dst=10.0.0.2,actions=3");
        expect(await trace()).toMatchObject({ ports: [3], copy: NOTHING });
        expect(await metric("checks_total")).toBe(checks);
      });

      test("another controller's changes of flows are known when they happen", async () => {
        const checks = await metric("checks_total");
        await sut.ofctl("mod-flows", BRIDGE, "ip,nw_dst=10.0.0.2,actions=2");
        expect(await trace()).toMatchObject({ ports: [2], copy: NOTHING });
        await sut.ofctl("--strict", "del-flows", BRIDGE, "priority=30000,ip,nw_dst=10.0.0.2");
        await sut.ofctl("add-flow", BRIDGE, "priority=30001,ip,nw_dst=10.9.9.9,actions=3");
        expect(await trace()).toMatchObject({
          ports: [2],
          copy: NOTHING,
          tables: [{ flow: expect.stringContaining("priority=20000") }],
        });
        expect(await metric("checks_total")).toBe(checks);
      });

      test("another controller's changes of groups and meters on the packet's way are found by asking after them", async () => {
        await sut.ofctl("add-group", BRIDGE, "group_id=5,type=indirect,bucket=output:2");
        await sut.ofctl("add-meter", BRIDGE, "meter=5,kbps,band=type=drop,rate=1000");
        await sut.ofctl("add-flow", BRIDGE, "priority=60000,ip,nw_dst=10.0.0.2,actions=meter:5,group:5");
        await trace("ip,nw_dst=10.0.0.2", "");
        await sut.ofctl("mod-group", BRIDGE, "group_id=5,type=indirect,bucket=output:3");
        expect(await trace()).toMatchObject({ ports: [3], copy: { ...NOTHING, groups: 1, meters: 0 } });
        await sut.ofctl("mod-meter", BRIDGE, "meter=5,kbps,band=type=drop,rate=2000");
        expect(await trace()).toMatchObject({ ports: [3], copy: { ...NOTHING, meters: 1 } });
        await sut.ofctl("--strict", "del-flows", BRIDGE, "priority=60000,ip,nw_dst=10.0.0.2");
        await sut.ofctl("del-groups", BRIDGE, "group_id=5");
        await sut.ofctl("del-meters", BRIDGE, "meter=5");
        expect(await trace()).toMatchObject({ ports: [2] });
      });

      test("changes of groups and meters are told as events, its own and another controller's", async () => {
        const socket = new WebSocket(`${rest.base.replace("http", "ws")}/v1/events?types=group,meter`);
        const events: Record<string, unknown>[] = [];
        // The forwarding app changes a group of its own when it likes.
        const isOurs = ({ type, group_id, meter_id }: Record<string, unknown>): boolean =>
          type === "hello" || group_id === 6 || meter_id === 6;
        socket.on("message", (data) => {
          const event = JSON.parse(String(data));
          if (isOurs(event)) events.push(event);
        });
        const told = async (count: number): Promise<unknown[]> => {
          await until(
            () => events.length >= count,
            `${count} events`,
            20_000,
            () => JSON.stringify(events),
          );
          return events.splice(0);
        };
        expect(await told(1)).toMatchObject([{ type: "hello" }]);
        // What is there is no news: it is read before the first change is told of.
        const bucket = (port: number) => ({ actions: [{ type: "OUTPUT", port }] });
        const entry = { dpid: 1, type: "INDIRECT", group_id: 6 };
        await until(
          async () => {
            await rest.post("/stats/groupentry/add", { ...entry, buckets: [bucket(1)] });
            await rest.post("/stats/groupentry/delete", entry);
            return events.length > 0;
          },
          "the stream to follow the switch",
          20_000,
        );
        await rest.post("/stats/groupentry/add", { ...entry, buckets: [bucket(2)] });
        await rest.post("/stats/groupentry/modify", { ...entry, buckets: [bucket(3)] });
        await rest.post("/stats/meterentry/add", {
          ...{ dpid: 1, flags: "KBPS", meter_id: 6, bands: [{ type: "DROP", rate: 1000 }] },
        });
        const shown = (port: number) => ({
          ...{ dpid: DPID, group_id: 6, group_type: "INDIRECT", buckets: [{ actions: [`OUTPUT:${port}`] }] },
        });
        const last = ({ type }: Record<string, unknown>): boolean => type === "meter_add";
        await until(
          () => events.some(last),
          "the meter",
          20_000,
          () => JSON.stringify(events),
        );
        expect(events.splice(0).slice(-3)).toMatchObject([
          { type: "group_add", ...shown(2) },
          { type: "group_modify", ...shown(3) },
          {
            type: "meter_add",
            dpid: DPID,
            meter_id: 6,
            flags: ["KBPS"],
            bands: [{ type: "DROP", rate: 1000 }],
          },
        ]);
        await sut.ofctl("mod-group", BRIDGE, "group_id=6,type=indirect,bucket=output:1");
        await sut.ofctl("del-meters", BRIDGE, "meter=6");
        const both = await told(2);
        expect(both).toContainEqual(expect.objectContaining({ type: "group_modify", group_id: 6 }));
        expect(both).toContainEqual(expect.objectContaining({ type: "meter_delete", meter_id: 6 }));
        await rest.post("/stats/groupentry/delete", entry);
        expect(await told(1)).toMatchObject([{ type: "group_delete", ...shown(1) }]);
        socket.terminate();
      });

      test("a flow whose time is over is not in it any more, and neither is one that the switch refused", async () => {
        const timed = { priority: 40000, hard_timeout: 1, match: { eth_type: 2048, ipv4_dst: "10.0.0.2" } };
        await add({ ...timed, actions: [{ type: "OUTPUT", port: 3 }] });
        await until(
          async () => !(await sut.ofctl("dump-flows", BRIDGE)).includes("priority=40000"),
          "the flow to go",
          20_000,
        );
        expect(await trace()).toMatchObject({ ports: [2] });
        const refused = await rest.post("/stats/flowentry/add", {
          ...{ dpid: 1, priority: 41000, match: { eth_type: 2048 } },
          actions: [{ type: "GROUP", group_id: 4711 }],
        });
        expect(refused.status).toBeGreaterThanOrEqual(400);
        const before = await metric("checks_total");
        expect(await trace()).toMatchObject({ ports: [2] });
        expect(await metric("checks_total")).toBe(before);
      });

      test("fresh asks the switch; packets are counted; a switch that comes back is copied anew", async () => {
        const fresh = await trace("ip,nw_dst=10.0.0.2", "&fresh=true");
        expect(fresh).toMatchObject({ ports: [2] });
        expect(fresh.copy).toBeUndefined();
        expect((await trace()).tables[0]).toMatchObject({ packets: 0 });
        await sut.vsctl("del-controller", BRIDGE);
        await rest.hasSwitches(0);
        // Open vSwitch forgets its flows when it has no controller any more.
        await sut.vsctl("set-controller", BRIDGE, `unix:${rest.socket}`);
        await rest.hasSwitches(1);
        await sut.ofctl("add-flow", BRIDGE, "priority=50000,ip,actions=3");
        expect(await trace()).toMatchObject({ ports: [3], copy: NOTHING });
      });
    });
  },
);
