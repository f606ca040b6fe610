import type { OfPort } from "./ofport.js";
import { OFPP } from "./xlate/reserved.js";

/** The highest number given to a port; 16 bits, as Open vSwitch gives them, though 32 are asked for and taken. */
const LAST_GIVEN = 0xfeff;

/** The ports of a bridge by OpenFlow number, and who gets which number. */
export class PortTable {
  readonly byNumber = new Map<number, OfPort>();
  #last = 0;
  /** Numbers given back, the longest ago first. */
  readonly #returned = new Set<number>();

  /** A free number: `wanted` when it may be had, else the next one; a number given back is not given again, unless it is
   *  asked for, until all others have been: controllers may still think of who had it. */
  allocate(wanted: number | undefined): number | undefined {
    const number = wanted !== undefined && this.#isFree(wanted) ? wanted : this.#next();
    if (number !== undefined) this.#returned.delete(number);
    return number;
  }

  /** Gives a port's number back. */
  release(ofport: number): void {
    this.byNumber.delete(ofport);
    if (ofport <= LAST_GIVEN) this.#returned.add(ofport);
  }

  #isFree(number: number): boolean {
    return number >= 1 && number < OFPP.MAX && !this.byNumber.has(number);
  }

  #next(): number | undefined {
    while (this.#last < LAST_GIVEN) {
      this.#last++;
      if (!this.byNumber.has(this.#last) && !this.#returned.has(this.#last)) return this.#last;
    }
    const [longest] = this.#returned;
    return longest;
  }

  named(name: string): OfPort | undefined {
    for (const port of this.byNumber.values()) if (port.name === name) return port;
    return undefined;
  }

  /** By number, LOCAL last. */
  sorted(): OfPort[] {
    return [...this.byNumber.values()].sort((a, b) => a.ofport - b.ofport);
  }
}
