import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, type Log, realClock } from "@sluice/runtime";
import type { EventEmitter } from "eventemitter3";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import type { Topology, TopologyApp } from "../apps/topology/index.js";
import type { TableCopies } from "../copy/index.js";
import type { App } from "../framework/app.js";
import type { ControllerEvents } from "../framework/dispatch.js";
import { EVENT_TYPES, EventLog } from "./events/event-log.js";
import { recordEvents, recordPacketIns } from "./events/sources.js";
import { EventStream } from "./events/stream.js";
import { checkRequest, checkToken, type GuardOptions } from "./guard.js";
import { formatJson, parseJson, parsePythonLiteral } from "./json.js";
import { Metrics } from "./metrics.js";
import { entryRoutes } from "./ofctl/entries.js";
import { statsRoutes } from "./ofctl/stats.js";
import { type Described, openApi } from "./openapi.js";
import { page } from "./page.js";
import { badField, Problem, problemOf, schemaProblem, switchProblem } from "./problem.js";
import { type Route, routesOf, type Switches } from "./route.js";
import { topologyRoutes } from "./topology-routes.js";
import { traceRoutes } from "./trace-routes.js";

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
}

const BODY_LIMIT = 2 ** 20;
const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 30_000;
/** What may be had without the token: it says nothing of the network. */
const PUBLIC: ReadonlySet<string> = new Set(["/openapi.json", "/docs"]);

/** The REST interface on its address. */
export class RestServer {
  readonly #app: FastifyInstance;
  readonly #options: RestOptions;
  readonly #log: EventLog;
  readonly #stream: EventStream;
  /** Of the apps that run now, by method and path. */
  readonly #appRoutes = new Map<string, Route>();
  #topology: Topology | undefined;
  #apps: readonly App[] = [];
  #endRecording = (): void => {};

  constructor(options: RestOptions) {
    const { switches, watchers, apps = [], copies, clock = realClock } = options;
    this.#options = options;
    const log = new EventLog({ clock });
    this.#log = log;
    this.#stream = new EventStream({
      log,
      clock,
      recordPacketIns: () => (watchers === undefined ? () => {} : recordPacketIns(watchers, log)),
    });
    const topology = (): Topology | undefined => this.#topology;
    const metrics = new Metrics({
      ...{ switches, watchers, topology, log, stream: this.#stream.counters, copies, clock },
    });
    this.setApps(apps);
    const routes = [
      ...statsRoutes(switches),
      ...entryRoutes(switches, log),
      ...traceRoutes(switches, topology, copies),
      ...[...this.#appRoutes].map(([key, route]) => ({ ...route, handle: this.#handlerOf(key) })),
    ];
    this.#app = createApp(options, metrics);
    for (const route of routes) addRoute(this.#app, route);
    addDocument(this.#app, routes);
    this.#app.get("/metrics", async (_request, reply) =>
      reply.type(metrics.contentType).send((await metrics.text()) + this.#apps.map(metricsOf).join("")),
    );
    this.#app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head, options),
    );
  }

  /** Goes on with another list of apps. Routes that no app had before are served from the next start on. */
  setApps(apps: readonly App[]): void {
    const { watchers } = this.#options;
    this.#apps = apps;
    this.#topology = apps.map(topologyOf).find((topology) => topology !== undefined);
    const routes = [
      ...(this.#topology === undefined ? [] : topologyRoutes(this.#topology)),
      ...apps.flatMap(routesOf),
    ];
    this.#appRoutes.clear();
    for (const route of routes) this.#appRoutes.set(`${route.method} ${route.path}`, route);
    this.#endRecording();
    if (watchers !== undefined) this.#endRecording = recordEvents(watchers, this.#topology, this.#log);
  }

  #handlerOf(key: string): Route["handle"] {
    return (request) => {
      const route = this.#appRoutes.get(key);
      if (route === undefined) throw new Problem(404, "the app of this route does not run any more");
      return route.handle(request);
    };
  }

  /** Where it listens: "127.0.0.1:8080". Rejects where it cannot. */
  async listen(port: number, host: string): Promise<string> {
    await this.#app.listen({ port, host });
    const { address, family, port: bound } = this.#app.server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${bound}` : `${address}:${bound}`;
  }

  async close(): Promise<void> {
    this.#endRecording();
    this.#stream.close();
    await this.#app.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: RestOptions): void {
    socket.on("error", () => socket.destroy());
    try {
      checkRequest(request, options);
      checkToken(request, options);
      this.#stream.upgrade(request, socket, head);
    } catch (error) {
      const { status, body } = problemOf(error) ?? new Problem(500, "internal error");
      const text = formatJson(body);
      const type = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}`;
      socket.end(`HTTP/1.1 ${status} refused\r\nconnection: close\r\n${type}\r\n\r\n${text}`);
    }
  }
}

/** Of the topology app. */
const topologyOf = (app: App): Topology | undefined =>
  "topology" in app ? (app as TopologyApp).topology : undefined;

/** What an app with a member `metrics` adds to `/metrics`, in Prometheus' text format. */
const metricsOf = (app: App): string =>
  "metrics" in app && typeof app.metrics === "function" ? String(app.metrics()) : "";

type Handler = Parameters<typeof createServer>[1];

function httpServer(handler: Handler, tls: RestTls | undefined): Server {
  const options = { requestTimeout: REQUEST_TIMEOUT_MS };
  if (tls === undefined) return createServer(options, handler);
  const ca = tls.ca_cert === undefined ? {} : { ca: readFileSync(tls.ca_cert), requestCert: true };
  const [key, cert] = [readFileSync(tls.private_key), readFileSync(tls.certificate)];
  return createTlsServer({ ...options, key, cert, ...ca, minVersion: "TLSv1.2" }, handler);
}

function createApp(options: RestOptions, metrics: Metrics): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: true,
    serverFactory: (handler) => httpServer(handler, options.tls),
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allowUnionTypes: true,
      },
    },
    schemaErrorFormatter: schemaProblem,
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.setSerializerCompiler(() => formatJson);
  app.setReplySerializer((answer) => (typeof answer === "string" ? answer : formatJson(answer)));
  app.addHook("onRequest", async (request) => {
    checkRequest(request.raw, options);
    if (!PUBLIC.has(request.routeOptions.url ?? "")) checkToken(request.raw, options);
  });
  app.addHook("onResponse", async (request, reply) =>
    metrics.answered(
      request.method,
      request.routeOptions.url ?? "none",
      reply.statusCode,
      reply.elapsedTime / 1000,
    ),
  );
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, async (_request: unknown, text: string | Buffer) => {
    return text.length === 0 ? undefined : readBody(String(text));
  });
  // No body is an empty one, as Ryu has it.
  app.addHook("preValidation", async (request) => {
    if (request.method !== "GET") request.body ??= {};
  });
  app.setNotFoundHandler((request, reply) =>
    answerProblem(reply, new Problem(404, `there is no ${request.method} ${request.url.slice(0, 200)}`)),
  );
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (error instanceof Problem) return answerProblem(reply, error);
    if (status >= 500) options.log.err(`REST: ${error.stack ?? error.message}`);
    return answerProblem(reply, new Problem(status, status < 500 ? error.message : "internal error"));
  });
  return app;
}

function readBody(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    try {
      return parsePythonLiteral(text);
    } catch {
      throw badField("body", `is not JSON: ${(error as Error).message}`);
    }
  }
}

const JSON_TYPE = "application/json; charset=utf-8";

const answerProblem = (reply: FastifyReply, problem: Problem): FastifyReply => {
  if (problem.status === 401) reply.header("www-authenticate", "Bearer");
  return reply.code(problem.status).type(JSON_TYPE).send(problem.body);
};

/** A route of ours as one of fastify's. */
function addRoute(app: FastifyInstance, { method, path, body, status = 200, handle }: Route): void {
  app.route<{ Params: Record<string, string>; Querystring: Record<string, string> }>({
    method,
    url: path.replace(/\{(\w+)\}/g, ":$1"),
    ...(body !== undefined && { schema: { body } }),
    handler: async (request, reply) => {
      try {
        const answer = await handle({
          params: request.params,
          query: request.query,
          body: request.body,
        });
        reply.code(status);
        if (answer === undefined) return reply.send();
        return reply.type(JSON_TYPE).send(formatJson(answer));
      } catch (error) {
        throw switchProblem(error);
      }
    },
  });
}

/** What is served in another way than a route. */
const OTHERS: readonly Described[] = [
  {
    method: "GET",
    path: "/v1/events",
    tag: "events",
    summary: "A WebSocket: what happens, as one JSON object a message, numbered by seq",
    query: {
      types: `With commas between: ${Object.entries(EVENT_TYPES)
        .map(([type, what]) => `${type} (${what})`)
        .join("; ")}. All but packet_in unless given.`,
      since:
        "Begins behind this seq, with what happened since; a message of type gap tells what is too old to be had.",
      stream:
        "The stream of the hello message that the seq is of; after a restart of the controller it is another.",
    },
    status: 101,
  },
  {
    method: "GET",
    path: "/v1.0/topology/ws",
    tag: "topology",
    summary:
      "A WebSocket: changes of the topology, as JSON-RPC 2.0 calls event_switch_enter, event_link_add, …",
    status: 101,
  },
  { method: "GET", path: "/metrics", tag: "metrics", summary: "For Prometheus", answerType: "text/plain" },
  {
    method: "GET",
    path: "/openapi.json",
    tag: "document",
    summary: "This document",
    answer: { type: "object" },
  },
  { method: "GET", path: "/docs", tag: "document", summary: "It as a page", answerType: "text/html" },
];

/** The document of the routes, and the page made of it. */
function addDocument(app: FastifyInstance, routes: readonly Route[]): void {
  const document = openApi([...routes, ...OTHERS]);
  const [json, html] = [formatJson(document), page(document)];
  app.get("/openapi.json", (_request, reply) => reply.type(JSON_TYPE).send(json));
  app.get("/docs", (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      )
      .send(html),
  );
  app.get("/", (_request, reply) => reply.redirect("/docs"));
}
