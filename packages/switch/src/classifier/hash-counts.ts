// Hot path: `has`. Typed arrays only, nothing is allocated.

const FIRST_SIZE = 8;
const GONE = -1;

/** How often each of a set of hashes is there: a Map of numbers to numbers, without an object for any, and with few bytes
 *  for each. Open addressing; what has sunk to zero keeps its place until the table grows. */
export class HashCounts {
  #hashes = new Uint32Array(FIRST_SIZE);
  /** 0 where no hash is, `GONE` where one has been. */
  #counts = new Int32Array(FIRST_SIZE);
  /** Places that are taken, by what is gone too. */
  #taken = 0;

  has(hash: number): boolean {
    return this.#counts[this.#place(hash)]! > 0;
  }

  add(hash: number): void {
    const place = this.#place(hash);
    const count = this.#counts[place]!;
    if (count > 0) {
      this.#counts[place] = count + 1;
      return;
    }
    this.#hashes[place] = hash;
    this.#counts[place] = 1;
    if (count === GONE) return;
    this.#taken++;
    if (2 * this.#taken > this.#hashes.length) this.#grow();
  }

  /** Takes out one of `hash`, which is there. */
  remove(hash: number): void {
    const place = this.#place(hash);
    const count = this.#counts[place]! - 1;
    this.#counts[place] = count === 0 ? GONE : count;
  }

  /** Where `hash` is, or else where it would go. */
  #place(hash: number): number {
    const hashes = this.#hashes;
    const counts = this.#counts;
    const last = hashes.length - 1;
    const mixed = Math.imul(hash, 0x9e37_79b1);
    let place = (mixed ^ (mixed >>> 15)) & last;
    while (counts[place] !== 0 && hashes[place] !== hash >>> 0) place = (place + 1) & last;
    return place;
  }

  #grow(): void {
    const hashes = this.#hashes;
    const counts = this.#counts;
    let left = 0;
    for (let i = 0; i < counts.length; i++) if (counts[i]! > 0) left++;
    const size = Math.max(FIRST_SIZE, 2 ** Math.ceil(Math.log2(4 * left)));
    this.#hashes = new Uint32Array(size);
    this.#counts = new Int32Array(size);
    this.#taken = left;
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]! <= 0) continue;
      const place = this.#place(hashes[i]!);
      this.#hashes[place] = hashes[i]!;
      this.#counts[place] = counts[i]!;
    }
  }
}
