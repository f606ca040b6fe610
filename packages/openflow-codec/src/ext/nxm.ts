import { ipv4, ipv6, mac, u8, u16, u32, u64, u128 } from "../schema/declare.js";
import { hexBytes, oxm, oxmClass } from "../schema/oxm-field.js";
import { portNo } from "../v13/numbers.js";

/** Match fields outside OFPXMC_OPENFLOW_BASIC that Open vSwitch's tools send: Nicira's two NXM classes (the
 *  older numbers of the basic fields are named `nxm_of_…` and `nxm_nx_…`), packet registers, and experimenter
 *  fields. See ovs-fields(7). */

export const NX_EXPERIMENTER = 0x00002320;
export const ONF_EXPERIMENTER = 0x4f4e4600;
const NSH_EXPERIMENTER = 0x005ad650;

const HEX = { fmt: "hex" } as const;
const IP = { eth_type: [0x0800, 0x86dd] };
const IPV4 = { eth_type: [0x0800] };
const IPV6 = { eth_type: [0x86dd] };
const ARP = { eth_type: [0x0806] };
const TCP = { ip_proto: [6] };
const UDP = { ip_proto: [17] };
const ICMPV4 = { ip_proto: [1], eth_type: [0x0800] };
const ICMPV6 = { ip_proto: [58], eth_type: [0x86dd] };
const ND = { icmpv6_type: [135, 136] };
const NSH = { eth_type: [0x894f] };

type Registers<N extends string, S> = { readonly [K in N]: S };
type Range<P extends string, N extends number> = `${P}${N}`;

/** `count` fields of one kind, numbered one after the other. */
function registers<P extends string, N extends number, S>(
  prefix: P,
  numbers: readonly N[],
  first: number,
  make: (number: number) => S,
): Registers<Range<P, N>, S> {
  return Object.fromEntries(numbers.map((n) => [`${prefix}${n}`, make(first + n)])) as Registers<
    Range<P, N>,
    S
  >;
}

const UPTO3 = [0, 1, 2, 3] as const;
const UPTO7 = [...UPTO3, 4, 5, 6, 7] as const;
const UPTO15 = [...UPTO7, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const UPTO63 = [
  ...UPTO15,
  ...([16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31] as const),
  ...([32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47] as const),
  ...([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63] as const),
] as const;

const same = <const S extends string>(name: S) => ({ same: name, text: name });

const of = oxmClass("OFPXMC_NXM_0", 0x0000, {
  nxm_of_in_port: oxm(0, u16(), {
    fmt: "port10",
    target: "in_port",
    rw: true,
    text: "in_port",
    same: "in_port",
  }),
  nxm_of_eth_dst: oxm(1, mac(), { target: "eth_dst", mask: true, rw: true, text: "dl_dst", same: "eth_dst" }),
  nxm_of_eth_src: oxm(2, mac(), { target: "eth_src", mask: true, rw: true, text: "dl_src", same: "eth_src" }),
  nxm_of_eth_type: oxm(3, u16(HEX), { target: "eth_type", text: "dl_type", same: "eth_type" }),
  nxm_of_vlan_tci: oxm(4, u16(HEX), { target: "vlan_tci", mask: true, rw: true, text: "vlan_tci" }),
  nxm_of_ip_tos: oxm(5, u8(), { target: "nw_tos", rw: true, pre: IP, text: "nw_tos" }),
  nxm_of_ip_proto: oxm(6, u8(), { target: "nw_proto", pre: IP, text: "nw_proto", same: "ip_proto" }),
  nxm_of_ip_src: oxm(7, ipv4(), {
    target: "ip_src",
    mask: true,
    rw: true,
    pre: IPV4,
    text: "nw_src",
    same: "ipv4_src",
  }),
  nxm_of_ip_dst: oxm(8, ipv4(), {
    target: "ip_dst",
    mask: true,
    rw: true,
    pre: IPV4,
    text: "nw_dst",
    same: "ipv4_dst",
  }),
  nxm_of_tcp_src: oxm(9, u16(), {
    target: "tcp_src",
    mask: true,
    rw: true,
    pre: TCP,
    text: "tp_src",
    same: "tcp_src",
  }),
  nxm_of_tcp_dst: oxm(10, u16(), {
    target: "tcp_dst",
    mask: true,
    rw: true,
    pre: TCP,
    text: "tp_dst",
    same: "tcp_dst",
  }),
  nxm_of_udp_src: oxm(11, u16(), {
    target: "udp_src",
    mask: true,
    rw: true,
    pre: UDP,
    text: "tp_src",
    same: "udp_src",
  }),
  nxm_of_udp_dst: oxm(12, u16(), {
    target: "udp_dst",
    mask: true,
    rw: true,
    pre: UDP,
    text: "tp_dst",
    same: "udp_dst",
  }),
  nxm_of_icmp_type: oxm(13, u8(), {
    target: "icmp_type",
    rw: true,
    pre: ICMPV4,
    text: "icmp_type",
    same: "icmpv4_type",
  }),
  nxm_of_icmp_code: oxm(14, u8(), {
    target: "icmp_code",
    rw: true,
    pre: ICMPV4,
    text: "icmp_code",
    same: "icmpv4_code",
  }),
  nxm_of_arp_op: oxm(15, u16(), { target: "arp_op", rw: true, pre: ARP, ...same("arp_op") }),
  nxm_of_arp_spa: oxm(16, ipv4(), { target: "arp_spa", mask: true, rw: true, pre: ARP, ...same("arp_spa") }),
  nxm_of_arp_tpa: oxm(17, ipv4(), { target: "arp_tpa", mask: true, rw: true, pre: ARP, ...same("arp_tpa") }),
});

const nx = oxmClass("OFPXMC_NXM_1", 0x0001, {
  nxm_nx_tun_id: oxm(16, u64(HEX), {
    target: "tun_id",
    mask: true,
    rw: true,
    text: "tun_id",
    same: "tunnel_id",
  }),
  nxm_nx_arp_sha: oxm(17, mac(), { target: "arp_sha", mask: true, rw: true, pre: ARP, ...same("arp_sha") }),
  nxm_nx_arp_tha: oxm(18, mac(), { target: "arp_tha", mask: true, rw: true, pre: ARP, ...same("arp_tha") }),
  nxm_nx_ipv6_src: oxm(19, ipv6(), {
    target: "ipv6_src",
    mask: true,
    rw: true,
    pre: IPV6,
    ...same("ipv6_src"),
  }),
  nxm_nx_ipv6_dst: oxm(20, ipv6(), {
    target: "ipv6_dst",
    mask: true,
    rw: true,
    pre: IPV6,
    ...same("ipv6_dst"),
  }),
  nxm_nx_icmpv6_type: oxm(21, u8(), {
    target: "icmpv6_type",
    rw: true,
    pre: ICMPV6,
    text: "icmp_type",
    same: "icmpv6_type",
  }),
  nxm_nx_icmpv6_code: oxm(22, u8(), {
    target: "icmpv6_code",
    rw: true,
    pre: ICMPV6,
    text: "icmp_code",
    same: "icmpv6_code",
  }),
  nxm_nx_nd_target: oxm(23, ipv6(), {
    target: "nd_target",
    mask: true,
    rw: true,
    pre: ND,
    text: "nd_target",
    same: "ipv6_nd_target",
  }),
  nxm_nx_nd_sll: oxm(24, mac(), {
    target: "nd_sll",
    mask: true,
    rw: true,
    pre: ND,
    text: "nd_sll",
    same: "ipv6_nd_sll",
  }),
  nxm_nx_nd_tll: oxm(25, mac(), {
    target: "nd_tll",
    mask: true,
    rw: true,
    pre: ND,
    text: "nd_tll",
    same: "ipv6_nd_tll",
  }),
  nw_frag: oxm(26, u8(), {
    target: "ip_frag",
    nxm: "NXM_NX_IP_FRAG",
    mask: true,
    bits: 2,
    pre: IP,
    fmt: "frag",
  }),
  nxm_nx_ipv6_label: oxm(27, u32(HEX), {
    target: "ipv6_label",
    mask: true,
    rw: true,
    bits: 20,
    pre: IPV6,
    text: "ipv6_label",
    same: "ipv6_flabel",
  }),
  nxm_nx_ip_ecn: oxm(28, u8(), {
    target: "nw_ecn",
    rw: true,
    bits: 2,
    pre: IP,
    text: "nw_ecn",
    same: "ip_ecn",
  }),
  nw_ttl: oxm(29, u8(), { nxm: "NXM_NX_IP_TTL", rw: true, pre: IP }),
  mpls_ttl: oxm(30, u8(), { rw: true, pre: { eth_type: [0x8847, 0x8848] } }),
  tun_src: oxm(31, ipv4(), { nxm: "NXM_NX_TUN_IPV4_SRC", mask: true, rw: true }),
  tun_dst: oxm(32, ipv4(), { nxm: "NXM_NX_TUN_IPV4_DST", mask: true, rw: true }),
  pkt_mark: oxm(33, u32(HEX), { mask: true, rw: true }),
  nxm_nx_tcp_flags: oxm(34, u16(), {
    target: "tcp_flags",
    mask: true,
    bits: 12,
    pre: TCP,
    text: "tcp_flags",
    same: "tcp_flags",
    fmt: "tcp_flags",
  }),
  dp_hash: oxm(35, u32(HEX), { mask: true }),
  recirc_id: oxm(36, u32(HEX)),
  conj_id: oxm(37, u32()),
  tun_gbp_id: oxm(38, u16(), { mask: true, rw: true }),
  tun_gbp_flags: oxm(39, u8(HEX), { mask: true, rw: true }),
  tun_flags: oxm(104, u16(), { mask: true, rw: true, bits: 1, fmt: "tun_flags" }),
  ct_state: oxm(105, u32(), { mask: true, fmt: "ct_state" }),
  ct_zone: oxm(106, u16()),
  ct_mark: oxm(107, u32(HEX), { mask: true, rw: true }),
  ct_label: oxm(108, u128(HEX), { mask: true, rw: true }),
  tun_ipv6_src: oxm(109, ipv6(), { mask: true, rw: true }),
  tun_ipv6_dst: oxm(110, ipv6(), { mask: true, rw: true }),
  ct_nw_proto: oxm(119, u8()),
  ct_nw_src: oxm(120, ipv4(), { mask: true }),
  ct_nw_dst: oxm(121, ipv4(), { mask: true }),
  ct_ipv6_src: oxm(122, ipv6(), { mask: true }),
  ct_ipv6_dst: oxm(123, ipv6(), { mask: true }),
  ct_tp_src: oxm(124, u16(), { mask: true }),
  ct_tp_dst: oxm(125, u16(), { mask: true }),
});

const nxRegs = oxmClass("OFPXMC_NXM_1", 0x0001, {
  ...registers("reg", UPTO15, 0, (n) => oxm(n, u32(HEX), { mask: true, rw: true })),
  ...registers("xxreg", UPTO3, 111, (n) => oxm(n, u128(HEX), { mask: true, rw: true })),
  ...registers("tun_metadata", UPTO63, 40, (n) =>
    oxm(n, hexBytes(124), { mask: true, rw: true, variable: 124 }),
  ),
});

const packetRegs = oxmClass("OFPXMC_PACKET_REGS", 0x8001, {
  ...registers("xreg", UPTO7, 0, (n) =>
    oxm(n, u64(HEX), { mask: true, rw: true, nxm: `OXM_OF_PKT_REG${n}` }),
  ),
});

const nxEt = { experimenter: NX_EXPERIMENTER } as const;
const nsh = { experimenter: NSH_EXPERIMENTER, pre: NSH } as const;

const nxoxm = oxmClass("OFPXMC_EXPERIMENTER", 0xffff, {
  tun_erspan_idx: oxm(11, u32(HEX), { nxm: "NXOXM_ET_ERSPAN_IDX", mask: true, rw: true, bits: 20, ...nxEt }),
  tun_erspan_ver: oxm(12, u8(), { nxm: "NXOXM_ET_ERSPAN_VER", mask: true, rw: true, bits: 4, ...nxEt }),
  tun_erspan_dir: oxm(13, u8(), { nxm: "NXOXM_ET_ERSPAN_DIR", mask: true, rw: true, bits: 1, ...nxEt }),
  tun_erspan_hwid: oxm(14, u8(HEX), { nxm: "NXOXM_ET_ERSPAN_HWID", mask: true, rw: true, bits: 6, ...nxEt }),
  tun_gtpu_flags: oxm(15, u8(HEX), { nxm: "NXOXM_ET_GTPU_FLAGS", mask: true, ...nxEt }),
  tun_gtpu_msgtype: oxm(16, u8(), { nxm: "NXOXM_ET_GTPU_MSGTYPE", mask: true, ...nxEt }),
  nsh_flags: oxm(1, u8(), { nxm: "NXOXM_NSH_FLAGS", mask: true, rw: true, ...nsh }),
  nsh_mdtype: oxm(2, u8(), { nxm: "NXOXM_NSH_MDTYPE", ...nsh }),
  nsh_np: oxm(3, u8(), { nxm: "NXOXM_NSH_NP", ...nsh }),
  nsh_spi: oxm(4, u32(HEX), { nxm: "NXOXM_NSH_SPI", rw: true, bits: 24, ...nsh }),
  nsh_si: oxm(5, u8(), { nxm: "NXOXM_NSH_SI", rw: true, ...nsh }),
  nsh_c1: oxm(6, u32(HEX), { nxm: "NXOXM_NSH_C1", mask: true, rw: true, ...nsh }),
  nsh_c2: oxm(7, u32(HEX), { nxm: "NXOXM_NSH_C2", mask: true, rw: true, ...nsh }),
  nsh_c3: oxm(8, u32(HEX), { nxm: "NXOXM_NSH_C3", mask: true, rw: true, ...nsh }),
  nsh_c4: oxm(9, u32(HEX), { nxm: "NXOXM_NSH_C4", mask: true, rw: true, ...nsh }),
  nsh_ttl: oxm(10, u8(), { nxm: "NXOXM_NSH_TTL", rw: true, ...nsh }),
});

const onf = oxmClass("OFPXMC_EXPERIMENTER", 0xffff, {
  tcp_flags: oxm(42, u16(), {
    nxm: "ONFOXM_ET_TCP_FLAGS",
    mask: true,
    bits: 12,
    pre: TCP,
    fmt: "tcp_flags",
    experimenter: ONF_EXPERIMENTER,
  }),
  actset_output: oxm(43, portNo, {
    nxm: "ONFOXM_ET_ACTSET_OUTPUT",
    fmt: "port",
    experimenter: ONF_EXPERIMENTER,
  }),
});

/** OpenFlow 1.5's number for it, which Open vSwitch uses in 1.3 too. */
const later = oxmClass("OFPXMC_OPENFLOW_BASIC", 0x8000, {
  packet_type: oxm(44, u32(HEX), { fmt: "packet_type" }),
});

export const nxmClasses = Object.freeze({ of, nx, nxRegs, packetRegs, nxoxm, onf, later });
