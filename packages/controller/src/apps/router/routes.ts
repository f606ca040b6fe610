import type { Switch } from "../../framework/app.js";
import type { Body } from "../../rest/ofctl/read.js";
import type { JsonSchema, Route } from "../../rest/route.js";
import { readVlan, type SwitchSet } from "../rest/switch-set.js";
import type { Router } from "./router.js";

const text: JsonSchema = { type: "string" };
const id: JsonSchema = { type: ["integer", "string"], description: 'Its number, or "all".' };
const setting: JsonSchema = {
  type: "object",
  properties: {
    address: {
      type: "string",
      description: "A.B.C.D/M or IPv6: the router's address in a connected network.",
    },
    destination: { type: "string", description: "A network, of a static route; all, unless given." },
    gateway: text,
  },
};
const deletion: JsonSchema = { type: "object", properties: { address_id: id, route_id: id } };
const answer: JsonSchema = { type: "array", items: { type: "object" } };

type Work = (state: Router, dp: Switch, body: Body, vlan: number | "all") => unknown;

/** The routes of Ryu's rest_router. */
export function routerRoutes(switches: SwitchSet<Router>): Route[] {
  const row = (
    method: Route["method"],
    suffix: string,
    summary: string,
    key: string,
    work: Work,
    body?: JsonSchema,
  ): Route => ({
    method,
    path: `/router/{switch_id}${suffix}`,
    tag: "router",
    summary: suffix === "" ? summary : `${summary} of a VLAN, or of all`,
    answer,
    ...(body !== undefined && { body }),
    handle: ({ params, body }) => {
      const vlan = readVlan(params.vlan_id, "vlan_id");
      return switches.each(params.switch_id, async (dp, state) => ({
        switch_id: dp.id,
        [key]: await work(state, dp, (body ?? {}) as Body, vlan),
      }));
    },
  });
  const RESULT = "command_result";
  return ["", "/{vlan_id}"].flatMap((suffix) => [
    row("GET", suffix, "Addresses and routes", "internal_network", (state, _dp, _body, vlan) =>
      state.show(vlan),
    ),
    row(
      "POST",
      suffix,
      "Adds an address or a route",
      RESULT,
      (state, dp, body, vlan) => state.set(dp, body, vlan),
      setting,
    ),
    row(
      "DELETE",
      suffix,
      "Deletes addresses or routes",
      RESULT,
      (state, dp, body, vlan) => state.remove(dp, body, vlan),
      deletion,
    ),
  ]);
}
