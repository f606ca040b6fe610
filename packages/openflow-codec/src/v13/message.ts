import { constant, type Fields, length, member, tag, u32 } from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import type { StructOptions } from "../schema/nodes.js";
import { OFP_VERSION } from "./numbers.js";

export const BAD_VERSION: ErrorRef = ["OFPET_BAD_REQUEST", "OFPBRC_BAD_VERSION"];

/** A message: struct ofp_header (OpenFlow 1.3.5 §7.1) and its fields. */
export const message = <const T extends string, const F extends Fields>(
  name: T,
  type: number,
  section: string,
  fields: F,
  options: StructOptions = {},
) =>
  member(
    name,
    {
      version: constant(1, OFP_VERSION, BAD_VERSION),
      header_type: tag(1, type),
      length: length(),
      xid: u32({ default: 0 }),
      ...fields,
    },
    { section, ...options },
  );

/** An experimenter message known by its two numbers (§7.5.4). */
export const experimenterMessage = <const T extends string, const F extends Fields>(
  name: T,
  experimenter: number,
  expType: number,
  fields: F,
) =>
  message(name, 4, "§7.5.4", {
    header_experimenter: tag(4, experimenter),
    header_exp_type: tag(4, expType),
    ...fields,
  });
