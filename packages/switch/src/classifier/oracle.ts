import { completed } from "./conjunction.js";
import type { Classified } from "./subtable.js";

/** The obvious classifier: a list, looked through from end to end. The tests hold the real one against it. */
export class LinearClassifier<R extends Classified> {
  readonly #conjIdLane: number;
  readonly #entries: { rule: R; key: Uint32Array; mask: Uint32Array }[] = [];

  constructor(conjIdLane: number) {
    this.#conjIdLane = conjIdLane;
  }

  insert(rule: R, key: Uint32Array, mask: Uint32Array): void {
    this.#entries.push({ rule, key: key.slice(), mask: mask.slice() });
  }

  remove(rule: R): void {
    this.#entries.splice(
      this.#entries.findIndex((entry) => entry.rule === rule),
      1,
    );
  }

  /** Every rule that may be the answer: those of the highest priority among those that match, conjunctions being
   *  tried when their priority has its turn. */
  lookup(key: Uint32Array): R[] {
    const matching = this.#matching(key);
    const priorities = [...new Set(matching.map(({ priority }) => priority))].sort((a, b) => b - a);
    for (const priority of priorities) {
      const rules = matching.filter((rule) => rule.priority === priority);
      const plain = rules.filter(({ conjunctions }) => !conjunctions);
      if (plain.length > 0) return plain;
      const answers = completed(rules).flatMap(({ id }) => this.#lookupWithId(key, id));
      if (answers.length > 0) return answers;
    }
    return [];
  }

  #lookupWithId(key: Uint32Array, id: number): R[] {
    const marked = key.slice();
    marked[this.#conjIdLane] = id;
    const matching = this.#matching(marked).filter(({ conjunctions }) => !conjunctions);
    const best = Math.max(...matching.map(({ priority }) => priority));
    return matching.filter(({ priority }) => priority === best);
  }

  #matching(key: Uint32Array): R[] {
    return this.#entries.filter((entry) => agree(key, entry.key, entry.mask)).map(({ rule }) => rule);
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
