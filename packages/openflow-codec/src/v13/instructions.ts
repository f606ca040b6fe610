import {
  type Fields,
  type Infer,
  type Init,
  length,
  list,
  member,
  pad,
  rest,
  tag,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import { actionUnion } from "./actions.js";
import { meterId, tableId } from "./numbers.js";

const UNKNOWN: ErrorRef = ["OFPET_BAD_INSTRUCTION", "OFPBIC_UNKNOWN_INST"];
const BAD_LEN: ErrorRef = ["OFPET_BAD_INSTRUCTION", "OFPBIC_BAD_LEN"];

/** An instruction of OpenFlow 1.3.5 §7.2.4: type, length, fields. */
const instruction = <const T extends string, const F extends Fields>(
  name: T,
  type: number,
  text: string,
  fields: F,
) =>
  member(name, { type: tag(2, type), len: length(), ...fields }, { section: "§7.2.4", error: BAD_LEN, text });

export const GotoTable = instruction("OFPIT_GOTO_TABLE", 1, "goto_table", { table_id: tableId, pad: pad(3) });
export const WriteMetadata = instruction("OFPIT_WRITE_METADATA", 2, "write_metadata", {
  pad: pad(4),
  metadata: u64({ fmt: "hex" }),
  metadata_mask: u64({ fmt: "hex", default: 0xffff_ffff_ffff_ffffn }),
});
export const WriteActions = instruction("OFPIT_WRITE_ACTIONS", 3, "write_actions", {
  pad: pad(4),
  actions: list(actionUnion),
});
export const ApplyActions = instruction("OFPIT_APPLY_ACTIONS", 4, "apply_actions", {
  pad: pad(4),
  actions: list(actionUnion),
});
export const ClearActions = instruction("OFPIT_CLEAR_ACTIONS", 5, "clear_actions", {
  pad: pad(4),
  actions: list(actionUnion),
});
export const MeterInstruction = instruction("OFPIT_METER", 6, "meter", { meter_id: meterId });
export const ExperimenterInstruction = member(
  "OFPIT_EXPERIMENTER",
  { type: tag(2, 0xffff), len: length(), experimenter: u32({ fmt: "hex" }), data: rest() },
  { section: "§7.2.4", error: BAD_LEN, padTo: 8 },
);

export const instructionUnion = union(
  "ofp_instruction",
  [
    GotoTable,
    WriteMetadata,
    WriteActions,
    ApplyActions,
    ClearActions,
    MeterInstruction,
    ExperimenterInstruction,
  ],
  { unknown: UNKNOWN, error: BAD_LEN, align: 8 },
);
export type Instruction = Infer<typeof instructionUnion>;
export type InstructionInit = Init<typeof instructionUnion>;
