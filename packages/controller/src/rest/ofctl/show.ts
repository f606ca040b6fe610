import {
  encode,
  type FlowStats,
  type GroupStats,
  type MessageOf,
  type MeterStats,
  type MultipartReplyBody,
  OFPGFC,
  OFPMF,
  oxmField,
  type Port,
  type PortStats,
  type TableFeatures,
  type TableStats,
} from "@sluice/openflow-codec";
import type { ModelGroup, ModelMeter } from "../../tables/index.js";
import { showAction, showInstructions } from "./actions.js";
import { showMatch } from "./match.js";
import {
  ACTION_TYPES,
  BAND_TYPES,
  bitNames,
  flagNames,
  GROUP,
  GROUP_TYPES,
  INSTRUCTION_TYPES,
  METER,
  PORT,
  QUEUE,
  TABLE,
} from "./names.js";
import { showReserved } from "./read.js";

/** What a switch tells, in the JSON that Ryu's clients read: the fields of the specification, with reserved numbers as
 *  names. A `length` is that of the structure on the wire. */

type Reply<T extends MultipartReplyBody["type"]> = Extract<MultipartReplyBody, { type: T }>;

export const showDesc = ({ type: _, ...desc }: Reply<"OFPMP_DESC">): object => desc;

/** struct ofp_flow_stats is as long as the flow_mod of the same match and instructions (OpenFlow 1.3.5 §7.3.5.2). */
const flowLength = ({ match, instructions }: FlowStats): number =>
  encode({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", match, instructions }).length;

export const showFlow = (flow: FlowStats): object => ({
  priority: flow.priority,
  cookie: flow.cookie,
  idle_timeout: flow.idle_timeout,
  hard_timeout: flow.hard_timeout,
  byte_count: flow.byte_count,
  duration_sec: flow.duration_sec,
  duration_nsec: flow.duration_nsec,
  packet_count: flow.packet_count,
  length: flowLength(flow),
  flags: flow.flags,
  actions: showInstructions(flow.instructions),
  match: showMatch(flow.match),
  table_id: showReserved(flow.table_id, TABLE),
});

export const showAggregate = ({ type: _, ...counts }: Reply<"OFPMP_AGGREGATE">): object => counts;

export const showTable = (table: TableStats): object => ({
  ...table,
  table_id: showReserved(table.table_id, TABLE),
});

const typeNumber = (
  { type }: { type: string | number },
  prefix: string,
  types: Readonly<Record<string, number>>,
) => (typeof type === "number" ? type : (types[type.slice(prefix.length)] ?? 0xffff));

const showOxmId = (id: string): object => {
  const [name = id, mask] = id.split("/");
  const bytes = oxmField(name)?.bytes ?? 0;
  return { hasmask: mask === undefined ? 0 : 1, length: bytes, type: name };
};

function showProperty(property: TableFeatures["properties"][number]): object {
  const type = typeof property.type === "string" ? property.type.replace(/^OFPTFPT_/, "") : "UNKNOWN";
  if ("instruction_ids" in property) {
    const instruction_ids = property.instruction_ids.map((id) => ({
      len: 4 + id.data.length,
      type: typeNumber(id, "OFPIT_", INSTRUCTION_TYPES),
    }));
    return { type, instruction_ids };
  }
  if ("action_ids" in property) {
    const action_ids = property.action_ids.map((id) => ({
      len: 4 + id.data.length,
      type: typeNumber(id, "OFPAT_", ACTION_TYPES),
    }));
    return { type, action_ids };
  }
  if ("next_table_ids" in property) return { type, table_ids: property.next_table_ids };
  if ("oxm_ids" in property) return { type, oxm_ids: property.oxm_ids.map(showOxmId) };
  return { type };
}

export const showTableFeatures = (table: TableFeatures): object => ({
  name: table.name,
  metadata_match: table.metadata_match,
  metadata_write: table.metadata_write,
  config: table.config,
  max_entries: table.max_entries,
  properties: table.properties.map(showProperty),
  table_id: showReserved(table.table_id, TABLE),
});

export const showPortStats = (stats: PortStats): object => ({
  ...stats,
  port_no: showReserved(stats.port_no, PORT),
});

export const showPort = (port: Port): object => ({ ...port, port_no: showReserved(port.port_no, PORT) });

type QueueConfig = MessageOf<"OFPT_QUEUE_GET_CONFIG_REPLY">;

function showQueueProperty(property: QueueConfig["queues"][number]["properties"][number]): object {
  if ("rate" in property) return { property: property.type.replace(/^OFPQT_/, ""), rate: property.rate };
  if (!("experimenter" in property)) return { property: "UNKNOWN" };
  return { property: "EXPERIMENTER", experimenter: property.experimenter, data: [...property.data] };
}

export const showQueueConfig = (config: QueueConfig): object => ({
  queues: config.queues.map((queue) => ({
    properties: queue.properties.map(showQueueProperty),
    port: showReserved(queue.port, PORT),
    queue_id: showReserved(queue.queue_id, QUEUE),
  })),
  port: showReserved(config.port, PORT),
});

/** Meters and groups are 40 bytes and 16 for each band or bucket (§7.3.5.12, §7.3.5.9). */
const lengthOf = (parts: readonly unknown[]): number => 40 + 16 * parts.length;

export const showMeterStats = (stats: MeterStats): object => ({
  len: lengthOf(stats.band_stats),
  ...stats,
  meter_id: showReserved(stats.meter_id, METER),
});

export const showMeterConfig = ({ flags, bands, meter_id }: ModelMeter): object => ({
  flags: flagNames(OFPMF, flags),
  bands: bands.map((band) => ({
    type: band.type.replace(/^OFPMBT_/, ""),
    rate: band.rate,
    burst_size: band.burst_size,
    ...("prec_level" in band && { prec_level: band.prec_level }),
    ...("experimenter" in band && { experimenter: band.experimenter }),
  })),
  meter_id: showReserved(meter_id, METER),
});

export const showMeterFeatures = (features: Reply<"OFPMP_METER_FEATURES">): object => ({
  max_meter: features.max_meter,
  band_types: bitNames(BAND_TYPES, features.band_types),
  capabilities: flagNames(OFPMF, features.capabilities),
  max_bands: features.max_bands,
  max_color: features.max_color,
});

export const showGroupStats = (stats: GroupStats): object => ({
  length: lengthOf(stats.bucket_stats),
  ...stats,
  group_id: showReserved(stats.group_id, GROUP),
});

export const showGroupDesc = ({ group_type, group_id, buckets }: ModelGroup) => ({
  type: typeof group_type === "string" ? group_type.replace(/^OFPGT_/, "") : group_type,
  group_id: showReserved(group_id, GROUP),
  buckets: buckets.map(({ weight, watch_port, watch_group, actions }) => ({
    weight,
    watch_port,
    watch_group,
    actions: actions.map(showAction),
  })),
});

export function showGroupFeatures(features: Reply<"OFPMP_GROUP_FEATURES">): object {
  const each = <T>(show: (kind: "all" | "select" | "indirect" | "ff") => T): object[] =>
    Object.keys(GROUP_TYPES).map((name) => ({ [name]: show(name.toLowerCase() as "all") }));
  return {
    types: bitNames(GROUP_TYPES, features.types),
    capabilities: flagNames(OFPGFC, features.capabilities),
    max_groups: each((kind) => features.max_groups[kind]),
    actions: each((kind) => bitNames(ACTION_TYPES, features.actions[kind])),
  };
}

export const showRole = ({ role, generation_id }: MessageOf<"OFPT_ROLE_REPLY">): object => ({
  role: typeof role === "string" ? role.replace(/^OFPCR_ROLE_/, "") : role,
  generation_id,
});
