import { OFPC, OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import type { Topology } from "../apps/topology/index.js";
import type { App, Switch } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";
import type { Role } from "../framework/roles.js";
import { dpidText, readDpid } from "./dpid.js";
import type { EventLog } from "./events/event-log.js";
import { dpidSchema, flowOf, hostOf, linkOf, listOf, portOf, SCHEMAS } from "./network-json.js";
import { multipart } from "./ofctl/multipart.js";
import { flagNames, TABLE } from "./ofctl/names.js";
import { readReserved } from "./ofctl/read.js";
import { showGroupDesc, showMeterConfig } from "./ofctl/show.js";
import { type JsonSchema, type Route, type RouteRequest, type Switches, switchOf } from "./route.js";

/** `/v1`: what a page about the network needs. It reads `/v1/topology` once, goes on with `/v1/events` from the number that
 *  stands there, and asks for a switch's flows and counters when somebody looks at it. */

export interface NetworkRoutesOptions {
  readonly switches: Switches;
  readonly topology: () => Topology | undefined;
  readonly log: EventLog;
  readonly apps: () => readonly App[];
  readonly role: (() => Role) | undefined;
  readonly version: string | undefined;
}

/** What a connected switch tells of itself and its connection, where it does. */
interface Connected {
  readonly peer?: string;
  readonly role?: Role;
  readonly connectedAt?: number;
  readonly counters?: object;
  readonly queuedBytes?: number;
  readonly pendingRequests?: number;
  readonly features?: {
    readonly n_buffers: number;
    readonly n_tables: number;
    readonly capabilities: number;
  };
}

const summaryOf = (dp: Switch & Connected): object => ({
  dpid: dpidText(dp.dpid),
  peer: dp.peer,
  role: dp.role,
  connected: dp.connectedAt === undefined ? undefined : new Date(dp.connectedAt).toISOString(),
  ports: [...dp.ports.values()].sort((a, b) => a.port_no - b.port_no).map(portOf),
});

/** What the switch says; undefined where it does not know the question. */
async function ifKnown<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OfpRequestError) return undefined;
    throw error;
  }
}

async function detailsOf(dp: Switch & Connected): Promise<object> {
  const desc = await ifKnown(multipart(dp, { type: "OFPMP_DESC" }));
  const { type: _, ...description } = desc ?? { type: undefined };
  const { n_buffers, n_tables, capabilities = 0 } = dp.features ?? {};
  return {
    ...summaryOf(dp),
    description,
    ...{ n_buffers, n_tables, capabilities: flagNames(OFPC, capabilities).map((name) => name.toLowerCase()) },
    connection: {
      ...dp.counters,
      ...{ queued_bytes: dp.queuedBytes, pending_requests: dp.pendingRequests },
    },
  };
}

/** What a counter is that the switch does not have (OpenFlow 1.3.5 §7.3.5.6). */
const NOT_COUNTED = 2n ** 64n - 1n;

async function portsOf(dp: Switch): Promise<object[]> {
  const { entries } = await multipart(dp, { type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
  const stats = new Map(entries.map((one) => [one.port_no, one]));
  return [...dp.ports.values()]
    .sort((a, b) => a.port_no - b.port_no)
    .map((port) => {
      const { port_no: _, ...counters } = stats.get(port.port_no) ?? { port_no: 0 };
      const known = Object.entries(counters).filter(([, count]) => count !== NOT_COUNTED);
      return { ...portOf(port), counters: Object.fromEntries(known) };
    });
}

/** Flows by table, with what the switch counts for them. */
async function flowsOf(dp: Switch, { query }: RouteRequest): Promise<object> {
  const { table_id: given } = query;
  const table_id = given === undefined ? OFPTT.ALL : readReserved(given, "table_id", TABLE, 0xff);
  const anywhere = { out_port: OFPP.ANY, out_group: OFPG.ANY };
  const [flows, tables] = await Promise.all([
    multipart(dp, { type: "OFPMP_FLOW", table_id, ...anywhere }),
    ifKnown(multipart(dp, { type: "OFPMP_TABLE" })),
  ]);
  const counts = new Map(tables?.entries.map((one) => [one.table_id, one]));
  const ids = [...new Set(flows.entries.map((flow) => flow.table_id))].sort((a, b) => a - b);
  return {
    dpid: dpidText(dp.dpid),
    tables: ids.map((id) => ({
      table_id: id,
      lookup_count: counts.get(id)?.lookup_count,
      matched_count: counts.get(id)?.matched_count,
      flows: flows.entries
        .filter((flow) => flow.table_id === id)
        .sort((a, b) => b.priority - a.priority)
        .map((flow) => ({
          ...flowOf(flow),
          ...{ packet_count: flow.packet_count, byte_count: flow.byte_count },
          duration: flow.duration_sec + flow.duration_nsec / 1e9,
        })),
    })),
  };
}

async function groupsOf(dp: Switch): Promise<object[]> {
  const [desc, stats] = await Promise.all([
    ifKnown(multipart(dp, { type: "OFPMP_GROUP_DESC" })),
    ifKnown(multipart(dp, { type: "OFPMP_GROUP", group_id: OFPG.ALL })),
  ]);
  const counts = new Map(stats?.entries.map((one) => [one.group_id, one]));
  return (desc?.entries ?? []).map((group) => {
    const counted = counts.get(group.group_id);
    return {
      ...showGroupDesc(group),
      ...(counted !== undefined && {
        ...{ packet_count: counted.packet_count, byte_count: counted.byte_count },
        ...{ ref_count: counted.ref_count, bucket_stats: counted.bucket_stats },
      }),
    };
  });
}

async function metersOf(dp: Switch): Promise<object[]> {
  const [config, stats] = await Promise.all([
    ifKnown(multipart(dp, { type: "OFPMP_METER_CONFIG" })),
    ifKnown(multipart(dp, { type: "OFPMP_METER" })),
  ]);
  const counts = new Map(stats?.entries.map((one) => [one.meter_id, one]));
  return (config?.entries ?? []).map((meter) => {
    const { meter_id: _, ...counted } = counts.get(meter.meter_id) ?? { meter_id: 0 };
    return { ...showMeterConfig(meter), ...counted };
  });
}

const object = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: "object",
  properties,
});
const [string, integer] = [{ type: "string" }, { type: "integer" }] as const;
const place: Readonly<Record<string, JsonSchema>> = {
  stream: { type: "string", description: "Of `/v1/events`." },
  seq: {
    type: "integer",
    description: "The event up to which this is true: ?since=SEQ&stream=STREAM goes on from here.",
  },
};
const summary: Readonly<Record<string, JsonSchema>> = {
  dpid: dpidSchema,
  peer: { type: "string", description: "Where its connection comes from." },
  role: { enum: ["equal", "master", "slave"], description: "What this controller is to it." },
  connected: { type: "string", format: "date-time" },
  ports: listOf(SCHEMAS.port),
};
const details: JsonSchema = object({
  ...summary,
  description: object(
    Object.fromEntries(
      ["mfr_desc", "hw_desc", "sw_desc", "serial_num", "dp_desc"].map((name) => [name, string]),
    ),
  ),
  ...{ n_buffers: integer, n_tables: integer, capabilities: listOf(string) },
  connection: {
    ...object(
      Object.fromEntries(
        ["rx", "tx", "malformed", "dropped", "queued_bytes", "pending_requests"].map((name) => [
          name,
          integer,
        ]),
      ),
    ),
    description:
      "Messages received, sent, refused, left out; bytes that it has yet to read; requests that wait.",
  },
});
const flows: JsonSchema = object({
  dpid: dpidSchema,
  tables: listOf(
    object({
      ...{ table_id: integer, lookup_count: integer, matched_count: integer },
      flows: listOf({
        ...SCHEMAS.flow,
        properties: {
          ...(SCHEMAS.flow.properties as object),
          ...{ packet_count: integer, byte_count: integer },
          duration: { type: "number", description: "Seconds." },
        },
      }),
    }),
  ),
});
const topologySchema: JsonSchema = object({
  ...place,
  discovers: {
    type: "boolean",
    description: "Whether links and hosts are looked for: whether app topology runs.",
  },
  switches: listOf(object(summary)),
  links: listOf(object({ src: SCHEMAS.portRef, dst: SCHEMAS.portRef, is_direct: { type: "boolean" } })),
  hosts: listOf(object({ mac: string, ipv4: listOf(string), ipv6: listOf(string), port: SCHEMAS.portRef })),
});

export function networkRoutes(options: NetworkRoutesOptions): Route[] {
  const { switches, topology, log, apps, role, version } = options;
  const here = (): object => ({ stream: log.id, seq: log.last });
  const all = (): object[] => [...switches.values()].sort(byDpid).map(summaryOf);
  const get = (
    path: string,
    summaryText: string,
    answer: JsonSchema,
    handle: Route["handle"],
    more: Partial<Route> = {},
  ): Route => ({
    ...{ method: "GET", path, tag: "network", summary: summaryText, answer, handle },
    ...more,
  });
  const ofSwitch =
    (ask: (dp: Switch, request: RouteRequest) => unknown): Route["handle"] =>
    (request) =>
      ask(switchOf(switches, readDpid(request.params.dpid)), request);
  return [
    get(
      "/v1/controller",
      "The controller, its apps, and where the events are",
      object({ version: string, role: string, apps: listOf(string), switches: integer, ...place }),
      () => ({
        ...{ version, role: role?.(), apps: apps().map(({ name }) => name), switches: switches.size },
        ...here(),
      }),
    ),
    get("/v1/topology", "Switches, links and hosts, as of an event", topologySchema, () => {
      const model = topology();
      return {
        ...here(),
        discovers: model !== undefined,
        switches: all(),
        links: model?.links().map(linkOf) ?? [],
        hosts: model?.hosts().map(hostOf) ?? [],
      };
    }),
    get("/v1/switches", "The connected switches and their ports", listOf(object(summary)), all),
    get("/v1/switches/{dpid}", "A switch: what it is, and its connection", details, ofSwitch(detailsOf)),
    get(
      "/v1/switches/{dpid}/ports",
      "A switch's ports with their counters",
      listOf({
        ...SCHEMAS.port,
        properties: { ...(SCHEMAS.port.properties as object), counters: { type: "object" } },
      }),
      ofSwitch(portsOf),
    ),
    get(
      "/v1/switches/{dpid}/flows",
      "A switch's flows, table by table, as it lists them now",
      flows,
      ofSwitch(flowsOf),
      {
        query: { table_id: "Only of this table." },
      },
    ),
    get(
      "/v1/switches/{dpid}/groups",
      "A switch's groups with their counters",
      listOf({ type: "object" }),
      ofSwitch(groupsOf),
    ),
    get(
      "/v1/switches/{dpid}/meters",
      "A switch's meters with their counters",
      listOf({ type: "object" }),
      ofSwitch(metersOf),
    ),
  ];
}

const byDpid = (a: Switch, b: Switch): number => (a.dpid < b.dpid ? -1 : 1);
