// Hot path: `add`. It allocates only while there are more than ever before.

import type { FlowStatsBatch, FlowStatsDelta } from "../../../dpif/dpif.js";

/** Numbers of a flow: the fields of FlowStatsDelta in order. */
const WORDS = 5;
const USED = 3;

/** Counts of flows, packed: on their way to whoever they belong to, perhaps in another thread. */
export class PackedCounts {
  #values = new Float64Array(new ArrayBuffer(WORDS * 8 * 64));
  #end = 0;

  /** How many flows' there are. */
  get size(): number {
    return this.#end / WORDS;
  }

  add(id: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    const at = this.#end;
    if (at === this.#values.length) this.#grow();
    const values = this.#values;
    values[at] = id;
    values[at + 1] = packets;
    values[at + 2] = bytes;
    values[at + USED] = usedMs;
    values[at + 4] = tcpFlags;
    this.#end = at + WORDS;
  }

  /** Takes them, for `deltasOf`; usedMs become how long ago they were. */
  take(now: number): Float64Array<ArrayBuffer> {
    const taken = this.#values.slice(0, this.#end);
    for (let at = USED; at < taken.length; at += WORDS) taken[at] = Math.max(0, now - taken[at]!);
    this.#end = 0;
    return taken;
  }

  #grow(): void {
    const values = new Float64Array(new ArrayBuffer(this.#values.byteLength * 2));
    values.set(this.#values);
    this.#values = values;
  }
}

/** What was taken, by a clock that says `now`. */
export const deltasOf = (taken: Float64Array, now: number): FlowStatsBatch => ({
  forEach(visit) {
    const delta: FlowStatsDelta = { id: 0, packets: 0, bytes: 0, usedMs: 0.5, tcpFlags: 0 };
    for (let at = 0; at < taken.length; at += WORDS) {
      delta.id = taken[at]!;
      delta.packets = taken[at + 1]!;
      delta.bytes = taken[at + 2]!;
      delta.usedMs = now - taken[at + USED]!;
      delta.tcpFlags = taken[at + 4]!;
      visit(delta);
    }
  },
});
