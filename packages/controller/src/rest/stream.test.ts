import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { nullLog } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Topology } from "../apps/topology/model.js";
import type { App, Switch } from "../framework/app.js";
import type { ControllerEvents } from "../framework/dispatch.js";
import { serveRest } from "./index.js";
import type { RestServer } from "./server.js";

const TOKEN = "correct-horse";
const watchers = new EventEmitter<ControllerEvents>();
const topology = new Topology();
const dp = { dpid: 1n, id: "0000000000000001", ports: new Map() } as unknown as Switch;

let server: RestServer;
let address: string;
const open = new Set<WebSocket>();
beforeEach(async () => {
  const started = await serveRest({
    switches: new Map(),
    watchers,
    apps: [{ name: "topology", events: {}, topology } as App],
    token: TOKEN,
    log: nullLog,
    port: 0,
  });
  ({ server, address } = started);
});
afterEach(async () => {
  for (const socket of open) socket.terminate();
  open.clear();
  await server.close();
});

/** A message of the stream, or a JSON-RPC request. */
type Message = Readonly<Record<string, unknown>>;

/** A reader, and its messages as they come. */
function reader(
  path: string,
  protocols: string[] = [`bearer.${TOKEN}`],
): { next: () => Promise<Message>; socket: WebSocket } {
  const socket = new WebSocket(
    `ws://${address}${path}`,
    protocols.length > 0 ? ["sluice", ...protocols] : [],
  );
  open.add(socket);
  const messages: Message[] = [];
  const waiting: ((message: Message) => void)[] = [];
  socket.on("error", () => {});
  socket.on("message", (data) => {
    const message = JSON.parse(String(data));
    const wanted = waiting.shift();
    if (wanted) wanted(message);
    else messages.push(message);
  });
  const next = (): Promise<Message> =>
    messages.length > 0
      ? Promise.resolve(messages.shift()!)
      : new Promise((resolve) => {
          waiting.push(resolve);
        });
  return { next, socket };
}
const leave = (why = "x"): boolean => watchers.emit("datapath_down", dp, why);

describe("the stream of events", () => {
  test("begins with where it is, and goes on with what happens", async () => {
    leave();
    const { next, socket } = reader("/v1/events");
    expect(await next()).toMatchObject({ type: "hello", seq: 1, resumed: false });
    expect(socket.protocol).toBe("sluice");
    leave("gone");
    expect(await next()).toMatchObject({ seq: 2, type: "switch_leave", dpid: dp.id, why: "gone" });
  });

  test("packets are told only to who asks for them", async () => {
    const message = { match: { in_port: 3 }, data: new Uint8Array(300), total_len: 300, cookie: 0n };
    const { next } = reader("/v1/events?types=packet_in");
    const before = watchers.listenerCount("packet_in");
    await next();
    expect(watchers.listenerCount("packet_in")).toBe(before + 1);
    watchers.emit("packet_in", dp, message as never);
    const { data, ...told } = await next();
    expect(told).toMatchObject({ type: "packet_in", dpid: dp.id, in_port: 3, total_len: 300 });
    expect(data).toHaveLength(512);
  });

  test("a reader of another stream, or from too far back, is told what it misses", async () => {
    for (let i = 0; i < 4100; i++) leave();
    const late = reader("/v1/events?since=1");
    await late.next();
    const missing = await late.next();
    expect(missing).toMatchObject({ type: "gap", from: 2, to: 4 });
    expect(missing.types).toContain("switch_leave");
    // Nobody read of flows before.
    expect(await late.next()).toEqual({
      ...{ type: "gap", from: 2, to: 4100, types: ["flow_add", "flow_modify", "flow_delete"] },
    });
    expect((await late.next()).types).toContain("group_add");
    expect(await late.next()).toMatchObject({ seq: 5 });
    const other = reader("/v1/events?since=4000&stream=another");
    expect(await other.next()).toMatchObject({ type: "hello", resumed: false });
    expect(await other.next()).toMatchObject({ type: "gap", from: 1, to: 4 });
  });

  test("a reader that does not read costs no memory but what it was sent, and catches up later", async () => {
    const socket = await rawReader();
    await once(socket, "readable");
    const why = "y".repeat(10_000);
    // More than the kernel and the server hold for it: it is not sent any more, but stays where it was.
    for (let i = 0; i < 3000; i++) leave(why);
    const quick = reader("/v1/events?since=0");
    await quick.next();
    expect((await quick.next()).seq).toBe(1);
    // Now it reads: everything comes, since the history still has it.
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    while (bytes < 3000 * why.length) await once(socket, "data");
    socket.destroy();
  });

  const rawReader = async (): Promise<Socket> => {
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    await once(socket, "connect");
    const lines = [
      "GET /v1/events HTTP/1.1",
      `Host: ${address}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      `Authorization: Bearer ${TOKEN}`,
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    return socket;
  };

  test("Ryu's clients are called by JSON-RPC", async () => {
    const { next, socket } = reader("/v1.0/topology/ws");
    await once(socket, "open");
    const port = { port_no: 1, hw_addr: "02:00:00:00:00:01", name: "p1", config: 0, state: 0 };
    watchers.emit("datapath_up", { ...dp, ports: new Map([[1, port]]) } as unknown as Switch);
    expect(await next()).toMatchObject({
      ...{ jsonrpc: "2.0", id: 1, method: "event_switch_enter" },
      params: [
        { dpid: dp.id, ports: [{ dpid: dp.id, port_no: "00000001", hw_addr: port.hw_addr, name: "p1" }] },
      ],
    });
    topology.enterSwitch(1n, [port] as never);
    topology.seeHost(1n, 1, 0x0a);
    expect(await next()).toMatchObject({
      ...{ id: 2, method: "event_host_add" },
      params: [{ mac: "00:00:00:00:00:0a", port: { port_no: "00000001" } }],
    });
  });
});

describe("who may ask", () => {
  const upgrade = (path: string, headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      const [host, port] = address.split(":");
      const sent = httpRequest({
        ...{ host, port, path },
        headers: {
          ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
          ...{ "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers },
        },
      });
      sent.on("upgrade", (_response, socket) => {
        socket.destroy();
        resolve(101);
      });
      sent.on("response", (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on("error", reject);
      sent.end();
    });
  const bearer = { authorization: `Bearer ${TOKEN}` };
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${address}${path}`, { headers });

  test("who shows the token; the document is for all", async () => {
    expect((await get("/stats/switches", bearer)).status).toBe(200);
    const without = await get("/stats/switches");
    expect([without.status, without.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect((await get("/stats/switches", { authorization: "Bearer wrong" })).status).toBe(401);
    expect((await get("/metrics")).status).toBe(401);
    expect((await get("/openapi.json")).status).toBe(200);
    const page = await get("/docs");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).toContain("/stats/flowentry/add");
  });

  test("of events, too, and no page of another site", async () => {
    expect(await upgrade("/v1/events", {})).toBe(401);
    expect(await upgrade("/v1/events", { "sec-websocket-protocol": `bearer.${TOKEN}` })).toBe(101);
    expect(await upgrade("/v1/events", { ...bearer, origin: "http://evil.example" })).toBe(403);
    expect(await upgrade("/v1/events", { ...bearer, host: "evil.example" })).toBe(403);
    expect(await upgrade("/v1/events", { ...bearer, origin: `http://${address}` })).toBe(101);
    expect(await upgrade("/v1/events?types=nothing", bearer)).toBe(400);
    expect(await upgrade("/v1/events?since=-1", bearer)).toBe(400);
    expect(await upgrade("/v1/nothing", bearer)).toBe(404);
  });
});

test("an app that is gone after a reload leaves its routes without anybody", async () => {
  const get = async (): Promise<number> =>
    (await fetch(`http://${address}/v1.0/topology/links`, { headers: { authorization: `Bearer ${TOKEN}` } }))
      .status;
  expect(await get()).toBe(200);
  server.setApps([]);
  expect(await get()).toBe(404);
  server.setApps([{ name: "topology", events: {}, topology: new Topology() } as App]);
  expect(await get()).toBe(200);
});
