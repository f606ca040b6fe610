import type { Port } from "@sluice/openflow-codec";
import { type ModelPacket, PIPELINE_FIELDS } from "./packet.js";
import type { SwitchTables } from "./switch-tables.js";
import { type SwitchTrace, type TraceOutput, traceSwitch } from "./trace.js";

/** A port of a switch. */
export interface PortRef {
  readonly dpid: bigint;
  readonly port_no: number;
}

/** The network as far as it is known. */
export interface NetworkModel {
  switch(
    dpid: bigint,
  ): { readonly tables: SwitchTables; readonly ports: ReadonlyMap<number, Port> } | undefined;
  /** The other end of a link between switches; undefined at the network's edge. */
  peer(port: PortRef): PortRef | undefined;
}

/** One switch on the packet's way and what it does with the packet. */
export interface Hop extends SwitchTrace {
  readonly at: PortRef;
  /** In the order of `outputs`. */
  readonly next: readonly Onward[];
}

/** Where an output leads. */
export interface Onward {
  readonly output: TraceOutput;
  /** The next switch's port; undefined where the packet leaves the network there. */
  readonly to: PortRef | undefined;
  /** What becomes of it there. */
  readonly hop: Hop | undefined;
  /** Why it is not followed to there. */
  readonly end: string | undefined;
}

export interface PathOptions {
  /** Switches visited at most, over all branches. 1000 unless given. */
  readonly maxHops?: number;
  readonly select?: Parameters<typeof traceSwitch>[0]["select"];
}

export interface Path {
  readonly start: Hop;
  /** Where the packet leaves the network. */
  readonly delivered: readonly (PortRef & {
    readonly packet: ModelPacket;
    readonly oneOf: number | undefined;
  })[];
  /** Every reason for which it, or a copy of it, goes no further, with its place. */
  readonly drops: readonly (PortRef & { readonly reason: string })[];
  /** Where a controller decides on. */
  readonly packetIns: readonly (PortRef & { readonly table_id: number; readonly reason: string })[];
  /** Where the tables do not tell. */
  readonly unknown: readonly (PortRef & { readonly reason: string })[];
}

/** Follows a packet from a port through all switches to where it leaves the network or ends. Pure. Throws where the start
 *  is no switch of the network. */
export function tracePath(
  network: NetworkModel,
  start: PortRef,
  packet: ModelPacket,
  options: PathOptions = {},
): Path {
  const { maxHops = 1000, select } = options;
  const path = {
    delivered: [] as Path["delivered"][number][],
    drops: [] as Path["drops"][number][],
    packetIns: [] as Path["packetIns"][number][],
    unknown: [] as Path["unknown"][number][],
  };
  let hops = 0;

  const visit = (at: PortRef, arriving: ModelPacket, trail: ReadonlySet<string>): Hop => {
    const known = network.switch(at.dpid);
    if (known === undefined) throw new RangeError(`there is no switch ${idOf(at.dpid)}`);
    hops++;
    const trace = traceSwitch({ ...known, ...(select && { select }) }, withoutPipeline(arriving), at.port_no);
    for (const reason of trace.drops) path.drops.push({ ...at, reason });
    for (const reason of trace.unknown) path.unknown.push({ ...at, reason });
    for (const { table_id, reason } of trace.packetIns) path.packetIns.push({ ...at, table_id, reason });
    const next = trace.outputs.map((output): Onward => {
      const from = { dpid: at.dpid, port_no: output.port };
      const to = network.peer(from);
      if (to === undefined) {
        path.delivered.push({ ...from, packet: output.packet, oneOf: output.oneOf });
        return { output, to, hop: undefined, end: undefined };
      }
      const end = endOf(network, to, output.packet, trail, hops >= maxHops ? maxHops : undefined);
      if (end !== undefined) {
        path.drops.push({ ...from, reason: end });
        return { output, to, hop: undefined, end };
      }
      const hop = visit(to, output.packet, new Set([...trail, keyOf(to, output.packet)]));
      return { output, to, hop, end: undefined };
    });
    return { at, ...trace, next };
  };

  const first = visit(start, packet, new Set([keyOf(start, packet)]));
  return { start: first, ...path };
}

/** Why a packet is not followed to the next switch. */
function endOf(
  network: NetworkModel,
  to: PortRef,
  packet: ModelPacket,
  trail: ReadonlySet<string>,
  limit: number | undefined,
): string | undefined {
  if (trail.has(keyOf(to, packet)))
    return `loop: it comes back, unchanged, to port ${to.port_no} of switch ${idOf(to.dpid)}`;
  if (limit !== undefined) return `not followed any further: ${limit} switches were visited`;
  return network.switch(to.dpid) === undefined ? `switch ${idOf(to.dpid)} is not connected` : undefined;
}

/** What crosses a link. */
function withoutPipeline(packet: ModelPacket): ModelPacket {
  const fields = new Map(packet.fields);
  for (const name of PIPELINE_FIELDS) fields.delete(name);
  return { ...packet, fields };
}

/** The same for packets that every table treats alike. The TTL counts: a loop that uses it up ends by itself. */
function keyOf({ dpid, port_no }: PortRef, packet: ModelPacket): string {
  const { fields, vlans, mpls, ttl } = withoutPipeline(packet);
  const sorted = [...fields].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    dpid,
    port_no,
    ttl,
    ...sorted.map(([name, bits]) => `${name}=${bits}`),
    ...vlans.map(({ tpid, vid, pcp }) => `${tpid}/${vid}/${pcp}`),
    ...mpls.map(({ label, tc, ttl: hops }) => `${label}/${tc}/${hops}`),
  ].join(" ");
}

const idOf = (dpid: bigint): string => dpid.toString(16).padStart(16, "0");
