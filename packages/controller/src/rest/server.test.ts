import { request as httpRequest } from "node:http";
import {
  decode,
  encode,
  type MessageOf,
  OFPP,
  type OfMessage,
  type OfMessageInit,
  type Port,
} from "@sluice/openflow-codec";
import { nullLog } from "@sluice/runtime";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Topology } from "../apps/topology/model.js";
import type { App, Switch } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";
import { serveRest } from "./index.js";
import type { RestServer } from "./server.js";

const port1: Port = {
  port_no: 1,
  hw_addr: "02:00:00:00:00:01",
  name: "p1",
  config: 0,
  state: 4,
  curr: 0,
  advertised: 2048,
  supported: 0,
  peer: 0,
  curr_speed: 0,
  max_speed: 0,
};

/** Keeps what it is asked, as it would arrive; answers what it is told to. */
class RecordingSwitch {
  readonly dpid = 1n;
  readonly ports = new Map([[1, port1]]);
  readonly asked: OfMessage[] = [];
  answer: (message: OfMessage) => OfMessageInit | undefined | Error = () => undefined;

  async request(message: OfMessageInit): Promise<OfMessage | undefined> {
    const arrived = decode(encode(message));
    this.asked.push(arrived);
    const answer = this.answer(arrived);
    if (answer instanceof Error) throw answer;
    return answer && decode(encode(answer));
  }
}

let dp: RecordingSwitch;
let server: RestServer;
let base: string;
const switches = new Map<bigint, Switch>();
const topology = new Topology();
beforeAll(async () => {
  const started = await serveRest({
    switches,
    log: nullLog,
    apps: [{ name: "topology", events: {}, topology } as App],
    port: 0,
  });
  server = started.server;
  base = `http://${started.address}`;
});
beforeEach(() => {
  dp = new RecordingSwitch();
  switches.set(1n, dp as unknown as Switch);
});
afterAll(() => server.close());

const get = async (path: string) => {
  const response = await fetch(base + path);
  return { status: response.status, text: await response.text() };
};
const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(base + path, { method: "POST", body: text, headers });
  const answer = await response.text();
  return { status: response.status, body: answer === "" ? undefined : JSON.parse(answer) };
};
const flowMod = (): MessageOf<"OFPT_FLOW_MOD"> => dp.asked.at(-1) as MessageOf<"OFPT_FLOW_MOD">;
const refusal = (error_type: string, error_code: string): OfpRequestError =>
  new OfpRequestError({ type: "OFPT_FLOW_MOD" } as never, { error_type, error_code } as never);

describe("flow entries", () => {
  test("a flow is sent with Ryu's defaults and names, and the answer has no body", async () => {
    const body = {
      dpid: 1,
      cookie: 1,
      cookie_mask: 1,
      table_id: 0,
      idle_timeout: 30,
      hard_timeout: 30,
      priority: 11111,
      flags: 1,
      match: { in_port: 1, dl_dst: "00:00:00:00:00:02", nw_dst: "10.0.0.0/8", dl_type: "0x0800", dl_vlan: 5 },
      actions: [{ type: "OUTPUT", port: "CONTROLLER" }],
    };
    expect(await post("/stats/flowentry/add", body)).toEqual({ status: 200, body: undefined });
    expect(flowMod()).toMatchObject({
      command: "OFPFC_ADD",
      cookie: 1n,
      priority: 11111,
      match: {
        in_port: 1,
        eth_dst: "00:00:00:00:00:02",
        ipv4_dst: { value: "10.0.0.0", mask: "255.0.0.0" },
        eth_type: 0x800,
        vlan_vid: 0x1005,
      },
      instructions: [
        {
          type: "OFPIT_APPLY_ACTIONS",
          actions: [{ type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: 0xffe5 }],
        },
      ],
    });
    await post("/stats/flowentry/delete_strict", { dpid: "0x1" });
    expect(flowMod()).toMatchObject({ command: "OFPFC_DELETE_STRICT", priority: 0, table_id: 0, match: {} });
  });

  test("instructions stand among the actions", async () => {
    const actions = [
      { type: "PUSH_VLAN", ethertype: 33024 },
      { type: "SET_FIELD", field: "vlan_vid", value: 4102 },
      { type: "GOTO_TABLE", table_id: 8 },
      { type: "WRITE_METADATA", metadata: "0x3", metadata_mask: 3 },
      { type: "METER", meter_id: 3 },
      { type: "WRITE_ACTIONS", actions: [{ type: "GROUP", group_id: 5 }] },
    ];
    await post("/stats/flowentry/add", { dpid: 1, actions });
    expect(flowMod().instructions).toMatchObject([
      { type: "OFPIT_GOTO_TABLE", table_id: 8 },
      { type: "OFPIT_WRITE_METADATA", metadata: 3n, metadata_mask: 3n },
      { type: "OFPIT_METER", meter_id: 3 },
      { type: "OFPIT_WRITE_ACTIONS", actions: [{ type: "OFPAT_GROUP", group_id: 5 }] },
      {
        type: "OFPIT_APPLY_ACTIONS",
        actions: [
          { type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 },
          { type: "OFPAT_SET_FIELD", field: { vlan_vid: 0x1006 } },
        ],
      },
    ]);
  });

  test("numbers of 64 bits are exact, in and out", async () => {
    const flow = {
      cookie: 0xffff_ffff_ffff_fffen,
      match: { metadata: { value: 1n, mask: 0xffff_0000_0000_0001n }, in_port: OFPP.LOCAL, vlan_vid: 0x1064 },
      table_id: 0,
      instructions: [
        { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: OFPP.NORMAL, max_len: 0 }] },
      ],
    } as const;
    dp.answer = () => ({ type: "OFPT_MULTIPART_REPLY", body: { type: "OFPMP_FLOW", entries: [flow] } });
    const { text } = await get("/stats/flow/1");
    expect(text).toContain('"cookie":18446744073709551614');
    expect(JSON.parse(text)["1"]).toMatchObject([
      {
        match: { metadata: "1/18446462598732840961", in_port: "LOCAL", dl_vlan: "100" },
        actions: ["OUTPUT:NORMAL"],
        length: 112,
        priority: 32768,
      },
    ]);
    dp.answer = () => undefined;
    await post("/stats/flowentry/add", '{"dpid":1,"cookie":18446744073709551614}');
    expect(flowMod().cookie).toBe(0xffff_ffff_ffff_fffen);
  });

  test("a Python literal is taken as Ryu takes it", async () => {
    const body = `{'dpid': 1, "cookie": 0xffffffffffffffff, # all bits
      'actions': [{'type': 'WRITE_ACTIONS', 'actions': [{"type": "POP_VLAN",}, {'type': 'OUTPUT', 'port': 2},]}]}`;
    expect(await post("/stats/flowentry/add", body)).toEqual({ status: 200, body: undefined });
    expect(flowMod()).toMatchObject({
      cookie: 0xffff_ffff_ffff_ffffn,
      instructions: [{ actions: [{ type: "OFPAT_POP_VLAN" }, { type: "OFPAT_OUTPUT", port: 2 }] }],
    });
    await post("/stats/experimenter/1", `{'data': 'it\\'s "so", True', 'exp_type': 0b11}`);
    const { data, exp_type } = dp.asked.at(-1) as MessageOf<"OFPT_EXPERIMENTER">;
    expect([Buffer.from(data).toString(), exp_type]).toEqual([`it's "so", True`, 3]);
  });

  test("clear deletes the flows of all tables", async () => {
    const response = await fetch(`${base}/stats/flowentry/clear/1`, { method: "DELETE" });
    expect(response.status).toBe(200);
    expect(flowMod()).toMatchObject({ command: "OFPFC_DELETE", table_id: 0xff, out_port: OFPP.ANY });
  });
});

test("meters, groups, ports, roles and experimenters are sent as they are described", async () => {
  const last = () => dp.asked.at(-1);
  const meter = { dpid: 1, meter_id: 1, flags: "KBPS", bands: [{ type: "DROP", rate: 1000 }] };
  await post("/stats/meterentry/add", meter);
  expect(last()).toMatchObject({
    command: "OFPMC_ADD",
    flags: 1,
    bands: [{ type: "OFPMBT_DROP", rate: 1000 }],
  });
  const bucket = { weight: 1, watch_port: 4294967295, actions: [{ type: "OUTPUT", port: 1 }] };
  await post("/stats/groupentry/modify", { dpid: 1, type: "SELECT", group_id: 1, buckets: [bucket] });
  expect(last()).toMatchObject({
    command: "OFPGC_MODIFY",
    group_type: "OFPGT_SELECT",
    buckets: [{ weight: 1 }],
  });
  await post("/stats/portdesc/modify", { dpid: 1, port_no: 1, config: 101, mask: 101 });
  expect(last()).toMatchObject({ hw_addr: port1.hw_addr, config: 101, mask: 101, advertise: 2048 });
  await post("/stats/role", { dpid: 1, role: "MASTER" });
  expect(last()).toMatchObject({ role: "OFPCR_ROLE_MASTER", generation_id: 0n });
  await post("/stats/experimenter/1", { experimenter: 1, exp_type: 2, data_type: "base64", data: "aGk=" });
  expect(last()).toMatchObject({ experimenter: 1, exp_type: 2, data: new Uint8Array(Buffer.from("hi")) });
});

describe("what is refused", () => {
  test.each([
    ["a switch that is not there", "/stats/flowentry/add", { dpid: 9 }, 404, "dpid"],
    ["no dpid", "/stats/flowentry/add", {}, 400, "dpid"],
    ["a dpid that is none", "/stats/flowentry/add", { dpid: "one" }, 400, "dpid"],
    ["a body that is not JSON", "/stats/flowentry/add", "{'dpid': 1", 400, "body"],
    ["a body that is no object", "/stats/flowentry/add", "[]", 400, "body"],
    ["a priority too large", "/stats/flowentry/add", { dpid: 1, priority: 65536 }, 400, "priority"],
    ["a priority of a wrong type", "/stats/flowentry/add", { dpid: 1, priority: [] }, 400, "priority"],
    [
      "a field that is unknown",
      "/stats/flowentry/add",
      { dpid: 1, match: { in_prt: 1 } },
      400,
      "match.in_prt",
    ],
    ["a MAC that is none", "/stats/flowentry/add", { dpid: 1, match: { dl_src: "x" } }, 400, "match.dl_src"],
    [
      "a field twice",
      "/stats/flowentry/add",
      '{"dpid":1,"match":{"eth_type":1,"dl_type":1}}',
      400,
      "match.dl_type",
    ],
    [
      "a name from elsewhere",
      "/stats/flowentry/add",
      '{"dpid":1,"match":{"__proto__":1}}',
      400,
      "match.__proto__",
    ],
    [
      "an unknown action",
      "/stats/flowentry/add",
      { dpid: 1, actions: [{ type: "FLY" }] },
      400,
      "actions[0].type",
    ],
    [
      "an action without its type",
      "/stats/flowentry/add",
      { dpid: 1, actions: [{}] },
      400,
      "actions[0].type",
    ],
    [
      "a port that is no port",
      "/stats/groupentry/add",
      { dpid: 1, buckets: [{ actions: [{ type: "OUTPUT", port: "HERE" }] }] },
      400,
      "buckets[0].actions[0].port",
    ],
    [
      "an unknown band",
      "/stats/meterentry/add",
      { dpid: 1, bands: [{ type: "SLOW" }] },
      400,
      "bands[0].type",
    ],
    ["a port that the switch has not", "/stats/portdesc/modify", { dpid: 1, port_no: 7 }, 404, "port_no"],
    ["instructions", "/stats/flowentry/add", { dpid: 1, instructions: [] }, 400, "instructions"],
  ])("%s", async (_what, path, body, status, field) => {
    const answer = await post(path, body);
    expect(answer).toMatchObject({ status, body: { field } });
    expect(dp.asked).toEqual([]);
  });

  test.each([
    ["OFPET_BAD_ACTION", "OFPBAC_BAD_OUT_PORT", 400],
    ["OFPET_FLOW_MOD_FAILED", "OFPFMFC_TABLE_FULL", 409],
    ["OFPET_BAD_REQUEST", "OFPBRC_IS_SLAVE", 409],
  ])("by the switch with %s %s: its error is the answer", async (error_type, error_code, status) => {
    dp.answer = () => refusal(error_type, error_code);
    const answer = await post("/stats/flowentry/add", { dpid: 1 });
    expect(answer).toMatchObject({ status, body: { error_type, error_code } });
  });

  test("a switch that does not answer is a gateway that is late", async () => {
    dp.answer = () => new Error("OFPT_FLOW_MOD: no answer in 10 s");
    expect(await post("/stats/flowentry/add", { dpid: 1 })).toEqual({
      status: 504,
      body: { error: "OFPT_FLOW_MOD: no answer in 10 s" },
    });
  });

  test("requests of later versions say what to ask instead", async () => {
    expect(await get("/stats/flowdesc/1")).toMatchObject({
      status: 501,
      text: expect.stringContaining("/stats/flow"),
    });
  });

  test("a route that is not there, and a body too large", async () => {
    expect((await get("/stats/nothing")).status).toBe(404);
    expect((await post("/stats/flowentry/add", `"${"x".repeat(2 ** 20)}"`)).status).toBe(413);
  });
});

describe("pages of other sites", () => {
  const send = (headers: Record<string, string>, method = "POST"): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = httpRequest(`${base}/stats/flowentry/add`, { method, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on("error", reject);
      sent.end('{"dpid":1}');
    });
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const json = { "content-type": "application/json" };

  test("a name that leads here by someone else's DNS is not ours", async () => {
    expect(await send({ host: "evil.example:8080", ...json })).toBe(403);
    expect(await send({ host: "localhost:8080", ...json })).toBe(200);
    expect(await send({ host: "[::1]:8080", ...json })).toBe(200);
  });

  test("a page of another origin may post neither JSON nor a form, our own only JSON", async () => {
    const { host } = new URL(base);
    expect(await send({ origin: "http://evil.example", ...json })).toBe(403);
    expect(await send({ origin: "null", ...form })).toBe(403);
    expect(await send({ "sec-fetch-site": "cross-site", ...form })).toBe(403);
    expect(await send({ origin: `http://${host}`, "sec-fetch-site": "same-origin", ...json })).toBe(200);
    expect(await send({ origin: `http://${host}`, ...form })).toBe(415);
    expect(await send({ referer: "http://evil.example/", "content-type": "text/plain" })).toBe(415);
    expect(dp.asked).toHaveLength(1);
  });

  test("curl -d, which calls JSON a form, is no page", async () => {
    expect(await send(form)).toBe(200);
  });
});

test("the topology has Ryu's shape", async () => {
  topology.enterSwitch(1n, [port1]);
  topology.seeHost(1n, 1, 0x0a, { ipv4: "10.0.0.1" });
  const port = { dpid: "0000000000000001", port_no: "00000001", hw_addr: port1.hw_addr, name: "p1" };
  const body = async (path: string) => JSON.parse((await get(`/v1.0/topology/${path}`)).text);
  expect(await body("switches")).toEqual([{ dpid: "0000000000000001", ports: [port] }]);
  expect(await body("hosts/0000000000000001")).toEqual([
    { mac: "00:00:00:00:00:0a", ipv4: ["10.0.0.1"], ipv6: [], port },
  ]);
  expect(await body("links")).toEqual([]);
  expect(await body("switches/0000000000000002")).toEqual([]);
  expect((await get("/v1.0/topology/switches/1")).status).toBe(400);
});

test("the document names every route, with its body, and the 39 of Ryu's ofctl_rest", async () => {
  const document = JSON.parse((await get("/openapi.json")).text);
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path as object));
  expect(document.openapi).toBe("3.1.0");
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  expect(
    document.paths["/stats/flowentry/add"].post.requestBody.content["application/json"].schema.required,
  ).toEqual(["dpid"]);
  expect(
    Object.keys(document.paths).filter((path) => path.startsWith("/stats/")).length,
  ).toBeGreaterThanOrEqual(39);
});
