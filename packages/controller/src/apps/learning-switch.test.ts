import { formatPriorityAndMatch, type MessageOf, OFP_NO_BUFFER, OFPP } from "@sluice/openflow-codec";
import { VirtualClock } from "@sluice/runtime";
import { ETH_TYPE, ethernet, ipv4, LLDP_MAC, macToNumber, tcp } from "@sluice/wire";
import { beforeEach, describe, expect, test } from "vitest";
import { FakeSwitch } from "../testing/fake-switch.js";
import { LEARNED_COOKIE, type LearningSwitchOptions, learningSwitch, onPacketIn } from "./learning-switch.js";
import { MacTable } from "./mac-table.js";

const [A, B, C] = ["00:00:00:00:00:0a", "00:00:00:00:00:0b", "00:00:00:00:00:0c"];
const frame = (src: string, dst?: string, vid?: number): Uint8Array =>
  ethernet({ src, dst, vlans: vid === undefined ? [] : [{ vid }], eth_type: 0x88b5 }, new Uint8Array(46));

let clock: VirtualClock;
let sw: FakeSwitch;
const start = (options: LearningSwitchOptions = {}): FakeSwitch =>
  new FakeSwitch([learningSwitch({ clock, ...options })]);
beforeEach(() => {
  clock = new VirtualClock();
  sw = start();
});
const tableWith = (host: string, port: number): MacTable => {
  const table = new MacTable();
  table.learn(-1, macToNumber(host), port, 0);
  return table;
};
const packetInOf = (data: Uint8Array, in_port: number): MessageOf<"OFPT_PACKET_IN"> => ({
  ...{ type: "OFPT_PACKET_IN", xid: 0, buffer_id: OFP_NO_BUFFER, total_len: data.length },
  ...{ reason: "OFPR_NO_MATCH", table_id: 0, cookie: 0n, match: { in_port }, data },
});
const learned = () => sw.flows.filter((flow) => flow.cookie === LEARNED_COOKIE);

/** A at port 1 and B at port 2 have talked. */
function conversation(vid?: number): void {
  expect(sw.receive(1, frame(A, B, vid))).toEqual([2, 3, 4]);
  expect(sw.receive(2, frame(B, A, vid))).toEqual([1]);
  expect(sw.receive(1, frame(A, B, vid))).toEqual([2]);
}

test("what is unknown is flooded, without a flow", () => {
  expect(sw.receive(1, frame(A, B))).toEqual([2, 3, 4]);
  expect(sw.receive(1, frame(A))).toEqual([2, 3, 4]);
  expect(sw.receive(1, frame(A, "01:00:5e:00:00:01"))).toEqual([2, 3, 4]);
  expect(learned()).toEqual([]);
});

test("a conversation gets a flow each way, and then passes without the controller", () => {
  conversation();
  const before = sw.packetIns;
  expect(sw.receive(1, frame(A, B))).toEqual([2]);
  expect(sw.receive(2, frame(B, A))).toEqual([1]);
  expect(sw.packetIns).toBe(before);
  expect(learned().map(({ match, idle_timeout, priority }) => ({ match, idle_timeout, priority }))).toEqual([
    { match: { in_port: 2, eth_dst: A, eth_src: B, vlan_vid: 0 }, idle_timeout: 60, priority: 1 },
    { match: { in_port: 1, eth_dst: B, eth_src: A, vlan_vid: 0 }, idle_timeout: 60, priority: 1 },
  ]);
});

test("who says where hosts are saves the packets of their first talk", async () => {
  const app = learningSwitch({ clock });
  sw = new FakeSwitch([app]);
  const [show, teach] = app.routes;
  const ask = (route = show, body?: object, dpid = sw.id) =>
    route!.handle({ params: { dpid }, query: {}, body });
  expect(ask()).toEqual({});
  expect(await ask(teach, { mac: A, port: 1 })).toEqual({ [A]: 1 });
  expect(learned()).toEqual([]);
  expect(await ask(teach, { mac: B, port: "2" })).toEqual({ [A]: 1, [B]: 2 });
  expect(learned()).toHaveLength(2);
  expect([sw.receive(1, frame(A, B)), sw.receive(2, frame(B, A))]).toEqual([[2], [1]]);
  expect(sw.packetIns).toBe(0);
  // It moves: what others send to it goes there at once.
  expect(await ask(teach, { mac: B, port: 3 })).toEqual({ [A]: 1, [B]: 3 });
  expect([sw.receive(1, frame(A, B)), sw.receive(3, frame(B, A))]).toEqual([[3], [1]]);
  expect(sw.packetIns).toBe(0);
  clock.advance(300_001);
  expect(ask()).toEqual({});
  expect(() => ask(show, undefined, "00000000000000ff")).toThrow("no switch with dpid 00000000000000ff");
  await expect(ask(teach, { mac: "01:00:5e:00:00:01", port: 1 })).rejects.toThrow("mac is");
  await expect(ask(teach, { mac: A, port: 0xffffff01 })).rejects.toThrow("port");
});

test("the flow is sent before the packet, so that the next packet finds it", () => {
  conversation();
  expect(sw.sent.slice(-2).map((message) => message.type)).toEqual(["OFPT_FLOW_MOD", "OFPT_PACKET_OUT"]);
});

describe("a host that moves", () => {
  test("is followed by the traffic to it at once, without a packet-in", () => {
    conversation();
    expect(sw.receive(3, frame(B, C))).toEqual([1, 2, 4]);
    const before = sw.packetIns;
    expect(sw.receive(1, frame(A, B))).toEqual([3]);
    expect(sw.packetIns).toBe(before);
  });

  test("is noticed again when it moves back", () => {
    conversation();
    expect(sw.receive(3, frame(B, A))).toEqual([1]);
    expect(sw.receive(1, frame(A, B))).toEqual([3]);
    expect(sw.receive(2, frame(B, A))).toEqual([1]);
    expect(sw.receive(1, frame(A, B))).toEqual([2]);
  });

  test("leaves no flow of its old port behind", () => {
    conversation();
    sw.receive(3, frame(B, A));
    expect(learned().filter((flow) => flow.match.in_port === 2)).toEqual([]);
  });

  test("to the port of its peer stays out of it", () => {
    conversation();
    sw.receive(1, frame(B));
    expect(sw.receive(1, frame(A, B))).toEqual([]);
  });
});

test("VLANs do not know each other's hosts", () => {
  conversation(10);
  expect(sw.receive(1, frame(A, B, 20))).toEqual([2, 3, 4]);
  expect(sw.receive(1, frame(A, B))).toEqual([2, 3, 4]);
  expect(sw.receive(3, frame(B, A, 20))).toEqual([1]);
  expect(sw.receive(1, frame(A, B, 10))).toEqual([2]);
  expect(sw.receive(1, frame(A, B, 20))).toEqual([3]);
});

test("a port that goes down is forgotten with the flows from and to it", () => {
  conversation();
  sw.setPort(2, false);
  expect(learned()).toEqual([]);
  expect(sw.receive(1, frame(A, B))).toEqual([3, 4]);
  sw.setPort(2, true);
  expect(sw.receive(2, frame(B, A))).toEqual([1]);
});

test.each([
  ["LLDP", { dst: LLDP_MAC, eth_type: ETH_TYPE.LLDP }],
  ["LLDP to another address", { dst: "ff:ff:ff:ff:ff:ff", eth_type: ETH_TYPE.LLDP }],
  ["spanning tree", { dst: "01:80:c2:00:00:00", eth_type: 38 }],
])("%s is not forwarded", (_name, head) => {
  expect(sw.receive(1, ethernet({ src: A, ...head }, new Uint8Array(46)))).toEqual([]);
});

test("a group address as the source is not learned, a frame cut short does no harm", () => {
  sw.receive(1, frame("01:00:5e:00:00:01", B));
  expect(sw.receive(2, frame(B, "01:00:5e:00:00:01"))).toEqual([1, 3, 4]);
  expect(sw.receive(1, new Uint8Array(13))).toEqual([]);
});

test("two hosts behind one port are left to themselves", () => {
  sw.receive(1, frame(A));
  sw.receive(1, frame(B));
  expect(sw.receive(1, frame(A, B))).toEqual([]);
  expect(learned()).toHaveLength(1);
});

test("a host silent for 300 s is forgotten", () => {
  sw.receive(1, frame(A));
  clock.advance(300_000);
  expect(sw.receive(2, frame(B, A))).toEqual([1]);
  clock.advance(1);
  expect(sw.receive(3, frame(C, A))).toEqual([1, 2, 4]);
});

test("a switch that comes back starts without learned flows, and with all others", () => {
  conversation();
  sw.send({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", priority: 9, match: { in_port: 4 } });
  sw.reconnect();
  expect(sw.flows.map((flow) => flow.priority)).toEqual([9, 0]);
  conversation();
});

test("without flows every packet passes through the controller", () => {
  sw = start({ noFlow: true });
  conversation();
  expect(learned()).toEqual([]);
  sw.receive(3, frame(B, A));
  expect(sw.receive(1, frame(A, B))).toEqual([3]);
  expect(sw.sent.filter((message) => message.type === "OFPT_FLOW_MOD")).toHaveLength(2);
});

test("max-idle 0 means flows that stay", () => {
  sw = start({ maxIdle: 0 });
  conversation();
  expect(learned().map((flow) => flow.idle_timeout)).toEqual([0, 0]);
});

test("a packet that the switch has buffered goes out by the flow itself", () => {
  const app = learningSwitch({ clock });
  sw = new FakeSwitch([app]);
  const packetIn = (in_port: number, data: Uint8Array) =>
    app.events.packet_in!(sw, {
      type: "OFPT_PACKET_IN",
      xid: 0,
      buffer_id: 7,
      total_len: data.length,
      reason: "OFPR_NO_MATCH",
      table_id: 0,
      cookie: 0n,
      match: { in_port },
      data,
    });
  expect(packetIn(1, frame(A, B))).toMatchObject([
    { type: "OFPT_PACKET_OUT", buffer_id: 7, actions: [{ port: OFPP.FLOOD }] },
  ]);
  expect(packetIn(2, frame(B, A))).toMatchObject([{ type: "OFPT_FLOW_MOD", buffer_id: 7 }]);
});

describe("the options of ovs-testcontroller", () => {
  const syn = (dst_port = 80) =>
    ethernet({ src: A, dst: B }, ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, tcp({ src_port: 9, dst_port })));
  const flowFor = (options: LearningSwitchOptions, packet = syn()): string => {
    sw = start(options);
    sw.receive(2, frame(B, A));
    sw.receive(1, packet);
    return formatPriorityAndMatch(1, learned()[0]!.match).replace("priority=1,", "");
  };

  test.each([
    [0x2820f0, "in_port=1,vlan_tci=0x0000/0x1fff,dl_src=00:00:00:00:00:0a,dl_dst=00:00:00:00:00:0b"],
    [0x2000ec, "ip,in_port=1,vlan_tci=0x0000/0x1fff,nw_src=10.0.0.1,nw_dst=10.0.0.2"],
    [0x2008ef, "ip,nw_src=10.0.0.0/24,nw_dst=10.0.0.2"],
    [0x3fffff, "priority=1"],
  ])("--wildcards=%i leaves fields out of flows", (wildcards, match) => {
    expect(flowFor({ wildcards })).toBe(match);
  });

  test("--wildcards=0 matches every field, so another connection gets a flow of its own", () => {
    const match = flowFor({ wildcards: 0 });
    expect(match).toMatch(/^tcp,in_port=1,vlan_tci=0x0000\/0x1fff,.*nw_tos=0,tp_src=9,tp_dst=80$/);
    sw.receive(1, syn(81));
    expect(learned()).toHaveLength(2);
    expect(sw.receive(1, syn(80))).toEqual([2]);
    expect(sw.packetIns).toBe(3);
  });

  test("where flows are not by host, a move takes all of them", () => {
    flowFor({ wildcards: 0x2000ec });
    sw.receive(3, frame(A, B));
    sw.receive(2, frame(B, A));
    expect(learned().every((flow) => !("ipv4_src" in flow.match))).toBe(true);
  });

  test("--normal lets the switch forward what is not flooded", () => {
    const answer = onPacketIn(tableWith(B, 2), packetInOf(frame(A, B), 1), 0, { normal: true });
    const normal = [expect.objectContaining({ type: "OFPAT_OUTPUT", port: OFPP.NORMAL })];
    expect(answer).toEqual([
      expect.objectContaining({ instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: normal }] }),
      expect.objectContaining({ type: "OFPT_PACKET_OUT", actions: normal }),
    ]);
  });

  test("--queue, and --port-queue for what came by a port", () => {
    const options = { queue: 7, portQueues: { p2: 9 } };
    sw = start(options);
    sw.receive(2, frame(B, A));
    expect(sw.deliver(1, frame(A, B)).map(({ port, queue_id }) => [port, queue_id])).toEqual([[2, 7]]);
    expect(sw.deliver(2, frame(B, A)).map(({ port, queue_id }) => [port, queue_id])).toEqual([[1, 9]]);
    expect(sw.deliver(2, frame(B, A)).map(({ port, queue_id }) => [port, queue_id])).toEqual([[1, 9]]);
  });
});

test("when it is taken away, its flows go with it", () => {
  conversation();
  expect(learned()).not.toEqual([]);
  sw.setApps([]);
  expect(learned()).toEqual([]);
});
