import type { TableCopies } from "../copy/index.js";
import { type NetworkRoutesOptions, networkRoutes } from "./network-routes.js";
import { entryRoutes } from "./ofctl/entries.js";
import { statsRoutes } from "./ofctl/stats.js";
import type { Route } from "./route.js";
import { topologyRoutes } from "./topology-routes.js";
import { traceRoutes } from "./trace-routes.js";

/** The routes that are there whatever the apps, save those of a topology, where it is known. */
export function ownRoutes(
  options: NetworkRoutesOptions & { readonly copies: TableCopies | undefined },
): Route[] {
  const { switches, topology, copies } = options;
  const model = topology();
  return [
    ...statsRoutes(switches),
    ...entryRoutes(switches),
    ...(model === undefined ? [] : topologyRoutes(model)),
    ...networkRoutes(options),
    ...traceRoutes(switches, topology, copies),
  ];
}
