import type { Action } from "../of.js";

/** Execution order of the action set (1.3.5 §5.10); the output comes last, and only without a group. */
const ORDER = [
  "OFPAT_COPY_TTL_IN",
  "OFPAT_POP_VLAN",
  "OFPAT_POP_MPLS",
  "OFPAT_POP_PBB",
  "OFPAT_PUSH_MPLS",
  "OFPAT_PUSH_PBB",
  "OFPAT_PUSH_VLAN",
  "OFPAT_COPY_TTL_OUT",
  "OFPAT_DEC_NW_TTL",
  "OFPAT_DEC_MPLS_TTL",
  "OFPAT_SET_NW_TTL",
  "OFPAT_SET_MPLS_TTL",
  "OFPAT_SET_FIELD",
  "OFPAT_SET_QUEUE",
  "OFPAT_GROUP",
  "OFPAT_OUTPUT",
] as const;

const RANK: Readonly<Record<string, number>> = Object.fromEntries(ORDER.map((type, rank) => [type, rank]));

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
    .map((action, index) => ({ action, index, rank: RANK[action.type] ?? ORDER.indexOf("OFPAT_SET_FIELD") }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ action }) => action);

const kindOf = (action: Action): string =>
  action.type === "OFPAT_SET_FIELD" ? `set ${Object.keys(action.field)[0]}` : action.type;
