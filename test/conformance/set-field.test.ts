import { fromHex, neighbor } from "@sluice/wire";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";

/** §7.2.5.5: OFPAT_SET_FIELD on each field that can be set. Expected frames are built, so every checksum in them is
 *  the right one. */
interface Row {
  flow: string;
  set: string;
  in: (eth: f.Eth) => Uint8Array;
  out: (eth: f.Eth) => Uint8Array;
  /** More of the name. */
  note?: string;
  ownTags?: true;
  ovs?: string;
  open?: string;
}
type Frame = (eth: f.Eth) => Uint8Array;

const rowsOf = (
  list: readonly (readonly [flow: string, set: string, before: Frame, after: Frame, note?: string])[],
  more: Partial<Row> = {},
): Row[] =>
  list.map(([flow, set, before, after, note]) => ({
    flow,
    set,
    in: before,
    out: after,
    ...(note ? { note } : {}),
    ...more,
  }));

type Init<B extends (init: never) => Uint8Array> = Parameters<B>[0];
const build =
  <B extends (init: never) => Uint8Array>(builder: B) =>
  (init: Omit<NonNullable<Init<B>>, "eth"> = {} as never): Frame =>
  (eth) =>
    (builder as unknown as (init: object) => Uint8Array)({ ...init, eth });

const udp4 = build(f.udp4);
const tcp4 = build(f.tcp4);
const icmp4 = build(f.icmp4);
const udp6 = build(f.udp6);
const tcp6 = build(f.tcp6);
const icmp6 = build(f.icmp6);
const sctp4 = build(f.sctp4);
const sctp6 = build(f.sctp6);
const arp = build(f.arpFrame);
const ns = build(f.ndSolicit);
const na = build(f.ndAdvert);

const NEW = "0a:0b:0c:0d:0e:0f";

const ethernetRows = rowsOf([
  ["", `${NEW}->eth_dst`, (eth) => f.udp4({ eth }), (eth) => f.udp4({ eth: { ...eth, dst: NEW } })],
  ["", `${NEW}->eth_src`, (eth) => f.arpFrame({ eth }), (eth) => f.arpFrame({ eth: { ...eth, src: NEW } })],
]);

const vlan =
  (...tags: f.Tag[]): Frame =>
  () =>
    f.udp4({ eth: f.tagged(...tags) });
const vlanRows = rowsOf(
  [
    ["dl_vlan=5", "0x1007->vlan_vid", vlan({ vid: 5, pcp: 3 }), vlan({ vid: 7, pcp: 3 })],
    ["dl_vlan=5", "6->vlan_pcp", vlan({ vid: 5, pcp: 3 }), vlan({ vid: 5, pcp: 6 })],
    [
      "dl_vlan=5",
      "0x1fff->vlan_vid",
      vlan({ tpid: 0x88a8, vid: 5 }, { vid: 9 }),
      vlan({ tpid: 0x88a8, vid: 4095 }, { vid: 9 }),
      "the outer tag",
    ],
  ],
  { ownTags: true },
);

const ipv4Rows = rowsOf([
  ["ip", "192.168.200.100->ip_src", udp4(), udp4({ ip: { src: "192.168.200.100" } }), "UDP"],
  ["ip", "192.168.200.100->ip_dst", udp4(), udp4({ ip: { dst: "192.168.200.100" } }), "UDP"],
  ["ip", "192.168.200.100->ip_src", tcp4(), tcp4({ ip: { src: "192.168.200.100" } }), "TCP"],
  ["ip", "192.168.200.100->ip_dst", tcp4(), tcp4({ ip: { dst: "192.168.200.100" } }), "TCP"],
  ["ip", "192.168.200.100->ip_src", icmp4(), icmp4({ ip: { src: "192.168.200.100" } }), "ICMP"],
  ["ip", "192.168.200.100->ip_dst", sctp4(), sctp4({ ip: { dst: "192.168.200.100" } }), "SCTP"],
  [
    "ip",
    "192.168.200.100->ip_dst",
    udp4({ ip: { options: fromHex("01010101") } }),
    udp4({ ip: { options: fromHex("01010101"), dst: "192.168.200.100" } }),
    "behind IPv4 options",
  ],
  [
    "ip",
    "192.168.200.100->ip_src",
    udp4({ checksum: 0 }),
    udp4({ checksum: 0, ip: { src: "192.168.200.100" } }),
    "UDP without a checksum",
  ],
  ["ip", "46->ip_dscp", udp4({ ip: { tos: 3 } }), udp4({ ip: { tos: (46 << 2) | 3 } })],
  ["ip", "2->ip_ecn", udp4({ ip: { tos: 46 << 2 } }), udp4({ ip: { tos: (46 << 2) | 2 } })],
]);

const fragmentRows = rowsOf(
  [
    [
      "ip",
      "192.168.200.100->ip_src",
      (eth) => f.raw4(17, f.DATA, { eth, ip: { frag_offset: 10 } }),
      (eth) => f.raw4(17, f.DATA, { eth, ip: { frag_offset: 10, src: "192.168.200.100" } }),
      "a later fragment, whose data are not touched",
    ],
  ],
  { ovs: "takes the data of a later fragment for a UDP header" },
);

const ipv6Rows = rowsOf([
  ["ipv6", "2001:db8::99->ipv6_src", udp6(), udp6({ ip: { src: "2001:db8::99" } }), "UDP"],
  ["ipv6", "2001:db8::99->ipv6_dst", udp6(), udp6({ ip: { dst: "2001:db8::99" } }), "UDP"],
  ["ipv6", "2001:db8::99->ipv6_src", tcp6(), tcp6({ ip: { src: "2001:db8::99" } }), "TCP"],
  ["ipv6", "2001:db8::99->ipv6_dst", icmp6(), icmp6({ ip: { dst: "2001:db8::99" } }), "ICMPv6"],
  ["ipv6", "2001:db8::99->ipv6_dst", sctp6(), sctp6({ ip: { dst: "2001:db8::99" } }), "SCTP"],
  [
    "ipv6",
    "2001:db8::99->ipv6_src",
    udp6({ ip: { extensions: [{ type: 0, data: new Uint8Array(6) }] } }),
    udp6({ ip: { src: "2001:db8::99", extensions: [{ type: 0, data: new Uint8Array(6) }] } }),
    "behind an extension header",
  ],
  ["ipv6", "46->ip_dscp", udp6({ ip: { traffic_class: 1 } }), udp6({ ip: { traffic_class: (46 << 2) | 1 } })],
  ["ipv6", "3->ip_ecn", udp6({ ip: { traffic_class: 0xb8 } }), udp6({ ip: { traffic_class: 0xbb } })],
  [
    "ipv6",
    "0x54321->ipv6_label",
    udp6({ ip: { traffic_class: 0xff } }),
    udp6({ ip: { traffic_class: 0xff, flow_label: 0x54321 } }),
  ],
]);

const l4Rows = rowsOf([
  ["tcp", "0xabcd->tcp_src", tcp4(), tcp4({ src_port: 0xabcd })],
  ["tcp", "0xabcd->tcp_dst", tcp4(), tcp4({ dst_port: 0xabcd })],
  ["tcp6", "0xabcd->tcp_src", tcp6(), tcp6({ src_port: 0xabcd })],
  ["tcp6", "0xabcd->tcp_dst", tcp6(), tcp6({ dst_port: 0xabcd })],
  ["udp", "0xabcd->udp_src", udp4(), udp4({ src_port: 0xabcd })],
  ["udp", "0xabcd->udp_dst", udp4(), udp4({ dst_port: 0xabcd })],
  ["udp", "0xabcd->udp_dst", udp4({ checksum: 0 }), udp4({ checksum: 0, dst_port: 0xabcd }), "no checksum"],
  ["udp6", "0xabcd->udp_src", udp6(), udp6({ src_port: 0xabcd })],
  ["udp6", "0xabcd->udp_dst", udp6(), udp6({ dst_port: 0xabcd })],
  ["sctp", "0xabcd->sctp_src", sctp4(), sctp4({ src_port: 0xabcd })],
  ["sctp", "0xabcd->sctp_dst", sctp4(), sctp4({ dst_port: 0xabcd })],
  ["sctp6", "0xabcd->sctp_src", sctp6(), sctp6({ src_port: 0xabcd })],
  ["sctp6", "0xabcd->sctp_dst", sctp6(), sctp6({ dst_port: 0xabcd })],
  ["icmp", "0->icmp_type", icmp4(), icmp4({ type: 0 })],
  ["icmp", "9->icmp_code", icmp4(), icmp4({ code: 9 })],
  ["icmp6", "129->icmpv6_type", icmp6(), icmp6({ type: 129 })],
  ["icmp6", "9->icmpv6_code", icmp6(), icmp6({ code: 9 })],
]);

const NS = "icmp6,icmpv6_type=135,icmpv6_code=0";
const NA = "icmp6,icmpv6_type=136,icmpv6_code=0";
const neighborRows = rowsOf([
  ["arp", "2->arp_op", arp(), arp({ op: 2 })],
  ["arp", "192.168.200.100->arp_spa", arp(), arp({ spa: "192.168.200.100" })],
  ["arp", "192.168.200.100->arp_tpa", arp(), arp({ tpa: "192.168.200.100" })],
  ["arp", `${NEW}->arp_sha`, arp(), arp({ sha: NEW })],
  ["arp", `${NEW}->arp_tha`, arp(), arp({ tha: NEW })],
  [NS, "2001:db8::99->nd_target", ns(), ns({ target: "2001:db8::99" })],
  [NA, "2001:db8::99->nd_target", na(), na({ target: "2001:db8::99" })],
  [NS, `${NEW}->nd_sll`, ns(), ns({ sll: NEW })],
  [NA, `${NEW}->nd_tll`, na(), na({ tll: NEW })],
  [NS, `${NEW}->nd_sll`, icmp6Without(), icmp6Without(), "a solicitation without the option stays as it is"],
]);
function icmp6Without(): Frame {
  return (eth) => f.icmp6({ type: 135, eth }, neighbor({ target: f.IP6_B }));
}

const label =
  (...labels: f.Label[]): Frame =>
  (eth) =>
    f.mpls(labels, f.udp4({ eth }));
const mplsRows = rowsOf([
  [
    "mpls",
    "0xabcde->mpls_label",
    label({ label: 1, tc: 5, ttl: 9 }, { label: 2 }),
    label({ label: 0xabcde, tc: 5, ttl: 9 }, { label: 2 }),
  ],
  ["mpls", "6->mpls_tc", label({ label: 1, tc: 5, ttl: 9 }), label({ label: 1, tc: 6, ttl: 9 })],
]);
const pbbRows = rowsOf(
  [
    [
      "dl_type=0x88e7",
      "0x654321->pbb_isid",
      () => f.pbb(0x111111, f.udp4(), { pcp: 5 }),
      () => f.pbb(0x654321, f.udp4(), { pcp: 5 }),
    ],
  ],
  { ownTags: true, ovs: "has no pbb_isid" },
);

const rows = [
  ...ethernetRows,
  ...vlanRows,
  ...ipv4Rows,
  ...fragmentRows,
  ...ipv6Rows,
  ...l4Rows,
  ...neighborRows,
  ...mplsRows,
  ...pbbRows,
];

const packetCases = rows.flatMap((row) =>
  (row.ownTags ? [[]] : [[], [{ vid: 100, pcp: 2 }]]).map(
    (tags): Case => ({
      section: "§7.2.5.5",
      name: `set_field:${row.set}${row.note ? `: ${row.note}` : ""}${tags.length > 0 ? ", tagged" : ""}`,
      ...(row.ovs ? { ovs: row.ovs } : {}),
      ...(row.open ? { open: row.open } : {}),
      // The one before the change and the one after it both leave: a copy must not be changed.
      flows: [`${row.flow}${row.flow === "" ? "" : ","}actions=output:2,set_field:${row.set},output:3`],
      in: [1, row.in(f.tagged(...tags))],
      out: { 2: row.in(f.tagged(...tags)), 3: row.out(f.tagged(...tags)) },
    }),
  ),
);

const pipelineCases: Case[] = (
  [
    ["metadata", "set_field:0x1122334455667788->metadata", "metadata=0x1122334455667788"],
    ["tunnel_id", "set_field:0x1122334455667788->tun_id", "tun_id=0x1122334455667788"],
  ] as const
).map(
  ([field, set, match]): Case => ({
    section: "§7.2.5.5",
    name: `set_field on ${field} is seen by the next table`,
    flows: [
      `actions=${set},goto_table:1`,
      `table=1,priority=10,${match},actions=output:2`,
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  }),
);

const several: Case[] = [
  {
    section: "§7.2.5.5",
    name: "several set_fields on one packet change it one after another",
    flows: [
      `udp,actions=set_field:1.2.3.4->ip_src,set_field:5.6.7.8->ip_dst,set_field:1->udp_src,set_field:2->udp_dst,set_field:46->ip_dscp,set_field:${NEW}->eth_src,output:2`,
    ],
    in: [1, f.udp4()],
    out: {
      2: f.udp4({
        eth: { src: NEW },
        ip: { src: "1.2.3.4", dst: "5.6.7.8", tos: 46 << 2 },
        src_port: 1,
        dst_port: 2,
      }),
    },
  },
  {
    section: "§5.8",
    name: "a field that apply-actions set is matched by the next table",
    flows: [
      "udp,actions=set_field:53->udp_dst,goto_table:1",
      "table=1,priority=10,udp,udp_dst=53,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ dst_port: 53 }) },
  },
  {
    section: "§7.2.5.5",
    name: "a packet with a wrong checksum keeps a wrong one: the change is incremental",
    run: async (sw) => {
      await sw.flows("udp,actions=set_field:53->udp_dst,output:2");
      const wrong = f.udp4({ checksum: 0x1234 });
      const out = await sw.frame(1, wrong);
      expect(out[2]).toHaveLength(1);
      expect(out[2]![0]).not.toEqual(f.udp4({ dst_port: 53 }));
    },
  },
];

conformance("§7.2.5.5 set_field", [...packetCases, ...pipelineCases, ...several], ["inline", "worker"]);
