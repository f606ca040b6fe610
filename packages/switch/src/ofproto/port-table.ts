import type { OfPort } from "./ofport.js";
import { OFPP } from "./xlate/reserved.js";

/** The highest number given to a port; 16 bits, as Open vSwitch gives them, though 32 are asked for and taken. */
const LAST_GIVEN = 0xfeff;

/** The ports of a bridge by OpenFlow number, and who gets which number. */
export class PortTable {
  readonly byNumber = new Map<number, OfPort>();
  #last = 0;

  /** A free number: `wanted` when it may be had, else the next one; a number given back is not given again until
   *  all others have been. */
  allocate(wanted: number | undefined): number | undefined {
    if (wanted !== undefined && wanted >= 1 && wanted < OFPP.MAX && !this.byNumber.has(wanted)) return wanted;
    for (let tries = 0; tries < LAST_GIVEN; tries++) {
      this.#last = this.#last >= LAST_GIVEN ? 1 : this.#last + 1;
      if (!this.byNumber.has(this.#last)) return this.#last;
    }
    return undefined;
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
