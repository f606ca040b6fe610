// Hot path: `lookup` and `count`. Nothing is allocated, nothing throws.

import type { DpFlow, FlowStatsDelta } from "../../dpif/dpif.js";
import type { FlowKey } from "../../flow/flow-key.js";
import { MaskTable, maskName } from "./mask-table.js";
import type { Op } from "./ops.js";
import { NO_PROGRAM, Programs } from "./programs.js";

const NONE = -1;
/** Numbers of a flow in packed counts. */
export const STATS_WORDS = 5;
/** Tuple-space lookups after which the masks are put in the order of their use. */
const RESORT_AFTER = 8192;

const FIRST_SLOTS = 64;
/** A slot's record is one line of the processor's cache: its counts, as doubles, then words. */
const COUNTS = 8;
const PACKETS = 0;
const BYTES = 1;
const USED = 2;
const ID = 3;
const WORDS = 2 * COUNTS;
const GENERATION = 8;
const PROGRAM = 9;
const TCP_FLAGS = 10;
/** Whether it is listed as having counts that have not been taken yet. */
const LISTED = 11;
/** Of its key, in the mask's table. */
const HASH = 12;

/** The megaflows: masked keys in one hash table for each mask. Those that overlap lead to the same actions (the
 *  dpif's contract), so the first that is found is as good as any.
 *
 *  A flow lives in a slot; what is kept of it lies in the slot's record. A slot's generation changes whenever what a
 *  cache may have remembered of it stops being true. */
export class Megaflows {
  readonly maxFlows: number;
  /** Lookups that had to look, and the mask tables that they looked into. */
  lookups = 0;
  probes = 0;

  readonly #programs = new Programs();
  readonly #slotOf = new Map<number, number>();
  readonly #tables = new Map<string, MaskTable>();
  #order: MaskTable[] = [];
  #untilResort = RESORT_AFTER;

  #counts = new Float64Array(FIRST_SLOTS * COUNTS);
  /** The same memory. */
  #words = new Int32Array(this.#counts.buffer);
  #home: (MaskTable | undefined)[] = [];
  /** Slots with counts that have not been taken yet, each listed once. */
  #touched = new Int32Array(FIRST_SLOTS);
  #touchedCount = 0;
  readonly #free: number[] = [];
  #slots = 0;

  constructor(maxFlows: number) {
    this.maxFlows = maxFlows;
  }

  get size(): number {
    return this.#slotOf.size;
  }

  get masks(): number {
    return this.#tables.size;
  }

  /** Installs a flow or gives it new actions. False when the table is full. Throws a RangeError for actions that the
   *  datapath does not have. */
  put(flow: DpFlow): boolean {
    const known = this.#slotOf.get(flow.id);
    if (known === undefined && this.#slotOf.size >= this.maxFlows) return false;
    const program = this.#programs.acquire(flow.actions);
    if (known !== undefined) {
      this.#programs.release(this.#words[known * WORDS + PROGRAM]!);
      this.#words[known * WORDS + PROGRAM] = program;
      return true;
    }
    const slot = this.#takeSlot();
    this.#counts[slot * COUNTS + ID] = flow.id;
    this.#words[slot * WORDS + PROGRAM] = program;
    this.#slotOf.set(flow.id, slot);
    const name = maskName(flow.mask);
    let table = this.#tables.get(name);
    if (!table) {
      table = new MaskTable(flow.mask);
      this.#tables.set(name, table);
      this.#order.push(table);
    }
    const displaced = table.insert(flow.key, slot);
    if (displaced !== NONE) {
      // The newer takes the place of an equal one, which stays until its owner deletes it.
      this.#home[displaced] = undefined;
      this.#words[displaced * WORDS + GENERATION]!++;
    }
    this.#home[slot] = table;
    this.#words[slot * WORDS + HASH] = table.hash(flow.key);
    return true;
  }

  /** Removes a flow and gives its last counts, if there are any that have not been taken. */
  remove(id: number): FlowStatsDelta | undefined {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return undefined;
    const delta = this.#take(slot);
    this.#slotOf.delete(id);
    const table = this.#home[slot];
    this.#home[slot] = undefined;
    const words = this.#words;
    const at = slot * WORDS;
    this.#programs.release(words[at + PROGRAM]!);
    words[at + PROGRAM] = NO_PROGRAM;
    words[at + GENERATION]!++;
    this.#free.push(slot);
    if (table) {
      table.remove(slot, words[at + HASH]!);
      if (table.count === 0) this.#dropTable(table);
    }
    return delta;
  }

  /** The slot of a flow that matches, or -1. */
  lookup(key: FlowKey): number {
    this.lookups++;
    if (--this.#untilResort === 0) this.#resort();
    const order = this.#order;
    for (let i = 0; i < order.length; i++) {
      const table = order[i]!;
      const slot = table.find(key);
      if (slot >= 0) {
        table.hits++;
        this.probes += i + 1;
        return slot;
      }
    }
    this.probes += order.length;
    return NONE;
  }

  ops(slot: number): readonly Op[] {
    return this.#programs.ops(this.#words[slot * WORDS + PROGRAM]!);
  }

  generation(slot: number): number {
    return this.#words[slot * WORDS + GENERATION]!;
  }

  /** Counts a packet of a flow. */
  count(slot: number, bytes: number, now: number, tcpFlags: number): void {
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
    counts[at + USED] = now;
    if (tcpFlags !== 0) words[wordsAt + TCP_FLAGS]! |= tcpFlags;
  }

  get hasCounts(): boolean {
    return this.#touchedCount > 0;
  }

  /** Takes the counts of all flows that had packets since the last time. */
  takeCounts(): FlowStatsDelta[] {
    const deltas: FlowStatsDelta[] = [];
    for (let i = 0; i < this.#touchedCount; i++) {
      const slot = this.#touched[i]!;
      this.#words[slot * WORDS + LISTED] = 0;
      const delta = this.#take(slot);
      if (delta) deltas.push(delta);
    }
    this.#touchedCount = 0;
    return deltas;
  }

  /** The same, for another thread: STATS_WORDS numbers a flow, the fields of FlowStatsDelta in order, but for usedMs how
   *  long ago it was. */
  packCounts(now: number): Float64Array<ArrayBuffer> {
    const packed = new Float64Array(new ArrayBuffer(this.#touchedCount * STATS_WORDS * 8));
    let at = 0;
    for (let i = 0; i < this.#touchedCount; i++) {
      const slot = this.#touched[i]!;
      const from = slot * COUNTS;
      const counts = this.#counts;
      const words = this.#words;
      words[slot * WORDS + LISTED] = 0;
      if (counts[from + PACKETS] === 0) continue;
      packed[at] = counts[from + ID]!;
      packed[at + 1] = counts[from + PACKETS]!;
      packed[at + 2] = counts[from + BYTES]!;
      packed[at + 3] = Math.max(0, now - counts[from + USED]!);
      packed[at + 4] = words[slot * WORDS + TCP_FLAGS]!;
      at += STATS_WORDS;
      counts[from + PACKETS] = 0;
      counts[from + BYTES] = 0;
      words[slot * WORDS + TCP_FLAGS] = 0;
    }
    this.#touchedCount = 0;
    return packed.subarray(0, at);
  }

  ids(): IterableIterator<number> {
    return this.#slotOf.keys();
  }

  #take(slot: number): FlowStatsDelta | undefined {
    const at = slot * COUNTS;
    const counts = this.#counts;
    const packets = counts[at + PACKETS]!;
    if (packets === 0) return undefined;
    const delta = {
      id: counts[at + ID]!,
      packets,
      bytes: counts[at + BYTES]!,
      usedMs: counts[at + USED]!,
      tcpFlags: this.#words[slot * WORDS + TCP_FLAGS]!,
    };
    counts[at + PACKETS] = 0;
    counts[at + BYTES] = 0;
    this.#words[slot * WORDS + TCP_FLAGS] = 0;
    return delta;
  }

  #takeSlot(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const slot = this.#slots++;
    if (slot === this.#touched.length) this.#grow();
    return slot;
  }

  #grow(): void {
    const size = this.#touched.length * 2;
    const counts = new Float64Array(size * COUNTS);
    counts.set(this.#counts);
    this.#counts = counts;
    this.#words = new Int32Array(counts.buffer);
    const touched = new Int32Array(size);
    touched.set(this.#touched);
    this.#touched = touched;
  }

  #dropTable(table: MaskTable): void {
    this.#tables.delete(table.name);
    this.#order = this.#order.filter((other) => other !== table);
  }

  #resort(): void {
    this.#untilResort = RESORT_AFTER;
    this.#order.sort((a, b) => b.hits - a.hits);
    for (const table of this.#order) table.hits >>>= 1;
  }
}
