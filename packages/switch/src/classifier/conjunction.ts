import type { Classified } from "./subtable.js";

/** Conjunctive matches (ovs-fields(7), "Conjunctive match fields"): a rule that is part of one says of which, and for
 *  which of its clauses it stands. Never on the hot path: only tables with such rules come here. */

/** Part `clause` (from 0) of the conjunction `id`, which has `n_clauses`. */
export interface Conjunction {
  readonly id: number;
  readonly clause: number;
  readonly n_clauses: number;
}

/** A conjunction all of whose clauses a flow matches, and what came of it. */
export interface Conjoined<R> {
  readonly id: number;
  /** The priority of its clauses. */
  readonly priority: number;
  /** The rules that were its clauses. */
  readonly clauses: readonly R[];
  /** What the lookup with the conjunction's id found; undefined: the conjunction is as good as not there. */
  readonly rule: R | undefined;
}

/** The conjunctions that `rules` fulfil, in the order in which they become complete. Rules that do not agree on the
 *  number of clauses do not make one together. */
export function completed<R extends Classified>(
  rules: readonly R[],
): { readonly id: number; readonly clauses: readonly R[] }[] {
  const found = new Map<string, { id: number; clauses: R[]; missing: Set<number> }>();
  const complete = new Set<{ id: number; clauses: R[] }>();
  for (const rule of rules) {
    for (const { id, clause, n_clauses } of rule.conjunctions ?? []) {
      const name = `${id}/${n_clauses}`;
      const so = found.get(name) ?? { id, clauses: [], missing: new Set(Array(n_clauses).keys()) };
      found.set(name, so);
      so.clauses.push(rule);
      so.missing.delete(clause);
      if (so.missing.size === 0) complete.add(so);
    }
  }
  return [...complete];
}
