import { type MessageInitOf, OFP_NO_BUFFER, OFPCML, type OfMessageInit } from "@sluice/openflow-codec";
import type { PacketInEvent } from "../ofproto/types.js";
import type { Agent } from "./agent.js";

type PacketIn = MessageInitOf<"OFPT_PACKET_IN">;

const REASON_NUMBER: Readonly<Record<string, number>> = {
  OFPR_NO_MATCH: 0,
  OFPR_ACTION: 1,
  OFPR_INVALID_TTL: 2,
};

/** A message has 64 KiB with its header and match; what of a super-frame does not fit is cut off. */
const MAX_DATA = 0xf000;

/** The packet-in for one connection, in the format that it asked for. */
export function packetInFor(event: PacketInEvent, agent: Agent): OfMessageInit {
  return FORMATS[agent.channel.packetInFormat](event, agent);
}

const FORMATS = { standard: standardPacketIn, nxt: niciraPacketIn, nxt2: niciraPacketIn2 } as const;

/** OFPT_PACKET_IN (§7.4.1): cut to the length that the action, or else the connection, asked for; the whole packet
 *  then stays in a buffer. OFPCML_NO_BUFFER asks for all of it and no buffer. */
function standardPacketIn(event: PacketInEvent, agent: Agent): OfMessageInit {
  const { reason, table_id, cookie, match, total_len, data } = event;
  const maxLen = event.max_len ?? agent.channel.miss_send_len;
  let buffer_id: number | undefined;
  if (maxLen !== OFPCML.NO_BUFFER) {
    const in_port = typeof match.in_port === "number" ? match.in_port : 0;
    buffer_id = agent.state.buffers.store(data, in_port);
  }
  return {
    type: "OFPT_PACKET_IN",
    buffer_id: buffer_id ?? OFP_NO_BUFFER,
    total_len: Math.min(total_len, 0xffff),
    reason: reason as PacketIn["reason"],
    table_id,
    cookie,
    match: match as PacketIn["match"],
    data: data.subarray(0, buffer_id === undefined ? MAX_DATA : maxLen),
  };
}

/** A packet that is not buffered is sent whole (§7.4.1), however little of it was asked for: the rest would be lost. */
const unbuffered = (data: Uint8Array): Uint8Array => data.subarray(0, MAX_DATA);

/** NXT_PACKET_IN: OpenFlow 1.0's with the metadata as NXM, for whoever has asked for it with NXT_SET_PACKET_IN_FORMAT.
 *  Not buffered. Port numbers have 16 bits. */
function niciraPacketIn(event: PacketInEvent): OfMessageInit {
  const { reason, table_id, cookie, match, total_len } = event;
  const { in_port, ...metadata } = match;
  return {
    type: "NXT_PACKET_IN",
    buffer_id: OFP_NO_BUFFER,
    total_len: Math.min(total_len, 0xffff),
    reason: REASON_NUMBER[reason] ?? 1,
    table_id,
    cookie,
    match: {
      ...(typeof in_port === "number" ? { nxm_of_in_port: in_port & 0xffff } : {}),
      ...(metadata as PacketIn["match"]),
    },
    data: unbuffered(event.data),
  };
}

/** NXT_PACKET_IN2: properties, for whoever has asked for them with NXT_SET_PACKET_IN_FORMAT. Not buffered. */
function niciraPacketIn2(event: PacketInEvent): OfMessageInit {
  const { reason, table_id, cookie, match, total_len, userdata } = event;
  const packet = unbuffered(event.data);
  return {
    type: "NXT_PACKET_IN2",
    properties: [
      { type: "NXPINT_PACKET", packet },
      ...(packet.length < total_len ? [{ type: "NXPINT_FULL_LEN", full_len: total_len } as const] : []),
      { type: "NXPINT_TABLE_ID", table_id },
      { type: "NXPINT_COOKIE", cookie },
      { type: "NXPINT_REASON", reason: REASON_NUMBER[reason] ?? 1 },
      { type: "NXPINT_METADATA", metadata: match as PacketIn["match"] },
      ...(userdata === undefined ? [] : [{ type: "NXPINT_USERDATA", userdata } as const]),
    ],
  };
}
