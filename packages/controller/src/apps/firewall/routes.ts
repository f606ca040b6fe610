import type { JsonSchema, Route } from "../../rest/route.js";
import { ruleRoutes, rulesRows } from "../rest/rule-routes.js";
import { ruleMatch } from "../rest/schemas.js";
import type { SwitchSet } from "../rest/switch-set.js";
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

/** The routes of Ryu's rest_firewall. */
export const firewallRoutes = (switches: SwitchSet<Firewall>): Route[] =>
  ruleRoutes("firewall", switches, [
    {
      ...{ method: "GET", path: "module/status", summary: "Whether firewalls run", key: "status" },
      work: (state, dp) => state.status(dp),
    },
    {
      ...{ method: "PUT", path: "module/enable/{switch_id}", summary: "Lets pass what rules allow" },
      work: (state, dp) => state.enable(dp),
    },
    {
      ...{ method: "PUT", path: "module/disable/{switch_id}", summary: "Lets nothing pass" },
      work: (state, dp) => state.disable(dp),
    },
    {
      ...{ method: "GET", path: "log/status", summary: "Whether blocked packets are told in the log" },
      key: "log_status",
      work: (state, dp) => state.logStatus(dp),
    },
    {
      ...{ method: "PUT", path: "log/enable/{switch_id}", summary: "Tells of blocked packets" },
      work: (state, dp) => state.setLog(dp, true),
    },
    {
      ...{ method: "PUT", path: "log/disable/{switch_id}", summary: "Does not tell of them" },
      work: (state, dp) => state.setLog(dp, false),
    },
    ...rulesRows<Firewall>({ rule: ruleBody, deletion }, "access_control_list"),
  ]);
