import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";

const ttl = (ttl: number) => f.udp4({ ip: { ttl } });
const hops = (hop_limit: number) => f.udp6({ ip: { hop_limit } });

const output: Case[] = [
  {
    section: "§7.2.5.1",
    name: "output sends the packet as it is out of a port",
    flows: ["actions=output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§7.2.5.1",
    name: "a list of outputs sends a copy out of each",
    flows: ["actions=output:2,output:3,output:4"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4(), 4: f.udp4() },
  },
  {
    section: "§7.2.5.1",
    name: "two outputs to one port send two copies",
    flows: ["actions=output:2,output:2"],
    in: [1, f.udp4()],
    out: { 2: [f.udp4(), f.udp4()] },
  },
  {
    section: "§7.2.5.1",
    name: "each output sends the packet as the actions before it left it",
    flows: ["udp,actions=output:2,dec_ttl,output:3,set_field:9->udp_src,output:4"],
    in: [1, ttl(7)],
    out: { 2: ttl(7), 3: ttl(6), 4: f.udp4({ ip: { ttl: 6 }, src_port: 9 }) },
  },
  { section: "§5.12", name: "a flow without instructions drops", flows: ["actions=drop"], in: [1, f.udp4()] },
  {
    section: "§7.2.5.3",
    name: "set_queue changes nothing in the packet",
    flows: ["actions=set_queue:0,output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
];

const vlanOn =
  (...tags: f.Tag[]) =>
  (more: Parameters<typeof f.udp4>[0] = {}): Uint8Array =>
    f.udp4({ ...more, eth: f.tagged(...tags) });

const vlan: Case[] = [
  {
    section: "§5.12.1",
    name: "push_vlan 0x8100 on an untagged packet gives VLAN 0, priority 0",
    flows: ["actions=push_vlan:0x8100,output:2"],
    in: [1, f.udp4()],
    out: { 2: vlanOn({ vid: 0 })() },
  },
  {
    section: "§5.12.1",
    name: "push_vlan 0x88a8 gives an 802.1ad tag",
    flows: ["actions=push_vlan:0x88a8,set_field:0x1007->vlan_vid,set_field:3->vlan_pcp,output:2"],
    in: [1, f.udp6()],
    out: { 2: f.udp6({ eth: f.tagged({ tpid: 0x88a8, vid: 7, pcp: 3 }) }) },
  },
  {
    section: "§5.12.1",
    name: "push_vlan copies vid and pcp of the tag that was the outermost",
    flows: ["actions=push_vlan:0x8100,output:2"],
    in: [1, vlanOn({ vid: 5, pcp: 3 })()],
    out: { 2: vlanOn({ vid: 5, pcp: 3 }, { vid: 5, pcp: 3 })() },
    ovs: "gives VLAN 0, priority 0",
  },
  {
    section: "§5.12.1",
    name: "push_vlan 0x88a8 on a tagged packet copies vid and pcp",
    flows: ["dl_vlan=5,actions=push_vlan:0x88a8,output:2"],
    in: [1, vlanOn({ vid: 5, pcp: 3 })()],
    out: { 2: vlanOn({ tpid: 0x88a8, vid: 5, pcp: 3 }, { vid: 5, pcp: 3 })() },
    ovs: "gives VLAN 0, priority 0",
  },
  {
    section: "§5.12.1",
    name: "two push_vlan give two tags, the second one outermost",
    flows: [
      "actions=push_vlan:0x8100,set_field:0x1001->vlan_vid,push_vlan:0x88a8,set_field:0x1002->vlan_vid,output:2",
    ],
    in: [1, f.udp4()],
    out: { 2: vlanOn({ tpid: 0x88a8, vid: 2 }, { vid: 1 })() },
  },
  {
    section: "§5.12",
    name: "pop_vlan takes the tag off",
    flows: ["dl_vlan=5,actions=pop_vlan,output:2"],
    in: [1, vlanOn({ vid: 5, pcp: 3 })()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.12",
    name: "pop_vlan takes the outermost of two tags off",
    flows: ["dl_vlan=5,actions=pop_vlan,output:2"],
    in: [1, vlanOn({ tpid: 0x88a8, vid: 5 }, { vid: 6, pcp: 1 })()],
    out: { 2: vlanOn({ vid: 6, pcp: 1 })() },
  },
  {
    section: "§5.12",
    name: "pop_vlan lets the next table match the tag below",
    flows: [
      "dl_vlan=5,actions=pop_vlan,goto_table:1",
      "table=1,priority=2,dl_vlan=6,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, vlanOn({ tpid: 0x88a8, vid: 5 }, { vid: 6, pcp: 1 })()],
    out: { 2: vlanOn({ vid: 6, pcp: 1 })() },
    vlanLimit: 2,
  },
  {
    section: "§5.12",
    name: "two pop_vlan take both tags off, and the IP header below is matched",
    flows: [
      "dl_vlan=5,actions=pop_vlan,goto_table:1",
      "table=1,dl_vlan=6,actions=pop_vlan,goto_table:2",
      "table=2,priority=2,udp,udp_dst=2000,vlan_vid=0,actions=output:2",
      "table=2,priority=1,actions=output:3",
    ],
    in: [1, vlanOn({ tpid: 0x88a8, vid: 5 }, { vid: 6, pcp: 1 })()],
    out: { 2: f.udp4() },
    vlanLimit: 2,
  },
  {
    section: "vlan-limit",
    name: "a tag that is not looked at is payload: pop_vlan leaves its EtherType, which the next table matches",
    flows: [
      "dl_vlan=5,actions=pop_vlan,goto_table:1",
      "table=1,priority=2,dl_type=0x8100,vlan_vid=0,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, vlanOn({ tpid: 0x88a8, vid: 5 }, { vid: 6, pcp: 1 })()],
    out: { 2: vlanOn({ vid: 6, pcp: 1 })() },
  },
  {
    section: "vlan-limit",
    name: "tags that are pushed are seen all the same, and the IP header behind them is changed",
    flows: [
      "dl_vlan=5,actions=push_vlan:0x88a8,set_field:0x1009->vlan_vid,goto_table:1",
      "table=1,dl_vlan=9,udp,actions=set_field:9.9.9.9->ip_src,output:2",
    ],
    in: [1, vlanOn({ vid: 5 })()],
    out: { 2: vlanOn({ tpid: 0x88a8, vid: 9 }, { vid: 5 })({ ip: { src: "9.9.9.9" } }) },
  },
  {
    section: "§5.12",
    name: "push_vlan on ARP keeps its padding",
    flows: ["arp,actions=push_vlan:0x8100,set_field:0x1009->vlan_vid,output:2"],
    in: [1, f.arpFrame({ padding: new Uint8Array(18) })],
    out: { 2: f.arpFrame({ eth: f.tagged({ vid: 9 }), padding: new Uint8Array(18) }) },
  },
];

const mplsCases: Case[] = [
  {
    section: "§5.12.1",
    name: "push_mpls on IPv4 gives label 0, traffic class 0, the TTL of the IP header",
    flows: ["ip,actions=push_mpls:0x8847,output:2"],
    in: [1, ttl(33)],
    out: { 2: f.mpls([{ label: 0, ttl: 33 }], ttl(33)) },
  },
  {
    section: "§5.12.1",
    name: "push_mpls on IPv6 gives label 0, traffic class 0, the hop limit",
    flows: ["ipv6,actions=push_mpls:0x8847,output:2"],
    in: [1, hops(33)],
    out: { 2: f.mpls([{ label: 0, ttl: 33 }], hops(33)) },
    ovs: "gives label 2, IPv6 explicit null",
  },
  {
    section: "§5.12.1",
    name: "push_mpls does not copy the DSCP to the traffic class",
    flows: ["ip,actions=push_mpls:0x8847,output:2"],
    in: [1, f.udp4({ ip: { tos: 0xfc } })],
    out: { 2: f.mpls([{ label: 0 }], f.udp4({ ip: { tos: 0xfc } })) },
    ovs: "copies three bits of the DSCP",
  },
  {
    section: "§5.12.1",
    name: "push_mpls 0x8848 gives a multicast label, which set_field then sets",
    flows: ["ip,actions=push_mpls:0x8848,set_field:77->mpls_label,set_field:5->mpls_tc,output:2"],
    in: [1, ttl(33)],
    out: { 2: f.mpls([{ label: 77, tc: 5, ttl: 33 }], ttl(33), 0x8848) },
  },
  {
    section: "§5.12.1",
    name: "push_mpls on a label copies label, traffic class and TTL",
    flows: ["mpls,actions=push_mpls:0x8847,output:2"],
    in: [1, f.mpls([{ label: 9, tc: 3, ttl: 20 }], f.udp4())],
    out: {
      2: f.mpls(
        [
          { label: 9, tc: 3, ttl: 20 },
          { label: 9, tc: 3, ttl: 20 },
        ],
        f.udp4(),
      ),
    },
  },
  {
    section: "§5.12.1",
    name: "two push_mpls in one list stack two labels",
    flows: [
      "ip,actions=push_mpls:0x8847,set_field:1->mpls_label,push_mpls:0x8847,set_field:2->mpls_label,output:2",
    ],
    in: [1, ttl(33)],
    out: {
      2: f.mpls(
        [
          { label: 2, ttl: 33 },
          { label: 1, ttl: 33 },
        ],
        ttl(33),
      ),
    },
  },
  {
    section: "§5.12.1",
    name: "push_mpls on a tagged packet leaves the tag outside",
    flows: ["ip,actions=push_mpls:0x8847,output:2"],
    in: [1, f.udp4({ eth: f.tagged({ vid: 5, pcp: 3 }) })],
    out: { 2: f.mpls([{ label: 0 }], f.udp4({ eth: f.tagged({ vid: 5, pcp: 3 }) })) },
  },
  {
    section: "§5.12",
    name: "pop_mpls of the only label gives the IP packet back",
    flows: ["mpls,mpls_bos=1,actions=pop_mpls:0x0800,output:2"],
    in: [1, f.mpls([{ label: 9, ttl: 20 }], ttl(64))],
    out: { 2: ttl(64) },
  },
  {
    section: "§5.12",
    name: "pop_mpls of the upper label leaves the lower one",
    flows: ["mpls,actions=pop_mpls:0x8847,output:2"],
    in: [
      1,
      f.mpls(
        [
          { label: 9, ttl: 20 },
          { label: 8, tc: 1, ttl: 7 },
        ],
        ttl(64),
      ),
    ],
    out: { 2: f.mpls([{ label: 8, tc: 1, ttl: 7 }], ttl(64)) },
  },
  {
    section: "§5.12",
    name: "what pop_mpls uncovers is matched by the next table",
    flows: [
      "mpls,actions=pop_mpls:0x0800,goto_table:1",
      "table=1,priority=2,udp,udp_dst=2000,actions=set_field:53->udp_dst,output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, f.mpls([{ label: 9 }], f.udp4())],
    out: { 2: f.udp4({ dst_port: 53 }) },
  },
  {
    section: "§5.12",
    name: "the label that pop_mpls uncovers is matched by the next table",
    flows: [
      "mpls,mpls_label=9,actions=pop_mpls:0x8847,goto_table:1",
      "table=1,priority=2,mpls,mpls_label=8,mpls_bos=1,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, f.mpls([{ label: 9 }, { label: 8 }], f.udp4())],
    out: { 2: f.mpls([{ label: 8 }], f.udp4()) },
  },
  {
    section: "§5.12",
    name: "a label pushed and popped leaves the packet as it was",
    flows: ["ip,actions=push_mpls:0x8847,set_field:7->mpls_label,pop_mpls:0x0800,output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
];

const ttlCases: Case[] = [
  {
    section: "§7.2.5.4",
    name: "set_nw_ttl sets the TTL of IPv4 and its checksum",
    flows: ["ip,actions=mod_nw_ttl:99,output:2"],
    in: [1, ttl(3)],
    out: { 2: ttl(99) },
  },
  {
    section: "§7.2.5.4",
    name: "set_nw_ttl sets the hop limit of IPv6",
    flows: ["ipv6,actions=mod_nw_ttl:99,output:2"],
    in: [1, hops(3)],
    out: { 2: hops(99) },
  },
  {
    section: "§7.2.5.4",
    name: "dec_nw_ttl counts IPv4 down",
    flows: ["ip,actions=dec_ttl,output:2"],
    in: [1, ttl(2)],
    out: { 2: ttl(1) },
  },
  {
    section: "§7.2.5.4",
    name: "dec_nw_ttl counts IPv6 down",
    flows: ["ipv6,actions=dec_ttl,dec_ttl,output:2"],
    in: [1, hops(64)],
    out: { 2: hops(62) },
  },
  {
    section: "§7.2.5.4",
    name: "set_mpls_ttl sets the outermost label's TTL",
    flows: ["mpls,actions=set_mpls_ttl:99,output:2"],
    in: [
      1,
      f.mpls(
        [
          { label: 9, ttl: 3 },
          { label: 8, ttl: 4 },
        ],
        f.udp4(),
      ),
    ],
    out: {
      2: f.mpls(
        [
          { label: 9, ttl: 99 },
          { label: 8, ttl: 4 },
        ],
        f.udp4(),
      ),
    },
  },
  {
    section: "§7.2.5.4",
    name: "dec_mpls_ttl counts the outermost label's TTL down",
    flows: ["mpls,actions=dec_mpls_ttl,output:2"],
    in: [
      1,
      f.mpls(
        [
          { label: 9, tc: 5, ttl: 3 },
          { label: 8, ttl: 4 },
        ],
        f.udp4(),
      ),
    ],
    out: {
      2: f.mpls(
        [
          { label: 9, tc: 5, ttl: 2 },
          { label: 8, ttl: 4 },
        ],
        f.udp4(),
      ),
    },
  },
  {
    section: "§7.2.5.4",
    name: "copy_ttl_out copies the IP TTL to the only label",
    flows: ["mpls,actions=copy_ttl_out,output:2"],
    in: [1, f.mpls([{ label: 9, ttl: 3 }], ttl(55))],
    out: { 2: f.mpls([{ label: 9, ttl: 55 }], ttl(55)) },
    ovs: "has no copy_ttl_out",
  },
  {
    section: "§7.2.5.4",
    name: "copy_ttl_out copies the lower label's TTL to the upper one",
    flows: ["mpls,actions=copy_ttl_out,output:2"],
    in: [
      1,
      f.mpls(
        [
          { label: 9, ttl: 3 },
          { label: 8, ttl: 44 },
        ],
        ttl(55),
      ),
    ],
    out: {
      2: f.mpls(
        [
          { label: 9, ttl: 44 },
          { label: 8, ttl: 44 },
        ],
        ttl(55),
      ),
    },
    ovs: "has no copy_ttl_out",
  },
  {
    section: "§7.2.5.4",
    name: "copy_ttl_in copies the only label's TTL to the IP header",
    flows: ["mpls,actions=copy_ttl_in,output:2"],
    in: [1, f.mpls([{ label: 9, ttl: 3 }], ttl(55))],
    out: { 2: f.mpls([{ label: 9, ttl: 3 }], ttl(3)) },
    ovs: "has no copy_ttl_in",
  },
  {
    section: "§7.2.5.4",
    name: "copy_ttl_in copies the upper label's TTL to the lower one",
    flows: ["mpls,actions=copy_ttl_in,output:2"],
    in: [
      1,
      f.mpls(
        [
          { label: 9, ttl: 3 },
          { label: 8, ttl: 44 },
        ],
        ttl(55),
      ),
    ],
    out: {
      2: f.mpls(
        [
          { label: 9, ttl: 3 },
          { label: 8, ttl: 3 },
        ],
        ttl(55),
      ),
    },
    ovs: "has no copy_ttl_in",
  },
];

/** Packets whose TTL runs out. INVALID_TTL packet-ins come only to who asks for them. */
const expiries: Case[] = (
  [
    ["IPv4 TTL 1", "ip", "dec_ttl", ttl(1)],
    ["IPv4 TTL 0", "ip", "dec_ttl", ttl(0)],
    ["IPv6 hop limit 1", "ipv6", "dec_ttl", hops(1)],
    ["MPLS TTL 1", "mpls", "dec_mpls_ttl", f.mpls([{ label: 9, ttl: 1 }], ttl(55))],
  ] as const
).map(
  ([name, match, action, frame]): Case => ({
    section: "§7.2.5.4",
    name: `${name}: the packet is dropped and a packet-in says OFPR_INVALID_TTL`,
    run: async (sw) => {
      await sw.ok({
        type: "OFPT_SET_ASYNC",
        packet_in_mask: [7, 0],
        port_status_mask: [7, 7],
        flow_removed_mask: [15, 0],
      });
      await sw.flows(`cookie=7,${match},actions=output:2,${action},output:3`);
      expect(await sw.frame(1, frame)).toEqual({ 2: [frame] });
      expect(await sw.unasked("OFPT_PACKET_IN", 1)).toMatchObject([
        { reason: "OFPR_INVALID_TTL", table_id: 0, cookie: 7n, data: frame, match: { in_port: 1 } },
      ]);
    },
  }),
);

const pbbCases: Case[] = [
  {
    section: "§5.12.1",
    name: "push_pbb copies the Ethernet addresses to the customer's and gives I-SID 0",
    flows: ["actions=push_pbb:0x88e7,output:2"],
    in: [1, f.udp4()],
    out: { 2: f.pbb(0, f.udp4()) },
    ovs: "has no push_pbb",
  },
  {
    section: "§5.12.1",
    name: "push_pbb with set_field pbb_isid and eth_dst writes the backbone header",
    flows: [
      "actions=push_pbb:0x88e7,set_field:0x123456->pbb_isid,set_field:0a:0b:0c:0d:0e:0f->eth_dst,output:2",
    ],
    in: [1, f.udp4()],
    out: { 2: f.pbb(0x123456, f.udp4(), { dst: "0a:0b:0c:0d:0e:0f" }) },
    ovs: "has no push_pbb",
  },
  {
    section: "§5.12.1",
    name: "push_pbb takes the priority of the VLAN tag",
    flows: ["actions=push_pbb:0x88e7,output:2"],
    in: [1, vlanOn({ vid: 5, pcp: 6 })()],
    out: { 2: f.pbb(0, vlanOn({ vid: 5, pcp: 6 })(), { pcp: 6 }) },
    ovs: "has no push_pbb",
  },
  {
    section: "§5.12",
    name: "pop_pbb gives the customer's frame back, which the next table matches",
    flows: [
      "dl_type=0x88e7,actions=pop_pbb,goto_table:1",
      "table=1,priority=2,udp,udp_dst=2000,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, f.pbb(7, f.udp4(), { dst: "0a:0b:0c:0d:0e:0f" })],
    out: { 2: f.udp4() },
    ovs: "has no pop_pbb",
  },
];

conformance(
  "§5.12 actions",
  [...output, ...vlan, ...mplsCases, ...ttlCases, ...expiries, ...pbbCases],
  ["inline", "worker"],
);
