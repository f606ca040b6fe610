import { OFPCML, OFPG, OFPM, OFPP, OFPQ_ALL, OFPTT } from "@sluice/openflow-codec";
import type { Reserved } from "./read.js";

/** The reserved numbers that have names in the JSON of /stats. */
export const PORT: Reserved = { prefix: "OFPP_", numbers: OFPP };
export const GROUP: Reserved = { prefix: "OFPG_", numbers: OFPG };
export const TABLE: Reserved = { prefix: "OFPTT_", numbers: OFPTT };
export const METER: Reserved = { prefix: "OFPM_", numbers: OFPM };
export const QUEUE: Reserved = { prefix: "OFPQ_", numbers: { ALL: OFPQ_ALL } };
export const MAX_LEN: Reserved = { prefix: "OFPCML_", numbers: OFPCML };

/** By bit number, for the masks in features. */
export const ACTION_TYPES = {
  OUTPUT: 0,
  COPY_TTL_OUT: 11,
  COPY_TTL_IN: 12,
  SET_MPLS_TTL: 15,
  DEC_MPLS_TTL: 16,
  PUSH_VLAN: 17,
  POP_VLAN: 18,
  PUSH_MPLS: 19,
  POP_MPLS: 20,
  SET_QUEUE: 21,
  GROUP: 22,
  SET_NW_TTL: 23,
  DEC_NW_TTL: 24,
  SET_FIELD: 25,
  PUSH_PBB: 26,
  POP_PBB: 27,
} as const;
export const INSTRUCTION_TYPES = {
  GOTO_TABLE: 1,
  WRITE_METADATA: 2,
  WRITE_ACTIONS: 3,
  APPLY_ACTIONS: 4,
  CLEAR_ACTIONS: 5,
  METER: 6,
} as const;
export const GROUP_TYPES = { ALL: 0, SELECT: 1, INDIRECT: 2, FF: 3 } as const;
export const BAND_TYPES = { DROP: 1, DSCP_REMARK: 2 } as const;

/** The names of the bits that are set, where `numbers` are bit numbers. */
export const bitNames = (numbers: Readonly<Record<string, number>>, mask: number): string[] =>
  Object.keys(numbers).filter((name) => (mask & (1 << numbers[name]!)) !== 0);
/** The same, where `values` are the bits themselves. */
export const flagNames = (values: Readonly<Record<string, number>>, mask: number): string[] =>
  Object.keys(values).filter((name) => (mask & values[name]!) !== 0);
