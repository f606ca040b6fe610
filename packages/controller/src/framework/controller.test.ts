import { once } from "node:events";
import { createServer } from "node:net";
import { OFPPS } from "@sluice/openflow-codec";
import { createLog, VirtualClock } from "@sluice/runtime";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { featuresReply, port, SwitchPeer } from "../testing/switch-peer.js";
import type { App, Switch } from "./app.js";
import { Controller, type ControllerOptions } from "./controller.js";
import { OfpRequestError } from "./requests.js";

let clock: VirtualClock;
let lines: string[];
let controller: Controller;
let target: string;
let peers: SwitchPeer[];

async function start(apps: readonly App[] = [], options: Partial<ControllerOptions> = {}): Promise<void> {
  const log = createLog({
    clock,
    console: (line) => void lines.push(line.split("|").slice(3).join("|").trim()),
  });
  controller = new Controller({ apps, clock, log, ...options });
  target = (await controller.listen("ptcp:0:127.0.0.1")).target;
}

async function connect(): Promise<SwitchPeer> {
  const peer = await SwitchPeer.connect(target);
  peers.push(peer);
  return peer;
}

/** A switch past its handshake, and its other side. */
async function switchUp(dpid = 1n): Promise<[SwitchPeer, Switch]> {
  const up = once(controller.events as never, "datapath_up") as Promise<[Switch]>;
  const peer = await connect();
  await peer.handshake(dpid, [port(1), port(2)]);
  return [peer, (await up)[0]];
}

const event = (name: "datapath_up" | "datapath_down" | "packet_in" | "port_status" | "error") =>
  once(controller.events as never, name) as Promise<[Switch, never]>;

beforeEach(() => {
  clock = new VirtualClock();
  lines = [];
  peers = [];
});
afterEach(async () => {
  for (const peer of peers) peer.end();
  await controller.stop();
});

describe("the handshake", () => {
  test("greets with a version bitmap, asks for features and ports, then tells the apps", async () => {
    await start();
    const peer = await connect();
    const hello = await peer.next("OFPT_HELLO");
    expect(hello.elements).toEqual([{ type: "OFPHET_VERSIONBITMAP", bitmaps: [16] }]);
    const up = once(controller.events as never, "datapath_up") as Promise<[Switch]>;
    await peer.handshake(0x1234n, [port(1), port(2, OFPPS.LINK_DOWN)]);
    const [dp] = await up;
    expect([dp.dpid, dp.id, [...dp.ports.keys()]]).toEqual([0x1234n, "0000000000001234", [1, 2]]);
    expect(lines.at(-1)).toMatch(
      /^INFO\|switch 0000000000001234 connected from tcp:127\.0\.0\.1:\d+, 2 ports$/,
    );
  });

  test("§6.3.1: a switch without OpenFlow 1.3 gets OFPHFC_INCOMPATIBLE, and both sides are told plainly", async () => {
    await start();
    const peer = await connect();
    peer.sendBytes(Buffer.from("0100000800000007", "hex"));
    const error = await peer.next("OFPT_ERROR");
    expect(error).toMatchObject({
      xid: 7,
      error_type: "OFPET_HELLO_FAILED",
      error_code: "OFPHFC_INCOMPATIBLE",
    });
    expect(Buffer.from(error.data).toString()).toBe(
      "switch speaks only OpenFlow 1.0; this controller speaks OpenFlow 1.3",
    );
    await peer.closed();
    expect(lines.at(-1)).toMatch(/disconnected: switch speaks only OpenFlow 1\.0/);
  });

  test("a peer that says nothing is let go after 10 s", async () => {
    await start();
    const peer = await connect();
    await peer.next("OFPT_HELLO");
    clock.advance(10_000);
    await peer.closed();
    expect(lines.at(-1)).toMatch(/no handshake in 10 s|no response/);
  });

  test.each([
    ["GET / HTTP/1.1\r\n", 'no OpenFlow: it begins with "GET / HTTP/1.1"'],
    ["\x16\x03\x01\x02\0", "it speaks TLS, and this port takes plain OpenFlow (ptcp: where pssl: is meant?)"],
  ])("a peer that speaks something else is let go at once, and named: %j", async (text, why) => {
    await start();
    const peer = await connect();
    peer.sendBytes(Buffer.from(text, "latin1"));
    await peer.closed();
    expect(lines.at(-1)).toMatch(/^INFO\|tcp:127\.0\.0\.1:\d+ disconnected: /);
    expect(lines.at(-1)).toContain(why);
  });

  test("of many that say nothing the oldest go, and a switch gets in all the same", async () => {
    await start();
    const silent: SwitchPeer[] = [];
    for (let i = 0; i < 1030; i++) silent.push(await connect());
    await switchUp();
    expect([controller.halfOpenDropped >= 6, silent[1029]!.isClosed]).toEqual([true, false]);
    await silent[0]!.closed();
    expect(lines.join()).toMatch(
      /127\.0\.0\.1:\d+ disconnected: no handshake, and 1024 connections came after it/,
    );
  });

  test("a peer that stops half way is let go, too", async () => {
    await start([], { probeIntervalMs: 0 });
    const peer = await connect();
    peer.send({ type: "OFPT_HELLO" });
    await peer.next("OFPT_FEATURES_REQUEST");
    clock.advance(10_000);
    await peer.closed();
    expect(controller.datapaths.size).toBe(0);
  });

  test("what the switch sends before the apps know it they get afterwards, in order", async () => {
    const heard: unknown[] = [];
    const app: App = {
      name: "a",
      events: {
        datapath_up: (dp) => void heard.push([...dp.ports.keys()]),
        port_status: (dp) => void heard.push([...dp.ports.keys()]),
        packet_in: (_dp, { cookie }) => void heard.push(cookie),
      },
    };
    await start([app]);
    const peer = await connect();
    const packetIn = (cookie: bigint) =>
      ({ type: "OFPT_PACKET_IN", reason: "OFPR_NO_MATCH", table_id: 0, cookie, total_len: 0 }) as const;
    peer.send({ type: "OFPT_HELLO" });
    peer.send(featuresReply((await peer.next("OFPT_FEATURES_REQUEST")).xid, 5n), packetIn(1n));
    const { xid } = await peer.next("OFPT_MULTIPART_REQUEST");
    const last = event("packet_in");
    // In one segment: all of it is read before the handshake goes on.
    peer.send(
      { type: "OFPT_MULTIPART_REPLY", xid, body: { type: "OFPMP_PORT_DESC", entries: [port(1)] } },
      { type: "OFPT_PORT_STATUS", reason: "OFPPR_ADD", desc: port(2) },
      packetIn(2n),
    );
    await last;
    while (heard.length < 4) await clock.advanceAsync(0);
    expect(heard).toEqual([[1], 1n, [1, 2], 2n]);
  });

  test("ports in several parts are joined", async () => {
    await start();
    const up = once(controller.events as never, "datapath_up") as Promise<[Switch]>;
    const peer = await connect();
    peer.send({ type: "OFPT_HELLO" });
    peer.send(featuresReply((await peer.next("OFPT_FEATURES_REQUEST")).xid, 5n));
    const { xid } = await peer.next("OFPT_MULTIPART_REQUEST");
    const part = (port_no: number, flags: number) =>
      ({
        type: "OFPT_MULTIPART_REPLY",
        xid,
        flags,
        body: { type: "OFPMP_PORT_DESC", entries: [port(port_no)] },
      }) as const;
    peer.send(part(1, 1), part(2, 1), part(3, 0));
    expect([...(await up)[0].ports.keys()]).toEqual([1, 2, 3]);
  });
});

describe("requests", () => {
  test("resolve with the reply of their xid, whatever comes between", async () => {
    await start();
    const [peer, dp] = await switchUp();
    const asked = dp.request({ type: "OFPT_GET_CONFIG_REQUEST" });
    const { xid } = await peer.next("OFPT_GET_CONFIG_REQUEST");
    peer.send({ type: "OFPT_GET_CONFIG_REPLY", xid: xid + 1, flags: 0, miss_send_len: 1 });
    peer.send(
      { type: "OFPT_ECHO_REQUEST" },
      { type: "OFPT_GET_CONFIG_REPLY", xid, flags: 0, miss_send_len: 99 },
    );
    expect((await asked).miss_send_len).toBe(99);
  });

  test("reject with the switch's error", async () => {
    await start();
    const [peer, dp] = await switchUp();
    const asked = dp.request({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_DESC" } });
    const { xid } = await peer.next("OFPT_MULTIPART_REQUEST");
    peer.send({
      type: "OFPT_ERROR",
      xid,
      error_type: "OFPET_BAD_REQUEST",
      error_code: "OFPBRC_BAD_MULTIPART",
    });
    const error = await asked.catch((reason) => reason);
    expect(error).toBeInstanceOf(OfpRequestError);
    expect(error).toMatchObject({ error_type: "OFPET_BAD_REQUEST", error_code: "OFPBRC_BAD_MULTIPART" });
  });

  test("of a message without a reply are confirmed by a barrier, or rejected with its error", async () => {
    await start();
    const [peer, dp] = await switchUp();
    const [good, bad] = [1, 2].map((table_id) =>
      dp.request({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", table_id }),
    );
    await peer.next("OFPT_FLOW_MOD");
    const first = await peer.next("OFPT_BARRIER_REQUEST");
    const second = await peer.next("OFPT_FLOW_MOD");
    peer.send({ type: "OFPT_BARRIER_REPLY", xid: first.xid });
    expect(await good).toBeUndefined();
    peer.send({
      type: "OFPT_ERROR",
      xid: second.xid,
      error_type: "OFPET_FLOW_MOD_FAILED",
      error_code: "OFPFMFC_TABLE_FULL",
    });
    await expect(bad).rejects.toThrow("OFPT_FLOW_MOD refused: OFPET_FLOW_MOD_FAILED OFPFMFC_TABLE_FULL");
  });

  test("reject when a multipart is answered with another kind", async () => {
    await start();
    const [peer, dp] = await switchUp();
    const asked = dp.request({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_DESC" } });
    const { xid } = await peer.next("OFPT_MULTIPART_REQUEST");
    peer.send({ type: "OFPT_MULTIPART_REPLY", xid, body: { type: "OFPMP_FLOW", entries: [] } });
    await expect(asked).rejects.toThrow("asked for OFPMP_DESC, answered with OFPMP_FLOW");
  });

  test("time out, and fail when the switch goes", async () => {
    await start([], { probeIntervalMs: 0 });
    const [peer, dp] = await switchUp();
    const late = dp.barrier();
    clock.advance(10_000);
    await expect(late).rejects.toThrow("OFPT_BARRIER_REQUEST: no answer in 10 s");
    const lost = dp.barrier();
    peer.end();
    await expect(lost).rejects.toThrow("switch 0000000000000001 is gone: connection closed by peer");
    await expect(dp.barrier()).rejects.toThrow("cannot take it");
  });

  test("are bounded", async () => {
    await start();
    const [, dp] = await switchUp();
    const all = Array.from({ length: 1025 }, () => dp.barrier().catch((error: Error) => error.message));
    expect(await all[1024]).toMatch(/too many requests wait/);
  });
});

describe("a connection's life", () => {
  test("echo requests are answered with their data", async () => {
    await start();
    const [peer] = await switchUp();
    peer.send({ type: "OFPT_ECHO_REQUEST", xid: 77, data: Uint8Array.of(1, 2, 3) });
    expect(await peer.next("OFPT_ECHO_REPLY")).toEqual({
      type: "OFPT_ECHO_REPLY",
      xid: 77,
      data: Uint8Array.of(1, 2, 3),
    });
  });

  test("a silent switch is asked for an echo, and let go when it does not answer", async () => {
    await start();
    const [peer, dp] = await switchUp();
    clock.advance(5000);
    const { xid } = await peer.next("OFPT_ECHO_REQUEST");
    peer.send(
      { type: "OFPT_ECHO_REPLY", xid },
      { type: "OFPT_PORT_STATUS", reason: "OFPPR_MODIFY", desc: port(1) },
    );
    await event("port_status");
    clock.advance(5000);
    await peer.next("OFPT_ECHO_REQUEST");
    expect(controller.datapaths.get(1n)).toBe(dp);
    const down = event("datapath_down");
    clock.advance(5000);
    expect((await down)[1]).toBe("no response to inactivity probe");
    expect(controller.datapaths.size).toBe(0);
  });

  test("port-status keeps the ports up to date before the apps hear of it", async () => {
    await start();
    const [peer, dp] = await switchUp();
    let status = event("port_status");
    peer.send({ type: "OFPT_PORT_STATUS", reason: "OFPPR_ADD", desc: port(7) });
    await status;
    expect([...dp.ports.keys()]).toEqual([1, 2, 7]);
    status = event("port_status");
    peer.send({ type: "OFPT_PORT_STATUS", reason: "OFPPR_DELETE", desc: port(1) });
    await status;
    expect([...dp.ports.keys()]).toEqual([2, 7]);
  });

  test("a second connection of a dpid replaces the first, or is refused, as configured", async () => {
    await start();
    const [first] = await switchUp();
    const [second] = await switchUp();
    await first.closed();
    expect(second.isClosed).toBe(false);
    expect(controller.datapaths.size).toBe(1);
    expect(lines.join()).toMatch(
      /two connections with dpid 0000000000000001.*the later replaces the earlier/,
    );
    await controller.stop();

    await start([], { duplicate: "refuse" });
    const [kept] = await switchUp();
    const refused = await connect();
    await refused.handshake(1n);
    await refused.closed();
    expect(kept.isClosed).toBe(false);
  });

  test("a switch that listens itself is connected to, and again when it goes", async () => {
    await start();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port: number } = server.address() as { port: number };
    controller.connect(`tcp:127.0.0.1:${number}`);
    const [socket] = await once(server, "connection");
    socket.destroy();
    while (!lines.some((line) => line.includes("next try in 1 s"))) await clock.advanceAsync(0);
    clock.advance(1000);
    const [again] = await once(server, "connection");
    again.destroy();
    server.close();
  });
});

describe("malformed OpenFlow", () => {
  test("gets the error that the specification asks for, and the connection goes on", async () => {
    await start();
    const [peer] = await switchUp();
    const short = Buffer.from("040a000c0000002a00000000", "hex");
    peer.sendBytes(short);
    const error = await peer.next("OFPT_ERROR");
    expect(error).toMatchObject({ xid: 42, error_type: "OFPET_BAD_REQUEST", error_code: "OFPBRC_BAD_LEN" });
    expect(Buffer.from(error.data)).toEqual(short);
    peer.sendBytes(Buffer.from("0463000800000001", "hex"));
    expect((await peer.next("OFPT_ERROR")).error_code).toBe("OFPBRC_BAD_TYPE");
    peer.sendBytes(Buffer.from("0105000800000002", "hex"));
    expect((await peer.next("OFPT_ERROR")).error_code).toBe("OFPBRC_BAD_VERSION");
    peer.send({ type: "OFPT_ECHO_REQUEST", xid: 9 });
    expect((await peer.next("OFPT_ECHO_REPLY")).xid).toBe(9);
  });

  test("a malformed error is not answered with an error", async () => {
    await start();
    const [peer] = await switchUp();
    peer.sendBytes(Buffer.from("0401000900000001ff", "hex"));
    peer.send({ type: "OFPT_ECHO_REQUEST", xid: 9 });
    expect((await peer.next("OFPT_ECHO_REPLY")).xid).toBe(9);
  });

  test("a length below the header's ends the connection, and no other", async () => {
    await start();
    const [other] = await switchUp(2n);
    const [peer] = await switchUp();
    peer.sendBytes(Buffer.from("0402000700000001", "hex"));
    await peer.closed();
    other.send({ type: "OFPT_ECHO_REQUEST", xid: 9 });
    expect((await other.next("OFPT_ECHO_REPLY")).xid).toBe(9);
  });

  test("whatever a switch sends, nobody else is disturbed", async () => {
    await start();
    const [other] = await switchUp(2n);
    const header = fc.tuple(
      fc.constantFrom(4, 4, 4, 1),
      fc.integer({ min: 0, max: 31 }),
      fc.integer({ min: 8, max: 80 }),
    );
    const messages = fc.array(fc.tuple(header, fc.uint8Array({ minLength: 80, maxLength: 80 })), {
      maxLength: 50,
    });
    await fc.assert(
      fc.asyncProperty(messages, async (parts) => {
        const [peer] = await switchUp();
        for (const [[version, type, length], body] of parts) {
          body.set([version, type, 0, length]);
          peer.sendBytes(body.subarray(0, length));
        }
        other.send({ type: "OFPT_ECHO_REQUEST", xid: 9 });
        await other.next("OFPT_ECHO_REPLY");
        peer.end();
        await peer.closed();
      }),
      { numRuns: 50 },
    );
  });

  test("bytes come in any chunking", async () => {
    await start();
    const [peer] = await switchUp();
    for (const byte of Buffer.from("0402000a00000009abcd", "hex")) {
      peer.sendBytes(Uint8Array.of(byte));
      await clock.advanceAsync(0);
    }
    expect((await peer.next("OFPT_ECHO_REPLY")).data).toEqual(Uint8Array.of(0xab, 0xcd));
  });
});

describe("a switch that does not read", () => {
  test("is not read from, is refused more once 16 MiB wait, and is let go when it stays so", async () => {
    await start();
    const [peer, dp] = await switchUp();
    peer.pause();
    const data = new Uint8Array(60_000);
    const out = { type: "OFPT_PACKET_OUT", in_port: 1, actions: [], data } as const;
    let sent = 0;
    while (dp.send(out)) {
      sent++;
      await clock.advanceAsync(0);
    }
    expect(sent * data.length).toBeGreaterThan(16 << 20);
    expect(sent * data.length).toBeLessThan(64 << 20);
    const down = event("datapath_down");
    clock.advance(20_000);
    expect((await down)[1]).toBe("no response to inactivity probe");
  });
});

describe("apps", () => {
  const packetIn = {
    type: "OFPT_PACKET_IN",
    reason: "OFPR_NO_MATCH",
    match: { in_port: 1 },
    total_len: 1,
  } as const;
  const packet = { ...packetIn, table_id: 0, cookie: 0n, data: Uint8Array.of(1) };
  const flow = (priority: number) => ({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority }) as const;

  test("are asked in their order until one answers a packet-in", async () => {
    const asked: string[] = [];
    const app = (name: string, answer: readonly ReturnType<typeof flow>[] | undefined): App => ({
      name,
      events: {
        packet_in: () => {
          asked.push(name);
          return answer;
        },
      },
    });
    await start([app("watcher", undefined), app("firewall", [flow(7)]), app("never", [flow(8)])]);
    const [peer] = await switchUp();
    peer.send(packet);
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(7);
    expect(asked).toEqual(["watcher", "firewall"]);
  });

  test("one that throws or rejects is named in the log and keeps nobody else from working", async () => {
    const thrower: App = {
      name: "thrower",
      events: {
        packet_in: () => {
          throw new Error("oops");
        },
        datapath_up: async () => {
          throw new Error("later");
        },
      },
    };
    await start([thrower, { name: "worker", events: { packet_in: async () => [flow(3)] } }]);
    const [peer] = await switchUp();
    peer.send(packet);
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(3);
    expect(lines).toContain("ERR|app thrower failed at packet_in of switch 0000000000000001: oops");
    expect(lines).toContain("ERR|app thrower failed at datapath_up of switch 0000000000000001: later");
  });

  test("a message without an encoding is the app's failure, and nothing of it is sent", async () => {
    const bad = { ...flow(1), match: { eth_dst: "not a MAC" } } as never;
    await start([{ name: "bad", events: { packet_in: () => [bad] } }]);
    const [peer] = await switchUp();
    peer.send(packet, { type: "OFPT_ECHO_REQUEST", xid: 5 });
    expect((await peer.next("OFPT_ECHO_REPLY")).xid).toBe(5);
    expect(lines.join()).toMatch(/app bad failed at packet_in/);
  });

  test("of a mute controller set switches up, and hear nothing else", async () => {
    const heard: string[] = [];
    const app: App = {
      name: "a",
      events: { datapath_up: () => [flow(1)], packet_in: () => void heard.push("packet_in") },
    };
    await start([app], { mute: true });
    const [peer] = await switchUp();
    await peer.next("OFPT_FLOW_MOD");
    peer.send(packet, { type: "OFPT_ECHO_REQUEST", xid: 5 });
    expect((await peer.next("OFPT_ECHO_REPLY")).xid).toBe(5);
    expect(heard).toEqual([]);
  });

  test("hear of a message that the switch refused", async () => {
    await start([{ name: "a", events: { datapath_up: () => [flow(1)] } }]);
    const [peer] = await switchUp();
    const { xid } = await peer.next("OFPT_FLOW_MOD");
    const refused = event("error");
    peer.send({ type: "OFPT_ERROR", xid, error_type: "OFPET_FLOW_MOD_FAILED", error_code: "OFPFMFC_EPERM" });
    expect((await refused)[1]).toMatchObject({ xid, error_code: "OFPFMFC_EPERM" });
    expect(lines.at(-1)).toMatch(
      /WARN\|switch 0000000000000001 refused a message: OFPET_FLOW_MOD_FAILED OFPFMFC_EPERM/,
    );
  });

  test("are exchanged while switches stay: those that go are released, those that come introduced", async () => {
    const heard: string[] = [];
    const app = (name: string, priority: number): App => ({
      name,
      events: {
        datapath_up: () => {
          heard.push(`${name} up`);
          return [flow(priority)];
        },
        datapath_down: () => void heard.push(`${name} down`),
        datapath_release: () => [flow(priority + 100)],
        packet_in: () => [flow(priority + 10)],
      },
      stop: () => void heard.push(`${name} stop`),
    });
    const [kept, old] = [app("kept", 1), app("old", 2)];
    await start([old, kept]);
    const [peer, dp] = await switchUp();
    await peer.next("OFPT_FLOW_MOD");
    controller.setApps([app("new", 3), kept]);
    expect(heard).toEqual(["old up", "kept up", "old stop", "new up"]);
    await peer.next("OFPT_FLOW_MOD");
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(102);
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(3);
    peer.send(packet);
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(13);
    // One that replaces another of its name finds the switch as it is.
    controller.setApps([app("new", 4), kept]);
    expect((await peer.next("OFPT_FLOW_MOD")).priority).toBe(4);
    expect([heard.splice(4), controller.datapaths.get(1n) === dp, controller.apps.length]).toEqual([
      ["new stop", "new up"],
      true,
      2,
    ]);
  });
});

describe("roles", () => {
  const updown = (heard: string[]): App => ({
    name: "a",
    events: { datapath_up: () => void heard.push("up"), datapath_down: (_dp, why) => void heard.push(why) },
  });
  const isSlave = {
    type: "OFPT_ERROR",
    xid: 99,
    error_type: "OFPET_BAD_REQUEST",
    error_code: "OFPBRC_IS_SLAVE",
  } as const;

  /** A switch that answers a request for a role. */
  async function granted(peer: SwitchPeer): Promise<{ role: string | number; generation_id: bigint }> {
    const { xid, role, generation_id } = await peer.next("OFPT_ROLE_REQUEST");
    peer.send({ type: "OFPT_ROLE_REPLY", xid, role, generation_id });
    return { role, generation_id };
  }

  test("a master claims its switches before the apps see them; one deposed lets the apps go", async () => {
    const heard: string[] = [];
    await start([updown(heard)], { role: "master" });
    const up = event("datapath_up");
    const peer = await connect();
    await peer.handshake(1n, [port(1)]);
    expect((await granted(peer)).role).toBe("OFPCR_ROLE_MASTER");
    const [dp] = await up;
    const down = event("datapath_down");
    peer.send(isSlave);
    await down;
    expect([heard, controller.datapaths.get(1n) === dp]).toEqual([
      ["up", "another controller is its master"],
      true,
    ]);
    expect(lines).toContain("WARN|another controller is master of switch 0000000000000001");
    const again = event("datapath_up");
    const set = controller.setRole("master");
    await granted(peer);
    await Promise.all([again, set]);
    expect(heard).toHaveLength(3);
  });

  test("a master asks now and then whether it still is: one that slept meanwhile is told by no message", async () => {
    await start([], { role: "master" });
    const up = event("datapath_up");
    const peer = await connect();
    await peer.handshake(1n, [port(1)]);
    await granted(peer);
    await up;
    clock.advance(5000);
    expect((await granted(peer)).role).toBe("OFPCR_ROLE_NOCHANGE");
    const status = event("port_status");
    peer.send({ type: "OFPT_PORT_STATUS", reason: "OFPPR_MODIFY", desc: port(1) });
    await status;
    const down = event("datapath_down");
    clock.advance(5000);
    const { xid } = await peer.next("OFPT_ROLE_REQUEST");
    peer.send({ type: "OFPT_ROLE_REPLY", xid, role: "OFPCR_ROLE_SLAVE", generation_id: 7n });
    await down;
    expect(lines).toContain("WARN|another controller is master of switch 0000000000000001");
  });

  test("a slave's apps see nothing until it is made master, by a generation above the last", async () => {
    const heard: string[] = [];
    await start([updown(heard)], { role: "slave" });
    const peer = await connect();
    await peer.handshake(1n, [port(1)]);
    expect((await granted(peer)).role).toBe("OFPCR_ROLE_SLAVE");
    const set = controller.setRole("master");
    const stale = { error_type: "OFPET_ROLE_REQUEST_FAILED", error_code: "OFPRRFC_STALE" } as const;
    peer.send({ type: "OFPT_ERROR", xid: (await peer.next("OFPT_ROLE_REQUEST")).xid, ...stale });
    const { xid } = await peer.next("OFPT_ROLE_REQUEST");
    peer.send({ type: "OFPT_ROLE_REPLY", xid, role: "OFPCR_ROLE_SLAVE", generation_id: 0xffffn });
    expect(await granted(peer)).toEqual({ role: "OFPCR_ROLE_MASTER", generation_id: 0x10000n });
    await set;
    expect(heard).toEqual(["up"]);
  });

  test("one that stands by watches the other over OpenFlow, and takes over when it is gone", async () => {
    await start([], { role: "master" });
    const [primary, primaryTarget] = [controller, target];
    await start([], {
      standbyFor: primaryTarget.replace("ptcp:", "tcp:127.0.0.1:").replace(/:127[.0-9]+$/, ""),
    });
    try {
      while (!lines.some((line) => line.includes("is another controller, which watches this one")))
        await clock.advanceAsync(0);
      // Longer than a switch is given for its handshake: what watches is let be.
      for (let i = 0; i < 4; i++) await clock.advanceAsync(4000);
      const peer = await connect();
      await peer.handshake(1n, [port(1)]);
      expect((await granted(peer)).role).toBe("OFPCR_ROLE_SLAVE");
      await primary.stop();
      expect((await granted(peer)).role).toBe("OFPCR_ROLE_MASTER");
      expect(lines.join()).toMatch(/is gone \(.*connection refused\): this one takes over/);
    } finally {
      await primary.stop();
    }
  });
});
