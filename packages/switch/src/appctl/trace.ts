import { parseActions, parseMatch } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { parseOdpFlow } from "../dpif/odp-parse.js";
import type { Action, Match } from "../ofproto/of.js";
import { effectsOf, type Trace, type TraceSubject, trace, traceRecirculated } from "../ofproto/trace.js";
import { formatTrace, traceToJson } from "../ofproto/trace-text.js";
import { datapathsNamed } from "./datapaths.js";

export interface TraceOptions {
  /** A JSON document instead of text. */
  readonly json: boolean;
  /** A packet of the flow is meant, not the flow alone: like one that is given it teaches addresses and flows. */
  readonly generate: boolean;
}

/** `ofproto/trace BRIDGE FLOW [PACKET]`: FLOW in ovs-ofctl's syntax with values for the fields that matter; with PACKET,
 *  in hex, only FLOW's in_port counts. Throws one line. */
export function traceFlow(
  { ofproto }: Bridge,
  flow: string,
  packet: string | undefined,
  options: TraceOptions,
): string {
  return carriedOut(ofproto, trace(ofproto, subjectOf(portsOf(ofproto), flow, packet)), packet, options);
}

/** `ofproto/trace [DP] ODP_FLOW [PACKET]`: ODP_FLOW in the syntax of dpctl/dump-flows; the bridge is the one that its
 *  in_port belongs to. With `actions`, as if a controller sent the packet with these. Throws one line. */
export function traceOdpFlow(
  bridges: Bridges,
  datapath: string | undefined,
  flow: string,
  packet: string | undefined,
  options: TraceOptions,
  actions?: string,
): string {
  const [backer] = datapathsNamed(bridges, datapath);
  if (!backer) throw new Error("Cannot find the datapath");
  const ports = [...bridges.running.values()]
    .filter((bridge) => bridges.backerOf(bridge) === backer)
    .flatMap((bridge) => bridge.ofproto.ports().map((port) => ({ ...port, bridge })));
  const { in_port, recirc_id, ...fields } = parseOdpFlow(flow, (name) => {
    return ports.find((port) => port.name === name)?.odpPort;
  });
  const from = ports.find(({ odpPort }) => odpPort !== undefined && odpPort === in_port);
  if (!from) throw new Error(`in_port(${in_port ?? ""}): no bridge has this port`);
  const { ofproto } = from.bridge;
  const recirc = Number(recirc_id ?? 0);
  if (recirc !== 0 && backer.frozen(recirc) === undefined)
    throw new Error(`no recirculation data for recirc_id 0x${recirc.toString(16)}`);
  const subject: TraceSubject =
    packet === undefined
      ? { match: { ...fields, in_port: from.ofport } as Match }
      : { packet: packetBytes(packet), in_port: from.ofport };
  if (actions !== undefined) {
    const parsed = parseActions(actions, portsOf(ofproto)) as readonly Action[];
    return carriedOut(ofproto, trace(ofproto, subject, parsed), packet, options);
  }
  const traced = recirc === 0 ? trace(ofproto, subject) : traceRecirculated(ofproto, subject, recirc);
  return carriedOut(ofproto, traced, packet, options);
}

/** Whether a text is in the syntax of datapath flows, with or without a ufid. */
export const isOdpFlow = (text: string | undefined): text is string =>
  /^\s*(ufid:[^,]*,\s*)?\w+\(/.test(text ?? "");

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
  return carriedOut(ofproto, trace(ofproto, subjectOf(ports, flow, packet), parsed), packet, options);
}

/** The trace's text; of a packet, with its effects. Nothing is sent or counted. */
function carriedOut(
  { backer }: Bridge["ofproto"],
  traced: Trace,
  packet: string | undefined,
  { json, generate }: TraceOptions,
): string {
  const text = json ? `${JSON.stringify(traceToJson(traced))}\n` : formatTrace(traced);
  if (generate || packet !== undefined) backer.apply(effectsOf(traced));
  return text;
}

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
