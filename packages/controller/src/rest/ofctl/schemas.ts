import type { JsonSchema } from "../route.js";

/** The shapes of bodies. A number may also be text in any base, or a name where it has one: 1, "0x1", "LOCAL". */
const number: JsonSchema = { type: ["integer", "string"] };
const anyObject: JsonSchema = { type: "object" };
const list = (items: JsonSchema): JsonSchema => ({ type: "array", items });
const object = (properties: Readonly<Record<string, JsonSchema>>, ...required: string[]): JsonSchema => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required }),
});

const match: JsonSchema = {
  type: "object",
  description: "Fields by their OXM names, or by their names of OpenFlow 1.0; masks as VALUE/MASK.",
  additionalProperties: { type: ["integer", "string"] },
};
const actions = list(object({ type: { type: "string" } }, "type"));

const filter = {
  table_id: number,
  out_port: number,
  out_group: number,
  cookie: number,
  cookie_mask: number,
  flags: number,
  match,
  priority: number,
};
export const flowFilter: JsonSchema = object(filter);
export const flowEntry: JsonSchema = object(
  {
    dpid: number,
    ...filter,
    idle_timeout: number,
    hard_timeout: number,
    buffer_id: number,
    actions,
  },
  "dpid",
);
export const meterEntry: JsonSchema = object(
  {
    dpid: number,
    meter_id: number,
    flags: { anyOf: [{ type: "string" }, list({ type: "string" })] },
    bands: list(
      object({ type: { type: "string" }, rate: number, burst_size: number, prec_level: number }, "type"),
    ),
  },
  "dpid",
);
export const groupEntry: JsonSchema = object(
  {
    dpid: number,
    type: { enum: ["ALL", "SELECT", "INDIRECT", "FF"] },
    group_id: number,
    buckets: list(object({ weight: number, watch_port: number, watch_group: number, actions })),
  },
  "dpid",
);
export const portMod: JsonSchema = object(
  {
    dpid: number,
    port_no: number,
    config: number,
    mask: number,
    advertise: number,
    hw_addr: { type: "string" },
  },
  "dpid",
  "port_no",
);
export const roleMod: JsonSchema = object(
  { dpid: number, role: number, generation_id: number },
  "dpid",
  "role",
);
export const experimenter: JsonSchema = object({
  experimenter: number,
  exp_type: number,
  data_type: { enum: ["ascii", "base64"] },
  data: { type: "string" },
});

export const dpids: JsonSchema = list({ type: "integer" });
/** What a switch answers, under its dpid in decimal. */
export const bySwitch: JsonSchema = {
  type: "object",
  additionalProperties: { anyOf: [list(anyObject), anyObject] },
};
