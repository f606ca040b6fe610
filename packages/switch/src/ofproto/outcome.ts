import { type OdpAction, sameActions } from "../dpif/actions.js";
import { equalKeys } from "../flow/mask.js";
import type { Sink } from "./sink.js";
import type { Effect, TableLookup } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";

/** What translation came to. Many megaflows have the same, and share it: it does not change. */
export interface Outcome {
  readonly actions: readonly OdpAction[];
  /** On whose account it counts. */
  readonly sinks: readonly Sink[];
  readonly effects: readonly Effect[];
  /** What it depends on. */
  readonly lookups: readonly TableLookup[];
  readonly macLookups: readonly string[];
}

const NOTHING: readonly never[] = Object.freeze([]);

/** A list to keep: one that has grown has room for more than there is in it. */
const own = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? NOTHING : list.slice());

/** A translation's outcome, to be kept. What the one before it, or the one that came last, has alike is taken from there:
 *  it is memory that lasts, and many share it. */
export const outcomeOf = (
  { actions, sinks, effects, lookups, macLookups }: XlateResult,
  before: Outcome,
  recent: Outcome,
): Outcome => ({
  actions: kept(actions, recent.actions, before.actions, sameActions),
  sinks: kept(sinks, before.sinks, recent.sinks, sameList),
  effects: kept(effects, before.effects, recent.effects, sameEffects),
  lookups: kept(lookups, before.lookups, recent.lookups, sameTables),
  macLookups: kept(macLookups, before.macLookups, recent.macLookups, sameList),
});

const kept = <L extends readonly unknown[]>(
  list: L,
  first: L,
  second: L,
  isSame: (a: L, b: L) => boolean,
): L => (isSame(first, list) ? first : isSame(second, list) ? second : (own(list) as unknown as L));

export const sameOutcome = (a: Outcome, b: Outcome): boolean =>
  a === b ||
  (sameList(a.sinks, b.sinks) &&
    sameTables(a.lookups, b.lookups) &&
    sameList(a.macLookups, b.macLookups) &&
    sameActions(a.actions, b.actions) &&
    sameEffects(a.effects, b.effects));

export function sameTables(a: readonly TableLookup[], b: readonly TableLookup[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameLookup(a[i]!, b[i]!)) return false;
  return true;
}

function sameLookup(a: TableLookup, b: TableLookup): boolean {
  if (a.table !== b.table || a.priority !== b.priority) return false;
  if (!a.changed || !b.changed) return a.changed === b.changed;
  return equalKeys(a.changed.key, b.changed.key) && equalKeys(a.changed.known, b.changed.known);
}

export function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function sameEffects(a: readonly Effect[], b: readonly Effect[]): boolean {
  return a.length === b.length && a.every((effect, i) => sameEffect(effect, b[i]!));
}

function sameEffect(a: Effect, b: Effect): boolean {
  if (a.type === "learn" && b.type === "learn")
    return a.bridge === b.bridge && a.limit === b.limit && sameValue(a.flow, b.flow);
  if (a.type !== "mac" || b.type !== "mac") return false;
  return (
    a.heard.port === b.heard.port &&
    a.heard.mac === b.heard.mac &&
    a.heard.vlan === b.heard.vlan &&
    a.heard.bridge === b.heard.bridge
  );
}

function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => sameValue((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  );
}
