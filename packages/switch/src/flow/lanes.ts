/** The lanes of flow-key.ts as constants, for code that cannot look a field up. A test holds them to the layout. */
export const LANE_IN_PORT = 0;
export const LANE_RECIRC_ID = 1;
/** eth_dst 48, eth_src 48. */
export const LANE_ETH = 2;
/** eth_type 16, vlan_tci 16. */
export const LANE_TYPE_TCI = 5;
/** vlan_tpid 16, vlan2_tpid 16. */
export const LANE_TPIDS = 6;
/** vlan2_tci 16, 4 free, tcp_flags 12. */
export const LANE_TCI2_FLAGS = 7;
/** ip_proto 8, ip_dscp 6, ip_ecn 2, nw_ttl 8, 6 free, nw_frag 2; arp_op in the high half. */
export const LANE_NW = 8;
/** tp_src 16, tp_dst 16. */
export const LANE_TP = 9;
export const LANE_IPV4_SRC = 10;
export const LANE_IPV4_DST = 11;
/** arp_sha 48, arp_tha 48; ipv6_nd_sll, ipv6_nd_tll. */
export const LANE_ARP = 12;
export const LANE_MPLS = 15;
export const LANE_PBB = 16;
export const LANE_IPV6_SRC = 17;
export const LANE_IPV6_DST = 21;
/** 3 free, ipv6_exthdr 9, ipv6_flabel 20. */
export const LANE_FLABEL = 25;
export const LANE_ND_TARGET = 26;
export const LANE_CONJ_ID = 44;

/** Lanes in use by a packet of each sort, those after are 0: Ethernet or IPv4, ARP, MPLS or PBB, IPv6. */
export const LANES_IPV4 = 12;
export const LANES_ARP = 15;
export const LANES_MPLS = 17;
export const LANES_IPV6 = 30;
