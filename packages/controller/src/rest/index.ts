import type { RestOptions, RestServer } from "./server.js";

export { badField, Problem } from "./problem.js";
export type { RestApp, Route, RouteRequest } from "./route.js";
export type { RestOptions, RestServer, RestTls } from "./server.js";

/** Serves the REST interface at `host` (a loopback address, unless others shall reach it) and `port` (0 takes any that
 *  is free). What it needs is loaded only now. Rejects where it cannot listen. */
export async function serveRest(
  options: RestOptions & { readonly host?: string; readonly port: number },
): Promise<{ readonly address: string; readonly server: RestServer }> {
  const { RestServer } = await import("./server.js");
  const server = new RestServer(options);
  try {
    return { server, address: await server.listen(options.port, options.host ?? "127.0.0.1") };
  } catch (error) {
    await server.close();
    throw error;
  }
}
