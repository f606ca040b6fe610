import { parseMatch } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import type { Topology } from "../apps/topology/index.js";
import type { CopyState, SwitchCopy, TableCopies } from "../copy/index.js";
import type { Switch } from "../framework/app.js";
import {
  describeFlow,
  fetchTables,
  frameBytes,
  type Hop,
  type ModelFlow,
  type ModelPacket,
  type NetworkModel,
  type Onward,
  type Path,
  type PortRef,
  packetFromFrame,
  packetFromMatch,
  type SwitchTables,
  tracePath,
} from "../tables/index.js";
import { dpidText, readDpid } from "./dpid.js";
import { PORT } from "./ofctl/names.js";
import { readReserved, showReserved } from "./ofctl/read.js";
import { badField, Problem } from "./problem.js";
import type { JsonSchema, Route, RouteRequest, Switches } from "./route.js";

/** `/v1/trace`: where a packet goes, through the tables that the switches have right now: from the controller's copies,
 *  after the switches on the way have confirmed what was sent and counted their flows, and told of the flows that take the
 *  packet. Where they do not agree with the copy they are asked for their tables, and the packet is followed anew. */

/** Switches asked, for one trace. */
const MAX_SWITCHES = 256;
/** Flows asked after, for one trace. */
const MAX_FLOWS = 256;
/** Times that a packet is followed anew because a flow was not as in the copy; the last answer then says what was found. */
const MAX_ROUNDS = 3;

interface Loaded {
  readonly tables: SwitchTables;
  readonly ports: Switch["ports"];
  /** Where the tables are a copy's. */
  readonly copy: SwitchCopy | undefined;
}

/** What was found out beside the path. */
interface Checked {
  readonly copies: ReadonlyMap<bigint, CopyState>;
  /** What the switches count for flows on the path. */
  readonly packets: ReadonlyMap<ModelFlow, bigint>;
}

/** All that decides where a switch's packets go. */
async function load(dp: Switch, copy: SwitchCopy | undefined): Promise<Loaded> {
  if (copy === undefined) return { tables: await fetchTables(dp), ports: dp.ports, copy };
  const tables = (await copy.hasSameCount()) ? await copy.tables() : await copy.check();
  return { tables, ports: dp.ports, copy };
}

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

interface Question {
  readonly switches: Switches;
  /** Undefined to ask the switches for their tables. */
  readonly copies: TableCopies | undefined;
  readonly topology: Topology | undefined;
  readonly start: PortRef;
  readonly packet: ModelPacket;
}

async function trace(question: Question): Promise<Checked & { readonly path: Path }> {
  const { switches, copies, topology, start, packet } = question;
  const loaded = new Map<bigint, Loaded>();
  const reload = (dpids: Iterable<bigint>): Promise<unknown> => {
    const next = [...dpids].map((dpid) => switches.get(dpid)).filter((dp) => dp !== undefined);
    return Promise.all(next.map(async (dp) => loaded.set(dp.dpid, await load(dp, copies?.of(dp)))));
  };
  await reload([start.dpid]);
  for (let round = 1; ; ) {
    const { path, wanted } = follow(loaded, topology, start, packet);
    const more = [...wanted].filter((dpid) => switches.has(dpid));
    if (more.length > 0 && loaded.size + more.length <= MAX_SWITCHES) {
      await reload(more);
      continue;
    }
    const { packets, doubtful } = await askAfterFlows(loaded, path);
    if (doubtful.size === 0 || round++ === MAX_ROUNDS) return { path, packets, copies: statesOf(loaded) };
    await Promise.all([...doubtful].map((dpid) => loaded.get(dpid)!.copy!.check()));
    await reload(doubtful);
  }
}

const instructs = ({ instructions }: ModelFlow, isMeant: (type: string | number) => boolean): boolean =>
  instructions.some(
    (one) => isMeant(one.type) || ("actions" in one && one.actions.some(({ type }) => isMeant(type))),
  );
const usesGroups = (flow: ModelFlow): boolean => instructs(flow, (type) => type === "OFPAT_GROUP");
const usesMeters = (flow: ModelFlow): boolean => instructs(flow, (type) => type === "OFPIT_METER");

/** Asks the switches of copies after the flows that take the packet, and after groups and meters where these use some. A
 *  table's last resort, which matches every packet, is left out: to ask for it would list the whole table. */
async function askAfterFlows(loaded: ReadonlyMap<bigint, Loaded>, { start }: Path) {
  const flows = new Map<ModelFlow, bigint>();
  const [groups, meters] = [new Set<bigint>(), new Set<bigint>()];
  const collect = ({ at, steps, next }: Hop): void => {
    for (const { flow } of steps) {
      if (flow !== undefined && usesGroups(flow)) groups.add(at.dpid);
      if (flow !== undefined && usesMeters(flow)) meters.add(at.dpid);
      if (flow !== undefined && flow.terms.length > 0 && flows.size < MAX_FLOWS) flows.set(flow, at.dpid);
    }
    for (const { hop } of next) if (hop !== undefined) collect(hop);
  };
  collect(start);
  const packets = new Map<ModelFlow, bigint>();
  const doubtful = new Set<bigint>();
  const ask = async ([flow, dpid]: [ModelFlow, bigint]): Promise<void> => {
    const copy = loaded.get(dpid)?.copy;
    if (copy === undefined) return;
    const count = await copy.packetsOf(flow);
    if (count === undefined) doubtful.add(dpid);
    else packets.set(flow, count);
  };
  const confirm = async (dpid: bigint, isSame: Promise<boolean> | undefined): Promise<void> => {
    if ((await isSame) === false) doubtful.add(dpid);
  };
  await Promise.all([
    ...[...flows].map(ask),
    ...[...groups].map((dpid) => confirm(dpid, loaded.get(dpid)?.copy?.hasSameGroups())),
    ...[...meters].map((dpid) => confirm(dpid, loaded.get(dpid)?.copy?.hasSameMeters())),
  ]);
  return { packets, doubtful };
}

function statesOf(loaded: ReadonlyMap<bigint, Loaded>): Map<bigint, CopyState> {
  const states = new Map<bigint, CopyState>();
  for (const [dpid, { copy }] of loaded) if (copy?.state !== undefined) states.set(dpid, copy.state);
  return states;
}

const showPort = ({ dpid, port_no }: PortRef): object => ({
  dpid: dpidText(dpid),
  port_no: showReserved(port_no, PORT),
});

const showCopy = ({ checkedAt, ...found }: CopyState): object => ({
  ...found,
  checked: new Date(checkedAt).toISOString(),
});

const showHop = (
  { at, steps, outputs, packetIns, drops, unknown, next }: Hop,
  { copies, packets }: Checked,
): object => ({
  dpid: dpidText(at.dpid),
  in_port: showReserved(at.port_no, PORT),
  ...(copies.has(at.dpid) && { copy: showCopy(copies.get(at.dpid)!) }),
  tables: steps.map(({ table_id, flow }) => ({
    table_id,
    flow: flow === undefined ? null : describeFlow(flow),
    ...(flow !== undefined && { cookie: flow.cookie }),
    ...(flow !== undefined && packets.has(flow) && { packets: packets.get(flow) }),
  })),
  outputs: outputs.map(({ port, queue_id, groups, oneOf, packet }, i) => ({
    port_no: showReserved(port, PORT),
    ...(queue_id !== undefined && { queue_id }),
    ...(groups.length > 0 && { groups }),
    ...(oneOf !== undefined && { one_of_group: oneOf }),
    ...showFrame(packet),
    ...showOnward(next[i], { copies, packets }),
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

const showOnward = (onward: Onward | undefined, checked: Checked): object => ({
  ...(onward?.to !== undefined && { to: showPort(onward.to) }),
  ...(onward?.end !== undefined && { end: onward.end }),
  ...(onward?.hop !== undefined && { hop: showHop(onward.hop, checked) }),
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
    path: {
      type: "object",
      description:
        "Switch by switch and table by table; copy is how many flows the controller's copy lacked (missing), had too many (surplus) or had otherwise (changed), and how many groups and meters differed, when the switch last listed its tables; packets is what the switch counts for the flow.",
    },
  },
};

export function traceRoutes(
  switches: Switches,
  topology: () => Topology | undefined,
  copies: TableCopies | undefined,
): Route[] {
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
        fresh:
          "true to ask the switches on the way for all their tables, in place of the controller's copy of them.",
      },
      answer,
      handle: async (request) => {
        const at = readDpid(request.query.dpid);
        const dpid = dpidText(at);
        const dp = switches.get(at);
        if (dp === undefined) throw new Problem(404, `no switch ${dpid} is connected`, { field: "dpid" });
        const in_port = readReserved(request.query.in_port, "in_port", PORT);
        if (!dp.ports.has(in_port)) throw badField("in_port", `is no port of switch ${dpid}`);
        const packet = packetOf(request, in_port);
        const { fresh = "false" } = request.query;
        if (fresh !== "true" && fresh !== "false") throw badField("fresh", "is neither true nor false");
        const { path, ...checked } = await trace({
          ...{ switches, topology: topology(), start: { dpid: at, port_no: in_port }, packet },
          copies: fresh === "true" ? undefined : copies,
        });
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
          path: showHop(path.start, checked),
        };
      },
    },
  ];
}
