import { meterEntry } from "../../rest/ofctl/schemas.js";
import type { JsonSchema, Route } from "../../rest/route.js";
import { ruleRoutes, rulesRows } from "../rest/rule-routes.js";
import { ruleMatch } from "../rest/schemas.js";
import type { SwitchSet } from "../rest/switch-set.js";
import type { Qos } from "./qos.js";
import type { Queues } from "./queues.js";

const number: JsonSchema = { type: ["integer", "string"] };
const object = (properties: Readonly<Record<string, JsonSchema>>, ...required: string[]): JsonSchema => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required }),
});
const queueBody = object({
  port_name: { type: "string", description: "All ports unless given." },
  type: { type: "string", description: "linux-htb unless given." },
  max_rate: number,
  queues: { type: "array", items: object({ max_rate: number, min_rate: number }) },
});
const ruleBody = object(
  {
    priority: { type: ["integer", "string"], description: "1 to 65534; 1 unless given." },
    match: object(ruleMatch),
    actions: object({ mark: number, meter: number, queue: number }),
  },
  "match",
);
const deletion = object(
  { qos_id: { type: ["integer", "string"], description: 'Its number, or "all".' } },
  "qos_id",
);
const { properties: { dpid: _, ...meter } = {} } = meterEntry as { properties?: Record<string, JsonSchema> };
const meterBody = object(meter, "meter_id");

/** The routes of Ryu's rest_qos. */
export const qosRoutes = (switches: SwitchSet<Qos>, queues: Queues): Route[] =>
  ruleRoutes("qos", switches, [
    {
      ...{ method: "GET", path: "queue/status/{switch_id}", summary: "Counters of queues" },
      work: (state, dp) => state.queueStatus(dp),
    },
    {
      ...{ method: "GET", path: "queue/{switch_id}", summary: "Queues that were set" },
      work: (_, dp) => queues.list(dp),
    },
    {
      ...{
        method: "POST",
        path: "queue/{switch_id}",
        summary: "Sets queues, in place of others",
        body: queueBody,
      },
      work: (_, dp, { body }) => queues.set(dp, body),
    },
    {
      ...{ method: "DELETE", path: "queue/{switch_id}", summary: "Takes queues away" },
      work: (_, dp) => queues.clear(dp),
    },
    ...rulesRows<Qos>({ rule: ruleBody, deletion }),
    {
      ...{ method: "GET", path: "meter/{switch_id}", summary: "Counters of meters" },
      work: (state, dp) => state.meters(dp),
    },
    {
      ...{ method: "POST", path: "meter/{switch_id}", summary: "Adds a meter", body: meterBody },
      work: (state, dp, { body }) => state.addMeter(dp, body),
    },
    {
      ...{ method: "DELETE", path: "meter/{switch_id}", summary: "Deletes a meter" },
      body: object({ meter_id: number }, "meter_id"),
      work: (state, dp, { body }) => state.removeMeter(dp, body),
    },
  ]);
