import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, type Log, realClock } from "@sluice/runtime";
import type { EventEmitter } from "eventemitter3";
import type { MonitorApp } from "../apps/monitor/index.js";
import type { Topology, TopologyApp } from "../apps/topology/index.js";
import type { TableCopies } from "../copy/index.js";
import type { App } from "../framework/app.js";
import type { ControllerEvents } from "../framework/dispatch.js";
import type { Role } from "../framework/roles.js";
import type { Timings } from "../framework/timings.js";
import type { Handler } from "./api.js";
import { EventCounts } from "./event-counts.js";
import { EventLog } from "./events/event-log.js";
import { recordFlows } from "./events/flow-source.js";
import { recordGroups } from "./events/group-source.js";
import { recordPortRates } from "./events/rate-source.js";
import { recordEvents, recordPacketIns } from "./events/sources.js";
import type { EventStream } from "./events/stream.js";
import { checkRequest, checkToken, type GuardOptions } from "./guard.js";
import { formatJson } from "./json.js";
import type { Metrics } from "./metrics.js";
import { Problem, problemOf } from "./problem.js";
import { checkRoute, type Route, routesOf, type Switches } from "./route.js";

/** PEM files. With a `ca_cert`, clients must show a certificate of it. */
export interface RestTls {
  readonly private_key: string;
  readonly certificate: string;
  readonly ca_cert?: string | undefined;
}

export interface RestOptions extends GuardOptions {
  readonly switches: Switches;
  readonly log: Log;
  /** The events of the controller, for the stream and the metrics. */
  readonly watchers?: EventEmitter<ControllerEvents> | undefined;
  /** Those with routes of their own have them served; the topology app's is shown by `/v1.0/topology`. */
  readonly apps?: readonly App[] | undefined;
  readonly tls?: RestTls | undefined;
  /** Of the switches' tables, for traces; without them each trace asks the switches for all. */
  readonly copies?: TableCopies | undefined;
  readonly clock?: Clock | undefined;
  /** How long requests and apps take, for the metrics. */
  readonly timings?: Timings | undefined;
  /** Handlers that failed, by app. */
  readonly failures?: ReadonlyMap<string, number> | undefined;
  /** What the controller means to be to its switches. */
  readonly role?: (() => Role) | undefined;
  readonly version?: string | undefined;
}

const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 30_000;
const NO_READERS = { readers: 0, gaps: 0, refused: 0 };

/** The REST interface on its address. It listens at once; what answers is loaded with the first request, so that nobody
 *  waits for it who does not ask. */
export class RestServer {
  readonly #server: Server;
  readonly #options: RestOptions;
  readonly #clock: Clock;
  readonly #log: EventLog;
  readonly #counts: EventCounts;
  #metrics: Promise<Metrics> | undefined;
  #stream: Promise<EventStream> | undefined;
  #streamCounters = NO_READERS;
  /** Of the apps that run now. */
  #appRoutes: readonly Route[] = [];
  #apps: readonly App[] = [];
  #topology: Topology | undefined;
  /** What answers with these routes. */
  #handler: Handler | undefined;
  #building: Promise<Handler> | undefined;
  #wasAsked = false;
  #isClosed = false;
  #endRecording = (): void => {};

  constructor(options: RestOptions) {
    const { watchers, apps = [], clock = realClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = new EventLog({ clock });
    this.#counts = new EventCounts(watchers);
    this.#server = httpServer(this.#onRequest, options.tls);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
    this.setApps(apps);
  }

  /** Goes on with another list of apps, and with their routes. */
  setApps(apps: readonly App[]): void {
    const { watchers } = this.#options;
    this.#apps = apps;
    this.#topology = apps.map(topologyOf).find((topology) => topology !== undefined);
    this.#appRoutes = apps.flatMap((app) => this.#routesOf(app));
    this.#endRecording();
    if (watchers !== undefined) this.#endRecording = recordEvents(watchers, this.#topology, this.#log);
    this.#handler = undefined;
    this.#building = undefined;
    // What is wrong with the new routes is told now; before the first request nobody waits for that either.
    if (this.#wasAsked) void this.#build();
  }

  /** Routes that are none are told of, and left out. */
  #routesOf(app: App): Route[] {
    return routesOf(app).filter((route) => {
      const wrong = checkRoute(route);
      if (wrong !== undefined) this.#options.log.err(`app ${app.name}: a route is not served: ${wrong}`);
      return wrong === undefined;
    });
  }

  /** Of routes for the same requests the first is served. */
  #unique(routes: readonly Route[]): Route[] {
    const served = new Map<string, Route>();
    for (const route of routes) {
      const key = `${route.method} ${route.path.replace(/\{\w+\}/g, "{}")}`;
      if (!served.has(key)) served.set(key, route);
      else this.#options.log.err(`a route is not served, since it is taken: ${route.method} ${route.path}`);
    }
    return [...served.values()];
  }

  /** What answers now; the same as long as the apps are. */
  #build(): Promise<Handler> {
    this.#wasAsked = true;
    if (this.#building !== undefined) return this.#building;
    const building = this.#create().then((handler) => {
      if (this.#building === building) this.#handler = handler;
      return handler;
    });
    this.#building = building;
    return building;
  }

  async #create(): Promise<Handler> {
    const [{ createApi }, { ownRoutes }, metrics] = await Promise.all([
      import("./api.js"),
      import("./routes.js"),
      this.#useMetrics(),
    ]);
    const { token, hosts, log, switches, copies, role, version } = this.#options;
    const own = ownRoutes({
      ...{ switches, copies, role, version, log: this.#log },
      ...{ topology: () => this.#topology, apps: () => this.#apps },
    });
    const create = (routes: readonly Route[]): Promise<Handler> =>
      createApi({
        ...{ token, hosts, log, routes },
        metrics: {
          contentType: metrics.contentType,
          text: async () => (await metrics.text()) + this.#apps.map(metricsOf).join(""),
        },
        answered: (...args) => metrics.answered(...args),
      });
    try {
      return await create(this.#unique([...own, ...this.#appRoutes]));
    } catch (error) {
      log.err(`routes of apps are not served: ${(error as Error).message.split("\n")[0]}`);
      return create(own);
    }
  }

  #useMetrics(): Promise<Metrics> {
    const { switches, copies, timings, failures } = this.#options;
    this.#metrics ??= import("./metrics.js").then(
      ({ Metrics }) =>
        new Metrics({
          ...{ switches, copies, timings, failures, counts: this.#counts, clock: this.#clock },
          ...{ topology: () => this.#topology, log: this.#log, stream: () => this.#streamCounters },
        }),
    );
    return this.#metrics;
  }

  #useStream(): Promise<EventStream> {
    const { watchers, switches, copies } = this.#options;
    const [log, clock] = [this.#log, this.#clock];
    this.#stream ??= import("./events/stream.js").then(({ EventStream }) => {
      const stream = new EventStream({
        ...{ log, clock },
        onDemand:
          watchers === undefined
            ? {}
            : {
                flow: () => recordFlows({ switches, watchers, copies, clock, log }),
                group: () => recordGroups({ switches, watchers, clock, log }),
                packet: () => recordPacketIns(watchers, log),
                rates: () =>
                  recordPortRates(() => this.#apps.map(monitorOf).find((one) => !!one), clock, log),
              },
      });
      this.#streamCounters = stream.counters;
      return stream;
    });
    return this.#stream;
  }

  readonly #onRequest: Handler = (request, response) => {
    if (this.#handler !== undefined) this.#handler(request, response);
    else
      this.#build().then(
        (handler) => handler(request, response),
        (error: Error) => {
          this.#options.log.err(`REST: ${error.stack ?? error.message}`);
          refuse(response);
        },
      );
  };

  /** Where it listens: "127.0.0.1:8080". Rejects where it cannot. */
  async listen(port: number, host: string): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    this.#server.on("error", (error) => this.#options.log.err(`REST: ${error.message}`));
    const { address, family, port: bound } = this.#server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${bound}` : `${address}:${bound}`;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endRecording();
    this.#counts.stop();
    (await this.#stream)?.close();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const fail = (error: unknown): void => {
      const { status, body } = problemOf(error) ?? new Problem(500, "internal error");
      const text = formatJson(body);
      const type = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}`;
      socket.end(`HTTP/1.1 ${status} refused\r\nconnection: close\r\n${type}\r\n\r\n${text}`);
    };
    try {
      checkRequest(request, this.#options);
      checkToken(request, this.#options);
    } catch (error) {
      fail(error);
      return;
    }
    this.#useStream()
      .then((stream) => {
        if (this.#isClosed) socket.destroy();
        else stream.upgrade(request, socket, head);
      })
      .catch(fail);
  }
}

/** Of the topology app. */
const topologyOf = (app: App): Topology | undefined =>
  "topology" in app ? (app as TopologyApp).topology : undefined;
const monitorOf = (app: App): MonitorApp["monitor"] | undefined =>
  "monitor" in app ? (app as MonitorApp).monitor : undefined;

/** What an app with a member `metrics` adds to `/metrics`, in Prometheus' text format. */
const metricsOf = (app: App): string =>
  "metrics" in app && typeof app.metrics === "function" ? String(app.metrics()) : "";

function refuse(response: ServerResponse): void {
  const { status, body } = new Problem(500, "internal error");
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(formatJson(body));
}

function httpServer(handler: Handler, tls: RestTls | undefined): Server {
  const options = { requestTimeout: REQUEST_TIMEOUT_MS };
  if (tls === undefined) return createServer(options, handler);
  const ca = tls.ca_cert === undefined ? {} : { ca: readFileSync(tls.ca_cert), requestCert: true };
  const [key, cert] = [readFileSync(tls.private_key), readFileSync(tls.certificate)];
  return createTlsServer({ ...options, key, cert, ...ca, minVersion: "TLSv1.2" }, handler);
}
