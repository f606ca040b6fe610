import { ACTION_SET_ORDER } from "@sluice/openflow-codec";
import type { Action } from "../of.js";

const RANK: Readonly<Record<string, number>> = Object.fromEntries(
  ACTION_SET_ORDER.map((type, rank) => [type, rank]),
);

/** The set after `actions` were written to it: of each type, and of each field set, the last one written stays. */
export function writeToSet(set: readonly Action[], actions: readonly Action[]): Action[] {
  const byKind = new Map(set.map((action) => [kindOf(action), action]));
  for (const action of actions) {
    const kind = kindOf(action);
    byKind.delete(kind);
    byKind.set(kind, action);
  }
  return [...byKind.values()];
}

/** The actions in the order of execution. Without a group or an output the packet is dropped, so that there is
 *  nothing to do at all. */
export function orderOfSet(set: readonly Action[]): Action[] {
  const hasGroup = set.some((action) => action.type === "OFPAT_GROUP");
  if (!hasGroup && !set.some((action) => action.type === "OFPAT_OUTPUT")) return [];
  return inOrder(set.filter((action) => !(hasGroup && action.type === "OFPAT_OUTPUT")));
}

/** In the set's order of execution; those of one kind stay in the order given. */
export const inOrder = (actions: readonly Action[]): Action[] =>
  actions
    .map((action, index) => ({ action, index, rank: RANK[action.type] ?? RANK.OFPAT_SET_FIELD! }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ action }) => action);

const kindOf = (action: Action): string =>
  action.type === "OFPAT_SET_FIELD" ? `set ${Object.keys(action.field)[0]}` : action.type;
