import type { Instruction } from "../v13/instructions.js";
import type { MultipartReplyBody, MultipartRequestBody } from "../v13/multipart.js";
import { OFPP, OFPTT } from "../v13/numbers.js";
import { formatInstructions } from "./action-format.js";
import { formatMatch } from "./match-format.js";
import { formatPort, type PortNames } from "./ports.js";
import { hexText } from "./scan.js";

/** Flow monitors as ovs-ofctl prints them: "event=ADDED table=0 cookie=0 ip actions=output:2". */

type Monitor = Extract<MultipartRequestBody, { type: "ONFMP_FLOW_MONITOR" }>["entries"][number];
type Update = Extract<MultipartReplyBody, { type: "ONFMP_FLOW_MONITOR" }>["entries"][number];

const FLAGS = ["initial", "add", "delete", "modify", "actions", "own"];
const REASONS = ["idle", "hard", "delete", "group_delete", "meter_delete", "eviction"];
export function formatFlowMonitor(monitor: Monitor, ports: PortNames): string {
  const flags = FLAGS.filter((_, bit) => monitor.flags & (1 << bit)).join(",");
  const outPort = monitor.out_port === OFPP.ANY ? "" : ` out_port=${formatPort(monitor.out_port, ports)}`;
  const table = monitor.table_id === OFPTT.ALL ? "" : ` table=${monitor.table_id}`;
  return `\n id=${monitor.id} flags=${flags}${outPort}${table} ${formatMatch(monitor.match, ports)}`;
}

export function formatFlowUpdate(update: Update, ports: PortNames): string {
  if (update.type === "ONFFME_ABBREV") return `\n event=ABBREV xid=${hexText(update.xid)}`;
  const event = `\n event=${update.type.replace("ONFFME_", "")}`;
  const reason = update.type === "ONFFME_DELETED" ? ` reason=${REASONS[update.reason] ?? update.reason}` : "";
  const idle = update.idle_timeout === 0 ? "" : ` idle_timeout=${update.idle_timeout}`;
  const hard = update.hard_timeout === 0 ? "" : ` hard_timeout=${update.hard_timeout}`;
  const cookie = update.cookie === 0n ? "0" : hexText(update.cookie);
  const match = formatMatch(update.match, ports);
  const instructions = update.instructions as readonly Instruction[];
  const actions = instructions.length === 0 ? "" : `actions=${formatInstructions(instructions, ports)}`;
  const rest = [match, actions].filter((part) => part !== "").join(" ");
  return `${event}${reason} table=${update.table_id}${idle}${hard} cookie=${cookie} ${rest}`;
}
