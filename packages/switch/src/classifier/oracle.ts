import type { Classified } from "./subtable.js";

/** The obvious classifier: a list, looked through from end to end. The tests hold the real one against it. */
export class LinearClassifier<R extends Pick<Classified, "priority">> {
  readonly #entries: { rule: R; key: Uint32Array; mask: Uint32Array }[] = [];

  insert(rule: R, key: Uint32Array, mask: Uint32Array): void {
    this.#entries.push({ rule, key: key.slice(), mask: mask.slice() });
  }

  remove(rule: R): void {
    this.#entries.splice(
      this.#entries.findIndex((entry) => entry.rule === rule),
      1,
    );
  }

  /** Every rule of the highest priority among those that match. */
  lookup(key: Uint32Array): R[] {
    const matching = this.#entries.filter((entry) => agree(key, entry.key, entry.mask));
    const best = Math.max(...matching.map((entry) => entry.rule.priority));
    return matching.filter((entry) => entry.rule.priority === best).map((entry) => entry.rule);
  }

  looser(key: Uint32Array, mask: Uint32Array): R[] {
    return this.#entries
      .filter(
        (entry) => mask.every((bits, i) => (bits & ~entry.mask[i]!) === 0) && agree(entry.key, key, mask),
      )
      .map((entry) => entry.rule);
  }

  overlap(key: Uint32Array, mask: Uint32Array, priority: number): R[] {
    return this.#entries
      .filter((entry) => entry.rule.priority === priority)
      .filter((entry) =>
        agree(
          entry.key,
          key,
          mask.map((bits, i) => bits & entry.mask[i]!),
        ),
      )
      .map((entry) => entry.rule);
  }
}

const agree = (a: Uint32Array, b: Uint32Array, mask: Uint32Array): boolean =>
  mask.every((bits, i) => ((a[i]! ^ b[i]!) & bits) === 0);
