import { OFPG, OFPM, OFPP, OFPQ_ALL, OFPTT } from "@sluice/openflow-codec";
import type { Switch } from "../../framework/app.js";
import { Problem } from "../problem.js";
import { type Route, type RouteRequest, type Switches, switchOf } from "../route.js";
import { readMatch } from "./match.js";
import { multipart } from "./multipart.js";
import { GROUP, METER, PORT, QUEUE, TABLE } from "./names.js";
import { type Body, type Reserved, readBig, readInt, readReserved } from "./read.js";
import { bySwitch, dpids, flowFilter } from "./schemas.js";
import * as show from "./show.js";

/** Asks a switch; the answer goes under its dpid. */
type Ask = (dp: Switch, request: RouteRequest) => Promise<unknown>;

/** A parameter of the path; not given, or "ALL", it is `all`. */
const param = ({ params }: RouteRequest, name: string, names: Reserved, all: number): number => {
  const given = params[name];
  return given === undefined || given === "ALL" ? all : readReserved(given, name, names);
};

/** The flows meant by the body of a POST; of all, for a GET. */
function filterOf(body: Body) {
  const { table_id = OFPTT.ALL, out_port = OFPP.ANY, out_group = OFPG.ANY } = body;
  return {
    table_id: readReserved(table_id, "table_id", TABLE, 0xff),
    out_port: readReserved(out_port, "out_port", PORT),
    out_group: readReserved(out_group, "out_group", GROUP),
    cookie: readBig(body.cookie ?? 0, "cookie"),
    cookie_mask: readBig(body.cookie_mask ?? 0, "cookie_mask"),
    match: readMatch(body.match ?? {}),
  };
}

const flows: Ask = async (dp, { body }) => {
  const filter = (body ?? {}) as Body;
  // OpenFlow cannot ask by priority.
  const priority = filter.priority === undefined ? undefined : readInt(filter.priority, "priority", 0xffff);
  const reply = await multipart(dp, { type: "OFPMP_FLOW", ...filterOf(filter) });
  return reply.entries
    .filter((flow) => priority === undefined || flow.priority === priority)
    .map(show.showFlow);
};
const aggregate: Ask = async (dp, { body }) => [
  show.showAggregate(await multipart(dp, { type: "OFPMP_AGGREGATE", ...filterOf((body ?? {}) as Body) })),
];
const queueStats: Ask = async (dp, request) => {
  const port_no = param(request, "port", PORT, OFPP.ANY);
  const queue_id = param(request, "queue_id", QUEUE, OFPQ_ALL);
  return (await multipart(dp, { type: "OFPMP_QUEUE", port_no, queue_id })).entries;
};
const portStats: Ask = async (dp, request) =>
  (
    await multipart(dp, { type: "OFPMP_PORT_STATS", port_no: param(request, "port", PORT, OFPP.ANY) })
  ).entries.map(show.showPortStats);
const portDesc: Ask = async (dp, request) => {
  const port_no = param(request, "port_no", PORT, OFPP.ANY);
  return (await multipart(dp, { type: "OFPMP_PORT_DESC" })).entries
    .filter((port) => port_no === OFPP.ANY || port.port_no === port_no)
    .map(show.showPort);
};
const queueConfig: Ask = async (dp, request) => {
  const port = param(request, "port", PORT, OFPP.ANY);
  return [show.showQueueConfig(await dp.request({ type: "OFPT_QUEUE_GET_CONFIG_REQUEST", port }))];
};
const groupStats: Ask = async (dp, request) =>
  (
    await multipart(dp, { type: "OFPMP_GROUP", group_id: param(request, "group_id", GROUP, OFPG.ALL) })
  ).entries.map(show.showGroupStats);
const groupDesc: Ask = async (dp, request) => {
  const group_id = param(request, "group_id", GROUP, OFPG.ALL);
  return (await multipart(dp, { type: "OFPMP_GROUP_DESC" })).entries
    .filter((group) => group_id === OFPG.ALL || group.group_id === group_id)
    .map(show.showGroupDesc);
};
const meterStats: Ask = async (dp, request) =>
  (
    await multipart(dp, { type: "OFPMP_METER", meter_id: param(request, "meter_id", METER, OFPM.ALL) })
  ).entries.map(show.showMeterStats);
const meterConfig: Ask = async (dp, request) =>
  (
    await multipart(dp, { type: "OFPMP_METER_CONFIG", meter_id: param(request, "meter_id", METER, OFPM.ALL) })
  ).entries.map(show.showMeterConfig);

/** What Ryu answers for switches of OpenFlow 1.4 and 1.5 only. */
const newer =
  (version: string, instead: string): Ask =>
  async () => {
    throw new Problem(501, `is a request of OpenFlow ${version}; with 1.3 ask /stats/${instead}`);
  };

/** `/stats/…/{dpid}…`, by path behind `/stats/`. */
const ASKS: Readonly<Record<string, readonly [summary: string, ask: Ask]>> = {
  "desc/{dpid}": [
    "What the switch says it is",
    async (dp) => show.showDesc(await multipart(dp, { type: "OFPMP_DESC" })),
  ],
  "flow/{dpid}": ["Flows", flows],
  "flowdesc/{dpid}": ["Flows without counters", newer("1.5", "flow")],
  "aggregateflow/{dpid}": ["Sums over flows", aggregate],
  "table/{dpid}": [
    "Tables",
    async (dp) => (await multipart(dp, { type: "OFPMP_TABLE" })).entries.map(show.showTable),
  ],
  "tablefeatures/{dpid}": [
    "What tables can do",
    async (dp) => (await multipart(dp, { type: "OFPMP_TABLE_FEATURES" })).entries.map(show.showTableFeatures),
  ],
  "port/{dpid}": ["Counters of ports", portStats],
  "port/{dpid}/{port}": ["Counters of a port", portStats],
  "portdesc/{dpid}": ["Ports", portDesc],
  "portdesc/{dpid}/{port_no}": ["A port", portDesc],
  "queue/{dpid}": ["Counters of queues", queueStats],
  "queue/{dpid}/{port}": ["Counters of a port's queues", queueStats],
  "queue/{dpid}/{port}/{queue_id}": ["Counters of a queue", queueStats],
  "queueconfig/{dpid}": ["Queues", queueConfig],
  "queueconfig/{dpid}/{port}": ["A port's queues", queueConfig],
  "queuedesc/{dpid}": ["Queues", newer("1.4", "queueconfig")],
  "queuedesc/{dpid}/{port}": ["A port's queues", newer("1.4", "queueconfig")],
  "queuedesc/{dpid}/{port}/{queue}": ["A queue", newer("1.4", "queueconfig")],
  "meterfeatures/{dpid}": [
    "What meters can do",
    async (dp) => [show.showMeterFeatures(await multipart(dp, { type: "OFPMP_METER_FEATURES" }))],
  ],
  "meterconfig/{dpid}": ["Meters", meterConfig],
  "meterconfig/{dpid}/{meter_id}": ["A meter", meterConfig],
  "meterdesc/{dpid}": ["Meters", newer("1.5", "meterconfig")],
  "meterdesc/{dpid}/{meter_id}": ["A meter", newer("1.5", "meterconfig")],
  "meter/{dpid}": ["Counters of meters", meterStats],
  "meter/{dpid}/{meter_id}": ["Counters of a meter", meterStats],
  "groupfeatures/{dpid}": [
    "What groups can do",
    async (dp) => [show.showGroupFeatures(await multipart(dp, { type: "OFPMP_GROUP_FEATURES" }))],
  ],
  "groupdesc/{dpid}": ["Groups", groupDesc],
  "groupdesc/{dpid}/{group_id}": ["A group", groupDesc],
  "group/{dpid}": ["Counters of groups", groupStats],
  "group/{dpid}/{group_id}": ["Counters of a group", groupStats],
  "role/{dpid}": [
    "The controller's role",
    async (dp) => [
      show.showRole(await dp.request({ type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_NOCHANGE" })),
    ],
  ],
};
/** Those that also take a filter by POST. */
const FILTERED: ReadonlySet<string> = new Set(["flow/{dpid}", "flowdesc/{dpid}", "aggregateflow/{dpid}"]);

/** The routes that read switches. */
export function statsRoutes(switches: Switches): Route[] {
  const asking = Object.entries(ASKS).flatMap(([path, [summary, ask]]): Route[] => {
    const route = {
      path: `/stats/${path}`,
      tag: "ofctl",
      summary,
      answer: bySwitch,
      handle: async (request: RouteRequest) => {
        const dp = switchOf(switches, readBig(request.params.dpid, "dpid"));
        return { [String(dp.dpid)]: await ask(dp, request) };
      },
    };
    const get: Route = { ...route, method: "GET" };
    if (!FILTERED.has(path)) return [get];
    return [
      get,
      { ...route, method: "POST", summary: `${summary}, those meant by a filter`, body: flowFilter },
    ];
  });
  return [
    {
      method: "GET",
      path: "/stats/switches",
      tag: "ofctl",
      summary: "The dpids of the connected switches",
      answer: dpids,
      handle: () => [...switches.keys()],
    },
    ...asking,
  ];
}
