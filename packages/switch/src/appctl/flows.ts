import {
  type FlowStats,
  formatInstructions,
  formatPriorityAndMatch,
  OFPG,
  OFPP,
  OFPTT,
} from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import { duration } from "../ofproto/rule.js";

/** The flows of all tables, one a line, as bridge/dump-flows of Open vSwitch writes them: those that controllers see, and
 *  the one that the switch has put above them while its controllers are away. */
export async function dumpFlows(bridge: Bridge, nowMs: number, offloadStats = false): Promise<string> {
  const reply = await bridge.ofproto.multipart({
    type: "OFPMP_FLOW",
    table_id: OFPTT.ALL,
    out_port: OFPP.ANY,
    out_group: OFPG.ANY,
    cookie: 0n,
    cookie_mask: 0n,
    match: {},
  });
  const { entries } = reply as unknown as { entries: readonly FlowStats[] };
  const flows = [...entries, ...hiddenFlows(bridge, nowMs)];
  return flows.map((flow) => line(flow, offloadStats)).join("");
}

/** No device forwards by itself: none of what is counted was offloaded. */
const OFFLOADED = ", n_offload_packets=0, n_offload_bytes=0";

function line(flow: FlowStats, offloadStats: boolean): string {
  const table = flow.table_id === 0 ? "" : `table_id=${flow.table_id}, `;
  const counts = `duration=${flow.duration_sec}s, n_packets=${count(flow.packet_count)}, n_bytes=${count(flow.byte_count)}${offloadStats ? OFFLOADED : ""}`;
  const match = formatPriorityAndMatch(flow.priority, flow.match);
  return `${table}${counts}, ${match === "" ? "" : `${match},`}actions=${formatInstructions(flow.instructions)}\n`;
}

function hiddenFlows({ ofproto }: Bridge, nowMs: number): FlowStats[] {
  const hidden: FlowStats[] = [];
  for (const rule of ofproto.tables[0]!.rules) {
    if (!rule.hidden) continue;
    hidden.push({
      table_id: rule.table_id,
      ...duration(rule.createdMs, nowMs),
      priority: rule.priority,
      idle_timeout: 0,
      hard_timeout: 0,
      flags: 0,
      cookie: rule.cookie,
      packet_count: BigInt(rule.packets),
      byte_count: BigInt(rule.bytes),
      match: ofproto.flows.matchOf(rule),
      instructions: rule.instructions,
    } as FlowStats);
  }
  return hidden;
}

/** A counter that is not kept (OFPFF_NO_PKT_COUNTS) is all ones. */
const count = (value: bigint): string => (value === 0xffff_ffff_ffff_ffffn ? "?" : String(value));
