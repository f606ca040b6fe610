import { ipv4, ipv6, mac, names, u8, u16, u24, u32, u64 } from "../schema/declare.js";
import { oxm, oxmClass } from "../schema/oxm-field.js";
import { OFPIEH, portNo } from "./numbers.js";

const IP = { eth_type: [0x0800, 0x86dd] };
const IPV4 = { eth_type: [0x0800] };
const IPV6 = { eth_type: [0x86dd] };
const ARP = { eth_type: [0x0806] };
const MPLS = { eth_type: [0x8847, 0x8848] };
const TCP = { ip_proto: [6] };
const UDP = { ip_proto: [17] };
const SCTP = { ip_proto: [132] };
const ICMPV4 = { ip_proto: [1], eth_type: [0x0800] };
const ICMPV6 = { ip_proto: [58], eth_type: [0x86dd] };
const ND = { icmpv6_type: [135, 136] };

const HEX = { fmt: "hex" } as const;

/** The basic match fields (OpenFlow 1.3.5 §7.2.3.7, table 11). Also the source of the flow key's layout, of
 *  ovs-ofctl's field names and of the prerequisite and set-field checks. Masks are taken where Open vSwitch
 *  takes them, which is in more fields than the specification's table asks for: transport ports and
 *  the ipv6_nd fields too. */
export const oxmBasic = oxmClass("OFPXMC_OPENFLOW_BASIC", 0x8000, {
  in_port: oxm(0, portNo, { target: "in_port_oxm", fmt: "port" }),
  in_phy_port: oxm(1, portNo, { pre: { in_port: [] }, fmt: "port" }),
  metadata: oxm(2, u64(HEX), { mask: true, rw: true }),
  eth_dst: oxm(3, mac(), { mask: true, rw: true, text: "dl_dst" }),
  eth_src: oxm(4, mac(), { mask: true, rw: true, text: "dl_src" }),
  eth_type: oxm(5, u16(HEX), { text: "dl_type" }),
  vlan_vid: oxm(6, u16(), { mask: true, rw: true, bits: 13 }),
  vlan_pcp: oxm(7, u8(), { rw: true, bits: 3, pre: { vlan_vid: [] } }),
  ip_dscp: oxm(8, u8(), { rw: true, bits: 6, pre: IP }),
  ip_ecn: oxm(9, u8(), { target: "nw_ecn", rw: true, bits: 2, pre: IP, text: "nw_ecn" }),
  ip_proto: oxm(10, u8(), { target: "nw_proto", pre: IP, text: "nw_proto" }),
  ipv4_src: oxm(11, ipv4(), { target: "ip_src", mask: true, rw: true, pre: IPV4, text: "nw_src" }),
  ipv4_dst: oxm(12, ipv4(), { target: "ip_dst", mask: true, rw: true, pre: IPV4, text: "nw_dst" }),
  tcp_src: oxm(13, u16(), { mask: true, rw: true, pre: TCP, text: "tp_src" }),
  tcp_dst: oxm(14, u16(), { mask: true, rw: true, pre: TCP, text: "tp_dst" }),
  udp_src: oxm(15, u16(), { mask: true, rw: true, pre: UDP, text: "tp_src" }),
  udp_dst: oxm(16, u16(), { mask: true, rw: true, pre: UDP, text: "tp_dst" }),
  sctp_src: oxm(17, u16(), { mask: true, rw: true, pre: SCTP, text: "tp_src" }),
  sctp_dst: oxm(18, u16(), { mask: true, rw: true, pre: SCTP, text: "tp_dst" }),
  icmpv4_type: oxm(19, u8(), { target: "icmp_type", rw: true, pre: ICMPV4, text: "icmp_type" }),
  icmpv4_code: oxm(20, u8(), { target: "icmp_code", rw: true, pre: ICMPV4, text: "icmp_code" }),
  arp_op: oxm(21, u16(), { rw: true, pre: ARP }),
  arp_spa: oxm(22, ipv4(), { mask: true, rw: true, pre: ARP }),
  arp_tpa: oxm(23, ipv4(), { mask: true, rw: true, pre: ARP }),
  arp_sha: oxm(24, mac(), { mask: true, rw: true, pre: ARP }),
  arp_tha: oxm(25, mac(), { mask: true, rw: true, pre: ARP }),
  ipv6_src: oxm(26, ipv6(), { mask: true, rw: true, pre: IPV6 }),
  ipv6_dst: oxm(27, ipv6(), { mask: true, rw: true, pre: IPV6 }),
  ipv6_flabel: oxm(28, u32(HEX), {
    target: "ipv6_label",
    mask: true,
    rw: true,
    bits: 20,
    pre: IPV6,
    text: "ipv6_label",
  }),
  icmpv6_type: oxm(29, u8(), { rw: true, pre: ICMPV6, text: "icmp_type" }),
  icmpv6_code: oxm(30, u8(), { rw: true, pre: ICMPV6, text: "icmp_code" }),
  ipv6_nd_target: oxm(31, ipv6(), { target: "nd_target", mask: true, rw: true, pre: ND, text: "nd_target" }),
  ipv6_nd_sll: oxm(32, mac(), {
    target: "nd_sll",
    mask: true,
    rw: true,
    pre: { icmpv6_type: [135] },
    text: "nd_sll",
  }),
  ipv6_nd_tll: oxm(33, mac(), {
    target: "nd_tll",
    mask: true,
    rw: true,
    pre: { icmpv6_type: [136] },
    text: "nd_tll",
  }),
  mpls_label: oxm(34, u32(), { rw: true, bits: 20, pre: MPLS }),
  mpls_tc: oxm(35, u8(), { rw: true, bits: 3, pre: MPLS }),
  mpls_bos: oxm(36, u8(), { bits: 1, pre: MPLS }),
  pbb_isid: oxm(37, u24(), { mask: true, rw: true, pre: { eth_type: [0x88e7] } }),
  tunnel_id: oxm(38, u64(HEX), { target: "tun_id", mask: true, rw: true, text: "tun_id" }),
  ipv6_exthdr: oxm(39, u16({ flags: names("ofp_ipv6exthdr_flags", OFPIEH) }), {
    mask: true,
    bits: 9,
    pre: IPV6,
  }),
});
