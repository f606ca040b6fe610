import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, encode } from "../codec.js";
import {
  formatActions,
  formatDuration,
  formatMatch,
  formatPortDesc,
  parseActions,
  parseFlow,
  parseGroup,
  parseMatch,
  parseMeter,
  parsePortDesc,
} from "./index.js";

/** What has no counterpart in the captured flows (test/unit/codec-laws.test.ts): refusals, names, warnings. */

describe("refusals are one line that names the word", () => {
  test.each([
    ["", "must specify an action"],
    ["in_port=1", "must specify an action"],
    ["nosuch=1,actions=drop", "unknown keyword nosuch"],
    ["priority=70000,actions=drop", "priority: 70000 is more than 65535"],
    ["priority,actions=drop", "field priority missing value"],
    ["tcp,tp_dst=x,actions=drop", 'tp_dst: "x" is not an integer'],
    ["dl_src=1,actions=drop", "1: invalid Ethernet address"],
    ["ip,nw_src=10.0.0.0/33,actions=drop", "10.0.0.0/33: network prefix bits not between 0 and 32"],
    ["in_port=p9,actions=drop", "p9 is not a port"],
    ["actions=nosuch", "unknown action nosuch"],
    ["actions=set_field:1->nosuch", "nosuch is not a valid OXM field name"],
    ["actions=set_field:1->eth_type", "eth_type is read-only"],
    [
      "actions=move:reg0[0..3]->reg1[0..4]",
      "reg0[0..3]->reg1[0..4]: source field is 4 bits wide but destination is 5 bits wide",
    ],
    ["actions=load:16->reg0[0..3]", "16->reg0[0..3]: value 16 does not fit into 4 bits"],
    [
      "actions=output:reg0[0..40]",
      "reg0[0..40]: ending bit 40 is not valid because field is only 32 bits wide",
    ],
    ["actions=clone(output:1", "(output:1: a parenthesis is not closed"],
    [
      "actions=goto_table:1,output:2",
      "invalid instruction ordering: apply_actions must appear before goto_table, for OpenFlow 1.1+ compatibility",
    ],
    ["cookie=1/1,actions=drop", "flow additions cannot use a cookie mask"],
  ])("%s", (text, message) => {
    expect(() => parseFlow(text)).toThrow(message);
  });
  test("del-flows cannot set a cookie", () => {
    expect(() => parseFlow("cookie=1", "delete")).toThrow(/cannot set cookie/);
  });
});

test("port names are asked for, and printed when asked", () => {
  const ports = { number: (name: string) => (name === "eth0" ? 7 : undefined), name: () => "eth0" };
  expect(parseMatch("in_port=eth0", ports)).toEqual({ in_port: 7 });
  expect(formatMatch({ in_port: 7 }, ports)).toBe("in_port=eth0");
  expect(formatMatch({ in_port: 0xfffffffe }, ports)).toBe("in_port=LOCAL");
});

test("a field that depends on a protocol the match lacks is left out, with a warning", () => {
  const warnings: string[] = [];
  expect(parseMatch("tp_dst=80", { warn: (line) => warnings.push(line) })).toEqual({});
  expect(parseMatch("tcp_dst=80", { warn: (line) => warnings.push(line) })).toEqual({});
  expect(warnings).toHaveLength(2);
});

test("a flow dumped can be fed back", () => {
  const flow = parseFlow(
    "cookie=0x5, duration=1.5s, table=3, n_packets=1, n_bytes=2, idle_age=3, priority=7,ip actions=drop",
  );
  expect(flow).toMatchObject({ table_id: 3, priority: 7, cookie: 5n, match: { eth_type: 0x0800 } });
});

test("mod-flows and del-flows have their own defaults", () => {
  expect(parseFlow("", "delete")).toMatchObject({ command: "OFPFC_DELETE", table_id: 0xff });
  expect(parseFlow("cookie=5/-1,out_port=3", "delete")).toMatchObject({
    cookie_mask: 0xffff_ffff_ffff_ffffn,
    out_port: 3,
  });
  expect(parseFlow("table=2,priority=9", "delete_strict")).toMatchObject({
    command: "OFPFC_DELETE_STRICT",
    priority: 9,
  });
  expect(parseFlow("actions=drop", "modify")).toMatchObject({ command: "OFPFC_MODIFY", table_id: 0 });
});

test("actions print as they are parsed", () => {
  for (const text of [
    "drop",
    "NORMAL",
    "output:1,CONTROLLER:65535",
    "clone(push_vlan:0x8100,output:2)",
    "pop_vlan,group:3",
  ]) {
    const actions = parseActions(text);
    const message = decode(encode({ type: "OFPT_PACKET_OUT", in_port: 1, actions }));
    expect(message.type === "OFPT_PACKET_OUT" && formatActions(message.actions)).toBe(text);
  }
});

test("groups and meters say what they lack", () => {
  expect(() => parseGroup("type=all")).toThrow("must specify a group_id");
  expect(() => parseGroup("group_id=1")).toThrow("must specify a type");
  expect(() => parseGroup("group_id=1,type=nosuch")).toThrow("invalid group type nosuch");
  expect(() => parseGroup("group_id=1,type=ff,bucket=output:1")).toThrow(/requires watch_port/);
  expect(parseGroup("", "delete")).toMatchObject({ command: "OFPGC_DELETE", group_id: 0xfffffffc });
  expect(() => parseMeter("meter=1,kbps")).toThrow("must specify bands");
  expect(() => parseMeter("meter=1,kbps,band=type=drop")).toThrow("band must have 'rate'");
  expect(() => parseMeter("kbps,band=type=drop,rate=1")).toThrow("must specify 'meter'");
  expect(parseMeter("meter=all", "delete")).toMatchObject({ command: "OFPMC_DELETE", meter_id: 0xffffffff });
});

const bits = fc.integer({ min: 0, max: 0xffff_ffff });
const kbps = fc.integer({ min: 0, max: 4_294_967 }).map((mbps) => mbps * 1000);
const portDesc = fc.record({
  port_no: fc.oneof(fc.integer({ min: 0, max: 0xfeff }), fc.constantFrom(0xffff_fffe)),
  hw_addr: fc.constant("02:00:00:00:0a:01"),
  name: fc.constantFrom("p1", "br-int", "a(b)", ""),
  config: bits,
  state: bits,
  curr: bits,
  advertised: bits,
  supported: bits,
  peer: bits,
  curr_speed: kbps,
  max_speed: kbps,
});

test("a port's description reads back as it was printed", () => {
  fc.assert(
    fc.property(portDesc, (port) => {
      expect(parsePortDesc(formatPortDesc(port))).toEqual(port);
    }),
  );
  const shown =
    " 1(p1): addr:AA:55:aa:55:00:01\n     config:     PORT_DOWN\n     state:      LINK_DOWN 0x80\n";
  expect(parsePortDesc(shown)).toMatchObject({ port_no: 1, name: "p1", config: 1, state: 0x81, curr: 0 });
});

test.each([
  ["1: addr:00", '"1: addr:00" is not PORT(NAME): addr:ADDRESS'],
  ["1(a): addr:00:00:00:00:00:01\n config: UP", "config: UP is not a name of a bit"],
  ["1(a): addr:00:00:00:00:00:01\n speed: 1", 'speed: "1" is not N Mbps now, N Mbps max'],
  ["1(a): addr:00:00:00:00:00:01\n color: 1", "unknown keyword color"],
])("a port that is not one is refused: %j", (text, message) => {
  expect(() => parsePortDesc(text)).toThrow(message);
});

test("durations have the decimals that they need", () => {
  expect([formatDuration(1, 0), formatDuration(1, 500_000_000), formatDuration(0, 1_500_000)]).toEqual([
    "1s",
    "1.500s",
    "0.0015s",
  ]);
});

test.each([
  ["ip,nw_src=1.2.3.400,actions=2", "nw_src: 1.2.3.400: invalid IP address"],
  ["dl_src=zz,actions=2", "dl_src: zz: invalid Ethernet address"],
  ["in_port=nosuch,actions=2", "in_port: nosuch is not a port"],
  ["tcp,tp_dst=70000,actions=2", "tp_dst: 70000 is more than 65535"],
  ["priority=x,actions=2", 'priority: "x" is not an integer'],
  ["ip,actions=set_field:zz->ip_dst", "nw_dst: zz: invalid IP address"],
  ["actions=output:nosuch", "output: nosuch is not a port"],
  ["actions=resubmit(nosuch,1)", "resubmit: nosuch is not a port"],
  ["actions=group:x", 'group: "x" is not an integer'],
  ["foo=1,actions=2", "unknown keyword foo"],
  ["actions=foo", "unknown action foo"],
])("%s is refused by the name of what is wrong", (flow, message) => {
  expect(() => parseFlow(flow, "add")).toThrow(message);
});
