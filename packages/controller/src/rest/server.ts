import type { AddressInfo } from "node:net";
import type { Log } from "@sluice/runtime";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import type { Topology } from "../apps/topology/index.js";
import { checkRequest, type GuardOptions } from "./guard.js";
import { formatJson, parseJson } from "./json.js";
import { entryRoutes } from "./ofctl/entries.js";
import { statsRoutes } from "./ofctl/stats.js";
import { openApi } from "./openapi.js";
import { badField, Problem, schemaProblem, switchProblem } from "./problem.js";
import type { Route, Switches } from "./route.js";
import { topologyRoutes } from "./topology-routes.js";

export interface RestOptions extends GuardOptions {
  readonly switches: Switches;
  readonly log: Log;
  /** Shown by `/v1.0/topology`. */
  readonly topology?: Topology | undefined;
}

const BODY_LIMIT = 2 ** 20;
const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 30_000;

/** The REST interface on its address. */
export class RestServer {
  readonly #app: FastifyInstance;

  constructor(options: RestOptions) {
    const { switches, topology } = options;
    const routes = [
      ...statsRoutes(switches),
      ...entryRoutes(switches),
      ...(topology === undefined ? [] : topologyRoutes(topology)),
    ];
    this.#app = createApp(options);
    for (const route of routes) addRoute(this.#app, route);
    const document = openApi(routes);
    addRoute(this.#app, {
      method: "GET",
      path: "/openapi.json",
      tag: "document",
      summary: "This document",
      handle: () => document,
    });
  }

  /** Where it listens: "127.0.0.1:8080". Rejects where it cannot. */
  async listen(port: number, host: string): Promise<string> {
    await this.#app.listen({ port, host });
    const { address, family, port: bound } = this.#app.server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${bound}` : `${address}:${bound}`;
  }

  close(): Promise<void> {
    return this.#app.close();
  }
}

function createApp(options: RestOptions): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
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
  app.setReplySerializer(formatJson);
  app.addHook("onRequest", async (request) => checkRequest(request.raw, options));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, async (_request: unknown, text: string | Buffer) => {
    try {
      return text.length === 0 ? undefined : parseJson(String(text));
    } catch (error) {
      throw badField("body", `is not JSON: ${(error as Error).message}`);
    }
  });
  // No body is an empty one, as Ryu has it.
  app.addHook("preValidation", async (request) => {
    if (request.method === "POST") request.body ??= {};
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

const answerProblem = (reply: FastifyReply, problem: Problem): FastifyReply =>
  reply.code(problem.status).type("application/json; charset=utf-8").send(problem.body);

/** A route of ours as one of fastify's. */
function addRoute(app: FastifyInstance, { method, path, body, handle }: Route): void {
  app.route<{ Params: Record<string, string> }>({
    method,
    url: path.replace(/\{(\w+)\}/g, ":$1"),
    ...(body !== undefined && { schema: { body } }),
    handler: async (request, reply) => {
      try {
        const answer = await handle({ params: request.params, body: request.body });
        if (answer === undefined) return reply.send();
        return reply.type("application/json; charset=utf-8").send(answer);
      } catch (error) {
        throw switchProblem(error);
      }
    },
  });
}
