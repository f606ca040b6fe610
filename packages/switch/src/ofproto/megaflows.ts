import { type OdpAction, sameActions } from "../dpif/actions.js";
import type { Dpif, FlowStatsDelta } from "../dpif/dpif.js";
import { type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { KeyStore } from "../flow/key-store.js";
import { coversMask } from "../flow/mask.js";
import { LookupIndex, type TableChange } from "./lookup-index.js";
import { MaskPool, type PooledMask } from "./mask-pool.js";
import {
  LookedFor,
  Megaflow,
  type Outcome,
  outcomeOf,
  ownActions,
  ownFlow,
  sameList,
  sameOutcome,
  sameTables,
} from "./megaflow.js";
import type { Effect } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";

/** An outcome that a megaflow had, for as long as the datapath may have counts of it. */
interface Retired {
  readonly megaflow: Megaflow;
  readonly outcome: Outcome;
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
  /** The first of each hash. */
  readonly #byHash = new Map<number, Megaflow>();
  readonly #retired = new Map<number, Retired>();
  readonly #keys = new KeyStore();
  readonly #freeSlots: number[] = [];
  #slots = 0;
  readonly #masks = new MaskPool();
  /** The outcome that came last: many have the same, and share it; or its actions. */
  #recent: Outcome = { actions: [], sinks: [], effects: [], lookups: [], macLookups: [] };
  #nextId = 1;
  readonly #byMac = new Map<string, Set<Megaflow>>();
  readonly #stale = new Set<Megaflow>();
  /** Goes on through #stale, as it grows: to begin anew for each would pass by all that were taken out. */
  #staleOrder: Iterator<Megaflow> | undefined;
  /** Memory for a key that is looked at. */
  readonly #key = newFlowKey();
  readonly #lookups = new LookupIndex<LookedFor>(
    ({ megaflow, changed }) =>
      changed ?? ownFlow(this.#keys.read(megaflow.slot, this.#key), megaflow.in_port),
  );
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

  /** Caches a translation made just now. */
  install(key: FlowKey, in_port: number, result: XlateResult, nowMs: number): void {
    const mask = this.#masks.of(result.mask);
    const hash = mask.hashOf(key);
    const same = this.#find(key, mask, hash);
    if (same) {
      this.#update(same, result);
      return;
    }
    this.#demand++;
    if (this.#byId.size >= this.limit) {
      this.counters.overLimit++;
      return;
    }
    this.#put(key, in_port, mask, hash, this.#shared(result), nowMs);
    this.counters.installed++;
  }

  /** Anything may have changed. */
  changed(): void {
    // Nobody would look, and nothing that comes later is told of: of what is translated from now on all is true.
    if (this.#byId.size === 0) return;
    this.#allChanged = true;
    this.#stale.clear();
  }

  /** So many rules are about to change: when they are as many as megaflows, to ask for each whom it concerns takes
   *  longer than to go over all. */
  rulesChange(count: number): void {
    if (count > 1 && count >= this.#byId.size) this.changed();
  }

  /** Whether it matters which rule changes: some megaflow is not yet known to be doubtful. */
  get wantsChanges(): boolean {
    return this.#byId.size > 0 && !this.#allChanged;
  }

  /** A rule has changed. */
  ruleChanged(change: TableChange): void {
    if (!this.wantsChanges) return;
    this.#lookups.forEach(change, this.#markStale);
    if (this.#stale.size > this.#byId.size * MOST) this.changed();
  }

  readonly #markStale = ({ megaflow }: LookedFor): void => {
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

  #beginPass(): Iterator<Megaflow> | undefined {
    if (!this.#allChanged) return undefined;
    this.#allChanged = false;
    this.#passes++;
    return this.#byId.values();
  }

  /** Takes out what has not been used for `maxIdle` ms; then, near the limit, as many as have to make room for new ones
   *  (`shares`), the least recently used of each sort first. Yields now and then, for others to have their turn. Counts
   *  should be current. */
  *sweep(nowMs: number, maxIdle: number): Generator<void> {
    const demand = this.#demand;
    this.#demand = 0;
    const ages = SORTS.map(() => new Uint32Array(AGES));
    const ageOf = ({ usedMs }: Megaflow): number =>
      Math.min(Math.max(Math.floor(((nowMs - usedMs) * AGES) / maxIdle), 0), AGES - 1);
    const sortOf = ({ packets, createdMs }: Megaflow): number =>
      packets > 0 ? USED : createdMs > nowMs - NEW_MS ? NEW : DISUSED;
    let turn = 0;
    for (const megaflow of this.#byId.values()) {
      if (megaflow.usedMs > nowMs - maxIdle) ages[sortOf(megaflow)]![ageOf(megaflow)]!++;
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
    const excess = this.#byId.size + room - this.limit;
    if (excess <= 0) return;
    const going = shares(excess, ages, this.limit);
    for (const megaflow of this.#byId.values()) {
      const sort = going[sortOf(megaflow)]!;
      const age = ageOf(megaflow);
      if (age > sort.age || (age === sort.age && sort.ofThatAge-- > 0)) {
        this.#remove(megaflow);
        this.counters.evicted++;
        turn += REMOVAL;
      }
      if (++turn >= SWEEP_TURN) {
        turn = 0;
        yield;
      }
    }
  }

  /** Takes one out, whose packets bring it back; whether it was there. */
  delete(id: number): boolean {
    const megaflow = this.#byId.get(id);
    if (megaflow) this.#remove(megaflow);
    return megaflow !== undefined;
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
    const result = this.#hooks.translate(this.#keys.read(megaflow.slot, this.#key));
    if (result) this.#update(megaflow, result);
    else this.#remove(megaflow);
  }

  /** Makes a megaflow what `result` says. */
  #update(megaflow: Megaflow, result: XlateResult): void {
    const narrows = !coversMask(megaflow.mask, result.mask);
    if (!result.isUnsettled && !narrows && sameOutcome(megaflow.outcome, result)) return;
    this.counters.changed++;
    if (narrows || result.isUnsettled) this.#remove(megaflow);
    else this.#become(megaflow, this.#shared(result));
  }

  /** Gives a megaflow another outcome. */
  #become(megaflow: Megaflow, outcome: Outcome): void {
    const old = megaflow.id;
    const before = megaflow.outcome;
    this.#retire(megaflow);
    megaflow.id = this.#nextId++;
    this.#byId.set(megaflow.id, megaflow);
    megaflow.outcome = outcome;
    if (!sameTables(before.lookups, outcome.lookups)) {
      this.#unindexLookups(megaflow);
      this.#indexLookups(megaflow);
    }
    if (!sameList(before.macLookups, outcome.macLookups)) {
      this.#unindexMacs(megaflow, before);
      this.#indexMacs(megaflow);
    }
    this.#hooks.ref(outcome.actions);
    this.#dpif.flowReplace(old, megaflow.id, outcome.actions);
  }

  #put(
    key: FlowKey,
    in_port: number,
    pooled: PooledMask,
    hash: number,
    outcome: Outcome,
    nowMs: number,
  ): void {
    this.#masks.acquire(pooled);
    const slot = this.#freeSlots.pop() ?? this.#slots++;
    this.#keys.set(slot, key);
    const id = this.#nextId++;
    const megaflow = new Megaflow(id, slot, this.#keys, pooled, hash, outcome, in_port, this.#passes, nowMs);
    this.#byId.set(id, megaflow);
    megaflow.next = this.#byHash.get(hash);
    this.#byHash.set(hash, megaflow);
    this.#indexLookups(megaflow);
    this.#indexMacs(megaflow);
    this.#hooks.ref(outcome.actions);
    this.#dpif.flowPut({ id, key, mask: pooled.bits, actions: outcome.actions });
  }

  #remove(megaflow: Megaflow): void {
    this.#retire(megaflow);
    this.#unchain(megaflow);
    this.#unindexLookups(megaflow);
    this.#unindexMacs(megaflow, megaflow.outcome);
    this.#masks.release(megaflow.pooled);
    this.#stale.delete(megaflow);
    this.#freeSlots.push(megaflow.slot);
    this.#dpif.flowDel(megaflow.id);
  }

  #unchain(megaflow: Megaflow): void {
    const { hash, next } = megaflow;
    const first = this.#byHash.get(hash)!;
    if (first !== megaflow) {
      let before = first;
      while (before.next !== megaflow) before = before.next!;
      before.next = next;
    } else if (next) this.#byHash.set(hash, next);
    else this.#byHash.delete(hash);
  }

  /** Its id is no longer its own; counts that come for it still are for who had it. */
  #retire(megaflow: Megaflow): void {
    const { id, outcome } = megaflow;
    this.#byId.delete(id);
    this.#retired.set(id, { megaflow, outcome });
  }

  /** The outcome to keep. */
  #shared(result: XlateResult): Outcome {
    const recent = this.#recent;
    if (sameOutcome(recent, result)) return recent;
    const isSame = sameActions(recent.actions, result.actions);
    this.#recent = outcomeOf(result, isSame ? recent.actions : ownActions(result.actions));
    return this.#recent;
  }

  #indexLookups(megaflow: Megaflow): void {
    const { lookups } = megaflow.outcome;
    let looked: LookedFor | undefined;
    for (let i = lookups.length - 1; i >= 0; i--) {
      looked = new LookedFor(megaflow, lookups[i]!, looked);
      this.#lookups.add(looked);
    }
    megaflow.looked = looked;
  }

  #unindexLookups(megaflow: Megaflow): void {
    for (let looked = megaflow.looked; looked; looked = looked.next) this.#lookups.remove(looked);
    megaflow.looked = undefined;
  }

  #indexMacs(megaflow: Megaflow): void {
    for (const tag of megaflow.outcome.macLookups) {
      const asking = this.#byMac.get(tag);
      if (asking) asking.add(megaflow);
      else this.#byMac.set(tag, new Set([megaflow]));
    }
  }

  #unindexMacs(megaflow: Megaflow, outcome: Outcome): void {
    for (const tag of outcome.macLookups) {
      const asking = this.#byMac.get(tag);
      asking?.delete(megaflow);
      if (asking?.size === 0) this.#byMac.delete(tag);
    }
  }

  #bury(id: number): void {
    const retired = this.#retired.get(id);
    if (!retired) return;
    this.#retired.delete(id);
    this.#hooks.unref(retired.outcome.actions);
  }

  #find(key: FlowKey, { bits, lanes }: PooledMask, hash: number): Megaflow | undefined {
    let other = this.#byHash.get(hash);
    while (other && !(other.pooled.bits === bits && this.#keys.agrees(other.slot, key, bits, lanes)))
      other = other.next;
    return other;
  }

  readonly #onStats = (batch: readonly FlowStatsDelta[]): void => {
    for (const { id, packets, bytes, usedMs, tcpFlags } of batch) {
      const current = this.#byId.get(id);
      const retired = current ? undefined : this.#retired.get(id);
      const megaflow = current ?? retired?.megaflow;
      const outcome = current?.outcome ?? retired?.outcome;
      if (!megaflow || !outcome) continue;
      megaflow.packets += packets;
      megaflow.bytes += bytes;
      megaflow.tcpFlags |= tcpFlags;
      if (usedMs > megaflow.usedMs) megaflow.usedMs = usedMs;
      const { sinks, effects } = outcome;
      for (let i = 0; i < sinks.length; i++) sinks[i]!.credit(packets, bytes, usedMs);
      if (packets > 0 && effects.length > 0) this.#hooks.apply(effects, usedMs);
    }
  };
}

/** A share of all megaflows; when more than this are stale, going over all is simpler. */
const MOST = 0.5;
/** Classes of idle time that a sweep tells apart. */
const AGES = 512;
/** The share of the limit that a sweep makes room for at most. */
const MOST_EVICTED = 1 / 8;
/** How long a megaflow that no packet has hit but the one it was made for counts as new: the second may take its time
 *  where many wait. */
const NEW_MS = 1000;
/** The share of the limit that new ones may have, where others would have to go for them. */
const MOST_NEW = 1 / 4;
/** Sorts of megaflows. */
const USED = 0;
const NEW = 1;
const DISUSED = 2;
const SORTS = [USED, NEW, DISUSED];
/** Megaflows looked at before others have their turn; and how many looks a removal costs. */
const SWEEP_TURN = 10_000;
const REMOVAL = 20;

/** Of a sort: all that are older than `age` go, and so many of that age. */
interface Share {
  readonly age: number;
  ofThatAge: number;
}

/** Which of the megaflows go, `excess` in all: first those that no packet has hit for a while, then what there is too much
 *  of what is new, then those that are used, then the rest. So a scan displaces its own flows, except for a share, and
 *  a new population takes the places of one that has gone. `ages`: of each sort, how many there are of each age. */
function shares(excess: number, ages: readonly Uint32Array[], limit: number): Share[] {
  const counts = ages.map((ofAge) => ofAge.reduce((sum, count) => sum + count, 0));
  const tooNew = Math.max(0, counts[NEW]! - Math.floor(limit * MOST_NEW));
  const going = [0, 0, 0];
  let left = excess;
  const take = (sort: number, most: number): void => {
    const count = Math.min(left, most);
    going[sort]! += count;
    left -= count;
  };
  take(DISUSED, counts[DISUSED]!);
  take(NEW, tooNew);
  take(USED, counts[USED]!);
  take(NEW, counts[NEW]! - tooNew);
  return SORTS.map((sort) => {
    let age = AGES - 1;
    let ofThatAge = going[sort]!;
    while (age > 0 && ages[sort]![age]! < ofThatAge) ofThatAge -= ages[sort]![age--]!;
    return { age, ofThatAge };
  });
}
