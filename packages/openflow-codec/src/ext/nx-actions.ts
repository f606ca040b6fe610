import {
  countedArray,
  countOf,
  type Fields,
  flags,
  ipv4,
  ipv6,
  length,
  list,
  listOfRef,
  member,
  names,
  optional,
  oxmId,
  pad,
  padUntil,
  rest,
  struct,
  tag,
  u8,
  u16,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import type { ActionBox } from "../v13/actions.js";
import { oneOxm } from "../v13/match.js";
import { learnSpecs } from "./learn.js";
import { NX_EXPERIMENTER, ONF_EXPERIMENTER } from "./nxm.js";

/** Nicira's extension actions, which Open vSwitch takes in every OpenFlow version. See ovs-actions(7). */

const BAD_LEN: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_LEN"];
const BAD_ARGUMENT: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_ARGUMENT"];

const nxAction = <const T extends string, const F extends Fields>(
  name: T,
  subtype: number,
  text: string,
  fields: F,
) =>
  member(
    name,
    {
      type: tag(2, 0xffff),
      len: length(),
      experimenter: tag(4, NX_EXPERIMENTER),
      subtype: tag(2, subtype),
      ...fields,
    },
    { error: BAD_LEN, padTo: 8, text },
  );

/** OpenFlow 1.0 port numbers, which these actions keep. */
const port10 = u16({
  reserved: names("ofp10_port", {
    OFPP_IN_PORT: 0xfff8,
    OFPP_TABLE: 0xfff9,
    OFPP_NORMAL: 0xfffa,
    OFPP_FLOOD: 0xfffb,
    OFPP_ALL: 0xfffc,
    OFPP_CONTROLLER: 0xfffd,
    OFPP_LOCAL: 0xfffe,
    OFPP_NONE: 0xffff,
  }),
});
const hex16 = u16({ fmt: "hex" });
const hex32 = u32({ fmt: "hex" });

/** `ofs << 6 | (n_bits - 1)`: which bits of a field. */
const ofsNbits = u16();

const learnFlags = flags(
  2,
  names("nx_learn_flags", {
    NX_LEARN_F_SEND_FLOW_REM: 1,
    NX_LEARN_F_DELETE_LEARNED: 2,
    NX_LEARN_F_WRITE_RESULT: 4,
  }),
);
const ctFlags = flags(2, names("nx_conntrack_flags", { NX_CT_F_COMMIT: 1, NX_CT_F_FORCE: 2 }));
const natFlags = flags(
  2,
  names("nx_nat_flags", {
    NX_NAT_F_SRC: 1,
    NX_NAT_F_DST: 2,
    NX_NAT_F_PERSISTENT: 4,
    NX_NAT_F_PROTO_HASH: 8,
    NX_NAT_F_PROTO_RANDOM: 16,
  }),
);

/** NXAST_CONTROLLER2's properties, which say how the packet goes to the controller. */
const property = <const T extends string, const F extends Fields>(name: T, type: number, fields: F) =>
  member(name, { type: tag(2, type), length: length(), ...fields }, { error: BAD_LEN });
const controller2Prop = union(
  "nx_action_controller2_prop",
  [
    property("NXAC2PT_MAX_LEN", 0, { max_len: u16(), pad: pad(2) }),
    property("NXAC2PT_CONTROLLER_ID", 1, { controller_id: u16(), pad: pad(2) }),
    property("NXAC2PT_REASON", 2, { reason: u8() }),
    property("NXAC2PT_USERDATA", 3, { userdata: rest() }),
    property("NXAC2PT_PAUSE", 4, {}),
    property("NXAC2PT_METER_ID", 5, { meter_id: u32() }),
  ],
  {
    fallback: struct(
      "nx_action_controller2_prop_unknown",
      { type: u16(), length: length(), data: rest() },
      { error: BAD_LEN },
    ),
    unknown: BAD_ARGUMENT,
    error: BAD_LEN,
    align: 8,
    padded: true,
  },
);

/** Properties of NXAST_ENCAP and NXAST_DECAP: the first 16 bits are the class. */
const encapProp = struct(
  "ofp_ed_prop",
  { prop_class: hex16, prop_type: u8(), len: length(1), data: rest() },
  { error: BAD_LEN, align: 8 },
);

const learnFields = {
  idle_timeout: u16({ default: 0 }),
  hard_timeout: u16({ default: 0 }),
  priority: u16({ default: 0x8000 }),
  cookie: u64({ fmt: "hex", default: 0n }),
  flags: learnFlags,
  table_id: u8(),
  pad: pad(1),
  fin_idle_timeout: u16({ default: 0 }),
  fin_hard_timeout: u16({ default: 0 }),
} as const;

const sampleFields = {
  probability: u16(),
  collector_set_id: u32({ default: 0 }),
  obs_domain_id: u32({ default: 0 }),
  obs_point_id: u32({ default: 0 }),
} as const;

const bundleFields = {
  algorithm: u16(),
  fields: u16(),
  basis: u16(),
  member_type: hex32,
  n_members: countOf("members"),
  ofs_nbits: ofsNbits,
  dst: u32({ fmt: "header" }),
  zero: pad(4),
  members: countedArray(u16(), "n_members"),
} as const;

export const nxActions = [
  nxAction("NXAST_RESUBMIT", 1, "resubmit", { in_port: port10, pad: pad(4) }),
  nxAction("NXAST_SET_TUNNEL", 2, "set_tunnel", { pad: pad(2), tun_id: hex32 }),
  nxAction("NXAST_SET_QUEUE", 4, "set_queue", { pad: pad(2), queue_id: u32() }),
  nxAction("NXAST_POP_QUEUE", 5, "pop_queue", { pad: pad(6) }),
  nxAction("NXAST_REG_MOVE", 6, "move", {
    n_bits: u16(),
    src_ofs: u16({ default: 0 }),
    dst_ofs: u16({ default: 0 }),
    src: oxmId(),
    dst: oxmId(),
  }),
  nxAction("NXAST_REG_LOAD", 7, "load", { ofs_nbits: ofsNbits, dst: oxmId(), value: u64({ fmt: "hex" }) }),
  nxAction("NXAST_NOTE", 8, "note", { note: rest() }),
  nxAction("NXAST_SET_TUNNEL64", 9, "set_tunnel64", { pad: pad(6), tun_id: u64({ fmt: "hex" }) }),
  nxAction("NXAST_MULTIPATH", 10, "multipath", {
    fields: u16(),
    basis: u16(),
    pad: pad(2),
    algorithm: u16(),
    max_link: u16(),
    arg: u32(),
    pad2: pad(2),
    ofs_nbits: ofsNbits,
    dst: oxmId(),
  }),
  nxAction("NXAST_BUNDLE", 12, "bundle", bundleFields),
  nxAction("NXAST_BUNDLE_LOAD", 13, "bundle_load", bundleFields),
  nxAction("NXAST_RESUBMIT_TABLE", 14, "resubmit", { in_port: port10, table: u8(), pad: pad(3) }),
  nxAction("NXAST_OUTPUT_REG", 15, "output", {
    ofs_nbits: ofsNbits,
    src: oxmId(),
    max_len: u16({ default: 0xffff }),
    zero: pad(6),
  }),
  nxAction("NXAST_LEARN", 16, "learn", { ...learnFields, specs: learnSpecs() }),
  nxAction("NXAST_EXIT", 17, "exit", { pad: pad(6) }),
  nxAction("NXAST_DEC_TTL", 18, "dec_ttl", { pad: pad(6) }),
  nxAction("NXAST_FIN_TIMEOUT", 19, "fin_timeout", {
    fin_idle_timeout: u16({ default: 0 }),
    fin_hard_timeout: u16({ default: 0 }),
    pad: pad(2),
  }),
  nxAction("NXAST_CONTROLLER", 20, "controller", {
    max_len: u16({ default: 0xffff }),
    controller_id: u16({ default: 0 }),
    reason: u8({ default: 1 }),
    zero: pad(1),
  }),
  nxAction("NXAST_DEC_TTL_CNT_IDS", 21, "dec_ttl", {
    n_controllers: countOf("cnt_ids"),
    zeros: pad(4),
    cnt_ids: countedArray(u16(), "n_controllers"),
  }),
  nxAction("NXAST_WRITE_METADATA", 22, "write_metadata", {
    zeros: pad(6),
    metadata: u64({ fmt: "hex" }),
    mask: u64({ fmt: "hex" }),
  }),
  nxAction("NXAST_PUSH_MPLS", 23, "push_mpls", { ethertype: hex16, pad: pad(4) }),
  nxAction("NXAST_POP_MPLS", 24, "pop_mpls", { ethertype: hex16, pad: pad(4) }),
  nxAction("NXAST_SET_MPLS_TTL", 25, "set_mpls_ttl", { ttl: u8(), pad: pad(5) }),
  nxAction("NXAST_DEC_MPLS_TTL", 26, "dec_mpls_ttl", { pad: pad(6) }),
  nxAction("NXAST_STACK_PUSH", 27, "push", {
    offset: u16({ default: 0 }),
    field: oxmId(),
    n_bits: u16(),
    zero: padUntil(24),
  }),
  nxAction("NXAST_STACK_POP", 28, "pop", {
    offset: u16({ default: 0 }),
    field: oxmId(),
    n_bits: u16(),
    zero: padUntil(24),
  }),
  nxAction("NXAST_SAMPLE", 29, "sample", sampleFields),
  nxAction("NXAST_SET_MPLS_LABEL", 30, "set_mpls_label", { pad: pad(2), label: u32() }),
  nxAction("NXAST_SET_MPLS_TC", 31, "set_mpls_tc", { tc: u8(), pad: pad(5) }),
  nxAction("NXAST_OUTPUT_REG2", 32, "output", {
    ofs_nbits: ofsNbits,
    max_len: u16({ default: 0xffff }),
    src: oxmId(),
    zero: padUntil(24),
  }),
  nxAction("NXAST_REG_LOAD2", 33, "set_field", { field: oneOxm(true) }),
  nxAction("NXAST_CONJUNCTION", 34, "conjunction", { clause: u8(), n_clauses: u8(), id: u32() }),
  nxAction("NXAST_CT", 35, "ct", {
    flags: ctFlags,
    zone_src: u32({ fmt: "header", default: 0 }),
    zone: u16({ default: 0 }),
    recirc_table: u8({ default: 0xff }),
    pad: pad(3),
    alg: u16({ default: 0 }),
    actions: listOfRef<ActionBox>("ofp_action"),
  }),
  nxAction("NXAST_NAT", 36, "nat", {
    pad: pad(2),
    flags: natFlags,
    range_present: u16({ default: 0 }),
    ipv4_min: optional(ipv4(), "range_present", 0),
    ipv4_max: optional(ipv4(), "range_present", 1),
    ipv6_min: optional(ipv6(), "range_present", 2),
    ipv6_max: optional(ipv6(), "range_present", 3),
    proto_min: optional(u16(), "range_present", 4),
    proto_max: optional(u16(), "range_present", 5),
  }),
  nxAction("NXAST_CONTROLLER2", 37, "controller", { pad: pad(6), properties: list(controller2Prop) }),
  nxAction("NXAST_SAMPLE2", 38, "sample", { ...sampleFields, sampling_port: port10, pad: pad(6) }),
  nxAction("NXAST_OUTPUT_TRUNC", 39, "output", { port: port10, max_len: u32() }),
  nxAction("NXAST_GROUP", 40, "group", { pad: pad(2), group_id: u32() }),
  nxAction("NXAST_SAMPLE3", 41, "sample", {
    ...sampleFields,
    sampling_port: port10,
    direction: u8({ default: 0 }),
    pad: pad(5),
  }),
  nxAction("NXAST_CLONE", 42, "clone", { pad: pad(6), actions: listOfRef<ActionBox>("ofp_action") }),
  nxAction("NXAST_CT_CLEAR", 43, "ct_clear", { pad: pad(6) }),
  nxAction("NXAST_RESUBMIT_TABLE_CT", 44, "resubmit", { in_port: port10, table: u8(), pad: pad(3) }),
  nxAction("NXAST_LEARN2", 45, "learn", {
    ...learnFields,
    limit: u32({ default: 0 }),
    result_dst_ofs: u16({ default: 0 }),
    pad2: pad(2),
    result_dst: optional(oxmId(), "flags", 2),
    specs: learnSpecs(),
  }),
  nxAction("NXAST_ENCAP", 46, "encap", { hdr_size: u16(), new_pkt_type: hex32, properties: list(encapProp) }),
  nxAction("NXAST_DECAP", 47, "decap", { pad: pad(2), new_pkt_type: hex32, data: rest() }),
  nxAction("NXAST_DEC_NSH_TTL", 48, "dec_nsh_ttl", { pad: pad(6) }),
  nxAction("NXAST_CHECK_PKT_LARGER", 49, "check_pkt_larger", {
    pkt_len: u16(),
    offset: u16(),
    dst: oxmId(),
    pad: padUntil(24),
  }),
  nxAction("NXAST_DELETE_FIELD", 50, "delete_field", { field: oxmId(), pad: padUntil(24) }),
  member(
    "ONFACT_COPY_FIELD",
    {
      type: tag(2, 0xffff),
      len: length(),
      experimenter: tag(4, ONF_EXPERIMENTER),
      exp_type: tag(2, 3200),
      pad: pad(2),
      n_bits: u16(),
      src_offset: u16({ default: 0 }),
      dst_offset: u16({ default: 0 }),
      pad2: pad(2),
      src: oxmId(),
      dst: oxmId(),
    },
    { error: BAD_LEN, padTo: 8, text: "move" },
  ),
] as const;
