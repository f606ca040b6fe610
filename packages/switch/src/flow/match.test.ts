import { expect, test } from "vitest";
import { flowField, getField } from "./flow-key.js";
import { FlowMatchError, keyToMatch, matchToKey } from "./match.js";

test.each([
  { in_port: 1 },
  { eth_dst: { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" } },
  { eth_type: 0x0800, ipv4_src: { value: "10.0.0.0", mask: "255.0.0.0" } },
  { in_port: 0xffff_fffe, metadata: { value: 0x5n, mask: 0xffn }, vlan_vid: 0x1001, vlan_pcp: 7 },
  { vlan_vid: 0 },
  { vlan_vid: { value: 0x1000, mask: 0x1000 } },
  { eth_type: 0x86dd, ip_proto: 6, ipv6_dst: { value: "2001:db8::", mask: "ffff:ffff::" }, tcp_dst: 80 },
  {
    eth_type: 0x86dd,
    ip_proto: 58,
    icmpv6_type: 135,
    ipv6_nd_target: "fe80::1",
    ipv6_nd_sll: "00:00:00:00:00:01",
  },
  { eth_type: 0x0800, ip_proto: 1, icmpv4_type: 8, icmpv4_code: 0 },
  { eth_type: 0x0806, arp_op: 1, arp_tpa: "10.0.0.1" },
  { eth_type: 0x8847, mpls_label: 16, mpls_bos: 1 },
  { tunnel_id: 0x1_0000_0000n, reg3: { value: 1, mask: 3 } },
  {},
])("%o comes back from a key as it was", (match) => {
  const { key, mask } = matchToKey(match);
  expect(keyToMatch(key, mask)).toEqual(match);
});

test.each([
  [{ vlan_vid: 0x3000 }, "OFPBMC_BAD_VALUE"],
  [{ vlan_vid: { value: 0, mask: 0x2000 } }, "OFPBMC_BAD_MASK"],
  [{ ipv4_src: { value: "10.0.0.1", mask: "255.0.0.0" } }, "OFPBMC_BAD_WILDCARDS"],
  [{ eth_dst: "not a MAC" }, "OFPBMC_BAD_VALUE"],
  [{ in_port: -1 }, "OFPBMC_BAD_VALUE"],
  [{ in_port: 1, in_phy_port: 2 }, "OFPBMC_BAD_VALUE"],
  [{ "oxm:0x1234:5": "00" }, "OFPBMC_BAD_FIELD"],
  [{ constructor: 1 }, "OFPBMC_BAD_FIELD"],
])("%o is refused with %s", (match, code) => {
  expect(() => matchToKey(match as never)).toThrow(expect.objectContaining({ code }));
  expect(() => matchToKey(match as never)).toThrow(FlowMatchError);
});

test("the older numbers fill the fields that replaced them, in their own sense", () => {
  const { key, mask } = matchToKey({ nxm_of_in_port: 0xfffe, nxm_of_ip_tos: 0xb8, nxm_of_eth_type: 0x0800 });
  expect(getField(key, flowField("in_port"))).toBe(0xffff_fffe);
  expect(getField(mask, flowField("ip_dscp"))).toBe(0x3f);
  expect(getField(mask, flowField("ip_ecn"))).toBe(0);
  expect(keyToMatch(key, mask)).toEqual({ in_port: 0xffff_fffe, eth_type: 0x0800, ip_dscp: 46 });
});

test("xreg0 is reg0 and reg1", () => {
  const { key } = matchToKey({ xreg0: 0x0000_0001_0000_0002n });
  expect([getField(key, flowField("reg0")), getField(key, flowField("reg1"))]).toEqual([1, 2]);
});
