import type { OdpAction } from "../dpif/actions.js";
import type { DpFlow, Dpif, FlowStatsBatch, FlowStatsDelta } from "../dpif/dpif.js";
import { DP_LANES, type FlowKey, type FlowMask, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { coversMask, equalMasked } from "../flow/mask.js";
import { LookupIndex, type TableChange } from "./lookup-index.js";
import { MaskPool, type PooledMask } from "./mask-pool.js";
import { type Megaflow, MegaflowTable, NONE } from "./megaflow-table.js";
import { type Outcome, outcomeOf, sameList, sameOutcome, sameTables } from "./outcome.js";
import type { Effect } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";

export interface MegaflowHooks {
  /** What should be done with this packet now; undefined when it has no place any more (its port is gone). The mask's
   *  memory is used again by the next. */
  translate(key: FlowKey): XlateResult | undefined;
  /** The numbers that the actions hold are in use, or no longer. */
  ref(actions: readonly OdpAction[]): void;
  unref(actions: readonly OdpAction[]): void;
  apply(effects: readonly Effect[], usedMs: number): void;
}

const NO_OUTCOME: Outcome = { actions: [], sinks: [], effects: [], lookups: [], macLookups: [] };
/** All that the datapath knows of a packet. */
const EXACT: FlowMask = newFlowKey().fill(0xffff_ffff, 0, DP_LANES);

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
  readonly #table = new MegaflowTable();
  /** By ids that are no more, the outcomes that counts of them are for: of each round of statistics, the one under way
   *  last. */
  readonly #retired: Map<number, Outcome>[] = [new Map()];
  readonly #masks = new MaskPool();
  /** The outcome that came last: many have the same, and share it; or its actions. */
  #recent: Outcome = NO_OUTCOME;
  /** Slots, as those below. */
  readonly #byMac = new Map<string, Set<number>>();
  readonly #stale = new Set<number>();
  /** Goes on through #stale, as it grows: to begin anew for each would pass by all that were taken out. */
  #staleOrder: Iterator<number> | undefined;
  /** Memory for a key that is looked at. */
  readonly #key = newFlowKey();
  readonly #lookups = new LookupIndex((slot) =>
    ownFlow(this.#table.keys.read(slot, this.#key), this.#table.inPorts[slot]!),
  );
  /** All may be untrue, since the pass under way began. */
  #allChanged = false;
  /** Where the pass under way is. */
  #pass = NONE;
  #passes = 0;
  /** Installations asked for since the last sweep. */
  #demand = 0;
  /** Put in by hand since the last sweep, and whether each may stay where it is true. */
  readonly #byHand = new Map<number, boolean>();
  /** Whether a megaflow is of packets like the one that it was made for, or of those with the same headers alone. */
  areWide = true;
  limit: number;
  readonly counters = { installed: 0, overLimit: 0, revalidated: 0, changed: 0, expired: 0, evicted: 0 };

  constructor(dpif: Dpif, hooks: MegaflowHooks, limit: number) {
    this.#dpif = dpif;
    this.#hooks = hooks;
    this.limit = limit;
    dpif.events.on("stats", this.#onStats);
  }

  get size(): number {
    return this.#table.size;
  }

  *[Symbol.iterator](): IterableIterator<Megaflow> {
    const table = this.#table;
    for (let slot = 0; slot < table.end; slot++) if (table.ids[slot] !== 0) yield table.get(slot);
  }

  close(): void {
    this.#dpif.events.off("stats", this.#onStats);
  }

  /** Caches a translation made just now. */
  install(key: FlowKey, in_port: number, result: XlateResult, nowMs: number): void {
    const mask = this.#masks.of(this.areWide ? result.mask : EXACT);
    const hash = mask.hashOf(key);
    const same = this.#table.find(key, mask, hash);
    if (same !== NONE) {
      this.#update(same, result);
      return;
    }
    this.#demand++;
    if (this.#table.size >= this.limit || !this.#table.hasRoom) {
      this.counters.overLimit++;
      return;
    }
    this.#put(key, in_port, mask, hash, this.#shared(result), nowMs);
    this.counters.installed++;
  }

  /** Puts one in as somebody wants it, with `result`, what is translated of its key, to say for whom it counts. The next
   *  sweep has it translated as all are; or takes it out, unless it may stay. 0: there is no room. */
  putByHand(
    { key, mask, actions }: Omit<DpFlow, "id">,
    in_port: number,
    result: XlateResult | undefined,
    mayStay: boolean,
    nowMs: number,
  ): number {
    if (this.#table.size >= this.limit || !this.#table.hasRoom) return 0;
    const outcome = result ? outcomeOf(result, NO_OUTCOME, NO_OUTCOME) : NO_OUTCOME;
    const pooled = this.#masks.of(mask);
    const slot = this.#put(key, in_port, pooled, pooled.hashOf(key), { ...outcome, actions }, nowMs);
    const id = this.#table.ids[slot]!;
    this.#byHand.set(id, mayStay);
    return id;
  }

  /** Gives one other actions, until it is next translated. */
  setActions(id: number, actions: readonly OdpAction[]): void {
    const slot = this.#table.slotOf(id);
    if (slot === NONE) return;
    const mayStay = this.#byHand.get(id);
    this.#become(slot, { ...this.#table.outcomes[slot]!, actions });
    if (mayStay === undefined) return;
    this.#byHand.delete(id);
    this.#byHand.set(this.#table.ids[slot]!, mayStay);
  }

  /** Begins anew the counts of the one that has this id or had it before: those of the rules go on. */
  clearCounts(id: number): void {
    const slot = this.#table.ownerOf(id);
    if (slot === NONE) return;
    this.#table.packets[slot] = 0;
    this.#table.bytes[slot] = 0;
    this.#table.tcpFlags[slot] = 0;
  }

  /** Those that a packet of this flow could meet. */
  *metBy(key: FlowKey): IterableIterator<Megaflow> {
    const table = this.#table;
    for (let slot = 0; slot < table.end; slot++) {
      if (table.ids[slot] === 0) continue;
      if (equalMasked(table.keys.read(slot, this.#key), key, table.masks[slot]!.bits)) yield table.get(slot);
    }
  }

  /** The one that has this id or had it before: other actions give it another. */
  byId(id: number): Megaflow | undefined {
    const slot = this.#table.ownerOf(id);
    return slot === NONE || id > this.#table.ids[slot]! ? undefined : this.#table.get(slot);
  }

  /** Anything may have changed. */
  changed(): void {
    // Nobody would look, and nothing that comes later is told of: of what is translated from now on all is true.
    if (this.#table.size === 0) return;
    this.#allChanged = true;
    this.#stale.clear();
  }

  /** So many rules are about to change: when they are as many as megaflows, to ask for each whom it concerns takes
   *  longer than to go over all. */
  rulesChange(count: number): void {
    if (count > 1 && count >= this.#table.size) this.changed();
  }

  /** Whether it matters which rule changes: some megaflow is not yet known to be doubtful. */
  get wantsChanges(): boolean {
    return this.#table.size > 0 && !this.#allChanged;
  }

  /** A rule has changed. */
  ruleChanged(change: TableChange): void {
    if (!this.wantsChanges) return;
    this.#lookups.forEach(change, this.#markStale);
    if (this.#stale.size > this.#table.size * MOST) this.changed();
  }

  readonly #markStale = (slot: number): void => {
    this.#stale.add(slot);
  };

  /** A place in a MAC table has changed. */
  macChanged(tag: string): void {
    for (const slot of this.#byMac.get(tag) ?? []) this.#stale.add(slot);
  }

  /** Whether some megaflow may be untrue. */
  get isStale(): boolean {
    return this.#stale.size > 0 || this.#pass !== NONE || this.#allChanged;
  }

  /** Makes stale megaflows true, up to about `budget` translations. */
  revalidate(budget: number): void {
    let left = budget;
    while (left > 0) {
      const stale = this.#takeStale();
      if (stale !== NONE) {
        this.#revalidateOne(stale);
        left--;
        continue;
      }
      if (this.#pass === NONE && !this.#beginPass()) return;
      const slot = this.#pass;
      if (slot >= this.#table.end) {
        this.#pass = NONE;
        continue;
      }
      this.#pass++;
      if (this.#table.ids[slot] === 0 || this.#table.passes[slot] === this.#passes) continue;
      this.#table.passes[slot] = this.#passes;
      this.#revalidateOne(slot);
      left--;
    }
  }

  #takeStale(): number {
    if (this.#stale.size === 0) return NONE;
    this.#staleOrder ??= this.#stale.values();
    const next = this.#staleOrder.next();
    if (next.done) {
      this.#staleOrder = undefined;
      return this.#takeStale();
    }
    this.#stale.delete(next.value);
    return next.value;
  }

  #beginPass(): boolean {
    if (!this.#allChanged) return false;
    this.#allChanged = false;
    this.#passes++;
    this.#pass = 0;
    return true;
  }

  /** Takes out what has not been used for `maxIdle` ms; then, near the limit, as many as have to make room for new ones
   *  (`shares`), the least recently used of each sort first. Yields now and then, for others to have their turn. Counts
   *  should be current. */
  *sweep(nowMs: number, maxIdle: number): Generator<void> {
    const demand = this.#demand;
    this.#demand = 0;
    const table = this.#table;
    this.#doubtHandMade();
    const ages = SORTS.map(() => new Uint32Array(AGES));
    const ageOf = (slot: number): number =>
      Math.min(Math.max(Math.floor(((nowMs - table.usedMs[slot]!) * AGES) / maxIdle), 0), AGES - 1);
    const sortOf = (slot: number): number =>
      table.packets[slot]! > 0 ? USED : table.createdMs[slot]! > nowMs - NEW_MS ? NEW : DISUSED;
    let turn = 0;
    for (let slot = 0; slot < table.end; slot++) {
      if (table.ids[slot] === 0) continue;
      if (table.usedMs[slot]! > nowMs - maxIdle) ages[sortOf(slot)]![ageOf(slot)]!++;
      else {
        this.#remove(slot);
        this.counters.expired++;
        turn += REMOVAL;
      }
      if (++turn >= SWEEP_TURN) {
        turn = 0;
        yield;
      }
    }
    const room = Math.min(demand, Math.ceil(this.limit * MOST_EVICTED));
    const excess = table.size + room - this.limit;
    if (excess <= 0) return;
    const going = shares(excess, ages, this.limit);
    for (let slot = 0; slot < table.end; slot++) {
      if (table.ids[slot] === 0) continue;
      const sort = going[sortOf(slot)]!;
      const age = ageOf(slot);
      if (age > sort.age || (age === sort.age && sort.ofThatAge-- > 0)) {
        this.#remove(slot);
        this.counters.evicted++;
        turn += REMOVAL;
      }
      if (++turn >= SWEEP_TURN) {
        turn = 0;
        yield;
      }
    }
  }

  /** Nobody vouches for those that were put in by hand. */
  #doubtHandMade(): void {
    for (const [id, mayStay] of this.#byHand) {
      const slot = this.#table.slotOf(id);
      if (slot === NONE) continue;
      if (mayStay) this.#stale.add(slot);
      else this.#remove(slot);
    }
    this.#byHand.clear();
  }

  /** Takes one out, whose packets bring it back; whether it was there. */
  delete(id: number): boolean {
    this.#byHand.delete(id);
    const slot = this.#table.slotOf(id);
    if (slot !== NONE) this.#remove(slot);
    return slot !== NONE;
  }

  flush(): void {
    this.#byHand.clear();
    for (let slot = 0; slot < this.#table.end; slot++) if (this.#table.ids[slot] !== 0) this.#remove(slot);
  }

  /** Whether the datapath may hold counts that are not here. */
  get isCounting(): boolean {
    return this.#table.size > 0 || this.#retired.some(({ size }) => size > 0);
  }

  /** Makes every count current. */
  async syncStats(): Promise<void> {
    const last = this.#retired.at(-1)!;
    const isOver = last.size > 0;
    if (isOver) this.#retired.push(new Map());
    await this.#dpif.syncStats();
    // What was retired before has all its counts; another call may have said so already.
    const settled = Math.max(0, this.#retired.indexOf(last) + (isOver ? 1 : 0));
    for (const outcomes of this.#retired.splice(0, settled))
      for (const { actions } of outcomes.values()) this.#hooks.unref(actions);
  }

  #revalidateOne(slot: number): void {
    this.counters.revalidated++;
    const result = this.#hooks.translate(this.#table.keys.read(slot, this.#key));
    if (result) this.#update(slot, result);
    else this.#remove(slot);
  }

  /** Makes a megaflow what `result` says. */
  #update(slot: number, result: XlateResult): void {
    const narrows = !coversMask(this.#table.masks[slot]!.bits, result.mask);
    if (!result.isUnsettled && !narrows && sameOutcome(this.#table.outcomes[slot]!, result)) return;
    this.counters.changed++;
    if (narrows || result.isUnsettled) this.#remove(slot);
    else this.#become(slot, this.#shared(result, this.#table.outcomes[slot]));
  }

  /** Gives a megaflow another outcome. */
  #become(slot: number, outcome: Outcome): void {
    const table = this.#table;
    const old = table.ids[slot]!;
    const before = table.outcomes[slot]!;
    this.#retire(slot);
    const id = table.rename(slot);
    table.outcomes[slot] = outcome;
    if (!sameTables(before.lookups, outcome.lookups)) {
      this.#lookups.remove(table.lookups[slot]!);
      this.#indexLookups(slot);
    }
    if (!sameList(before.macLookups, outcome.macLookups)) {
      this.#unindexMacs(slot, before);
      this.#indexMacs(slot);
    }
    this.#hooks.ref(outcome.actions);
    this.#dpif.flowReplace(old, id, outcome.actions);
  }

  #put(
    key: FlowKey,
    in_port: number,
    pooled: PooledMask,
    hash: number,
    outcome: Outcome,
    nowMs: number,
  ): number {
    this.#masks.acquire(pooled);
    const slot = this.#table.add(key, pooled, hash, outcome, in_port, this.#passes, nowMs);
    this.#indexLookups(slot);
    this.#indexMacs(slot);
    this.#hooks.ref(outcome.actions);
    this.#dpif.flowPut({ id: this.#table.ids[slot]!, key, mask: pooled.bits, actions: outcome.actions });
    return slot;
  }

  #remove(slot: number): void {
    const table = this.#table;
    const id = table.ids[slot]!;
    this.#retire(slot);
    this.#lookups.remove(table.lookups[slot]!);
    this.#unindexMacs(slot, table.outcomes[slot]!);
    this.#masks.release(table.masks[slot]!);
    this.#stale.delete(slot);
    table.remove(slot);
    this.#dpif.flowDel(id);
  }

  /** Its id is no longer its own; counts that come for it still are for who had it. */
  #retire(slot: number): void {
    const { ids, outcomes } = this.#table;
    this.#retired.at(-1)!.set(ids[slot]!, outcomes[slot]!);
  }

  #retiredOf(id: number): Outcome | undefined {
    for (const outcomes of this.#retired) {
      const outcome = outcomes.get(id);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  /** The outcome to keep, in place of `before` where there is such. */
  #shared(result: XlateResult, before = this.#recent): Outcome {
    const recent = this.#recent;
    if (sameOutcome(recent, result)) return recent;
    this.#recent = outcomeOf(result, before, recent);
    return this.#recent;
  }

  #indexLookups(slot: number): void {
    const { outcomes, masks, lookups } = this.#table;
    lookups[slot] = this.#lookups.add(slot, outcomes[slot]!.lookups, masks[slot]!.known);
  }

  #indexMacs(slot: number): void {
    for (const tag of this.#table.outcomes[slot]!.macLookups) {
      const asking = this.#byMac.get(tag);
      if (asking) asking.add(slot);
      else this.#byMac.set(tag, new Set([slot]));
    }
  }

  #unindexMacs(slot: number, outcome: Outcome): void {
    for (const tag of outcome.macLookups) {
      const asking = this.#byMac.get(tag);
      asking?.delete(slot);
      if (asking?.size === 0) this.#byMac.delete(tag);
    }
  }

  readonly #onStats = (batch: FlowStatsBatch): void => batch.forEach(this.#credit);

  readonly #credit = ({ id, packets, bytes, usedMs, tcpFlags }: FlowStatsDelta): void => {
    const table = this.#table;
    const slot = table.ownerOf(id);
    const isCurrent = slot !== NONE && table.ids[slot] === id;
    const outcome = isCurrent ? table.outcomes[slot] : this.#retiredOf(id);
    if (outcome === undefined) return;
    if (slot !== NONE) {
      table.packets[slot]! += packets;
      table.bytes[slot]! += bytes;
      table.tcpFlags[slot]! |= tcpFlags;
      if (usedMs > table.usedMs[slot]!) table.usedMs[slot] = usedMs;
    }
    const { sinks, effects } = outcome;
    for (let i = 0; i < sinks.length; i++) sinks[i]!.credit(packets, bytes, usedMs);
    if (packets > 0 && effects.length > 0) this.#hooks.apply(effects, usedMs);
  };
}

/** Makes a megaflow's key, in `flow`, the flow that its first lookups saw: with the bridge's port number, and nothing
 *  yet in the pipeline's own fields. */
function ownFlow(flow: FlowKey, in_port: number): FlowKey {
  flow[LANE_IN_PORT] = in_port;
  flow[LANE_RECIRC_ID] = 0;
  flow.fill(0, DP_LANES);
  return flow;
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
