import {
  arp,
  ethernet,
  fromHex,
  IPV4_FLAGS,
  icmpv4,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  neighbor,
  tcp,
  udp,
} from "@sluice/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { extract, Layers } from "./extract.js";
import { DP_LANES, flowField, getField, newFlowKey } from "./flow-key.js";
import { keyToMatch } from "./match.js";

const src = "00:00:00:00:00:01";
const dst = "00:00:00:00:00:02";
const eth = { eth_dst: dst, eth_src: src, vlan_vid: 0, vlan_pcp: 0 };
const v4 = { src: "10.0.0.1", dst: "10.0.0.2", tos: 0xb9, ttl: 17 };
const ip4 = { ...eth, eth_type: 0x0800, ip_dscp: 46, ip_ecn: 1, nw_ttl: 17, nw_frag: 0 };
const ip4Addresses = { ipv4_src: "10.0.0.1", ipv4_dst: "10.0.0.2" };
const v6 = { src: "fe80::1", dst: "ff02::2", traffic_class: 0xb9, flow_label: 0xabcde, hop_limit: 9 };
const ip6 = {
  ...eth,
  eth_type: 0x86dd,
  ip_dscp: 46,
  ip_ecn: 1,
  nw_ttl: 9,
  nw_frag: 0,
  ipv6_src: "fe80::1",
  ipv6_dst: "ff02::2",
  ipv6_flabel: 0xabcde,
  ipv6_exthdr: 0,
};
const tcpSyn = tcp({ src_port: 1000, dst_port: 80, flags: 0x802 });
const dns = udp({ src_port: 1000, dst_port: 53 }, new Uint8Array(3));
const text = (hex: string) => fromHex(hex.replaceAll(" ", ""));
const raw = (eth_type: number, hex: string) => ethernet({ src, dst, eth_type }, text(hex));
const fragment = (offset: number, more: boolean) => ({
  type: 44,
  data: text(`00 ${((offset << 3) | Number(more)).toString(16).padStart(4, "0")} 00000001`),
});
const options = (type: number) => ({ type, data: new Uint8Array(6) });

/** Frames, and all that a match on every bit of their keys says. */
const frames: Record<string, { frame: Uint8Array; match: object }> = {
  "TCP in IPv4": {
    frame: ethernet({ src, dst }, ipv4(v4, tcpSyn)),
    match: { ...ip4, ...ip4Addresses, ip_proto: 6, tcp_src: 1000, tcp_dst: 80, tcp_flags: 0x802 },
  },
  "UDP behind IPv4 options": {
    frame: ethernet({ src, dst }, ipv4({ ...v4, options: new Uint8Array(8) }, dns)),
    match: { ...ip4, ...ip4Addresses, ip_proto: 17, udp_src: 1000, udp_dst: 53 },
  },
  "ICMP in a tagged frame": {
    frame: ethernet(
      { src, dst, vlans: [{ vid: 5, pcp: 3, dei: true }] },
      ipv4(v4, icmpv4({ type: 8, code: 1 }, new Uint8Array(4))),
    ),
    match: {
      ...ip4,
      ...ip4Addresses,
      vlan_vid: 0x1005,
      vlan_pcp: 3,
      ip_proto: 1,
      icmpv4_type: 8,
      icmpv4_code: 1,
    },
  },
  "UDP in a double-tagged frame": {
    frame: ethernet({ src, dst, vlans: [{ tpid: 0x88a8, vid: 7 }, { vid: 5 }] }, ipv4(v4, dns)),
    match: { ...ip4, ...ip4Addresses, vlan_vid: 0x1007, ip_proto: 17, udp_src: 1000, udp_dst: 53 },
  },
  "a third tag, which is no field": {
    frame: ethernet({ src, dst, vlans: [{ vid: 7 }, { vid: 5 }, { vid: 3 }] }, ipv4(v4, dns)),
    match: { ...eth, vlan_vid: 0x1007, eth_type: 0x8100 },
  },
  "the first fragment": {
    frame: ethernet({ src, dst }, ipv4({ ...v4, flags: IPV4_FLAGS.MF }, dns)),
    match: { ...ip4, ...ip4Addresses, nw_frag: 1, ip_proto: 17, udp_src: 1000, udp_dst: 53 },
  },
  "a later fragment, which has no ports": {
    frame: ethernet({ src, dst }, ipv4({ ...v4, frag_offset: 4, proto: 17 }, new Uint8Array(16))),
    match: { ...ip4, ...ip4Addresses, nw_frag: 3, ip_proto: 17, udp_src: 0, udp_dst: 0 },
  },
  "an IPv4 packet longer than its frame": {
    frame: ethernet({ src, dst }, ipv4({ ...v4, total_length: 1000 }, dns)),
    match: {
      ...ip4,
      ip_dscp: 0,
      ip_ecn: 0,
      nw_ttl: 0,
      ip_proto: 0,
      ipv4_src: "0.0.0.0",
      ipv4_dst: "0.0.0.0",
    },
  },
  SCTP: {
    frame: ethernet({ src, dst }, ipv4({ ...v4, proto: 132 }, text("03e8 0050 00000000 00000000"))),
    match: { ...ip4, ...ip4Addresses, ip_proto: 132, sctp_src: 1000, sctp_dst: 80 },
  },
  ARP: {
    frame: ethernet({ src, dst }, arp({ op: 2, sha: src, spa: "10.0.0.1", tha: dst, tpa: "10.0.0.2" })),
    match: {
      ...eth,
      eth_type: 0x0806,
      arp_op: 2,
      arp_spa: "10.0.0.1",
      arp_tpa: "10.0.0.2",
      arp_sha: src,
      arp_tha: dst,
    },
  },
  "UDP in IPv6": {
    frame: ethernet({ src, dst }, ipv6(v6, dns)),
    match: { ...ip6, ip_proto: 17, udp_src: 1000, udp_dst: 53 },
  },
  "TCP behind extension headers in their order": {
    frame: ethernet(
      { src, dst },
      ipv6({ ...v6, extensions: [options(0), options(60), options(43)] }, tcpSyn),
    ),
    match: {
      ...ip6,
      ip_proto: 6,
      ipv6_exthdr: 64 | 8 | 32,
      tcp_src: 1000,
      tcp_dst: 80,
      tcp_flags: 0x802,
    },
  },
  "extension headers out of order, and one twice": {
    frame: ethernet({ src, dst }, ipv6({ ...v6, extensions: [options(43), options(0), options(43)] }, dns)),
    match: { ...ip6, ip_proto: 17, ipv6_exthdr: 64 | 32 | 128 | 256, udp_src: 1000, udp_dst: 53 },
  },
  "the first fragment of IPv6": {
    frame: ethernet({ src, dst }, ipv6({ ...v6, extensions: [fragment(0, true)] }, dns)),
    match: { ...ip6, nw_frag: 1, ip_proto: 17, ipv6_exthdr: 16, udp_src: 1000, udp_dst: 53 },
  },
  "a later fragment of IPv6": {
    frame: ethernet({ src, dst }, ipv6({ ...v6, extensions: [fragment(9, false)] }, dns)),
    match: { ...ip6, nw_frag: 3, ip_proto: 17, ipv6_exthdr: 16, udp_src: 0, udp_dst: 0 },
  },
  "no next header": {
    frame: ethernet({ src, dst }, ipv6({ ...v6, proto: 59 })),
    match: { ...ip6, ip_proto: 59, ipv6_exthdr: 1 },
  },
  "ICMPv6 echo": {
    frame: ethernet({ src, dst }, ipv6(v6, icmpv6({ type: 128 }, icmpv6Echo({ id: 1, seq: 2 })))),
    match: { ...ip6, ip_proto: 58, icmpv6_type: 128, icmpv6_code: 0 },
  },
  "neighbour solicitation": {
    frame: ethernet(
      { src, dst },
      ipv6(
        v6,
        icmpv6(
          { type: 135 },
          neighbor({ target: "fe80::9", options: [{ type: 1, data: text("0102030405ff") }] }),
        ),
      ),
    ),
    match: {
      ...ip6,
      ip_proto: 58,
      icmpv6_type: 135,
      icmpv6_code: 0,
      ipv6_nd_target: "fe80::9",
      ipv6_nd_sll: "01:02:03:04:05:ff",
    },
  },
  "neighbour advertisement": {
    frame: ethernet(
      { src, dst },
      ipv6(
        v6,
        icmpv6(
          { type: 136 },
          neighbor({ target: "fe80::9", options: [{ type: 2, data: text("0102030405ff") }] }),
        ),
      ),
    ),
    match: {
      ...ip6,
      ip_proto: 58,
      icmpv6_type: 136,
      icmpv6_code: 0,
      ipv6_nd_target: "fe80::9",
      ipv6_nd_tll: "01:02:03:04:05:ff",
    },
  },
  MPLS: {
    frame: raw(0x8847, "12345 b 40 45000000"),
    match: { ...eth, eth_type: 0x8847, mpls_label: 0x12345, mpls_tc: 5, mpls_bos: 1, mpls_ttl: 0x40 },
  },
  PBB: {
    frame: raw(0x88e7, "00 123456 000000000002 000000000001 ffff"),
    match: { ...eth, eth_type: 0x88e7, pbb_isid: 0x123456 },
  },
  "802.3 with SNAP": {
    frame: raw(36, "aaaa03 000000 0806 0001080006040002 000000000001 0a000001 000000000002 0a000002"),
    match: {
      ...eth,
      eth_type: 0x0806,
      arp_op: 2,
      arp_spa: "10.0.0.1",
      arp_tpa: "10.0.0.2",
      arp_sha: src,
      arp_tha: dst,
    },
  },
  "802.3 without SNAP, as spanning tree": {
    frame: raw(3, "424203"),
    match: { ...eth, eth_type: 0x05ff },
  },
};

function keyOf(buffer: Uint8Array, start: number, end: number) {
  const key = newFlowKey().fill(0x5a5a5a5a, 2, DP_LANES);
  const lanes = extract(buffer, start, end, key, new Layers());
  return { key, lanes };
}
const exact = newFlowKey().fill(0xffff_ffff, 2, DP_LANES);
// That part of the mask which the test does not speak of.
exact[1] = 0;

describe.each(Object.entries(frames))("%s", (_, { frame, match }) => {
  test("is told in full, wherever it lies", () => {
    for (const start of [0, 7]) {
      const buffer = new Uint8Array(start + frame.length + 9).fill(0xee);
      buffer.set(frame, start);
      const { key } = keyOf(buffer, start, start + frame.length);
      expect(keyToMatch(key, exact)).toEqual(match);
    }
  });

  test("cut short anywhere, nothing behind the cut is looked at", () => {
    for (let size = 0; size < frame.length; size++) {
      const cut = frame.slice(0, size);
      const followed = frame.map((byte, i) => (i < size ? byte : byte ^ 0xff));
      const { key, lanes } = keyOf(cut, 0, size);
      expect(keyOf(followed, 0, size).key).toEqual(key);
      expect(key.subarray(lanes, DP_LANES).every((lane) => lane === 0)).toBe(true);
    }
  });
});

test("any bytes at all give a key that does not depend on what lies behind them", () => {
  const types = [0x0800, 0x86dd, 0x0806, 0x8100, 0x8847, 0x88e7, 0x0003];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(...types), (bytes, type) => {
      if (bytes.length >= 14) bytes.set([type >>> 8, type & 0xff], 12);
      const longer = new Uint8Array(bytes.length + 64).fill(0x45);
      longer.set(bytes);
      expect(keyOf(longer, 0, bytes.length).key).toEqual(keyOf(bytes, 0, bytes.length).key);
    }),
  );
});

test("the second tag has lanes of its own", () => {
  const { frame } = frames["UDP in a double-tagged frame"]!;
  const { key } = keyOf(frame, 0, frame.length);
  const get = (name: string) => getField(key, flowField(name));
  expect([get("vlan_tpid"), get("vlan2_tpid"), get("vlan2_tci")]).toEqual([0x88a8, 0x8100, 0x1005]);
});
