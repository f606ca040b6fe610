import { type OdpAction, sameActions } from "../../dpif/actions.js";
import type { DpFlow } from "../../dpif/dpif.js";
import { type FlowKey, type FlowMask, newFlowKey } from "../../flow/flow-key.js";
import { KeyStore } from "../../flow/key-store.js";
import { NO_SLOT, SlotMap } from "./slot-map.js";

/** What a datapath is told of flows: by number, so that it searches nothing and nothing it has grows in one go. A slot
 *  is a flow's place, a program a list of actions. `key` counts in the bits of `mask` only, and neither is kept. */
export interface FlowTarget {
  /** `text`: of the actions, for `actionsOfText`. */
  programPut(program: number, actions: readonly OdpAction[], text: string): void;
  programDel(program: number): void;
  flowPut(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void;
  /** The flow in the slot has another id, to which packets count from now on, and other actions. */
  flowReplace(slot: number, id: number, program: number): void;
  flowDel(slot: number): void;
}

interface Program {
  readonly number: number;
  readonly text: string;
  readonly actions: readonly OdpAction[];
  users: number;
}

/** Programs without a flow that are kept: packets are executed with the same few lists again and again. */
const MAX_IDLE = 1024;

/** # Flow directory
 *
 *  **What.** Who calls a dpif knows flows by ids of his own and actions as lists; datapaths know slots and programs.
 *  This side remembers which is which, the same for each host of a datapath, and can tell all again to one that is new.
 *
 *  **Why.** A switch has many flows and few things to do with them: a list of actions is told, checked and compiled
 *  once, and a change of policy is a few words a flow.
 *
 *  **Invariants.** A program is told before a flow or packet that needs it, and is taken back only when no flow has it.
 *  Slots are dense: one that was given back is used before a new one. */
export class FlowDirectory {
  /** Flows that found all slots taken. */
  refused = 0;
  readonly #target: FlowTarget;
  readonly #maxFlows: number;
  /** Slots by id; and of each slot its flow's key, mask and program: no object for a flow. */
  readonly #flows = new SlotMap();
  readonly #keys = new KeyStore();
  readonly #masks: (FlowMask | undefined)[] = [];
  readonly #programOf: (Program | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #programs = new Map<string, Program>();
  /** Those without a flow, the one that was used last at the end. */
  readonly #idle = new Set<Program>();
  /** That was asked for last: the next is likely to be the same. */
  #recent: Program | undefined;
  readonly #freeNumbers: number[] = [];
  #numbers = 0;

  constructor(target: FlowTarget, maxFlows: number) {
    this.#target = target;
    this.#maxFlows = maxFlows;
  }

  get size(): number {
    return this.#flows.size;
  }

  put(flow: DpFlow): void {
    const { id, key, mask, actions } = flow;
    if (this.#flows.get(id) !== NO_SLOT) {
      this.replace(id, id, actions);
      return;
    }
    if (this.#flows.size >= this.#maxFlows) {
      this.refused++;
      return;
    }
    const slot = this.#freeSlots.pop() ?? this.#masks.length;
    const program = this.#acquire(actions);
    this.#flows.set(id, slot);
    this.#keys.set(slot, key);
    this.#masks[slot] = mask;
    this.#programOf[slot] = program;
    this.#target.flowPut(slot, id, key, mask, program.number);
  }

  replace(old: number, id: number, actions: readonly OdpAction[]): void {
    const slot = this.#flows.get(old);
    if (slot === NO_SLOT) return;
    const before = this.#programOf[slot]!;
    const program = this.#acquire(actions);
    this.#programOf[slot] = program;
    if (old !== id) {
      this.#flows.delete(old);
      this.#flows.set(id, slot);
    }
    this.#target.flowReplace(slot, id, program.number);
    this.#release(before);
  }

  remove(id: number): void {
    const slot = this.#flows.get(id);
    if (slot === NO_SLOT) return;
    const program = this.#programOf[slot]!;
    this.#flows.delete(id);
    this.#masks[slot] = undefined;
    this.#programOf[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#target.flowDel(slot);
    this.#release(program);
  }

  flush(): void {
    for (const [id] of [...this.#flows]) this.remove(id);
  }

  /** The number of a list of actions, for one that is used now. */
  programOf(actions: readonly OdpAction[]): number {
    const program = this.#find(actions);
    if (program.users === 0) this.#rest(program);
    return program.number;
  }

  /** Tells a target that knows nothing all that is known. */
  tellAll(target: FlowTarget): void {
    for (const { number, actions, text } of this.#programs.values()) target.programPut(number, actions, text);
    const key = newFlowKey();
    for (const [id, slot] of this.#flows) {
      this.#keys.read(slot, key);
      target.flowPut(slot, id, key, this.#masks[slot]!, this.#programOf[slot]!.number);
    }
  }

  #acquire(actions: readonly OdpAction[]): Program {
    const program = this.#find(actions);
    if (program.users++ === 0) this.#idle.delete(program);
    return program;
  }

  #release(program: Program): void {
    if (--program.users === 0) this.#rest(program);
  }

  #find(actions: readonly OdpAction[]): Program {
    if (this.#recent && sameActions(this.#recent.actions, actions)) return this.#recent;
    const text = JSON.stringify(actions);
    let program = this.#programs.get(text);
    if (!program) {
      program = { number: this.#freeNumbers.pop() ?? ++this.#numbers, text, actions, users: 0 };
      this.#programs.set(text, program);
      this.#target.programPut(program.number, actions, text);
    }
    this.#recent = program;
    return program;
  }

  /** Keeps a program that no flow has, and gives up the one that has waited longest when they are too many. */
  #rest(program: Program): void {
    this.#idle.delete(program);
    this.#idle.add(program);
    if (this.#idle.size <= MAX_IDLE) return;
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    this.#programs.delete(oldest!.text);
    if (this.#recent === oldest) this.#recent = undefined;
    this.#freeNumbers.push(oldest!.number);
    this.#target.programDel(oldest!.number);
  }
}

/** What JSON makes of a Uint8Array, and of a Buffer. */
type TextBytes = Readonly<Record<string, number>> | { readonly data: readonly number[] };

/** The actions whose text FlowTarget.programPut was told. */
export const actionsOfText = (text: string): OdpAction[] =>
  JSON.parse(text, (name, value: unknown) => {
    if ((name !== "value" && name !== "mask") || typeof value !== "object") return value;
    const bytes = value as TextBytes;
    return Uint8Array.from(Array.isArray(bytes.data) ? bytes.data : Object.values(bytes));
  }) as OdpAction[];
