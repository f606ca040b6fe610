import type { Switch } from "../../framework/app.js";
import type { Body } from "../../rest/ofctl/read.js";
import type { JsonSchema, Route } from "../../rest/route.js";
import { readVlan, type SwitchSet } from "./switch-set.js";

/** Routes of an app that keeps rules in each switch, as Ryu has them: a row each. */

/** What an app does with the rules of one switch. */
interface RuleKeeper {
  list(dp: Switch, vlan: number | "all"): Promise<unknown>;
  add(dp: Switch, body: Body, vlan: number | "all"): Promise<unknown>;
  remove(dp: Switch, body: Body, vlan: number | "all"): Promise<unknown>;
}

export interface RuleRow<T> {
  readonly method: Route["method"];
  /** Behind `/APP/`. With `{switch_id}` it is about one switch, or about `all`, as without. */
  readonly path: string;
  readonly summary: string;
  readonly body?: JsonSchema;
  /** The member of the answer that holds what `work` gives; command_result unless given. */
  readonly key?: string;
  readonly work: (
    state: T,
    dp: Switch,
    request: { readonly body: Body; readonly vlan: number | "all" },
  ) => unknown;
}

const answer: JsonSchema = { type: "array", items: { type: "object" } };

/** The rows as routes of app `tag`. */
export const ruleRoutes = <T>(tag: string, switches: SwitchSet<T>, rows: readonly RuleRow<T>[]): Route[] =>
  rows.map(({ method, path, summary, body: schema, key = "command_result", work }) => ({
    method,
    path: `/${tag}/${path}`,
    tag,
    summary,
    answer,
    ...(schema !== undefined && { body: schema }),
    handle: ({ params, body }) => {
      const request = { body: (body ?? {}) as Body, vlan: readVlan(params.vlan_id, "vlan_id") };
      return switches.each(params.switch_id ?? "all", async (dp, state) => ({
        switch_id: dp.id,
        [key]: await work(state, dp, request),
      }));
    },
  }));

/** The rows of the rules themselves: of all packets, and of a VLAN. `listKey` is the member of a list's answer. */
export const rulesRows = <T extends RuleKeeper>(
  bodies: { readonly rule: JsonSchema; readonly deletion: JsonSchema },
  listKey?: string,
): RuleRow<T>[] =>
  [
    { path: "rules/{switch_id}", of: "" },
    { path: "rules/{switch_id}/{vlan_id}", of: " of a VLAN, or of all" },
  ].flatMap(({ path, of }): RuleRow<T>[] => [
    {
      ...{ method: "GET", path, summary: `Rules${of}`, ...(listKey !== undefined && { key: listKey }) },
      work: (state, dp, { vlan }) => state.list(dp, vlan),
    },
    {
      ...{ method: "POST", path, summary: `Adds a rule${of}`, body: bodies.rule },
      work: (state, dp, { body, vlan }) => state.add(dp, body, vlan),
    },
    {
      ...{ method: "DELETE", path, summary: `Deletes rules${of}`, body: bodies.deletion },
      work: (state, dp, { body, vlan }) => state.remove(dp, body, vlan),
    },
  ]);
