// Hot path. Nothing is allocated but when it grows beyond the memory that was reserved, nothing throws.

const NONE = -1;
/** Bits of an entry: the flow's slot; the others are the hash's upper bits, the signature. */
const SLOT_BITS = 20;
const SLOTS = 1 << SLOT_BITS;
/** Entries that a hash may be in, next to each other. */
const WAYS = 4;
/** There are at least as many, and at most. */
const FIRST_PLACES = 1 << 12;
const MAX_PLACES = 1 << 22;
/** For each flow there are as many places at least. */
const PLACES_A_FLOW = 4;
/** And as many in all, at most, where few flows have many keys. */
const MAX_ON_DEMAND = 1 << 18;
/** Masks tried in vain, for each place, before there are more. */
const WORTH = 4;

/** The signature-match cache: the slot that a key with this hash led to, in 4 bytes. What it says may be wrong, two keys
 *  with one signature or a flow that is gone: whoever asks compares the flow's masked key with the packet. So nothing
 *  has to be flushed, and a slot that is used again is as good as a new one. */
export class Smc {
  #entries: Int32Array;
  /** Those in use; the others are memory for more. */
  #places = FIRST_PLACES;
  /** Of the hash: where its entries are. */
  #mask = FIRST_PLACES / WAYS - 1;
  #turn = 0;
  /** Masks tried in vain since it has grown, where another entry had to make room. */
  #tried = 0;

  /** With memory for so many flows, so that none has to be taken later. */
  constructor(flows = 0) {
    let places = FIRST_PLACES;
    while (flows * PLACES_A_FLOW > places && places < MAX_PLACES) places *= 2;
    this.#entries = new Int32Array(places);
  }

  /** Makes room for so many flows. */
  fit(flows: number): void {
    if (flows * PLACES_A_FLOW > this.#places && this.#places < MAX_PLACES) this.#grow();
  }

  /** The slot that a key with this hash may have led to, or -1. */
  candidate(hash: number): number {
    const entries = this.#entries;
    const at = (hash & this.#mask) * WAYS;
    const a = entries[at]!;
    const b = entries[at + 1]!;
    const c = entries[at + 2]!;
    const d = entries[at + 3]!;
    // No branches, which nobody could foresee: all bits where the signatures are equal. At most one is.
    const isA = (((a ^ hash) >>> SLOT_BITS) - 1) >> 31;
    const isB = (((b ^ hash) >>> SLOT_BITS) - 1) >> 31;
    const isC = (((c ^ hash) >>> SLOT_BITS) - 1) >> 31;
    const isD = (((d ^ hash) >>> SLOT_BITS) - 1) >> 31;
    const found = (a & isA) | (b & isB) | (c & isC) | (d & isD);
    return (found & (SLOTS - 1)) | ~(isA | isB | isC | isD);
  }

  /** Remembers where a key led; `tried`: the masks that were tried in vain, for not having known. */
  insert(hash: number, slot: number, tried: number): void {
    if (slot >= SLOTS) return;
    const entries = this.#entries;
    const at = (hash & this.#mask) * WAYS;
    let way = NONE;
    for (let i = 0; i < WAYS; i++) {
      const entry = entries[at + i]!;
      if ((entry ^ hash) >>> SLOT_BITS === 0) {
        way = i;
        break;
      }
      if (entry === 0 && way === NONE) way = i;
    }
    if (way === NONE) {
      way = this.#turn;
      this.#turn = (way + 1) & (WAYS - 1);
      this.#tried += tried;
    }
    entries[at + way] = ((hash >>> SLOT_BITS) << SLOT_BITS) | slot;
    if (this.#tried > WORTH * this.#places && this.#places < MAX_ON_DEMAND) this.#grow();
  }

  /** Half of what it knew is elsewhere now: it is learned again, a packet each. */
  #grow(): void {
    this.#places *= 2;
    this.#mask = this.#places / WAYS - 1;
    this.#tried = 0;
    if (this.#places <= this.#entries.length) return;
    const larger = new Int32Array(this.#places);
    larger.set(this.#entries);
    this.#entries = larger;
  }
}
