import {
  OFPPS,
  type OfMessageInit,
  type Port,
  parseActions,
  parseFlow,
  parseGroup,
} from "@sluice/openflow-codec";
import { arp, ethernet, icmpv4, ipv4, parseFrame, tcp } from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { FakeSwitch } from "../testing/fake-switch.js";
import { compareTables, fetchTables } from "./fetch.js";
import { frameBytes, packetFromFrame, packetFromMatch } from "./packet.js";
import { type NetworkModel, tracePath } from "./path.js";
import { asReceived, SwitchTables } from "./switch-tables.js";
import { type SwitchTrace, tracePacketOut, traceSwitch } from "./trace.js";

const [A, B, R] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"];
const port = (port_no: number, state = 0): Port => ({
  ...{ port_no, hw_addr: A, name: `p${port_no}`, config: 0, state, curr: 0, advertised: 0 },
  ...{ supported: 0, peer: 0, curr_speed: 0, max_speed: 0 },
});
const ports = (...numbers: number[]) => new Map(numbers.map((number) => [number, port(number)]));

/** Tables with these groups and flows, in ovs-ofctl's syntax. */
function tablesOf(flows: readonly string[], groups: readonly string[] = []): SwitchTables {
  const tables = new SwitchTables();
  const send = (message: OfMessageInit) => expect(tables.apply(asReceived(message))).toBeUndefined();
  for (const text of groups) send(parseGroup(text, "add") as OfMessageInit);
  for (const text of flows) send(parseFlow(text) as OfMessageInit);
  return tables;
}

const syn = ethernet(
  { src: A, dst: B },
  ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, tcp({ src_port: 1000, dst_port: 80 })),
);
const trace = (
  tables: SwitchTables,
  frame: Uint8Array = syn,
  inPort = 1,
  known = ports(1, 2, 3),
): SwitchTrace => traceSwitch({ tables, ports: known }, packetFromFrame(frame)!, inPort);
const portsOf = ({ outputs }: SwitchTrace): number[] => outputs.map((output) => output.port);
/** The frame of the first output, read again. */
const out = (result: SwitchTrace) =>
  parseFrame(frameBytes(result.outputs[0]!.packet)!) as never as {
    dst: string;
    vlans: { vid: number; pcp: number }[];
    payload: {
      dst: string;
      ttl: number;
      checksum?: number;
      payload: { dst_port: number; checksum?: number };
    };
  };

describe("matching", () => {
  test.each([
    ["tcp,tp_dst=80", true],
    ["tcp,tp_dst=0x50/0xfff0", true],
    ["udp,tp_dst=80", false],
    ["ip,nw_dst=10.0.0.0/24", true],
    ["ip,nw_dst=10.0.1.0/24", false],
    ["in_port=1,dl_dst=02:00:00:00:00:00/ff:ff:ff:ff:ff:00", true],
    ["in_port=2", false],
    ["vlan_tci=0x0000/0x1000", true],
    ["dl_vlan=5", false],
    ["arp", false],
    ["ipv6", false],
    ["ip,nw_proto=6,nw_ecn=0,nw_tos=0", true],
  ])("%s", (match, isTaken) => {
    expect(portsOf(trace(tablesOf([`${match},actions=2`])))).toEqual(isTaken ? [2] : []);
  });

  test("of tags, ARP, and a packet of which only headers are said", () => {
    const tagged = ethernet({ src: A, dst: B, vlans: [{ vid: 5, pcp: 3 }] }, new Uint8Array(46));
    expect(portsOf(trace(tablesOf(["dl_vlan=5,dl_vlan_pcp=3,actions=2"]), tagged))).toEqual([2]);
    const asked = ethernet({ src: A }, arp({ op: 1, sha: A, spa: "10.0.0.1", tpa: "10.0.0.2" }));
    expect(portsOf(trace(tablesOf(["arp,arp_tpa=10.0.0.2,arp_op=1,actions=3"]), asked))).toEqual([3]);
    const said = packetFromMatch({ eth_type: 0x86dd, ipv6_dst: "fe80::1" });
    const tables = tablesOf(["ipv6,ipv6_dst=fe80::/10,actions=2"]);
    expect(portsOf(traceSwitch({ tables, ports: ports(1, 2) }, said, 1))).toEqual([2]);
  });
});

describe("flow_mod", () => {
  const flows = (tables: SwitchTables) =>
    tables.flows.map(({ priority, table_id }) => `${table_id}:${priority}`);
  const apply = (
    tables: SwitchTables,
    text: string,
    command: "add" | "delete" | "delete_strict" | "modify",
  ) => tables.apply(asReceived(parseFlow(text, command) as OfMessageInit));

  test("adds in place of the same match and priority, and finds the highest priority first", () => {
    const tables = tablesOf([
      "priority=5,ip,actions=2",
      "priority=7,ip,actions=3",
      "priority=5,ip,actions=1",
    ]);
    expect(flows(tables)).toEqual(["0:7", "0:5"]);
    expect(portsOf(trace(tables))).toEqual([3]);
  });

  test("deletes loosely, strictly, by cookie, by output, in all tables", () => {
    const all = [
      "priority=5,ip,actions=2",
      "priority=6,tcp,cookie=0x12,actions=3",
      "table=4,arp,actions=group:9",
    ];
    const made = () => tablesOf(all, ["group_id=9,type=all,bucket=output:1"]);
    const after = (text: string, command: "delete" | "delete_strict") => {
      const tables = made();
      apply(tables, text, command);
      return flows(tables);
    };
    expect(after("ip", "delete")).toEqual(["4:32768"]);
    expect(after("priority=5,ip", "delete_strict")).toEqual(["0:6", "4:32768"]);
    expect(after("cookie=0x10/0xf0", "delete")).toEqual(["0:5", "4:32768"]);
    expect(after("out_port=2", "delete")).toEqual(["0:6", "4:32768"]);
    expect(after("out_group=9", "delete")).toEqual(["0:6", "0:5"]);
    expect(after("", "delete")).toEqual([]);
    expect(after("table=4", "delete")).toEqual(["0:6", "0:5"]);
  });

  test("modifies what it covers, and refuses what a switch refuses", () => {
    const tables = tablesOf(["tcp,tp_dst=80,actions=2", "udp,actions=2"]);
    apply(tables, "tcp,actions=3", "modify");
    expect(portsOf(trace(tables))).toEqual([3]);
    expect(apply(tables, "ip,actions=group:7", "add")).toEqual(["OFPET_BAD_ACTION", "OFPBAC_BAD_OUT_GROUP"]);
    expect(apply(tables, "check_overlap,ip,actions=1", "add")).toEqual([
      "OFPET_FLOW_MOD_FAILED",
      "OFPFMFC_OVERLAP",
    ]);
    expect(apply(tables, "ip,actions=meter:3,1", "add")).toEqual([
      "OFPET_METER_MOD_FAILED",
      "OFPMMFC_UNKNOWN_METER",
    ]);
    expect(apply(tables, "table=3,ip,actions=goto_table:2", "add")?.[1]).toBe("OFPBIC_BAD_TABLE_ID");
    expect(tables.flows).toHaveLength(2);
  });
});

describe("the pipeline", () => {
  test("goes from table to table with metadata and the action set, step by step", () => {
    const tables = tablesOf([
      "table=0,ip,actions=write_actions(set_field:02:00:00:00:00:0c->eth_dst,output:3),write_metadata:0x7/0xff,goto_table:2",
      "table=2,metadata=0x7/0x7,tcp,actions=write_actions(output:2),goto_table:5",
      "table=5,actions=clear_actions",
    ]);
    const result = trace(tables);
    expect(result.steps.map(({ table_id }) => table_id)).toEqual([0, 2, 5]);
    expect(result.drops).toEqual([`table 5: the flow "table=5, actions=clear_actions" sends it nowhere`]);
    tables.apply(
      asReceived(parseFlow("table=5,priority=40000,ip,actions=output:1,output:3") as OfMessageInit),
    );
    expect(portsOf(trace(tables))).toEqual([3, 2]);
    expect(out({ ...trace(tables), outputs: trace(tables).outputs.slice(1) }).dst).toBe(R);
    expect(trace(tables).drops).toEqual(["output to port 1, by which it came (IN_PORT would send it back)"]);
  });

  test("rewrites addresses, ports, TTL and tags, with right checksums", () => {
    const tables = tablesOf([
      "tcp,actions=set_field:02:00:00:00:00:0c->eth_dst,set_field:10.9.9.9->ip_dst,set_field:8080->tcp_dst," +
        "dec_ttl,push_vlan:0x8100,set_field:4103->vlan_vid,set_field:2->vlan_pcp,set_queue:4,output:2",
    ]);
    const result = trace(tables);
    expect(out(result)).toMatchObject({
      dst: R,
      vlans: [{ vid: 7, pcp: 2 }],
      payload: { dst: "10.9.9.9", ttl: 63, payload: { dst_port: 8080 } },
    });
    expect([out(result).payload.checksum, out(result).payload.payload.checksum]).toEqual([
      undefined,
      undefined,
    ]);
    expect(result.outputs[0]!.queue_id).toBe(4);
    const back = trace(
      tablesOf(["dl_vlan=7,actions=pop_vlan,in_port"]),
      frameBytes(result.outputs[0]!.packet),
    );
    expect([portsOf(back), out(back).vlans]).toEqual([[1], []]);
  });

  test("labels are pushed, matched behind, and popped", () => {
    const tables = tablesOf([
      "tcp,actions=push_mpls:0x8847,set_field:99->mpls_label,goto_table:1",
      "table=1,mpls,mpls_label=99,mpls_bos=1,actions=pop_mpls:0x0800,goto_table:2",
      "table=2,tcp,tp_dst=80,actions=2",
    ]);
    expect(portsOf(trace(tables))).toEqual([2]);
  });

  test("a TTL that is used up ends the packet", () => {
    const dying = ethernet(
      { src: A, dst: B },
      ipv4({ src: "10.0.0.1", dst: "10.0.0.2", ttl: 1 }, icmpv4({ type: 8 })),
    );
    const result = trace(tablesOf(["ip,actions=dec_ttl,2"]), dying);
    expect([portsOf(result), result.drops, result.packetIns[0]!.reason]).toEqual([
      [],
      ["table 0: the TTL is used up"],
      "OFPR_INVALID_TTL",
    ]);
  });

  test("says for every packet that ends why", () => {
    expect(trace(tablesOf([])).drops).toEqual(["table 0: no flow takes it"]);
    expect(trace(tablesOf(["tcp,actions=drop"])).drops).toEqual([
      `table 0: the flow "table=0,tcp actions=drop" sends it nowhere`,
    ]);
    expect(trace(tablesOf(["ip,actions=9"])).drops).toEqual(["output to port 9, which does not exist"]);
    const down = new Map([...ports(1), [2, port(2, OFPPS.LINK_DOWN)] as const]);
    expect(trace(tablesOf(["ip,actions=2"]), syn, 1, down).drops).toEqual([
      "output to port 2, which has no link",
    ]);
    expect(trace(tablesOf(["ip,actions=NORMAL"])).unknown[0]).toMatch(/^output to NORMAL/);
    expect(trace(tablesOf(["ip,actions=resubmit(,3)"])).unknown).toHaveLength(1);
  });

  test("a table-miss flow and an action say different reasons to the controller", () => {
    const miss = trace(tablesOf(["priority=0,cookie=5,actions=CONTROLLER"])).packetIns[0]!;
    expect([miss.reason, miss.table_id, miss.cookie]).toEqual(["OFPR_NO_MATCH", 0, 5n]);
    expect(trace(tablesOf(["ip,actions=CONTROLLER"])).packetIns[0]!.reason).toBe("OFPR_ACTION");
  });

  test("a packet-out may go through the tables", () => {
    const world = { tables: tablesOf(["in_port=2,actions=3"]), ports: ports(1, 2, 3) };
    const { actions } = asReceived({
      type: "OFPT_PACKET_OUT",
      in_port: 2,
      actions: parseActions("TABLE"),
    }) as never as { actions: never[] };
    expect(portsOf(tracePacketOut(world, packetFromFrame(syn)!, 2, actions))).toEqual([3]);
  });
});

describe("groups", () => {
  const bucket = (n: number) => `bucket=watch_port:${n},output:${n}`;

  test("all: a copy for each bucket, which do not see each other's changes", () => {
    const group = "group_id=1,type=all,bucket=set_field:02:00:00:00:00:0c->eth_dst,output:2,bucket=output:3";
    const result = trace(tablesOf(["ip,actions=group:1"], [group]));
    expect(portsOf(result)).toEqual([2, 3]);
    expect(out(result).dst).toBe(R);
    expect(out({ ...result, outputs: [result.outputs[1]!] }).dst).toBe(B);
  });

  test("fast failover: the first bucket whose port lives", () => {
    const tables = tablesOf(["ip,actions=group:1"], [`group_id=1,type=ff,${bucket(2)},${bucket(3)}`]);
    expect(portsOf(trace(tables))).toEqual([2]);
    const down = new Map([...ports(1, 3), [2, port(2, OFPPS.LINK_DOWN)] as const]);
    expect(portsOf(trace(tables, syn, 1, down))).toEqual([3]);
    expect(trace(tables, syn, 1, ports(1)).drops).toEqual(["group 1 (OFPGT_FF) has no live bucket"]);
  });

  test("select: each live bucket is followed and marked, or one is chosen", () => {
    const group =
      "group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:1,output:3,bucket=weight:0,output:1";
    const tables = tablesOf(["ip,actions=group:1"], [group]);
    expect(trace(tables).outputs.map(({ port: to, oneOf }) => [to, oneOf])).toEqual([
      [2, 1],
      [3, 1],
    ]);
    const world = {
      tables,
      ports: ports(1, 2, 3),
      select: (_: unknown, live: readonly unknown[]) => live[1],
    };
    expect(portsOf(traceSwitch(world as never, packetFromFrame(syn)!, 1))).toEqual([3]);
  });

  test("one that is deleted takes its flows along", () => {
    const tables = tablesOf(
      ["ip,actions=group:1", "arp,actions=2"],
      ["group_id=1,type=indirect,bucket=output:2"],
    );
    tables.apply(asReceived({ type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_type: 0, group_id: 1 }));
    expect(tables.flows).toHaveLength(1);
  });
});

describe("a path across switches", () => {
  /** 1 - 2 - 3 in a line by ports 2 and 1, hosts at port 3. */
  const network = (flows: Readonly<Record<number, readonly string[]>>, ring = false): NetworkModel => {
    const switches = new Map(
      Object.entries(flows).map(([dpid, texts]) => [
        BigInt(dpid),
        { tables: tablesOf(texts), ports: ports(1, 2, 3) },
      ]),
    );
    return {
      switch: (dpid) => switches.get(dpid),
      peer: ({ dpid, port_no }) => {
        if (port_no === 2 && (dpid < 3n || ring)) return { dpid: (dpid % 3n) + 1n, port_no: 1 };
        if (port_no === 1 && (dpid > 1n || ring)) return { dpid: dpid > 1n ? dpid - 1n : 3n, port_no: 2 };
        return undefined;
      },
    };
  };
  const from = { dpid: 1n, port_no: 3 };
  const packet = packetFromFrame(syn)!;

  test("is followed to the host's port, rewritten on the way", () => {
    const path = tracePath(
      network({
        1: ["ip,actions=2"],
        2: ["ip,actions=set_field:02:00:00:00:00:0c->eth_dst,2"],
        3: ["dl_dst=02:00:00:00:00:0c,actions=3"],
      }),
      from,
      packet,
    );
    expect(path.delivered.map(({ dpid, port_no }) => [dpid, port_no])).toEqual([[3n, 3]]);
    expect(path.drops).toEqual([]);
    expect(path.start.next[0]!.hop!.next[0]!.hop!.at).toEqual({ dpid: 3n, port_no: 1 });
  });

  test("ends with a reason and its place: a miss, an ACL two switches on, a controller", () => {
    const path = tracePath(
      network({
        1: ["ip,actions=2"],
        2: ["ip,actions=2,CONTROLLER"],
        3: ["priority=9,tcp,tp_dst=80,actions=drop"],
      }),
      from,
      packet,
    );
    expect(path.drops).toEqual([
      {
        dpid: 3n,
        port_no: 1,
        reason: expect.stringMatching(/^table 0: the flow .*tp_dst=80.* sends it nowhere$/),
      },
    ]);
    expect(path.packetIns).toEqual([{ dpid: 2n, port_no: 1, table_id: 0, reason: "OFPR_ACTION" }]);
  });

  test("that goes round is a loop, said once; one that floods is bounded", () => {
    const round = { 1: ["ip,actions=2"], 2: ["ip,actions=2"], 3: ["ip,actions=2"] };
    expect(tracePath(network(round, true), from, packet).drops.map(({ reason }) => reason)).toEqual([
      "loop: it comes back, unchanged, to port 1 of switch 0000000000000002",
    ]);
    const flood = { 1: ["actions=FLOOD"], 2: ["actions=FLOOD"], 3: ["actions=FLOOD"] };
    const storm = tracePath(network(flood, true), from, packet, { maxHops: 20 });
    expect(storm.drops.some(({ reason }) => reason.startsWith("loop"))).toBe(true);
    expect(storm.delivered.length).toBeGreaterThanOrEqual(2);
  });

  test("from a switch that is not there is an error", () => {
    expect(() => tracePath(network({}), from, packet)).toThrow("there is no switch 0000000000000001");
  });
});

test("a switch's own list makes the same tables; what differs from a copy is told", async () => {
  const sw = new FakeSwitch([]);
  const send = (message: OfMessageInit) => sw.send(message);
  send(parseGroup("group_id=1,type=ff,bucket=watch_port:2,output:2", "add") as OfMessageInit);
  for (const text of ["priority=5,tcp,actions=group:1", "table=2,ip,nw_dst=10.0.0.0/8,actions=3"])
    send(parseFlow(text) as OfMessageInit);
  const listed = await fetchTables(sw);
  expect(portsOf(traceSwitch({ tables: listed, ports: sw.ports }, packetFromFrame(syn)!, 1))).toEqual([2]);
  expect(compareTables(sw.tables, listed)).toEqual({
    missing: [],
    surplus: [],
    changed: [],
    groups: [],
    meters: [],
  });
  send(parseFlow("priority=5,tcp,actions=3") as OfMessageInit);
  const { changed, ...rest } = compareTables(sw.tables, listed);
  expect([changed.map(({ priority }) => priority), rest]).toEqual([
    [5],
    { missing: [], surplus: [], groups: [], meters: [] },
  ]);
  send(parseFlow("table=2", "delete") as OfMessageInit);
  send(parseFlow("arp,actions=3") as OfMessageInit);
  send(parseGroup("group_id=1,type=ff,bucket=watch_port:3,output:3", "modify") as OfMessageInit);
  const { missing, surplus, groups } = compareTables(sw.tables, listed);
  expect(groups).toEqual([1]);
  expect([missing.map(({ table_id }) => table_id), surplus.map(({ match }) => match)]).toEqual([
    [2],
    [{ eth_type: 0x0806 }],
  ]);
});
