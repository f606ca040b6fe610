import type { OdpAction } from "../../dpif/actions.js";
import { compileActions, type Op } from "./ops.js";

interface Program {
  readonly name: string;
  readonly ops: readonly Op[];
  users: number;
}

/** Compiled actions, one for all the flows that do the same: a switch has many flows and few things to do, and what
 *  is shared stays in the processor's cache. */
export class Programs {
  readonly #byName = new Map<string, Program>();
  readonly #byOps = new Map<readonly Op[], Program>();

  get size(): number {
    return this.#byName.size;
  }

  /** Throws a RangeError for actions that the datapath does not have. */
  acquire(actions: readonly OdpAction[]): readonly Op[] {
    const name = JSON.stringify(actions);
    let program = this.#byName.get(name);
    if (!program) {
      program = { name, ops: compileActions(actions), users: 0 };
      this.#byName.set(name, program);
      this.#byOps.set(program.ops, program);
    }
    program.users++;
    return program.ops;
  }

  release(ops: readonly Op[]): void {
    const program = this.#byOps.get(ops);
    if (!program || --program.users > 0) return;
    this.#byName.delete(program.name);
    this.#byOps.delete(ops);
  }
}
