import { parseMatch } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import type { Topology } from "../apps/topology/index.js";
import type { Switch } from "../framework/app.js";
import {
  describeFlow,
  fetchTables,
  frameBytes,
  type Hop,
  type ModelPacket,
  type NetworkModel,
  type Onward,
  type PortRef,
  packetFromFrame,
  packetFromMatch,
  type SwitchTables,
  tracePath,
} from "../tables/index.js";
import { PORT } from "./ofctl/names.js";
import { readReserved, showReserved } from "./ofctl/read.js";
import { badField, Problem } from "./problem.js";
import type { JsonSchema, Route, RouteRequest, Switches } from "./route.js";
import { dpidText } from "./topology-routes.js";

/** `/v1/trace`: where a packet goes, through the tables that the switches have right now. */

/** Switches asked for their tables, for one trace. */
const MAX_SWITCHES = 256;

interface Loaded {
  readonly tables: SwitchTables;
  readonly ports: Switch["ports"];
}

/** Asks a switch for all that decides where packets go. */
const load = async (dp: Switch): Promise<Loaded> => ({ tables: await fetchTables(dp), ports: dp.ports });

/** Traces as far as the tables of `loaded` reach, and gives the switches that it would have gone on to. */
function follow(
  loaded: ReadonlyMap<bigint, Loaded>,
  topology: Topology | undefined,
  start: PortRef,
  packet: ModelPacket,
) {
  const wanted = new Set<bigint>();
  const peers = new Map(
    (topology?.links() ?? []).map(({ src, dst }) => [`${src.dpid} ${src.port_no}`, dst] as const),
  );
  const network: NetworkModel = {
    switch: (dpid) => {
      const known = loaded.get(dpid);
      if (known === undefined) wanted.add(dpid);
      return known;
    },
    peer: ({ dpid, port_no }) => peers.get(`${dpid} ${port_no}`),
  };
  return { path: tracePath(network, start, packet), wanted };
}

async function trace(
  switches: Switches,
  topology: Topology | undefined,
  start: PortRef,
  packet: ModelPacket,
) {
  const loaded = new Map<bigint, Loaded>();
  let wanted: ReadonlySet<bigint> = new Set([start.dpid]);
  for (;;) {
    const next = [...wanted].map((dpid) => switches.get(dpid)).filter((dp) => dp !== undefined);
    await Promise.all(next.map(async (dp) => loaded.set(dp.dpid, await load(dp))));
    const result = follow(loaded, topology, start, packet);
    const more = [...result.wanted].filter((dpid) => switches.has(dpid));
    if (more.length === 0 || loaded.size + more.length > MAX_SWITCHES) return result.path;
    wanted = new Set(more);
  }
}

const showPort = ({ dpid, port_no }: PortRef): object => ({
  dpid: dpidText(dpid),
  port_no: showReserved(port_no, PORT),
});

const showHop = ({ at, steps, outputs, packetIns, drops, unknown, next }: Hop): object => ({
  dpid: dpidText(at.dpid),
  in_port: showReserved(at.port_no, PORT),
  tables: steps.map(({ table_id, flow }) => ({
    table_id,
    flow: flow === undefined ? null : describeFlow(flow),
    ...(flow !== undefined && { cookie: flow.cookie }),
  })),
  outputs: outputs.map(({ port, queue_id, groups, oneOf, packet }, i) => ({
    port_no: showReserved(port, PORT),
    ...(queue_id !== undefined && { queue_id }),
    ...(groups.length > 0 && { groups }),
    ...(oneOf !== undefined && { one_of_group: oneOf }),
    ...showFrame(packet),
    ...showOnward(next[i]),
  })),
  ...(packetIns.length > 0 && {
    packet_ins: packetIns.map(({ table_id, reason }) => ({ table_id, reason })),
  }),
  ...(drops.length > 0 && { drops }),
  ...(unknown.length > 0 && { unknown }),
});

function showFrame(packet: ModelPacket): object {
  const bytes = frameBytes(packet);
  return bytes === undefined ? {} : { frame: Buffer.from(bytes).toString("hex") };
}

const showOnward = (onward: Onward | undefined): object => ({
  ...(onward?.to !== undefined && { to: showPort(onward.to) }),
  ...(onward?.end !== undefined && { end: onward.end }),
  ...(onward?.hop !== undefined && { hop: showHop(onward.hop) }),
});

function packetOf({ query }: RouteRequest, in_port: number): ModelPacket {
  const { frame, flow } = query;
  if ((frame === undefined) === (flow === undefined))
    throw badField("flow", "is missing, or frame is; give one of them");
  if (frame !== undefined) {
    if (!/^([0-9a-f]{2})+$/i.test(frame)) throw badField("frame", "is not hexadecimal");
    const packet = packetFromFrame(fromHex(frame));
    if (packet === undefined) throw badField("frame", "is too short to have an Ethernet header");
    return packet;
  }
  try {
    return packetFromMatch({ ...parseMatch(flow!), in_port });
  } catch (error) {
    // A match that cannot be read, or that no packet has.
    throw badField("flow", (error as Error).message);
  }
}

const answer: JsonSchema = {
  type: "object",
  properties: {
    delivered: { type: "array", description: "Ports by which it leaves the network." },
    drops: { type: "array", description: "Why, and where, it or a copy of it goes no further." },
    packet_ins: { type: "array", description: "Where it goes to the controller." },
    unknown: { type: "array", description: "Where the tables do not tell, as with NORMAL." },
    path: { type: "object", description: "Switch by switch and table by table." },
  },
};

export function traceRoutes(switches: Switches, topology: () => Topology | undefined): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/trace",
      tag: "trace",
      summary: "Where a packet goes, and why, through the tables that the switches have now",
      query: {
        dpid: "The switch that it comes to, 16 hexadecimal digits.",
        in_port: "The port that it comes by.",
        flow: "What it is, in ovs-ofctl's syntax: tcp,nw_dst=10.0.0.2,tp_dst=80.",
        frame: "Or its bytes, in hexadecimal.",
      },
      answer,
      handle: async (request) => {
        const { dpid = "" } = request.query;
        if (!/^[0-9a-f]{16}$/i.test(dpid)) throw badField("dpid", "is not 16 hexadecimal digits");
        const at = BigInt(`0x${dpid}`);
        const dp = switches.get(at);
        if (dp === undefined) throw new Problem(404, `no switch ${dpid} is connected`, { field: "dpid" });
        const in_port = readReserved(request.query.in_port, "in_port", PORT);
        if (!dp.ports.has(in_port)) throw badField("in_port", `is no port of switch ${dpid}`);
        const packet = packetOf(request, in_port);
        const path = await trace(switches, topology(), { dpid: at, port_no: in_port }, packet);
        return {
          delivered: path.delivered.map(({ oneOf, packet, ...port }) => ({
            ...showPort(port),
            ...(oneOf !== undefined && { one_of_group: oneOf }),
            ...showFrame(packet),
          })),
          drops: path.drops.map(({ reason, ...port }) => ({ ...showPort(port), reason })),
          packet_ins: path.packetIns.map(({ table_id, reason, ...port }) => ({
            ...showPort(port),
            table_id,
            reason,
          })),
          unknown: path.unknown.map(({ reason, ...port }) => ({ ...showPort(port), reason })),
          path: showHop(path.start),
        };
      },
    },
  ];
}
