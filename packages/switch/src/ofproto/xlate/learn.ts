import { fromHex } from "@sluice/wire";
import { flowFieldOf } from "../../flow/match.js";
import type { Action, ActionOf, FlowMod, Instruction, Match } from "../of.js";
import { wide } from "./reserved.js";

const SEND_FLOW_REM = 1;

/** NX_LEARN_F_*. */
export const LEARN_FLAGS = { SEND_FLOW_REM: 1, DELETE_LEARNED: 2, WRITE_RESULT: 4 } as const;

/** Where a learn action puts its flows, and under which cookie. */
export interface Learned {
  readonly table_id: number;
  readonly cookie: bigint;
}

/** What goes with the last flow that has such instructions: flags=delete_learned. */
export function learnedBy(instructions: readonly Instruction[]): readonly Learned[] {
  let learned: Learned[] | undefined;
  for (const instruction of instructions) {
    if (!("actions" in instruction) || instruction.actions === undefined) continue;
    for (const action of instruction.actions) {
      if (action.type !== "NXAST_LEARN" && action.type !== "NXAST_LEARN2") continue;
      if (((action.flags ?? 0) & LEARN_FLAGS.DELETE_LEARNED) === 0) continue;
      learned ??= [];
      learned.push({ table_id: action.table_id, cookie: action.cookie ?? 0n });
    }
  }
  return learned ?? NOTHING_LEARNED;
}

const NOTHING_LEARNED: readonly Learned[] = [];

/** Reads bits of the packet's flow. */
type Read = (name: string, offset: number, n_bits: number) => bigint;

/** The flow that NXAST_LEARN adds for this packet (ovs-actions(7)). */
export function learnedFlow(
  action: ActionOf<"NXAST_LEARN"> | ActionOf<"NXAST_LEARN2">,
  read: Read,
  in_port: number,
): FlowMod {
  const match = new Map<string, { value: bigint; mask: bigint }>();
  const actions: Action[] = [];
  const { fin_idle_timeout = 0, fin_hard_timeout = 0 } = action;
  if (fin_idle_timeout > 0 || fin_hard_timeout > 0)
    actions.push({ type: "NXAST_FIN_TIMEOUT", fin_idle_timeout, fin_hard_timeout });
  for (const spec of action.specs ?? []) {
    const { n_bits, src } = spec;
    const value = "field" in src ? read(src.field, src.ofs, n_bits) : constant(src.value, n_bits);
    const ofs = spec.dst_ofs ?? 0;
    const mask = ((1n << BigInt(n_bits)) - 1n) << BigInt(ofs);
    if (spec.dst === "output") {
      const isInPort = "field" in src && flowFieldOf(src.field)?.name === "in_port";
      const port = n_bits <= 16 ? wide(Number(value)) : Number(value);
      actions.push({ type: "OFPAT_OUTPUT", port: isInPort ? in_port : port });
    } else if (spec.dst === "load") actions.push(...loads(spec.dst_field!, ofs, n_bits, value));
    else {
      const old = match.get(spec.dst_field!) ?? { value: 0n, mask: 0n };
      match.set(spec.dst_field!, { value: old.value | (value << BigInt(ofs)), mask: old.mask | mask });
    }
  }
  return {
    command: "OFPFC_ADD",
    table_id: action.table_id,
    priority: action.priority ?? 0x8000,
    cookie: action.cookie ?? 0n,
    idle_timeout: action.idle_timeout ?? 0,
    hard_timeout: action.hard_timeout ?? 0,
    flags: ((action.flags ?? 0) & LEARN_FLAGS.SEND_FLOW_REM) !== 0 ? SEND_FLOW_REM : 0,
    match: matchOf(match),
    instructions: actions.length > 0 ? [{ type: "OFPIT_APPLY_ACTIONS", actions }] : [],
  };
}

/** A load has 64 bits at most. */
function loads(dst: string, ofs: number, n_bits: number, value: bigint): Action[] {
  const parts: Action[] = [];
  for (let done = 0; done < n_bits; done += 64) {
    const bits = Math.min(64, n_bits - done);
    parts.push({
      type: "NXAST_REG_LOAD",
      ofs_nbits: ((ofs + done) << 6) | (bits - 1),
      dst,
      value: BigInt.asUintN(bits, value >> BigInt(done)),
    });
  }
  return parts;
}

/** The lowest `n_bits` bits of hex digits. */
function constant(hex: string, n_bits: number): bigint {
  let value = 0n;
  for (const byte of fromHex(hex)) value = (value << 8n) | BigInt(byte);
  return value & ((1n << BigInt(n_bits)) - 1n);
}

/** Numbers serve as values of every kind of field; whole fields are written without a mask. */
function matchOf(fields: ReadonlyMap<string, { value: bigint; mask: bigint }>): Match {
  const match: Record<string, unknown> = {};
  for (const [name, { value, mask }] of fields) {
    const field = flowFieldOf(name);
    const isWhole = field !== undefined && mask === (1n << BigInt(field.bits)) - 1n;
    match[name] = isWhole ? (field.bits <= 32 ? Number(value) : value) : { value, mask };
  }
  return match as Match;
}
