import type { Wildcards } from "../../classifier/classifier.js";
import type { OdpAction } from "../../dpif/actions.js";
import {
  DP_LANES,
  type FlowField,
  type FlowKey,
  fieldLaneMask,
  flowField,
  getField,
  getFieldBig,
  setField,
  setFieldBig,
} from "../../flow/flow-key.js";
import { LANE_RECIRC_ID } from "../../flow/lanes.js";
import { type FlowMatch, FlowMatchError, flowFieldOf, matchToKey } from "../../flow/match.js";
import { refuse } from "../error.js";
import type { Match } from "../of.js";
import { OFPP } from "./reserved.js";

/** Fields as translation reads, sets and un-wildcards them. */

/** Notes that a decision depends on the field. */
export function look(wildcards: Wildcards, field: FlowField): void {
  const { mask, fixed } = wildcards;
  for (let i = 0; i < field.lanes; i++) {
    const lane = field.lane + i;
    const bits = fieldLaneMask(field, i);
    mask[lane]! |= bits & ~fixed[lane]!;
    fixed[lane]! |= bits;
  }
}

/** Notes that the field's value (where `only` has ones, when given) does not depend on the packet any more. */
export function pin(wildcards: Wildcards, field: FlowField, only?: bigint): void {
  if (only === undefined) {
    for (let i = 0; i < field.lanes; i++) wildcards.fixed[field.lane + i]! |= fieldLaneMask(field, i);
    return;
  }
  setFieldBig(wildcards.fixed, field, getFieldBig(wildcards.fixed, field) | only);
}

/** Whether the field is no part of the packet: the datapath is not told when it changes. */
export const isPipeline = (field: FlowField): boolean =>
  field.lane >= DP_LANES || field.lane <= LANE_RECIRC_ID;

const inPort = flowField("in_port");
const actsetOutput = flowField("actset_output");

/** A packet enters a bridge by `in_port`: the pipeline's own fields are zero, and its action set leads nowhere. */
export function enterPipeline(key: FlowKey, in_port: number): void {
  key.fill(0, DP_LANES);
  setField(key, inPort, in_port);
  setField(key, actsetOutput, OFPP.UNSET);
}

/** The same key, whose actset_output is 0 where the action set leads nowhere: to be shown. */
export function withoutUnset(key: FlowKey): FlowKey {
  if (getField(key, actsetOutput) === OFPP.UNSET) setField(key, actsetOutput, 0);
  return key;
}

/** The pipeline's own fields never depend on the packet alone. */
export function pinPipeline(wildcards: Wildcards): void {
  wildcards.fixed.fill(0xffff_ffff, DP_LANES);
}

export const pipelineOf = (key: FlowKey): Uint32Array => key.slice(DP_LANES);
export const restorePipeline = (key: FlowKey, pipeline: Uint32Array): void => key.set(pipeline, DP_LANES);

/** A number as the bytes of a field, in network order. */
export function bigToBytes(value: bigint, field: FlowField): Uint8Array {
  const bytes = new Uint8Array((field.bits + 7) >>> 3);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** What a set-field sets: the one field of `oxm`, its value, and the bits set when not all are. Refused when the
 *  switch has no such field or the value does not fit. */
export interface FieldSetting {
  readonly field: FlowField;
  readonly value: bigint;
  readonly mask: bigint | undefined;
  /** The same by lanes of the field: values, and bits that are set. */
  readonly lanes: Uint32Array;
  readonly laneBits: Uint32Array;
  /** What the datapath is told; undefined for what is no part of the packet. */
  readonly action: OdpAction | undefined;
}

/** What tells the datapath to set a field. */
export const setAction = (field: FlowField, value: bigint, mask: bigint | undefined): OdpAction =>
  mask === undefined
    ? { type: "set_field", field: field.name, value: bigToBytes(value, field) }
    : {
        type: "set_field",
        field: field.name,
        value: bigToBytes(value, field),
        mask: bigToBytes(mask, field),
      };

const settings = new WeakMap<object, FieldSetting>();

export function settingOf(oxm: Match): FieldSetting {
  const known = settings.get(oxm);
  if (known) return known;
  const [name] = Object.keys(oxm).filter((key) => (oxm as FlowMatch)[key] !== undefined);
  const field = name === undefined ? undefined : flowFieldOf(name);
  if (!field) throw refuse("OFPBAC_BAD_SET_TYPE", `the switch has no field ${name}`);
  try {
    const { key, mask } = matchToKey(oxm as FlowMatch);
    const bits = getFieldBig(mask, field);
    const some = bits === (1n << BigInt(field.bits)) - 1n ? undefined : bits;
    const value = getFieldBig(key, field);
    const setting = {
      field,
      value,
      mask: some,
      lanes: key.slice(field.lane, field.lane + field.lanes),
      laneBits: mask.slice(field.lane, field.lane + field.lanes),
      action: isPipeline(field) ? undefined : setAction(field, value, some),
    };
    settings.set(oxm, setting);
    return setting;
  } catch (error) {
    if (error instanceof FlowMatchError) throw refuse("OFPBAC_BAD_SET_ARGUMENT", error.message);
    throw error;
  }
}
