import type { Switch } from "../../framework/app.js";
import type { Body } from "../../rest/ofctl/read.js";
import type { JsonSchema, Route, RouteRequest } from "../../rest/route.js";
import { ruleMatch } from "../rest/schemas.js";
import { readVlan, type SwitchSet } from "../rest/switch-set.js";
import type { Firewall } from "./firewall.js";

const ruleBody: JsonSchema = {
  type: "object",
  properties: {
    ...ruleMatch,
    priority: { type: ["integer", "string"], description: "1 to 65532; 1 unless given." },
    actions: { enum: ["ALLOW", "DENY"] },
  },
};
const deletion: JsonSchema = {
  type: "object",
  properties: { rule_id: { type: ["integer", "string"], description: 'Its number, or "all".' } },
  required: ["rule_id"],
};
const answer: JsonSchema = { type: "array", items: { type: "object" } };

type Work = (state: Firewall, dp: Switch, request: { body: Body; vlan: number | "all" }) => Promise<unknown>;

/** The routes of Ryu's rest_firewall. */
export function firewallRoutes(switches: SwitchSet<Firewall>): Route[] {
  const row = (
    method: Route["method"],
    path: string,
    summary: string,
    key: string,
    work: Work,
    body?: JsonSchema,
  ): Route => ({
    method,
    path: `/firewall/${path}`,
    tag: "firewall",
    summary,
    answer,
    ...(body !== undefined && { body }),
    handle: ({ params, body }: RouteRequest) => {
      const request = { body: (body ?? {}) as Body, vlan: readVlan(params.vlan_id, "vlan_id") };
      return switches.each(params.switch_id ?? "all", async (dp, state) => ({
        switch_id: dp.id,
        [key]: await work(state, dp, request),
      }));
    },
  });
  const RESULT = "command_result";
  const rules = (path: string, of: string): Route[] => [
    row("GET", path, `Rules${of}`, "access_control_list", (state, dp, { vlan }) => state.list(dp, vlan)),
    row(
      "POST",
      path,
      `Adds a rule${of}`,
      RESULT,
      (state, dp, { body, vlan }) => state.add(dp, body, vlan),
      ruleBody,
    ),
    row(
      "DELETE",
      path,
      `Deletes rules${of}`,
      RESULT,
      (state, dp, { body, vlan }) => state.remove(dp, body, vlan),
      deletion,
    ),
  ];
  return [
    row("GET", "module/status", "Whether firewalls run", "status", (state, dp) => state.status(dp)),
    row("PUT", "module/enable/{switch_id}", "Lets pass what rules allow", RESULT, (state, dp) =>
      state.enable(dp),
    ),
    row("PUT", "module/disable/{switch_id}", "Lets nothing pass", RESULT, (state, dp) => state.disable(dp)),
    row("GET", "log/status", "Whether blocked packets are told in the log", "log_status", (state, dp) =>
      state.logStatus(dp),
    ),
    row("PUT", "log/enable/{switch_id}", "Tells of blocked packets", RESULT, (state, dp) =>
      state.setLog(dp, true),
    ),
    row("PUT", "log/disable/{switch_id}", "Does not tell of them", RESULT, (state, dp) =>
      state.setLog(dp, false),
    ),
    ...rules("rules/{switch_id}", ""),
    ...rules("rules/{switch_id}/{vlan_id}", " of a VLAN, or of all"),
  ];
}
