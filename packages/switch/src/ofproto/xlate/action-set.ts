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

/** Where the set leads to in the end: the first of these that is in it, and only that. */
const ENDS = ["OFPAT_GROUP", "OFPAT_OUTPUT", "resubmit"] as const;

const endOf = (set: readonly Action[]): string | undefined =>
  ENDS.find((end) => set.some((action) => kindOf(action) === end));

/** The actions in the order of execution. Without a group, an output or a resubmit the packet is dropped, so that there
 *  is nothing to do at all. */
export function orderOfSet(set: readonly Action[]): Action[] {
  const end = endOf(set);
  if (end === undefined) return [];
  return inOrder(set.filter((action) => kindOf(action) === end || !isEnd(action)));
}

const isEnd = (action: Action): boolean => (ENDS as readonly string[]).includes(kindOf(action));

/** The port that the set outputs to by itself, for the field actset_output; undefined: to none. */
export function outputOfSet(set: readonly Action[]): number | undefined {
  if (endOf(set) !== "OFPAT_OUTPUT") return undefined;
  return set.find((action) => action.type === "OFPAT_OUTPUT")!.port;
}

/** In the set's order of execution; those of one kind stay in the order given. */
export const inOrder = (actions: readonly Action[]): Action[] =>
  actions
    .map((action, index) => ({ action, index, rank: rankOf(action) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ action }) => action);

const rankOf = (action: Action): number =>
  RANK[action.type] ?? (isEnd(action) ? RANK.OFPAT_OUTPUT! : RANK.OFPAT_SET_FIELD!);

function kindOf(action: Action): string {
  if (action.type === "OFPAT_SET_FIELD") return `set ${Object.keys(action.field)[0]}`;
  return action.type === "NXAST_RESUBMIT" || action.type === "NXAST_RESUBMIT_TABLE"
    ? "resubmit"
    : action.type;
}
