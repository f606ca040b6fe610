import { type FlowStats, formatFlowStats, OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";

/** The flows of all tables, one a line, in the syntax of ovs-ofctl. */
export async function dumpFlows(bridge: Bridge): Promise<string> {
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
  return entries.map((flow) => `${formatFlowStats(flow)}\n`).join("");
}
