import type { Switch } from "../../framework/app.js";
import type { Body } from "../../rest/ofctl/read.js";
import { meterEntry } from "../../rest/ofctl/schemas.js";
import type { JsonSchema, Route } from "../../rest/route.js";
import { ruleMatch } from "../rest/schemas.js";
import { readVlan, type SwitchSet } from "../rest/switch-set.js";
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
const answer: JsonSchema = { type: "array", items: { type: "object" } };

type Work = (state: Qos, dp: Switch, request: { body: Body; vlan: number | "all" }) => unknown;

/** The routes of Ryu's rest_qos. */
export function qosRoutes(switches: SwitchSet<Qos>, queues: Queues): Route[] {
  const row = (
    method: Route["method"],
    path: string,
    summary: string,
    work: Work,
    body?: JsonSchema,
  ): Route => ({
    method,
    path: `/qos/${path}`,
    tag: "qos",
    summary,
    answer,
    ...(body !== undefined && { body }),
    handle: ({ params, body }) => {
      const request = { body: (body ?? {}) as Body, vlan: readVlan(params.vlan_id, "vlan_id") };
      return switches.each(params.switch_id, async (dp, state) => ({
        switch_id: dp.id,
        command_result: await work(state, dp, request),
      }));
    },
  });
  const rules = (path: string, of: string): Route[] => [
    row("GET", path, `Rules${of}`, (state, dp, { vlan }) => state.list(dp, vlan)),
    row("POST", path, `Adds a rule${of}`, (state, dp, { body, vlan }) => state.add(dp, body, vlan), ruleBody),
    row(
      "DELETE",
      path,
      `Deletes rules${of}`,
      (state, dp, { body, vlan }) => state.remove(dp, body, vlan),
      deletion,
    ),
  ];
  return [
    row("GET", "queue/status/{switch_id}", "Counters of queues", (state, dp) => state.queueStatus(dp)),
    row("GET", "queue/{switch_id}", "Queues that were set", (_, dp) => queues.list(dp)),
    row(
      "POST",
      "queue/{switch_id}",
      "Sets queues, in place of others",
      (_, dp, { body }) => queues.set(dp, body),
      queueBody,
    ),
    row("DELETE", "queue/{switch_id}", "Takes queues away", (_, dp) => queues.clear(dp)),
    ...rules("rules/{switch_id}", ""),
    ...rules("rules/{switch_id}/{vlan_id}", " of a VLAN, or of all"),
    row("GET", "meter/{switch_id}", "Counters of meters", (state, dp) => state.meters(dp)),
    row(
      "POST",
      "meter/{switch_id}",
      "Adds a meter",
      (state, dp, { body }) => state.addMeter(dp, body),
      meterBody,
    ),
    row(
      "DELETE",
      "meter/{switch_id}",
      "Deletes a meter",
      (state, dp, { body }) => state.removeMeter(dp, body),
      object({ meter_id: number }, "meter_id"),
    ),
  ];
}
