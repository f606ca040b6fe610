import { type FlowStats, formatPriorityAndMatch, OFPG, OFPP, type PortStats } from "@sluice/openflow-codec";
import { type Clock, type Log, nullLog, realClock, type Timer } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import { defineApp } from "../../composition/definition.js";
import type { App, Switch } from "../../framework/app.js";
import type { Route } from "../../rest/route.js";
import { monitorMetrics } from "./metrics.js";
import { monitorRoutes } from "./routes.js";
import { RateSeries } from "./series.js";

export interface MonitorOptions {
  /** Between two readings of a switch. 10 s unless given. */
  intervalMs?: number | undefined;
  /** Rates kept of each port and flow. 60 unless given. */
  history?: number | undefined;
  /** A switch with more flows is not asked for each; 0 never asks. 1000 unless given. */
  maxFlows?: number | undefined;
  /** Ports beyond this many, over all switches, have no rates. 10,000 unless given. */
  maxPorts?: number | undefined;
  /** Write the rates of the ports to the log after each reading. */
  print?: boolean | undefined;
  clock?: Clock;
  log?: Log;
}

/** Counters of a port of which there are rates. */
export const PORT_COUNTERS = [
  "rx_packets",
  "tx_packets",
  "rx_bytes",
  "tx_bytes",
  "rx_dropped",
  "tx_dropped",
  "rx_errors",
  "tx_errors",
] as const satisfies readonly (keyof PortStats)[];
export const FLOW_COUNTERS = ["packet_count", "byte_count"] as const satisfies readonly (keyof FlowStats)[];

export interface MonitoredPort {
  readonly dpid: bigint;
  readonly port_no: number;
  readonly name: string;
  readonly series: RateSeries;
}

export interface MonitoredFlow {
  readonly dpid: bigint;
  readonly table_id: number;
  readonly priority: number;
  readonly cookie: bigint;
  /** Priority and match as ovs-ofctl writes them. */
  readonly text: string;
  readonly series: RateSeries;
}

interface Site {
  readonly dp: Switch;
  readonly ports: Map<number, MonitoredPort>;
  flows: Map<string, MonitoredFlow>;
  timer: Timer | undefined;
  isReading: boolean;
}

export interface MonitorCounters {
  readings: number;
  /** Readings left out because the one before was not answered yet. */
  late: number;
  failed: number;
  /** Readings of switches with too many flows to ask for each. */
  flowsLeftOut: number;
  portsLeftOut: number;
}

/** What was read of the switches. */
export interface Monitor {
  readonly counters: Readonly<MonitorCounters>;
  /** Of one switch or of all. */
  ports(dpid?: bigint): MonitoredPort[];
  /** The busiest first, by bytes a second. */
  flows(dpid?: bigint): MonitoredFlow[];
  readonly events: EventEmitter<MonitorEvents>;
}

export interface MonitorEvents {
  /** The ports of a switch were read. */
  ports_read(dpid: bigint): void;
}

export interface MonitorApp extends App {
  readonly monitor: Monitor;
  readonly routes: readonly Route[];
  metrics(): string;
}

const ALL_TABLES = 0xff;

/** Reads the counters of all switches from time to time, each at its own moment, and keeps the rates. */
export function monitor(options: MonitorOptions = {}): MonitorApp {
  const { clock = realClock, log = nullLog, intervalMs = 10_000, history = 60 } = options;
  const { maxFlows = 1000, maxPorts = 10_000, print = false } = options;
  const sites = new Map<bigint, Site>();
  const counters = { readings: 0, late: 0, failed: 0, flowsLeftOut: 0, portsLeftOut: 0 };

  const portCount = (): number => [...sites.values()].reduce((sum, site) => sum + site.ports.size, 0);
  const readPorts = async ({ dp, ports }: Site): Promise<void> => {
    const { body } = await dp.request({
      type: "OFPT_MULTIPART_REQUEST",
      body: { type: "OFPMP_PORT_STATS", port_no: OFPP.ANY },
    });
    const present = new Set(body.entries.map(({ port_no }) => port_no));
    for (const port_no of ports.keys()) if (!present.has(port_no)) ports.delete(port_no);
    for (const stats of body.entries) {
      const { port_no } = stats;
      let port = ports.get(port_no);
      if (port === undefined) {
        if (portCount() >= maxPorts) {
          counters.portsLeftOut++;
          continue;
        }
        const name = dp.ports.get(port_no)?.name ?? String(port_no);
        port = { dpid: dp.dpid, port_no, name, series: new RateSeries(history, PORT_COUNTERS.length) };
        ports.set(port_no, port);
      }
      port.series.read(
        PORT_COUNTERS.map((counter) => stats[counter]),
        upMs(stats, clock),
        clock.wallNow(),
      );
      if (print) printPort(log, dp, port);
    }
    model.events.emit("ports_read", dp.dpid);
  };

  const readFlows = async (site: Site): Promise<void> => {
    if (maxFlows === 0) return;
    const { dp } = site;
    const filter = { table_id: ALL_TABLES, out_port: OFPP.ANY, out_group: OFPG.ANY } as const;
    const { body } = await dp.request({
      type: "OFPT_MULTIPART_REQUEST",
      body: { type: "OFPMP_AGGREGATE", ...filter },
    });
    if (body.flow_count > maxFlows) {
      counters.flowsLeftOut++;
      site.flows = new Map();
      return;
    }
    const reply = await dp.request({
      type: "OFPT_MULTIPART_REQUEST",
      body: { type: "OFPMP_FLOW", ...filter },
    });
    const flows = new Map<string, MonitoredFlow>();
    for (const stats of reply.body.entries.slice(0, maxFlows)) {
      const { table_id, priority, cookie, match } = stats;
      const text = formatPriorityAndMatch(priority, match);
      const key = `${table_id} ${cookie} ${text}`;
      const series = site.flows.get(key)?.series ?? new RateSeries(history, FLOW_COUNTERS.length);
      series.read(
        FLOW_COUNTERS.map((counter) => stats[counter]),
        upMs(stats, clock),
        clock.wallNow(),
      );
      flows.set(key, { dpid: dp.dpid, table_id, priority, cookie, text, series });
    }
    site.flows = flows;
  };

  const read = async (site: Site): Promise<void> => {
    if (site.isReading) {
      counters.late++;
      return;
    }
    site.isReading = true;
    try {
      await readPorts(site);
      await readFlows(site);
      counters.readings++;
    } catch (error) {
      counters.failed++;
      log.warn(`switch ${site.dp.id}: not read: ${(error as Error).message}`);
    } finally {
      site.isReading = false;
    }
  };

  const leave = (dpid: bigint): void => {
    sites.get(dpid)?.timer?.cancel();
    sites.delete(dpid);
  };
  const all = <K extends "ports" | "flows">(
    kind: K,
    dpid?: bigint,
  ): (K extends "ports" ? MonitoredPort : MonitoredFlow)[] => {
    const meant = dpid === undefined ? [...sites.values()] : [sites.get(dpid)].filter((site) => !!site);
    return meant.flatMap((site) => [...site[kind].values()]) as never;
  };
  const model: Monitor = {
    counters,
    events: new EventEmitter(),
    ports: (dpid) => all("ports", dpid).sort((a, b) => a.port_no - b.port_no),
    flows: (dpid) => all("flows", dpid).sort((a, b) => bytesOf(b) - bytesOf(a)),
  };

  return {
    name: "monitor",
    monitor: model,
    routes: monitorRoutes(model),
    metrics: () => monitorMetrics(model),
    events: {
      datapath_up: (dp) => {
        leave(dp.dpid);
        const site: Site = { dp, ports: new Map(), flows: new Map(), timer: undefined, isReading: false };
        sites.set(dp.dpid, site);
        site.timer = clock.setInterval(() => void read(site), intervalMs);
        void read(site);
      },
      datapath_down: (dp) => leave(dp.dpid),
      datapath_release: (dp) => leave(dp.dpid),
    },
    stop: () => {
      for (const dpid of [...sites.keys()]) leave(dpid);
    },
  };
}

const bytesOf = ({ series }: MonitoredFlow): number => series.latest?.rates[1] ?? 0;

/** How long the counters have counted; by our clock, where the switch does not say. */
function upMs(stats: { duration_sec: number; duration_nsec: number }, clock: Clock): number {
  const ms = stats.duration_sec * 1000 + stats.duration_nsec / 1e6;
  return ms > 0 && stats.duration_sec !== 0xffff_ffff ? ms : clock.now();
}

function printPort(log: Log, dp: Switch, { name, series }: MonitoredPort): void {
  const rates = series.latest?.rates;
  if (rates === undefined) return;
  const text = PORT_COUNTERS.slice(0, 4).map((counter, i) => `${counter} ${rates[i]!.toFixed(1)}/s`);
  log.info(`${dp.id} ${name}: ${text.join(", ")}`);
}

export const monitorApp = defineApp({
  name: "monitor",
  summary: "keeps the rates of ports and flows over time",
  settings: {
    type: "object",
    properties: {
      intervalMs: {
        type: "integer",
        minimum: 100,
        maximum: 3_600_000,
        default: 10_000,
        description: "milliseconds between two readings of a switch",
      },
      history: {
        type: "integer",
        minimum: 1,
        maximum: 10_000,
        default: 60,
        description: "rates kept of each port and flow",
      },
      maxFlows: {
        type: "integer",
        minimum: 0,
        maximum: 100_000,
        default: 1000,
        description: "a switch with more flows is not asked for each; 0 never asks",
      },
      maxPorts: {
        type: "integer",
        minimum: 1,
        maximum: 1_000_000,
        default: 10_000,
        description: "ports beyond this many, over all switches, have no rates",
      },
      print: { type: "boolean", default: false, description: "write the rates of ports to the log" },
    },
  },
  create: (settings, { clock, log }) => monitor({ ...settings, clock, log }),
});
