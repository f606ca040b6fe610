import type { Action, Instruction } from "../of.js";
import type { Tags } from "./normal.js";
import type { XPort } from "./world.js";

/** What translation executes one after the other: actions, instructions, and its own. */
export type Step = Action | Instruction | OwnStep;

export type OwnStep =
  /** Back in the table that a resubmit came from. */
  | { readonly type: "unroll"; readonly table_id: number; readonly cookie: bigint }
  /** The end of a pipeline: the action set's turn. */
  | { readonly type: "action_set" }
  /** Out of a port, whatever the input port is. */
  | { readonly type: "send"; readonly port: XPort }
  /** So many of the packet's VLAN tags go, and others come before those that are kept. */
  | { readonly type: "retag"; readonly pops: number; readonly pushes: Tags; readonly kept: Tags };
