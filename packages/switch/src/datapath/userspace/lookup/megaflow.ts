// Hot path: `lookup` and `count`. Nothing is allocated, nothing throws.

import type { FlowKey, FlowMask } from "../../../flow/flow-key.js";
import { grown } from "../../../flow/grown.js";
import type { Op } from "../actions/ops.js";
import { NO_PROGRAM, type Programs } from "../actions/programs.js";
import type { PackedCounts } from "./counts.js";
import {
  BYTES,
  COUNTS,
  FlowRecords,
  GENERATION,
  ID,
  LISTED,
  PACKETS,
  PROGRAM,
  TCP_FLAGS,
  USED,
  WORDS,
} from "./flow-records.js";
import { Smc } from "./smc.js";
import { TupleSpace } from "./tuple-space.js";

const NONE = -1;

/** Slots that there is memory for at first; more make it grow, in one go. */
const FIRST_SLOTS = 64;

/** The megaflows: masked keys in one hash table for each mask. Those that overlap lead to the same actions (the
 *  dpif's contract), so the first that is found is as good as any.
 *
 *  A flow lives in a slot that the caller chooses; what is kept of it lies in the slot's record. A slot's generation
 *  changes whenever what a cache may have remembered of it stops being true.
 *
 *  **Counts.** Slots with counts are listed. They are packed some at a time, from the list as it was when that began:
 *  what is counted meanwhile is listed anew. */
export class Megaflows {
  /** Changes whenever a lookup may find something else than before. */
  version = 0;
  size = 0;

  readonly #programs: Programs;
  readonly #records: FlowRecords;
  /** The records' memory. */
  #counts: Float64Array;
  #words: Int32Array;
  readonly #tuples: TupleSpace;
  readonly #smc: Smc;
  /** Slots with counts that have not been packed yet, each listed once; and those of them that are being packed. */
  #touched: Int32Array;
  #touchedCount = 0;
  #packing: Int32Array;
  #packingCount = 0;
  #packed = 0;

  /** `reserved`: slots that memory is taken for now. Without, it is taken as there are more. */
  constructor(programs: Programs, reserved?: number) {
    const slots = reserved ?? FIRST_SLOTS;
    this.#programs = programs;
    this.#records = new FlowRecords(slots, reserved !== undefined);
    this.#smc = new Smc(reserved);
    this.#counts = this.#records.counts;
    this.#words = this.#records.words;
    this.#tuples = new TupleSpace(this.#records);
    this.#touched = new Int32Array(slots);
    this.#packing = new Int32Array(slots);
  }

  get masks(): number {
    return this.#tuples.masks;
  }

  /** Lookups that went through the masks, and the masks that they tried. */
  get lookups(): number {
    return this.#tuples.lookups;
  }

  get probes(): number {
    return this.#tuples.probes;
  }

  /** Those of them that were tried in lookups that found a flow. */
  get hitProbes(): number {
    return this.#tuples.hitProbes;
  }

  /** Installs a flow in a slot that is free. A newer one takes the place of an equal one, which stays until its owner
   *  deletes it. */
  put(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void {
    this.version++;
    while (slot >= this.#touched.length) this.#grow();
    this.#smc.fit(++this.size);
    this.#counts[slot * COUNTS + ID] = id;
    this.#words[slot * WORDS + PROGRAM] = program;
    this.#tuples.insert(slot, key, mask);
  }

  /** Gives the flow in a slot another id and other actions. Its last counts, if any, go to `counts`. */
  replace(slot: number, id: number, program: number, counts: PackedCounts): void {
    this.#take(slot, counts);
    this.#counts[slot * COUNTS + ID] = id;
    this.#words[slot * WORDS + PROGRAM] = program;
  }

  /** Removes the flow in a slot. Its last counts, if any, go to `counts`. */
  remove(slot: number, counts: PackedCounts): void {
    this.version++;
    this.#take(slot, counts);
    this.size--;
    this.#words[slot * WORDS + PROGRAM] = NO_PROGRAM;
    this.#tuples.remove(slot);
  }

  /** The slot where the signature-match cache has the flow of a key with this hash, or -1. It may be another's. */
  candidate(hash: number): number {
    return this.#smc.candidate(hash);
  }

  /** Has the processor fetch what is read of a slot, and waits for nothing. What it gives has no meaning. */
  touch(slot: number): number {
    return this.#records.touch(slot);
  }

  /** Whether there is a flow in the slot that matches. */
  matches(slot: number, key: FlowKey): boolean {
    return this.#records.matches(slot, key);
  }

  /** The slot of a flow that matches, by the masks, or -1. `hash`: of the key, for the cache to remember. */
  lookup(key: FlowKey, hash: number): number {
    const slot = this.#tuples.find(key);
    if (slot !== NONE) this.#smc.insert(hash, slot, this.#tuples.tried);
    return slot;
  }

  ops(slot: number): readonly Op[] {
    return this.#programs.ops(this.#words[slot * WORDS + PROGRAM]!);
  }

  generation(slot: number): number {
    return this.#words[slot * WORDS + GENERATION]!;
  }

  /** Counts a packet of a flow; `time` has the clock's ms in its first place. */
  count(slot: number, bytes: number, time: Float64Array, tcpFlags: number): void {
    const counts = this.#counts;
    const at = slot * COUNTS;
    const words = this.#words;
    const wordsAt = slot * WORDS;
    if (words[wordsAt + LISTED] === 0) {
      words[wordsAt + LISTED] = 1;
      this.#touched[this.#touchedCount++] = slot;
    }
    counts[at + PACKETS]! += 1;
    counts[at + BYTES]! += bytes;
    counts[at + USED] = time[0]!;
    if (tcpFlags !== 0) words[wordsAt + TCP_FLAGS]! |= tcpFlags;
  }

  get hasCounts(): boolean {
    return this.#touchedCount > 0 || this.#packed < this.#packingCount;
  }

  /** Begins to pack the counts of all flows that have any; what was begun has to be at its end. */
  beginPacking(): void {
    const packing = this.#touched;
    this.#touched = this.#packing;
    this.#packing = packing;
    this.#packingCount = this.#touchedCount;
    this.#touchedCount = 0;
    this.#packed = 0;
  }

  /** Goes on with at most so many; whether that is all. */
  pack(limit: number, counts: PackedCounts): boolean {
    const end = Math.min(this.#packed + limit, this.#packingCount);
    for (; this.#packed < end; this.#packed++) {
      const slot = this.#packing[this.#packed]!;
      this.#words[slot * WORDS + LISTED] = 0;
      this.#take(slot, counts);
    }
    return this.#packed === this.#packingCount;
  }

  #take(slot: number, counts: PackedCounts): void {
    const at = slot * COUNTS;
    const own = this.#counts;
    const packets = own[at + PACKETS]!;
    if (packets === 0) return;
    counts.add(
      own[at + ID]!,
      packets,
      own[at + BYTES]!,
      own[at + USED]!,
      this.#words[slot * WORDS + TCP_FLAGS]!,
    );
    own[at + PACKETS] = 0;
    own[at + BYTES] = 0;
    this.#words[slot * WORDS + TCP_FLAGS] = 0;
  }

  #grow(): void {
    this.#records.grow();
    this.#counts = this.#records.counts;
    this.#words = this.#records.words;
    this.#touched = grown(this.#touched, this.#records.slots);
    this.#packing = grown(this.#packing, this.#records.slots);
  }
}
