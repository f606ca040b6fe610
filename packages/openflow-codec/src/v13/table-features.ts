import {
  array,
  enumeration,
  type Fields,
  type Infer,
  type Init,
  length,
  list,
  member,
  oxmIds,
  pad,
  rest,
  struct,
  tag,
  text,
  u8,
  u16,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import { tableId } from "./numbers.js";

const BAD_LEN: ErrorRef = ["OFPET_TABLE_FEATURES_FAILED", "OFPTFFC_BAD_LEN"];
const BAD_TYPE: ErrorRef = ["OFPET_TABLE_FEATURES_FAILED", "OFPTFFC_BAD_TYPE"];

/** An instruction's or action's type alone; `data` is an experimenter's id and what follows it. */
const instructionId = struct(
  "ofp_instruction_id",
  {
    type: enumeration("ofp_instruction_type", u16(), {
      OFPIT_GOTO_TABLE: 1,
      OFPIT_WRITE_METADATA: 2,
      OFPIT_WRITE_ACTIONS: 3,
      OFPIT_APPLY_ACTIONS: 4,
      OFPIT_CLEAR_ACTIONS: 5,
      OFPIT_METER: 6,
      OFPIT_EXPERIMENTER: 0xffff,
    }),
    len: length(),
    data: rest(),
  },
  { error: BAD_LEN },
);
const actionId = struct(
  "ofp_action_id",
  {
    type: enumeration("ofp_action_type", u16(), {
      OFPAT_OUTPUT: 0,
      OFPAT_COPY_TTL_OUT: 11,
      OFPAT_COPY_TTL_IN: 12,
      OFPAT_SET_MPLS_TTL: 15,
      OFPAT_DEC_MPLS_TTL: 16,
      OFPAT_PUSH_VLAN: 17,
      OFPAT_POP_VLAN: 18,
      OFPAT_PUSH_MPLS: 19,
      OFPAT_POP_MPLS: 20,
      OFPAT_SET_QUEUE: 21,
      OFPAT_GROUP: 22,
      OFPAT_SET_NW_TTL: 23,
      OFPAT_DEC_NW_TTL: 24,
      OFPAT_SET_FIELD: 25,
      OFPAT_PUSH_PBB: 26,
      OFPAT_POP_PBB: 27,
      OFPAT_EXPERIMENTER: 0xffff,
    }),
    len: length(),
    data: rest(),
  },
  { error: BAD_LEN },
);

const property = <const T extends string, const F extends Fields>(name: T, type: number, fields: F) =>
  member(name, { type: tag(2, type), length: length(), ...fields }, { error: BAD_LEN });
const instructions = <const T extends string>(name: T, type: number) =>
  property(name, type, { instruction_ids: list(instructionId) });
const nextTables = <const T extends string>(name: T, type: number) =>
  property(name, type, { next_table_ids: array(u8()) });
const actions = <const T extends string>(name: T, type: number) =>
  property(name, type, { action_ids: list(actionId) });
const oxms = <const T extends string>(name: T, type: number) => property(name, type, { oxm_ids: oxmIds() });
const experimenter = <const T extends string>(name: T, type: number) =>
  property(name, type, { experimenter: u32({ fmt: "hex" }), exp_type: u32(), data: rest() });

/** Table feature properties (OpenFlow 1.3.5 §7.3.5.5.2). The stated length leaves the padding out. */
export const tableFeaturePropUnion = union(
  "ofp_table_feature_prop",
  [
    instructions("OFPTFPT_INSTRUCTIONS", 0),
    instructions("OFPTFPT_INSTRUCTIONS_MISS", 1),
    nextTables("OFPTFPT_NEXT_TABLES", 2),
    nextTables("OFPTFPT_NEXT_TABLES_MISS", 3),
    actions("OFPTFPT_WRITE_ACTIONS", 4),
    actions("OFPTFPT_WRITE_ACTIONS_MISS", 5),
    actions("OFPTFPT_APPLY_ACTIONS", 6),
    actions("OFPTFPT_APPLY_ACTIONS_MISS", 7),
    oxms("OFPTFPT_MATCH", 8),
    oxms("OFPTFPT_WILDCARDS", 10),
    oxms("OFPTFPT_WRITE_SETFIELD", 12),
    oxms("OFPTFPT_WRITE_SETFIELD_MISS", 13),
    oxms("OFPTFPT_APPLY_SETFIELD", 14),
    oxms("OFPTFPT_APPLY_SETFIELD_MISS", 15),
    experimenter("OFPTFPT_EXPERIMENTER", 0xfffe),
    experimenter("OFPTFPT_EXPERIMENTER_MISS", 0xffff),
  ],
  {
    fallback: struct(
      "ofp_table_feature_prop_unknown",
      { type: u16(), length: length(), data: rest() },
      { error: BAD_LEN },
    ),
    unknown: BAD_TYPE,
    error: BAD_LEN,
    align: 8,
    padded: true,
  },
);

/** struct ofp_table_features (§7.3.5.5.1). */
export const tableFeaturesStruct = struct(
  "ofp_table_features",
  {
    length: length(),
    table_id: tableId,
    pad: pad(5),
    name: text(32),
    metadata_match: u64({ fmt: "hex" }),
    metadata_write: u64({ fmt: "hex" }),
    config: u32({ default: 0 }),
    max_entries: u32(),
    properties: list(tableFeaturePropUnion),
  },
  { section: "§7.3.5.5.1", error: BAD_LEN },
);
export type TableFeatures = Infer<typeof tableFeaturesStruct>;
export type TableFeaturesInit = Init<typeof tableFeaturesStruct>;
