// Hot path: `add`, once a turn.

/** Classes of time: each up to twice the one before; the first holds all that is shorter than FIRST_US, the last all that is longer. */
const CLASSES = 12;
const FIRST_US = 16;
const FIRST_MS = FIRST_US / 1000;
/** How long the thread's turns took, from what came out of poll until it polls again: a packet that comes waits for
 *  no longer than the turn under way, and for the processor. */
export class Turns {
  readonly #counts = new Float64Array(CLASSES);

  add(ms: number): void {
    let i = 0;
    for (let end = FIRST_MS; ms >= end && i < CLASSES - 1; end *= 2) i++;
    this.#counts[i]!++;
  }

  /** By name, the shortest first: how many took less than so many µs, and not less than the name before says. */
  read(): Record<string, number> {
    return Object.fromEntries(Array.from(this.#counts, (count, i) => [nameOf(i), count]));
  }
}

const nameOf = (i: number): string =>
  i < CLASSES - 1 ? `turns_below_${FIRST_US * 2 ** i}_us` : "turns_longer";
