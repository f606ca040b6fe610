import type { Switch } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";
import { type ModelFlow, SwitchTables } from "./switch-tables.js";

/** A switch's flows and groups as it lists them now, as a model to trace packets in. Rejects as `request` does. */
export async function fetchTables(dp: Pick<Switch, "request">): Promise<SwitchTables> {
  const [flows, groups] = await Promise.all([
    dp.request({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_FLOW" } }),
    // A switch without groups need not know the request (§5.6).
    dp
      .request({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_GROUP_DESC" } })
      .catch((error: unknown) => {
        if (error instanceof OfpRequestError) return undefined;
        throw error;
      }),
  ]);
  const tables = new SwitchTables();
  tables.replaceGroups(groups?.body.entries ?? []);
  tables.replaceFlows(flows.body.entries);
  return tables;
}

/** How a copy of a switch's tables differs from what the switch itself lists: flows by table, priority and match. */
export function compareTables(
  copy: SwitchTables,
  listed: SwitchTables,
): { readonly missing: readonly ModelFlow[]; readonly surplus: readonly ModelFlow[] } {
  const keyOf = ({ table_id, priority, terms }: ModelFlow): string =>
    [table_id, priority, ...terms.map(({ name, value, mask }) => `${name}=${value}/${mask}`)].join(" ");
  const [ours, theirs] = [copy, listed].map(({ flows }) => new Map(flows.map((flow) => [keyOf(flow), flow])));
  const without = (a: Map<string, ModelFlow>, b: Map<string, ModelFlow>): ModelFlow[] =>
    [...a].filter(([key]) => !b.has(key)).map(([, flow]) => flow);
  return { missing: without(theirs!, ours!), surplus: without(ours!, theirs!) };
}
