import {
  type Bucket,
  decode,
  encode,
  type Instruction,
  type Match,
  type MessageOf,
  OFPFF,
  OFPG,
  OFPM,
  OFPP,
  OFPTT,
  type OfMessage,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { type ModelPacket, takes } from "./packet.js";
import { covers, overlaps, sameTerms, type Term, termsOf } from "./values.js";

type FlowMod = MessageOf<"OFPT_FLOW_MOD">;
type GroupMod = MessageOf<"OFPT_GROUP_MOD">;
type MeterMod = MessageOf<"OFPT_METER_MOD">;
type FlowStats = Extract<
  MessageOf<"OFPT_MULTIPART_REPLY">["body"],
  { type: "OFPMP_FLOW" }
>["entries"][number];

/** A flow entry. `match` and `instructions` are as they were sent. */
export interface ModelFlow {
  readonly table_id: number;
  readonly priority: number;
  readonly match: Readonly<Match>;
  readonly cookie: bigint;
  readonly idle_timeout: number;
  readonly hard_timeout: number;
  readonly flags: number;
  readonly instructions: readonly Instruction[];
  /** `match` for comparisons. */
  readonly terms: readonly Term[];
}

export interface ModelGroup {
  readonly group_id: number;
  readonly group_type: string | number;
  readonly buckets: readonly Bucket[];
}

/** Why a switch would refuse a message: OFPT_ERROR's type and code. */
export type Refusal = readonly [error_type: string, error_code: string];

/** A message with every field that may be left out, as the switch reads it. Throws the codec's EncodeError. */
export const asReceived = (message: OfMessageInit): OfMessage => decode(encode(message));

/** The flow tables, groups and meters of one switch as its controller has set them up (OpenFlow 1.3.5 §5, §6.4, §6.5). A
 *  copy for asking "where does this packet go?"; it has no clock and no counters. */
export class SwitchTables {
  /** By table; in each, the highest priority first. */
  readonly #tables = new Map<number, ModelFlow[]>();
  readonly #groups = new Map<number, ModelGroup>();
  readonly #meters = new Set<number>();

  /** All flows, table by table, the highest priority first. */
  get flows(): ModelFlow[] {
    return [...this.#tables.entries()].sort(([a], [b]) => a - b).flatMap(([, flows]) => flows);
  }

  get groups(): ReadonlyMap<number, ModelGroup> {
    return this.#groups;
  }

  get meters(): ReadonlySet<number> {
    return this.#meters;
  }

  flowsOf(table_id: number): readonly ModelFlow[] {
    return this.#tables.get(table_id) ?? [];
  }

  /** The flow that takes the packet in a table. */
  lookup(table_id: number, packet: ModelPacket): ModelFlow | undefined {
    return this.#tables.get(table_id)?.find(({ terms }) => takes(terms, packet));
  }

  /** Does what the switch does with a message (see `asReceived`), if it changes tables, groups or meters. Gives the error that the switch
   *  would answer with; then nothing has changed. */
  apply(message: OfMessage): Refusal | undefined {
    if (message.type === "OFPT_FLOW_MOD") return this.#flowMod(message);
    if (message.type === "OFPT_GROUP_MOD") return this.#groupMod(message);
    if (message.type === "OFPT_METER_MOD") return this.#meterMod(message);
    return undefined;
  }

  /** Takes the flows that the switch itself lists in place of all that are known. */
  replaceFlows(entries: readonly FlowStats[]): void {
    this.#tables.clear();
    for (const entry of entries) this.#insert({ ...entry, terms: termsOf(entry.match) });
  }

  /** Takes the groups that the switch itself lists in place of all that are known. */
  replaceGroups(groups: readonly ModelGroup[]): void {
    this.#groups.clear();
    for (const group of groups) this.#groups.set(group.group_id, group);
  }

  /** The switch says that a flow has gone (OFPT_FLOW_REMOVED). */
  remove({ table_id, priority, match }: Pick<ModelFlow, "table_id" | "priority" | "match">): void {
    const terms = termsOf(match);
    this.#keep(table_id, (flow) => flow.priority !== priority || !sameTerms(flow.terms, terms));
  }

  #insert(flow: ModelFlow): void {
    let flows = this.#tables.get(flow.table_id);
    if (flows === undefined) {
      flows = [];
      this.#tables.set(flow.table_id, flows);
    }
    const at = flows.findIndex(({ priority }) => priority < flow.priority);
    flows.splice(at < 0 ? flows.length : at, 0, flow);
  }

  #keep(table_id: number, isKept: (flow: ModelFlow) => boolean): void {
    const flows = this.#tables.get(table_id)?.filter(isKept) ?? [];
    if (flows.length === 0) this.#tables.delete(table_id);
    else this.#tables.set(table_id, flows);
  }

  #flowMod(message: FlowMod): Refusal | undefined {
    const { command, table_id, match, priority, cookie, cookie_mask, instructions } = message;
    const terms = termsOf(match);
    const isDelete = command === "OFPFC_DELETE" || command === "OFPFC_DELETE_STRICT";
    if (!isDelete) {
      const refusal = this.#checkInstructions(table_id, instructions);
      if (refusal) return refusal;
    }
    if (command === "OFPFC_ADD") {
      const { flags, idle_timeout, hard_timeout } = message;
      const others = this.flowsOf(table_id);
      const isOther = (flow: ModelFlow): boolean =>
        flow.priority === priority && !sameTerms(flow.terms, terms) && overlaps(flow.terms, terms);
      if ((flags & OFPFF.CHECK_OVERLAP) !== 0 && others.some(isOther))
        return ["OFPET_FLOW_MOD_FAILED", "OFPFMFC_OVERLAP"];
      this.#keep(table_id, (flow) => flow.priority !== priority || !sameTerms(flow.terms, terms));
      const flow = {
        table_id,
        priority,
        match,
        cookie,
        idle_timeout,
        hard_timeout,
        flags,
        instructions,
        terms,
      };
      this.#insert(flow);
      return undefined;
    }
    const isStrict = command === "OFPFC_MODIFY_STRICT" || command === "OFPFC_DELETE_STRICT";
    const isMeant = (flow: ModelFlow): boolean =>
      (flow.cookie & cookie_mask) === (cookie & cookie_mask) &&
      (isStrict ? flow.priority === priority && sameTerms(flow.terms, terms) : covers(terms, flow.terms));
    const tables = table_id === OFPTT.ALL ? [...this.#tables.keys()] : [table_id];
    for (const table of tables) {
      if (isDelete) this.#keep(table, (flow) => !(isMeant(flow) && leadsTo(flow, message)));
      else {
        const flows = this.#tables.get(table);
        flows?.forEach((flow, i) => {
          if (isMeant(flow)) flows[i] = { ...flow, instructions };
        });
      }
    }
    return undefined;
  }

  /** Groups and meters must exist, and tables be ahead (§6.4). */
  #checkInstructions(table_id: number, instructions: readonly Instruction[]): Refusal | undefined {
    for (const instruction of instructions) {
      if (instruction.type === "OFPIT_GOTO_TABLE" && instruction.table_id <= table_id)
        return ["OFPET_BAD_INSTRUCTION", "OFPBIC_BAD_TABLE_ID"];
      if (instruction.type === "OFPIT_METER" && !this.#meters.has(instruction.meter_id))
        return ["OFPET_METER_MOD_FAILED", "OFPMMFC_UNKNOWN_METER"];
      for (const action of "actions" in instruction ? instruction.actions : []) {
        if (action.type === "OFPAT_GROUP" && !this.#groups.has(action.group_id))
          return ["OFPET_BAD_ACTION", "OFPBAC_BAD_OUT_GROUP"];
      }
    }
    return undefined;
  }

  #groupMod(message: GroupMod): Refusal | undefined {
    const { command, group_id, buckets } = message;
    const isKnown = this.#groups.has(group_id);
    if (command === "OFPGC_DELETE") {
      const isMeant = (id: number): boolean => group_id === OFPG.ALL || id === group_id;
      for (const id of [...this.#groups.keys()].filter(isMeant)) this.#deleteGroup(id);
      return undefined;
    }
    if (command === "OFPGC_ADD" && isKnown) return ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_GROUP_EXISTS"];
    if (command === "OFPGC_MODIFY" && !isKnown) return ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_UNKNOWN_GROUP"];
    this.#groups.set(group_id, { group_id, group_type: message.group_type, buckets });
    return undefined;
  }

  /** Flows that send to a group go with it (§6.5). */
  #deleteGroup(group_id: number): void {
    this.#groups.delete(group_id);
    for (const table of [...this.#tables.keys()])
      this.#keep(table, (flow) => !outputs(flow).some((one) => one.group === group_id));
  }

  #meterMod({ command, meter_id }: MeterMod): Refusal | undefined {
    const isKnown = this.#meters.has(meter_id);
    if (command === "OFPMC_ADD") {
      if (isKnown) return ["OFPET_METER_MOD_FAILED", "OFPMMFC_METER_EXISTS"];
      this.#meters.add(meter_id);
    } else if (command === "OFPMC_MODIFY") {
      if (!isKnown) return ["OFPET_METER_MOD_FAILED", "OFPMMFC_UNKNOWN_METER"];
    } else {
      const gone = meter_id === OFPM.ALL ? [...this.#meters] : [meter_id];
      for (const id of gone) {
        this.#meters.delete(id);
        for (const table of [...this.#tables.keys()])
          this.#keep(
            table,
            (flow) => !flow.instructions.some((one) => one.type === "OFPIT_METER" && one.meter_id === id),
          );
      }
    }
    return undefined;
  }
}

/** Whether a flow meets the filter of a deletion by output port and group. */
function leadsTo(flow: ModelFlow, { out_port, out_group }: FlowMod): boolean {
  const found = outputs(flow);
  return (
    (out_port === OFPP.ANY || found.some(({ port }) => port === out_port)) &&
    (out_group === OFPG.ANY || found.some(({ group }) => group === out_group))
  );
}

/** Where a flow's actions send, at once or in the action set. */
function outputs(flow: ModelFlow): { port?: number; group?: number }[] {
  const found: { port?: number; group?: number }[] = [];
  for (const instruction of flow.instructions) {
    for (const action of "actions" in instruction ? instruction.actions : []) {
      if (action.type === "OFPAT_OUTPUT") found.push({ port: action.port });
      else if (action.type === "OFPAT_GROUP") found.push({ group: action.group_id });
    }
  }
  return found;
}
