import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as netConnect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, type MessageOf, type OfMessage, type OfMessageInit } from "@sluice/openflow-codec";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connMgrOn, controllerConfig, keepMessages, until } from "./connmgr.testkit.js";
import { OUR_HELLO } from "./hello.js";

let dir: string;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-cm-"));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(dir, { recursive: true, force: true });
});

function manager() {
  const states: { configured: boolean; connected: boolean }[] = [];
  const on = connMgrOn({
    groupMod: (message: { type: string }, owner: unknown) => on.events.emit("modified", message, owner),
    setControllerState: (state: { configured: boolean; connected: boolean }) => states.push(state),
  });
  cleanups.push(() => on.connmgr.close());
  return { ...on, state: () => states.at(-1)! };
}

/** A controller on a unix socket: accepts, says HELLO, keeps what it gets. */
class Controller {
  readonly received: OfMessage[] = [];
  readonly sockets: Socket[] = [];
  readonly target: string;
  readonly #server: Server;
  readonly #path: string;

  constructor(name: string) {
    this.#path = join(dir, name);
    this.target = `unix:${this.#path}`;
    this.#server = createServer((socket) => {
      this.sockets.push(socket);
      keepMessages(socket, this.received);
      socket.write(encode(OUR_HELLO));
    });
    cleanups.push(() => this.stop());
  }

  async start(): Promise<this> {
    this.#server.listen(this.#path);
    await once(this.#server, "listening");
    return this;
  }

  send(message: OfMessageInit): void {
    this.sockets.at(-1)!.write(encode(message));
  }

  async got(type: OfMessage["type"], count = 1): Promise<void> {
    await until(() => this.received.filter((message) => message.type === type).length >= count);
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

describe("controllers", () => {
  test("one that is away is tried again after 1, 2, 4 and 8 s, and taken when it is there", async () => {
    const { connmgr, clock } = manager();
    const controller = new Controller("c");
    await connmgr.setControllers([controllerConfig(controller.target)]);
    const status = () => connmgr.status()[0]!;
    for (const wait of [1000, 2000, 4000, 8000, 8000]) {
      await until(() => status().status.state === "BACKOFF");
      expect(status().status.last_error).toMatch(/no such file/);
      clock.advance(wait - 1);
      expect(status().status.state).toBe("BACKOFF");
      clock.advance(1);
      expect(status().status.state).toBe("CONNECTING");
    }
    await until(() => status().status.state === "BACKOFF");
    await controller.start();
    clock.advance(8000);
    await until(() => status().is_connected);
    expect(status()).toMatchObject({ role: "other", status: { state: "ACTIVE", sec_since_connect: "0" } });
  });

  test("a silent one is probed, and given up when it does not answer", async () => {
    const { connmgr, clock } = manager();
    const controller = await new Controller("c").start();
    await connmgr.setControllers([controllerConfig(controller.target)]);
    await until(() => connmgr.status()[0]!.is_connected);
    clock.advance(5000);
    await controller.got("OFPT_ECHO_REQUEST");
    expect(connmgr.status()[0]!.status.state).toBe("IDLE");
    controller.send({ type: "OFPT_ECHO_REPLY" });
    await until(() => connmgr.status()[0]!.status.state === "ACTIVE");
    clock.advance(10_000);
    await until(() => !connmgr.status()[0]!.is_connected);
    expect(connmgr.status()[0]!.status.last_error).toMatch(/probe/);
  });

  test("removing a controller closes its connection; the others keep theirs", async () => {
    const { connmgr } = manager();
    const [a, b] = [await new Controller("a").start(), await new Controller("b").start()];
    await connmgr.setControllers([controllerConfig(a.target), controllerConfig(b.target)]);
    await until(() => connmgr.status().every(({ is_connected }) => is_connected));
    await connmgr.setControllers([controllerConfig(b.target, { maxBackoffMs: 1000 })]);
    await until(() => a.sockets[0]!.destroyed || a.sockets[0]!.readableEnded);
    expect(connmgr.status()).toMatchObject([{ target: b.target, is_connected: true }]);
    expect(b.sockets).toHaveLength(1);
  });

  test("§6.3.4: Controller.role shows who is master", async () => {
    const { connmgr } = manager();
    const [a, b] = [await new Controller("a").start(), await new Controller("b").start()];
    await connmgr.setControllers([controllerConfig(a.target), controllerConfig(b.target)]);
    await until(() => connmgr.status().every(({ is_connected }) => is_connected));
    a.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 1n });
    await a.got("OFPT_ROLE_REPLY");
    expect(connmgr.status().map(({ role }) => role)).toEqual(["master", "other"]);
    b.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 2n });
    await b.got("OFPT_ROLE_REPLY");
    expect(connmgr.status().map(({ role }) => role)).toEqual(["slave", "master"]);
  });

  test("events go to those who want them", async () => {
    const { connmgr, events } = manager();
    const [a, b] = [await new Controller("a").start(), await new Controller("b").start()];
    await connmgr.setControllers([
      controllerConfig(a.target),
      controllerConfig(b.target, { isAsyncEnabled: false }),
    ]);
    await until(() => connmgr.status().every(({ is_connected }) => is_connected));
    const desc = {
      port_no: 1,
      hw_addr: "02:00:00:00:00:01",
      name: "p1",
      config: 0,
      state: 0,
      curr: 0,
      advertised: 0,
      supported: 0,
      peer: 0,
      curr_speed: 0,
      max_speed: 0,
    };
    events.emit("port_status", { reason: "OFPPR_ADD", desc });
    events.emit("packet_in", {
      reason: "OFPR_NO_MATCH",
      table_id: 3,
      cookie: 7n,
      match: { in_port: 1 },
      data: new Uint8Array(60),
      total_len: 60,
      max_len: 0xffff,
      controllerId: 0,
    });
    await a.got("OFPT_PACKET_IN");
    await a.got("OFPT_PORT_STATUS");
    expect(a.received.find(({ type }) => type === "OFPT_PACKET_IN")).toMatchObject({
      reason: "OFPR_NO_MATCH",
      table_id: 3,
      cookie: 7n,
      match: { in_port: 1 },
    });
    expect(b.received.map(({ type }) => type)).toEqual(["OFPT_HELLO"]);
  });
});

describe("the fail mode", () => {
  test("a controller counts as lost after three probe intervals without it, not before", async () => {
    const { connmgr, clock, state } = manager();
    await connmgr.setControllers([controllerConfig(`unix:${dir}/nobody`)]);
    expect(state()).toEqual({ configured: true, connected: true });
    clock.advance(14_999);
    expect(state().connected).toBe(true);
    clock.advance(1);
    expect(state()).toEqual({ configured: true, connected: false });
    await connmgr.setControllers([]);
    expect(state()).toEqual({ configured: false, connected: false });
  });

  test("it is found again as soon as it connects", async () => {
    const { connmgr, clock, state } = manager();
    const controller = new Controller("c");
    await connmgr.setControllers([controllerConfig(controller.target)]);
    await until(() => connmgr.status()[0]!.status.state === "BACKOFF");
    clock.advance(20_000);
    expect(state().connected).toBe(false);
    await controller.start();
    await until(() => {
      clock.advance(1000);
      return connmgr.status()[0]!.is_connected;
    });
    expect(state()).toEqual({ configured: true, connected: true });
  });

  test("a service connection is no controller", async () => {
    const { connmgr, state } = manager();
    await connmgr.setControllers([controllerConfig(`punix:${dir}/p`)]);
    expect(state()).toEqual({ configured: false, connected: false });
  });
});

describe("what OpenFlow 1.4 brought, by extensions", () => {
  const asks: OfMessageInit = {
    type: "NXT_SET_ASYNC_CONFIG2",
    properties: [
      { type: "OFPACPT_REQUESTFORWARD_MASTER", mask: 3 },
      { type: "OFPACPT_REQUESTFORWARD_SLAVE", mask: 3 },
    ],
  };

  test("role status: who was master learns that another is master now", async () => {
    const { connmgr } = manager();
    const [a, b] = [await new Controller("a").start(), await new Controller("b").start()];
    await connmgr.setControllers([controllerConfig(a.target), controllerConfig(b.target)]);
    await until(() => connmgr.status().every(({ is_connected }) => is_connected));
    a.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 1n });
    await a.got("OFPT_ROLE_REPLY");
    b.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 2n });
    await a.got("ONFT_ROLE_STATUS");
    expect(a.received.at(-1)).toMatchObject({
      role: "OFPCR_ROLE_SLAVE",
      reason: "OFPCRR_MASTER_REQUEST",
      generation_id: 2n,
    });
    expect(b.received.some(({ type }) => type === "ONFT_ROLE_STATUS")).toBe(false);
  });

  test("request forwarding: who asked for it gets the group_mods of others, whole", async () => {
    const { connmgr } = manager();
    const [a, b] = [await new Controller("a").start(), await new Controller("b").start()];
    await connmgr.setControllers([controllerConfig(a.target), controllerConfig(b.target)]);
    await until(() => connmgr.status().every(({ is_connected }) => is_connected));
    for (const controller of [a, b]) {
      controller.send(asks);
      controller.send({ type: "OFPT_ECHO_REQUEST" });
      await controller.got("OFPT_ECHO_REPLY");
    }
    b.send({ type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 5, xid: 42 });
    await a.got("ONFT_REQUESTFORWARD");
    const forwarded = a.received.at(-1) as MessageOf<"ONFT_REQUESTFORWARD">;
    expect(decode(forwarded.request)).toMatchObject({ type: "OFPT_GROUP_MOD", group_id: 5, xid: 42 });
    expect(b.received.some(({ type }) => type === "ONFT_REQUESTFORWARD")).toBe(false);
  });
});

describe("local sockets", () => {
  const dial = async (path: string): Promise<{ socket: Socket; received: OfMessage[] }> => {
    const socket = netConnect({ path });
    cleanups.push(() => socket.destroy());
    await once(socket, "connect");
    const received: OfMessage[] = [];
    keepMessages(socket, received);
    socket.write(encode(OUR_HELLO));
    await until(() => received.some(({ type }) => type === "OFPT_HELLO"));
    return { socket, received };
  };

  test("BRIDGE.snoop copies what the bridge and its controllers say, both ways", async () => {
    const { connmgr } = manager();
    await connmgr.openService(dir);
    const snooper = await dial(join(dir, "br0.snoop"));
    const mgmt = await dial(join(dir, "br0.mgmt"));
    const controller = await new Controller("c").start();
    await connmgr.setControllers([controllerConfig(controller.target)]);
    await until(() => connmgr.status()[0]!.is_connected);
    mgmt.socket.write(encode({ type: "OFPT_ECHO_REQUEST", xid: 1 }));
    controller.send({ type: "OFPT_FEATURES_REQUEST", xid: 2 });
    await controller.got("OFPT_FEATURES_REPLY");
    await until(() => snooper.received.some(({ type }) => type === "OFPT_FEATURES_REPLY"));
    const types = snooper.received.map(({ type }) => type);
    expect(types).toContain("OFPT_FEATURES_REQUEST");
    expect(types).not.toContain("OFPT_ECHO_REQUEST");
  });

  test("a target that cannot be listened on is tried again", async () => {
    const { connmgr, clock } = manager();
    const blocker = createServer();
    blocker.listen(0, "127.0.0.1");
    await once(blocker, "listening");
    const { port } = blocker.address() as { port: number };
    const target = `ptcp:${port}:127.0.0.1`;
    await connmgr.setControllers([controllerConfig(target)]);
    await until(() => connmgr.status()[0]!.status.last_error !== undefined);
    expect(connmgr.status()[0]!.status.last_error).toMatch(new RegExp(`${port}.*already in use`));
    blocker.close();
    await once(blocker, "close");
    clock.advance(5000);
    await until(() => connmgr.boundTarget(target) !== undefined);
    expect(connmgr.status()[0]!.status).toEqual({});
  });
});
