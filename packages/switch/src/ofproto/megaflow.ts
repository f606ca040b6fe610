import { type OdpAction, sameActions } from "../dpif/actions.js";
import { DP_LANES, type FlowKey, type FlowMask, newFlowKey } from "../flow/flow-key.js";
import type { KeyStore } from "../flow/key-store.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { equalKeys } from "../flow/mask.js";
import type { Looked } from "./lookup-index.js";
import type { PooledMask } from "./mask-pool.js";
import type { Sink } from "./sink.js";
import type { Effect, TableLookup } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";
import type { XTable } from "./xlate/world.js";

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

/** What the datapath has been given, and on whose account. What is not readonly changes when it is found untrue. */
export class Megaflow {
  /** Of this outcome: one that differs has another, so that counts go to whom they belong. */
  id: number;
  /** Where its key is. */
  readonly slot: number;
  readonly pooled: PooledMask;
  outcome: Outcome;
  /** The OpenFlow number of the port it came in by. */
  readonly in_port: number;
  /** Its lookups, as the index has them. */
  looked: LookedFor | undefined = undefined;
  readonly hash: number;
  /** The next of this hash. */
  next: Megaflow | undefined;
  /** The pass in which it was last found true. */
  pass: number;
  readonly createdMs: number;
  usedMs: number;
  packets = 0;
  bytes = 0;
  tcpFlags = 0;
  readonly #keys: KeyStore;

  constructor(
    id: number,
    slot: number,
    keys: KeyStore,
    pooled: PooledMask,
    hash: number,
    outcome: Outcome,
    in_port: number,
    pass: number,
    nowMs: number,
  ) {
    this.id = id;
    this.slot = slot;
    this.#keys = keys;
    this.pooled = pooled;
    this.hash = hash;
    this.outcome = outcome;
    this.in_port = in_port;
    this.next = undefined;
    this.pass = pass;
    this.createdMs = nowMs;
    this.usedMs = nowMs;
  }

  /** The packet that it was made for, whole: it is translated again when something changes. A copy. */
  get key(): FlowKey {
    return this.#keys.read(this.slot, newFlowKey());
  }

  get mask(): FlowMask {
    return this.pooled.bits;
  }

  get actions(): readonly OdpAction[] {
    return this.outcome.actions;
  }

  get sinks(): readonly Sink[] {
    return this.outcome.sinks;
  }
}

/** A look into a table on a megaflow's behalf. */
export class LookedFor implements Looked {
  readonly megaflow: Megaflow;
  readonly table: XTable;
  readonly priority: number;
  /** The flow that was looked up, where it was not the packet's own. */
  readonly changed: FlowKey | undefined;
  known: FlowMask;
  group: unknown = undefined;
  place = 0;
  /** The megaflow's next. */
  readonly next: LookedFor | undefined;

  constructor(megaflow: Megaflow, lookup: TableLookup, next: LookedFor | undefined) {
    this.megaflow = megaflow;
    this.table = lookup.table;
    this.priority = lookup.priority;
    this.changed = lookup.changed?.key;
    this.known = lookup.changed?.known ?? megaflow.pooled.known;
    this.next = next;
  }
}

/** Makes a megaflow's key, in `flow`, the flow that its first lookups saw: with the bridge's port number, and nothing
 *  yet in the pipeline's own fields. */
export function ownFlow(flow: FlowKey, in_port: number): FlowKey {
  flow[LANE_IN_PORT] = in_port;
  flow[LANE_RECIRC_ID] = 0;
  flow.fill(0, DP_LANES);
  return flow;
}

const NOTHING: readonly never[] = Object.freeze([]);

/** A list to keep: one that has grown has room for more than there is in it. */
const own = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? NOTHING : list.slice());

/** A translation's outcome, to be kept; `actions`: its own, or equal ones. */
export const outcomeOf = (
  { sinks, effects, lookups, macLookups }: XlateResult,
  actions: readonly OdpAction[],
): Outcome => ({
  actions,
  sinks: own(sinks),
  effects: own(effects),
  lookups: own(lookups),
  macLookups: own(macLookups),
});

export const ownActions: (actions: readonly OdpAction[]) => readonly OdpAction[] = own;

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
