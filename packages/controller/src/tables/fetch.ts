import { formatActions, formatInstructions, type OfMessageInit } from "@sluice/openflow-codec";
import type { Switch } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";
import { type ModelFlow, type ModelGroup, SwitchTables } from "./switch-tables.js";

/** A switch's flows and groups as it lists them now, as a model to trace packets in. Rejects as `request` does. */
export async function fetchTables(
  dp: Pick<Switch, "request">,
  /** Told of the message that asks for the flows, before it goes. */
  asking: (request: OfMessageInit) => void = () => {},
): Promise<SwitchTables> {
  const listFlows = { type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_FLOW" } } as const;
  asking(listFlows);
  const [flows, groups] = await Promise.all([
    dp.request(listFlows),
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

/** How a copy of a switch's tables differs from what the switch itself lists. Flows are the same by table, priority and
 *  match. */
export interface TableDifference {
  /** The switch has them, the copy does not. */
  readonly missing: readonly ModelFlow[];
  /** The copy has them, the switch does not. */
  readonly surplus: readonly ModelFlow[];
  /** As the switch has them: with other instructions or another cookie than in the copy. */
  readonly changed: readonly ModelFlow[];
  /** Numbers of groups that only one of them has, or that are different. */
  readonly groups: readonly number[];
}

export function compareTables(copy: SwitchTables, listed: SwitchTables): TableDifference {
  const keyOf = ({ table_id, priority, terms }: ModelFlow): string =>
    [table_id, priority, ...terms.map(({ name, value, mask }) => `${name}=${value}/${mask}`)].join(" ");
  const mapOf = ({ flows }: SwitchTables) => new Map(flows.map((flow) => [keyOf(flow), flow]));
  const [ours, theirs] = [mapOf(copy), mapOf(listed)];
  const without = (a: Map<string, ModelFlow>, b: Map<string, ModelFlow>): ModelFlow[] =>
    [...a].filter(([key]) => !b.has(key)).map(([, flow]) => flow);
  const isChanged = ([key, flow]: [string, ModelFlow]): boolean => {
    const own = ours.get(key);
    return own !== undefined && !sameFlow(own, flow);
  };
  const ids = new Set([...copy.groups.keys(), ...listed.groups.keys()]);
  return {
    missing: without(theirs, ours),
    surplus: without(ours, theirs),
    changed: [...theirs].filter(isChanged).map(([, flow]) => flow),
    groups: [...ids].filter((id) => textOf(copy.groups.get(id)) !== textOf(listed.groups.get(id))),
  };
}

/** Whether two flows of the same match do the same. As text, which leaves out what a switch need not keep: how much of a
 *  packet an output to a port that is not the controller would send, and in what order instructions were written. */
export const sameFlow = (a: ModelFlow, b: ModelFlow): boolean =>
  a.cookie === b.cookie && doing(a) === doing(b);

const doing = ({ instructions }: ModelFlow): string =>
  instructions
    .filter((one) => one.type !== "OFPIT_APPLY_ACTIONS" || one.actions.length > 0)
    .map((one) => formatInstructions([one]))
    .sort()
    .join(" ");

const textOf = (group: ModelGroup | undefined): string =>
  group === undefined
    ? ""
    : [
        group.group_type,
        ...group.buckets.map(({ weight, watch_port, watch_group, actions }) =>
          // A weight means something in a select group only (§7.3.4.2).
          [
            group.group_type === "OFPGT_SELECT" && weight,
            watch_port,
            watch_group,
            formatActions(actions),
          ].join(),
        ),
      ].join(";");
