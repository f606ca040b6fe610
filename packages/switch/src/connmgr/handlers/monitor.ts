import { encodeMultipart, type MessageOf, type MultipartReplyBody, OFPG, OFPP } from "@sluice/openflow-codec";
import { refuse } from "../../ofproto/error.js";
import type { FlowUpdateEvent } from "../../ofproto/types.js";
import type { Agent } from "../agent.js";
import { concerns, type FlowUpdate, initialUpdate, monitorReply } from "../flow-monitor.js";
import type { HandlerTable } from "./handler.js";

type Body = MessageOf<"OFPT_MULTIPART_REQUEST">["body"];
type Request = Extract<Body, { type: "ONFMP_FLOW_MONITOR" }>;

/** Begins to monitor, and answers with the flows there are where that was asked for. */
export async function startMonitors(agent: Agent, { entries }: Request, xid: number): Promise<void> {
  const monitors = agent.flowMonitors.add(entries);
  agent.state.monitorsChanged();
  const updates: FlowUpdate[] = [];
  for (const monitor of monitors) {
    const { flags, table_id } = monitor.request;
    const reply = (await agent.state.ofproto.multipart({
      type: "OFPMP_FLOW",
      table_id,
      out_port: OFPP.ANY,
      out_group: OFPG.ANY,
      cookie: 0n,
      cookie_mask: 0n,
      match: {},
    })) as Extract<MultipartReplyBody, { type: "OFPMP_FLOW" }>;
    for (const flow of reply.entries) {
      const rule = flow as unknown as FlowUpdateEvent["rule"];
      if (concerns(monitor, rule)) updates.push(initialUpdate(rule, flags));
    }
  }
  for (const part of encodeMultipart(monitorReply(updates, xid))) agent.connection.send(part);
}

export const monitor: HandlerTable = {
  ONFT_FLOW_MONITOR_CANCEL: (agent, { id }) => cancel(agent, id),
  NXT_FLOW_MONITOR_CANCEL: (agent, { id }) => cancel(agent, id),
};

function cancel(agent: Agent, id: number): void {
  if (!agent.flowMonitors.cancel(id))
    throw refuse("OFPMOFC_UNKNOWN_MONITOR", `there is no flow monitor ${id}`);
  agent.state.monitorsChanged();
}
