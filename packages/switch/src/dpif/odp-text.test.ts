import { expect, test } from "vitest";
import type { OdpAction } from "./actions.js";
import { parseOdpFlow } from "./odp-parse.js";
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
    `${ANY},eth_type(0x0800),ipv4(dst=10.0.0.0/255.255.255.0,proto=6,tos=0x20/0xfc,frag=no),tcp(dst=80/0xfff0),tcp_flags(0x2/0x2)`,
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
