import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";

/** §7.2.3.7, table 11: the 40 match fields, exactly and by mask. */
interface Row {
  field: string;
  /** In ovs-ofctl's syntax, with what the field needs. */
  flow: string;
  /** A frame that matches and one that does not, around the given tags. */
  hit: (eth: f.Eth) => Uint8Array;
  miss: (eth: f.Eth) => Uint8Array;
  /** Where the frames come in; 1 when left out. */
  hitPort?: number;
  missPort?: number;
  /** Flows that come before; the row's own is then in table 1. */
  before?: readonly string[];
  /** The frames bring their own tags. */
  ownTags?: true;
  /** Open_vSwitch other_config:vlan-limit. */
  vlanLimit?: number;
  ovs?: string;
  open?: string;
}

type Build = (eth: f.Eth) => Uint8Array;

const rowsOf = (
  list: readonly (readonly [field: string, flow: string, hit: Build, miss: Build])[],
  more: Partial<Row> = {},
): Row[] => list.map(([field, flow, hit, miss]) => ({ field, flow, hit, miss, ...more }));

const of =
  (build: (init: { eth: f.Eth }) => Uint8Array): Build =>
  (eth) =>
    build({ eth });
const always = (frame: Uint8Array) => (): Uint8Array => frame;
const anyFrame = (eth: f.Eth): Uint8Array => f.udp4({ eth });

const inOut: Row[] = [
  { field: "in_port", flow: "in_port=1", hit: anyFrame, miss: anyFrame, missPort: 4 },
  {
    field: "in_phy_port",
    flow: "in_port=1,in_phy_port=1",
    hit: anyFrame,
    miss: anyFrame,
    missPort: 4,
    ovs: "has no in_phy_port",
  },
];

/** metadata and tunnel_id hold what an earlier table put there, by the port that the packet came in by. */
const carried = (field: string, write: (value: string) => string): Row[] =>
  (
    [
      ["0x1122334455667788", "0x1122334455667788", "0x1122334455667789"],
      ["0x0000334400000000/0x0000ffff00000000", "0x1122334455667788", "0x1122334555667788"],
      ["0x88/0xff", "0x1122334455667788", "0x1122334455667789"],
    ] as const
  ).map(([value, hit, miss]) => ({
    field,
    flow: `${field === "tunnel_id" ? "tun_id" : field}=${value}`,
    before: [`in_port=1,actions=${write(hit)},goto_table:1`, `in_port=4,actions=${write(miss)},goto_table:1`],
    hit: anyFrame,
    miss: anyFrame,
    missPort: 4,
  }));

const ethernetRows: Row[] = [
  {
    field: "eth_dst",
    flow: `dl_dst=${f.MAC_B}`,
    hit: anyFrame,
    miss: (eth) => f.udp4({ eth: { ...eth, dst: "0a:00:00:00:00:03" } }),
  },
  {
    field: "eth_dst",
    flow: "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
    hit: (eth) => f.udp4({ eth: { ...eth, dst: "01:00:5e:00:00:01" } }),
    miss: anyFrame,
  },
  {
    field: "eth_dst",
    flow: "dl_dst=0a:00:00:00:00:00/ff:00:ff:00:ff:00",
    hit: (eth) => f.udp4({ eth: { ...eth, dst: "0a:77:00:77:00:77" } }),
    miss: (eth) => f.udp4({ eth: { ...eth, dst: "0a:77:00:77:01:77" } }),
  },
  {
    field: "eth_src",
    flow: `dl_src=${f.MAC_A}`,
    hit: anyFrame,
    miss: (eth) => f.udp4({ eth: { ...eth, src: "0a:00:00:00:00:03" } }),
  },
  {
    field: "eth_src",
    flow: "dl_src=0a:00:00:00:00:00/ff:ff:ff:00:00:00",
    hit: (eth) => f.udp4({ eth: { ...eth, src: "0a:00:00:12:34:56" } }),
    miss: (eth) => f.udp4({ eth: { ...eth, src: "0a:00:01:12:34:56" } }),
  },
  {
    field: "eth_type",
    flow: "dl_type=0x88b5",
    hit: (eth) => f.other(0x88b5, f.DATA, eth),
    miss: (eth) => f.other(0x88b6, f.DATA, eth),
  },
  { field: "eth_type", flow: "dl_type=0x0800", hit: anyFrame, miss: (eth) => f.arpFrame({ eth }) },
  {
    field: "eth_type",
    flow: "dl_type=0x0806",
    hit: (eth) => f.arpFrame({ eth }),
    miss: (eth) => f.udp6({ eth }),
  },
  { field: "eth_type", flow: "dl_type=0x86dd", hit: (eth) => f.udp6({ eth }), miss: anyFrame },
  {
    field: "eth_type",
    flow: "dl_type=0x0800",
    hit: always(f.udp4({ eth: f.tagged({ tpid: 0x88a8, vid: 5 }, { vid: 6 }) })),
    miss: always(f.udp6({ eth: f.tagged({ tpid: 0x88a8, vid: 5 }, { vid: 6 }) })),
    ownTags: true,
    vlanLimit: 2,
  },
  {
    field: "eth_type",
    flow: "dl_type=0x8100",
    hit: always(f.udp4({ eth: f.tagged({ tpid: 0x88a8, vid: 5 }, { vid: 6 }) })),
    miss: always(f.udp4({ eth: f.tagged({ tpid: 0x88a8, vid: 5 }) })),
    ownTags: true,
  },
  {
    field: "eth_type",
    flow: "dl_type=0x0800",
    hit: always(f.udp4({ eth: f.tagged({ vid: 5 }, { vid: 6 }) })),
    miss: always(f.udp4({ eth: f.tagged({ vid: 5 }, { vid: 6 }, { vid: 7 }) })),
    ownTags: true,
    vlanLimit: 0,
  },
];

const vlan = (...tags: f.Tag[]) => always(f.udp4({ eth: f.tagged(...tags) }));
const vlanRows: Row[] = rowsOf(
  [
    ["vlan_vid", "vlan_vid=0x1005", vlan({ vid: 5 }), vlan({ vid: 6 })],
    ["vlan_vid", "vlan_vid=0x1005", vlan({ vid: 5, pcp: 7 }), vlan()],
    ["vlan_vid", "vlan_vid=0x1000", vlan({ vid: 0, pcp: 3 }), vlan()],
    ["vlan_vid", "vlan_vid=0x1000/0x1000", vlan({ vid: 4095 }), vlan()],
    ["vlan_vid", "vlan_vid=0x1004/0x1004", vlan({ vid: 0xf04 }), vlan({ vid: 0xf0b })],
    ["vlan_vid", "vlan_vid=0x0000", vlan(), vlan({ vid: 0 })],
    ["vlan_vid", "vlan_vid=0x1005", vlan({ tpid: 0x88a8, vid: 5 }, { vid: 6 }), vlan({ vid: 6 }, { vid: 5 })],
    ["vlan_pcp", "dl_vlan=5,dl_vlan_pcp=3", vlan({ vid: 5, pcp: 3 }), vlan({ vid: 5, pcp: 4 })],
    ["vlan_pcp", "vlan_vid=0x1000/0x1000,vlan_pcp=0", vlan({ vid: 9, pcp: 0 }), vlan({ vid: 9, pcp: 1 })],
    ["vlan_pcp", "dl_vlan=5,dl_vlan_pcp=3", vlan({ vid: 5, pcp: 3, dei: true }), vlan({ vid: 5, pcp: 2 })],
  ],
  { ownTags: true },
);

const tos = (tos: number) => (eth: f.Eth) => f.udp4({ eth, ip: { tos } });
const tclass = (traffic_class: number) => (eth: f.Eth) => f.udp6({ eth, ip: { traffic_class } });
const src4 = (src: string) => (eth: f.Eth) => f.udp4({ eth, ip: { src } });
const dst4 = (dst: string) => (eth: f.Eth) => f.udp4({ eth, ip: { dst } });
const src6 = (src: string) => (eth: f.Eth) => f.udp6({ eth, ip: { src } });
const dst6 = (dst: string) => (eth: f.Eth) => f.udp6({ eth, ip: { dst } });
const label6 = (flow_label: number) => (eth: f.Eth) => f.udp6({ eth, ip: { flow_label } });

const ipRows: Row[] = rowsOf([
  ["ip_dscp", "ip,ip_dscp=46", tos((46 << 2) | 3), tos(45 << 2)],
  ["ip_dscp", "ipv6,ip_dscp=46", tclass((46 << 2) | 1), tclass(47 << 2)],
  ["ip_ecn", "ip,ip_ecn=2", tos((46 << 2) | 2), tos((46 << 2) | 3)],
  ["ip_ecn", "ipv6,ip_ecn=1", tclass(1), tclass(2)],
  ["ip_proto", "ip,nw_proto=89", (eth) => f.raw4(89, f.DATA, { eth }), (eth) => f.raw4(88, f.DATA, { eth })],
  ["ip_proto", "ip,nw_proto=17", (eth) => f.udp4({ eth }), (eth) => f.tcp4({ eth })],
  ["ip_proto", "ipv6,nw_proto=89", (eth) => f.raw6(89, f.DATA, { eth }), (eth) => f.udp6({ eth })],
  ["ipv4_src", "ip,nw_src=10.1.0.1", src4("10.1.0.1"), src4("10.1.0.3")],
  ["ipv4_src", "ip,nw_src=10.1.0.0/16", src4("10.1.255.254"), src4("10.2.0.1")],
  ["ipv4_src", "ip,nw_src=0.0.0.1/0.0.0.1", src4("1.2.3.5"), src4("1.2.3.4")],
  ["ipv4_dst", "ip,nw_dst=10.1.0.2", dst4("10.1.0.2"), dst4("10.1.0.3")],
  ["ipv4_dst", "ip,nw_dst=224.0.0.0/4", dst4("239.1.2.3"), dst4("223.1.2.3")],
  ["ipv4_dst", "ip,nw_dst=10.0.0.2/255.0.0.255", dst4("10.9.8.2"), dst4("10.9.8.3")],
  ["ipv6_src", `ipv6,ipv6_src=${f.IP6_A}`, src6(f.IP6_A), src6("fd00::a:3")],
  ["ipv6_src", "ipv6,ipv6_src=fd00::/8", src6("fdff::1"), src6("fe80::1")],
  ["ipv6_src", "ipv6,ipv6_src=::1:0:0:1/::ffff:0:0:ffff", src6("fd00::1:9:9:1"), src6("fd00::2:9:9:1")],
  ["ipv6_dst", `ipv6,ipv6_dst=${f.IP6_B}`, dst6(f.IP6_B), dst6("fd00::a:3")],
  ["ipv6_dst", "ipv6,ipv6_dst=2001:db8::/33", dst6("2001:db8:7fff::1"), dst6("2001:db8:8000::1")],
  ["ipv6_dst", "ipv6,ipv6_dst=::2/::ff", dst6("fd00::102"), dst6("fd00::103")],
  ["ipv6_flabel", "ipv6,ipv6_label=0x12345", label6(0x12345), label6(0x12344)],
  ["ipv6_flabel", "ipv6,ipv6_label=0x12000/0xff000", label6(0x12fff), label6(0x13fff)],
]);

type Ports = { src_port?: number; dst_port?: number };
const l4Builders = {
  tcp: (ports: Ports) => (eth: f.Eth) => f.tcp4({ ...ports, eth }),
  tcp6: (ports: Ports) => (eth: f.Eth) => f.tcp6({ ...ports, eth }),
  udp: (ports: Ports) => (eth: f.Eth) => f.udp4({ ...ports, eth }),
  udp6: (ports: Ports) => (eth: f.Eth) => f.udp6({ ...ports, eth }),
  sctp: (ports: Ports) => (eth: f.Eth) => f.sctp4({ ...ports, eth }),
  sctp6: (ports: Ports) => (eth: f.Eth) => f.sctp6({ ...ports, eth }),
};
const l4Rows: Row[] = Object.entries(l4Builders).flatMap(([proto, build]) =>
  (["src", "dst"] as const).flatMap((end): Row[] => {
    const field = `${proto.replace("6", "")}_${end}`;
    const at = (port: number) => build({ [`${end}_port`]: port });
    return [
      { field, flow: `${proto},${field}=0x1234`, hit: at(0x1234), miss: at(0x1235) },
      { field, flow: `${proto},${field}=0x1200/0xff00`, hit: at(0x12ff), miss: at(0x13ff) },
    ];
  }),
);

const icmp = (type: number, code: number) => (eth: f.Eth) => f.icmp4({ type, code, eth });
const icmpv6 = (type: number, code: number) => (eth: f.Eth) => f.icmp6({ type, code, eth });
const ns = (init: { target?: string; sll?: string }) => (eth: f.Eth) => f.ndSolicit({ ...init, eth });
const na = (init: { target?: string; tll?: string }) => (eth: f.Eth) => f.ndAdvert({ ...init, eth });
const arp = (init: Parameters<typeof f.arpFrame>[0]) => (eth: f.Eth) => f.arpFrame({ ...init, eth });
const NS = "icmp6,icmpv6_type=135,icmpv6_code=0";
const NA = "icmp6,icmpv6_type=136,icmpv6_code=0";
const controlRows: Row[] = rowsOf([
  ["icmpv4_type", "icmp,icmp_type=8", icmp(8, 0), icmp(0, 0)],
  ["icmpv4_code", "icmp,icmp_type=3,icmp_code=4", icmp(3, 4), icmp(3, 3)],
  ["icmpv4_code", "icmp,icmp_code=4", icmp(3, 4), icmp(3, 0)],
  ["icmpv6_type", "icmp6,icmpv6_type=128", icmpv6(128, 0), icmpv6(129, 0)],
  ["icmpv6_code", "icmp6,icmpv6_type=1,icmpv6_code=4", icmpv6(1, 4), icmpv6(1, 3)],
  ["arp_op", "arp,arp_op=2", arp({ op: 2 }), arp({ op: 1 })],
  ["arp_spa", "arp,arp_spa=10.1.0.1", arp({}), arp({ spa: "10.1.0.9" })],
  ["arp_spa", "arp,arp_spa=10.0.0.0/8", arp({ spa: "10.9.9.9" }), arp({ spa: "11.1.0.1" })],
  ["arp_tpa", "arp,arp_tpa=10.1.0.2", arp({}), arp({ tpa: "10.1.0.9" })],
  ["arp_tpa", "arp,arp_tpa=0.0.0.2/0.0.0.3", arp({ tpa: "9.9.9.2" }), arp({ tpa: "9.9.9.3" })],
  ["arp_sha", `arp,arp_sha=${f.MAC_A}`, arp({}), arp({ sha: f.MAC_B })],
  [
    "arp_sha",
    "arp,arp_sha=0a:00:00:00:00:00/ff:ff:ff:00:00:00",
    arp({ sha: "0a:00:00:ff:ff:ff" }),
    arp({ sha: "0a:00:01:ff:ff:ff" }),
  ],
  ["arp_tha", `arp,arp_tha=${f.MAC_B}`, arp({ op: 2, tha: f.MAC_B }), arp({ op: 2, tha: f.MAC_A })],
  [
    "arp_tha",
    "arp,arp_tha=00:00:00:00:00:01/00:00:00:00:00:01",
    arp({ op: 2, tha: "0a:00:00:00:00:ff" }),
    arp({ op: 2, tha: "0a:00:00:00:00:fe" }),
  ],
  ["ipv6_nd_target", `${NS},nd_target=fd00::7`, ns({ target: "fd00::7" }), ns({ target: "fd00::8" })],
  ["ipv6_nd_target", `${NA},nd_target=fd00::7`, na({ target: "fd00::7" }), na({ target: "fd00::8" })],
  ["ipv6_nd_target", `${NS},nd_target=fd00::/16`, ns({ target: "fd00:1::7" }), ns({ target: "fd01::7" })],
  ["ipv6_nd_sll", `${NS},nd_sll=${f.MAC_A}`, ns({ sll: f.MAC_A }), ns({ sll: f.MAC_B })],
  [
    "ipv6_nd_sll",
    `${NS},nd_sll=00:00:00:00:00:00/00:00:00:00:00:01`,
    ns({ sll: f.MAC_B }),
    ns({ sll: f.MAC_A }),
  ],
  ["ipv6_nd_tll", `${NA},nd_tll=${f.MAC_B}`, na({ tll: f.MAC_B }), na({ tll: f.MAC_A })],
  [
    "ipv6_nd_tll",
    `${NA},nd_tll=00:00:00:00:00:00/00:00:00:00:00:01`,
    na({ tll: f.MAC_B }),
    na({ tll: f.MAC_A }),
  ],
]);

const label =
  (one: f.Label, below?: f.Label, eth_type = 0x8847) =>
  (eth: f.Eth) =>
    f.mpls(below ? [one, below] : [one], f.udp4({ eth }), eth_type);
const pbb = (isid: number) => (eth: f.Eth) => f.pbb(isid, f.udp4({ eth }));
const shimRows: Row[] = rowsOf([
  ["mpls_label", "mpls,mpls_label=0xabcde", label({ label: 0xabcde }), label({ label: 0xabcdf })],
  ["mpls_label", "mplsm,mpls_label=16", label({ label: 16 }, undefined, 0x8848), label({ label: 16 })],
  [
    "mpls_label",
    "mpls,mpls_label=16",
    label({ label: 16 }, { label: 17 }),
    label({ label: 17 }, { label: 16 }),
  ],
  ["mpls_tc", "mpls,mpls_tc=5", label({ label: 1, tc: 5 }), label({ label: 1, tc: 4 })],
  ["mpls_bos", "mpls,mpls_bos=1", label({ label: 1 }), label({ label: 1 }, { label: 2 })],
  ["mpls_bos", "mpls,mpls_bos=0", label({ label: 1 }, { label: 2 }), label({ label: 1 })],
]);
const pbbRows: Row[] = rowsOf(
  [
    ["pbb_isid", "dl_type=0x88e7,pbb_isid=0x123456", pbb(0x123456), pbb(0x123457)],
    ["pbb_isid", "dl_type=0x88e7,pbb_isid=0x120000/0xff0000", pbb(0x12ffff), pbb(0x13ffff)],
  ],
  { ownTags: true, ovs: "has no pbb_isid" },
);

/** Extension headers by protocol number, with 6 bytes behind next-header and length (7 in a fragment's). */
const withHeaders =
  (...types: readonly number[]) =>
  (eth: f.Eth) =>
    f.udp6({
      eth,
      ip: { extensions: types.map((type) => ({ type, data: new Uint8Array(type === 44 ? 7 : 6) })) },
    });
const exthdr: [string, ReturnType<typeof withHeaders>, ReturnType<typeof withHeaders>][] = [
  ["0x40/0x40", withHeaders(0), withHeaders(60)],
  ["0x20/0x20", withHeaders(43), withHeaders()],
  ["0x10/0x10", withHeaders(44), withHeaders(43)],
  ["0x08/0x08", withHeaders(60), withHeaders(43)],
  ["0x48", withHeaders(0, 60), withHeaders(0)],
  ["0", withHeaders(), withHeaders(0)],
  ["0x01/0x01", (eth) => f.raw6(59, new Uint8Array(0), { eth }), (eth) => f.udp6({ eth })],
  ["0x04/0x04", (eth) => f.raw6(51, new Uint8Array(24), { eth }), (eth) => f.udp6({ eth })],
  ["0x02/0x02", (eth) => f.raw6(50, new Uint8Array(24), { eth }), (eth) => f.udp6({ eth })],
  // Routing before hop-by-hop is not the preferred order (RFC 8200 §4.1).
  ["0x100/0x100", withHeaders(43, 0), withHeaders(0, 43)],
  // A header that was expected at most once came twice.
  ["0x80/0x80", withHeaders(43, 43), withHeaders(43)],
];
const exthdrRows: Row[] = exthdr.map(([value, hit, miss]) => ({
  field: "ipv6_exthdr",
  flow: `ipv6,ipv6_exthdr=${value}`,
  hit,
  miss,
  ovs: "has no ipv6_exthdr",
}));

/** A TCP frame whose header says that it has `words` of 32 bits. */
const tcpOf =
  (words: number) =>
  (eth: f.Eth): Uint8Array => {
    const frame = f.tcp4({ eth });
    frame[frame.length - f.DATA.length - 8] = words << 4;
    return frame;
  };

/** Headers come behind extension headers, and not from other protocols or from behind an MPLS label; a TCP header as
 *  long as its data offset says. */
const prerequisiteRows: Row[] = rowsOf([
  ["udp_dst", "udp6,udp_dst=2000", withHeaders(0, 43, 60), (eth: f.Eth) => f.tcp6({ eth })],
  ["tcp_dst", "tcp,tcp_dst=2000", of(f.tcp4), of(f.udp4)],
  ["ipv4_src", "ip", of(f.udp4), label({ label: 3 })],
  ["icmpv4_type", "icmp,icmp_type=8", of(f.icmp4), of(f.udp4)],
  ["ipv6_src", `ipv6,ipv6_src=${f.IP6_A}`, of(f.udp6), of(f.udp4)],
  ["arp_spa", `arp,arp_spa=${f.IP_A}`, arp({}), of(f.udp4)],
  ["tcp_dst", "tcp,tcp_dst=2000", tcpOf(5), tcpOf(4)],
  ["tcp_dst", "tcp,tcp_dst=2000", tcpOf(15), tcpOf(0)],
  ["tcp_dst", "tcp,tcp_dst=0", tcpOf(1), tcpOf(5)],
]);

const rows = [
  ...inOut,
  ...carried("metadata", (value) => `write_metadata:${value}`),
  ...carried("tunnel_id", (value) => `set_field:${value}->tun_id`),
  ...ethernetRows,
  ...vlanRows,
  ...ipRows,
  ...l4Rows,
  ...controlRows,
  ...shimRows,
  ...pbbRows,
  ...exthdrRows,
  ...prerequisiteRows,
];

function cases(row: Row): Case[] {
  const { field, flow, before, hitPort = 1, missPort = 1 } = row;
  const table = before ? "table=1," : "";
  return (row.ownTags ? [[]] : [[], [{ vid: 100, pcp: 2 }]]).map(
    (tags): Case => ({
      section: "§7.2.3.7",
      name: `${field}: ${flow} takes one frame and leaves another${tags.length > 0 ? ", tagged" : ""}`,
      ...(row.ovs ? { ovs: row.ovs } : {}),
      ...(row.vlanLimit === undefined ? {} : { vlanLimit: row.vlanLimit }),
      ...(row.open ? { open: row.open } : {}),
      run: async (sw) => {
        await sw.flows(
          ...(before ?? []),
          `${table}priority=10,${flow},actions=output:2`,
          `${table}priority=1,actions=output:3`,
        );
        const hit = row.hit(f.tagged(...tags));
        const miss = row.miss(f.tagged(...tags));
        for (let time = 0; time < 2; time++) {
          expect(await sw.frame(hitPort, hit), "the frame that matches").toEqual({ 2: [hit] });
          expect(await sw.frame(missPort, miss), "the frame that does not").toEqual({ 3: [miss] });
        }
      },
    }),
  );
}

conformance("§7.2.3.7 matching", rows.flatMap(cases), ["inline", "worker"]);
