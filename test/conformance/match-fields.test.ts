import type { Match } from "@sluice/openflow-codec";
import {
  arp,
  ethernet,
  type Icmpv6,
  type Ipv4Init,
  type Ipv6Init,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  ND_OPTION,
  neighbor,
  parseMac,
  tcp,
  udp,
} from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { output } from "../../packages/switch/src/ofproto/bench.testkit.js";
import { openSwitch } from "./bench.js";

/** OpenFlow 1.3.5 §7.2.3.7, table 11: each match field takes a packet that has the value and leaves one that differs
 *  in this field alone, exactly and, where the field has masks, by mask; on untagged and tagged frames. */

type Tag = { vid: number; pcp?: number }[];
type Build = (vlans: Tag) => Uint8Array;

interface Case {
  field: string;
  /** The match of this field, and what it needs. */
  match: Match;
  /** Match of part of the field; a packet that agrees in this part only. */
  masked?: Match;
  hit: Build;
  miss: Build;
  /** The field is about the tag: the frames bring their own. */
  ownTags?: true;
}

const A = "00:00:00:00:00:01";
const B = "00:00:00:00:00:02";
const at = (vlans: Tag) => ({ src: A, dst: B, ...(vlans.length > 0 ? { vlans } : {}) });

const eth =
  (init: { src?: string; dst?: string; eth_type?: number }): Build =>
  (vlans) =>
    ethernet({ ...at(vlans), eth_type: 0x9000, ...init }, new Uint8Array(46));
const v4 =
  (init: Partial<Ipv4Init>, payload: Parameters<typeof ipv4>[1] = udp({ src_port: 7, dst_port: 8 })): Build =>
  (vlans) =>
    ethernet(at(vlans), ipv4({ src: "10.0.0.1", dst: "10.0.0.2", ...init }, payload));
const v6 =
  (init: Partial<Ipv6Init>, payload: Parameters<typeof ipv6>[1] = udp({ src_port: 7, dst_port: 8 })): Build =>
  (vlans) =>
    ethernet(at(vlans), ipv6({ src: "fe80::1", dst: "fe80::2", ...init }, payload));
const anArp =
  (init: Partial<Parameters<typeof arp>[0]>): Build =>
  (vlans) =>
    ethernet(at(vlans), arp({ op: 1, sha: A, spa: "10.0.0.1", tha: B, tpa: "10.0.0.2", ...init }));
const sctp = (src: number, dst: number): Uint8Array =>
  Uint8Array.of(src >> 8, src, dst >> 8, dst, 0, 0, 0, 0, 0, 0, 0, 0);
const nd = (type: number, target: string, address = A): Icmpv6 =>
  icmpv6(
    { type },
    neighbor({
      target,
      options: [
        {
          type: type === 135 ? ND_OPTION.SOURCE_LINK_ADDRESS : ND_OPTION.TARGET_LINK_ADDRESS,
          data: parseMac(address),
        },
      ],
    }),
  );
const mpls =
  (label: number, tc: number, bos: number): Build =>
  (vlans) => {
    const entry = ((label << 12) | (tc << 9) | (bos << 8) | 64) >>> 0;
    const payload = new Uint8Array(46);
    new DataView(payload.buffer).setUint32(0, entry);
    return ethernet({ ...at(vlans), eth_type: 0x8847 }, payload);
  };
const pbb =
  (isid: number): Build =>
  (vlans) => {
    const payload = new Uint8Array(64);
    new DataView(payload.buffer).setUint32(0, isid);
    return ethernet({ ...at(vlans), eth_type: 0x88e7 }, payload);
  };

const IP4 = { eth_type: 0x0800 } as const;
const IP6 = { eth_type: 0x86dd } as const;
const ARP = { eth_type: 0x0806 } as const;
const MPLS = { eth_type: 0x8847 } as const;

const CASES: readonly Case[] = [
  {
    field: "eth_dst",
    match: { eth_dst: B },
    masked: { eth_dst: { value: B, mask: "00:00:00:00:00:0f" } },
    hit: eth({}),
    miss: eth({ dst: "00:00:00:00:00:03" }),
  },
  {
    field: "eth_src",
    match: { eth_src: A },
    masked: { eth_src: { value: A, mask: "00:00:00:00:00:0f" } },
    hit: eth({}),
    miss: eth({ src: "00:00:00:00:00:03" }),
  },
  { field: "eth_type", match: { eth_type: 0x9000 }, hit: eth({}), miss: eth({ eth_type: 0x9001 }) },
  {
    field: "vlan_vid",
    ownTags: true,
    match: { vlan_vid: 0x1005 },
    masked: { vlan_vid: { value: 0x1001, mask: 0x1001 } },
    hit: () => eth({})([{ vid: 5 }]),
    miss: () => eth({})([{ vid: 6 }]),
  },
  {
    field: "vlan_vid none",
    ownTags: true,
    match: { vlan_vid: 0 },
    hit: eth({}),
    miss: () => eth({})([{ vid: 0 }]),
  },
  {
    field: "vlan_vid any",
    ownTags: true,
    match: { vlan_vid: { value: 0x1000, mask: 0x1000 } },
    hit: () => eth({})([{ vid: 0 }]),
    miss: eth({}),
  },
  {
    field: "vlan_pcp",
    ownTags: true,
    match: { vlan_vid: 0x1005, vlan_pcp: 3 },
    hit: () => eth({})([{ vid: 5, pcp: 3 }]),
    miss: () => eth({})([{ vid: 5, pcp: 2 }]),
  },
  {
    field: "ip_dscp v4",
    match: { ...IP4, ip_dscp: 10 },
    hit: v4({ tos: 10 << 2 }),
    miss: v4({ tos: 11 << 2 }),
  },
  {
    field: "ip_dscp v6",
    match: { ...IP6, ip_dscp: 10 },
    hit: v6({ traffic_class: 10 << 2 }),
    miss: v6({ traffic_class: 11 << 2 }),
  },
  { field: "ip_ecn v4", match: { ...IP4, ip_ecn: 2 }, hit: v4({ tos: 2 }), miss: v4({ tos: 1 }) },
  {
    field: "ip_ecn v6",
    match: { ...IP6, ip_ecn: 2 },
    hit: v6({ traffic_class: 2 }),
    miss: v6({ traffic_class: 1 }),
  },
  {
    field: "ip_proto v4",
    match: { ...IP4, ip_proto: 17 },
    hit: v4({}),
    miss: v4({}, tcp({ src_port: 7, dst_port: 8 })),
  },
  {
    field: "ip_proto v6",
    match: { ...IP6, ip_proto: 17 },
    hit: v6({}),
    miss: v6({}, tcp({ src_port: 7, dst_port: 8 })),
  },
  {
    field: "ipv4_src",
    match: { ...IP4, ipv4_src: "10.0.0.1" },
    masked: { ...IP4, ipv4_src: { value: "10.0.0.0", mask: "255.255.255.0" } },
    hit: v4({}),
    miss: v4({ src: "10.0.1.1" }),
  },
  {
    field: "ipv4_dst",
    match: { ...IP4, ipv4_dst: "10.0.0.2" },
    masked: { ...IP4, ipv4_dst: { value: "10.0.0.0", mask: "255.255.255.0" } },
    hit: v4({}),
    miss: v4({ dst: "10.0.1.2" }),
  },
  ...(["tcp", "udp", "sctp"] as const).flatMap((name): Case[] => {
    const build = {
      tcp: (s: number, d: number) => tcp({ src_port: s, dst_port: d }),
      udp: (s: number, d: number) => udp({ src_port: s, dst_port: d }),
      sctp,
    }[name];
    const proto = { tcp: 6, udp: 17, sctp: 132 }[name];
    return (["v4", "v6"] as const).flatMap((version) => {
      const base = { ...(version === "v4" ? IP4 : IP6), ip_proto: proto };
      const over = version === "v4" ? v4 : v6;
      const of = (s: number, d: number): Build => over({ proto }, build(s, d));
      return [
        {
          field: `${name}_src ${version}`,
          match: { ...base, [`${name}_src`]: 7 },
          masked: { ...base, [`${name}_src`]: { value: 4, mask: 4 } } as Match,
          hit: of(7, 8),
          miss: of(9, 8),
        },
        {
          field: `${name}_dst ${version}`,
          match: { ...base, [`${name}_dst`]: 8 },
          masked: { ...base, [`${name}_dst`]: { value: 8, mask: 8 } } as Match,
          hit: of(7, 8),
          miss: of(7, 4),
        },
      ];
    });
  }),
  {
    field: "icmpv4_type",
    match: { ...IP4, ip_proto: 1, icmpv4_type: 8 },
    hit: v4({}, icmpv4({ type: 8 })),
    miss: v4({}, icmpv4({ type: 0 })),
  },
  {
    field: "icmpv4_code",
    match: { ...IP4, ip_proto: 1, icmpv4_code: 1 },
    hit: v4({}, icmpv4({ type: 3, code: 1 })),
    miss: v4({}, icmpv4({ type: 3, code: 2 })),
  },
  { field: "arp_op", match: { ...ARP, arp_op: 1 }, hit: anArp({}), miss: anArp({ op: 2 }) },
  {
    field: "arp_spa",
    match: { ...ARP, arp_spa: "10.0.0.1" },
    masked: { ...ARP, arp_spa: { value: "10.0.0.0", mask: "255.255.255.0" } },
    hit: anArp({}),
    miss: anArp({ spa: "10.0.1.1" }),
  },
  {
    field: "arp_tpa",
    match: { ...ARP, arp_tpa: "10.0.0.2" },
    masked: { ...ARP, arp_tpa: { value: "10.0.0.0", mask: "255.255.255.0" } },
    hit: anArp({}),
    miss: anArp({ tpa: "10.0.1.1" }),
  },
  {
    field: "arp_sha",
    match: { ...ARP, arp_sha: A },
    masked: { ...ARP, arp_sha: { value: A, mask: "00:00:00:00:00:0f" } },
    hit: anArp({}),
    miss: anArp({ sha: "00:00:00:00:00:04" }),
  },
  {
    field: "arp_tha",
    match: { ...ARP, arp_tha: B },
    masked: { ...ARP, arp_tha: { value: B, mask: "00:00:00:00:00:0f" } },
    hit: anArp({}),
    miss: anArp({ tha: "00:00:00:00:00:04" }),
  },
  {
    field: "ipv6_src",
    match: { ...IP6, ipv6_src: "fe80::1" },
    masked: { ...IP6, ipv6_src: { value: "fe80::", mask: "ffff::" } },
    hit: v6({}),
    miss: v6({ src: "2001::1" }),
  },
  {
    field: "ipv6_dst",
    match: { ...IP6, ipv6_dst: "fe80::2" },
    masked: { ...IP6, ipv6_dst: { value: "fe80::", mask: "ffff::" } },
    hit: v6({}),
    miss: v6({ dst: "2001::2" }),
  },
  {
    field: "ipv6_flabel",
    match: { ...IP6, ipv6_flabel: 0x12345 },
    masked: { ...IP6, ipv6_flabel: { value: 0x10000, mask: 0xf0000 } },
    hit: v6({ flow_label: 0x12345 }),
    miss: v6({ flow_label: 0x22345 }),
  },
  {
    field: "icmpv6_type",
    match: { ...IP6, ip_proto: 58, icmpv6_type: 128 },
    hit: v6({}, icmpv6({ type: 128 }, new Uint8Array(8))),
    miss: v6({}, icmpv6({ type: 129 }, new Uint8Array(8))),
  },
  {
    field: "icmpv6_code",
    match: { ...IP6, ip_proto: 58, icmpv6_code: 1 },
    hit: v6({}, icmpv6({ type: 1, code: 1 }, new Uint8Array(8))),
    miss: v6({}, icmpv6({ type: 1, code: 2 }, new Uint8Array(8))),
  },
  {
    field: "ipv6_nd_target",
    match: { ...IP6, ip_proto: 58, icmpv6_type: 135, ipv6_nd_target: "fe80::9" },
    hit: v6({}, nd(135, "fe80::9")),
    miss: v6({}, nd(135, "fe80::8")),
  },
  {
    field: "ipv6_nd_sll",
    match: { ...IP6, ip_proto: 58, icmpv6_type: 135, ipv6_nd_sll: A },
    hit: v6({}, nd(135, "fe80::9")),
    miss: v6({}, nd(135, "fe80::9", B)),
  },
  {
    field: "ipv6_nd_tll",
    match: { ...IP6, ip_proto: 58, icmpv6_type: 136, ipv6_nd_tll: A },
    hit: v6({}, nd(136, "fe80::9")),
    miss: v6({}, nd(136, "fe80::9", B)),
  },
  { field: "mpls_label", match: { ...MPLS, mpls_label: 77 }, hit: mpls(77, 1, 1), miss: mpls(78, 1, 1) },
  { field: "mpls_tc", match: { ...MPLS, mpls_tc: 1 }, hit: mpls(77, 1, 1), miss: mpls(77, 2, 1) },
  { field: "mpls_bos", match: { ...MPLS, mpls_bos: 1 }, hit: mpls(77, 1, 1), miss: mpls(77, 1, 0) },
  {
    field: "pbb_isid",
    match: { eth_type: 0x88e7, pbb_isid: 0x123456 },
    masked: { eth_type: 0x88e7, pbb_isid: { value: 0x120000, mask: 0xff0000 } },
    hit: pbb(0x123456),
    miss: pbb(0x223456),
  },
  {
    field: "ipv6_exthdr",
    match: { ...IP6, ipv6_exthdr: { value: 0x40, mask: 0x40 } },
    hit: v6({ extensions: [{ type: 0, data: new Uint8Array(6) }] }),
    miss: v6({}),
  },
];

const TAGS: readonly [string, Tag][] = [
  ["untagged", []],
  ["tagged", [{ vid: 9, pcp: 1 }]],
];

describe.each(CASES)("§7.2.3.7 $field", ({ match, masked, hit, miss, ownTags }) => {
  for (const [kind, vlans] of ownTags ? TAGS.slice(0, 1) : TAGS) {
    for (const [how, fields] of [
      ["exact", match],
      ["masked", masked],
    ] as const) {
      if (!fields) continue;
      test(`${kind}, ${how}`, async () => {
        const bench = await openSwitch(2);
        bench.flow(fields, [output(2)]);
        // Twice, in either order: the cached flows must tell them apart too.
        for (let i = 0; i < 2; i++) {
          expect(await bench.receive("p1", hit(vlans))).toEqual(["p2"]);
          expect(await bench.receive("p1", miss(vlans))).toEqual([]);
        }
        const other = await openSwitch(2);
        other.flow(fields, [output(2)]);
        expect(await other.receive("p1", miss(vlans))).toEqual([]);
        expect(await other.receive("p1", hit(vlans))).toEqual(["p2"]);
        expect(await bench.dump()).toMatchObject([{ packet_count: 2n }]);
      });
    }
  }
});

test("§7.2.3.7 in_port and in_phy_port are the port that the packet came in by", async () => {
  const bench = await openSwitch(3);
  bench.flow({ in_port: 1 }, [output(3)]);
  bench.flow({ in_port: 2, in_phy_port: 2 }, [output(1)]);
  expect(await bench.receive("p1", eth({})([]))).toEqual(["p3"]);
  expect(await bench.receive("p2", eth({})([]))).toEqual(["p1"]);
  expect(await bench.receive("p3", eth({})([]))).toEqual([]);
});

test("§7.2.3.7 metadata passes from table to table, under its mask", async () => {
  const bench = await openSwitch(3);
  for (const in_port of [1, 2]) {
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: { in_port },
      instructions: [
        { type: "OFPIT_WRITE_METADATA", metadata: BigInt(in_port) << 40n, metadata_mask: 0xff_0000_0000_00n },
        { type: "OFPIT_GOTO_TABLE", table_id: 1 },
      ],
    });
  }
  bench.flow({ metadata: { value: 1n << 40n, mask: 0xffn << 40n } }, [output(3)], { table_id: 1 });
  expect(await bench.receive("p1", eth({})([]))).toEqual(["p3"]);
  expect(await bench.receive("p2", eth({})([]))).toEqual([]);
});
