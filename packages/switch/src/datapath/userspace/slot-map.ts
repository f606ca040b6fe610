// Hot path: nothing is allocated but where there are more than ever before.

/** No slot. */
export const NO_SLOT = -1;
const FIRST_PLACES = 256;
/** A place that is free. */
const FREE = -1;
/** The golden ratio as 32 bits (Knuth, TAOCP 6.4). */
const SPREAD = 0x9e37_79b1;
const TWO_TO_32 = 2 ** 32;

/** Slots by id, an integer that is not negative: what a Map does, without an object of the heap that has to be built anew
 *  and looked through for a flow. Open addressing, at most half full; one that goes has those behind it move up. */
export class SlotMap {
  size = 0;
  #ids = new Float64Array(FIRST_PLACES).fill(FREE);
  #slots = new Int32Array(FIRST_PLACES);

  /** NO_SLOT: there is none. */
  get(id: number): number {
    const place = this.#placeOf(id);
    return this.#ids[place] === id ? this.#slots[place]! : NO_SLOT;
  }

  set(id: number, slot: number): void {
    const place = this.#placeOf(id);
    this.#slots[place] = slot;
    if (this.#ids[place] === id) return;
    this.#ids[place] = id;
    this.size++;
    if (2 * this.size > this.#ids.length) this.#grow();
  }

  delete(id: number): void {
    const ids = this.#ids;
    const last = ids.length - 1;
    let hole = this.#placeOf(id);
    if (ids[hole] !== id) return;
    this.size--;
    for (let at = (hole + 1) & last; ids[at] !== FREE; at = (at + 1) & last) {
      // It may move to where its own search would have passed by.
      if (((at - this.#firstPlace(ids[at]!)) & last) < ((at - hole) & last)) continue;
      ids[hole] = ids[at]!;
      this.#slots[hole] = this.#slots[at]!;
      hole = at;
    }
    ids[hole] = FREE;
  }

  *[Symbol.iterator](): IterableIterator<[id: number, slot: number]> {
    for (let place = 0; place < this.#ids.length; place++)
      if (this.#ids[place] !== FREE) yield [this.#ids[place]!, this.#slots[place]!];
  }

  /** Where the id is, or would be. */
  #placeOf(id: number): number {
    const ids = this.#ids;
    const last = ids.length - 1;
    let place = this.#firstPlace(id);
    while (ids[place] !== id && ids[place] !== FREE) place = (place + 1) & last;
    return place;
  }

  #firstPlace(id: number): number {
    const low = id | 0;
    const high = id < TWO_TO_32 ? 0 : Math.floor(id / TWO_TO_32) | 0;
    const hash = Math.imul(low ^ Math.imul(high, SPREAD), SPREAD);
    return (hash ^ (hash >>> 15)) & (this.#ids.length - 1);
  }

  #grow(): void {
    const ids = this.#ids;
    const slots = this.#slots;
    this.#ids = new Float64Array(2 * ids.length).fill(FREE);
    this.#slots = new Int32Array(2 * ids.length);
    for (let place = 0; place < ids.length; place++) {
      if (ids[place] === FREE) continue;
      const to = this.#placeOf(ids[place]!);
      this.#ids[to] = ids[place]!;
      this.#slots[to] = slots[place]!;
    }
  }
}
