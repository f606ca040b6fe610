import { nxMessages } from "../ext/nx-messages.js";
import {
  array,
  BAD_LEN,
  embed,
  enumeration,
  errorCode,
  flags,
  type Infer,
  type Init,
  length,
  lengthOf,
  list,
  mac,
  member,
  pad,
  rest,
  tag,
  tagOf,
  u8,
  u16,
  u32,
  u64,
  union,
  variant,
} from "../schema/declare.js";
import { actionUnion } from "./actions.js";
import { errorTypeValues, ofErrors } from "./errors.js";
import { instructionUnion } from "./instructions.js";
import { match } from "./match.js";
import { message } from "./message.js";
import { multipartReplyBody, multipartRequestBody } from "./multipart.js";
import {
  bufferId,
  capabilityNames,
  configFlagNames,
  flowModFlagNames,
  groupId,
  groupIdAny,
  meterFlagNames,
  meterId,
  missSendLen,
  multipartReplyFlagNames,
  multipartRequestFlagNames,
  portConfigNames,
  portFeatureNames,
  portNo,
  portNoAny,
  tableId,
  tableIdZero,
} from "./numbers.js";
import {
  bandUnion,
  bucketStruct,
  helloElementUnion,
  ofpGroupType,
  portStruct,
  queueStruct,
} from "./structs.js";

/** The messages of OpenFlow 1.3.5 §7.3 to §7.5, by type number. */

/** HELLO and ERROR cross versions (§6.3.1, §7.5.4): their version is a field. */
const anyVersion = { version: u8({ default: 4 }) } as const;

export const Hello = member(
  "OFPT_HELLO",
  {
    ...anyVersion,
    header_type: tag(1, 0),
    length: length(),
    xid: u32({ default: 0 }),
    elements: list(helloElementUnion),
  },
  { section: "§7.5.1" },
);
const errorType = enumeration("ofp_error_type", u16(), errorTypeValues);
export const ErrorMessage = member(
  "OFPT_ERROR",
  {
    ...anyVersion,
    header_type: tag(1, 1),
    length: length(),
    xid: u32({ default: 0 }),
    error_type: errorType,
    error_code: errorCode("error_type", ofErrors),
    data: rest("At least the first 64 bytes of the request that failed."),
  },
  { section: "§7.5.4" },
);
export const EchoRequest = message("OFPT_ECHO_REQUEST", 2, "§7.5.2", { data: rest() });
export const EchoReply = message("OFPT_ECHO_REPLY", 3, "§7.5.3", { data: rest() });
export const Experimenter = message("OFPT_EXPERIMENTER", 4, "§7.5.5", {
  experimenter: u32({ fmt: "hex" }),
  exp_type: u32(),
  data: rest(),
});
export const FeaturesRequest = message("OFPT_FEATURES_REQUEST", 5, "§7.3.1", {});
export const FeaturesReply = message("OFPT_FEATURES_REPLY", 6, "§7.3.1", {
  datapath_id: u64({ fmt: "hex" }),
  n_buffers: u32({ default: 0 }),
  n_tables: u8(),
  auxiliary_id: u8({ default: 0 }),
  pad: pad(2),
  capabilities: flags(4, capabilityNames),
  reserved: u32({ default: 0 }),
});
export const GetConfigRequest = message("OFPT_GET_CONFIG_REQUEST", 7, "§7.3.2", {});
export const GetConfigReply = message("OFPT_GET_CONFIG_REPLY", 8, "§7.3.2", {
  flags: flags(2, configFlagNames),
  miss_send_len: missSendLen,
});
export const SetConfig = message("OFPT_SET_CONFIG", 9, "§7.3.2", {
  flags: flags(2, configFlagNames),
  miss_send_len: missSendLen,
});
export const PacketIn = message("OFPT_PACKET_IN", 10, "§7.4.1", {
  buffer_id: bufferId,
  total_len: u16(),
  reason: enumeration("ofp_packet_in_reason", u8(), {
    OFPR_NO_MATCH: 0,
    OFPR_ACTION: 1,
    OFPR_INVALID_TTL: 2,
  }),
  table_id: tableId,
  cookie: u64({ fmt: "hex", default: 0n }),
  match,
  pad: pad(2),
  data: rest("The frame, cut to what was asked for."),
});
export const FlowRemoved = message("OFPT_FLOW_REMOVED", 11, "§7.4.2", {
  cookie: u64({ fmt: "hex", default: 0n }),
  priority: u16(),
  reason: enumeration("ofp_flow_removed_reason", u8(), {
    OFPRR_IDLE_TIMEOUT: 0,
    OFPRR_HARD_TIMEOUT: 1,
    OFPRR_DELETE: 2,
    OFPRR_GROUP_DELETE: 3,
  }),
  table_id: tableId,
  duration_sec: u32(),
  duration_nsec: u32(),
  idle_timeout: u16({ default: 0 }),
  hard_timeout: u16({ default: 0 }),
  packet_count: u64(),
  byte_count: u64(),
  match,
});
export const PortStatus = message("OFPT_PORT_STATUS", 12, "§7.4.3", {
  reason: enumeration("ofp_port_reason", u8(), { OFPPR_ADD: 0, OFPPR_DELETE: 1, OFPPR_MODIFY: 2 }),
  pad: pad(7),
  desc: embed(portStruct),
});
export const PacketOut = message("OFPT_PACKET_OUT", 13, "§7.3.7", {
  buffer_id: bufferId,
  in_port: portNo,
  actions_len: lengthOf(2, "actions"),
  pad: pad(6),
  actions: list(actionUnion),
  data: rest("The frame, when buffer_id is OFP_NO_BUFFER."),
});
export const FlowMod = message("OFPT_FLOW_MOD", 14, "§7.3.4.1", {
  cookie: u64({ fmt: "hex", default: 0n, doc: "Opaque id, chosen by the controller." }),
  cookie_mask: u64({ fmt: "hex", default: 0n, doc: "Bits of cookie that must match; 0 for any." }),
  table_id: tableIdZero,
  command: enumeration("ofp_flow_mod_command", u8(), {
    OFPFC_ADD: 0,
    OFPFC_MODIFY: 1,
    OFPFC_MODIFY_STRICT: 2,
    OFPFC_DELETE: 3,
    OFPFC_DELETE_STRICT: 4,
  }),
  idle_timeout: u16({ default: 0, doc: "Seconds; 0 for never." }),
  hard_timeout: u16({ default: 0, doc: "Seconds; 0 for never." }),
  priority: u16({ default: 0x8000 }),
  buffer_id: bufferId,
  out_port: portNoAny,
  out_group: groupIdAny,
  flags: flags(2, flowModFlagNames),
  pad: pad(2),
  match,
  instructions: list(instructionUnion),
});
export const GroupMod = message("OFPT_GROUP_MOD", 15, "§7.3.4.2", {
  command: enumeration("ofp_group_mod_command", u16(), { OFPGC_ADD: 0, OFPGC_MODIFY: 1, OFPGC_DELETE: 2 }),
  group_type: ofpGroupType,
  pad: pad(1),
  group_id: groupId,
  buckets: list(bucketStruct),
});
export const PortMod = message("OFPT_PORT_MOD", 16, "§7.3.4.3", {
  port_no: portNo,
  pad: pad(4),
  hw_addr: mac(),
  pad2: pad(2),
  config: flags(4, portConfigNames),
  mask: flags(4, portConfigNames),
  advertise: flags(4, portFeatureNames),
  pad3: pad(4),
});
export const TableMod = message("OFPT_TABLE_MOD", 17, "§7.3.3", {
  table_id: tableId,
  pad: pad(3),
  config: u32({ default: 0 }),
});
export const MultipartRequest = message("OFPT_MULTIPART_REQUEST", 18, "§7.3.5", {
  body_type: tagOf("body"),
  flags: flags(2, multipartRequestFlagNames),
  pad: pad(4),
  body: variant(multipartRequestBody),
});
export const MultipartReply = message("OFPT_MULTIPART_REPLY", 19, "§7.3.5", {
  body_type: tagOf("body"),
  flags: flags(2, multipartReplyFlagNames),
  pad: pad(4),
  body: variant(multipartReplyBody),
});
export const BarrierRequest = message("OFPT_BARRIER_REQUEST", 20, "§7.3.8", {});
export const BarrierReply = message("OFPT_BARRIER_REPLY", 21, "§7.3.8", {});
export const QueueGetConfigRequest = message("OFPT_QUEUE_GET_CONFIG_REQUEST", 22, "§7.3.6", {
  port: portNoAny,
  pad: pad(4),
});
export const QueueGetConfigReply = message("OFPT_QUEUE_GET_CONFIG_REPLY", 23, "§7.3.6", {
  port: portNoAny,
  pad: pad(4),
  queues: list(queueStruct),
});
const role = enumeration("ofp_controller_role", u32(), {
  OFPCR_ROLE_NOCHANGE: 0,
  OFPCR_ROLE_EQUAL: 1,
  OFPCR_ROLE_MASTER: 2,
  OFPCR_ROLE_SLAVE: 3,
});
const roleFields = { role, pad: pad(4), generation_id: u64({ default: 0n }) } as const;
export const RoleRequest = message("OFPT_ROLE_REQUEST", 24, "§7.3.9", roleFields);
export const RoleReply = message("OFPT_ROLE_REPLY", 25, "§7.3.9", roleFields);
/** Bit masks of reasons: [0] as master or equal, [1] as slave. */
const asyncFields = {
  packet_in_mask: array(u32({ fmt: "hex" }), 2),
  port_status_mask: array(u32({ fmt: "hex" }), 2),
  flow_removed_mask: array(u32({ fmt: "hex" }), 2),
} as const;
export const GetAsyncRequest = message("OFPT_GET_ASYNC_REQUEST", 26, "§7.3.10", {});
export const GetAsyncReply = message("OFPT_GET_ASYNC_REPLY", 27, "§7.3.10", asyncFields);
export const SetAsync = message("OFPT_SET_ASYNC", 28, "§7.3.10", asyncFields);
export const MeterMod = message("OFPT_METER_MOD", 29, "§7.3.4.4", {
  command: enumeration("ofp_meter_mod_command", u16(), { OFPMC_ADD: 0, OFPMC_MODIFY: 1, OFPMC_DELETE: 2 }),
  flags: flags(2, meterFlagNames),
  meter_id: meterId,
  bands: list(bandUnion),
});

export const messageUnion = union(
  "ofp_message",
  [
    Hello,
    ErrorMessage,
    EchoRequest,
    EchoReply,
    Experimenter,
    FeaturesRequest,
    FeaturesReply,
    GetConfigRequest,
    GetConfigReply,
    SetConfig,
    PacketIn,
    FlowRemoved,
    PortStatus,
    PacketOut,
    FlowMod,
    GroupMod,
    PortMod,
    TableMod,
    MultipartRequest,
    MultipartReply,
    BarrierRequest,
    BarrierReply,
    QueueGetConfigRequest,
    QueueGetConfigReply,
    RoleRequest,
    RoleReply,
    GetAsyncRequest,
    GetAsyncReply,
    SetAsync,
    MeterMod,
    ...nxMessages,
  ],
  { unknown: ["OFPET_BAD_REQUEST", "OFPBRC_BAD_TYPE"], error: BAD_LEN, align: 1 },
);

/** Any message, as decode gives it. `type` tells which. */
export type OfMessage = Infer<typeof messageUnion>;
/** Any message, as encode takes it: fields with a default may be left out. */
export type OfMessageInit = Init<typeof messageUnion>;
export type OfMessageType = OfMessage["type"];
/** The message of a type: `MessageOf<"OFPT_FLOW_MOD">`. */
export type MessageOf<T extends OfMessageType> = Extract<OfMessage, { type: T }>;
export type MessageInitOf<T extends OfMessageType> = Extract<OfMessageInit, { type: T }>;
