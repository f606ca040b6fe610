import type { OdpAction } from "../../../dpif/actions.js";
import { compileActions, NO_OPS, type Op } from "./ops.js";

/** Compiled actions by number: what flows share is compiled once and stays in the processor's cache. NO_PROGRAM
 *  drops. */
export class Programs {
  readonly #ops: (readonly Op[] | undefined)[] = [NO_OPS];

  /** NO_OPS where there is no such program. */
  ops(program: number): readonly Op[] {
    return this.#ops[program] ?? NO_OPS;
  }

  has(program: number): boolean {
    return this.#ops[program] !== undefined;
  }

  /** Throws a RangeError for actions that the datapath does not have: there is no such program then. */
  put(program: number, actions: readonly OdpAction[]): void {
    while (this.#ops.length <= program) this.#ops.push(undefined);
    this.#ops[program] = undefined;
    this.#ops[program] = compileActions(actions);
  }

  delete(program: number): void {
    this.#ops[program] = undefined;
  }
}

export const NO_PROGRAM = 0;
