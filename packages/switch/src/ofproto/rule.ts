import type { Conjunction } from "../classifier/conjunction.js";
import type { Classified, Subtable } from "../classifier/subtable.js";
import type { Action, Instruction } from "./of.js";
import type { Sink } from "./sink.js";
import { OFPP } from "./xlate/reserved.js";

/** A flow entry. Its match lies in the classifier, which gives it back as a key (`Classifier.keyOf`). */
export class Rule implements Classified, Sink {
  readonly priority: number;
  readonly table_id: number;
  subtable: Subtable<Classified> | undefined = undefined;
  slot = -1;
  cookie: bigint;
  idle_timeout: number;
  hard_timeout: number;
  /** OFPFF_*. */
  flags: number;
  #instructions: readonly Instruction[];
  #conjunctions: readonly Conjunction[] | undefined;
  /** Clock ms. The hard timeout runs from `freshMs`, the idle one from `usedMs`. */
  readonly createdMs: number;
  /** When it was added, or learned again. */
  freshMs: number;
  usedMs: number;
  packets = 0;
  bytes = 0;
  /** The rule that took this one's place and its counts: late counts of cached flows go there. */
  heir: Rule | undefined = undefined;
  /** Hidden from controllers: the NORMAL flow of fail-mode standalone. */
  readonly hidden: boolean;

  constructor(
    init: {
      table_id: number;
      priority: number;
      cookie: bigint;
      idle_timeout: number;
      hard_timeout: number;
      flags: number;
      instructions: readonly Instruction[];
      hidden?: boolean;
    },
    nowMs: number,
  ) {
    this.table_id = init.table_id;
    this.priority = init.priority;
    this.cookie = init.cookie;
    this.idle_timeout = init.idle_timeout;
    this.hard_timeout = init.hard_timeout;
    this.flags = init.flags;
    this.#instructions = init.instructions;
    this.#conjunctions = conjunctionsOf(init.instructions);
    this.hidden = init.hidden ?? false;
    this.createdMs = nowMs;
    this.freshMs = nowMs;
    this.usedMs = nowMs;
  }

  /** In the order of execution, 1.3.5 §5.9. */
  get instructions(): readonly Instruction[] {
    return this.#instructions;
  }

  set instructions(instructions: readonly Instruction[]) {
    this.#instructions = instructions;
    this.#conjunctions = conjunctionsOf(instructions);
  }

  get conjunctions(): readonly Conjunction[] | undefined {
    return this.#conjunctions;
  }

  credit(packets: number, bytes: number, usedMs: number): void {
    let rule: Rule = this;
    while (rule.heir) rule = rule.heir;
    rule.packets += packets;
    rule.bytes += bytes;
    if (usedMs > rule.usedMs) rule.usedMs = usedMs;
  }

  /** Priority 0 and no field: the table-miss entry (1.3.5 §5.4). */
  get isTableMiss(): boolean {
    return this.priority === 0 && this.subtable?.width === 0;
  }

  /** When it may be due next, clock ms; Infinity without timeouts. */
  deadline(): number {
    const idle = this.idle_timeout > 0 ? this.usedMs + this.idle_timeout * 1000 : Infinity;
    const hard = this.hard_timeout > 0 ? this.freshMs + this.hard_timeout * 1000 : Infinity;
    return Math.min(idle, hard);
  }

  /** Why it is due at `nowMs`. */
  expiry(nowMs: number): "OFPRR_IDLE_TIMEOUT" | "OFPRR_HARD_TIMEOUT" | undefined {
    if (this.hard_timeout > 0 && nowMs >= this.freshMs + this.hard_timeout * 1000)
      return "OFPRR_HARD_TIMEOUT";
    if (this.idle_timeout > 0 && nowMs >= this.usedMs + this.idle_timeout * 1000) return "OFPRR_IDLE_TIMEOUT";
    return undefined;
  }

  get outputs(): Iterable<{ port?: number; group_id?: number }> {
    return outputsOf(this.instructions);
  }
}

/** What a rule with these instructions is a part of (ovs-actions(7), "conjunction"). */
function conjunctionsOf(instructions: readonly Instruction[]): readonly Conjunction[] | undefined {
  const [first] = instructions;
  if (first?.type !== "OFPIT_APPLY_ACTIONS") return undefined;
  let parts: Conjunction[] | undefined;
  for (const action of first.actions ?? []) {
    if (action.type !== "NXAST_CONJUNCTION") continue;
    parts ??= [];
    parts.push({ id: action.id, clause: action.clause, n_clauses: action.n_clauses });
  }
  return parts;
}

/** The ports and groups that instructions send to by name, in clones, too. */
export function* outputsOf(
  instructions: readonly Instruction[],
): IterableIterator<{ port?: number; group_id?: number }> {
  for (const instruction of instructions) {
    if (!("actions" in instruction)) continue;
    yield* outputsOfList(instruction.actions ?? []);
  }
}

function* outputsOfList(actions: readonly Action[]): IterableIterator<{ port?: number; group_id?: number }> {
  for (const action of actions) {
    if (action.type === "OFPAT_OUTPUT") yield { port: action.port };
    else if (action.type === "OFPAT_GROUP" || action.type === "NXAST_GROUP")
      yield { group_id: action.group_id };
    else if (action.type === "NXAST_CONTROLLER" || action.type === "NXAST_CONTROLLER2")
      yield { port: OFPP.CONTROLLER };
    else if (action.type === "NXAST_CLONE") yield* outputsOfList((action.actions ?? []) as readonly Action[]);
  }
}

/** A time span as OpenFlow's two duration fields. */
export function duration(fromMs: number, toMs: number): { duration_sec: number; duration_nsec: number } {
  const ms = Math.max(0, toMs - fromMs);
  const duration_sec = Math.floor(ms / 1000);
  return { duration_sec, duration_nsec: Math.floor((ms - duration_sec * 1000) * 1e6) };
}
