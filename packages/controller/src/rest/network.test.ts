import { type OfMessageInit, parseFlow, parseGroup } from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Topology } from "../apps/topology/model.js";
import { TableCopies } from "../copy/index.js";
import type { App, Switch } from "../framework/app.js";
import type { ControllerEvents } from "../framework/dispatch.js";
import { asReceived } from "../tables/index.js";
import { FakeSwitch } from "../testing/fake-switch.js";
import { type RestApp, serveRest } from "./index.js";
import type { RestServer } from "./server.js";

/** What a page about the network reads: once the whole, then what happens. */

type Message = Readonly<Record<string, unknown>>;

const flow = (text: string, command: "add" | "delete" = "add") => parseFlow(text, command) as OfMessageInit;
const DPIDS = ["0000000000000001", "0000000000000002"];

let clock: VirtualClock;
let watchers: EventEmitter<ControllerEvents>;
let switches: Map<bigint, Switch>;
let server: RestServer;
let base: string;
const errors: string[] = [];
const open = new Set<WebSocket>();

beforeEach(async () => {
  clock = new VirtualClock(1_700_000_000_000);
  watchers = new EventEmitter();
  switches = new Map();
  errors.length = 0;
  const started = await serveRest({
    ...{ switches, watchers, clock, port: 0, version: "1.2.3", role: () => "master" },
    copies: new TableCopies({ switches, clock }),
    log: { ...nullLog, err: (text) => void errors.push(text) },
  });
  server = started.server;
  base = started.address;
});
afterEach(async () => {
  for (const socket of open) socket.terminate();
  open.clear();
  await server.close();
});

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes.
  readonly body: any;
}
const get = async (path: string): Promise<Answer> => {
  const response = await fetch(`http://${base}${path}`);
  return { status: response.status, body: await response.json() };
};
const connect = (dpid: bigint, flowMonitors: boolean): FakeSwitch => {
  const sw = new FakeSwitch([], { dpid, flowMonitors });
  switches.set(dpid, sw);
  watchers.emit("datapath_up", sw);
  return sw;
};

/** A reader of events: `next` gives those of some types. */
function read(query: string): (...types: string[]) => Promise<Message> {
  const socket = new WebSocket(`ws://${base}/v1/events${query}`);
  open.add(socket);
  const messages: Message[] = [];
  let arrived = (): void => {};
  socket.on("message", (data) => {
    messages.push(JSON.parse(String(data)));
    arrived();
  });
  return async (...types) => {
    for (;;) {
      const at = messages.findIndex(({ type }) => types.includes(String(type)));
      if (at >= 0) return messages.splice(0, at + 1).at(-1)!;
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    }
  };
}

describe("/v1", () => {
  test("the network as of an event, from which the events go on", async () => {
    const topology = new Topology();
    server.setApps([{ name: "topology", events: {}, topology } as App]);
    const sw = connect(1n, true);
    topology.enterSwitch(1n, [...sw.ports.values()]);
    topology.seeHost(1n, 2, 0x0a);
    const { body } = await get("/v1/topology");
    expect(body).toMatchObject({
      discovers: true,
      switches: [{ dpid: DPIDS[0], ports: [{ port_no: 1, name: "p1", is_up: true }, {}, {}, {}] }],
      links: [],
      hosts: [{ mac: "00:00:00:00:00:0a", port: { dpid: DPIDS[0], port_no: 2 } }],
    });
    const next = read(`?since=${body.seq}&stream=${body.stream}`);
    expect(await next("hello")).toMatchObject({ resumed: true, seq: body.seq });
    topology.seeHost(1n, 3, 0x0b);
    expect(await next("host_add")).toMatchObject({ seq: body.seq + 1, port: { port_no: 3 } });
    expect((await get("/v1/controller")).body).toEqual({
      ...{ version: "1.2.3", role: "master", apps: ["topology"], switches: 1 },
      ...{ stream: body.stream, seq: body.seq + 1 },
    });
  });

  test("a switch: what it is, its ports with counters, its flows table by table, groups, meters", async () => {
    const sw = connect(1n, true);
    sw.send(parseGroup("group_id=7,type=all,bucket=output:2", "add") as OfMessageInit);
    sw.send(flow("table=1,priority=3,arp,actions=drop"));
    sw.send(flow("priority=5,ip,nw_dst=10.0.0.0/8,cookie=0xffffffffffffffff,actions=group:7"));
    sw.send(flow("priority=9,actions=goto_table:1"));
    const path = `/v1/switches/${DPIDS[0]}`;
    expect((await get(path)).body).toMatchObject({
      dpid: DPIDS[0],
      description: { hw_desc: "fake switch" },
      ports: [{}, {}, {}, {}],
    });
    expect((await get(`${path}/ports`)).body[0]).toMatchObject({ port_no: 1, counters: { rx_packets: 0 } });
    expect((await get(`${path}/flows`)).body.tables).toMatchObject([
      { table_id: 0, flows: [{ priority: 9 }, { priority: 5, cookie: "0xffffffffffffffff" }] },
      {
        table_id: 1,
        flows: [{ match: { dl_type: 0x0806 }, actions: [], flow: "table=1,priority=3,arp actions=drop" }],
      },
    ]);
    expect((await get(`${path}/flows?table_id=1`)).body.tables).toHaveLength(1);
    expect((await get(`${path}/flows?table_id=x`)).status).toBe(400);
    expect((await get(`${path}/groups`)).body).toMatchObject([{ group_id: 7, type: "ALL" }]);
    expect((await get(`${path}/meters`)).body).toEqual([]);
    expect(await get("/v1/switches/2")).toMatchObject({ status: 404, body: { field: "dpid" } });
    expect((await get("/v1/switches/zz")).status).toBe(400);
  });
});

describe("flow events", () => {
  test.each([
    ["that tells of its flows by itself", true],
    ["without flow monitors", false],
  ])("come for each change by whomever, at a switch %s", async (_name, hasMonitors) => {
    const sw = connect(1n, hasMonitors);
    sw.send(flow("priority=1,actions=drop"));
    const next = read("?types=flow");
    await next("hello");
    const change = async (): Promise<Message> => {
      const event = next("flow_add", "flow_modify", "flow_delete");
      let isThere = false;
      void event.then(() => {
        isThere = true;
      });
      // The switch without monitors is asked from time to time.
      while (!isThere) {
        clock.advance(250);
        await new Promise(setImmediate);
      }
      return event;
    };
    // What is there at the beginning is no news, and has to be known first.
    const asked = (): unknown[] =>
      sw.sent.map((one) => one.type === "OFPT_MULTIPART_REQUEST" && one.body.type);
    while (!asked().includes(hasMonitors ? "ONFMP_FLOW_MONITOR" : "OFPMP_METER_CONFIG"))
      await new Promise(setImmediate);
    await new Promise(setImmediate);
    sw.send(flow("priority=5,ip,actions=output:1"));
    expect(await change()).toMatchObject({
      ...{ type: "flow_add", dpid: DPIDS[0], table_id: 0, priority: 5, cookie: "0x0" },
      ...{ match: { dl_type: 2048 }, actions: ["OUTPUT:1"] },
      flow: "table=0,priority=5,ip actions=output:1",
    });
    sw.send(flow("priority=5,ip,actions=output:2"));
    expect(await change()).toMatchObject({ type: "flow_modify", actions: ["OUTPUT:2"] });
    sw.tables.apply(asReceived(flow("priority=6,arp,actions=output:3")));
    expect(await change()).toMatchObject({ type: "flow_add", priority: 6 });
    sw.tables.apply(asReceived(flow("ip", "delete")));
    expect(await change()).toMatchObject({ type: "flow_delete", priority: 5 });
  });

  test("of a switch that connects later, and only of those that a reader names", async () => {
    const next = read(`?types=flow_add,switch&dpid=${DPIDS[1]}`);
    await next("hello");
    const [a, b] = [connect(1n, true), connect(2n, true)];
    expect(await next("switch_enter")).toMatchObject({ dpid: DPIDS[1] });
    a.send(flow("priority=1,actions=drop"));
    b.send(flow("priority=2,actions=drop"));
    expect(await next("flow_add")).toMatchObject({ dpid: DPIDS[1], priority: 2 });
  });

  test("a page that was away a moment misses none; for one that was away longer there is a gap", async () => {
    const sw = connect(1n, true);
    const first = read("?types=flow");
    const hello = await first("hello");
    sw.send(flow("priority=1,actions=drop"));
    const { seq } = await first("flow_add");
    const leave = async (): Promise<void> => {
      for (const socket of open) {
        const closed = new Promise((resolve) => socket.once("close", resolve));
        socket.terminate();
        await closed;
      }
      open.clear();
      await get("/v1/controller");
    };
    await leave();
    sw.send(flow("priority=2,actions=drop"));
    const again = read(`?types=flow&since=${seq}&stream=${hello.stream}`);
    expect(await again("flow_add", "gap")).toMatchObject({ type: "flow_add", priority: 2 });
    await leave();
    clock.advance(61_000);
    sw.send(flow("priority=3,actions=drop"));
    watchers.emit("datapath_down", sw, "test");
    const late = read(`?types=flow&since=${seq}&stream=${hello.stream}`);
    expect(await late("gap")).toMatchObject({ types: ["flow_add", "flow_modify", "flow_delete"] });
  });

  test.each(["?types=nothing", "?dpid=1", "?types="])("%s is refused", async (query) => {
    const socket = new WebSocket(`ws://${base}/v1/events${query}`);
    open.add(socket);
    const status = await new Promise((resolve) => {
      socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
      socket.on("error", () => {});
    });
    expect(status).toBe(400);
  });
});

describe("routes of apps", () => {
  const app = (name: string, path: string, more: object = {}): RestApp => ({
    ...{ name, events: {} },
    routes: [
      {
        ...{ method: "POST", path, tag: name, summary: name, handle: () => ({ from: name }) },
        body: { type: "object", required: ["x"], properties: { x: { type: "integer" } } },
        ...more,
      },
    ],
  });
  const post = async (path: string, body: object) => {
    const response = await fetch(`http://${base}${path}`, { method: "POST", body: JSON.stringify(body) });
    return { status: response.status, body: await response.json() };
  };

  test("come with a reload, with their checks and their document, and go with one", async () => {
    expect((await post("/mine", { x: 1 })).status).toBe(404);
    server.setApps([app("mine", "/mine")]);
    expect(await post("/mine", { x: 1 })).toEqual({ status: 200, body: { from: "mine" } });
    expect(await post("/mine", {})).toMatchObject({ status: 400, body: { field: "x" } });
    expect((await get("/openapi.json")).body.paths["/mine"].post.summary).toBe("mine");
    server.setApps([app("other", "/other/{id}")]);
    expect((await post("/mine", { x: 1 })).status).toBe(404);
    expect((await post("/other/5", { x: 1 })).body).toEqual({ from: "other" });
    expect((await get("/openapi.json")).body.paths["/mine"]).toBeUndefined();
  });

  test("that are none are told of, and keep nobody else's from being served", async () => {
    server.setApps([
      app("nowhere", "nowhere"),
      app("twice", "/v1/topology", { method: "GET", body: undefined }),
      app("mute", "/mute", { handle: undefined }),
      app("good", "/good"),
    ]);
    expect((await post("/good", { x: 1 })).status).toBe(200);
    expect((await get("/v1/topology")).body.switches).toEqual([]);
    expect(errors).toEqual([
      'app nowhere: a route is not served: its path is "nowhere", not "/…"',
      "app mute: a route is not served: POST /mute: handle is no function",
      "a route is not served, since it is taken: GET /v1/topology",
    ]);
    server.setApps([app("bad", "/bad", { body: { type: "no such type" } })]);
    expect((await get("/v1/controller")).status).toBe(200);
    expect(errors.at(-1)).toMatch(/^routes of apps are not served: .*\/bad/);
  });
});
