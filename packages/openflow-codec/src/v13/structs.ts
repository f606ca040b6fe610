import {
  array,
  BAD_LEN,
  enumeration,
  flags,
  type Infer,
  type Init,
  length,
  list,
  mac,
  member,
  pad,
  rest,
  struct,
  tag,
  text,
  u8,
  u16,
  u32,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import { actionUnion } from "./actions.js";
import {
  groupIdAny,
  portConfigNames,
  portFeatureNames,
  portNo,
  portNoAny,
  portStateNames,
  queueId,
} from "./numbers.js";

/** The structures that several messages share. */

/** struct ofp_port (OpenFlow 1.3.5 §7.2.1). Speeds in kb/s. */
export const portStruct = struct(
  "ofp_port",
  {
    port_no: portNo,
    pad: pad(4),
    hw_addr: mac(),
    pad2: pad(2),
    name: text(16),
    config: flags(4, portConfigNames),
    state: flags(4, portStateNames),
    curr: flags(4, portFeatureNames),
    advertised: flags(4, portFeatureNames),
    supported: flags(4, portFeatureNames),
    peer: flags(4, portFeatureNames),
    curr_speed: u32({ default: 0 }),
    max_speed: u32({ default: 0 }),
  },
  { section: "§7.2.1" },
);
export type Port = Infer<typeof portStruct>;
export type PortInit = Init<typeof portStruct>;

/** struct ofp_bucket (§7.3.4.2). */
export const bucketStruct = struct(
  "ofp_bucket",
  {
    len: length(),
    weight: u16({ default: 0 }),
    watch_port: portNoAny,
    watch_group: groupIdAny,
    pad: pad(4),
    actions: list(actionUnion),
  },
  { section: "§7.3.4.2", error: ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_BAD_BUCKET"] },
);
export type Bucket = Infer<typeof bucketStruct>;
export type BucketInit = Init<typeof bucketStruct>;

export const ofpGroupType = enumeration("ofp_group_type", u8(), {
  OFPGT_ALL: 0,
  OFPGT_SELECT: 1,
  OFPGT_INDIRECT: 2,
  OFPGT_FF: 3,
});

const BAD_BAND: ErrorRef = ["OFPET_METER_MOD_FAILED", "OFPMMFC_BAD_BAND"];

/** Meter bands (§7.3.4.4). rate in kb/s or packets/s, burst_size in kb or packets. */
export const bandUnion = union(
  "ofp_meter_band",
  [
    member("OFPMBT_DROP", {
      type: tag(2, 1),
      len: length(),
      rate: u32(),
      burst_size: u32({ default: 0 }),
      pad: pad(4),
    }),
    member("OFPMBT_DSCP_REMARK", {
      type: tag(2, 2),
      len: length(),
      rate: u32(),
      burst_size: u32({ default: 0 }),
      prec_level: u8(),
      pad: pad(3),
    }),
    member(
      "OFPMBT_EXPERIMENTER",
      {
        type: tag(2, 0xffff),
        len: length(),
        rate: u32(),
        burst_size: u32({ default: 0 }),
        experimenter: u32({ fmt: "hex" }),
        data: rest(),
      },
      { padTo: 8 },
    ),
  ],
  { unknown: BAD_BAND, error: BAD_LEN, align: 8 },
);
export type MeterBand = Infer<typeof bandUnion>;
export type MeterBandInit = Init<typeof bandUnion>;

/** Queue properties (§7.2.2). rate in tenths of a percent; above 1000 is "not configured". */
export const queuePropUnion = union(
  "ofp_queue_prop",
  [
    member("OFPQT_MIN_RATE", {
      property: tag(2, 1),
      len: length(),
      pad: pad(4),
      rate: u16(),
      pad2: pad(6),
    }),
    member("OFPQT_MAX_RATE", {
      property: tag(2, 2),
      len: length(),
      pad: pad(4),
      rate: u16(),
      pad2: pad(6),
    }),
    member(
      "OFPQT_EXPERIMENTER",
      {
        property: tag(2, 0xffff),
        len: length(),
        pad: pad(4),
        experimenter: u32({ fmt: "hex" }),
        pad2: pad(4),
        data: rest(),
      },
      { padTo: 8 },
    ),
  ],
  {
    fallback: struct(
      "ofp_queue_prop_unknown",
      { type: u16({ fmt: "hex" }), len: length(), pad: pad(4), data: rest() },
      { padTo: 8 },
    ),
    unknown: BAD_LEN,
    error: BAD_LEN,
    align: 8,
  },
);

/** struct ofp_packet_queue (§7.2.2). */
export const queueStruct = struct(
  "ofp_packet_queue",
  { queue_id: queueId, port: portNo, len: length(), pad: pad(6), properties: list(queuePropUnion) },
  { section: "§7.2.2" },
);

/** Hello elements (§7.5.1): what a version of the protocol does not know must be skipped, so it is kept. */
export const helloElementUnion = union(
  "ofp_hello_elem",
  [
    member("OFPHET_VERSIONBITMAP", {
      type: tag(2, 1),
      length: length(),
      bitmaps: array(u32({ fmt: "hex" })),
    }),
  ],
  {
    fallback: struct("ofp_hello_elem_unknown", { type: u16(), length: length(), data: rest() }),
    unknown: BAD_LEN,
    error: BAD_LEN,
    align: 8,
    padded: true,
  },
);
