import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../hex.js";
import {
  ARP_REPLY,
  arp,
  ETH_TYPE,
  encodeFrame,
  ethernet,
  type Frame,
  frame,
  ICMPV4,
  ICMPV6,
  IPV4_FLAGS,
  icmpv4,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  LLDP_CHASSIS_LOCAL,
  LLDP_MAC,
  LLDP_PORT_LOCAL,
  LLDP_TLV,
  linkAddressOf,
  lldp,
  lldpId,
  lldpText,
  lldpTtl,
  ND_OPTION,
  neighbor,
  parseFrame,
  TCP_FLAGS,
  tcp,
  udp,
} from "./index.js";

const src = "00:00:00:00:00:01";
const dst = "00:00:00:00:00:02";
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const zeros = (size: number): Uint8Array => new Uint8Array(size);
const v4 = { src: "10.0.0.1", dst: "10.0.0.2", id: 7, flags: IPV4_FLAGS.DF };
const v6 = {
  src: "fe80::1",
  dst: "ff02::1:ff00:2",
  hop_limit: 255,
  traffic_class: 0x28,
  flow_label: 0x12345,
};
const query = udp({ src_port: 1000, dst_port: 53 }, text("query"));

/** Values, and the same packets as os-ken 2.5's packet library makes them. */
const fixtures: Record<string, { value: Frame; hex: string }> = {
  "arp reply": {
    value: frame(
      { src, dst, padding: zeros(18) },
      arp({ op: ARP_REPLY, sha: src, spa: "10.0.0.1", tha: dst, tpa: "10.0.0.2" }),
    ),
    hex: "000000000002000000000001080600010800060400020000000000010a0000010000000000020a000002000000000000000000000000000000000000",
  },
  "ICMP echo": {
    value: frame(
      { src, dst, padding: zeros(13) },
      ipv4(v4, icmpv4({ type: ICMPV4.ECHO_REQUEST, id: 0x1234, seq: 5 }, text("hello"))),
    ),
    hex: "00000000000200000000000108004500002100074000400126d30a0000010a0000020800a1f41234000568656c6c6f00000000000000000000000000",
  },
  "UDP in a tagged frame": {
    value: frame({ src, dst, vlans: [{ vid: 100, pcp: 3 }], padding: zeros(9) }, ipv4(v4, query)),
    hex: "0000000000020000000000018100606408004500002100074000401126c30a0000010a00000203e80035000d97cc7175657279000000000000000000",
  },
  "UDP in a double-tagged frame": {
    value: frame(
      {
        src,
        dst,
        vlans: [
          { tpid: ETH_TYPE.VLAN_AD, vid: 200, dei: true },
          { vid: 100, pcp: 3 },
        ],
        padding: zeros(5),
      },
      ipv4(v4, query),
    ),
    hex: "00000000000200000000000188a810c88100606408004500002100074000401126c30a0000010a00000203e80035000d97cc71756572790000000000",
  },
  "TCP SYN with options": {
    value: frame(
      { src, dst, padding: zeros(2) },
      ipv4(
        v4,
        tcp({
          src_port: 40000,
          dst_port: 80,
          seq: 0xdeadbeef,
          flags: TCP_FLAGS.SYN,
          window: 29200,
          options: fromHex("020405b4"),
        }),
      ),
    ),
    hex: "00000000000200000000000108004500002c00074000400626c30a0000010a0000029c400050deadbeef0000000060027210d7e50000020405b40000",
  },
  "TCP data over IPv6": {
    value: frame(
      { src, dst },
      ipv6(
        v6,
        tcp(
          {
            src_port: 80,
            dst_port: 40000,
            seq: 1,
            ack: 2,
            flags: TCP_FLAGS.ACK | TCP_FLAGS.PSH,
            window: 1000,
          },
          text("body"),
        ),
      ),
    ),
    hex: "00000000000200000000000186dd62812345001806fffe800000000000000000000000000001ff0200000000000000000001ff00000200509c400000000100000002501803e84bdc0000626f6479",
  },
  "UDP over IPv6": {
    value: frame({ src, dst }, ipv6(v6, udp({ src_port: 1000, dst_port: 53 }, text("odd")))),
    hex: "00000000000200000000000186dd62812345000b11fffe800000000000000000000000000001ff0200000000000000000001ff00000203e80035000b2bce6f6464",
  },
  "ICMPv6 echo": {
    value: frame(
      { src, dst },
      ipv6(v6, icmpv6({ type: ICMPV6.ECHO_REQUEST }, icmpv6Echo({ id: 9, seq: 10 }, text("hello")))),
    ),
    hex: "00000000000200000000000186dd62812345000d3afffe800000000000000000000000000001ff0200000000000000000001ff00000280003f4a0009000a68656c6c6f",
  },
  "neighbour solicitation": {
    value: frame(
      { src, dst: "33:33:ff:00:00:02" },
      ipv6(
        v6,
        icmpv6(
          { type: ICMPV6.NEIGHBOR_SOLICITATION },
          neighbor({
            target: "fe80::2",
            options: [{ type: ND_OPTION.SOURCE_LINK_ADDRESS, data: fromHex(src) }],
          }),
        ),
      ),
    ),
    hex: "3333ff00000200000000000186dd6281234500203afffe800000000000000000000000000001ff0200000000000000000001ff00000287007c9700000000fe8000000000000000000000000000020101000000000001",
  },
  LLDP: {
    value: frame(
      { src, dst: LLDP_MAC, padding: zeros(23) },
      lldp([
        lldpId(LLDP_TLV.CHASSIS_ID, LLDP_CHASSIS_LOCAL, text("dpid:1")),
        lldpId(LLDP_TLV.PORT_ID, LLDP_PORT_LOCAL, text("3")),
        lldpTtl(120),
        lldpText(LLDP_TLV.SYSTEM_NAME, "s1"),
      ]),
    ),
    hex: "0180c200000e00000000000188cc020707647069643a3104020733060200780a02733100000000000000000000000000000000000000000000000000",
  },
};

describe.each(Object.entries(fixtures))("%s", (_, { value, hex }) => {
  test("is written as another implementation writes it", () => {
    expect(toHex(encodeFrame(value))).toBe(hex);
  });

  test("is read back as the value that made it", () => {
    expect(parseFrame(fromHex(hex))).toEqual(value);
  });

  test("cut anywhere still reads, without an exception, as something that writes the same bytes", () => {
    const bytes = fromHex(hex);
    for (let size = 0; size < bytes.length; size++) expectSameBytes(bytes.slice(0, size));
  });

  test("with any byte changed still reads as something that writes the same bytes", () => {
    const bytes = fromHex(hex);
    for (let at = 0; at < bytes.length; at++) {
      for (const change of [0x01, 0x10, 0x80, 0xff]) {
        const mutated = bytes.slice();
        mutated[at]! ^= change;
        expectSameBytes(mutated);
      }
    }
  });
});

function expectSameBytes(bytes: Uint8Array): void {
  const value = parseFrame(bytes);
  const written = value.kind === "malformed" ? value.bytes : encodeFrame(value);
  expect(toHex(written)).toBe(toHex(bytes));
}

test("any bytes read, without an exception, as something that writes the same bytes", () => {
  const start = fc.constantFrom("0800", "0806", "86dd", "88cc", "810000010800", "88a800028100000386dd");
  const rest = fc.uint8Array({ maxLength: 120 });
  fc.assert(
    fc.property(start, rest, (type, body) => {
      expectSameBytes(Uint8Array.of(...fromHex(`000000000002000000000001${type}`), ...body));
    }),
    { numRuns: 500 },
  );
});

test("padding behind an IP packet is not part of its payload", () => {
  const bytes = ethernet(
    { src, dst, padding: new Uint8Array(14) },
    ipv4(v4, udp({ src_port: 1, dst_port: 2 }, text("hi"))),
  );
  const value = parseFrame(bytes) as Frame;
  expect(value.padding.length).toBe(14);
  expect(value.payload).toEqual(ipv4(v4, udp({ src_port: 1, dst_port: 2 }, text("hi"))));
});

test("a wrong checksum is in the value, a right one is not", () => {
  const right = ipv4(v4, udp({ src_port: 1, dst_port: 2 }, text("hi")));
  const bytes = ethernet({ src, dst }, right);
  expect((parseFrame(bytes) as Frame).payload).not.toHaveProperty("payload.checksum");
  bytes[bytes.length - 1]! ^= 1;
  expect((parseFrame(bytes) as Frame).payload).toHaveProperty("payload.checksum");
});

test("UDP sends a computed zero checksum as all ones, and an explicit zero says that there is none", () => {
  for (let n = 0; n <= 0xffff; n++) {
    const payload = Uint8Array.of(n >>> 8, n);
    const bytes = ethernet({ src, dst }, ipv4(v4, udp({ src_port: 1, dst_port: 2 }, payload)));
    const wire = (bytes[40]! << 8) | bytes[41]!;
    expect(wire).not.toBe(0);
    if (wire === 0xffff) break;
  }
  const none = ethernet({ src, dst }, ipv4(v4, udp({ src_port: 1, dst_port: 2, checksum: 0 })));
  expect((parseFrame(none) as Frame).payload).toHaveProperty("payload.checksum", 0);
});

test("a fragment's payload is bytes", () => {
  const value = parseFrame(
    ethernet({ src, dst }, ipv4({ ...v4, proto: 17, frag_offset: 1 }, text("abcdefgh"))),
  ) as Frame;
  expect(value.payload).toHaveProperty("payload", text("abcdefgh"));
});

test("a layer that cannot be read says which and why, and what surrounds it is still there", () => {
  const whole = ethernet({ src, dst, vlans: [{ vid: 7 }] }, ipv4(v4, tcp({ src_port: 1, dst_port: 2 })));
  const value = parseFrame(whole.slice(0, 14 + 4 + 20 + 6)) as Frame;
  expect(value.vlans[0]!.vid).toBe(7);
  expect(value.payload).toHaveProperty("payload.layer", "tcp");
  expect(value.payload).toHaveProperty("payload.reason", "6 bytes where 20 are needed");
});

test("a neighbour's link address is found in its options", () => {
  const options = [{ type: ND_OPTION.SOURCE_LINK_ADDRESS, data: fromHex("000000000001") }];
  expect(linkAddressOf(neighbor({ target: "fe80::2", options }), ND_OPTION.SOURCE_LINK_ADDRESS)).toBe(src);
  expect(linkAddressOf(neighbor({ target: "fe80::2" }), ND_OPTION.SOURCE_LINK_ADDRESS)).toBeUndefined();
});
