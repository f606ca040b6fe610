import { parseMatch } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import type { Bridge } from "../bridge/bridge.js";
import type { Match } from "../ofproto/of.js";
import { formatTrace, type TraceSubject, trace } from "../ofproto/trace.js";

/** What `ofproto/trace BRIDGE FLOW [PACKET]` asks: FLOW in ovs-ofctl's syntax with values for the fields that matter;
 *  with PACKET, in hex, only FLOW's in_port counts. Throws one line. */
export function traceFlow(bridge: Bridge, flow: string, packet: string | undefined): string {
  const ports = new Map(bridge.ofproto.ports().map(({ name, ofport }) => [name, ofport]));
  const match = parseMatch(flow, { number: (name) => ports.get(name) }) as Match;
  return formatTrace(trace(bridge.ofproto, subjectOf(match, packet)));
}

function subjectOf(match: Match, packet: string | undefined): TraceSubject {
  if (packet === undefined || packet === "-generate") return { match };
  const bytes = /^(?:[0-9a-f]{2})+$/i.test(packet) ? fromHex(packet) : undefined;
  if (bytes === undefined || bytes.length < 14)
    throw new Error("the packet is not hex, or shorter than a header");
  return { packet: bytes, in_port: typeof match.in_port === "number" ? match.in_port : 0 };
}
