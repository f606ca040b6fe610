import { isDeepStrictEqual } from "node:util";
import { parseFrame } from "@sluice/wire";
import { expect, test } from "vitest";
import { extract, Layers } from "../flow/extract.js";
import { newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { keyToMatch } from "../flow/match.js";
import { composeFrame } from "./compose.js";
import { parseOdpFlow } from "./odp-parse.js";
import { formatOdpMatch } from "./odp-text.js";

const ETH = "eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";
const V4 = "src=10.0.0.2,dst=10.0.0.1";
const V6 = "src=fe80::1,dst=fe80::2,label=0x12345";
const WHOLE = newFlowKey().fill(0xffff_ffff);

// Sizes are those that Open vSwitch 3.1 makes of the same flows (netdev-dummy/receive).
test.each<[string, number]>([
  [`${ETH},eth_type(0x1234)`, 14],
  [
    `${ETH},eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1,sha=50:54:00:00:00:09,tha=00:00:00:00:00:01)`,
    42,
  ],
  [
    `${ETH},eth_type(0x0800),ipv4(${V4},proto=6,tos=0x21,ttl=64,frag=no),tcp(src=8,dst=9),tcp_flags(syn|ack)`,
    118,
  ],
  [`${ETH},eth_type(0x0800),ipv4(${V4},proto=17,tos=0,ttl=3,frag=first),udp(src=8,dst=9)`, 106],
  [`${ETH},eth_type(0x0800),ipv4(${V4},proto=132,tos=0,ttl=3,frag=no),sctp(src=8,dst=9)`, 110],
  [`${ETH},eth_type(0x0800),ipv4(${V4},proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=1)`, 106],
  [
    `${ETH},eth_type(0x86dd),ipv6(${V6},proto=6,tclass=0x5,hlimit=1,frag=no),tcp(src=8,dst=9),tcp_flags(fin)`,
    138,
  ],
  [
    `${ETH},eth_type(0x86dd),ipv6(${V6},proto=58,tclass=0,hlimit=128,frag=no),icmpv6(type=135,code=0),nd(target=fe80::3,sll=50:54:00:00:00:09)`,
    86,
  ],
  [
    `${ETH},eth_type(0x8100),vlan(vid=9,pcp=1),encap(eth_type(0x0800),ipv4(${V4},proto=17,tos=0,ttl=3,frag=no),udp(src=8,dst=9))`,
    110,
  ],
  [`${ETH},eth_type(0x8847),mpls(label=1000000,tc=7,ttl=9,bos=1)`, 18],
])("a frame that is made of a flow is of that flow: %s", (flow, size) => {
  const frame = composeFrame(parseOdpFlow(`in_port(1),${flow}`, () => undefined));
  const key = newFlowKey();
  extract(frame, 0, frame.length, key, new Layers());
  key[LANE_IN_PORT] = 1;
  const whole = formatOdpMatch(keyToMatch(key, WHOLE));
  expect(whole).toBe(`recirc_id(0),in_port(1),packet_type(ns=0,id=0),${flow}`);
  expect(frame.length).toBe(size);
  // Nothing in it is malformed, nor its checksum wrong.
  expect(isDeepStrictEqual(checksumsIn(parseFrame(frame)), [])).toBe(true);
});

/** Checksums that are told because they are not the right ones, and what could not be read. */
function checksumsIn(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [];
  const { checksum, kind } = value as { checksum?: number; kind?: string };
  const own = kind === "malformed" || checksum !== undefined ? [value] : [];
  return [...own, ...Object.values(value).flatMap(checksumsIn)];
}

test("a frame is made as long as it is asked for, if it can", () => {
  const flow = `${ETH},eth_type(0x0800),ipv4(${V4},proto=17,tos=0,ttl=3,frag=no),udp(src=8,dst=9)`;
  const values = parseOdpFlow(flow, () => undefined);
  expect(composeFrame(values, 200).length).toBe(200);
  expect(composeFrame(values, 42).length).toBe(42);
  expect(() => composeFrame(values, 41)).toThrow("too small packet len");
  expect(composeFrame({ eth_type: 0x0806 }, 60).length).toBe(60);
});
