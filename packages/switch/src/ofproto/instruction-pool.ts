import type { Instruction } from "./of.js";

const MAX_POOLED = 4096;

/** One object for all flows that do the same simple thing: a hundred thousand of them send to a few ports, groups and
 *  tables. When the pool is full it begins anew; flows keep what they have. */
export class InstructionPool {
  readonly #pooled = new Map<string, readonly Instruction[]>();
  /** What was asked for last, and the answer: a controller's flows often do the same one after the other. */
  #asked: readonly Instruction[] | undefined;
  #answer: readonly Instruction[] = [];

  /** `instructions`, or others that are equal to them. */
  shared(instructions: readonly Instruction[]): readonly Instruction[] {
    if (instructions !== this.#asked) {
      this.#asked = instructions;
      this.#answer = this.#find(instructions);
    }
    return this.#answer;
  }

  #find(instructions: readonly Instruction[]): readonly Instruction[] {
    const text = textOf(instructions);
    if (text === undefined) return instructions;
    const found = this.#pooled.get(text);
    if (found) return found;
    if (this.#pooled.size >= MAX_POOLED) this.#pooled.clear();
    this.#pooled.set(text, instructions);
    return instructions;
  }
}

/** What simple instructions say, whole; undefined for others. */
function textOf(instructions: readonly Instruction[]): string | undefined {
  let text = "";
  for (const instruction of instructions) {
    switch (instruction.type) {
      case "OFPIT_GOTO_TABLE":
        text += `t${instruction.table_id};`;
        break;
      case "OFPIT_METER":
        text += `m${instruction.meter_id};`;
        break;
      case "OFPIT_CLEAR_ACTIONS":
        text += "c;";
        break;
      case "OFPIT_APPLY_ACTIONS":
      case "OFPIT_WRITE_ACTIONS":
        text += instruction.type === "OFPIT_APPLY_ACTIONS" ? "a" : "w";
        for (const action of instruction.actions ?? []) {
          if (action.type === "OFPAT_OUTPUT") text += `o${action.port}/${action.max_len}`;
          else if (action.type === "OFPAT_GROUP") text += `g${action.group_id}`;
          else return undefined;
        }
        text += ";";
        break;
      default:
        return undefined;
    }
  }
  return text;
}
