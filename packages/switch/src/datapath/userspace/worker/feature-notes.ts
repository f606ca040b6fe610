import type { FoundFeature } from "../../../netdev/feature-record.js";
import type { FeatureNote } from "./messages.js";

interface Noted {
  readonly found: FoundFeature;
  /** Of the first note that told of it. */
  readonly number: number;
  /** Whether it was asked for since the last note. */
  isWanted: boolean;
}

/** What a datapath's thread has on record of devices before it changes them. The disk is another thread's matter: what is
 *  not on record yet is told, and asked for again when that has answered. */
export class FeatureNotes {
  /** By device and feature. */
  readonly #noted = new Map<string, Noted>();
  /** Of the last note, and the last that is on record. */
  #number = 0;
  #kept = 0;
  #isChanged = false;

  /** Whether it is on record; has it put there. What is no longer asked for until `settle` is forgotten. */
  isKept(found: FoundFeature): boolean {
    const key = `${found.ifindex} ${found.feature}`;
    const noted = this.#noted.get(key);
    if (noted?.found.found === found.found) {
      noted.isWanted = true;
      return noted.number <= this.#kept;
    }
    this.#noted.set(key, { found, number: this.#number + 1, isWanted: true });
    this.#isChanged = true;
    return false;
  }

  /** All that is to be on record now, where that is news. */
  settle(): FeatureNote | undefined {
    for (const [key, noted] of this.#noted) {
      if (noted.isWanted) noted.isWanted = false;
      else this.#isChanged = this.#noted.delete(key);
    }
    if (!this.#isChanged) return undefined;
    this.#isChanged = false;
    return { number: ++this.#number, features: [...this.#noted.values()].map(({ found }) => found) };
  }

  /** Notes up to this one are on record. */
  kept(number: number): void {
    this.#kept = number;
  }
}
