/** Rules by the time at which they may have to go. A rule sits in the slot of its deadline when last looked at;
 *  deadlines only move later, so a rule found early is put back. Adding and finding cost O(1) a rule. */
export class TimerWheel<T> {
  readonly #tickMs: number;
  readonly #slots = new Map<number, Set<T>>();
  readonly #where = new Map<T, number>();
  /** Ticks before this one are empty. */
  #from = 0;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  get size(): number {
    return this.#where.size;
  }

  set(item: T, deadlineMs: number): void {
    const tick = Math.ceil(deadlineMs / this.#tickMs);
    const old = this.#where.get(item);
    if (old === tick) return;
    if (old !== undefined) this.#take(item, old);
    const slot = this.#slots.get(tick);
    if (slot) slot.add(item);
    else this.#slots.set(tick, new Set([item]));
    this.#where.set(item, tick);
    if (tick < this.#from) this.#from = tick;
  }

  delete(item: T): void {
    const tick = this.#where.get(item);
    if (tick !== undefined) this.#take(item, tick);
  }

  /** Items whose slot is due at `nowMs`; they stay until set again or deleted. */
  due(nowMs: number): T[] {
    const last = Math.floor(nowMs / this.#tickMs);
    const items: T[] = [];
    let empty = true;
    if (last - this.#from > this.#slots.size) {
      for (const [tick, slot] of this.#slots) if (tick <= last) items.push(...slot);
      return items;
    }
    for (let tick = this.#from; tick <= last; tick++) {
      const slot = this.#slots.get(tick);
      if (slot) {
        empty = false;
        items.push(...slot);
      } else if (empty) this.#from = tick + 1;
    }
    return items;
  }

  #take(item: T, tick: number): void {
    const slot = this.#slots.get(tick)!;
    slot.delete(item);
    if (slot.size === 0) this.#slots.delete(tick);
    this.#where.delete(item);
  }
}
