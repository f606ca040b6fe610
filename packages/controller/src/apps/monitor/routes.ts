import { dpidText, readDpid } from "../../rest/dpid.js";
import { Problem } from "../../rest/problem.js";
import type { JsonSchema, Route } from "../../rest/route.js";
import {
  FLOW_COUNTERS,
  type Monitor,
  type MonitoredFlow,
  type MonitoredPort,
  PORT_COUNTERS,
} from "./monitor.js";
import type { Sample } from "./series.js";

/** Rates and totals in JSON: a rate is named as its counter with `_per_sec`. */
const ratesOf = (names: readonly string[], sample: Sample | undefined): object =>
  sample === undefined
    ? {}
    : {
        time: new Date(sample.at).toISOString(),
        ...Object.fromEntries(names.map((name, i) => [`${name}_per_sec`, sample.rates[i]])),
      };
const totalsOf = (names: readonly string[], counters: readonly bigint[]): object =>
  Object.fromEntries(names.map((name, i) => [name, counters[i]]).filter(([, count]) => count !== undefined));

export const showPort = ({ dpid, port_no, name, series }: MonitoredPort): object => ({
  dpid: dpidText(dpid),
  port_no,
  name,
  ...totalsOf(PORT_COUNTERS, series.counters),
  ...ratesOf(PORT_COUNTERS, series.latest),
});
const showFlow = ({ dpid, table_id, cookie, text, series }: MonitoredFlow): object => ({
  dpid: dpidText(dpid),
  table_id,
  cookie: `0x${cookie.toString(16)}`,
  flow: text,
  ...totalsOf(FLOW_COUNTERS, series.counters),
  ...ratesOf(FLOW_COUNTERS, series.latest),
});

const objects: JsonSchema = { type: "array", items: { type: "object" } };

/** What the app tells over REST. */
export const monitorRoutes = (monitor: Monitor): Route[] => [
  {
    method: "GET",
    path: "/v1/monitor/ports",
    tag: "monitor",
    summary: "Counters of all ports, and their rates as last read",
    answer: objects,
    handle: () => monitor.ports().map(showPort),
  },
  {
    method: "GET",
    path: "/v1/monitor/ports/{dpid}",
    tag: "monitor",
    summary: "Counters of the ports of a switch, and their rates as last read",
    answer: objects,
    handle: ({ params }) => monitor.ports(readDpid(params.dpid)).map(showPort),
  },
  {
    method: "GET",
    path: "/v1/monitor/ports/{dpid}/{port_no}",
    tag: "monitor",
    summary: "The rates of a port over time, the oldest first",
    answer: objects,
    handle: ({ params }) => {
      const port = monitor
        .ports(readDpid(params.dpid))
        .find(({ port_no, name }) => String(port_no) === params.port_no || name === params.port_no);
      if (port === undefined)
        throw new Problem(404, `there is no port ${params.port_no} at switch ${params.dpid}`, {
          field: "port_no",
        });
      return port.series.history().map((sample) => ratesOf(PORT_COUNTERS, sample));
    },
  },
  {
    method: "GET",
    path: "/v1/monitor/flows/{dpid}",
    tag: "monitor",
    summary: "Counters and rates of the flows of a switch, the busiest first",
    answer: objects,
    handle: ({ params }) => monitor.flows(readDpid(params.dpid)).map(showFlow),
  },
];
