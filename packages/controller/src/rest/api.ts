import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "@sluice/runtime";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import { ALL_TYPES, EVENT_TYPES } from "./events/event-log.js";
import { checkRequest, checkToken, type GuardOptions } from "./guard.js";
import { formatJson, parseJson, parsePythonLiteral } from "./json.js";
import { type Described, openApi } from "./openapi.js";
import { page } from "./page.js";
import { badField, Problem, schemaProblem, switchProblem } from "./problem.js";
import type { Route } from "./route.js";

export interface ApiOptions extends GuardOptions {
  readonly routes: readonly Route[];
  readonly log: Log;
  /** `/metrics`: what it is, and its text. */
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** A request to the route of this pattern was answered. */
  answered(method: string, route: string, status: number, seconds: number): void;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const BODY_LIMIT = 2 ** 20;
/** What may be had without the token: it says nothing of the network. */
const PUBLIC: ReadonlySet<string> = new Set(["/openapi.json", "/docs"]);

/** What answers requests by a list of routes, and the document of these. Other routes need another one. Rejects where a
 *  route cannot be served, as for a schema that is none. */
export async function createApi(options: ApiOptions): Promise<Handler> {
  const app = createApp(options);
  for (const route of options.routes) addRoute(app, route);
  addDocument(app, options.routes);
  app.get("/metrics", async (_request, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.text()),
  );
  await app.ready();
  return (request, response) => app.routing(request, response);
}

function createApp(options: ApiOptions): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    // An address that cannot be read, which comes before everything else.
    frameworkErrors: (error, _request, reply) =>
      answerProblem(reply as FastifyReply, new Problem(error.statusCode ?? 400, error.message)),
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
  app.setSerializerCompiler(() => formatJson);
  app.setReplySerializer((answer) => (typeof answer === "string" ? answer : formatJson(answer)));
  app.addHook("onRequest", async (request) => {
    checkRequest(request.raw, options);
    if (!PUBLIC.has(request.routeOptions.url ?? "")) checkToken(request.raw, options);
  });
  app.addHook("onResponse", async (request, reply) =>
    options.answered(
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
      types: `With commas between: ${ALL_TYPES.map((type) => `${type} (${EVENT_TYPES[type]})`).join("; ")}; or what they begin with, as flow. All but packet_in and port_rates unless given.`,
      dpid: "Only what is about these switches; with commas between.",
      since:
        "Begins behind this seq, with what happened since; a message of type gap tells of which types events are missing, and up to which number (from, to).",
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
