import { type Duplex, duplexPair } from "node:stream";
import {
  decode,
  encode,
  Framer,
  type MessageOf,
  OFP_NO_BUFFER,
  type OfMessage,
  type OfMessageInit,
  type OfMessageType,
} from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { describe, expect, test } from "vitest";
import { refuse } from "../ofproto/error.js";
import type { Ofproto } from "../ofproto/ofproto.js";
import type { OfprotoEvents, PacketInEvent } from "../ofproto/types.js";
import { Agent, type SwitchState } from "./agent.js";
import { nextTurn } from "./connmgr.testkit.js";
import { OUR_HELLO } from "./hello.js";
import { PacketBuffers } from "./packet-buffers.js";
import { packetInFor } from "./packet-in.js";

/** A switch that notes what it is asked. */
class FakeOfproto {
  readonly events = new EventEmitter<OfprotoEvents>();
  readonly calls: string[] = [];
  behind: Promise<void> | undefined;
  caughtUp = (): Promise<void> | undefined => this.behind;
  barriers: (() => void)[] = [];
  entries: unknown[] = [];
  features = () => ({ datapath_id: 1n, n_buffers: 0, n_tables: 254, auxiliary_id: 0, capabilities: 0x4f });
  getConfig = () => ({ flags: 0 });
  setConfig = () => {};
  flowMod = (message: { priority?: number }): void => {
    if (message.priority === 13) throw refuse("OFPFMFC_TABLE_FULL");
    this.calls.push(`flow_mod ${message.priority}`);
  };
  packetOut = ({ data, in_port }: { data: Uint8Array; in_port: number }): void => {
    this.calls.push(`packet_out ${in_port} ${Buffer.from(data).toString("hex")}`);
  };
  multipart = async (body: { type: string }) => ({ type: body.type, entries: this.entries });
  barrier = (): Promise<void> => new Promise((resolve) => this.barriers.push(resolve));
}

class Peer {
  readonly #framer = new Framer();
  readonly #stream: Duplex;
  readonly received: OfMessage[] = [];
  isClosed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("close", () => {
      this.isClosed = true;
    });
    stream.on("end", () => {
      this.isClosed = true;
    });
    stream.on("data", (chunk: Uint8Array) => {
      this.#framer.push(chunk);
      for (let m = this.#framer.next(); m; m = this.#framer.next()) this.received.push(decode(m));
    });
  }

  send(...messages: (OfMessageInit | Uint8Array)[]): void {
    this.#stream.write(Buffer.concat(messages.map((m) => (m instanceof Uint8Array ? m : encode(m)))));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  async get<T extends OfMessageType>(type: T, count = 1): Promise<MessageOf<T>[]> {
    const found = (): MessageOf<T>[] => this.received.filter((m) => m.type === type) as MessageOf<T>[];
    for (let turn = 0; found().length < count && turn < 10_000; turn++) await nextTurn();
    expect(found().length).toBeGreaterThanOrEqual(count);
    return found();
  }
}

function setUp(isService = false) {
  const ofproto = new FakeOfproto();
  const clock = new VirtualClock();
  const agents = new Set<Agent>();
  const state: SwitchState = {
    ofproto: ofproto as unknown as Ofproto,
    clock,
    log: nullLog,
    buffers: new PacketBuffers(clock),
    generation_id: undefined,
    agents,
    limits: { bundleIdleMs: 10_000 },
    monitorsChanged: () => {},
  };
  const connect = (): { agent: Agent; peer: Peer } => {
    const [ours, theirs] = duplexPair();
    const agent = new Agent({ stream: ours, name: "test", isService, state });
    agents.add(agent);
    const peer = new Peer(theirs);
    agent.start();
    return { agent, peer };
  };
  return { ofproto, state, connect };
}

async function connected(isService = false) {
  const world = setUp(isService);
  const { agent, peer } = world.connect();
  peer.send(OUR_HELLO);
  await peer.get("OFPT_HELLO");
  while (!agent.isOpen) await nextTurn();
  return { ...world, agent, peer };
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("a connection", () => {
  test("§6.3.1: says HELLO with its versions at once", async () => {
    const { connect } = setUp();
    const [hello] = await connect().peer.get("OFPT_HELLO");
    expect(hello!.elements).toEqual([{ type: "OFPHET_VERSIONBITMAP", bitmaps: [0x10] }]);
  });

  test("§6.3.1: a peer without a common version gets OFPHFC_INCOMPATIBLE with a text, and is closed", async () => {
    const { connect } = setUp();
    const { peer } = connect();
    peer.send(bytes("01 00 0008 00000005"));
    const [error] = await peer.get("OFPT_ERROR");
    expect(error).toMatchObject({
      xid: 5,
      error_type: "OFPET_HELLO_FAILED",
      error_code: "OFPHFC_INCOMPATIBLE",
    });
    expect(new TextDecoder().decode(error!.data)).toMatch(/peer speaks version 1/);
    while (!peer.isClosed) await nextTurn();
  });

  test("§7.5.2: an echo is answered with the same data and xid", async () => {
    const { peer } = await connected();
    peer.send({ type: "OFPT_ECHO_REQUEST", xid: 9, data: bytes("616263") });
    const [reply] = await peer.get("OFPT_ECHO_REPLY");
    expect(reply).toMatchObject({ xid: 9, data: new Uint8Array(bytes("616263")) });
  });

  test("a malformed message gets its error with the request's bytes, and the next is handled", async () => {
    const { peer } = await connected();
    const request = bytes("04 0e 0010 00000007 0000000000000000");
    peer.send(request, { type: "OFPT_ECHO_REQUEST", xid: 8 });
    await peer.get("OFPT_ECHO_REPLY");
    const [error] = await peer.get("OFPT_ERROR");
    expect(error).toMatchObject({ xid: 7, error_type: "OFPET_BAD_REQUEST", error_code: "OFPBRC_BAD_LEN" });
    expect(error!.data).toEqual(new Uint8Array(request));
  });

  test.each([
    ["an unknown type", "04 63 0008 00000007", "OFPBRC_BAD_TYPE"],
    ["a message that only switches send", "04 15 0008 00000007", "OFPBRC_BAD_TYPE"],
    ["an unknown experimenter", "04 04 0010 00000007 00abcdef 00000001", "OFPBRC_BAD_EXPERIMENTER"],
    ["another version", "01 02 0008 00000007", "OFPBRC_BAD_VERSION"],
  ])("%s is refused", async (_, hex, error_code) => {
    const { peer } = await connected();
    peer.send(bytes(hex));
    const [error] = await peer.get("OFPT_ERROR");
    expect(error).toMatchObject({ xid: 7, error_type: "OFPET_BAD_REQUEST", error_code });
  });

  test("an error is not answered with an error", async () => {
    const { peer } = await connected();
    peer.send(bytes("04 01 0009 00000007 00"), { type: "OFPT_ECHO_REQUEST", xid: 8 });
    await peer.get("OFPT_ECHO_REPLY");
    expect(peer.received.some((m) => m.type === "OFPT_ERROR")).toBe(false);
  });

  test("what ofproto refuses is answered with its error", async () => {
    const { peer, ofproto } = await connected();
    peer.send({ type: "OFPT_FLOW_MOD", xid: 3, command: "OFPFC_ADD", priority: 13 });
    const [error] = await peer.get("OFPT_ERROR");
    expect(error).toMatchObject({ error_type: "OFPET_FLOW_MOD_FAILED", error_code: "OFPFMFC_TABLE_FULL" });
    expect(ofproto.calls).toEqual([]);
  });

  test("§7.3.8: a barrier holds back what follows until all before it is in force", async () => {
    const { peer, ofproto } = await connected();
    const flow = (priority: number): OfMessageInit => ({
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_ADD",
      priority,
    });
    peer.send(flow(1), { type: "OFPT_BARRIER_REQUEST", xid: 1 }, flow(2), {
      type: "OFPT_ECHO_REQUEST",
      xid: 2,
    });
    while (ofproto.barriers.length === 0) await nextTurn();
    await nextTurn();
    expect(ofproto.calls).toEqual(["flow_mod 1"]);
    ofproto.barriers[0]!();
    await peer.get("OFPT_ECHO_REPLY");
    expect(ofproto.calls).toEqual(["flow_mod 1", "flow_mod 2"]);
    expect(peer.received.map((m) => m.type).slice(-2)).toEqual(["OFPT_BARRIER_REPLY", "OFPT_ECHO_REPLY"]);
  });

  test("§7.3.5: a reply that is too long for a message comes in several, in order, the last without the flag", async () => {
    const { peer, ofproto } = await connected();
    ofproto.entries = Array.from({ length: 3000 }, (_, n) => ({
      table_id: n % 254,
      active_count: n,
      lookup_count: 0n,
      matched_count: 0n,
    }));
    peer.send(
      { type: "OFPT_MULTIPART_REQUEST", xid: 4, body: { type: "OFPMP_TABLE" } },
      { type: "OFPT_ECHO_REQUEST" },
    );
    await peer.get("OFPT_ECHO_REPLY");
    const parts = await peer.get("OFPT_MULTIPART_REPLY", 2);
    expect(parts.map(({ flags }) => flags)).toEqual([1, 0]);
    const counts = parts.flatMap(({ body }) => (body.type === "OFPMP_TABLE" ? body.entries : []));
    expect(counts.map(({ active_count }) => active_count)).toEqual(Array.from({ length: 3000 }, (_, n) => n));
  });

  test("packets for a datapath that is far behind wait, and what else the connection asked after them; another's do not", async () => {
    const { ofproto, peer, connect } = await connected();
    const other = connect();
    other.peer.send(OUR_HELLO);
    let caughtUp = (): void => {};
    ofproto.behind = new Promise((resolve) => {
      caughtUp = resolve;
    });
    const packetOut = (in_port: number): OfMessageInit => ({
      type: "OFPT_PACKET_OUT",
      buffer_id: OFP_NO_BUFFER,
      in_port,
      actions: [],
      data: bytes("aa bb"),
    });
    peer.send(packetOut(1), packetOut(2), { type: "OFPT_ECHO_REQUEST" });
    other.peer.send(
      { type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: 5 },
      { type: "OFPT_ECHO_REQUEST" },
    );
    await other.peer.get("OFPT_ECHO_REPLY");
    expect(ofproto.calls).toEqual(["flow_mod 5"]);
    ofproto.behind = undefined;
    caughtUp();
    await peer.get("OFPT_ECHO_REPLY");
    expect(ofproto.calls.slice(1)).toEqual(["packet_out 1 aabb", "packet_out 2 aabb"]);
  });

  test("a flood from one does not keep another from being answered", async () => {
    const { peer, connect, ofproto } = await connected();
    const other = connect();
    other.peer.send(OUR_HELLO);
    await other.peer.get("OFPT_HELLO");
    const flow = encode({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: 1 });
    for (let n = 0; n < 200; n++) peer.send(...Array.from({ length: 100 }, () => flow));
    other.peer.send({ type: "OFPT_ECHO_REQUEST" });
    await other.peer.get("OFPT_ECHO_REPLY");
    expect(ofproto.calls.length).toBeLessThan(20_000);
  });
});

describe("roles", () => {
  test("§6.3.4: a new master makes a slave of the old one, who may change nothing", async () => {
    const { peer, agent, connect } = await connected();
    const second = connect();
    second.peer.send(OUR_HELLO);
    peer.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 1n });
    await peer.get("OFPT_ROLE_REPLY");
    second.peer.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 2n });
    const [reply] = await second.peer.get("OFPT_ROLE_REPLY");
    expect(reply).toMatchObject({ role: "OFPCR_ROLE_MASTER", generation_id: 2n });
    expect(agent.role).toBe("OFPCR_ROLE_SLAVE");
    peer.send({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD" });
    expect((await peer.get("OFPT_ERROR"))[0]).toMatchObject({ error_code: "OFPBRC_IS_SLAVE" });
    peer.send({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_MASTER", generation_id: 1n });
    expect((await peer.get("OFPT_ERROR", 2))[1]).toMatchObject({
      error_type: "OFPET_ROLE_REQUEST_FAILED",
      error_code: "OFPRRFC_STALE",
    });
  });

  test("§7.3.10: what SET_ASYNC says is what GET_ASYNC answers", async () => {
    const { peer } = await connected();
    const masks = { packet_in_mask: [7, 1], port_status_mask: [2, 3], flow_removed_mask: [4, 5] };
    peer.send({ type: "OFPT_SET_ASYNC", ...masks }, { type: "OFPT_GET_ASYNC_REQUEST", xid: 6 });
    expect((await peer.get("OFPT_GET_ASYNC_REPLY"))[0]).toMatchObject({ xid: 6, ...masks });
  });
});

describe("packet-ins", () => {
  const event = (max_len: number | undefined): PacketInEvent => ({
    reason: "OFPR_ACTION",
    table_id: 0,
    cookie: 5n,
    match: { in_port: 3 },
    data: new Uint8Array(200).fill(7),
    total_len: 200,
    max_len,
    controllerId: 0,
  });

  test("§7.2.5: OFPCML_NO_BUFFER brings the whole packet and no buffer", async () => {
    const { agent } = await connected();
    expect(packetInFor(event(0xffff), agent)).toMatchObject({
      buffer_id: OFP_NO_BUFFER,
      data: event(0).data,
    });
  });

  test("§6.1.2: a part of a packet comes with a buffer_id, by which it can be sent once", async () => {
    const { agent, peer, ofproto } = await connected();
    const message = packetInFor(event(64), agent) as MessageOf<"OFPT_PACKET_IN">;
    expect(message.data.length).toBe(64);
    expect(message.total_len).toBe(200);
    const out: OfMessageInit = {
      type: "OFPT_PACKET_OUT",
      buffer_id: message.buffer_id,
      in_port: 3,
      actions: [{ type: "OFPAT_OUTPUT", port: 1 }],
    };
    peer.send(out, out);
    expect((await peer.get("OFPT_ERROR"))[0]).toMatchObject({ error_code: "OFPBRC_BUFFER_EMPTY" });
    expect(ofproto.calls).toEqual([`packet_out 3 ${"07".repeat(200)}`]);
  });

  test("§7.3.4.1: a flow_mod with a buffer_id sends the packet through the tables", async () => {
    const { agent, peer, ofproto } = await connected();
    const { buffer_id } = packetInFor(event(64), agent) as MessageOf<"OFPT_PACKET_IN">;
    peer.send({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: 2, buffer_id });
    peer.send({ type: "OFPT_ECHO_REQUEST" });
    await peer.get("OFPT_ECHO_REPLY");
    expect(ofproto.calls).toEqual(["flow_mod 2", `packet_out 3 ${"07".repeat(200)}`]);
  });

  test("a service connection gets none before it has set miss_send_len", async () => {
    const { agent, peer } = await connected(true);
    expect(agent.wants("packet_in", "OFPR_ACTION")).toBe(false);
    peer.send({ type: "OFPT_SET_CONFIG", flags: 0, miss_send_len: 128 }, { type: "OFPT_ECHO_REQUEST" });
    await peer.get("OFPT_ECHO_REPLY");
    expect(agent.wants("packet_in", "OFPR_ACTION")).toBe(true);
  });

  test("a controller that does not read has a full queue, and the rest is dropped", async () => {
    const { agent, peer } = await connected();
    peer.pause();
    const big = { ...event(0xffff), data: new Uint8Array(1500), total_len: 1500 };
    for (let n = 0; n < 2000; n++) agent.packetIn(big);
    expect(agent.packetIns.backlog).toBe(100);
    expect(agent.packetIns.counters.dropped).toBeGreaterThan(1000);
    peer.resume();
    const kept = 2000 - agent.packetIns.counters.dropped;
    await peer.get("OFPT_PACKET_IN", kept);
    expect(agent.packetIns.backlog).toBe(0);
  });
});
