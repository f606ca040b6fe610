import { oxmField, oxmNameOfHeader } from "@sluice/openflow-codec";
import { flowField, getField } from "../flow/flow-key.js";
import { fieldMaskState } from "../flow/mask.js";
import { flowFieldOf } from "../flow/match.js";
import { KNOWN_EXPERIMENTERS, refuse } from "./error.js";
import type { Action, Instruction, Match } from "./of.js";
import { KeyedMatch } from "./wire-match.js";
import { inOrder } from "./xlate/action-set.js";
import { settingOf } from "./xlate/field.js";
import { isIp, isMpls } from "./xlate/header-actions.js";
import { LEARN_FLAGS } from "./xlate/learn.js";
import { N_ALGORITHMS, N_HASH_FIELDS } from "./xlate/multipath.js";
import { canExecute } from "./xlate/pipeline.js";
import { OFPP, wide } from "./xlate/reserved.js";

/** Whether instructions and actions may be installed: what is refused here has the error that 1.3.5 §7.4.4 asks
 *  for, and translation need not check it again. */

export interface CheckContext {
  hasGroup(group_id: number): boolean;
  hasMeter(meter_id: number): boolean;
  /** Whether the flow is a learned one: a fin_timeout that comes with it is for whatever it matches. */
  readonly isLearned?: boolean;
}

/** What is known of the packet where an action stands: exact values of the fields that are prerequisites. */
type Known = Map<string, number>;

const ANY_VLAN = 0x1000;
const TCP = 6;
/** NXM_OF_IN_PORT: what the members of a bundle are. */
const IN_PORT_HEADER = 0x0000_0002;
const KNOWN_LEARN_FLAGS = LEARN_FLAGS.SEND_FLOW_REM | LEARN_FLAGS.DELETE_LEARNED | LEARN_FLAGS.WRITE_RESULT;

/** The order in which instructions are executed (1.3.5 §5.9). */
const ORDER: readonly Instruction["type"][] = [
  "OFPIT_METER",
  "OFPIT_APPLY_ACTIONS",
  "OFPIT_CLEAR_ACTIONS",
  "OFPIT_WRITE_ACTIONS",
  "OFPIT_WRITE_METADATA",
  "OFPIT_GOTO_TABLE",
];

/** Refuses instructions that cannot be carried out for a flow with this match in this table; gives them back in
 *  the order of execution. */
export function checkInstructions(
  match: Match | KeyedMatch,
  table_id: number,
  instructions: readonly Instruction[],
  context: CheckContext,
): readonly Instruction[] {
  const known = instructions.some(asksOfMatch) ? knownOf(match) : NOTHING_KNOWN;
  const sorted =
    instructions.length < 2
      ? instructions
      : [...instructions].sort((a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type));
  checkConjunctions(instructions);
  sorted.forEach((instruction, i) => {
    if (i > 0 && sorted[i - 1]!.type === instruction.type)
      throw refuse("OFPBIC_UNSUP_INST", `two ${instruction.type}`);
    checkInstruction(known, table_id, instruction, context);
  });
  return sorted;
}

const NOTHING_KNOWN: Known = new Map();

/** Whether there are actions other than to send the packet, which suit any match. */
function asksOfMatch(instruction: Instruction): boolean {
  if (!("actions" in instruction) || instruction.actions === undefined) return false;
  for (const action of instruction.actions) if (!suitsAny(action)) return true;
  return false;
}

const suitsAny = ({ type }: Action): boolean => type === "OFPAT_OUTPUT" || type === "OFPAT_GROUP";

/** A flow that is part of a conjunction is never executed: beside `conjunction` only notes make sense. */
function checkConjunctions(instructions: readonly Instruction[]): void {
  const first = instructions.find((instruction) => instruction.type === "OFPIT_APPLY_ACTIONS");
  const actions = first?.actions ?? [];
  if (!actions.some(({ type }) => type === "NXAST_CONJUNCTION")) return;
  const other =
    instructions.find((instruction) => instruction !== first) ??
    actions.find(({ type }) => type !== "NXAST_CONJUNCTION" && type !== "NXAST_NOTE");
  if (other) throw refuse("NXBAC_BAD_CONJUNCTION", `${other.type} in a flow with conjunction`);
}

function checkInstruction(
  known: Known,
  table_id: number,
  instruction: Instruction,
  context: CheckContext,
): void {
  switch (instruction.type) {
    case "OFPIT_GOTO_TABLE":
      if (instruction.table_id <= table_id)
        throw refuse("OFPBIC_BAD_TABLE_ID", `goto_table:${instruction.table_id} in table ${table_id}`);
      return;
    case "OFPIT_METER":
      if (!context.hasMeter(instruction.meter_id))
        throw refuse("OFPMMFC_INVALID_METER", `there is no meter ${instruction.meter_id}`);
      return;
    case "OFPIT_APPLY_ACTIONS":
      checkActions(known, instruction.actions ?? [], context);
      return;
    // In the order of execution: a push may stand behind what needs it. What takes headers away does nothing where
    // there is none; in an action set it waits for what the packet will be by the end.
    case "OFPIT_WRITE_ACTIONS":
      for (const { type } of instruction.actions ?? [])
        if (NOT_IN_SET.has(type)) throw refuse("OFPBAC_BAD_TYPE", `${type} has no place in an action set`);
      for (const action of inOrder(instruction.actions ?? []))
        checkAction(IF_THERE.has(action.type) ? undefined : known, action, context);
      return;
    case "OFPIT_EXPERIMENTER":
      throw refuse("OFPBIC_BAD_EXPERIMENTER", `experimenter 0x${instruction.experimenter.toString(16)}`);
    default:
  }
}

/** Nicira's actions that have no place in an action set's order. */
const NOT_IN_SET: ReadonlySet<string> = new Set([
  "NXAST_BUNDLE",
  "NXAST_BUNDLE_LOAD",
  "NXAST_CHECK_PKT_LARGER",
  "NXAST_CLONE",
  "NXAST_CONJUNCTION",
  "NXAST_CONTROLLER",
  "NXAST_CONTROLLER2",
  "NXAST_EXIT",
  "NXAST_FIN_TIMEOUT",
  "NXAST_LEARN",
  "NXAST_LEARN2",
  "NXAST_MULTIPATH",
  "NXAST_NOTE",
  "NXAST_OUTPUT_REG",
  "NXAST_OUTPUT_REG2",
  "NXAST_OUTPUT_TRUNC",
  "NXAST_POP_QUEUE",
  "NXAST_SAMPLE",
  "NXAST_SAMPLE2",
  "NXAST_SAMPLE3",
  "NXAST_STACK_POP",
  "NXAST_STACK_PUSH",
]);

/** Actions on a header that leave a packet without it alone. */
const IF_THERE: ReadonlySet<string> = new Set([
  "OFPAT_POP_VLAN",
  "OFPAT_POP_MPLS",
  "OFPAT_POP_PBB",
  "OFPAT_SET_NW_TTL",
  "OFPAT_DEC_NW_TTL",
  "OFPAT_SET_MPLS_TTL",
  "OFPAT_DEC_MPLS_TTL",
  "OFPAT_COPY_TTL_OUT",
  "OFPAT_COPY_TTL_IN",
  "NXAST_DEC_TTL_CNT_IDS",
]);

/** Refuses actions of a bucket (no match is known), or of a packet-out, for its packet. */
export function checkActionList(
  actions: readonly Action[],
  context: CheckContext,
  match: "unknown" | (() => KeyedMatch),
): void {
  const known = match === "unknown" ? undefined : actions.every(suitsAny) ? NOTHING_KNOWN : knownOf(match());
  checkActions(known, actions, context);
}

function checkActions(known: Known | undefined, actions: readonly Action[], context: CheckContext): void {
  for (const action of actions) checkAction(known, action, context);
}

function inconsistent(action: Action, needs: string): Error {
  return refuse("OFPBAC_MATCH_INCONSISTENT", `${action.type} needs a match on ${needs}`);
}

function checkAction(known: Known | undefined, action: Action, context: CheckContext): void {
  switch (action.type) {
    case "OFPAT_OUTPUT":
      if (!isOutputPort(action.port)) throw refuse("OFPBAC_BAD_OUT_PORT", `port ${action.port >>> 0}`);
      return;
    case "OFPAT_GROUP":
      if (!context.hasGroup(action.group_id))
        throw refuse("OFPBAC_BAD_OUT_GROUP", `there is no group ${action.group_id}`);
      return;
    case "OFPAT_SET_FIELD":
      checkSetField(known, action);
      return;
    case "OFPAT_PUSH_VLAN":
      if (action.ethertype !== 0x8100 && action.ethertype !== 0x88a8) throw badEthertype(action);
      known?.set("vlan_vid", ANY_VLAN);
      return;
    case "OFPAT_POP_VLAN":
      if (known && !known.get("vlan_vid")) throw inconsistent(action, "vlan_vid");
      return;
    case "OFPAT_PUSH_MPLS":
      if (!isMpls(action.ethertype)) throw badEthertype(action);
      known?.set("eth_type", action.ethertype);
      return;
    case "OFPAT_POP_MPLS":
      if (known && !isMpls(known.get("eth_type") ?? 0))
        throw inconsistent(action, "eth_type 0x8847 or 0x8848");
      known?.set("eth_type", action.ethertype);
      return;
    case "OFPAT_PUSH_PBB":
      if (action.ethertype !== 0x88e7) throw badEthertype(action);
      known?.set("eth_type", action.ethertype);
      return;
    case "OFPAT_POP_PBB":
      if (known && known.get("eth_type") !== 0x88e7) throw inconsistent(action, "eth_type 0x88e7");
      known?.delete("eth_type");
      return;
    case "OFPAT_SET_NW_TTL":
    case "OFPAT_DEC_NW_TTL":
      if (known && !isIp(known.get("eth_type") ?? 0)) throw inconsistent(action, "eth_type 0x0800 or 0x86dd");
      return;
    case "OFPAT_SET_MPLS_TTL":
    case "OFPAT_DEC_MPLS_TTL":
    case "OFPAT_COPY_TTL_OUT":
    case "OFPAT_COPY_TTL_IN":
      if (known && !isMpls(known.get("eth_type") ?? 0))
        throw inconsistent(action, "eth_type 0x8847 or 0x8848");
      break;
    case "OFPAT_EXPERIMENTER":
      throw refuse(
        KNOWN_EXPERIMENTERS.has(action.experimenter) ? "OFPBAC_BAD_EXP_TYPE" : "OFPBAC_BAD_EXPERIMENTER",
        `an action of experimenter 0x${action.experimenter.toString(16)}`,
      );
    case "NXAST_GROUP":
      if (!context.hasGroup(action.group_id))
        throw refuse("OFPBAC_BAD_OUT_GROUP", `there is no group ${action.group_id}`);
      return;
    case "NXAST_CLONE":
      checkActions(known && new Map(known), (action.actions ?? []) as readonly Action[], context);
      return;
    case "NXAST_CONTROLLER2":
      if (action.properties?.some((property) => "type" in property && property.type === "NXAC2PT_PAUSE"))
        throw refuse("OFPBAC_BAD_ARGUMENT", "controller(pause): packets do not wait for NXT_RESUME");
      return;
    case "NXAST_CONJUNCTION":
      if (action.n_clauses < 2 || action.n_clauses > 64 || action.clause >= action.n_clauses)
        throw refuse("NXBAC_BAD_CONJUNCTION", `clause ${action.clause + 1} of ${action.n_clauses}`);
      return;
    case "NXAST_LEARN":
    case "NXAST_LEARN2":
      if (((action.flags ?? 0) & ~KNOWN_LEARN_FLAGS) !== 0)
        throw refuse("OFPBAC_BAD_ARGUMENT", `learn with flags 0x${action.flags!.toString(16)}`);
      break;
    case "NXAST_MULTIPATH":
      checkHash(action);
      if (action.algorithm >= N_ALGORITHMS)
        throw refuse("OFPBAC_BAD_ARGUMENT", `multipath with algorithm ${action.algorithm}`);
      if (action.max_link >= 2 ** ((action.ofs_nbits & 63) + 1))
        throw refuse(
          "OFPBAC_BAD_ARGUMENT",
          `multipath of ${action.max_link + 1} links: the field is too short`,
        );
      break;
    case "NXAST_BUNDLE":
    case "NXAST_BUNDLE_LOAD":
      checkBundle(action);
      break;
    case "NXAST_SAMPLE":
    case "NXAST_SAMPLE2":
    case "NXAST_SAMPLE3":
      if (action.probability === 0) throw refuse("OFPBAC_BAD_ARGUMENT", "sample with a probability of 0");
      if (action.type === "NXAST_SAMPLE3" && (action.direction ?? 0) > 2)
        throw refuse("OFPBAC_BAD_ARGUMENT", `sample in direction ${action.direction}`);
      return;
    case "NXAST_FIN_TIMEOUT":
      if (known && known.get("ip_proto") !== TCP && !context.isLearned)
        throw inconsistent(action, "ip_proto 6");
      return;
    case "NXAST_DEC_TTL_CNT_IDS":
      if (known && !isIp(known.get("eth_type") ?? 0)) throw inconsistent(action, "eth_type 0x0800 or 0x86dd");
      return;
    case "NXAST_REG_LOAD2":
      settingOf(action.field);
      return;
    default:
  }
  for (const part of bitsOf(action)) checkBits(action, part);
  if (!canExecute(action.type))
    throw refuse(
      action.type.startsWith("NX") ? "OFPBAC_BAD_EXP_TYPE" : "OFPBAC_BAD_TYPE",
      `${action.type} is not supported`,
    );
}

interface Bits {
  readonly field: string;
  readonly offset: number;
  readonly n_bits: number;
}

/** The parts of fields that a Nicira action reads and writes. */
function bitsOf(action: Action): Bits[] {
  switch (action.type) {
    case "NXAST_REG_MOVE":
      return [
        { field: action.src, offset: action.src_ofs ?? 0, n_bits: action.n_bits },
        { field: action.dst, offset: action.dst_ofs ?? 0, n_bits: action.n_bits },
      ];
    case "ONFACT_COPY_FIELD":
      return [
        { field: action.src, offset: action.src_offset ?? 0, n_bits: action.n_bits },
        { field: action.dst, offset: action.dst_offset ?? 0, n_bits: action.n_bits },
      ];
    case "NXAST_REG_LOAD":
      return [{ field: action.dst, offset: action.ofs_nbits >> 6, n_bits: (action.ofs_nbits & 63) + 1 }];
    case "NXAST_OUTPUT_REG":
    case "NXAST_OUTPUT_REG2":
      return [{ field: action.src, offset: action.ofs_nbits >> 6, n_bits: (action.ofs_nbits & 63) + 1 }];
    case "NXAST_STACK_PUSH":
    case "NXAST_STACK_POP":
      return [{ field: action.field, offset: action.offset ?? 0, n_bits: action.n_bits }];
    case "NXAST_MULTIPATH":
      return [{ field: action.dst, offset: action.ofs_nbits >> 6, n_bits: (action.ofs_nbits & 63) + 1 }];
    case "NXAST_BUNDLE_LOAD": {
      const field = oxmNameOfHeader(action.dst) ?? `0x${action.dst.toString(16)}`;
      return [{ field, offset: action.ofs_nbits >> 6, n_bits: (action.ofs_nbits & 63) + 1 }];
    }
    case "NXAST_CHECK_PKT_LARGER":
      return [{ field: action.dst, offset: action.offset, n_bits: 1 }];
    case "NXAST_LEARN":
    case "NXAST_LEARN2":
      return [
        ...resultOf(action),
        ...(action.specs ?? []).flatMap(({ n_bits, src, dst_field, dst_ofs }) => [
          ...("field" in src ? [{ field: src.field, offset: src.ofs, n_bits }] : []),
          ...(dst_field === undefined ? [] : [{ field: dst_field, offset: dst_ofs ?? 0, n_bits }]),
        ]),
      ];
    default:
      return [];
  }
}

/** The bit that says whether a flow was learned. */
const resultOf = (action: Action & { type: "NXAST_LEARN" | "NXAST_LEARN2" }): Bits[] =>
  action.type === "NXAST_LEARN2" && action.result_dst !== undefined
    ? [{ field: action.result_dst, offset: action.result_dst_ofs ?? 0, n_bits: 1 }]
    : [];

function checkHash({ type, fields }: { type: string; fields: number }): void {
  if (fields >= N_HASH_FIELDS) throw refuse("OFPBAC_BAD_ARGUMENT", `${type} with fields ${fields}`);
}

/** A member is a port that a flow can send to, other than the controller, or none, which is never chosen; a register for
 *  it has 16 bits. */
function checkBundle(action: Action & { type: "NXAST_BUNDLE" | "NXAST_BUNDLE_LOAD" }): void {
  checkHash(action);
  if (action.algorithm > 1 || action.member_type !== IN_PORT_HEADER)
    throw refuse("OFPBAC_BAD_ARGUMENT", `${action.type} with algorithm ${action.algorithm}`);
  for (const member of action.members ?? [])
    if (wide(member) !== OFPP.ANY && (!isOutputPort(wide(member)) || wide(member) === OFPP.CONTROLLER))
      throw refuse("OFPBAC_BAD_OUT_PORT", `${action.type}: port ${member}`);
  if (action.type === "NXAST_BUNDLE_LOAD" && (action.ofs_nbits & 63) + 1 < 16)
    throw refuse("OFPBAC_BAD_ARGUMENT", "bundle_load into less than 16 bits");
}

function checkBits(action: Action, { field, offset, n_bits }: Bits): void {
  const target = flowFieldOf(field);
  if (!target) throw refuse("OFPBAC_BAD_SET_TYPE", `${action.type}: the switch has no field ${field}`);
  if (n_bits < 1 || offset + n_bits > target.bits)
    throw refuse("OFPBAC_BAD_SET_LEN", `${action.type}: ${field} has ${target.bits} bits`);
}

const badEthertype = (action: { type: string; ethertype: number }): Error =>
  refuse("OFPBAC_BAD_ARGUMENT", `${action.type} with ethertype 0x${action.ethertype.toString(16)}`);

/** ANY and numbers between MAX and the reserved ones are never valid. TABLE is, as in Open vSwitch, outside of a
 *  packet-out too. */
const isOutputPort = (port: number): boolean =>
  port !== OFPP.ANY && (port < OFPP.MAX || port >= OFPP.IN_PORT);

function checkSetField(known: Known | undefined, action: Action & { type: "OFPAT_SET_FIELD" }): void {
  const entries = Object.entries(action.field).filter(([, value]) => value !== undefined);
  if (entries.length !== 1) throw refuse("OFPBAC_BAD_SET_LEN", "set_field sets one field");
  const [name] = entries[0]!;
  const row = oxmField(name);
  if (row && !row.settable) throw refuse("OFPBAC_BAD_SET_TYPE", `${name} cannot be set`);
  const { value } = settingOf(action.field);
  if (name === "vlan_vid" && (value & 0x1000n) === 0n)
    throw refuse("OFPBAC_BAD_SET_ARGUMENT", "vlan_vid is set with OFPVID_PRESENT");
  if (known && !holds(known, name)) throw inconsistent(action, `the prerequisites of ${name}`);
}

/** Whether the prerequisites of a field hold, and theirs. */
function holds(known: Known, name: string): boolean {
  const wanted = oxmField(name)?.prerequisites ?? {};
  return Object.entries(wanted).every(([field, values]) => {
    const value = known.get(field);
    if (value === undefined) return false;
    return (values.length === 0 ? value !== 0 : values.includes(value)) && holds(known, field);
  });
}

function knownOf(match: Match | KeyedMatch): Known {
  const known: Known = new Map();
  if (match instanceof KeyedMatch) {
    knowKey(known, match);
    return known;
  }
  for (const name of ["eth_type", "ip_proto", "icmpv6_type", "in_port"] as const) {
    const value = match[name];
    if (typeof value === "number") known.set(name, value);
  }
  const { vlan_vid } = match;
  const vid = Number(typeof vlan_vid === "object" ? vlan_vid.value : (vlan_vid ?? 0));
  known.set("vlan_vid", vid & ANY_VLAN);
  return known;
}

const KEYED = ["eth_type", "ip_proto", "icmpv6_type", "in_port"].map(flowField);
const VLAN_VID = flowField("vlan_vid");

/** The same of a key. Fields that share a place with others are there only where their own prerequisites are. */
function knowKey(known: Known, { key, mask }: KeyedMatch): void {
  for (const field of KEYED) {
    const needed = oxmField(field.name)!.prerequisites;
    if (!Object.entries(needed).every(([name, values]) => values.includes(known.get(name) ?? -1))) continue;
    if (fieldMaskState(mask, field) === "all") known.set(field.name, getField(key, field));
  }
  known.set("vlan_vid", getField(key, VLAN_VID) & ANY_VLAN);
}
