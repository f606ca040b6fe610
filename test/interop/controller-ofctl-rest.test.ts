import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { SwitchUnderTest } from "../support/daemons.js";
import { until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { BRIDGE, type RestController, SWITCH_KINDS, switchWithRest } from "../support/rest.js";
import { ACTIONS, MATCHES } from "../support/ryu-documentation.js";

/** The bodies of Ryu's documentation on both switches: what is answered, and what ovs-ofctl then finds in the switch. */

const DPID = "0000000000000001";

describeWith(
  { programs: ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server"] },
  "Ryu's ofctl_rest",
  () => {
    describe.each(SWITCH_KINDS)("on %s", (kind) => {
      const isOvs = kind === "Open vSwitch";
      let sut: SwitchUnderTest;
      let rest: RestController;

      beforeAll(async () => {
        ({ sut, rest } = await switchWithRest(kind, "--app", "topology", "--app", "hub"));
      });
      afterAll(async () => {
        await rest?.stop();
        await sut?.stop();
      });

      const dump = (what: string): Promise<string> => sut.ofctl("--no-names", what, BRIDGE);
      const clear = () => rest.delete("/stats/flowentry/clear/1");
      const ok = { status: 200, body: "" };

      test("the switch, its tables, ports and roles are told", async () => {
        expect((await rest.get("/stats/switches")).body).toEqual([1]);
        const desc = (await rest.get("/stats/desc/1")).body["1"];
        expect(Object.keys(desc).sort()).toEqual(["dp_desc", "hw_desc", "mfr_desc", "serial_num", "sw_desc"]);
        const [table] = (await rest.get("/stats/table/1")).body["1"];
        expect(Object.keys(table).sort()).toEqual([
          "active_count",
          "lookup_count",
          "matched_count",
          "table_id",
        ]);
        const [features] = (await rest.get("/stats/tablefeatures/1")).body["1"];
        expect(features).toMatchObject({
          table_id: 0,
          name: expect.any(String),
          max_entries: expect.any(Number),
        });
        expect(features.properties[0]).toMatchObject({
          type: "INSTRUCTIONS",
          instruction_ids: expect.arrayContaining([{ len: 4, type: 1 }]),
        });
        const ports = (await rest.get("/stats/port/1")).body["1"];
        expect(ports.map((port: { port_no: unknown }) => port.port_no).sort()).toEqual([1, 2, 3, "LOCAL"]);
        expect(Object.keys(ports[0]).sort()).toEqual([
          ...[
            "collisions",
            "duration_nsec",
            "duration_sec",
            "port_no",
            "rx_bytes",
            "rx_crc_err",
            "rx_dropped",
          ],
          ...[
            "rx_errors",
            "rx_frame_err",
            "rx_over_err",
            "rx_packets",
            "tx_bytes",
            "tx_dropped",
            "tx_errors",
          ],
          "tx_packets",
        ]);
        expect((await rest.get("/stats/port/1/2")).body["1"]).toMatchObject([{ port_no: 2 }]);
        expect((await rest.get("/stats/portdesc/1/1")).body["1"]).toMatchObject([
          {
            ...{ port_no: 1, name: "p1", hw_addr: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/) },
            ...{ config: 0, curr: expect.any(Number), advertised: expect.any(Number), peer: 0 },
          },
        ]);
        for (const path of ["queue/1", "queue/1/1", "queue/1/ALL/ALL"])
          expect(await rest.get(`/stats/${path}`)).toMatchObject({
            status: 200,
            body: { "1": expect.any(Array) },
          });
        const { body } = await rest.get("/stats/queueconfig/1/1");
        expect(body).toEqual({ "1": [{ port: 1, queues: expect.any(Array) }] });
        expect((await rest.get("/stats/role/1")).body["1"]).toMatchObject([{ role: "EQUAL" }]);
      });

      test("every route that reads answers, those of newer versions by what to ask instead", async () => {
        const bands = [{ type: "DROP", rate: 1000 }];
        await rest.post("/stats/meterentry/add", { dpid: 1, meter_id: 1, flags: "KBPS", bands });
        const { paths } = (await rest.get("/openapi.json")).body;
        const reading = Object.keys(paths).filter((path) => path.startsWith("/stats/") && paths[path].get);
        // Those of Ryu's documentation, each with and without its parameters.
        expect(reading).toHaveLength(32);
        for (const path of reading.filter((path) => path.includes("{dpid}"))) {
          const { status, body } = await rest.get(path.replace(/\{\w+\}/g, "1"));
          if (/flowdesc|queuedesc|meterdesc/.test(path)) {
            expect(status, path).toBe(501);
            expect(body.error).toMatch(/is a request of OpenFlow 1\.[45]; with 1\.3 ask \/stats\/\w+/);
          } else if (path.includes("{queue_id}")) {
            // There is no queue 1, and Open vSwitch says so.
            expect([200, 400, 409], path).toContain(status);
          } else
            expect({ path, status, body }).toMatchObject({
              path,
              status: 200,
              body: { "1": expect.anything() },
            });
        }
        await rest.post("/stats/meterentry/delete", { dpid: 1, meter_id: 1 });
      });

      const drop = { dpid: 1, flags: "KBPS", bands: [{ type: "DROP", rate: 1000 }] };
      test.each([
        ["flowentry/add", { dpid: 1, actions: [{ type: "GROUP", group_id: 4711 }] }, "OFPBAC_BAD_OUT_GROUP"],
        ["flowentry/add", { dpid: 1, actions: [{ type: "METER", meter_id: 4711 }] }, /METER/],
        ["flowentry/add", { dpid: 1, actions: [{ type: "GOTO_TABLE", table_id: 0 }] }, "OFPBIC_BAD_TABLE_ID"],
        ["flowentry/add", { dpid: 1, match: { eth_type: 6, ipv4_dst: "1.2.3.4" } }, "OFPBMC_BAD_PREREQ"],
        ["groupentry/modify", { dpid: 1, group_id: 4711, type: "ALL" }, "OFPGMFC_UNKNOWN_GROUP"],
        ["meterentry/modify", { ...drop, meter_id: 4711 }, "OFPMMFC_UNKNOWN_METER"],
        ["meterentry/add", { ...drop, meter_id: 0 }, "OFPMMFC_INVALID_METER"],
      ])("a refused %s is answered with the switch's error: %j", async (path, body, code) => {
        const answer = await rest.post(`/stats/${path}`, body);
        expect([400, 404, 409], JSON.stringify(answer)).toContain(answer.status);
        expect(answer.body).toMatchObject({
          error: expect.any(String),
          error_code: expect.stringMatching(code),
        });
      });

      test("a port that is not there is told by the controller, which needs its address", async () => {
        const body = { dpid: 1, port_no: 4711, config: 1, mask: 1 };
        expect(await rest.post("/stats/portdesc/modify", body)).toMatchObject({
          status: 404,
          body: { error: expect.stringContaining("4711") },
        });
      });

      test("a flow is added, found by filters, changed and deleted, by the documented bodies", async () => {
        await clear();
        const head = { dpid: 1, cookie: 1, cookie_mask: 1, table_id: 0, idle_timeout: 30, hard_timeout: 30 };
        const flow = { ...head, priority: 11111, flags: 1, match: { in_port: 1 } };
        const to = (port: number) => ({ actions: [{ type: "OUTPUT", port }] });
        expect(await rest.post("/stats/flowentry/add", { ...flow, ...to(2) })).toEqual(ok);
        expect(await dump("dump-flows")).toMatch(
          /cookie=0x1,.* idle_timeout=30, hard_timeout=30,.* send_flow_rem.*priority=11111,in_port=1 actions=output:2/,
        );
        const filter = { table_id: 0, out_port: 2, cookie: 1, cookie_mask: 1, match: { in_port: 1 } };
        for (const found of [await rest.get("/stats/flow/1"), await rest.post("/stats/flow/1", filter)]) {
          expect(found.body["1"]).toEqual([
            {
              ...{ length: 88, table_id: 0, priority: 11111, idle_timeout: 30, hard_timeout: 30, flags: 1 },
              ...{ cookie: 1, packet_count: 0, byte_count: 0, match: { in_port: 1 }, actions: ["OUTPUT:2"] },
              ...{ duration_sec: expect.any(Number), duration_nsec: expect.any(Number) },
            },
          ]);
        }
        expect((await rest.post("/stats/flow/1", { priority: 5 })).body["1"]).toEqual([]);
        const sum = { packet_count: 0, byte_count: 0, flow_count: 1 };
        expect((await rest.get("/stats/aggregateflow/1")).body["1"]).toEqual([sum]);
        expect((await rest.post("/stats/aggregateflow/1", filter)).body["1"]).toEqual([sum]);
        expect(await rest.post("/stats/flowentry/modify", { ...flow, ...to(3) })).toEqual(ok);
        expect(await dump("dump-flows")).toContain("actions=output:3");
        expect(await rest.post("/stats/flowentry/modify_strict", { ...flow, ...to(2) })).toEqual(ok);
        expect(await dump("dump-flows")).toContain("actions=output:2");
        expect(await rest.post("/stats/flowentry/delete_strict", { ...flow, ...to(2) })).toEqual(ok);
        await rest.post("/stats/flowentry/add", { ...flow, ...to(2) });
        expect(await rest.post("/stats/flowentry/delete", { ...flow, ...to(2) })).toEqual(ok);
        expect((await rest.get("/stats/flow/1")).body["1"]).toEqual([]);
      });

      test.each(MATCHES)("match %j", async (match, onlySluice) => {
        await clear();
        const answer = await rest.post("/stats/flowentry/add", {
          dpid: 1,
          match,
          actions: [{ type: "OUTPUT", port: 1 }],
        });
        if (onlySluice && isOvs) {
          expect(answer).toMatchObject({ status: 400, body: { error_code: "OFPBMC_BAD_FIELD" } });
          return;
        }
        expect(answer).toEqual(ok);
        const [flow] = (await rest.get("/stats/flow/1")).body["1"];
        expect(flow.actions).toEqual(["OUTPUT:1"]);
        // What is told of a flow is taken as its match.
        const again = await rest.post("/stats/flow/1", { match: flow.match });
        expect(again.body["1"]).toMatchObject([{ match: flow.match }]);
      });

      test.each(ACTIONS)("action $action.type", async ({ action, match = {}, onlySluice }) => {
        await clear();
        await rest.post("/stats/groupentry/delete", { dpid: 1, group_id: "ALL" });
        await rest.post("/stats/groupentry/add", { dpid: 1, group_id: 5, buckets: [] });
        await rest.post("/stats/meterentry/delete", { dpid: 1, meter_id: "ALL" });
        const bands = [{ type: "DROP", rate: 1000 }];
        await rest.post("/stats/meterentry/add", { dpid: 1, meter_id: 3, flags: "KBPS", bands });
        const answer = await rest.post("/stats/flowentry/add", { dpid: 1, match, actions: [action] });
        if (onlySluice && isOvs) {
          expect(answer).toMatchObject({ status: 400, body: { error_code: "OFPBAC_BAD_TYPE" } });
          return;
        }
        expect(answer).toEqual(ok);
        const [flow] = (await rest.get("/stats/flow/1")).body["1"];
        expect(JSON.stringify(flow.actions)).toContain(action.type);
      });

      test("groups", async () => {
        await clear();
        await rest.post("/stats/groupentry/delete", { dpid: 1, group_id: "ALL" });
        const group = {
          dpid: 1,
          type: "ALL",
          group_id: 1,
          buckets: [{ actions: [{ type: "OUTPUT", port: 1 }] }],
        };
        expect(await rest.post("/stats/groupentry/add", group)).toEqual(ok);
        expect((await rest.post("/stats/groupentry/add", group)).body).toMatchObject({
          error_type: "OFPET_GROUP_MOD_FAILED",
          error_code: "OFPGMFC_GROUP_EXISTS",
        });
        expect((await rest.get("/stats/groupdesc/1")).body["1"]).toEqual([
          {
            type: "ALL",
            group_id: 1,
            buckets: [{ weight: 0, watch_port: 0xffffffff, watch_group: 0xffffffff, actions: ["OUTPUT:1"] }],
          },
        ]);
        const [stats] = (await rest.get("/stats/group/1/1")).body["1"];
        expect(stats).toEqual({
          ...{ length: 56, group_id: 1, ref_count: 0, packet_count: 0, byte_count: 0 },
          ...{ duration_sec: expect.any(Number), duration_nsec: expect.any(Number) },
          bucket_stats: [{ packet_count: 0, byte_count: 0 }],
        });
        const [features] = (await rest.get("/stats/groupfeatures/1")).body["1"];
        expect(features.types).toEqual(["ALL", "SELECT", "INDIRECT", "FF"]);
        expect(features.max_groups.map((one: object) => Object.keys(one)[0])).toEqual([
          ...["ALL", "SELECT", "INDIRECT", "FF"],
        ]);
        expect(features.actions[0].ALL).toContain("OUTPUT");
        expect(await rest.post("/stats/groupentry/modify", { ...group, type: "SELECT" })).toEqual(ok);
        expect(await dump("dump-groups")).toContain("group_id=1,type=select");
        expect(await rest.post("/stats/groupentry/delete", { dpid: 1, group_id: 1 })).toEqual(ok);
        expect(await dump("dump-groups")).not.toContain("group_id=1");
      });

      test("meters", async () => {
        await clear();
        await rest.post("/stats/meterentry/delete", { dpid: 1, meter_id: "ALL" });
        const meter = { dpid: 1, flags: "KBPS", meter_id: 1, bands: [{ type: "DROP", rate: 1000 }] };
        expect(await rest.post("/stats/meterentry/add", meter)).toEqual(ok);
        for (const path of ["meterconfig/1", "meterconfig/1/1"])
          expect((await rest.get(`/stats/${path}`)).body["1"]).toEqual([
            {
              flags: ["KBPS"],
              meter_id: 1,
              bands: [{ type: "DROP", rate: 1000, burst_size: expect.any(Number) }],
            },
          ]);
        const [stats] = (await rest.get("/stats/meter/1")).body["1"];
        expect(stats).toMatchObject({
          ...{ meter_id: 1, len: 56, flow_count: 0, packet_in_count: 0, byte_in_count: 0 },
          band_stats: [{ packet_band_count: 0, byte_band_count: 0 }],
        });
        const [features] = (await rest.get("/stats/meterfeatures/1")).body["1"];
        expect(features.band_types).toContain("DROP");
        expect(features.capabilities).toContain("KBPS");
        const changed = { ...meter, bands: [{ type: "DROP", rate: 2000 }] };
        expect(await rest.post("/stats/meterentry/modify", changed)).toEqual(ok);
        expect(await dump("dump-meters")).toContain("rate=2000");
        expect(await rest.post("/stats/meterentry/delete", { dpid: 1, meter_id: 1 })).toEqual(ok);
        expect((await rest.get("/stats/meterconfig/1")).body["1"]).toEqual([]);
      });

      test("a port, the role, an experimenter's message", async () => {
        const config = async () => (await rest.get("/stats/portdesc/1/1")).body["1"][0].config;
        const mod = (config: number) =>
          rest.post("/stats/portdesc/modify", { dpid: 1, port_no: 1, config, mask: 1 });
        expect(await mod(1)).toEqual(ok);
        expect(await config()).toBe(1);
        expect(await mod(0)).toEqual(ok);
        expect(await config()).toBe(0);
        expect(await rest.post("/stats/role", { dpid: 1, role: "MASTER" })).toEqual(ok);
        expect((await rest.get("/stats/role/1")).body["1"]).toMatchObject([{ role: "MASTER" }]);
        const message = { dpid: 1, experimenter: 1, exp_type: 1, data_type: "ascii", data: "data" };
        expect(await rest.post("/stats/experimenter/1", message)).toMatchObject({
          status: 400,
          body: { error_type: "OFPET_BAD_REQUEST" },
        });
      });

      test("what the switch refuses is answered with its error, and nothing is installed", async () => {
        await clear();
        const answer = await rest.post("/stats/flowentry/add", {
          dpid: 1,
          actions: [{ type: "METER", meter_id: 99 }],
        });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.body).toMatchObject({ error: expect.any(String), error_type: expect.any(String) });
        expect((await rest.get("/stats/flow/1")).body["1"]).toEqual([]);
        expect(await rest.get("/stats/flow/2")).toMatchObject({ status: 404 });
      });

      test("events are numbered, and a reader who was away goes on where it was", async () => {
        const events = new Reader(
          `${rest.base}/v1/events?types=flow_add,flow_delete,port_modify,flow_removed`,
        );
        const [hello] = await events.until((seen) => seen.length === 1);
        expect(hello).toMatchObject({ type: "hello", resumed: false });
        const flow = { dpid: 1, priority: 7, flags: 1, match: { in_port: 2 } };
        await rest.post("/stats/flowentry/add", flow);
        await rest.post("/stats/flowentry/delete", flow);
        const seen = await events.until((seen) => seen.length === 4);
        expect(seen.filter(({ type }) => /^flow_(add|delete)/.test(type))).toMatchObject([
          { type: "flow_add", dpid: DPID, priority: 7, match: { in_port: 2 } },
          { type: "flow_delete", dpid: DPID, priority: 7, reason: "OFPRR_DELETE" },
        ]);
        expect(seen.find(({ type }) => type === "flow_removed")).toMatchObject({
          ...{ dpid: DPID, priority: 7, reason: "OFPRR_DELETE", match: { in_port: 2 } },
        });
        // What another changes is told of, too, and what it does not ask to be told of.
        await sut.ofctl("add-flow", BRIDGE, "priority=8,in_port=1,hard_timeout=1,actions=2");
        const others = await events.until((all) => all.filter(({ priority }) => priority === 8).length === 2);
        expect(others.filter(({ priority }) => priority === 8)).toMatchObject([
          { type: "flow_add", dpid: DPID, hard_timeout: 1, actions: ["OUTPUT:2"] },
          { type: "flow_delete", reason: "OFPRR_HARD_TIMEOUT" },
        ]);
        events.close();
        await rest.post("/stats/portdesc/modify", { dpid: 1, port_no: 1, config: 1, mask: 1 });
        await rest.post("/stats/portdesc/modify", { dpid: 1, port_no: 1, config: 0, mask: 1 });
        const since = seen.at(-1)!.seq;
        const again = new Reader(
          `${rest.base}/v1/events?since=${since}&stream=${hello!.stream}&types=port_modify`,
        );
        const missed = await again.until(
          (all) => all.filter(({ type }) => type === "port_modify").length >= 2,
        );
        expect(missed[0]).toMatchObject({ type: "hello", resumed: true });
        expect(missed[1]).toMatchObject({ dpid: DPID, port_no: 1, name: "p1" });
        expect(missed[1]!.seq).toBeGreaterThan(since);
        again.close();
      });

      test("the metrics count the switch, its ports, flows and packets", async () => {
        await clear();
        await rest.post("/stats/flowentry/add", { dpid: 1, match: { in_port: 1 } });
        const metrics = async () => (await rest.get("/metrics")).body as string;
        await until(
          async () => (await metrics()).includes(`sluice_controller_flows{dpid="${DPID}"} 1`),
          "the flow",
        );
        const text = await metrics();
        expect(text).toContain("sluice_controller_datapaths 1\n");
        expect(text).toContain(`sluice_controller_ports{dpid="${DPID}"} 4\n`);
        expect(text).toMatch(
          /sluice_controller_http_request_duration_seconds_count\{method="POST",route="\/stats\/flowentry\/add",status="200"\} \d+/,
        );
        expect(text).toContain("nodejs_eventloop_lag_p99_seconds");
        expect(text).toContain(`sluice_controller_queued_bytes{dpid="${DPID}"}`);
      });
    });
  },
);

// biome-ignore lint/suspicious/noExplicitAny: events are of many shapes.
type Seen = any;

/** Keeps what a WebSocket is sent. */
class Reader {
  readonly #seen: Seen[] = [];
  readonly #socket: WebSocket;

  constructor(url: string) {
    this.#socket = new WebSocket(url.replace(/^http/, "ws"));
    this.#socket.on("message", (data) => this.#seen.push(JSON.parse(String(data))));
    this.#socket.on("error", (error) => this.#seen.push({ type: "error", error: String(error) }));
  }

  async until(isEnough: (seen: Seen[]) => boolean): Promise<Seen[]> {
    await until(
      () => isEnough(this.#seen),
      "events",
      20_000,
      () => JSON.stringify(this.#seen),
    );
    return this.#seen;
  }

  close(): void {
    this.#socket.close();
  }
}
