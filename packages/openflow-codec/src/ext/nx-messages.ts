import {
  array,
  BAD_LEN,
  enumeration,
  flags,
  length,
  lengthOf,
  list,
  member,
  names,
  pad,
  padTail,
  rest,
  struct,
  tag,
  u8,
  u16,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import { actionUnion } from "../v13/actions.js";
import { oxmList } from "../v13/match.js";
import { experimenterMessage } from "../v13/message.js";
import { bufferId } from "../v13/numbers.js";
import { NX_EXPERIMENTER, ONF_EXPERIMENTER } from "./nxm.js";

/** Experimenter messages that Open vSwitch and its tools send over OpenFlow 1.3 connections: Nicira's, and
 *  ONF's extensions of 1.3. */

const nxt = <const T extends string, const F extends Parameters<typeof experimenterMessage>[3]>(
  name: T,
  expType: number,
  fields: F,
) => experimenterMessage<T, F>(name, NX_EXPERIMENTER, expType, fields);
const onft = <const T extends string, const F extends Parameters<typeof experimenterMessage>[3]>(
  name: T,
  expType: number,
  fields: F,
) => experimenterMessage<T, F>(name, ONF_EXPERIMENTER, expType, fields);

const nxRole = enumeration("nx_role", u32(), { NX_ROLE_OTHER: 0, NX_ROLE_MASTER: 1, NX_ROLE_SLAVE: 2 });
/** Bit masks of reasons: [0] as master or other, [1] as slave. */
const masks = array(u32({ fmt: "hex" }), 2);

const asyncProp = <const T extends string>(name: T, type: number) =>
  member(name, { type: tag(2, type), length: length(), mask: u32({ fmt: "hex" }) });
/** OpenFlow 1.4's way to say which asynchronous messages to send. */
const asyncPropUnion = union(
  "ofp14_async_config_prop",
  [
    asyncProp("OFPACPT_PACKET_IN_SLAVE", 0),
    asyncProp("OFPACPT_PACKET_IN_MASTER", 1),
    asyncProp("OFPACPT_PORT_STATUS_SLAVE", 2),
    asyncProp("OFPACPT_PORT_STATUS_MASTER", 3),
    asyncProp("OFPACPT_FLOW_REMOVED_SLAVE", 4),
    asyncProp("OFPACPT_FLOW_REMOVED_MASTER", 5),
    asyncProp("OFPACPT_ROLE_STATUS_SLAVE", 6),
    asyncProp("OFPACPT_ROLE_STATUS_MASTER", 7),
    asyncProp("OFPACPT_TABLE_STATUS_SLAVE", 8),
    asyncProp("OFPACPT_TABLE_STATUS_MASTER", 9),
    asyncProp("OFPACPT_REQUESTFORWARD_SLAVE", 10),
    asyncProp("OFPACPT_REQUESTFORWARD_MASTER", 11),
  ],
  {
    fallback: struct("ofp14_async_config_prop_unknown", { type: u16(), length: length(), data: rest() }),
    unknown: BAD_LEN,
    error: BAD_LEN,
    align: 8,
    padded: true,
  },
);

/** What a packet-in in the NXT_PACKET_IN2 format, and a resume, are made of. */
const packetIn2Union = union(
  "nx_packet_in2_prop",
  [
    member("NXPINT_PACKET", { type: tag(2, 0), length: length(), packet: rest() }),
    member("NXPINT_FULL_LEN", { type: tag(2, 1), length: length(), full_len: u32() }),
    member("NXPINT_BUFFER_ID", { type: tag(2, 2), length: length(), buffer_id: bufferId }),
    member("NXPINT_TABLE_ID", { type: tag(2, 3), length: length(), table_id: u8() }),
    member("NXPINT_COOKIE", { type: tag(2, 4), length: length(), pad: pad(4), cookie: u64({ fmt: "hex" }) }),
    member("NXPINT_REASON", { type: tag(2, 5), length: length(), reason: u8() }),
    member("NXPINT_METADATA", { type: tag(2, 6), length: length(), metadata: oxmList }),
    member("NXPINT_USERDATA", { type: tag(2, 7), length: length(), userdata: rest() }),
    member("NXPINT_CONTINUATION", { type: tag(2, 8), length: length(), continuation: rest() }),
  ],
  {
    fallback: struct("nx_packet_in2_prop_unknown", { type: u16(), length: length(), data: rest() }),
    unknown: BAD_LEN,
    error: BAD_LEN,
    align: 8,
    padded: true,
  },
);

const tlvMap = struct("nx_tlv_map", {
  option_class: u16({ fmt: "hex" }),
  option_type: u8({ fmt: "hex" }),
  option_len: u8(),
  index: u16(),
  pad: pad(2),
});

/** Where the match of Nicira's own messages is: its length, and OXM fields padded to 8. */
const nxMatch = {
  match_len: lengthOf(2, "match"),
  pad: pad(6),
  match: oxmList,
  match_pad: padTail("match"),
} as const;

const bundleFlags = flags(2, names("ofp_bundle_flags", { OFPBF_ATOMIC: 1, OFPBF_ORDERED: 2 }));
export const OFPBF = Object.freeze({ ATOMIC: 1 << 0, ORDERED: 1 << 1 });

export const nxMessages = [
  nxt("NXT_ROLE_REQUEST", 10, { role: nxRole }),
  nxt("NXT_ROLE_REPLY", 11, { role: nxRole }),
  nxt("NXT_SET_FLOW_FORMAT", 12, {
    format: enumeration("nx_flow_format", u32(), { NXFF_OPENFLOW10: 0, NXFF_NXM: 2 }),
  }),
  nxt("NXT_FLOW_MOD", 13, {
    cookie: u64({ fmt: "hex", default: 0n }),
    command: u16(),
    idle_timeout: u16({ default: 0 }),
    hard_timeout: u16({ default: 0 }),
    priority: u16({ default: 0x8000 }),
    buffer_id: bufferId,
    out_port: u16({ default: 0xffff }),
    flags: u16({ default: 0 }),
    ...nxMatch,
    actions: list(actionUnion),
  }),
  nxt("NXT_FLOW_REMOVED", 14, {
    cookie: u64({ fmt: "hex", default: 0n }),
    priority: u16(),
    reason: u8(),
    table_id: u8({ default: 0 }),
    duration_sec: u32(),
    duration_nsec: u32(),
    idle_timeout: u16(),
    match_len: lengthOf(2, "match"),
    packet_count: u64(),
    byte_count: u64(),
    match: oxmList,
    match_pad: padTail("match"),
  }),
  nxt("NXT_FLOW_MOD_TABLE_ID", 15, { set: u8(), pad: pad(7) }),
  nxt("NXT_SET_PACKET_IN_FORMAT", 16, {
    format: enumeration("nx_packet_in_format", u32(), {
      NXPIF_STANDARD: 0,
      NXPIF_NXT_PACKET_IN: 1,
      NXPIF_NXT_PACKET_IN2: 2,
    }),
  }),
  nxt("NXT_PACKET_IN", 17, {
    buffer_id: bufferId,
    total_len: u16(),
    reason: u8(),
    table_id: u8(),
    cookie: u64({ fmt: "hex", default: 0n }),
    ...nxMatch,
    data_pad: pad(2),
    data: rest(),
  }),
  nxt("NXT_FLOW_AGE", 18, {}),
  nxt("NXT_SET_ASYNC_CONFIG", 19, {
    packet_in_mask: masks,
    port_status_mask: masks,
    flow_removed_mask: masks,
  }),
  nxt("NXT_SET_CONTROLLER_ID", 20, { zero: pad(6), controller_id: u16() }),
  nxt("NXT_FLOW_MONITOR_CANCEL", 21, { id: u32() }),
  nxt("NXT_FLOW_MONITOR_PAUSED", 22, {}),
  nxt("NXT_FLOW_MONITOR_RESUMED", 23, {}),
  nxt("NXT_TLV_TABLE_MOD", 24, {
    command: enumeration("nx_tlv_table_mod_command", u16(), {
      NXTTMC_ADD: 0,
      NXTTMC_DELETE: 1,
      NXTTMC_CLEAR: 2,
    }),
    pad: pad(6),
    maps: list(tlvMap),
  }),
  nxt("NXT_TLV_TABLE_REQUEST", 25, {}),
  nxt("NXT_TLV_TABLE_REPLY", 26, {
    max_option_space: u32(),
    max_fields: u16(),
    reserved: pad(10),
    maps: list(tlvMap),
  }),
  nxt("NXT_SET_ASYNC_CONFIG2", 27, { properties: list(asyncPropUnion) }),
  nxt("NXT_RESUME", 28, { properties: list(packetIn2Union) }),
  nxt("NXT_CT_FLUSH_ZONE", 29, { zero: pad(6), zone_id: u16() }),
  nxt("NXT_PACKET_IN2", 30, { properties: list(packetIn2Union) }),
  nxt("NXT_CT_FLUSH", 32, { ip_proto: u8(), pad: pad(7), data: rest() }),
  onft("ONFT_FLOW_MONITOR_CANCEL", 1870, { id: u32() }),
  onft("ONFT_FLOW_MONITOR_PAUSED", 1871, {}),
  onft("ONFT_FLOW_MONITOR_RESUMED", 1872, {}),
  onft("ONFT_ROLE_STATUS", 1911, {
    role: enumeration("ofp_controller_role", u32(), {
      OFPCR_ROLE_NOCHANGE: 0,
      OFPCR_ROLE_EQUAL: 1,
      OFPCR_ROLE_MASTER: 2,
      OFPCR_ROLE_SLAVE: 3,
    }),
    reason: enumeration("ofp_controller_role_reason", u8(), {
      OFPCRR_MASTER_REQUEST: 0,
      OFPCRR_CONFIG: 1,
      OFPCRR_EXPERIMENTER: 2,
    }),
    pad: pad(3),
    generation_id: u64(),
    properties: rest(),
  }),
  onft("ONFT_BUNDLE_CONTROL", 2300, {
    bundle_id: u32(),
    ctrl_type: enumeration("ofp_bundle_ctrl_type", u16(), {
      OFPBCT_OPEN_REQUEST: 0,
      OFPBCT_OPEN_REPLY: 1,
      OFPBCT_CLOSE_REQUEST: 2,
      OFPBCT_CLOSE_REPLY: 3,
      OFPBCT_COMMIT_REQUEST: 4,
      OFPBCT_COMMIT_REPLY: 5,
      OFPBCT_DISCARD_REQUEST: 6,
      OFPBCT_DISCARD_REPLY: 7,
    }),
    flags: bundleFlags,
    properties: rest(),
  }),
  // The message inside stays bytes: it has a header, and errors, of its own.
  onft("ONFT_BUNDLE_ADD_MESSAGE", 2301, {
    bundle_id: u32(),
    pad: pad(2),
    flags: bundleFlags,
    message: rest("The message to add, with its header, and properties after it."),
  }),
  onft("ONFT_REQUESTFORWARD", 2350, { request: rest("The forwarded request, with its header.") }),
] as const;
