// Hot path: per new flow nothing is allocated but where there are more than ever before.
import { type FlowKey, type FlowMask, newFlowKey } from "../flow/flow-key.js";
import { grown } from "../flow/grown.js";
import { KeyStore } from "../flow/key-store.js";
import { NO_LOOKUP } from "./lookup-index.js";
import type { PooledMask } from "./mask-pool.js";
import type { Outcome } from "./outcome.js";

/** Slots that there may be: an id tells its slot by what is left when it is divided by this. */
export const MAX_SLOTS = 2 ** 20;
/** No slot. */
export const NONE = -1;
const FIRST_SLOTS = 256;

/** A megaflow as it is when it is asked for. */
export interface Megaflow {
  readonly id: number;
  /** The first id that it had. */
  readonly birth: number;
  /** The packet that it was made for, whole: it is translated again when something changes. */
  readonly key: FlowKey;
  readonly mask: FlowMask;
  readonly outcome: Outcome;
  readonly packets: number;
  readonly bytes: number;
  readonly tcpFlags: number;
  readonly createdMs: number;
  readonly usedMs: number;
}

/** # Megaflows in columns
 *
 *  **What.** What there is of each megaflow, by slot, and by masked key.
 *
 *  **Why.** There are hundreds of thousands of them, tens of thousands new in a second: as objects they would be copied by
 *  the collector of garbage, twice each, and searched through later; what finds them by maps of the language would be
 *  built anew, as a whole, whenever there are twice as many.
 *
 *  **Invariants.** A slot is taken while its id is not 0. No id is ever given twice. A column has room for `end` slots. */
export class MegaflowTable {
  size = 0;
  /** All slots that were ever taken are below. */
  end = 0;
  readonly keys = new KeyStore();
  ids = new Float64Array(FIRST_SLOTS);
  /** Whose each slot is: the first id that a megaflow had. */
  births = new Float64Array(FIRST_SLOTS);
  readonly outcomes: (Outcome | undefined)[] = [];
  readonly masks: (PooledMask | undefined)[] = [];
  /** The OpenFlow number of the port it came in by. */
  inPorts = new Uint32Array(FIRST_SLOTS);
  /** Its lookups, as the index has them. */
  lookups = new Int32Array(FIRST_SLOTS);
  /** The pass in which it was last found true. */
  passes = new Int32Array(FIRST_SLOTS);
  createdMs = new Float64Array(FIRST_SLOTS);
  usedMs = new Float64Array(FIRST_SLOTS);
  packets = new Float64Array(FIRST_SLOTS);
  bytes = new Float64Array(FIRST_SLOTS);
  tcpFlags = new Uint16Array(FIRST_SLOTS);
  /** How many ids each slot has had. */
  #turns = new Float64Array(FIRST_SLOTS);
  #hashes = new Int32Array(FIRST_SLOTS);
  /** The next of the same bucket; and the first of each bucket. */
  #nexts = new Int32Array(FIRST_SLOTS);
  #buckets = new Int32Array(FIRST_SLOTS).fill(NONE);
  readonly #free: number[] = [];

  /** Whether there is a slot left. */
  get hasRoom(): boolean {
    return this.size < MAX_SLOTS;
  }

  /** The slot of the megaflow that has this masked key, whose hash is `hash`. */
  find(key: FlowKey, mask: PooledMask, hash: number): number {
    let slot = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (
      slot !== NONE &&
      !(
        this.#hashes[slot] === hash &&
        this.masks[slot] === mask &&
        this.keys.agrees(slot, key, mask.bits, mask.lanes)
      )
    )
      slot = this.#nexts[slot]!;
    return slot;
  }

  /** The slot of the megaflow that has this id now. */
  slotOf(id: number): number {
    const slot = id % MAX_SLOTS;
    return slot < this.end && this.ids[slot] === id ? slot : NONE;
  }

  /** The slot of the megaflow that has this id or had it before. */
  ownerOf(id: number): number {
    const slot = id % MAX_SLOTS;
    const birth = slot < this.end ? this.births[slot]! : 0;
    // Those that a slot's megaflow has follow each other.
    return birth !== 0 && birth <= id ? slot : NONE;
  }

  /** Gives the slot of a new one. */
  add(
    key: FlowKey,
    mask: PooledMask,
    hash: number,
    outcome: Outcome,
    in_port: number,
    pass: number,
    nowMs: number,
  ): number {
    const slot = this.#free.pop() ?? this.end++;
    if (slot === this.ids.length) this.#grow();
    this.keys.set(slot, key);
    this.births[slot] = this.rename(slot);
    this.outcomes[slot] = outcome;
    this.masks[slot] = mask;
    this.inPorts[slot] = in_port;
    this.lookups[slot] = NO_LOOKUP;
    this.passes[slot] = pass;
    this.createdMs[slot] = nowMs;
    this.usedMs[slot] = nowMs;
    this.packets[slot] = 0;
    this.bytes[slot] = 0;
    this.tcpFlags[slot] = 0;
    this.#hashes[slot] = hash;
    this.#link(slot);
    this.size++;
    return slot;
  }

  /** Gives a megaflow an id that none has had, and returns it. */
  rename(slot: number): number {
    const id = ++this.#turns[slot]! * MAX_SLOTS + slot;
    this.ids[slot] = id;
    return id;
  }

  remove(slot: number): void {
    const bucket = this.#hashes[slot]! & (this.#buckets.length - 1);
    let at = this.#buckets[bucket]!;
    if (at === slot) this.#buckets[bucket] = this.#nexts[slot]!;
    else {
      while (this.#nexts[at] !== slot) at = this.#nexts[at]!;
      this.#nexts[at] = this.#nexts[slot]!;
    }
    this.ids[slot] = 0;
    this.births[slot] = 0;
    this.outcomes[slot] = undefined;
    this.masks[slot] = undefined;
    this.#free.push(slot);
    this.size--;
  }

  get(slot: number): Megaflow {
    return {
      id: this.ids[slot]!,
      birth: this.births[slot]!,
      key: this.keys.read(slot, newFlowKey()),
      mask: this.masks[slot]!.bits,
      outcome: this.outcomes[slot]!,
      packets: this.packets[slot]!,
      bytes: this.bytes[slot]!,
      tcpFlags: this.tcpFlags[slot]!,
      createdMs: this.createdMs[slot]!,
      usedMs: this.usedMs[slot]!,
    };
  }

  #link(slot: number): void {
    const bucket = this.#hashes[slot]! & (this.#buckets.length - 1);
    this.#nexts[slot] = this.#buckets[bucket]!;
    this.#buckets[bucket] = slot;
  }

  #grow(): void {
    const size = 2 * this.ids.length;
    this.ids = grown(this.ids, size);
    this.births = grown(this.births, size);
    this.inPorts = grown(this.inPorts, size);
    this.lookups = grown(this.lookups, size);
    this.passes = grown(this.passes, size);
    this.createdMs = grown(this.createdMs, size);
    this.usedMs = grown(this.usedMs, size);
    this.packets = grown(this.packets, size);
    this.bytes = grown(this.bytes, size);
    this.tcpFlags = grown(this.tcpFlags, size);
    this.#turns = grown(this.#turns, size);
    this.#hashes = grown(this.#hashes, size);
    this.#nexts = grown(this.#nexts, size);
    this.#buckets = new Int32Array(size).fill(NONE);
    for (let slot = 0; slot < this.end; slot++) if (this.ids[slot] !== 0) this.#link(slot);
  }
}
