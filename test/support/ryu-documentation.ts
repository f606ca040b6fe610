/** What Ryu's documentation of ofctl_rest has as examples for OpenFlow 1.3: matches, actions, and bodies of writes. Facts,
 *  as data: existing scripts are made of these. */

/** "Description of Match on request messages". Those that Open vSwitch has no field for are marked. */
export const MATCHES: readonly (readonly [match: Readonly<Record<string, unknown>>, onlySluice?: true])[] = [
  [{ in_port: 7 }],
  // The documentation has 5 and 3; the physical port of a packet is its port on our switch.
  [{ in_phy_port: 3, in_port: 3 }, true],
  [{ metadata: 12345 }],
  [{ metadata: "0x1212/0xffff" }],
  [{ eth_dst: "aa:bb:cc:11:22:33/00:00:00:00:ff:ff" }],
  [{ eth_src: "aa:bb:cc:11:22:33" }],
  [{ dl_src: "aa:bb:cc:11:22:33" }],
  [{ dl_dst: "aa:bb:cc:11:22:33" }],
  [{ eth_type: 2048 }],
  [{ dl_type: 123 }],
  [{ dl_vlan: 5 }],
  [{ dl_vlan: "0x0000" }],
  [{ dl_vlan: "0x1000/0x1000" }],
  [{ dl_vlan: "0x1005" }],
  [{ vlan_pcp: 3, vlan_vid: 3 }],
  [{ ip_dscp: 3, eth_type: 2048 }],
  [{ ip_ecn: 0, eth_type: 34525 }],
  [{ ip_proto: 5, eth_type: 34525 }],
  [{ nw_proto: 5, dl_type: 2048 }],
  [{ nw_src: "192.168.0.1", dl_type: 2048 }],
  [{ nw_dst: "192.168.0.1/24", dl_type: 2048 }],
  [{ tp_src: 1, nw_proto: 6, dl_type: 2048 }],
  [{ tp_dst: 2, nw_proto: 6, dl_type: 2048 }],
  [{ ipv4_src: "192.168.0.1", eth_type: 2048 }],
  [{ ipv4_dst: "192.168.10.10/255.255.255.0", eth_type: 2048 }],
  [{ tcp_src: 3, ip_proto: 6, eth_type: 2048 }],
  [{ tcp_dst: 5, ip_proto: 6, eth_type: 2048 }],
  [{ udp_src: 2, ip_proto: 17, eth_type: 2048 }],
  [{ udp_dst: 6, ip_proto: 17, eth_type: 2048 }],
  [{ sctp_src: 99, ip_proto: 132, eth_type: 2048 }],
  [{ sctp_dst: 99, ip_proto: 132, eth_type: 2048 }],
  [{ icmpv4_type: 5, ip_proto: 1, eth_type: 2048 }],
  [{ icmpv4_code: 6, ip_proto: 1, eth_type: 2048 }],
  [{ arp_op: 3, eth_type: 2054 }],
  [{ arp_spa: "192.168.0.11", eth_type: 2054 }],
  [{ arp_tpa: "192.168.0.44/24", eth_type: 2054 }],
  [{ arp_sha: "aa:bb:cc:11:22:33", eth_type: 2054 }],
  [{ arp_tha: "aa:bb:cc:11:22:33/00:00:00:00:ff:ff", eth_type: 2054 }],
  [{ ipv6_src: "2001::aaaa:bbbb:cccc:1111", eth_type: 34525 }],
  [{ ipv6_dst: "2001::ffff:cccc:bbbb:1111/64", eth_type: 34525 }],
  [{ ipv6_dst: "2001::ffff:cccc:bbbb:2222/ffff:ffff:ffff:ffff::0", eth_type: 34525 }],
  [{ ipv6_flabel: 2, eth_type: 34525 }],
  [{ icmpv6_type: 3, ip_proto: 58, eth_type: 34525 }],
  [{ icmpv6_code: 4, ip_proto: 58, eth_type: 34525 }],
  [{ ipv6_nd_target: "2001::ffff:cccc:bbbb:1111", icmpv6_type: 135, ip_proto: 58, eth_type: 34525 }],
  [{ ipv6_nd_sll: "aa:bb:cc:11:22:33", icmpv6_type: 135, ip_proto: 58, eth_type: 34525 }],
  [{ ipv6_nd_tll: "aa:bb:cc:11:22:33", icmpv6_type: 136, ip_proto: 58, eth_type: 34525 }],
  [{ mpls_label: 3, eth_type: 34888 }],
  [{ mpls_tc: 2, eth_type: 34888 }],
  [{ mpls_bos: 1, eth_type: 34888 }],
  [{ pbb_isid: 5, eth_type: 35047 }, true],
  [{ pbb_isid: "0x05/0xff", eth_type: 35047 }, true],
  [{ tunnel_id: 7 }],
  [{ tunnel_id: "0x07/0xff" }],
  [{ ipv6_exthdr: 3, eth_type: 34525 }, true],
  [{ ipv6_exthdr: "0x40/0x1F0", eth_type: 34525 }, true],
];

interface ActionExample {
  readonly action: Readonly<Record<string, unknown>>;
  /** What has to match for the action to be allowed. */
  readonly match?: Readonly<Record<string, unknown>>;
  readonly onlySluice?: true;
}

const MPLS = { eth_type: 34887 };
const IPV4 = { eth_type: 2048 };

/** "List of Actions (OpenFlow1.2 or later)", those of 1.3. */
export const ACTIONS: readonly ActionExample[] = [
  { action: { type: "OUTPUT", port: 3 } },
  { action: { type: "COPY_TTL_OUT" }, match: MPLS, onlySluice: true },
  { action: { type: "COPY_TTL_IN" }, match: MPLS, onlySluice: true },
  { action: { type: "SET_MPLS_TTL", mpls_ttl: 64 }, match: MPLS },
  { action: { type: "DEC_MPLS_TTL" }, match: MPLS },
  { action: { type: "PUSH_VLAN", ethertype: 33024 } },
  { action: { type: "POP_VLAN" }, match: { dl_vlan: 5 } },
  { action: { type: "PUSH_MPLS", ethertype: 34887 } },
  { action: { type: "POP_MPLS", ethertype: 2054 }, match: MPLS },
  { action: { type: "SET_QUEUE", queue_id: 7 } },
  { action: { type: "GROUP", group_id: 5 } },
  { action: { type: "SET_NW_TTL", nw_ttl: 64 }, match: IPV4 },
  { action: { type: "DEC_NW_TTL" }, match: IPV4 },
  { action: { type: "SET_FIELD", field: "vlan_vid", value: 4102 }, match: { dl_vlan: 5 } },
  { action: { type: "SET_FIELD", field: "ipv4_src", value: "10.0.0.9" }, match: IPV4 },
  { action: { type: "PUSH_PBB", ethertype: 35047 }, onlySluice: true },
  { action: { type: "GOTO_TABLE", table_id: 8 } },
  { action: { type: "METER", meter_id: 3 } },
  {
    action: { type: "WRITE_ACTIONS", actions: [{ type: "POP_VLAN" }, { type: "OUTPUT", port: 2 }] },
    match: { dl_vlan: 5 },
  },
  { action: { type: "CLEAR_ACTIONS" } },
];
