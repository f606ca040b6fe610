import { expect, test } from "vitest";
import {
  DP_LANES,
  FLOW_LANES,
  flowField,
  flowFields,
  getField,
  getFieldBig,
  getFieldBytes,
  newFlowKey,
  setField,
  setFieldBig,
  setFieldBytes,
  setFieldMask,
} from "./flow-key.js";
import * as lanes from "./lanes.js";
import { fieldMaskState } from "./mask.js";

test("the constants of lanes.ts are where the layout puts the fields", () => {
  const laneOf = (name: string): [number, number] => [flowField(name).lane, flowField(name).shift];
  expect(laneOf("in_port")).toEqual([lanes.LANE_IN_PORT, 0]);
  expect(laneOf("recirc_id")).toEqual([lanes.LANE_RECIRC_ID, 0]);
  expect(laneOf("eth_dst")).toEqual([lanes.LANE_ETH, 16]);
  expect(laneOf("eth_src")).toEqual([lanes.LANE_ETH + 1, 0]);
  expect(laneOf("eth_type")).toEqual([lanes.LANE_TYPE_TCI, 16]);
  expect(laneOf("vlan_tci")).toEqual([lanes.LANE_TYPE_TCI, 0]);
  expect(laneOf("vlan2_tpid")).toEqual([lanes.LANE_TPIDS, 0]);
  expect(laneOf("vlan2_tci")).toEqual([lanes.LANE_TCI2_FLAGS, 16]);
  expect(laneOf("tcp_flags")).toEqual([lanes.LANE_TCI2_FLAGS, 0]);
  expect(laneOf("ip_proto")).toEqual([lanes.LANE_NW, 24]);
  expect(laneOf("arp_op")).toEqual([lanes.LANE_NW, 16]);
  expect(laneOf("nw_tos")).toEqual([lanes.LANE_NW, 16]);
  expect(laneOf("nw_ttl")).toEqual([lanes.LANE_NW, 8]);
  expect(laneOf("nw_frag")).toEqual([lanes.LANE_NW, 0]);
  expect(laneOf("tcp_src")).toEqual([lanes.LANE_TP, 16]);
  expect(laneOf("icmpv4_type")).toEqual([lanes.LANE_TP, 16]);
  expect(laneOf("ipv4_src")).toEqual([lanes.LANE_IPV4_SRC, 0]);
  expect(laneOf("arp_tpa")).toEqual([lanes.LANE_IPV4_DST, 0]);
  expect(laneOf("arp_sha")).toEqual([lanes.LANE_ARP, 16]);
  expect(laneOf("mpls_label")).toEqual([lanes.LANE_MPLS, 12]);
  expect(laneOf("pbb_isid")).toEqual([lanes.LANE_PBB, 0]);
  expect(laneOf("ipv6_src")).toEqual([lanes.LANE_IPV6_SRC, 0]);
  expect(laneOf("ipv6_dst")).toEqual([lanes.LANE_IPV6_DST, 0]);
  expect(laneOf("ipv6_flabel")).toEqual([lanes.LANE_FLABEL, 0]);
  expect(laneOf("ipv6_nd_target")).toEqual([lanes.LANE_ND_TARGET, 0]);
  expect(laneOf("conj_id")).toEqual([lanes.LANE_CONJ_ID, 0]);
  expect(lanes.LANES_IPV6).toBe(DP_LANES);
});

test.each(Object.values(flowFields))(
  "$name keeps what is put in it and nothing beside it changes",
  (field) => {
    const all = (1n << BigInt(field.bits)) - 1n;
    for (const value of [0n, 1n, all, all & 0x0123456789abcdef0123456789abcdefn]) {
      const key = newFlowKey().fill(0xffff_ffff);
      setFieldBig(key, field, value);
      expect(getFieldBig(key, field)).toBe(value);
      setFieldBig(key, field, all);
      expect(key.every((lane) => lane === 0xffff_ffff)).toBe(true);
      if (field.bits <= 32) {
        setField(key, field, Number(value));
        expect(getField(key, field)).toBe(Number(value));
      }
      const bytes = getFieldBytes(key, field);
      const copy = newFlowKey();
      setFieldBytes(copy, field, bytes);
      expect(getFieldBytes(copy, field)).toEqual(bytes);
    }
  },
);

test.each(Object.values(flowFields))("the mask of $name has as many bits as the field", (field) => {
  const mask = newFlowKey();
  expect(fieldMaskState(mask, field)).toBe("none");
  setFieldMask(mask, field);
  expect(fieldMaskState(mask, field)).toBe("all");
  expect(getFieldBig(mask, field)).toBe((1n << BigInt(field.bits)) - 1n);
  const bits = [...mask].reduce((sum, lane) => sum + lane.toString(2).replaceAll("0", "").length, 0);
  expect(bits).toBe(field.bits);
});

test("a key has FLOW_LANES lanes, and fields are asked for by name", () => {
  expect(newFlowKey()).toHaveLength(FLOW_LANES);
  expect(() => flowField("nothing")).toThrow("nothing is not a flow field");
  expect(() => flowField("toString")).toThrow("not a flow field");
});
