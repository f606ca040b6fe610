import {
  type Bucket,
  decode,
  encode,
  type Instruction,
  type Match,
  type MessageOf,
  type MeterBand,
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

/** A flow as the switch lists it, and as it tells of one. */
export type ListedFlow = Omit<ModelFlow, "flags" | "terms">;

export interface ModelGroup {
  readonly group_id: number;
  readonly group_type: string | number;
  readonly buckets: readonly Bucket[];
}

export interface ModelMeter {
  readonly meter_id: number;
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}

/** What became of a flow, a group or a meter. */
export type TableChange = "add" | "modify" | "delete";

/** Told of each that comes, changes and goes. */
export interface TableWatcher {
  flow?(change: TableChange, flow: ModelFlow): void;
  group?(change: TableChange, group: ModelGroup): void;
  meter?(change: TableChange, meter: ModelMeter): void;
}

/** The tables of a switch, to look at: see SwitchTables. */
export type ReadonlyTables = Pick<
  SwitchTables,
  "flows" | "flowCount" | "groups" | "meters" | "flowsOf" | "lookup"
>;

/** Why a switch would refuse a message: OFPT_ERROR's type and code. */
export type Refusal = readonly [error_type: string, error_code: string];

/** A message with every field that may be left out, as the switch reads it. Throws the codec's EncodeError. */
export const asReceived = (message: OfMessageInit): OfMessage => decode(encode(message));

/** The flow tables, groups and meters of one switch as its controller has set them up (OpenFlow 1.3.5 §5, §6.4, §6.5). A
 *  copy for asking "where does this packet go?"; it has no clock and no counters. */
export class SwitchTables {
  readonly #tables = new Map<number, FlowTable>();
  readonly #groups = new Map<number, ModelGroup>();
  readonly #meters = new Map<number, ModelMeter>();
  #isToldOfFlows = false;
  /** Told of what comes, changes and goes, other than by `replaceFlows` and the like. */
  watcher: TableWatcher | undefined;

  /** All flows, table by table, the highest priority first. */
  get flows(): ModelFlow[] {
    return [...this.#tables.entries()].sort(([a], [b]) => a - b).flatMap(([, table]) => table.sorted);
  }

  get flowCount(): number {
    let count = 0;
    for (const table of this.#tables.values()) count += table.size;
    return count;
  }

  get groups(): ReadonlyMap<number, ModelGroup> {
    return this.#groups;
  }

  get meters(): ReadonlyMap<number, ModelMeter> {
    return this.#meters;
  }

  flowsOf(table_id: number): readonly ModelFlow[] {
    return this.#tables.get(table_id)?.sorted ?? [];
  }

  /** The flow that takes the packet in a table. */
  lookup(table_id: number, packet: ModelPacket): ModelFlow | undefined {
    return this.#tables.get(table_id)?.sorted.find(({ terms }) => takes(terms, packet));
  }

  /** Does what the switch does with a message (see `asReceived`), if it changes tables, groups or meters. Gives the error that the switch
   *  would answer with; then nothing has changed. */
  apply(message: OfMessage): Refusal | undefined {
    const refusal = this.#refusal(message);
    if (refusal === undefined) this.accept(message);
    return refusal;
  }

  /** Does what a switch has done that accepted the message, also where this copy would have refused it. Flows that go with
   *  their group or meter go here, too, unless the switch tells of each itself. */
  accept(message: OfMessage, isToldOfFlows = false): void {
    if (isToldOfFlows && message.type === "OFPT_FLOW_MOD") return;
    this.#isToldOfFlows = isToldOfFlows;
    if (message.type === "OFPT_FLOW_MOD") this.#flowMod(message);
    else if (message.type === "OFPT_GROUP_MOD") this.#groupMod(message);
    else if (message.type === "OFPT_METER_MOD") this.#meterMod(message);
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

  /** Takes the meters that the switch itself lists in place of all that are known. */
  replaceMeters(meters: readonly ModelMeter[]): void {
    this.#meters.clear();
    for (const meter of meters) this.#meters.set(meter.meter_id, meter);
  }

  /** The switch says that a flow is there now, or is changed. */
  put(flow: Omit<ModelFlow, "terms">): void {
    this.#insert({ ...flow, terms: termsOf(flow.match) });
  }

  /** The switch says that a flow has gone (OFPT_FLOW_REMOVED). */
  remove({ table_id, priority, match }: Pick<ModelFlow, "table_id" | "priority" | "match">): void {
    this.#delete(table_id, flowKey(priority, termsOf(match)));
  }

  #insert(flow: ModelFlow): void {
    let table = this.#tables.get(flow.table_id);
    if (table === undefined) {
      table = new FlowTable();
      this.#tables.set(flow.table_id, table);
    }
    const isNew = this.watcher?.flow === undefined || !table.byKey.has(flowKey(flow.priority, flow.terms));
    table.set(flow);
    this.watcher?.flow?.(isNew ? "add" : "modify", flow);
  }

  #delete(table_id: number, key: string): void {
    const table = this.#tables.get(table_id);
    const flow = table?.byKey.get(key);
    table?.delete(key);
    if (flow !== undefined) this.watcher?.flow?.("delete", flow);
    if (table?.size === 0) this.#tables.delete(table_id);
  }

  #keep(table_id: number, isKept: (flow: ModelFlow) => boolean): void {
    for (const [key, flow] of this.#tables.get(table_id)?.byKey ?? [])
      if (!isKept(flow)) this.#delete(table_id, key);
  }

  #refusal(message: OfMessage): Refusal | undefined {
    if (message.type === "OFPT_FLOW_MOD") return this.#refusalOfFlow(message);
    if (message.type === "OFPT_GROUP_MOD") {
      const isKnown = this.#groups.has(message.group_id);
      if (message.command === "OFPGC_ADD" && isKnown)
        return ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_GROUP_EXISTS"];
      if (message.command === "OFPGC_MODIFY" && !isKnown)
        return ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_UNKNOWN_GROUP"];
    }
    if (message.type === "OFPT_METER_MOD") {
      const isKnown = this.#meters.has(message.meter_id);
      if (message.command === "OFPMC_ADD" && isKnown)
        return ["OFPET_METER_MOD_FAILED", "OFPMMFC_METER_EXISTS"];
      if (message.command === "OFPMC_MODIFY" && !isKnown)
        return ["OFPET_METER_MOD_FAILED", "OFPMMFC_UNKNOWN_METER"];
    }
    return undefined;
  }

  #refusalOfFlow({ command, table_id, match, priority, flags, instructions }: FlowMod): Refusal | undefined {
    if (command === "OFPFC_DELETE" || command === "OFPFC_DELETE_STRICT") return undefined;
    const refusal = this.#checkInstructions(table_id, instructions);
    if (refusal !== undefined || command !== "OFPFC_ADD" || (flags & OFPFF.CHECK_OVERLAP) === 0)
      return refusal;
    const terms = termsOf(match);
    const isOther = (flow: ModelFlow): boolean =>
      flow.priority === priority && !sameTerms(flow.terms, terms) && overlaps(flow.terms, terms);
    return this.flowsOf(table_id).some(isOther) ? ["OFPET_FLOW_MOD_FAILED", "OFPFMFC_OVERLAP"] : undefined;
  }

  #flowMod(message: FlowMod): void {
    const { command, table_id, match, priority, cookie, cookie_mask, instructions } = message;
    const terms = termsOf(match);
    if (command === "OFPFC_ADD") {
      const { flags, idle_timeout, hard_timeout } = message;
      const numbers = { table_id, priority, cookie, idle_timeout, hard_timeout, flags };
      this.#insert({ ...numbers, match, instructions, terms });
      return;
    }
    const isDelete = command === "OFPFC_DELETE" || command === "OFPFC_DELETE_STRICT";
    const isStrict = command === "OFPFC_MODIFY_STRICT" || command === "OFPFC_DELETE_STRICT";
    const isMeant = (flow: ModelFlow): boolean =>
      (flow.cookie & cookie_mask) === (cookie & cookie_mask) && (isStrict || covers(terms, flow.terms));
    const key = flowKey(priority, terms);
    for (const id of table_id === OFPTT.ALL ? [...this.#tables.keys()] : [table_id]) {
      const table = this.#tables.get(id);
      if (table === undefined) continue;
      const one = table.byKey.get(key);
      const candidates = isStrict ? (one === undefined ? [] : [one]) : [...table.byKey.values()];
      for (const flow of candidates.filter(isMeant)) {
        if (!isDelete) {
          const changed = { ...flow, instructions };
          table.change(changed);
          this.watcher?.flow?.("modify", changed);
        } else if (leadsTo(flow, message)) this.#delete(id, flowKey(flow.priority, flow.terms));
      }
    }
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

  #groupMod(message: GroupMod): void {
    const { command, group_id, buckets } = message;
    if (command === "OFPGC_DELETE") {
      const isMeant = (id: number): boolean => group_id === OFPG.ALL || id === group_id;
      for (const id of [...this.#groups.keys()].filter(isMeant)) this.#deleteGroup(id);
      return;
    }
    const change = this.#groups.has(group_id) ? "modify" : "add";
    const group = { group_id, group_type: message.group_type, buckets };
    this.#groups.set(group_id, group);
    this.watcher?.group?.(change, group);
  }

  /** Flows that send to a group go with it (§6.5). */
  #deleteGroup(group_id: number): void {
    const group = this.#groups.get(group_id);
    this.#groups.delete(group_id);
    if (group !== undefined) this.watcher?.group?.("delete", group);
    if (this.#isToldOfFlows) return;
    for (const table of [...this.#tables.keys()])
      this.#keep(table, (flow) => !outputs(flow).some((one) => one.group === group_id));
  }

  /** Flows that are metered go with the meter (§6.4). */
  #meterMod({ command, meter_id, flags, bands }: MeterMod): void {
    if (command !== "OFPMC_DELETE") {
      const change = this.#meters.has(meter_id) ? "modify" : "add";
      const meter = { meter_id, flags, bands };
      this.#meters.set(meter_id, meter);
      this.watcher?.meter?.(change, meter);
      return;
    }
    for (const id of meter_id === OFPM.ALL ? [...this.#meters.keys()] : [meter_id]) {
      const meter = this.#meters.get(id);
      this.#meters.delete(id);
      if (meter !== undefined) this.watcher?.meter?.("delete", meter);
      if (this.#isToldOfFlows) continue;
      const isMetered = ({ instructions }: ModelFlow): boolean =>
        instructions.some((one) => one.type === "OFPIT_METER" && one.meter_id === id);
      for (const table of [...this.#tables.keys()]) this.#keep(table, (flow) => !isMetered(flow));
    }
  }
}

/** What makes a flow the same as another of its table. */
const flowKey = (priority: number, terms: readonly Term[]): string =>
  `${priority} ${terms.map(({ name, value, mask }) => `${name}=${value}/${mask}`).join(" ")}`;

/** The flows of one table: found by their keys where they are changed, in their order where packets are looked up. */
class FlowTable {
  readonly byKey = new Map<string, ModelFlow>();
  #sorted: readonly ModelFlow[] | undefined;

  get size(): number {
    return this.byKey.size;
  }

  /** The highest priority first. */
  get sorted(): readonly ModelFlow[] {
    this.#sorted ??= [...this.byKey.values()].sort((a, b) => b.priority - a.priority);
    return this.#sorted;
  }

  /** Adds a flow, in place of one of the same key. */
  set(flow: ModelFlow): void {
    const key = flowKey(flow.priority, flow.terms);
    this.byKey.delete(key);
    this.byKey.set(key, flow);
    this.#sorted = undefined;
  }

  change(flow: ModelFlow): void {
    this.byKey.set(flowKey(flow.priority, flow.terms), flow);
    this.#sorted = undefined;
  }

  delete(key: string): void {
    if (this.byKey.delete(key)) this.#sorted = undefined;
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
