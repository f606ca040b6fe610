import {
  type BucketInit,
  type MessageInitOf,
  type MeterBandInit,
  OFP_NO_BUFFER,
  OFPG,
  OFPMF,
  OFPP,
  OFPTT,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import type { Switch } from "../../framework/app.js";
import { badField, Problem } from "../problem.js";
import { type JsonSchema, type Route, type Switches, switchOf } from "../route.js";
import { readActions, readInstructions } from "./actions.js";
import { readMatch } from "./match.js";
import { GROUP, GROUP_TYPES, METER, PORT, TABLE } from "./names.js";
import { type Body, readBig, readData, readInt, readList, readName, readReserved } from "./read.js";
import * as schemas from "./schemas.js";

/** Turns a body into the message that carries it out. Throws a Problem that names the field. */
type Write = (body: Body, dp: Switch) => OfMessageInit;

type FlowCommand = MessageInitOf<"OFPT_FLOW_MOD">["command"];

/** As in Ryu, and unlike in OpenFlow, priority is 0 and the table is the first unless given. */
const flowMod =
  (command: FlowCommand): Write =>
  (body) => {
    if (body.instructions !== undefined)
      throw badField("instructions", "is of OpenFlow 1.4 and later; with 1.3 give actions");
    return {
      type: "OFPT_FLOW_MOD",
      command,
      cookie: readBig(body.cookie ?? 0, "cookie"),
      cookie_mask: readBig(body.cookie_mask ?? 0, "cookie_mask"),
      table_id: readReserved(body.table_id ?? 0, "table_id", TABLE, 0xff),
      idle_timeout: readInt(body.idle_timeout ?? 0, "idle_timeout", 0xffff),
      hard_timeout: readInt(body.hard_timeout ?? 0, "hard_timeout", 0xffff),
      priority: readInt(body.priority ?? 0, "priority", 0xffff),
      buffer_id: readInt(body.buffer_id ?? OFP_NO_BUFFER, "buffer_id"),
      out_port: readReserved(body.out_port ?? OFPP.ANY, "out_port", PORT),
      out_group: readReserved(body.out_group ?? OFPG.ANY, "out_group", GROUP),
      flags: readInt(body.flags ?? 0, "flags", 0xffff),
      match: readMatch(body.match ?? {}),
      instructions: readInstructions(body.actions ?? []),
    };
  };

const BANDS: Readonly<Record<string, (band: Body, at: string) => MeterBandInit>> = {
  DROP: (band, at) => ({ type: "OFPMBT_DROP", ...rates(band, at) }),
  DSCP_REMARK: (band, at) => ({
    type: "OFPMBT_DSCP_REMARK",
    ...rates(band, at),
    prec_level: readInt(band.prec_level ?? 0, `${at}.prec_level`, 0xff),
  }),
  EXPERIMENTER: (band, at) => ({
    type: "OFPMBT_EXPERIMENTER",
    ...rates(band, at),
    experimenter: readInt(band.experimenter ?? 0, `${at}.experimenter`),
  }),
};
const rates = ({ rate = 0, burst_size = 0 }: Body, at: string) => ({
  rate: readInt(rate, `${at}.rate`),
  burst_size: readInt(burst_size, `${at}.burst_size`),
});

export const readMeterMod =
  (command: MessageInitOf<"OFPT_METER_MOD">["command"]) =>
  ({ meter_id = 0, flags = [], bands = [] }: Body): OfMessageInit => ({
    type: "OFPT_METER_MOD",
    command,
    meter_id: readReserved(meter_id, "meter_id", METER),
    flags: [flags].flat().reduce<number>((mask, flag) => mask | readName(flag, "flags", OFPMF), 0),
    bands: readList(bands, "bands").map((band, i) =>
      readName(band.type, `bands[${i}].type`, BANDS)(band, `bands[${i}]`),
    ),
  });

const readBucket = (bucket: Body, at: string): BucketInit => ({
  weight: readInt(bucket.weight ?? 0, `${at}.weight`, 0xffff),
  watch_port: readReserved(bucket.watch_port ?? OFPP.ANY, `${at}.watch_port`, PORT),
  watch_group: readReserved(bucket.watch_group ?? OFPG.ANY, `${at}.watch_group`, GROUP),
  actions: readActions(bucket.actions ?? [], `${at}.actions`),
});

const groupMod =
  (command: MessageInitOf<"OFPT_GROUP_MOD">["command"]): Write =>
  ({ type = "ALL", group_id = 0, buckets = [] }) => {
    readName(type, "type", GROUP_TYPES);
    return {
      type: "OFPT_GROUP_MOD",
      command,
      group_type: `OFPGT_${type as keyof typeof GROUP_TYPES}`,
      group_id: readReserved(group_id, "group_id", GROUP),
      buckets: readList(buckets, "buckets").map((bucket, i) => readBucket(bucket, `buckets[${i}]`)),
    };
  };

const portMod: Write = (body, dp) => {
  const port_no = readReserved(body.port_no, "port_no", PORT);
  const port = dp.ports.get(port_no);
  if (port === undefined)
    throw new Problem(404, `switch ${dp.dpid} has no port ${port_no}`, { field: "port_no" });
  const { hw_addr = port.hw_addr, advertise = port.advertised } = body;
  if (hw_addr !== port.hw_addr) throw badField("hw_addr", `is not the port's, ${port.hw_addr}`);
  return {
    type: "OFPT_PORT_MOD",
    port_no,
    hw_addr: port.hw_addr,
    config: readInt(body.config ?? 0, "config"),
    mask: readInt(body.mask ?? 0, "mask"),
    advertise: readInt(advertise, "advertise"),
  };
};

const ROLES = { NOCHANGE: 0, EQUAL: 1, MASTER: 2, SLAVE: 3 } as const;
const ROLE_NAMES = Object.keys(ROLES) as (keyof typeof ROLES)[];

const roleMod: Write = ({ role, generation_id = 0 }) => {
  const number = readReserved(role, "role", { prefix: "OFPCR_ROLE_", numbers: ROLES }, 3);
  return {
    type: "OFPT_ROLE_REQUEST",
    role: `OFPCR_ROLE_${ROLE_NAMES[number]!}`,
    generation_id: readBig(generation_id, "generation_id"),
  };
};

const experimenter: Write = (body) => ({
  type: "OFPT_EXPERIMENTER",
  experimenter: readInt(body.experimenter ?? 0, "experimenter"),
  exp_type: readInt(body.exp_type ?? 0, "exp_type"),
  data: readData(body, ""),
});

const clear: Write = () => ({ type: "OFPT_FLOW_MOD", command: "OFPFC_DELETE", table_id: OFPTT.ALL });

type Row = readonly [summary: string, write: Write, body: JsonSchema];
const WRITES: Readonly<Record<string, Row>> = {
  "flowentry/add": ["Adds a flow", flowMod("OFPFC_ADD"), schemas.flowEntry],
  "flowentry/modify": [
    "Changes the actions of all flows that match",
    flowMod("OFPFC_MODIFY"),
    schemas.flowEntry,
  ],
  "flowentry/modify_strict": [
    "Changes the actions of the flow with this match and priority",
    flowMod("OFPFC_MODIFY_STRICT"),
    schemas.flowEntry,
  ],
  "flowentry/delete": ["Deletes all flows that match", flowMod("OFPFC_DELETE"), schemas.flowEntry],
  "flowentry/delete_strict": [
    "Deletes the flow with this match and priority",
    flowMod("OFPFC_DELETE_STRICT"),
    schemas.flowEntry,
  ],
  "meterentry/add": ["Adds a meter", readMeterMod("OFPMC_ADD"), schemas.meterEntry],
  "meterentry/modify": ["Changes a meter", readMeterMod("OFPMC_MODIFY"), schemas.meterEntry],
  "meterentry/delete": ["Deletes a meter", readMeterMod("OFPMC_DELETE"), schemas.meterEntry],
  "groupentry/add": ["Adds a group", groupMod("OFPGC_ADD"), schemas.groupEntry],
  "groupentry/modify": ["Changes a group", groupMod("OFPGC_MODIFY"), schemas.groupEntry],
  "groupentry/delete": ["Deletes a group", groupMod("OFPGC_DELETE"), schemas.groupEntry],
  "portdesc/modify": ["Configures a port", portMod, schemas.portMod],
  role: ["Asks for a role", roleMod, schemas.roleMod],
  "experimenter/{dpid}": ["Sends an experimenter message", experimenter, schemas.experimenter],
};

/** The routes that change switches. They answer once the switch has carried it out. */
export function entryRoutes(switches: Switches): Route[] {
  const writing = Object.entries(WRITES).map(
    ([path, [summary, write, body]]): Route => ({
      method: "POST",
      path: `/stats/${path}`,
      tag: "ofctl",
      summary,
      body,
      handle: async ({ params, body }) => {
        const given = (body ?? {}) as Body;
        const dp = switchOf(switches, readBig(params.dpid ?? given.dpid, "dpid"));
        await dp.request(write(given, dp));
      },
    }),
  );
  const clearing: Route = {
    method: "DELETE",
    path: "/stats/flowentry/clear/{dpid}",
    tag: "ofctl",
    summary: "Deletes all flows",
    handle: async ({ params }) => {
      const dp = switchOf(switches, readBig(params.dpid, "dpid"));
      await dp.request(clear({}, dp));
    },
  };
  return [...writing, clearing];
}
