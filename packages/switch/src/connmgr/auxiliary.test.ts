import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { decode, encode, type MessageOf, type OfMessage, type OfMessageInit } from "@sluice/openflow-codec";
import { afterEach, describe, expect, test } from "vitest";
import type { AuxiliaryConfig } from "./auxiliary.js";
import { connMgrOn, controllerConfig, keepMessages, nextTurn, until } from "./connmgr.testkit.js";
import { OUR_HELLO } from "./hello.js";
import { flowNumber } from "./spread.js";
import { isWholeMessages } from "./udp-stream.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The far end of one connection, by whatever transport. */
interface Line {
  readonly received: OfMessage[];
  send(message: OfMessageInit): void;
  isClosed: boolean;
}

/** A controller that listens on a TCP port and on the UDP port of the same number. */
class Controller {
  readonly tcp: (Line & { socket: Socket })[] = [];
  readonly udp = new Map<number, Line>();
  /** Whether it answers on UDP. */
  hearsUdp = true;
  #server: Server | undefined;
  #socket: UdpSocket | undefined;
  target = "";

  async start(): Promise<this> {
    this.#server = createServer((socket) => this.#adopt(socket)).listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as { port: number };
    this.#socket = createSocket("udp4").on("message", (bytes, from) => this.#datagram(bytes, from));
    this.#socket.bind(port, "127.0.0.1");
    await once(this.#socket, "listening");
    this.target = `tcp:127.0.0.1:${port}`;
    cleanups.push(() => this.stop());
    return this;
  }

  stop(): void {
    for (const { socket } of this.tcp) socket.destroy();
    this.#server?.close();
    this.#socket?.close();
  }

  async main(): Promise<Line> {
    await until(() => this.tcp.length > 0);
    return this.tcp[0]!;
  }

  #adopt(socket: Socket): void {
    const line = {
      socket,
      received: [] as OfMessage[],
      isClosed: false,
      send: (message: OfMessageInit) => void socket.write(encode(message)),
    };
    this.tcp.push(line);
    socket.on("close", () => {
      line.isClosed = true;
    });
    keepMessages(socket, line.received);
    line.send(OUR_HELLO);
  }

  #datagram(bytes: Uint8Array, { port, address }: RemoteInfo): void {
    let line = this.udp.get(port);
    if (line === undefined) {
      const send = (message: OfMessageInit): void => {
        this.#socket!.send(encode(message), port, address);
      };
      line = { received: [], isClosed: false, send };
      this.udp.set(port, line);
      if (this.hearsUdp) send(OUR_HELLO);
    }
    line.received.push(decode(bytes));
  }
}

async function connected(auxiliary: AuxiliaryConfig) {
  const calls: string[] = [];
  const { connmgr, clock, events } = connMgrOn({
    packetOut: ({ in_port }: { in_port: number }) => calls.push(`packet_out ${in_port}`),
    flowMod: () => calls.push("flow_mod"),
    barrier: async () => {},
  });
  cleanups.push(() => connmgr.close());
  const controller = await new Controller().start();
  const config = (more: AuxiliaryConfig) => controllerConfig(controller.target, { auxiliary: more });
  await connmgr.setControllers([config(auxiliary)]);
  const main = await controller.main();
  const isUp = (count: number): boolean =>
    connmgr.status()[0]?.status.n_auxiliaries === (count === 0 ? undefined : String(count));
  const identify = async (): Promise<void> => {
    main.send({ type: "OFPT_FEATURES_REQUEST" });
    await until(() => isUp(auxiliary.reliable + auxiliary.udp));
  };
  const packetIn = (lastByte: number): void => {
    const data = new Uint8Array(60);
    data[11] = lastByte;
    events.emit("packet_in", {
      reason: "OFPR_NO_MATCH",
      table_id: 0,
      cookie: 0n,
      match: { in_port: 1 },
      data,
      total_len: 60,
      max_len: 0xffff,
      controllerId: 0,
    });
  };
  return { connmgr, clock, controller, main, identify, isUp, packetIn, config, calls };
}

const got = (line: Line, type: OfMessage["type"]): Promise<void> =>
  until(() => line.received.some((message) => message.type === type));

const countOf = ({ received }: Line, type: OfMessage["type"]): number =>
  received.filter((message) => message.type === type).length;

describe("§6.3.5 auxiliary connections", () => {
  test("none is opened before the controller knows the switch by the main connection", async () => {
    const { controller, main, identify } = await connected({ reliable: 2, udp: 0 });
    main.send({ type: "OFPT_ECHO_REQUEST" });
    await got(main, "OFPT_ECHO_REPLY");
    expect(controller.tcp).toHaveLength(1);
    await identify();
    expect(controller.tcp).toHaveLength(3);
  });

  test("they have the switch's datapath_id and numbers of their own", async () => {
    const { controller, identify } = await connected({ reliable: 2, udp: 1 });
    await identify();
    const ids: number[] = [];
    for (const line of [...controller.tcp, ...controller.udp.values()]) {
      line.send({ type: "OFPT_FEATURES_REQUEST" });
      await got(line, "OFPT_FEATURES_REPLY");
      const reply = line.received.find((m) => m.type === "OFPT_FEATURES_REPLY");
      expect(reply).toMatchObject({ datapath_id: 1n });
      ids.push((reply as MessageOf<"OFPT_FEATURES_REPLY">).auxiliary_id);
    }
    expect(ids.sort()).toEqual([0, 1, 2, 3]);
  });

  test("packet-ins take them, those of one flow always the same", async () => {
    const { controller, main, identify, packetIn } = await connected({ reliable: 2, udp: 0 });
    await identify();
    for (let n = 0; n < 64; n++) packetIn(n % 8);
    const a = controller.tcp[1]!;
    const b = controller.tcp[2]!;
    await until(() => countOf(a, "OFPT_PACKET_IN") + countOf(b, "OFPT_PACKET_IN") === 64);
    expect(countOf(main, "OFPT_PACKET_IN")).toBe(0);
    const flowsOf = (line: Line): number[] =>
      line.received.flatMap((m) => (m.type === "OFPT_PACKET_IN" ? [m.data[11]!] : []));
    expect(flowsOf(a).length).toBeGreaterThan(0);
    expect(flowsOf(b).length).toBeGreaterThan(0);
    expect(flowsOf(a).filter((flow) => flowsOf(b).includes(flow))).toEqual([]);
  });

  test("packet-ins take the main connection again when there is no other", async () => {
    const { connmgr, main, identify, packetIn, config, isUp } = await connected({ reliable: 1, udp: 0 });
    await identify();
    await connmgr.setControllers([config({ reliable: 0, udp: 0 })]);
    await until(() => isUp(0));
    packetIn(1);
    await got(main, "OFPT_PACKET_IN");
  });

  test("a reply goes out by the connection that the request came by, a barrier concerns only its own", async () => {
    const { controller, main, identify } = await connected({ reliable: 1, udp: 0 });
    await identify();
    const auxiliary = controller.tcp[1]!;
    auxiliary.send({ type: "OFPT_BARRIER_REQUEST", xid: 77 });
    await got(auxiliary, "OFPT_BARRIER_REPLY");
    expect(countOf(main, "OFPT_BARRIER_REPLY")).toBe(0);
  });

  test("a role asked for by one holds for the whole channel", async () => {
    const { connmgr, controller, main, identify } = await connected({ reliable: 1, udp: 0 });
    await identify();
    const auxiliary = controller.tcp[1]!;
    auxiliary.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_SLAVE", generation_id: 1n });
    await got(auxiliary, "OFPT_ROLE_REPLY");
    expect(connmgr.status()[0]!.role).toBe("slave");
    main.send({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD" });
    await until(() => main.received.some((m) => m.type === "OFPT_ERROR"));
  });

  test("they end with the main connection", async () => {
    const { controller, identify } = await connected({ reliable: 2, udp: 0 });
    await identify();
    controller.tcp[0]!.socket.destroy();
    await until(() => controller.tcp.slice(1, 3).every(({ isClosed }) => isClosed));
  });

  test("one that is lost comes back, and the main connection does not notice", async () => {
    const { controller, clock, main, identify, isUp } = await connected({ reliable: 1, udp: 0 });
    await identify();
    controller.tcp[1]!.socket.destroy();
    await until(() => isUp(0));
    clock.advance(1000);
    await until(() => isUp(1));
    expect(main.isClosed).toBe(false);
  });
});

describe("§6.3.5 unreliable connections", () => {
  test("carry packet-ins and packet-outs, a message a datagram", async () => {
    const { controller, identify, packetIn, calls } = await connected({ reliable: 0, udp: 1 });
    await identify();
    const [line] = controller.udp.values();
    packetIn(1);
    await got(line!, "OFPT_PACKET_IN");
    line!.send({ type: "OFPT_PACKET_OUT", in_port: 9, actions: [], data: new Uint8Array(60) });
    await until(() => calls.length > 0);
    expect(calls).toEqual(["packet_out 9"]);
  });

  test("refuse other messages", async () => {
    const { controller, identify, calls } = await connected({ reliable: 0, udp: 1 });
    await identify();
    const [line] = controller.udp.values();
    line!.send({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD" });
    await got(line!, "OFPT_ERROR");
    expect(line!.received.at(-1)).toMatchObject({ error_code: "OFPBRC_BAD_TYPE" });
    expect(calls).toEqual([]);
  });

  test("a message before the HELLO shows that the connection is set up", async () => {
    const { controller, main, isUp } = await connected({ reliable: 0, udp: 1 });
    controller.hearsUdp = false;
    main.send({ type: "OFPT_FEATURES_REQUEST" });
    await until(() => controller.udp.size === 1);
    const [line] = controller.udp.values();
    line!.send({ type: "OFPT_ECHO_REQUEST", xid: 5 });
    await got(line!, "OFPT_ECHO_REPLY");
    expect(isUp(1)).toBe(true);
  });

  test("a HELLO that nobody answers is sent again, and given up after 30 s", async () => {
    const { controller, main, clock } = await connected({ reliable: 0, udp: 1 });
    controller.hearsUdp = false;
    main.send({ type: "OFPT_FEATURES_REQUEST" });
    await until(() => controller.udp.size === 1);
    const [first] = controller.udp.values();
    clock.advance(5000);
    main.send({ type: "OFPT_ECHO_REPLY" });
    clock.advance(4000);
    main.send({ type: "OFPT_ECHO_REPLY" });
    for (let turn = 0; countOf(first!, "OFPT_HELLO") < 2 || controller.udp.size < 2; turn++) {
      if (turn > 300) throw new Error("no second HELLO, or no second attempt");
      main.send({ type: "OFPT_ECHO_REPLY" });
      for (let n = 0; n < 20; n++) await nextTurn();
      clock.advance(500);
    }
  });
});

test("a datagram that is not whole messages is told apart", () => {
  const hello = encode(OUR_HELLO);
  expect(isWholeMessages(hello)).toBe(true);
  expect(isWholeMessages(Buffer.concat([hello, hello]))).toBe(true);
  expect(isWholeMessages(hello.subarray(0, 9))).toBe(false);
  expect(isWholeMessages(Buffer.concat([hello, Uint8Array.of(4)]))).toBe(false);
  expect(isWholeMessages(new Uint8Array(8))).toBe(false);
  expect(isWholeMessages(new Uint8Array(0))).toBe(false);
});

test("a flow's number looks at addresses and ports, below VLAN tags, and at nothing else of the frame", () => {
  const ethernet = "020000000001 020000000002".replaceAll(" ", "");
  const ipv4 = (source: string, ports: string, ttl = "40"): string =>
    `0800 4500002800000000${ttl}060000 ${source} 0a000002 ${ports} 00000000`;
  const number = (text: string): number =>
    flowNumber(Buffer.from(`${ethernet}${text}`.replaceAll(" ", ""), "hex"));
  const base = number(ipv4("0a000001", "1234 0050"));
  expect(number(ipv4("0a000001", "1234 0050", "3f"))).toBe(base);
  expect(number(`8100 0005 ${ipv4("0a000001", "1234 0050")}`)).toBe(base);
  expect(number(ipv4("0a000003", "1234 0050"))).not.toBe(base);
  expect(number(ipv4("0a000001", "1235 0050"))).not.toBe(base);
  expect(flowNumber(new Uint8Array(3))).toBeTypeOf("number");
});
