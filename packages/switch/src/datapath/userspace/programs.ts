import type { OdpAction } from "../../dpif/actions.js";
import { compileActions, NO_OPS, type Op } from "./ops.js";

interface Program {
  readonly name: string;
  readonly number: number;
  users: number;
}

/** Compiled actions, one for all the flows that do the same: a switch has many flows and few things to do, and what
 *  is shared stays in the processor's cache. They are known by number; NO_PROGRAM drops. */
export class Programs {
  readonly #byName = new Map<string, Program>();
  readonly #all: (Program | undefined)[] = [undefined];
  readonly #ops: (readonly Op[])[] = [NO_OPS];
  readonly #free: number[] = [];

  get size(): number {
    return this.#byName.size;
  }

  ops(number: number): readonly Op[] {
    return this.#ops[number]!;
  }

  /** Throws a RangeError for actions that the datapath does not have. */
  acquire(actions: readonly OdpAction[]): number {
    const name = JSON.stringify(actions);
    let program = this.#byName.get(name);
    if (!program) {
      const ops = compileActions(actions);
      program = { name, number: this.#free.pop() ?? this.#all.length, users: 0 };
      this.#byName.set(name, program);
      this.#all[program.number] = program;
      this.#ops[program.number] = ops;
    }
    program.users++;
    return program.number;
  }

  release(number: number): void {
    const program = this.#all[number];
    if (!program || --program.users > 0) return;
    this.#byName.delete(program.name);
    this.#all[number] = undefined;
    this.#ops[number] = NO_OPS;
    this.#free.push(number);
  }
}

export const NO_PROGRAM = 0;
