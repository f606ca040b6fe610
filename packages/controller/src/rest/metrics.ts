import { OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import type { Clock } from "@sluice/runtime";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Topology } from "../apps/topology/index.js";
import type { TableCopies } from "../copy/index.js";
import type { Switch } from "../framework/app.js";
import { BOUNDS, type Durations, type Timings } from "../framework/timings.js";
import type { EventCounts, PerSwitchCount } from "./event-counts.js";
import type { EventLog } from "./events/event-log.js";
import type { StreamCounters } from "./events/stream.js";
import { multipart } from "./ofctl/multipart.js";
import type { Switches } from "./route.js";

export interface MetricsOptions {
  readonly switches: Switches;
  readonly counts: EventCounts;
  readonly timings: Timings | undefined;
  /** Handlers that failed, by app. */
  readonly failures: ReadonlyMap<string, number> | undefined;
  readonly topology: () => Topology | undefined;
  readonly log: EventLog;
  readonly stream: () => StreamCounters;
  readonly copies: TableCopies | undefined;
  readonly clock: Clock;
}

/** A switch is asked for the number of its flows at most so often, and a scrape waits for it at most so long. */
const FLOWS_FRESH_MS = 5_000;
const FLOWS_WAIT_MS = 2_000;

type Counters = Readonly<Record<"rx" | "tx" | "malformed" | "dropped", number>>;
const NO_COUNTS: Counters = { rx: 0, tx: 0, malformed: 0, dropped: 0 };
/** What the connection of a switch tells of itself, where it does. */
interface Connected {
  readonly counters?: Counters;
  readonly queuedBytes?: number;
  readonly pendingRequests?: number;
}

/** `/metrics`, in the text format of Prometheus. What is counted elsewhere is read when it is asked for. */
export class Metrics {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #requests: Histogram<"method" | "route" | "status">;
  readonly #timings: Timings | undefined;

  constructor(options: MetricsOptions) {
    const { switches, counts, topology, log, stream, copies, timings, failures } = options;
    this.#timings = timings;
    const registers = [this.#registry];
    this.contentType = this.#registry.contentType;
    // Among them the lag of the event loop: nodejs_eventloop_lag_*.
    collectDefaultMetrics({ register: this.#registry });

    const value = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    /** What is counted elsewhere, and there only. */
    const total = (name: string, help: string, read: () => number): void => {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    };
    const totalPerSwitch = (name: string, help: string, read: (counters: Counters) => number): void => {
      new Counter({
        name,
        help,
        registers,
        labelNames: ["dpid"],
        collect() {
          this.reset();
          for (const dp of switches.values())
            this.inc({ dpid: dp.id }, read((dp as Switch & Connected).counters ?? NO_COUNTS));
        },
      });
    };
    const perSwitch = (name: string, help: string, read: (dp: Switch & Connected) => number): void => {
      new Gauge({
        name,
        help,
        registers,
        labelNames: ["dpid"],
        collect() {
          this.reset();
          for (const dp of switches.values()) this.set({ dpid: dp.id }, read(dp as Switch & Connected));
        },
      });
    };
    value("sluice_controller_datapaths", "Switches that are connected.", () => switches.size);
    perSwitch("sluice_controller_ports", "Ports of a switch, reserved ones too.", (dp) => dp.ports.size);
    perSwitch(
      "sluice_controller_queued_bytes",
      "Bytes that a switch has yet to read.",
      (dp) => dp.queuedBytes ?? 0,
    );
    perSwitch(
      "sluice_controller_pending_requests",
      "Requests that wait for the switch's answer.",
      (dp) => dp.pendingRequests ?? 0,
    );
    totalPerSwitch(
      "sluice_controller_messages_received_total",
      "Messages of the switch's connection.",
      ({ rx }) => rx,
    );
    totalPerSwitch(
      "sluice_controller_messages_sent_total",
      "Messages on the switch's connection.",
      ({ tx }) => tx,
    );
    totalPerSwitch(
      "sluice_controller_messages_malformed_total",
      "Messages of the switch's connection that could not be decoded.",
      ({ malformed }) => malformed,
    );
    totalPerSwitch(
      "sluice_controller_messages_dropped_total",
      "Messages not sent, since the switch did not read.",
      ({ dropped }) => dropped,
    );
    const flows = new FlowCounts(options.clock);
    new Gauge({
      name: "sluice_controller_flows",
      help: `Flows in the tables of a switch, counted by it at most ${FLOWS_FRESH_MS / 1000} s ago.`,
      registers,
      labelNames: ["dpid"],
      async collect() {
        await flows.ask(switches);
        this.reset();
        for (const { id, dpid } of switches.values()) {
          const count = flows.of(dpid);
          if (count !== undefined) this.set({ dpid: id }, count);
        }
      },
    });
    value(
      "sluice_controller_links",
      "Links between switches, each direction; 0 without the topology app.",
      () => topology()?.links().length ?? 0,
    );
    value(
      "sluice_controller_hosts",
      "Hosts that were seen; 0 without the topology app.",
      () => topology()?.hosts().length ?? 0,
    );
    total("sluice_controller_events_total", "Events written down.", () => log.last);
    value("sluice_controller_event_readers", "WebSockets that read events.", () => stream().readers);
    total(
      "sluice_controller_event_gaps_total",
      "Times that a reader was too slow and missed events.",
      () => stream().gaps,
    );
    total(
      "sluice_controller_event_readers_refused_total",
      "WebSockets refused: too many.",
      () => stream().refused,
    );

    if (copies !== undefined) addCopies(copies, registers, total);

    const counted = (name: string, help: string, counts: PerSwitchCount): void => {
      new Counter({
        name,
        help,
        registers,
        labelNames: ["dpid"],
        collect() {
          this.reset();
          for (const [dpid, { count }] of counts.byId) this.inc({ dpid }, count);
        },
      });
    };
    counted(
      "sluice_controller_packet_ins_total",
      "Packets that switches sent to the controller.",
      counts.packetIns,
    );
    counted(
      "sluice_controller_flows_removed_total",
      "Flows that switches said are gone.",
      counts.flowsRemoved,
    );
    new Counter({
      name: "sluice_controller_errors_total",
      help: "Errors that switches sent for messages that nobody waited for.",
      registers,
      labelNames: ["dpid", "type"],
      collect() {
        this.reset();
        for (const [type, { byId }] of counts.errors)
          for (const [dpid, { count }] of byId) this.inc({ dpid, type }, count);
      },
    });
    new Counter({
      name: "sluice_controller_app_failures_total",
      help: "Handlers of an app that threw or rejected.",
      registers,
      labelNames: ["app"],
      collect() {
        this.reset();
        for (const [app, count] of failures ?? []) this.inc({ app }, count);
      },
    });

    this.#requests = new Histogram({
      name: "sluice_controller_http_request_duration_seconds",
      help: "From a REST request to its answer; a write is answered when the switch has confirmed it.",
      registers,
      labelNames: ["method", "route", "status"],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    });
  }

  /** A request to the route of this pattern was answered. */
  answered(method: string, route: string, status: number, seconds: number): void {
    this.#requests.observe({ method, route, status: String(status) }, seconds);
  }

  async text(): Promise<string> {
    const text = await this.#registry.metrics();
    if (this.#timings === undefined) return text;
    const { requests, packetIns } = this.#timings;
    return `${text}\n${histogram(
      "sluice_controller_openflow_request_duration_seconds",
      "From a request to a switch to its outcome, by the kind of message; one without a reply waits for a barrier.",
      "kind",
      requests,
    )}${histogram(
      "sluice_controller_packet_in_duration_seconds",
      "What an app takes for a packet-in, until its answer is there.",
      "app",
      packetIns,
    )}`;
  }
}

const escaped = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));

/** A histogram that is counted elsewhere, in the text format. */
function histogram(name: string, help: string, label: string, all: ReadonlyMap<string, Durations>): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const [value, { counts, sumSeconds }] of all) {
    const own = `${label}="${escaped(value)}"`;
    let sum = 0;
    counts.forEach((count, i) => {
      sum += count;
      lines.push(`${name}_bucket{${own},le="${BOUNDS[i] ?? "+Inf"}"} ${sum}`);
    });
    lines.push(`${name}_sum{${own}} ${sumSeconds}`, `${name}_count{${own}} ${sum}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The copies of tables that the controller keeps, and how they were found when they were checked. */
function addCopies(
  copies: TableCopies,
  registers: Registry[],
  total: (name: string, help: string, read: () => number) => void,
): void {
  new Gauge({
    name: "sluice_controller_copy_flows",
    help: "Flows in the controller's copy of a switch's tables, as far as it has been needed.",
    registers,
    labelNames: ["dpid"],
    collect() {
      this.reset();
      for (const [dp, { copy }] of copies.all) this.set({ dpid: dp.id }, copy.flowCount);
    },
  });
  new Counter({
    name: "sluice_controller_copy_differences_total",
    help: "Flows (and groups, and meters) of a switch that the copy lacked, had too many or had otherwise when it was checked.",
    registers,
    labelNames: ["kind"],
    collect() {
      this.reset();
      const { missing, surplus, changed, groups, meters } = copies.counters;
      for (const [kind, count] of Object.entries({ missing, surplus, changed, groups, meters }))
        this.inc({ kind }, count);
    },
  });
  total(
    "sluice_controller_copy_checks_total",
    "Times that a switch listed its tables for the copy.",
    () => copies.counters.checks,
  );
  total(
    "sluice_controller_copy_check_failures_total",
    "Times that it should have and did not.",
    () => copies.failures,
  );
  total(
    "sluice_controller_copy_lost_total",
    "Times that more was sent to a switch than its copy follows, so that it began anew.",
    () => copies.counters.lost,
  );
}

/** The numbers of flows, as switches last told them. */
class FlowCounts {
  readonly #clock: Clock;
  readonly #counts = new Map<bigint, number>();
  #askedAt = -Infinity;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(dpid: bigint): number | undefined {
    return this.#counts.get(dpid);
  }

  async ask(switches: Switches): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#askedAt >= FLOWS_FRESH_MS) {
      this.#askedAt = now;
      for (const dpid of this.#counts.keys()) if (!switches.has(dpid)) this.#counts.delete(dpid);
      this.#asking = Promise.all([...switches.values()].map((dp) => this.#askOne(dp)));
    }
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, FLOWS_WAIT_MS);
      void this.#asking.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  async #askOne(dp: Switch): Promise<void> {
    const all = { table_id: OFPTT.ALL, out_port: OFPP.ANY, out_group: OFPG.ANY };
    try {
      const { flow_count } = await multipart(dp, { type: "OFPMP_AGGREGATE", ...all });
      this.#counts.set(dp.dpid, flow_count);
    } catch {
      // It did not answer: its last number would be a guess.
      this.#counts.delete(dp.dpid);
    }
  }
}
