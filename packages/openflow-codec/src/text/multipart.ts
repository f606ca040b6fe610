import type { MessageOf } from "../v13/messages.js";
import type { MultipartReplyBody, MultipartRequestBody, TableStats } from "../v13/multipart.js";
import { OFPMF, OFPMPF, OFPP, OFPQ_ALL, OFPTT } from "../v13/numbers.js";
import { ACTION_BITS } from "./action-bits.js";
import { formatDuration, formatFlowStats } from "./flow.js";
import { formatFlowMonitor, formatFlowUpdate } from "./flow-monitor.js";
import { formatGroup } from "./group.js";
import { formatMatch } from "./match-format.js";
import { formatMeter, formatMeterId } from "./meter.js";
import { formatBits, formatCounter, formatPortDesc, formatPortStats } from "./port.js";
import { formatPort, type PortNames } from "./ports.js";
import { hexText } from "./scan.js";
import { formatTableFeatures } from "./table-features.js";

/** Bodies of multipart messages as ovs-ofctl prints them after "OFPST_FLOW reply (OF1.3) (xid=0x2):". */

type Requests = {
  [T in MultipartRequestBody["type"]]?: (
    body: Extract<MultipartRequestBody, { type: T }>,
    ports: PortNames,
  ) => string;
};
type Replies = {
  [T in MultipartReplyBody["type"]]?: (
    body: Extract<MultipartReplyBody, { type: T }>,
    ports: PortNames,
  ) => string;
};

/** Open vSwitch's names for the types. */
export const multipartName = (type: string): string =>
  type === "OFPMP_PORT_STATS" ? "OFPST_PORT" : type.replace(/^ONFMP_/, "ONFST_").replace(/^OFPMP_/, "OFPST_");

const queue = (id: number): string => (id === OFPQ_ALL ? "ALL" : String(id));

function flowRequest(
  body: Extract<MultipartRequestBody, { type: "OFPMP_FLOW" | "OFPMP_AGGREGATE" }>,
  ports: PortNames,
): string {
  const table = body.table_id === OFPTT.ALL ? "" : ` table=${body.table_id}`;
  const outPort = body.out_port === OFPP.ANY ? "" : ` out_port=${formatPort(body.out_port, ports)}`;
  return `${table}${outPort} ${formatMatch(body.match, ports)}`;
}

const requests: Requests = {
  OFPMP_FLOW: flowRequest,
  OFPMP_AGGREGATE: flowRequest,
  OFPMP_PORT_STATS: (body, ports) => ` port_no=${formatPort(body.port_no, ports)}`,
  OFPMP_QUEUE: (body, ports) => ` port=${formatPort(body.port_no, ports)} queue=${queue(body.queue_id)}`,
  OFPMP_GROUP: (body) => ` group_id=${body.group_id === 0xfffffffc ? "ALL" : body.group_id}`,
  OFPMP_PORT_DESC: () => " port=ANY",
  OFPMP_GROUP_DESC: () => " group_id=ALL",
  OFPMP_METER: (body) => ` ${formatMeterId(body.meter_id, "=")}`,
  OFPMP_METER_CONFIG: (body) => ` ${formatMeterId(body.meter_id, "=")}`,
  ONFMP_FLOW_MONITOR: (body, ports) => body.entries.map((entry) => formatFlowMonitor(entry, ports)).join(""),
};

const METER_FLAGS = { kbps: OFPMF.KBPS, pktps: OFPMF.PKTPS, burst: OFPMF.BURST, stats: OFPMF.STATS };
const GROUP_TYPES = [
  ["all", "all"],
  ["select", "select"],
  ["indirect", "indirect"],
  ["ff", "fast failover"],
] as const;
const actionWords = (bits: number): string =>
  ACTION_BITS.filter(([bit]) => bits & (1 << bit))
    .map(([, word]) => word)
    .join(" ") || "(none)";

const lines = (list: readonly string[]): string => list.map((line) => `\n ${line}`).join("");

const replies: Replies = {
  OFPMP_DESC: (body) =>
    `\nManufacturer: ${body.mfr_desc}\nHardware: ${body.hw_desc}\nSoftware: ${body.sw_desc}\nSerial Num: ${body.serial_num}\nDP Description: ${body.dp_desc}\n`,
  OFPMP_FLOW: (body, ports) => lines(body.entries.map((flow) => formatFlowStats(flow, ports))),
  OFPMP_AGGREGATE: (body) =>
    ` packet_count=${body.packet_count} byte_count=${body.byte_count} flow_count=${body.flow_count}`,
  OFPMP_TABLE: (body) => formatTables(body.entries),
  OFPMP_PORT_STATS: (body, ports) =>
    ` ${body.entries.length} ports\n${body.entries.map((stats) => formatPortStats(stats, ports)).join("")}`,
  OFPMP_QUEUE: (body, ports) =>
    ` ${body.entries.length} queues\n${body.entries
      .map((stats) => {
        const duration =
          stats.duration_sec === 0xffffffff ? "?" : formatDuration(stats.duration_sec, stats.duration_nsec);
        return `  port ${formatPort(stats.port_no, ports)} queue ${queue(stats.queue_id)}: bytes=${formatCounter(stats.tx_bytes)}, pkts=${formatCounter(stats.tx_packets)}, errors=${formatCounter(stats.tx_errors)}, duration=${duration}\n`;
      })
      .join("")}`,
  OFPMP_GROUP: (body) =>
    lines(
      body.entries.map((stats) => {
        const buckets = stats.bucket_stats.map((bucket, i) =>
          bucket.packet_count === 0xffff_ffff_ffff_ffffn
            ? ""
            : `,bucket${i}:packet_count=${bucket.packet_count},byte_count=${bucket.byte_count}`,
        );
        return `group_id=${stats.group_id},duration=${formatDuration(stats.duration_sec, stats.duration_nsec)},ref_count=${stats.ref_count},packet_count=${stats.packet_count},byte_count=${stats.byte_count}${buckets.join("")}`;
      }),
    ),
  OFPMP_GROUP_DESC: (body, ports) => lines(body.entries.map((group) => formatGroup(group, ports))),
  OFPMP_GROUP_FEATURES: (body) =>
    `\n Group table:\n    Types:  ${hexText(body.types)}\n    Capabilities:  ${hexText(body.capabilities)}\n${GROUP_TYPES.filter(
      (_, i) => body.types & (1 << i),
    )
      .map(
        ([key, word]) =>
          `    ${word} group:\n       max_groups=${hexText(body.max_groups[key])}\n       actions: ${actionWords(body.actions[key])}\n`,
      )
      .join("")}`,
  OFPMP_METER: (body) =>
    `\n${body.entries
      .map((stats) => {
        const bands = stats.band_stats.map(
          (band, i) => `${i}: packet_count:${band.packet_band_count} byte_count:${band.byte_band_count}\n`,
        );
        return `${formatMeterId(stats.meter_id, ":")} flow_count:${stats.flow_count} packet_in_count:${stats.packet_in_count} byte_in_count:${stats.byte_in_count} duration:${formatDuration(stats.duration_sec, stats.duration_nsec)} bands:\n${bands.join("")}`;
      })
      .join("\n")}`,
  OFPMP_METER_CONFIG: (body) => `\n${body.entries.map((meter) => formatMeter(meter)).join("\n")}`,
  OFPMP_METER_FEATURES: (body) =>
    `\nmax_meter:${body.max_meter} max_bands:${body.max_bands} max_color:${body.max_color}\nband_types: ${formatBits({ drop: 2, dscp_remark: 4 }, body.band_types)}\ncapabilities: ${formatBits(METER_FLAGS, body.capabilities)}\n`,
  OFPMP_TABLE_FEATURES: (body) => formatTableFeatures(body.entries),
  ONFMP_FLOW_MONITOR: (body, ports) => body.entries.map((entry) => formatFlowUpdate(entry, ports)).join(""),
  OFPMP_PORT_DESC: (body) =>
    `\n${[...body.entries]
      .sort((a, b) => a.port_no - b.port_no)
      .map((port) => formatPortDesc(port))
      .join("")}`,
};

/** Tables that repeat the one before are told of together. */
function formatTables(tables: readonly TableStats[]): string {
  let text = "";
  let run: number[] = [];
  const ditto = (): void => {
    if (run.length === 1) text += `\n  table ${run[0]}: ditto\n`;
    else if (run.length > 1) text += `\n  tables ${run[0]}...${run.at(-1)}: ditto\n`;
    run = [];
  };
  tables.forEach((table, i) => {
    const before = tables[i - 1];
    if (
      before !== undefined &&
      before.active_count === table.active_count &&
      before.lookup_count === table.lookup_count &&
      before.matched_count === table.matched_count
    ) {
      run.push(table.table_id);
      return;
    }
    ditto();
    text += `\n  table ${table.table_id}:\n    active=${table.active_count}, lookup=${table.lookup_count}, matched=${table.matched_count}\n`;
  });
  ditto();
  return text;
}

export function formatMultipart(
  message: MessageOf<"OFPT_MULTIPART_REQUEST"> | MessageOf<"OFPT_MULTIPART_REPLY">,
  ports: PortNames,
): string {
  const unknown = message.flags & ~OFPMPF.REPLY_MORE;
  const flags =
    message.flags === 0
      ? ""
      : ` flags=${message.flags & OFPMPF.REPLY_MORE ? "[more]" : ""}${unknown === 0 ? "" : `[***unknown flags 0x${unknown.toString(16).padStart(4, "0")}***]`}`;
  const table = (message.type === "OFPT_MULTIPART_REQUEST" ? requests : replies) as Readonly<
    Record<string, ((body: unknown, ports: PortNames) => string) | undefined>
  >;
  return flags + (table[message.body.type]?.(message.body, ports) ?? "");
}
