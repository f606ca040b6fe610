import { expect, test } from "vitest";
import type { OdpAction } from "./actions.js";
import { parseOdpFlow, parseOdpMatch } from "./odp-parse.js";
import { parseOdpActions } from "./odp-parse-actions.js";
import { formatOdpActions, formatOdpMatch, type OdpMatch, type OdpSubject } from "./odp-text.js";

const ANY = "recirc_id(0),in_port(1),packet_type(ns=0,id=0)";

test.each<[OdpMatch, string]>([
  [{ in_port: 1, recirc_id: 0 }, ANY],
  [{ in_port: 7, recirc_id: 0x1f }, "recirc_id(0x1f),in_port(7),packet_type(ns=0,id=0)"],
  [
    { in_port: 1, eth_src: "00:00:00:00:00:01", eth_type: 0x0806, arp_op: 1, arp_spa: "10.0.0.1" },
    `${ANY},eth(src=00:00:00:00:00:01),eth_type(0x0806),arp(sip=10.0.0.1,op=1)`,
  ],
  [
    {
      in_port: 1,
      eth_type: 0x0800,
      ipv4_dst: { value: "10.0.0.0", mask: "255.255.255.0" },
      ip_proto: 6,
      ip_dscp: 8,
      nw_frag: 0,
      tcp_dst: { value: 80, mask: 0xfff0 },
      tcp_flags: { value: 2, mask: 2 },
    },
    `${ANY},eth_type(0x0800),ipv4(dst=10.0.0.0/255.255.255.0,proto=6,tos=0x20/0xfc,frag=no),tcp(dst=80/0xfff0),tcp_flags(+syn)`,
  ],
  [
    { in_port: 1, vlan_vid: 0x1005, vlan_pcp: 3, eth_type: 0x0800, ip_proto: 17, udp_src: 53 },
    `${ANY},eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(proto=17),udp(src=53))`,
  ],
  // No tag: that it is looked at shows in no word, as in Open vSwitch.
  [{ in_port: 1, vlan_vid: 0, eth_type: 0x1234 }, `${ANY},eth_type(0x1234)`],
  [
    { in_port: 1, eth_type: 0x86dd, ipv6_flabel: 5, ip_dscp: 1, ip_ecn: 2, nw_ttl: 9, icmpv6_type: 135 },
    `${ANY},eth_type(0x86dd),ipv6(label=0x5,tclass=0x6,hlimit=9),icmpv6(type=135)`,
  ],
  [
    { in_port: 1, eth_type: 0x8847, mpls_label: 5, mpls_bos: 1 },
    `${ANY},eth_type(0x8847),mpls(label=5,bos=1)`,
  ],
])("a datapath flow's match %#", (match, text) => {
  expect(formatOdpMatch(match)).toBe(text);
});

const set = (field: string, ...value: number[]): OdpAction => ({
  type: "set_field",
  field,
  value: Uint8Array.from(value),
});
const IPV4_UDP = { eth_type: 0x0800, ip_proto: 17 };

test.each<[OdpAction[], OdpSubject, string]>([
  [[], {}, "drop"],
  [[{ type: "output", port: 3 }], {}, "3"],
  [[{ type: "output", port: 3 }], { portName: (port) => `p${port}` }, "p3"],
  [
    [set("eth_src", 0, 0, 0, 0, 0, 1), set("eth_dst", 0, 0, 0, 0, 0, 2), set("nw_ttl", 63)],
    IPV4_UDP,
    "set(eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)),set(ipv4(ttl=63))",
  ],
  [[set("nw_ttl", 63)], { eth_type: 0x86dd }, "set(ipv6(hlimit=63))"],
  [[set("ip_dscp", 8), set("ip_ecn", 1)], IPV4_UDP, "set(ipv4(tos=0x20/0xfc,tos=0x1/0x3))"],
  [
    [set("ipv4_dst", 10, 0, 0, 9), set("tp_dst", 0, 80)],
    IPV4_UDP,
    "set(ipv4(dst=10.0.0.9)),set(udp(dst=80))",
  ],
  [
    [
      { type: "push_vlan", tpid: 0x88a8, tci: 0x6005 },
      { type: "output", port: 1 },
      { type: "pop_vlan" },
      { type: "push_mpls", ethertype: 0x8847, lse: 0x0000_5140 },
    ],
    {},
    "push_vlan(tpid=0x88a8,vid=5,pcp=3),1,pop_vlan,push_mpls(label=5,tc=0,ttl=64,bos=1,eth_type=0x8847)",
  ],
  [
    [
      { type: "clone", actions: [set("tp_src", 0, 7), { type: "output", port: 2 }] },
      { type: "recirc", id: 18 },
    ],
    { eth_type: 0x0800, ip_proto: 6 },
    "clone(set(tcp(src=7)),2),recirc(0x12)",
  ],
  // A field that Open vSwitch has no word for.
  [[set("pbb_isid", 0, 0, 5)], {}, "set(pbb_isid=0x5)"],
])("datapath actions %#", (actions, subject, text) => {
  expect(formatOdpActions(actions, subject)).toBe(text);
});

test("of several VLAN tags the outermost is the flow's", () => {
  const flow =
    "in_port(1),eth_type(0x88a8),vlan(vid=260),encap(eth_type(0x8100),vlan(vid=768,pcp=3),encap(eth_type(0x0800)))";
  expect(parseOdpFlow(flow, () => undefined)).toEqual({ in_port: 1, eth_type: 0x0800, vlan_vid: 0x1104 });
});

const noPort = (): undefined => undefined;

// Each in the words of `ovs-appctl dpctl/dump-flows` of Open vSwitch 3.1, but for pbb and what stands after set( alone.
test.each([
  "eth(src=02:00:00:00:00:01/00:00:00:00:00:00,dst=02:00:00:00:00:02)",
  "eth_type(0x0800),ipv4(src=10.0.0.1/0.0.0.0,dst=10.0.0.2/255.0.0.0,proto=6,tos=0/0xfc,ttl=64/0,frag=no),tcp(src=1/0,dst=80/0xfff0),tcp_flags(syn|ack)",
  "eth_type(0x0800),ipv4(proto=6,tos=0x20,frag=later),tcp_flags(+syn-ack)",
  "eth_type(0x0800),ipv4(proto=1),icmp(type=8/0,code=0)",
  "eth_type(0x86dd),ipv6(src=fe80::1/ffff::,label=0/0,proto=58,tclass=0x3/0x3,hlimit=0/0),icmpv6(type=135),nd(target=fe80::1)",
  "eth_type(0x0806),arp(sip=10.0.0.1/0.0.0.0,op=1/0xff,tha=00:00:00:00:00:00/00:00:00:00:00:00)",
  "eth_type(0x8100),vlan(vid=3/0xff,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))",
  "eth_type(0x8847),mpls(label=3/0xffff0,tc=0/0,ttl=64/0,bos=1)",
])("a flow that is read is written as it was: %s", (text) => {
  const whole = `recirc_id(0x7),in_port(1),packet_type(ns=0,id=0),${text}`;
  expect(formatOdpMatch(parseOdpMatch(whole, noPort))).toBe(whole);
});

const IPV4_TCP = { eth_type: 0x0800, ip_proto: 6 };
test.each<[string, OdpSubject]>([
  ["drop", {}],
  ["1,2,3", {}],
  ["set(eth(src=00:00:00:00:00:04,dst=00:00:00:00:00:03/ff:ff:ff:ff:ff:00)),1", {}],
  ["set(ipv4(src=1.2.3.4,dst=10.0.0.9,ttl=3)),set(tcp(src=5,dst=80)),2", IPV4_TCP],
  ["set(ipv4(tos=0x20/0xfc,tos=0x1/0x3))", IPV4_TCP],
  ["set(ipv6(src=fe80::1,hlimit=3))", { eth_type: 0x86dd }],
  ["set(arp(sip=1.2.3.4,op=2,sha=00:00:00:00:00:01))", { eth_type: 0x0806 }],
  ["set(mpls(label=3,tc=1,ttl=4))", { eth_type: 0x8847 }],
  ["set(vlan(vid=3,pcp=2))", {}],
  ["set(tp(src=7))", {}],
  ["set(pbb_isid=0x5)", {}],
  ["push_vlan(tpid=0x88a8,vid=5,pcp=3),1,pop_vlan,push_vlan(vid=1,pcp=0)", {}],
  ["push_mpls(label=1048575,tc=7,ttl=255,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800)", {}],
  ["push_pbb(isid=5),pop_pbb,copy_ttl_out,copy_ttl_in", {}],
  ["meter(3),set_queue(2),trunc(100),2,userspace(cookie=7),recirc(0x12)", {}],
  ["clone(set(tcp(src=7)),clone(drop),2),sample(sample=50.0%,actions(1,2))", IPV4_TCP],
  ["check_pkt_len(size=200,gt(1,2),le(drop))", {}],
  ["check_pkt_len(size=200,gt(drop),le(check_pkt_len(size=100,gt(1),le(2))))", {}],
])("actions that are read are written as they were: %s", (text, subject) => {
  expect(formatOdpActions(parseOdpActions(text, noPort), subject)).toBe(text);
});

test("ports are read by their names, spaces separate as commas do", () => {
  const port = (name: string): number | undefined => (name === "eth0.1@if2" ? 5 : undefined);
  expect(parseOdpActions("1 eth0.1@if2,", port)).toEqual([
    { type: "output", port: 1 },
    { type: "output", port: 5 },
  ]);
  expect(parseOdpMatch("in_port(eth0.1@if2)", port)).toEqual({ in_port: 5 });
});

test.each([
  ["zork", "zork: no such action, nor a port"],
  ["set(ipv4(proto=6))", "set: ip_proto cannot be set"],
  ["set(metadata=1)", "syntax error at set(metadata=1)"],
  ["set(eth(dst=1.2.3.4))", "eth_dst"],
  ["set(tcp(src=65536))", "tcp_src: a value has 16 bits"],
  ["push_vlan(vid=4096,pcp=0)", "vid=4096: at most 4095"],
  ["ct(commit)", "ct(commit): no such action"],
  ["constructor(1)", "constructor(1): no such action"],
  ["clone(1", "a parenthesis is not closed"],
  ["sample(sample=101%,actions(1))", "syntax error at sample"],
  ["check_pkt_len(size=1,gt(1),le(2)),3", "3: nothing can follow check_pkt_len"],
  ["clone(".repeat(40) + ")".repeat(40), "nested more than 16 deep"],
])("actions that nobody can carry out are refused in one line: %s", (text, message) => {
  expect(() => parseOdpActions(text, noPort)).toThrow(message);
});
