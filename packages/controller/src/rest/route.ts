import type { App, Switch } from "../framework/app.js";
import { Problem } from "./problem.js";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface RouteRequest {
  /** Of the path; a parameter that the route has not is undefined. */
  readonly params: Readonly<Record<string, string>>;
  /** Behind `?`. */
  readonly query: Readonly<Record<string, string | undefined>>;
  /** Undefined where there is none. */
  readonly body: unknown;
}

/** One row of the interface: what is served, its document and its checks. `{name}` in the path is a parameter. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  /** Parameters behind `?`, and what they mean. */
  readonly query?: Readonly<Record<string, string>>;
  /** Of the request's body. */
  readonly body?: JsonSchema;
  /** Of the answer's; none where it has no body. */
  readonly answer?: JsonSchema;
  /** Of success; 200 unless given. */
  readonly status?: number;
  /** Throws a Problem, or rejects with what a switch's `request` rejects with. */
  readonly handle: (request: RouteRequest) => unknown;
}

/** An app that has routes of its own. */
export interface RestApp extends App {
  readonly routes: readonly Route[];
}

const isRestApp = (app: App): app is RestApp => "routes" in app;
export const routesOf = (app: App): readonly Route[] => (isRestApp(app) ? app.routes : []);

const METHODS: ReadonlySet<unknown> = new Set(["GET", "POST", "PUT", "DELETE"]);

/** What is wrong with a route of an app, which TypeScript may not have seen; undefined when nothing is. */
export function checkRoute(route: Partial<Route> | undefined): string | undefined {
  const { method, path, handle } = route ?? {};
  if (typeof path !== "string" || !/^\/\S*$/.test(path))
    return `its path is ${JSON.stringify(path)}, not "/…"`;
  if (!METHODS.has(method))
    return `${path}: its method is ${JSON.stringify(method)}, not one of ${[...METHODS].join(", ")}`;
  if (typeof handle !== "function") return `${method} ${path}: handle is no function`;
  return undefined;
}

/** The switches that are up. */
export type Switches = ReadonlyMap<bigint, Switch>;

/** The switch of a dpid that a client named. Throws a Problem: 404 when it is not connected. */
export function switchOf(switches: Switches, dpid: bigint): Switch {
  const dp = switches.get(dpid);
  if (dp === undefined) throw new Problem(404, `no switch with dpid ${dpid} is connected`, { field: "dpid" });
  return dp;
}
