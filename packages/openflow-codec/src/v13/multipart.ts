import { onfFlowMonitorReply, onfFlowMonitorRequest } from "../ext/flow-monitor.js";
import {
  BAD_LEN,
  body,
  embed,
  type Fields,
  flags,
  type Infer,
  type Init,
  length,
  list,
  member,
  pad,
  rest,
  struct,
  text,
  u8,
  u16,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import type { StructNode, UnionNode } from "../schema/nodes.js";
import { instructionUnion } from "./instructions.js";
import { match } from "./match.js";
import {
  flowModFlagNames,
  groupCapabilityNames,
  groupId,
  groupIdAll,
  groupIdAny,
  meterFlagNames,
  meterId,
  meterIdAll,
  portNo,
  portNoAny,
  queueId,
  queueIdAll,
  tableId,
  tableIdAll,
} from "./numbers.js";
import { bandUnion, bucketStruct, ofpGroupType, portStruct } from "./structs.js";
import { tableFeaturesStruct } from "./table-features.js";

/** Multipart bodies (OpenFlow 1.3.5 §7.3.5), by type. A reply that is a list holds `entries`. */

const BAD_MULTIPART: ErrorRef = ["OFPET_BAD_REQUEST", "OFPBRC_BAD_MULTIPART"];

const entries = <
  const T extends string,
  const S extends (StructNode | UnionNode) & { readonly "~value": unknown; readonly "~init": unknown },
>(
  name: T,
  section: string,
  of: S,
) => member(name, { entries: list(of) }, { section });
const bare = <const T extends string>(name: T, section: string) => member(name, {}, { section });
const part = <const T extends string, const F extends Fields>(name: T, section: string, fields: F) =>
  member(name, fields, { section });

const flowRequest = {
  table_id: tableIdAll,
  pad: pad(3),
  out_port: portNoAny,
  out_group: groupIdAny,
  pad2: pad(4),
  cookie: u64({ fmt: "hex", default: 0n }),
  cookie_mask: u64({ fmt: "hex", default: 0n }),
  match,
} as const;

const experimenterBody = () =>
  member("OFPMP_EXPERIMENTER", { experimenter: u32({ fmt: "hex" }), exp_type: u32(), data: rest() });

export const multipartRequestBody = body(
  "ofp_multipart_request_body",
  {
    0: bare("OFPMP_DESC", "§7.3.5.1"),
    1: part("OFPMP_FLOW", "§7.3.5.2", flowRequest),
    2: part("OFPMP_AGGREGATE", "§7.3.5.3", flowRequest),
    3: bare("OFPMP_TABLE", "§7.3.5.4"),
    4: part("OFPMP_PORT_STATS", "§7.3.5.6", { port_no: portNoAny, pad: pad(4) }),
    5: part("OFPMP_QUEUE", "§7.3.5.8", { port_no: portNoAny, queue_id: queueIdAll }),
    6: part("OFPMP_GROUP", "§7.3.5.9", { group_id: groupIdAll, pad: pad(4) }),
    7: bare("OFPMP_GROUP_DESC", "§7.3.5.10"),
    8: bare("OFPMP_GROUP_FEATURES", "§7.3.5.11"),
    9: part("OFPMP_METER", "§7.3.5.12", { meter_id: meterIdAll, pad: pad(4) }),
    10: part("OFPMP_METER_CONFIG", "§7.3.5.13", { meter_id: meterIdAll, pad: pad(4) }),
    11: bare("OFPMP_METER_FEATURES", "§7.3.5.14"),
    12: entries("OFPMP_TABLE_FEATURES", "§7.3.5.5", tableFeaturesStruct),
    13: bare("OFPMP_PORT_DESC", "§7.3.5.7"),
    65535: union("ofp_experimenter_multipart_request", [onfFlowMonitorRequest], {
      fallback: experimenterBody(),
      unknown: BAD_MULTIPART,
      error: BAD_LEN,
      align: 1,
    }),
  },
  BAD_MULTIPART,
);

/** struct ofp_flow_stats (§7.3.5.2). */
export const flowStatsStruct = struct(
  "ofp_flow_stats",
  {
    length: length(),
    table_id: tableId,
    pad: pad(1),
    duration_sec: u32({ default: 0 }),
    duration_nsec: u32({ default: 0 }),
    priority: u16({ default: 0x8000 }),
    idle_timeout: u16({ default: 0 }),
    hard_timeout: u16({ default: 0 }),
    flags: flags(2, flowModFlagNames),
    pad2: pad(4),
    cookie: u64({ fmt: "hex", default: 0n }),
    packet_count: u64({ default: 0n }),
    byte_count: u64({ default: 0n }),
    match,
    instructions: list(instructionUnion),
  },
  { section: "§7.3.5.2" },
);

const tableStatsStruct = struct(
  "ofp_table_stats",
  { table_id: tableId, pad: pad(3), active_count: u32(), lookup_count: u64(), matched_count: u64() },
  { section: "§7.3.5.4" },
);

const portStatsStruct = struct(
  "ofp_port_stats",
  {
    port_no: portNo,
    pad: pad(4),
    rx_packets: u64(),
    tx_packets: u64(),
    rx_bytes: u64(),
    tx_bytes: u64(),
    rx_dropped: u64(),
    tx_dropped: u64(),
    rx_errors: u64(),
    tx_errors: u64(),
    rx_frame_err: u64(),
    rx_over_err: u64(),
    rx_crc_err: u64(),
    collisions: u64(),
    duration_sec: u32(),
    duration_nsec: u32(),
  },
  { section: "§7.3.5.6" },
);

const queueStatsStruct = struct(
  "ofp_queue_stats",
  {
    port_no: portNo,
    queue_id: queueId,
    tx_bytes: u64(),
    tx_packets: u64(),
    tx_errors: u64(),
    duration_sec: u32(),
    duration_nsec: u32(),
  },
  { section: "§7.3.5.8" },
);

const counterStruct = struct("ofp_bucket_counter", { packet_count: u64(), byte_count: u64() });

const groupStatsStruct = struct(
  "ofp_group_stats",
  {
    length: length(),
    pad: pad(2),
    group_id: groupId,
    ref_count: u32(),
    pad2: pad(4),
    packet_count: u64(),
    byte_count: u64(),
    duration_sec: u32(),
    duration_nsec: u32(),
    bucket_stats: list(counterStruct),
  },
  { section: "§7.3.5.9" },
);

const groupDescStruct = struct(
  "ofp_group_desc",
  { length: length(), group_type: ofpGroupType, pad: pad(1), group_id: groupId, buckets: list(bucketStruct) },
  { section: "§7.3.5.10" },
);

const bandStatsStruct = struct("ofp_meter_band_stats", { packet_band_count: u64(), byte_band_count: u64() });

const meterStatsStruct = struct(
  "ofp_meter_stats",
  {
    meter_id: meterId,
    len: length(),
    pad: pad(6),
    flow_count: u32(),
    packet_in_count: u64(),
    byte_in_count: u64(),
    duration_sec: u32(),
    duration_nsec: u32(),
    band_stats: list(bandStatsStruct),
  },
  { section: "§7.3.5.12" },
);

const meterConfigStruct = struct(
  "ofp_meter_config",
  { length: length(), flags: flags(2, meterFlagNames), meter_id: meterId, bands: list(bandUnion) },
  { section: "§7.3.5.13" },
);

/** Four numbers, one for each group type. */
const perGroupType = () =>
  struct("ofp_per_group_type", { all: u32(), select: u32(), indirect: u32(), ff: u32() });

export const multipartReplyBody = body(
  "ofp_multipart_reply_body",
  {
    0: part("OFPMP_DESC", "§7.3.5.1", {
      mfr_desc: text(256),
      hw_desc: text(256),
      sw_desc: text(256),
      serial_num: text(32),
      dp_desc: text(256),
    }),
    1: entries("OFPMP_FLOW", "§7.3.5.2", flowStatsStruct),
    2: part("OFPMP_AGGREGATE", "§7.3.5.3", {
      packet_count: u64(),
      byte_count: u64(),
      flow_count: u32(),
      pad: pad(4),
    }),
    3: entries("OFPMP_TABLE", "§7.3.5.4", tableStatsStruct),
    4: entries("OFPMP_PORT_STATS", "§7.3.5.6", portStatsStruct),
    5: entries("OFPMP_QUEUE", "§7.3.5.8", queueStatsStruct),
    6: entries("OFPMP_GROUP", "§7.3.5.9", groupStatsStruct),
    7: entries("OFPMP_GROUP_DESC", "§7.3.5.10", groupDescStruct),
    8: part("OFPMP_GROUP_FEATURES", "§7.3.5.11", {
      types: u32(),
      capabilities: flags(4, groupCapabilityNames),
      max_groups: embed(perGroupType()),
      actions: embed(perGroupType()),
    }),
    9: entries("OFPMP_METER", "§7.3.5.12", meterStatsStruct),
    10: entries("OFPMP_METER_CONFIG", "§7.3.5.13", meterConfigStruct),
    11: part("OFPMP_METER_FEATURES", "§7.3.5.14", {
      max_meter: u32(),
      band_types: u32(),
      capabilities: flags(4, meterFlagNames),
      max_bands: u8(),
      max_color: u8(),
      pad: pad(2),
    }),
    12: entries("OFPMP_TABLE_FEATURES", "§7.3.5.5", tableFeaturesStruct),
    13: entries("OFPMP_PORT_DESC", "§7.3.5.7", portStruct),
    65535: union("ofp_experimenter_multipart_reply", [onfFlowMonitorReply], {
      fallback: experimenterBody(),
      unknown: BAD_MULTIPART,
      error: BAD_LEN,
      align: 1,
    }),
  },
  BAD_MULTIPART,
);

export type MultipartRequestBody = Infer<typeof multipartRequestBody>;
export type MultipartReplyBody = Infer<typeof multipartReplyBody>;
export type FlowStats = Infer<typeof flowStatsStruct>;
export type FlowStatsInit = Init<typeof flowStatsStruct>;
export type TableStats = Infer<typeof tableStatsStruct>;
export type PortStats = Infer<typeof portStatsStruct>;
export type QueueStats = Infer<typeof queueStatsStruct>;
export type GroupStats = Infer<typeof groupStatsStruct>;
export type GroupDesc = Infer<typeof groupDescStruct>;
export type MeterStats = Infer<typeof meterStatsStruct>;
export type MeterConfig = Infer<typeof meterConfigStruct>;
