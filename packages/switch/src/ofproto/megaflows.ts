import { type OdpAction, sameActions } from "../dpif/actions.js";
import type { Dpif, FlowStatsDelta } from "../dpif/dpif.js";
import { DP_LANES, type FlowKey, type FlowMask } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { coversMask, equalKeys } from "../flow/mask.js";
import { type Looked, LookupIndex, type TableChange } from "./lookup-index.js";
import { MaskPool, type PooledMask } from "./mask-pool.js";
import type { Sink } from "./sink.js";
import type { Effect, TableLookup } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";

/** On whose account a megaflow counts. */
interface Account {
  readonly actions: readonly OdpAction[];
  readonly sinks: readonly Sink[];
  readonly effects: readonly Effect[];
}

/** What the datapath has been given, and on whose account. What is not readonly changes when it is found untrue. */
export interface Megaflow {
  /** Of this outcome: one that differs has another, so that counts go to whom they belong. */
  id: number;
  /** The packet that it was made for, whole: it is translated again when something changes. */
  readonly key: FlowKey;
  readonly mask: FlowMask;
  /** The same. */
  readonly pooled: PooledMask;
  actions: readonly OdpAction[];
  sinks: readonly Sink[];
  effects: readonly Effect[];
  /** The OpenFlow number of the port it came in by. */
  readonly in_port: number;
  lookups: readonly TableLookup[];
  /** The same, as the index has them. */
  looked: readonly Looked<Megaflow>[];
  macLookups: readonly string[];
  readonly hash: number;
  /** The pass in which it was last found true. */
  pass: number;
  readonly createdMs: number;
  usedMs: number;
  packets: number;
  bytes: number;
  tcpFlags: number;
}

/** An outcome that a megaflow had, for as long as the datapath may have counts of it. */
interface Retired extends Account {
  readonly megaflow: Megaflow;
}

export interface MegaflowHooks {
  /** What should be done with this packet now; undefined when it has no place any more (its port is gone). The mask's
   *  memory is used again by the next. */
  translate(key: FlowKey): XlateResult | undefined;
  /** The numbers that the actions hold are in use, or no longer. */
  ref(actions: readonly OdpAction[]): void;
  unref(actions: readonly OdpAction[]): void;
  apply(effects: readonly Effect[], usedMs: number): void;
}

/** # Megaflows
 *
 *  **What.** The flows that ofproto has put into the datapath: installed on a miss, kept true, counted, expired.
 *
 *  **Revalidation.** A change makes megaflows stale: those that asked for a MAC address; those that looked into a
 *  table where a rule has changed that they could match (`LookupIndex`); or all. A stale one is translated again from
 *  the packet it was made for; where the outcome is the same it stays, else it gets the new one in its place, under
 *  another id, so that counts from before the change go to whom they belong. A new outcome whose mask looks at more
 *  than the old one takes the megaflow out for good: its other packets come up again, each for itself.
 *
 *  Where all may be untrue a pass goes over them; when that happens during a pass, another one follows.
 *
 *  **Invariants.** Two megaflows never have the same masked key and mask. A retired outcome is known until the
 *  datapath's last counts for it have arrived. Bounded by `limit`: at it packets are translated one by one, until the
 *  next `sweep` has made room for as many as lately asked for it. */
export class Megaflows implements Iterable<Megaflow> {
  readonly #dpif: Dpif;
  readonly #hooks: MegaflowHooks;
  readonly #byId = new Map<number, Megaflow>();
  readonly #byHash = new Map<number, Megaflow[]>();
  readonly #retired = new Map<number, Retired>();
  readonly #masks = new MaskPool();
  /** Actions of the outcome that came last: many have the same, and share them. */
  #recentActions: readonly OdpAction[] = [];
  #nextId = 1;
  readonly #byMac = new Map<string, Set<Megaflow>>();
  readonly #stale = new Set<Megaflow>();
  /** Goes on through #stale, as it grows: to begin anew for each would pass by all that were taken out. */
  #staleOrder: Iterator<Megaflow> | undefined;
  readonly #lookups = new LookupIndex<Megaflow>();
  /** All may be untrue, since the pass under way began. */
  #allChanged = false;
  #pass: Iterator<Megaflow> | undefined;
  #passes = 0;
  /** Installations asked for since the last sweep. */
  #demand = 0;
  limit: number;
  readonly counters = { installed: 0, overLimit: 0, revalidated: 0, changed: 0, expired: 0, evicted: 0 };

  constructor(dpif: Dpif, hooks: MegaflowHooks, limit: number) {
    this.#dpif = dpif;
    this.#hooks = hooks;
    this.limit = limit;
    dpif.events.on("stats", this.#onStats);
  }

  get size(): number {
    return this.#byId.size;
  }

  [Symbol.iterator](): IterableIterator<Megaflow> {
    return this.#byId.values();
  }

  close(): void {
    this.#dpif.events.off("stats", this.#onStats);
  }

  /** Caches a translation made just now. `key` is kept. */
  install(key: FlowKey, in_port: number, result: XlateResult, nowMs: number): void {
    const mask = this.#masks.of(result.mask);
    const same = this.#find(key, mask);
    if (same) {
      this.#update(same, result);
      return;
    }
    this.#demand++;
    if (this.#byId.size >= this.limit) {
      this.counters.overLimit++;
      return;
    }
    this.#put(key, in_port, mask, result, nowMs);
    this.counters.installed++;
  }

  /** Anything may have changed. */
  changed(): void {
    this.#allChanged = true;
    this.#stale.clear();
  }

  /** So many rules are about to change: when they are as many as megaflows, to ask for each whom it concerns takes
   *  longer than to go over all. */
  rulesChange(count: number): void {
    if (this.#byId.size > 0 && count > 1 && count >= this.#byId.size) this.changed();
  }

  /** A rule has changed. */
  ruleChanged(change: TableChange): void {
    if (this.#allChanged || this.#byId.size === 0) return;
    this.#lookups.forEach(change, this.#markStale);
    if (this.#stale.size > this.#byId.size * MOST) this.changed();
  }

  readonly #markStale = (megaflow: Megaflow): void => {
    this.#stale.add(megaflow);
  };

  /** A place in a MAC table has changed. */
  macChanged(tag: string): void {
    for (const megaflow of this.#byMac.get(tag) ?? []) this.#stale.add(megaflow);
  }

  /** Whether some megaflow may be untrue. */
  get isStale(): boolean {
    return this.#stale.size > 0 || this.#pass !== undefined || this.#allChanged;
  }

  /** Makes stale megaflows true, up to about `budget` translations. */
  revalidate(budget: number): void {
    let left = budget;
    while (left > 0) {
      const stale = this.#takeStale();
      if (stale) {
        this.#revalidateOne(stale);
        left--;
        continue;
      }
      this.#pass ??= this.#beginPass();
      if (!this.#pass) return;
      const next = this.#pass.next();
      if (next.done) this.#pass = undefined;
      else if (next.value.pass !== this.#passes) {
        next.value.pass = this.#passes;
        this.#revalidateOne(next.value);
        left--;
      }
    }
  }

  #takeStale(): Megaflow | undefined {
    if (this.#stale.size === 0) return undefined;
    this.#staleOrder ??= this.#stale.values();
    const next = this.#staleOrder.next();
    if (next.done) {
      this.#staleOrder = undefined;
      return this.#takeStale();
    }
    this.#stale.delete(next.value);
    return next.value;
  }

  revalidateAll(): void {
    while (this.isStale) this.revalidate(Number.MAX_SAFE_INTEGER);
  }

  #beginPass(): Iterator<Megaflow> | undefined {
    if (!this.#allChanged) return undefined;
    this.#allChanged = false;
    this.#passes++;
    return this.#byId.values();
  }

  /** Takes out what has not been used for `maxIdle` ms; then, near the limit, as many as have to make room for new ones:
   *  first those that no packet has hit but the one they were made for, then the others, each the least recently used
   *  first. Yields now and then, for others to have their turn. Counts should be current. */
  *sweep(nowMs: number, maxIdle: number): Generator<void> {
    const demand = this.#demand;
    this.#demand = 0;
    const ages = new Uint32Array(2 * AGES);
    const ageOf = ({ packets, usedMs }: Megaflow): number => {
      const age = Math.floor(((nowMs - usedMs) * AGES) / maxIdle);
      return Math.min(Math.max(age, 0), AGES - 1) + (packets === 0 ? AGES : 0);
    };
    let turn = 0;
    for (const megaflow of this.#byId.values()) {
      if (megaflow.usedMs > nowMs - maxIdle) ages[ageOf(megaflow)]!++;
      else {
        this.#remove(megaflow);
        this.counters.expired++;
        turn += REMOVAL;
      }
      if (++turn >= SWEEP_TURN) {
        turn = 0;
        yield;
      }
    }
    const room = Math.min(demand, Math.ceil(this.limit * MOST_EVICTED));
    let excess = this.#byId.size + room - this.limit;
    if (excess <= 0) return;
    // The youngest age that is old enough to go.
    let oldEnough = 2 * AGES - 1;
    for (let older = ages[oldEnough]!; older < excess && oldEnough > 0; older += ages[oldEnough]!)
      oldEnough--;
    for (const age of [oldEnough + 1, oldEnough]) {
      for (const megaflow of this.#byId.values()) {
        if (excess <= 0) return;
        if (ageOf(megaflow) >= age) {
          this.#remove(megaflow);
          this.counters.evicted++;
          excess--;
          turn += REMOVAL;
        }
        if (++turn >= SWEEP_TURN) {
          turn = 0;
          yield;
        }
      }
    }
  }

  flush(): void {
    for (const megaflow of [...this.#byId.values()]) this.#remove(megaflow);
  }

  /** Whether the datapath may hold counts that are not here. */
  get isCounting(): boolean {
    return this.#byId.size > 0 || this.#retired.size > 0;
  }

  /** Makes every count current. */
  async syncStats(): Promise<void> {
    const settled = [...this.#retired.keys()];
    await this.#dpif.syncStats();
    for (const id of settled) this.#bury(id);
  }

  #revalidateOne(megaflow: Megaflow): void {
    this.counters.revalidated++;
    const result = this.#hooks.translate(megaflow.key);
    if (result) this.#update(megaflow, result);
    else this.#remove(megaflow);
  }

  /** Makes a megaflow what `result` says. */
  #update(megaflow: Megaflow, result: XlateResult): void {
    const narrows = !coversMask(megaflow.mask, result.mask);
    if (
      !result.isUnsettled &&
      !narrows &&
      sameTables(megaflow.lookups, result.lookups) &&
      sameList(megaflow.macLookups, result.macLookups) &&
      sameActions(megaflow.actions, result.actions) &&
      sameList(megaflow.sinks, result.sinks) &&
      sameEffects(megaflow.effects, result.effects)
    )
      return;
    this.counters.changed++;
    if (narrows || result.isUnsettled) this.#remove(megaflow);
    else this.#become(megaflow, result);
  }

  /** Gives a megaflow another outcome. */
  #become(megaflow: Megaflow, result: XlateResult): void {
    const { sinks, effects, lookups, macLookups } = result;
    const actions = this.#shared(result.actions);
    const old = megaflow.id;
    this.#retire(megaflow);
    megaflow.id = this.#nextId++;
    this.#byId.set(megaflow.id, megaflow);
    if (!sameTables(megaflow.lookups, lookups)) {
      this.#unindexLookups(megaflow);
      megaflow.lookups = own(lookups);
      this.#indexLookups(megaflow);
    }
    if (!sameList(megaflow.macLookups, macLookups)) {
      this.#unindexMacs(megaflow);
      megaflow.macLookups = own(macLookups);
      this.#indexMacs(megaflow);
    }
    megaflow.actions = actions;
    megaflow.sinks = own(sinks);
    megaflow.effects = own(effects);
    this.#hooks.ref(actions);
    this.#dpif.flowReplace(old, megaflow.id, actions);
  }

  #put(key: FlowKey, in_port: number, pooled: PooledMask, result: XlateResult, nowMs: number): void {
    const { sinks, effects, lookups, macLookups } = result;
    const actions = this.#shared(result.actions);
    this.#masks.acquire(pooled);
    const mask = pooled.bits;
    const megaflow: Megaflow = {
      id: this.#nextId++,
      key,
      mask,
      pooled,
      actions,
      sinks: own(sinks),
      effects: own(effects),
      in_port,
      lookups: own(lookups),
      looked: [],
      macLookups: own(macLookups),
      hash: pooled.hashOf(key),
      pass: this.#passes,
      createdMs: nowMs,
      usedMs: nowMs,
      packets: 0,
      bytes: 0,
      tcpFlags: 0,
    };
    this.#byId.set(megaflow.id, megaflow);
    const bucket = this.#byHash.get(megaflow.hash);
    if (bucket) bucket.push(megaflow);
    else this.#byHash.set(megaflow.hash, [megaflow]);
    this.#indexLookups(megaflow);
    this.#indexMacs(megaflow);
    this.#hooks.ref(actions);
    this.#dpif.flowPut({ id: megaflow.id, key, mask, actions });
  }

  #remove(megaflow: Megaflow): void {
    this.#retire(megaflow);
    const bucket = this.#byHash.get(megaflow.hash)!;
    if (bucket.length === 1) this.#byHash.delete(megaflow.hash);
    else bucket.splice(bucket.indexOf(megaflow), 1);
    this.#unindexLookups(megaflow);
    this.#unindexMacs(megaflow);
    this.#masks.release(megaflow.pooled);
    this.#stale.delete(megaflow);
    this.#dpif.flowDel(megaflow.id);
  }

  /** Its id is no longer its own; counts that come for it still are for who had it. */
  #retire(megaflow: Megaflow): void {
    const { id, actions, sinks, effects } = megaflow;
    this.#byId.delete(id);
    this.#retired.set(id, { megaflow, actions, sinks, effects });
  }

  #shared(actions: readonly OdpAction[]): readonly OdpAction[] {
    if (!sameActions(this.#recentActions, actions)) this.#recentActions = own(actions);
    return this.#recentActions;
  }

  #indexLookups(megaflow: Megaflow): void {
    const { lookups, pooled } = megaflow;
    const own = lookups.some(({ changed }) => !changed) ? ownFlow(megaflow) : undefined;
    megaflow.looked = lookups.map(({ table, priority, changed }) => ({
      owner: megaflow,
      table,
      priority,
      key: changed ? changed.key : own!,
      known: changed ? changed.known : pooled.known,
      group: undefined,
    }));
    for (const one of megaflow.looked) this.#lookups.add(one);
  }

  #unindexLookups(megaflow: Megaflow): void {
    for (const one of megaflow.looked) this.#lookups.remove(one);
  }

  #indexMacs(megaflow: Megaflow): void {
    for (const tag of megaflow.macLookups) {
      const asking = this.#byMac.get(tag);
      if (asking) asking.add(megaflow);
      else this.#byMac.set(tag, new Set([megaflow]));
    }
  }

  #unindexMacs(megaflow: Megaflow): void {
    for (const tag of megaflow.macLookups) {
      const asking = this.#byMac.get(tag);
      asking?.delete(megaflow);
      if (asking?.size === 0) this.#byMac.delete(tag);
    }
  }

  #bury(id: number): void {
    const retired = this.#retired.get(id);
    if (!retired) return;
    this.#retired.delete(id);
    this.#hooks.unref(retired.actions);
  }

  #find(key: FlowKey, mask: PooledMask): Megaflow | undefined {
    return this.#byHash
      .get(mask.hashOf(key))
      ?.find((other) => other.pooled === mask && mask.agree(other.key, key));
  }

  readonly #onStats = (batch: readonly FlowStatsDelta[]): void => {
    for (const { id, packets, bytes, usedMs, tcpFlags } of batch) {
      const current = this.#byId.get(id);
      const retired = current ? undefined : this.#retired.get(id);
      const megaflow = current ?? retired?.megaflow;
      const account: Account | undefined = current ?? retired;
      if (!megaflow || !account) continue;
      megaflow.packets += packets;
      megaflow.bytes += bytes;
      megaflow.tcpFlags |= tcpFlags;
      if (usedMs > megaflow.usedMs) megaflow.usedMs = usedMs;
      for (const sink of account.sinks) sink.credit(packets, bytes, usedMs);
      if (packets > 0 && account.effects.length > 0) this.#hooks.apply(account.effects, usedMs);
    }
  };
}

const NOTHING: readonly never[] = Object.freeze([]);

/** A list to keep: one that has grown has room for more than there is in it. */
const own = <T>(list: readonly T[]): readonly T[] => (list.length === 0 ? NOTHING : list.slice());

/** A share of all megaflows; when more than this are stale, going over all is simpler. */
const MOST = 0.5;
/** Classes of idle time that a sweep tells apart. */
const AGES = 512;
/** The share of the limit that a sweep makes room for at most. */
const MOST_EVICTED = 1 / 8;
/** Megaflows looked at before others have their turn; and how many looks a removal costs. */
const SWEEP_TURN = 10_000;
const REMOVAL = 20;

/** The flow that a megaflow's first lookups saw: its packet, with the bridge's port number, and nothing yet in the
 *  pipeline's own fields. */
function ownFlow({ key, in_port }: Megaflow): FlowKey {
  const flow = key.slice();
  flow[LANE_IN_PORT] = in_port;
  flow[LANE_RECIRC_ID] = 0;
  flow.fill(0, DP_LANES);
  return flow;
}

const sameTables = (a: readonly TableLookup[], b: readonly TableLookup[]): boolean =>
  a.length === b.length &&
  a.every(({ table, priority, changed }, i) => {
    const other = b[i]!;
    if (table !== other.table || priority !== other.priority) return false;
    if (!changed || !other.changed) return changed === other.changed;
    return equalKeys(changed.key, other.changed.key) && equalKeys(changed.known, other.changed.known);
  });

const sameList = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

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
