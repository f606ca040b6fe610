import { parseActions, parseMatch } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import type { Bridge } from "../bridge/bridge.js";
import type { Action, Match } from "../ofproto/of.js";
import { type TraceSubject, trace } from "../ofproto/trace.js";
import { formatTrace, traceToJson } from "../ofproto/trace-text.js";

export interface TraceOptions {
  /** A JSON document instead of text. */
  readonly json: boolean;
}

/** `ofproto/trace BRIDGE FLOW [PACKET]`: FLOW in ovs-ofctl's syntax with values for the fields that matter; with PACKET,
 *  in hex, only FLOW's in_port counts. Throws one line. */
export function traceFlow(
  { ofproto }: Bridge,
  flow: string,
  packet: string | undefined,
  options: TraceOptions,
): string {
  return shown(trace(ofproto, subjectOf(portsOf(ofproto), flow, packet)), options);
}

/** `ofproto/trace-packet-out BRIDGE FLOW [PACKET] ACTIONS`: as if a controller sent the packet with these actions. */
export function tracePacketOut(
  { ofproto }: Bridge,
  flow: string,
  packet: string | undefined,
  actions: string,
  options: TraceOptions,
): string {
  const ports = portsOf(ofproto);
  const parsed = parseActions(actions, ports) as readonly Action[];
  return shown(trace(ofproto, subjectOf(ports, flow, packet), parsed), options);
}

const shown = (traced: ReturnType<typeof trace>, { json }: TraceOptions): string =>
  json ? `${JSON.stringify(traceToJson(traced))}\n` : formatTrace(traced);

function portsOf(ofproto: Bridge["ofproto"]) {
  const ports = new Map(ofproto.ports().map(({ name, ofport }) => [name, ofport]));
  return { number: (name: string) => ports.get(name) };
}

function subjectOf(
  ports: ReturnType<typeof portsOf>,
  flow: string,
  packet: string | undefined,
): TraceSubject {
  const match = parseFlow(flow, ports);
  if (packet === undefined) return { match };
  const bytes = packetBytes(packet);
  return { packet: bytes, in_port: typeof match.in_port === "number" ? match.in_port : 0 };
}

function parseFlow(flow: string, ports: ReturnType<typeof portsOf>): Match {
  try {
    return parseMatch(flow, ports) as Match;
  } catch (error) {
    throw new Error(`Bad openflow flow syntax: ${flow}: ${(error as Error).message}`);
  }
}

const ETHERNET_HEADER = 14;

function packetBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, "");
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error("packet: not whole bytes in hex");
  const bytes = fromHex(digits);
  if (bytes.length < ETHERNET_HEADER)
    throw new Error(`packet: ${bytes.length} bytes are shorter than an Ethernet header (${ETHERNET_HEADER})`);
  return bytes;
}
