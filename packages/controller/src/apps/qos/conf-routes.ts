import { badField } from "../../rest/problem.js";
import type { JsonSchema, Route, RouteRequest } from "../../rest/route.js";
import { readDpid } from "../rest/switch-set.js";
import type { ConfStore } from "./conf-store.js";
import { OVSDB_ADDR, type Queues } from "./queues.js";

const PATH = "/v1.0/conf/switches";
/** Whatever JSON has: what it means is the caller's affair. */
const anything: JsonSchema = {};
const texts: JsonSchema = { type: "array", items: { type: "string" } };

const MAX_KEY = 64;
const MAX_VALUE = 4096;

function keyOf({ params: { key = "" } }: RouteRequest): string {
  if (key.length > MAX_KEY) throw badField("key", `has more than ${MAX_KEY} characters`);
  return key;
}

/** The routes of Ryu's rest_conf_switch. */
export function confRoutes(conf: ConfStore, queues: Queues): Route[] {
  const dpidOf = ({ params }: RouteRequest): bigint => readDpid(params.dpid, "dpid");
  const row = (method: Route["method"], path: string, summary: string, handle: Route["handle"]) => ({
    method,
    path: PATH + path,
    tag: "conf",
    summary,
    handle,
  });
  return [
    { ...row("GET", "", "Switches that something is kept for", () => conf.dpids), answer: texts },
    {
      ...row("GET", "/{dpid}", "The names of what is kept for a switch", (request) =>
        conf.keys(dpidOf(request)),
      ),
      answer: texts,
    },
    {
      ...row("DELETE", "/{dpid}", "Forgets all that is kept for a switch", (request) =>
        conf.deleteSwitch(dpidOf(request)),
      ),
      status: 202,
    },
    {
      ...row("GET", "/{dpid}/{key}", "What is kept for a switch", (request) =>
        conf.get(dpidOf(request), keyOf(request)),
      ),
      answer: anything,
    },
    {
      ...row(
        "PUT",
        "/{dpid}/{key}",
        `Keeps something; of ${OVSDB_ADDR}, the address of its database`,
        async (request) => {
          const [dpid, key] = [dpidOf(request), keyOf(request)];
          if (JSON.stringify(request.body).length > MAX_VALUE)
            throw badField("body", `has more than ${MAX_VALUE} characters`);
          if (key === OVSDB_ADDR) await queues.check(dpid, request.body);
          conf.set(dpid, key, request.body);
        },
      ),
      body: anything,
      status: 201,
    },
    row("DELETE", "/{dpid}/{key}", "Forgets it", (request) => conf.delete(dpidOf(request), keyOf(request))),
  ];
}
