import { type FlowStats, formatFlowStats, OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import { duration } from "../ofproto/rule.js";

/** The flows of all tables, one a line, in the syntax of ovs-ofctl: those that controllers see, and the one that the
 *  switch has put above them while its controllers are away. */
export async function dumpFlows(bridge: Bridge, nowMs: number): Promise<string> {
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
  return flows.map((flow) => `${formatFlowStats(flow)}\n`).join("");
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
