import { VirtualClock } from "@sluice/runtime";
import {
  arp,
  checksumAdd,
  checksumFold,
  ethernet,
  fromHex,
  type Ipv4Init,
  type Ipv6Init,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  neighbor,
  TCP_FLAGS,
  type Tcp,
  type TcpInit,
  tcp,
  toHex,
  type Udp,
  udp,
} from "@sluice/wire";
import { describe, expect, test } from "vitest";
import type { OdpAction } from "../../../dpif/actions.js";
import type { Offload, Upcall } from "../../../dpif/dpif.js";
import { DummyHub } from "../../../netdev/dummy.js";
import { createUserspaceDpif } from "../dpif.js";

const src = "00:00:00:00:00:01";
const dst = "00:00:00:00:00:02";
const bytes = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 37 + 11) & 0xff);
const hex = (text: string) => fromHex(text.replaceAll(/[ :]/g, ""));
const out = { type: "output", port: 1 } as const;
const set = (field: string, value: string, mask?: string): OdpAction => ({
  type: "set_field",
  field,
  value: hex(value),
  ...(mask === undefined ? {} : { mask: hex(mask) }),
});

async function setUp() {
  const clock = new VirtualClock();
  const dummies = new DummyHub();
  const dpif = createUserspaceDpif({ clock, log: { info() {}, warn() {} }, host: "inline", dummies });
  await dpif.portAdd({ name: "p1", type: "dummy", options: {}, mtu: 9000 });
  const sent: Uint8Array[] = [];
  dummies.port("p1").onTransmit = (frame) => sent.push(frame);
  const upcalls: Upcall[] = [];
  dpif.events.on("upcall", (upcall) => upcalls.push(upcall));
  const run = (frame: Uint8Array, actions: readonly OdpAction[], offload?: Offload) => {
    sent.length = 0;
    dpif.execute(frame, 1, actions, undefined, offload);
    return sent.map(toHex);
  };
  return { clock, dpif, run, upcalls };
}

/** The frame as a host leaves it for its card to finish: the pseudo-header's sum where the checksum goes. */
function unfinished(frame: Uint8Array): { frame: Uint8Array; offload: Offload } {
  const copy = frame.slice();
  const isV6 = copy[12] === 0x86;
  const l4 = isV6 ? 54 : 34;
  const proto = isV6 ? copy[20]! : copy[23]!;
  const csumOffset = proto === 6 ? 16 : 6;
  const sum = checksumAdd(copy, isV6 ? 22 : 26, l4, proto + copy.length - l4);
  const pseudo = ~checksumFold(sum) & 0xffff;
  copy.set([pseudo >>> 8, pseudo & 0xff], l4 + csumOffset);
  return { frame: copy, offload: { csumStart: l4, csumOffset, gsoType: 0, gsoSize: 0, hdrLen: 0 } };
}

const tcp4 = (ip: Partial<Ipv4Init> = {}, l4: Partial<TcpInit> = {}) =>
  ethernet(
    { src, dst },
    ipv4(
      { src: "10.0.0.1", dst: "10.0.0.2", ...ip },
      tcp({ src_port: 1000, dst_port: 80, ...l4 }, bytes(33)),
    ),
  );
const udp6 = (ip: Partial<Ipv6Init> = {}, port = 53) =>
  ethernet(
    { src, dst },
    ipv6({ src: "fe80::1", dst: "fe80::2", ...ip }, udp({ src_port: 9, dst_port: port }, bytes(9))),
  );

/** What is set, on which packet, and the same packet built with the new value. */
const rewrites: [string, Uint8Array, OdpAction, Uint8Array][] = [
  ["ipv4_src", tcp4(), set("ipv4_src", "c0a80101"), tcp4({ src: "192.168.1.1" })],
  ["some bits of ipv4_dst", tcp4(), set("ipv4_dst", "00000700", "0000ff00"), tcp4({ dst: "10.0.7.2" })],
  ["nw_ttl", tcp4(), set("nw_ttl", "09"), tcp4({ ttl: 9 })],
  ["ip_dscp", tcp4({ tos: 3 }), set("ip_dscp", "2e"), tcp4({ tos: 0xbb })],
  ["ip_ecn", tcp4({ tos: 0xb8 }), set("ip_ecn", "01"), tcp4({ tos: 0xb9 })],
  ["tcp_src", tcp4(), set("tcp_src", "1234"), tcp4({}, { src_port: 0x1234 })],
  ["tp_dst of TCP", tcp4(), set("tp_dst", "01bb"), tcp4({}, { dst_port: 443 })],
  ["ipv6_src", udp6(), set("ipv6_src", "20010db8 00000000 00000000 00000009"), udp6({ src: "2001:db8::9" })],
  ["ipv6_dst", udp6(), set("ipv6_dst", "20010db8 00000000 00000000 00000009"), udp6({ dst: "2001:db8::9" })],
  ["ip_dscp in IPv6", udp6({ traffic_class: 3 }), set("ip_dscp", "2e"), udp6({ traffic_class: 0xbb })],
  ["nw_ttl in IPv6", udp6(), set("nw_ttl", "09"), udp6({ hop_limit: 9 })],
  [
    "ipv6_flabel",
    udp6({ traffic_class: 255 }),
    set("ipv6_flabel", "0abcde"),
    udp6({ traffic_class: 255, flow_label: 0xabcde }),
  ],
  ["udp_dst", udp6(), set("udp_dst", "0043"), udp6({}, 67)],
];

describe.each(rewrites)("setting %s", (_, frame, action, expected) => {
  test("puts the checksums right", async () => {
    const { run } = await setUp();
    expect(run(frame, [action, out])).toEqual([toHex(expected)]);
  });

  test("leaves an unfinished checksum to be finished right", async () => {
    const { run } = await setUp();
    const start = unfinished(frame);
    expect(run(start.frame, [action, out], start.offload)).toEqual([toHex(expected)]);
  });
});

const nd = (target: string, sll: string) =>
  ethernet(
    { src, dst },
    ipv6(
      { src: "fe80::1", dst: "fe80::2", hop_limit: 255 },
      icmpv6({ type: 135 }, neighbor({ target, options: [{ type: 1, data: hex(sll) }] })),
    ),
  );
const arpOf = (init: { op?: number; spa?: string; tha?: string }) =>
  ethernet({ src, dst }, arp({ op: 1, sha: src, spa: "10.0.0.1", tpa: "10.0.0.2", ...init }));
const ping = (type: number, code = 0) =>
  ethernet({ src, dst }, ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, icmpv4({ type, code }, bytes(11))));
const mpls = (lse: string) => ethernet({ src, dst, eth_type: 0x8847 }, hex(`${lse} 45000000`));

test.each<[string, Uint8Array, OdpAction, Uint8Array]>([
  [
    "eth_src",
    tcp4(),
    set("eth_src", "0a:00:00:00:00:0a"),
    hex(`000000000002 0a000000000a ${toHex(tcp4()).slice(24)}`),
  ],
  ["arp_op", arpOf({}), set("arp_op", "0002"), arpOf({ op: 2 })],
  ["arp_spa", arpOf({}), set("arp_spa", "0a000009"), arpOf({ spa: "10.0.0.9" })],
  ["arp_tha", arpOf({}), set("arp_tha", "000000000009"), arpOf({ tha: "00:00:00:00:00:09" })],
  ["icmpv4_type", ping(8), set("icmpv4_type", "00"), ping(0)],
  ["icmpv4_code", ping(3), set("icmpv4_code", "07"), ping(3, 7)],
  [
    "ipv6_nd_target",
    nd("fe80::3", "000000000001"),
    set("ipv6_nd_target", "fe80000000000000 0000000000000004"),
    nd("fe80::4", "000000000001"),
  ],
  [
    "ipv6_nd_sll",
    nd("fe80::3", "000000000001"),
    set("ipv6_nd_sll", "0a0b0c0d0e0f"),
    nd("fe80::3", "0a0b0c0d0e0f"),
  ],
  ["mpls_label", mpls("00010 1 40"), set("mpls_label", "0abcde"), mpls("abcde 1 40")],
  ["mpls_tc", mpls("00010 1 40"), set("mpls_tc", "05"), mpls("00010 b 40")],
  ["mpls_ttl", mpls("00010 1 40"), set("mpls_ttl", "3f"), mpls("00010 1 3f")],
  ["a field that the packet lacks", arpOf({}), set("tcp_dst", "0050"), arpOf({})],
  ["an IPv6 field of an IPv4 packet", tcp4(), set("ipv6_flabel", "000001"), tcp4()],
])("sets %s", async (_, frame, action, expected) => {
  const { run } = await setUp();
  expect(run(frame, [action, out])).toEqual([toHex(expected)]);
});

test("a UDP packet without a checksum stays without", async () => {
  const { run } = await setUp();
  const frame = (dst_port: number) =>
    ethernet(
      { src, dst },
      ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, udp({ src_port: 1, dst_port, checksum: 0 })),
    );
  expect(run(frame(2), [set("udp_dst", "0003"), out])).toEqual([toHex(frame(3))]);
});

test("SCTP's CRC32c follows its ports", async () => {
  const { run } = await setUp();
  const sctp = (payload: Uint8Array) =>
    ethernet({ src, dst }, ipv4({ src: "10.0.0.1", dst: "10.0.0.2", proto: 132 }, payload));
  // RFC 3720 appendix B.4: the CRC of 32 zero bytes is aa 36 91 8a.
  const zeros = new Uint8Array(32);
  const right = zeros.slice();
  right.set(hex("aa36918a"), 8);
  const [sent] = run(sctp(zeros), [set("sctp_dst", "0051"), set("sctp_dst", "0000"), out]);
  expect(sent).toBe(toHex(sctp(right)));
});

test("later fragments have their addresses set and nothing taken for ports", async () => {
  const { run } = await setUp();
  const frame = (from: string) =>
    ethernet({ src, dst }, ipv4({ src: from, dst: "10.0.0.2", proto: 6, frag_offset: 100 }, bytes(40)));
  expect(run(frame("10.0.0.1"), [set("ipv4_src", "0a000009"), set("tcp_src", "ffff"), out])).toEqual([
    toHex(frame("10.0.0.9")),
  ]);
});

test("VLAN tags are pushed outermost, set, and popped", async () => {
  const { run } = await setUp();
  const tagged = (...vlans: { tpid?: number; vid: number; pcp?: number }[]) =>
    toHex(
      ethernet(
        { src, dst, vlans },
        ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, tcp({ src_port: 1000, dst_port: 80 }, bytes(33))),
      ),
    );
  const push = (tpid: number, tci: number): OdpAction => ({ type: "push_vlan", tpid, tci });
  expect(run(tcp4(), [push(0x8100, 5), out])).toEqual([tagged({ vid: 5 })]);
  expect(run(tcp4(), [push(0x8100, 5), push(0x88a8, 0x2006), out])).toEqual([
    tagged({ tpid: 0x88a8, vid: 6, pcp: 1 }, { vid: 5 }),
  ]);
  const sets = [set("vlan_vid", "1007"), set("vlan_pcp", "06")];
  expect(run(tcp4(), [push(0x8100, 0x2005), ...sets, out])).toEqual([tagged({ vid: 7, pcp: 6 })]);
  expect(run(tcp4(), [push(0x8100, 5), push(0x88a8, 6), { type: "pop_vlan" }, out])).toEqual([
    tagged({ vid: 5 }),
  ]);
  expect(run(tcp4(), [{ type: "pop_vlan" }, out])).toEqual([toHex(tcp4())]);
  expect(run(hex(tagged({ vid: 5 })), [set("ipv4_src", "0a000001"), { type: "pop_vlan" }, out])).toEqual([
    toHex(tcp4()),
  ]);
});

test("MPLS labels go behind the tags and come off again", async () => {
  const { run } = await setUp();
  const frame = toHex(tcp4());
  const push: OdpAction = { type: "push_mpls", ethertype: 0x8847, lse: 0x00010140 };
  const labelled = `${frame.slice(0, 24)}8847${"00010140"}${frame.slice(28)}`;
  expect(run(tcp4(), [push, out])).toEqual([labelled]);
  expect(run(hex(labelled), [{ type: "pop_mpls", ethertype: 0x0800 }, out])).toEqual([frame]);
  const [tagged] = run(tcp4(), [{ type: "push_vlan", tpid: 0x8100, tci: 5 }, push, out]);
  expect(tagged).toBe(`${frame.slice(0, 24)}810000058847${"00010140"}${frame.slice(28)}`);
  const back = [{ type: "pop_mpls", ethertype: 0x0800 }, { type: "pop_vlan" }, out] as const;
  expect(run(hex(tagged!), back)).toEqual([frame]);
});

test("TTLs are copied between the outermost label and what is under it, checksums kept right", async () => {
  const { run } = await setUp();
  const of = (frame: Uint8Array) => toHex(frame).slice(28);
  const under = (labels: string, frame: Uint8Array) =>
    toHex(ethernet({ src, dst, eth_type: 0x8847 }, hex(labels + of(frame))));
  const copyIn = { type: "copy_ttl_in" } as const;
  const copyOut = { type: "copy_ttl_out" } as const;
  const last = "0001 0107";
  expect(run(hex(under(last, tcp4({ ttl: 64 }))), [copyIn, out])).toEqual([under(last, tcp4({ ttl: 7 }))]);
  expect(run(hex(under(last, udp6({ hop_limit: 64 }))), [copyIn, out])).toEqual([
    under(last, udp6({ hop_limit: 7 })),
  ]);
  expect(run(hex(under(last, udp6({ hop_limit: 64 }))), [copyOut, out])).toEqual([
    under("0001 0140", udp6({ hop_limit: 64 })),
  ]);
  const two = "0002 0009 0001 0107";
  expect(run(hex(under(two, tcp4())), [copyOut, out])).toEqual([under("0002 0007 0001 0107", tcp4())]);
  expect(run(hex(under(two, tcp4())), [copyIn, out])).toEqual([under("0002 0009 0001 0109", tcp4())]);
  // Nothing under the label that has a TTL, and no label at all: nothing changes.
  const short = toHex(mpls("00010 1 40"));
  expect(run(hex(short), [copyIn, copyOut, out])).toEqual([short]);
  expect(run(tcp4(), [copyIn, copyOut, out])).toEqual([toHex(tcp4())]);
});

test("a backbone header wraps the whole frame and comes off again", async () => {
  const { run } = await setUp();
  const frame = toHex(tcp4());
  const [wrapped] = run(tcp4(), [{ type: "push_pbb", ethertype: 0x88e7, isid: 0x123456 }, out]);
  expect(wrapped).toBe(`${frame.slice(0, 24)}88e700123456${frame}`);
  expect(run(hex(wrapped!), [{ type: "pop_pbb" }, out])).toEqual([frame]);
  expect(run(hex(wrapped!), [set("pbb_isid", "000007"), out])).toEqual([
    `${frame.slice(0, 24)}88e700000007${frame}`,
  ]);
});

test("clone works on a copy; trunc cuts the next output only", async () => {
  const { run } = await setUp();
  const inner: OdpAction[] = [set("nw_ttl", "01"), out];
  expect(run(tcp4(), [{ type: "clone", actions: inner }, out])).toEqual([
    toHex(tcp4({ ttl: 1 })),
    toHex(tcp4()),
  ]);
  expect(run(tcp4(), [{ type: "trunc", max_len: 20 }, out, out])).toEqual([
    toHex(tcp4()).slice(0, 40),
    toHex(tcp4()),
  ]);
});

test("sample takes its share of the packets", async () => {
  const { run } = await setUp();
  const count = (probability: number) => {
    let taken = 0;
    for (let i = 0; i < 1000; i++)
      taken += run(tcp4(), [{ type: "sample", probability, actions: [out] }]).length;
    return taken;
  };
  expect(count(0xffff_ffff)).toBe(1000);
  expect(count(0)).toBe(0);
  const half = count(0x8000_0000);
  expect(half > 400 && half < 600).toBe(true);
});

test("check_pkt_len parts packets by their length; what comes after is for those that are not longer", async () => {
  const { run } = await setUp();
  const size = tcp4().length;
  const longer: OdpAction[] = [set("nw_ttl", "01"), out];
  const parted = (pkt_len: number): OdpAction[] => [{ type: "check_pkt_len", pkt_len, actions: longer }, out];
  expect(run(tcp4(), parted(size - 1))).toEqual([toHex(tcp4({ ttl: 1 }))]);
  expect(run(tcp4(), parted(size))).toEqual([toHex(tcp4())]);
  // What an output would send counts.
  expect(run(tcp4(), [{ type: "trunc", max_len: 20 }, ...parted(20)])).toEqual([toHex(tcp4()).slice(0, 40)]);
});

test("recirc looks the packet up again by its new headers and the id", async () => {
  const { dpif, run, upcalls } = await setUp();
  run(tcp4(), [set("ipv4_src", "0a000009"), { type: "recirc", id: 3 }, out]);
  expect(upcalls).toHaveLength(1);
  expect(upcalls[0]).toMatchObject({ kind: "miss", odpPort: 1 });
  expect([upcalls[0]!.key[1], upcalls[0]!.key[10]]).toEqual([3, 0x0a000009]);
  // A flow that sends the packet round for ever is stopped.
  const mask = upcalls[0]!.key.slice().fill(0);
  mask[1] = 0xffff_ffff;
  dpif.flowPut({ id: 1, key: upcalls[0]!.key, mask, actions: [{ type: "recirc", id: 3 }] });
  run(tcp4(), [{ type: "recirc", id: 3 }]);
  expect(await dpif.counters()).toMatchObject({ drop_too_deep: 1 });
});

test("userspace sends a copy of as much as is asked for, as the packet is by then", async () => {
  const { run, upcalls } = await setUp();
  const start = unfinished(tcp4());
  const actions = [set("nw_ttl", "01"), { type: "userspace", cookie: 9, max_len: 20 } as const, out];
  expect(run(start.frame, actions, start.offload)).toEqual([toHex(tcp4({ ttl: 1 }))]);
  expect(upcalls).toMatchObject([{ kind: "action", cookie: 9, totalLen: tcp4().length }]);
  expect(toHex(upcalls[0]!.packet)).toBe(toHex(tcp4({ ttl: 1 })).slice(0, 40));
});

test("pushing without end stops at the headroom, and the packet is dropped and counted", async () => {
  const { dpif, run } = await setUp();
  const pushes = Array.from({ length: 60 }, () => ({ type: "push_vlan", tpid: 0x8100, tci: 1 }) as const);
  expect(run(tcp4(), [...pushes, out])).toEqual([]);
  expect(await dpif.counters()).toMatchObject({ drop_no_headroom: 1 });
});

describe("a super-frame for a port that takes none", () => {
  const payload = bytes(2500);
  const gso = (frame: Uint8Array, gsoType: number, hdrLen: number): [Uint8Array, Offload] => {
    const start = unfinished(frame);
    return [start.frame, { ...start.offload, gsoType, gsoSize: 1000, hdrLen }];
  };
  const pieces = (make: (from: number, to: number, index: number) => Uint8Array) =>
    [0, 1, 2].map((index) => toHex(make(index * 1000, Math.min(2500, index * 1000 + 1000), index)));

  test("becomes TCP segments in IPv4, with FIN and PSH on the last and CWR on the first", async () => {
    const { run } = await setUp();
    const { FIN, PSH, ACK, CWR } = TCP_FLAGS;
    const options = hex("0101080a 00000001 00000002");
    const make = (l4: Tcp, id: number) =>
      ethernet({ src, dst }, ipv4({ src: "10.0.0.1", dst: "10.0.0.2", id }, l4));
    const l4 = { src_port: 1, dst_port: 2, options };
    const whole = make(tcp({ ...l4, seq: 0xffff_fff0, flags: FIN | PSH | ACK | CWR }, payload), 0xffff);
    const expected = pieces((from, to, index) => {
      const flags = ACK | (index === 0 ? CWR : 0) | (index === 2 ? FIN | PSH : 0);
      const seq = (0xffff_fff0 + from) >>> 0;
      return make(tcp({ ...l4, seq, flags }, payload.subarray(from, to)), (0xffff + index) & 0xffff);
    });
    const [frame, offload] = gso(whole, 1, 66);
    expect(run(frame, [out], offload)).toEqual(expected);
  });

  test("is as long as its segments for check_pkt_len", async () => {
    const { run } = await setUp();
    const ip = { src: "10.0.0.1", dst: "10.0.0.2" };
    const whole = ethernet({ src, dst }, ipv4(ip, tcp({ src_port: 1, dst_port: 2 }, payload)));
    const [frame, offload] = gso(whole, 1, 54);
    const parted = (pkt_len: number): OdpAction[] => [{ type: "check_pkt_len", pkt_len, actions: [] }, out];
    expect(run(frame, parted(1054), offload)).toHaveLength(3);
    expect(run(frame, parted(1053), offload)).toHaveLength(0);
  });

  test("becomes UDP datagrams in IPv6, tags and all", async () => {
    const { run } = await setUp();
    const make = (l4: Udp, vlans: { vid: number }[]) =>
      ethernet({ src, dst, vlans }, ipv6({ src: "fe80::1", dst: "fe80::2" }, l4));
    const ports = { src_port: 1, dst_port: 2 };
    const [frame, offload] = gso(make(udp(ports, payload), []), 5, 62);
    const expected = pieces((from, to) => make(udp(ports, payload.subarray(from, to)), [{ vid: 5 }]));
    expect(run(frame, [{ type: "push_vlan", tpid: 0x8100, tci: 5 }, out], offload)).toEqual(expected);
  });

  test("is cut up before a label is pushed, and for the slow path", async () => {
    const { dpif, run, upcalls } = await setUp();
    const whole = ethernet(
      { src, dst },
      ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, tcp({ src_port: 1, dst_port: 2 }, payload)),
    );
    const [frame, offload] = gso(whole, 1, 54);
    const actions = [
      { type: "push_mpls", ethertype: 0x8847, lse: 0x140 },
      out,
      { type: "userspace", cookie: 1, max_len: 0xffff },
    ] as const;
    expect(run(frame, actions, offload).map((sent) => sent.length / 2)).toEqual([1058, 1058, 558]);
    expect(upcalls.map(({ packet }) => packet.length)).toEqual([1058, 1058, 558]);
    expect(await dpif.counters()).toMatchObject({ segmented: 3 });
  });

  test("that makes no sense is dropped and counted", async () => {
    const { dpif, run } = await setUp();
    const offload = { csumStart: -1, csumOffset: 0, gsoType: 1, gsoSize: 1000, hdrLen: 54 };
    expect(run(arpOf({}), [out], offload)).toEqual([]);
    expect(await dpif.counters()).toMatchObject({ drop_bad_offload: 1 });
  });
});

describe("meters", () => {
  const metered = [{ type: "meter", meter_id: 1 } as const, out];

  test("drop what is over the rate, by the clock", async () => {
    const { clock, dpif, run } = await setUp();
    dpif.meterSet(1, { flags: 2 | 4, bands: [{ type: "OFPMBT_DROP", rate: 10, burst_size: 2 }] });
    const passed = () => [1, 2, 3, 4].reduce((sum) => sum + run(tcp4(), metered).length, 0);
    expect(passed()).toBe(2);
    clock.advance(100);
    expect(passed()).toBe(1);
    clock.advance(10_000);
    expect(passed()).toBe(2);
    const size = tcp4().length;
    expect(await dpif.meterStats(1)).toEqual({
      packets: 12,
      bytes: 12 * size,
      bands: [{ packets: 7, bytes: 7 * size }],
    });
    dpif.meterSet(1, null);
    expect(passed()).toBe(4);
    expect(await dpif.meterStats(1)).toBeUndefined();
  });

  test("mark down assured forwarding, and nothing else", async () => {
    const { dpif, run } = await setUp();
    const bands = [{ type: "OFPMBT_DSCP_REMARK", rate: 1, burst_size: 1, prec_level: 1 }] as const;
    dpif.meterSet(1, { flags: 2 | 4, bands });
    run(tcp4(), metered);
    expect(run(tcp4({ tos: 10 << 2 }), metered)).toEqual([toHex(tcp4({ tos: 12 << 2 }))]);
    expect(run(tcp4({ tos: (14 << 2) | 1 }), metered)).toEqual([toHex(tcp4({ tos: (14 << 2) | 1 }))]);
    expect(run(tcp4({ tos: 46 << 2 }), metered)).toEqual([toHex(tcp4({ tos: 46 << 2 }))]);
    expect(run(udp6({ traffic_class: 10 << 2 }), metered)).toEqual([toHex(udp6({ traffic_class: 12 << 2 }))]);
  });
});
