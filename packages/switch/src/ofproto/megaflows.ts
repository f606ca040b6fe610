import type { OdpAction } from "../dpif/actions.js";
import type { Dpif, FlowStatsDelta } from "../dpif/dpif.js";
import type { FlowKey, FlowMask } from "../flow/flow-key.js";
import { andInto, coversMask, equalKeys, hashLanes } from "../flow/mask.js";
import type { Sink } from "./sink.js";
import type { Effect } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";

/** What the datapath has been given, and on whose account. */
export interface Megaflow {
  readonly id: number;
  /** The packet that it was made for, whole: it is translated again when something changes. */
  readonly key: FlowKey;
  readonly mask: FlowMask;
  readonly actions: readonly OdpAction[];
  readonly sinks: readonly Sink[];
  readonly effects: readonly Effect[];
  readonly hash: number;
  generation: number;
  readonly createdMs: number;
  usedMs: number;
  packets: number;
  bytes: number;
  tcpFlags: number;
}

export interface MegaflowHooks {
  /** What should be done with this packet now; undefined when it has no place any more (its port is gone). */
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
 *  **Revalidation.** Every change raises `#generation`. A megaflow of an older generation is translated again from
 *  the packet it was made for; where the outcome is the same it stays, else it is taken out and put in anew under
 *  another id, so that counts from before the change go to whom they belong. A new outcome whose mask looks at more
 *  than the old one takes the megaflow out for good: its other packets come up again, each for itself.
 *
 *  **Invariants.** Two megaflows never have the same masked key and mask. A retired one is known until the
 *  datapath's last counts for it have arrived. Bounded by `limit`: beyond it packets are translated one by one. */
export class Megaflows implements Iterable<Megaflow> {
  readonly #dpif: Dpif;
  readonly #hooks: MegaflowHooks;
  readonly #byId = new Map<number, Megaflow>();
  readonly #byHash = new Map<number, Megaflow[]>();
  readonly #retired = new Map<number, Megaflow>();
  #nextId = 1;
  #generation = 0;
  /** Where the walk over stale megaflows stands. */
  #walk: Iterator<Megaflow> | undefined;
  #walkGeneration = 0;
  limit: number;
  readonly counters = { installed: 0, overLimit: 0, revalidated: 0, changed: 0, expired: 0 };

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
  install(key: FlowKey, result: XlateResult, nowMs: number): void {
    const same = this.#find(key, result.mask);
    if (same) {
      this.#update(same, result);
      return;
    }
    if (this.#byId.size >= this.limit) {
      this.counters.overLimit++;
      return;
    }
    this.#put(key, result, nowMs, nowMs);
    this.counters.installed++;
  }

  /** Something that translations depend on has changed. */
  changed(): void {
    this.#generation++;
  }

  /** Translates up to `budget` stale megaflows again; says whether some are left. */
  revalidate(budget: number): boolean {
    for (let left = budget; left > 0; left--) {
      if (!this.#walk) {
        if (this.#walkGeneration === this.#generation) return false;
        this.#walkGeneration = this.#generation;
        this.#walk = this.#byId.values();
      }
      const next = this.#walk.next();
      if (next.done) this.#walk = undefined;
      else if (next.value.generation !== this.#generation) this.#revalidateOne(next.value);
    }
    return this.#walk !== undefined || this.#walkGeneration !== this.#generation;
  }

  revalidateAll(): void {
    while (this.revalidate(Number.MAX_SAFE_INTEGER)) {
      // A change made meanwhile starts another round.
    }
  }

  /** Takes out what has not been used since `beforeMs`. */
  expire(beforeMs: number): void {
    for (const megaflow of [...this.#byId.values()]) {
      if (megaflow.usedMs > beforeMs) continue;
      this.#remove(megaflow);
      this.counters.expired++;
    }
  }

  flush(): void {
    for (const megaflow of [...this.#byId.values()]) this.#remove(megaflow);
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
    megaflow.generation = this.#generation;
    const narrows = !coversMask(megaflow.mask, result.mask);
    if (
      !narrows &&
      sameActions(megaflow.actions, result.actions) &&
      sameList(megaflow.sinks, result.sinks) &&
      sameEffects(megaflow.effects, result.effects)
    )
      return;
    this.counters.changed++;
    this.#remove(megaflow);
    if (narrows) return;
    const mask = megaflow.mask;
    this.#put(megaflow.key, { ...result, mask }, megaflow.createdMs, megaflow.usedMs);
  }

  #put(key: FlowKey, result: XlateResult, createdMs: number, usedMs: number): void {
    const { mask, actions, sinks, effects } = result;
    const megaflow: Megaflow = {
      id: this.#nextId++,
      key,
      mask,
      actions,
      sinks,
      effects,
      hash: hashOf(key, mask),
      generation: this.#generation,
      createdMs,
      usedMs,
      packets: 0,
      bytes: 0,
      tcpFlags: 0,
    };
    this.#byId.set(megaflow.id, megaflow);
    const bucket = this.#byHash.get(megaflow.hash);
    if (bucket) bucket.push(megaflow);
    else this.#byHash.set(megaflow.hash, [megaflow]);
    this.#hooks.ref(actions);
    this.#dpif.flowPut({ id: megaflow.id, key, mask, actions });
  }

  #remove(megaflow: Megaflow): void {
    this.#byId.delete(megaflow.id);
    const bucket = this.#byHash.get(megaflow.hash)!.filter((other) => other !== megaflow);
    if (bucket.length > 0) this.#byHash.set(megaflow.hash, bucket);
    else this.#byHash.delete(megaflow.hash);
    this.#retired.set(megaflow.id, megaflow);
    this.#dpif.flowDel(megaflow.id);
  }

  #bury(id: number): void {
    const megaflow = this.#retired.get(id);
    if (!megaflow) return;
    this.#retired.delete(id);
    this.#hooks.unref(megaflow.actions);
  }

  #find(key: FlowKey, mask: FlowMask): Megaflow | undefined {
    return this.#byHash
      .get(hashOf(key, mask))
      ?.find((other) => equalKeys(other.mask, mask) && agree(other.key, key, mask));
  }

  readonly #onStats = (batch: readonly FlowStatsDelta[]): void => {
    for (const { id, packets, bytes, usedMs, tcpFlags } of batch) {
      const megaflow = this.#byId.get(id) ?? this.#retired.get(id);
      if (!megaflow) continue;
      megaflow.packets += packets;
      megaflow.bytes += bytes;
      megaflow.tcpFlags |= tcpFlags;
      if (usedMs > megaflow.usedMs) megaflow.usedMs = usedMs;
      for (const sink of megaflow.sinks) sink.credit(packets, bytes, usedMs);
      if (packets > 0) this.#hooks.apply(megaflow.effects, usedMs);
    }
  };
}

const masked = new Uint32Array(64);

function hashOf(key: FlowKey, mask: FlowMask): number {
  andInto(masked, key, mask);
  return hashLanes(masked) ^ hashLanes(mask);
}

const agree = (a: FlowKey, b: FlowKey, mask: FlowMask): boolean =>
  mask.every((bits, lane) => ((a[lane]! ^ b[lane]!) & bits) === 0);

const sameList = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

function sameEffects(a: readonly Effect[], b: readonly Effect[]): boolean {
  return a.length === b.length && a.every((effect, i) => sameEffect(effect, b[i]!));
}

function sameEffect(a: Effect, b: Effect): boolean {
  if (a.type !== "mac" || b.type !== "mac") return false;
  return (
    a.heard.port === b.heard.port &&
    a.heard.mac === b.heard.mac &&
    a.heard.vlan === b.heard.vlan &&
    a.heard.bridge === b.heard.bridge
  );
}

export function sameActions(a: readonly OdpAction[], b: readonly OdpAction[]): boolean {
  return a === b || (a.length === b.length && a.every((action, i) => sameValue(action, b[i])));
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
