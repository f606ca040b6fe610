// Hot path: `lookup` and `count`. Nothing is allocated, nothing throws.

import type { FlowKey, FlowMask } from "../../../flow/flow-key.js";
import type { Op } from "../actions/ops.js";
import { NO_PROGRAM, type Programs } from "../actions/programs.js";
import type { PackedCounts } from "./counts.js";
import { MaskTable, maskName, sameMask } from "./mask-table.js";

const NONE = -1;
/** Tuple-space lookups after which the masks are put in the order of their use. */
const RESORT_AFTER = 8192;

/** Slots that there is memory for at first; more make it grow, in one go. */
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
 *  A flow lives in a slot that the caller chooses; what is kept of it lies in the slot's record. A slot's generation
 *  changes whenever what a cache may have remembered of it stops being true.
 *
 *  **Counts.** Slots with counts are listed. They are packed some at a time, from the list as it was when that began:
 *  what is counted meanwhile is listed anew. */
export class Megaflows {
  /** Lookups that had to look, and the mask tables that they looked into. */
  lookups = 0;
  probes = 0;
  /** Changes whenever a lookup may find something else than before. */
  version = 0;
  size = 0;

  readonly #programs: Programs;
  readonly #tables = new Map<string, MaskTable>();
  #order: MaskTable[] = [];
  /** Of the last flow that was put in: the next is likely to have the same mask. */
  #recent: MaskTable | undefined;
  #untilResort = RESORT_AFTER;

  #counts: Float64Array;
  /** The same memory. */
  #words: Int32Array;
  #home: (MaskTable | undefined)[] = [];
  /** Slots with counts that have not been packed yet, each listed once; and those of them that are being packed. */
  #touched: Int32Array;
  #touchedCount = 0;
  #packing: Int32Array;
  #packingCount = 0;
  #packed = 0;

  constructor(programs: Programs, slots = FIRST_SLOTS) {
    this.#programs = programs;
    this.#counts = new Float64Array(slots * COUNTS);
    this.#words = new Int32Array(this.#counts.buffer);
    this.#touched = new Int32Array(slots);
    this.#packing = new Int32Array(slots);
  }

  get masks(): number {
    return this.#tables.size;
  }

  /** Installs a flow in a slot that is free. */
  put(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void {
    this.version++;
    while (slot >= this.#touched.length) this.#grow();
    this.size++;
    this.#counts[slot * COUNTS + ID] = id;
    this.#words[slot * WORDS + PROGRAM] = program;
    const table = this.#tableOf(mask);
    const hash = table.hash(key);
    const displaced = table.insert(key, slot, hash);
    if (displaced !== NONE) {
      // The newer takes the place of an equal one, which stays until its owner deletes it.
      this.#home[displaced] = undefined;
      this.#words[displaced * WORDS + GENERATION]!++;
    }
    this.#home[slot] = table;
    this.#words[slot * WORDS + HASH] = hash;
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
    const table = this.#home[slot];
    this.#home[slot] = undefined;
    const words = this.#words;
    const at = slot * WORDS;
    words[at + PROGRAM] = NO_PROGRAM;
    words[at + GENERATION]!++;
    if (table) {
      table.remove(slot, words[at + HASH]!);
      if (table.count === 0) this.#dropTable(table);
    }
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

  /** Has the processor fetch what `lookup` will most likely read: in the table that most packets find theirs in. */
  touch(key: FlowKey): number {
    const table = this.#order[0];
    return table === undefined ? 0 : table.touch(key);
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

  #tableOf(mask: FlowMask): MaskTable {
    if (this.#recent !== undefined && sameMask(this.#recent.mask, mask)) return this.#recent;
    const name = maskName(mask);
    let table = this.#tables.get(name);
    if (!table) {
      table = new MaskTable(mask);
      this.#tables.set(name, table);
      this.#order.push(table);
    }
    this.#recent = table;
    return table;
  }

  #grow(): void {
    const size = this.#touched.length * 2;
    const counts = new Float64Array(size * COUNTS);
    counts.set(this.#counts);
    this.#counts = counts;
    this.#words = new Int32Array(counts.buffer);
    this.#touched = grown(this.#touched, size);
    this.#packing = grown(this.#packing, size);
  }

  #dropTable(table: MaskTable): void {
    this.#tables.delete(table.name);
    this.#order = this.#order.filter((other) => other !== table);
    if (this.#recent === table) this.#recent = undefined;
  }

  #resort(): void {
    this.#untilResort = RESORT_AFTER;
    this.#order.sort((a, b) => b.hits - a.hits);
    for (const table of this.#order) table.hits >>>= 1;
  }
}

function grown(list: Int32Array, size: number): Int32Array {
  const larger = new Int32Array(size);
  larger.set(list);
  return larger;
}
