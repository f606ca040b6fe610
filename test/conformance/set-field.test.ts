import { type Match, oxmFields } from "@sluice/openflow-codec";
import {
  arp,
  ethernet,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  ND_OPTION,
  neighbor,
  parseFrame,
  parseMac,
  tcp,
  udp,
} from "@sluice/wire";
import { expect, test } from "vitest";
import { output } from "../../packages/switch/src/ofproto/bench.testkit.js";
import { openSwitch } from "./bench.js";

/** OpenFlow 1.3.5 §7.2.5, set-field: every field that may be set gets its value, nothing else changes, and checksums
 *  are right. */

const at = { src: "00:00:00:00:00:01", dst: "00:00:00:00:00:02" };
const data = Uint8Array.from({ length: 24 }, (_, i) => i);
const v4 = (payload: Parameters<typeof ipv4>[1], proto?: number): Uint8Array =>
  ethernet(
    at,
    ipv4({ src: "10.0.0.1", dst: "10.0.0.2", tos: 1, ...(proto === undefined ? {} : { proto }) }, payload),
  );
const v6 = (payload: Parameters<typeof ipv6>[1], proto?: number): Uint8Array =>
  ethernet(
    at,
    ipv6(
      {
        src: "fe80::1",
        dst: "fe80::2",
        traffic_class: 1,
        flow_label: 5,
        ...(proto === undefined ? {} : { proto }),
      },
      payload,
    ),
  );
const ports = { src_port: 7, dst_port: 8 };
const sctp = (() => {
  const bytes = new Uint8Array(28);
  bytes.set([0, 7, 0, 8]);
  return bytes;
})();
const anArp = ethernet(at, arp({ op: 1, sha: at.src, spa: "10.0.0.1", tha: at.dst, tpa: "10.0.0.2" }));
const nd = (type: number): Uint8Array =>
  v6(
    icmpv6(
      { type },
      neighbor({
        target: "fe80::9",
        options: [
          {
            type: type === 135 ? ND_OPTION.SOURCE_LINK_ADDRESS : ND_OPTION.TARGET_LINK_ADDRESS,
            data: parseMac(at.src),
          },
        ],
      }),
    ),
  );
const lse = (eth_type: number, word: number): Uint8Array => {
  const payload = new Uint8Array(64);
  new DataView(payload.buffer).setUint32(0, word);
  return ethernet({ ...at, eth_type }, payload);
};

const IP4 = { eth_type: 0x0800 } as const;
const IP6 = { eth_type: 0x86dd } as const;

/** Field, value to set, and for each kind of packet that has it: the match that it needs, and the frame. */
type Row = readonly [field: string, value: string | number, ...(readonly [Match, Uint8Array])[]];
const tcp4 = [{ ...IP4, ip_proto: 6 }, v4(tcp(ports, data))] as const;
const tcp6 = [{ ...IP6, ip_proto: 6 }, v6(tcp(ports, data))] as const;
const udp4 = [{ ...IP4, ip_proto: 17 }, v4(udp(ports, data))] as const;
const udp6 = [{ ...IP6, ip_proto: 17 }, v6(udp(ports, data))] as const;
const sctp4 = [{ ...IP4, ip_proto: 132 }, v4(sctp, 132)] as const;
const sctp6 = [{ ...IP6, ip_proto: 132 }, v6(sctp, 132)] as const;
const icmp4 = [{ ...IP4, ip_proto: 1 }, v4(icmpv4({ type: 8 }, data))] as const;
const icmp6 = [{ ...IP6, ip_proto: 58 }, v6(icmpv6({ type: 128 }, data))] as const;
const arp4 = [{ eth_type: 0x0806 }, anArp] as const;
const tagged = [
  { vlan_vid: 0x1005 },
  ethernet({ ...at, vlans: [{ vid: 5 }] }, ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, udp(ports, data))),
] as const;
const label = [{ eth_type: 0x8847 }, lse(0x8847, (5 << 12) | 0x140)] as const;

const ROWS: readonly Row[] = [
  ["eth_dst", "00:00:00:00:00:0a", [{}, udp4[1]], [{}, anArp]],
  ["eth_src", "00:00:00:00:00:0b", [{}, udp6[1]]],
  ["vlan_vid", 0x1000 | 99, tagged],
  ["vlan_pcp", 6, tagged],
  ["ip_dscp", 46, tcp4, tcp6, udp4, udp6],
  ["ip_ecn", 2, tcp4, udp6],
  ["ipv4_src", "1.2.3.4", tcp4, udp4, icmp4, sctp4],
  ["ipv4_dst", "4.3.2.1", tcp4, udp4, icmp4, sctp4],
  ["tcp_src", 1234, tcp4, tcp6],
  ["tcp_dst", 4321, tcp4, tcp6],
  ["udp_src", 1234, udp4, udp6],
  ["udp_dst", 4321, udp4, udp6],
  ["sctp_src", 1234, sctp4, sctp6],
  ["sctp_dst", 4321, sctp4, sctp6],
  ["icmpv4_type", 13, icmp4],
  ["icmpv4_code", 3, icmp4],
  ["arp_op", 2, arp4],
  ["arp_spa", "1.2.3.4", arp4],
  ["arp_tpa", "4.3.2.1", arp4],
  ["arp_sha", "00:00:00:00:00:0c", arp4],
  ["arp_tha", "00:00:00:00:00:0d", arp4],
  ["ipv6_src", "2001:db8::1", tcp6, udp6, icmp6, sctp6],
  ["ipv6_dst", "2001:db8::2", tcp6, udp6, icmp6, sctp6],
  ["ipv6_flabel", 0xabcde, udp6],
  ["icmpv6_type", 200, icmp6],
  ["icmpv6_code", 7, icmp6],
  ["ipv6_nd_target", "2001:db8::7", [{ ...IP6, ip_proto: 58, icmpv6_type: 135 }, nd(135)]],
  ["ipv6_nd_sll", "00:00:00:00:00:0e", [{ ...IP6, ip_proto: 58, icmpv6_type: 135 }, nd(135)]],
  ["ipv6_nd_tll", "00:00:00:00:00:0f", [{ ...IP6, ip_proto: 58, icmpv6_type: 136 }, nd(136)]],
  ["mpls_label", 0xfffff, label],
  ["mpls_tc", 5, label],
  ["pbb_isid", 0xabcdef, [{ eth_type: 0x88e7 }, lse(0x88e7, 5)]],
];

/** Layers whose checksum is wrong have it as a field. */
const wrongChecksums = (layer: unknown): string[] => {
  if (layer === null || typeof layer !== "object" || layer instanceof Uint8Array) return [];
  const { kind, checksum, payload, body } = layer as Record<string, unknown>;
  return [
    ...(checksum === undefined ? [] : [`${kind}`]),
    ...wrongChecksums(payload),
    ...wrongChecksums(body),
  ];
};

const differing = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((count, byte, i) => count + (byte === b[i] ? 0 : 1), 0);

test.each(ROWS.map(([field, value, ...packets]) => ({ field, value, packets })))(
  "§7.2.5 set_field $field",
  async ({ field, value, packets }) => {
    for (const [needs, frame] of packets) {
      const set = { [field]: value } as Match;
      const bench = await openSwitch(2);
      bench.flow(needs, [{ type: "OFPAT_SET_FIELD", field: set }, output(2)]);
      const probe = await openSwitch(2);
      probe.flow({ ...needs, ...set }, [output(2)]);
      // The second one goes by the cached flow.
      for (let i = 0; i < 2; i++) {
        const [sent] = await bench.forward("p1", frame);
        expect(sent?.port).toBe("p2");
        expect(wrongChecksums(parseFrame(sent!.frame))).toEqual([]);
        expect(sent!.frame.length).toBe(frame.length);
        // The field itself (up to 16 bytes) and at most two checksums.
        expect(differing(sent!.frame, frame)).toBeLessThanOrEqual(20);
        expect(await probe.receive("p1", sent!.frame)).toEqual(["p2"]);
        expect(await probe.receive("p1", frame)).toEqual([]);
      }
    }
  },
);

test("the rows are all the basic fields of packets that may be set", () => {
  const settable = oxmFields
    .filter((field) => field.class === 0x8000 && field.settable)
    .map((field) => field.name);
  const pipeline = ["metadata", "tunnel_id"];
  expect(ROWS.map(([field]) => field).sort()).toEqual(
    settable.filter((name) => !pipeline.includes(name)).sort(),
  );
});
