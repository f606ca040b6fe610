import { checksumAdd, checksumFold, type EthernetInit, ethernet, ipv4, ipv6, tcp, udp } from "@sluice/wire";
import { expect, test } from "vitest";
import { extract, Layers } from "../../../flow/extract.js";
import { newFlowKey } from "../../../flow/flow-key.js";
import { GSO_TCPV4, GSO_TCPV6, HEADROOM, Packet } from "../../../netdev/packet.js";
import { forEachSegment, isTunnelled } from "./segment.js";

const ETH: EthernetInit = { src: "0a:00:00:00:00:01", dst: "0a:00:00:00:00:02" };
const SIZE = 1000;
const FIN_PSH_ACK = 0x19;
const ACK = 0x10;
const PAYLOAD = Uint8Array.from({ length: 2500 }, (_, i) => i);

const join = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

/** A frame of TCP as the host's tunnel would make it: the whole, or its n-th piece. */
const inner4 = (n?: number): Uint8Array =>
  ethernet(ETH, ipv4({ src: "10.0.0.1", dst: "10.0.0.2", proto: 6, id: 100 + (n ?? 0) }, segment(n)));
const inner6 = (n?: number): Uint8Array =>
  ethernet(ETH, ipv6({ src: "fd00::1", dst: "fd00::2" }, segment(n)));
const ipOf = (frame: Uint8Array): Uint8Array => frame.subarray(14);

function segment(n: number | undefined) {
  const seq = 5000 + SIZE * (n ?? 0);
  const flags = n === undefined || n === 2 ? FIN_PSH_ACK : ACK;
  const data = n === undefined ? PAYLOAD : PAYLOAD.subarray(n * SIZE, (n + 1) * SIZE);
  return tcp({ src_port: 1, dst_port: 2, seq, flags }, data);
}

const outer4 = (proto: number, n = 0) => ({ src: "1.1.1.1", dst: "1.1.1.2", proto, id: 7 + n });
const VXLAN = [8, 0, 0, 0, 0, 0, 5, 0];
const PORTS = { src_port: 4000, dst_port: 4789 };

type Frame = (inner: Uint8Array, n?: number) => Uint8Array;
const TUNNELS: readonly (readonly [string, Frame])[] = [
  ["IP in IPv4", (inner, n) => ethernet(ETH, ipv4(outer4(4, n), ipOf(inner)))],
  ["GRE", (inner, n) => ethernet(ETH, ipv4(outer4(47, n), join([0, 0, 8, 0], ipOf(inner))))],
  [
    "GRE with a key and an Ethernet header",
    (inner, n) => ethernet(ETH, ipv4(outer4(47, n), join([0x20, 0, 0x65, 0x58, 0, 0, 0, 9], inner))),
  ],
  [
    "GRE that sums its packets",
    (inner, n) => {
      const gre = join([0x80, 0, 8, 0, 0, 0, 0, 0], ipOf(inner));
      const sum = checksumFold(checksumAdd(gre, 0, gre.length));
      gre.set([sum >>> 8, sum & 0xff], 4);
      return ethernet(ETH, ipv4(outer4(47, n), gre));
    },
  ],
  [
    "VXLAN with checksums",
    (inner, n) => ethernet(ETH, ipv4({ ...outer4(17, n) }, udp(PORTS, join(VXLAN, inner)))),
  ],
  [
    "VXLAN over IPv6",
    (inner) => ethernet(ETH, ipv6({ src: "fd00::a", dst: "fd00::b" }, udp(PORTS, join(VXLAN, inner)))),
  ],
  [
    "VXLAN without checksums, in a VLAN",
    (inner, n) => {
      const eth = { ...ETH, vlans: [{ vid: 5 }] };
      const frame = ethernet(eth, ipv4(outer4(17, n), udp(PORTS, join(VXLAN, inner))));
      frame.fill(0, 44, 46);
      return frame;
    },
  ],
];

function loaded(frame: Uint8Array, gsoType: number): { packet: Packet; layers: Layers } {
  const packet = new Packet();
  packet.load(frame);
  packet.gsoType = gsoType;
  packet.gsoSize = SIZE;
  packet.csumStart = HEADROOM + frame.length - PAYLOAD.length - 20;
  packet.csumOffset = 16;
  packet.hdrEnd = packet.csumStart + 20;
  const layers = new Layers();
  extract(packet.buffer, packet.start, packet.end, newFlowKey(), layers);
  return { packet, layers };
}

function segmentsOf(packet: Packet, layers: Layers): Uint8Array[] | undefined {
  const segments: Uint8Array[] = [];
  const done = forEachSegment(packet, layers, new Packet(), (one) => segments.push(one.frame()));
  return done ? segments : undefined;
}

for (const [family, inner, gsoType] of [
  ["IPv4", inner4, GSO_TCPV4],
  ["IPv6", inner6, GSO_TCPV6],
] as const)
  test.each(TUNNELS)(
    `a super-frame of TCP over ${family} in %s is cut as the host would have`,
    (_, frame) => {
      const { packet, layers } = loaded(frame(inner()), gsoType);
      expect(isTunnelled(packet, layers)).toBe(true);
      expect(segmentsOf(packet, layers)).toEqual([0, 1, 2].map((n) => frame(inner(n), n)));
    },
  );

test("under a label that was there before there is no outer header to change", () => {
  const frame = (inner: Uint8Array): Uint8Array =>
    ethernet({ ...ETH, eth_type: 0x8847 }, join([0, 0, 0x51, 64], ipOf(inner)));
  const { packet, layers } = loaded(frame(inner4()), GSO_TCPV4);
  expect(segmentsOf(packet, layers)).toEqual([0, 1, 2].map((n) => frame(inner4(n))));
});

test("GRE that numbers its packets cannot be cut", () => {
  const header = [0x10, 0, 8, 0, 0, 0, 0, 0];
  const frame = ethernet(ETH, ipv4(outer4(47), join(header, ipOf(inner4()))));
  const { packet, layers } = loaded(frame, GSO_TCPV4);
  expect(segmentsOf(packet, layers)).toBeUndefined();
});

test("a packet that says of itself what is not so cannot be cut", () => {
  const { packet, layers } = loaded(ethernet(ETH, ipv4(outer4(4), ipOf(inner4()))), GSO_TCPV4);
  packet.csumStart += 2;
  expect(segmentsOf(packet, layers)).toBeUndefined();
});
