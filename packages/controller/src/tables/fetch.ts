import { formatActions, formatInstructions, OFPM, OFPMF, type OfMessageInit } from "@sluice/openflow-codec";
import type { Switch } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";
import { type ModelFlow, type ModelGroup, type ModelMeter, SwitchTables } from "./switch-tables.js";

type Asked = Pick<Switch, "request">;

/** What a switch answers; undefined where it refuses, as a switch without groups or meters does: it need not know the
 *  request (OpenFlow 1.3.5 §5.6, §5.7). */
async function unlessRefused<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof OfpRequestError) return undefined;
    throw error;
  }
}

/** Told of the first message that asks for the tables, before it goes. */
type Asking = (request: OfMessageInit) => void;

/** A switch's groups as it lists them now. */
export async function fetchGroups(dp: Asked, asking: Asking = () => {}): Promise<readonly ModelGroup[]> {
  const request = { type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_GROUP_DESC" } } as const;
  asking(request);
  return (await unlessRefused(dp.request(request)))?.body.entries ?? [];
}

/** A switch's meters as it lists them now. */
export async function fetchMeters(dp: Asked): Promise<readonly ModelMeter[]> {
  const body = { type: "OFPMP_METER_CONFIG", meter_id: OFPM.ALL } as const;
  return (await unlessRefused(dp.request({ type: "OFPT_MULTIPART_REQUEST", body })))?.body.entries ?? [];
}

/** A switch's flows, groups and meters as it lists them now, as a model to trace packets in. Rejects as `request` does. */
export async function fetchTables(dp: Asked, asking: Asking = () => {}): Promise<SwitchTables> {
  const listFlows = { type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_FLOW" } } as const;
  asking(listFlows);
  const [flows, groups, meters] = await Promise.all([
    dp.request(listFlows),
    fetchGroups(dp),
    fetchMeters(dp),
  ]);
  const tables = new SwitchTables();
  tables.replaceMeters(meters);
  tables.replaceGroups(groups);
  tables.replaceFlows(flows.body.entries);
  return tables;
}

/** Only its groups and meters, without flows. */
export async function fetchGroupsAndMeters(dp: Asked, asking: Asking = () => {}): Promise<SwitchTables> {
  const [groups, meters] = await Promise.all([fetchGroups(dp, asking), fetchMeters(dp)]);
  const tables = new SwitchTables();
  tables.replaceMeters(meters);
  tables.replaceGroups(groups);
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
  readonly meters: readonly number[];
}

type Numbered<T> = ReadonlyMap<number, T>;

/** The numbers under which two lists differ. */
function differing<T>(a: Numbered<T>, b: Numbered<T>, textOf: (one: T) => string): number[] {
  const text = (list: Numbered<T>, id: number): string => {
    const one = list.get(id);
    return one === undefined ? "" : textOf(one);
  };
  return [...new Set([...a.keys(), ...b.keys()])].filter((id) => text(a, id) !== text(b, id));
}

export const differingGroups = (a: Numbered<ModelGroup>, b: Numbered<ModelGroup>): number[] =>
  differing(a, b, groupText);
export const differingMeters = (a: Numbered<ModelMeter>, b: Numbered<ModelMeter>): number[] =>
  differing(a, b, meterText);

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
  return {
    missing: without(theirs, ours),
    surplus: without(ours, theirs),
    changed: [...theirs].filter(isChanged).map(([, flow]) => flow),
    groups: differingGroups(copy.groups, listed.groups),
    meters: differingMeters(copy.meters, listed.meters),
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

const groupText = ({ group_type, buckets }: ModelGroup): string =>
  [
    group_type,
    ...buckets.map(({ weight, watch_port, watch_group, actions }) =>
      // A weight means something in a select group only (§7.3.4.2).
      [group_type === "OFPGT_SELECT" && weight, watch_port, watch_group, formatActions(actions)].join(),
    ),
  ].join(";");

/** A burst means something with OFPMF_BURST only (§7.3.4.5). */
const meterText = ({ flags, bands }: ModelMeter): string =>
  JSON.stringify([
    flags,
    bands.map((band) =>
      "burst_size" in band && (flags & OFPMF.BURST) === 0 ? { ...band, burst_size: 0 } : band,
    ),
  ]);
