import { OFP_NO_BUFFER, OFPCML, type OfMessageInit } from "@sluice/openflow-codec";
import type { PacketInEvent } from "../ofproto/types.js";
import type { Agent } from "./agent.js";

/** The OFPT_PACKET_IN for one connection (§7.4.1): cut to the length that the action, or else the connection,
 *  asked for; the whole packet then stays in a buffer. OFPCML_NO_BUFFER asks for all of it and no buffer. */
export function packetInFor(event: PacketInEvent, agent: Agent): OfMessageInit {
  const { reason, table_id, cookie, match, total_len, data } = event;
  const maxLen = event.max_len ?? agent.miss_send_len;
  let buffer_id: number | undefined;
  if (maxLen !== OFPCML.NO_BUFFER) {
    const in_port = typeof match.in_port === "number" ? match.in_port : 0;
    buffer_id = agent.state.buffers.store(data, in_port);
  }
  return {
    type: "OFPT_PACKET_IN",
    buffer_id: buffer_id ?? OFP_NO_BUFFER,
    total_len,
    reason,
    table_id,
    cookie,
    match,
    data: buffer_id === undefined ? data : data.subarray(0, maxLen),
  } as OfMessageInit;
}
