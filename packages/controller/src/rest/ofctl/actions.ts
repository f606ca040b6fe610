import {
  type Action,
  type ActionInit,
  EncodeError,
  encode,
  formatActions,
  type Instruction,
  type InstructionInit,
  type Match,
  OFPCML,
  OFPP,
} from "@sluice/openflow-codec";
import { badField } from "../problem.js";
import { readField } from "./match.js";
import { GROUP, MAX_LEN, METER, PORT, QUEUE, TABLE } from "./names.js";
import {
  type Body,
  readBig,
  readData,
  readInt,
  readList,
  readName,
  readReserved,
  showReserved,
} from "./read.js";

type Reader<T> = (given: Body, at: string) => T;

const ethertype =
  (type: "OFPAT_PUSH_VLAN" | "OFPAT_PUSH_MPLS" | "OFPAT_POP_MPLS" | "OFPAT_PUSH_PBB"): Reader<ActionInit> =>
  (given, at) => ({ type, ethertype: readInt(given.ethertype, `${at}.ethertype`, 0xffff) });

/** An action by Ryu's `type`. */
const ACTIONS: Readonly<Record<string, Reader<ActionInit>>> = {
  OUTPUT: ({ port = OFPP.ANY, max_len = OFPCML.MAX }, at) => ({
    type: "OFPAT_OUTPUT",
    port: readReserved(port, `${at}.port`, PORT),
    max_len: readReserved(max_len, `${at}.max_len`, MAX_LEN, 0xffff),
  }),
  COPY_TTL_OUT: () => ({ type: "OFPAT_COPY_TTL_OUT" }),
  COPY_TTL_IN: () => ({ type: "OFPAT_COPY_TTL_IN" }),
  SET_MPLS_TTL: ({ mpls_ttl }, at) => ({
    type: "OFPAT_SET_MPLS_TTL",
    mpls_ttl: readInt(mpls_ttl, `${at}.mpls_ttl`, 0xff),
  }),
  DEC_MPLS_TTL: () => ({ type: "OFPAT_DEC_MPLS_TTL" }),
  PUSH_VLAN: ethertype("OFPAT_PUSH_VLAN"),
  POP_VLAN: () => ({ type: "OFPAT_POP_VLAN" }),
  PUSH_MPLS: ethertype("OFPAT_PUSH_MPLS"),
  POP_MPLS: ethertype("OFPAT_POP_MPLS"),
  SET_QUEUE: ({ queue_id }, at) => ({
    type: "OFPAT_SET_QUEUE",
    queue_id: readReserved(queue_id, `${at}.queue_id`, QUEUE),
  }),
  GROUP: ({ group_id }, at) => ({
    type: "OFPAT_GROUP",
    group_id: readReserved(group_id, `${at}.group_id`, GROUP),
  }),
  SET_NW_TTL: ({ nw_ttl }, at) => ({
    type: "OFPAT_SET_NW_TTL",
    nw_ttl: readInt(nw_ttl, `${at}.nw_ttl`, 0xff),
  }),
  DEC_NW_TTL: () => ({ type: "OFPAT_DEC_NW_TTL" }),
  SET_FIELD: ({ field, value }, at) => {
    if (typeof field !== "string") throw badField(`${at}.field`, "is not the name of a field");
    // Here a VLAN id is the OXM value as it is: 4096 more than the id.
    const raw = field === "vlan_vid" ? `0x${readInt(value, `${at}.value`, 0xffff).toString(16)}` : value;
    return { type: "OFPAT_SET_FIELD", field: { [field]: readField(field, raw, `${at}.value`) } as Match };
  },
  PUSH_PBB: ethertype("OFPAT_PUSH_PBB"),
  POP_PBB: () => ({ type: "OFPAT_POP_PBB" }),
  EXPERIMENTER: (given, at) => ({
    type: "OFPAT_EXPERIMENTER",
    experimenter: readInt(given.experimenter, `${at}.experimenter`),
    data: readData(given, `${at}.`),
  }),
};

/** What stands among a flow's actions and is an instruction. */
const INSTRUCTIONS: Readonly<Record<string, Reader<InstructionInit>>> = {
  WRITE_ACTIONS: ({ actions }, at) => ({
    type: "OFPIT_WRITE_ACTIONS",
    actions: readActions(actions, `${at}.actions`),
  }),
  CLEAR_ACTIONS: () => ({ type: "OFPIT_CLEAR_ACTIONS" }),
  GOTO_TABLE: ({ table_id }, at) => ({
    type: "OFPIT_GOTO_TABLE",
    table_id: readReserved(table_id, `${at}.table_id`, TABLE, 0xff),
  }),
  WRITE_METADATA: ({ metadata, metadata_mask = "0xffffffffffffffff" }, at) => ({
    type: "OFPIT_WRITE_METADATA",
    metadata: readBig(metadata, `${at}.metadata`),
    metadata_mask: readBig(metadata_mask, `${at}.metadata_mask`),
  }),
  METER: ({ meter_id }, at) => ({
    type: "OFPIT_METER",
    meter_id: readReserved(meter_id, `${at}.meter_id`, METER),
  }),
};

const readAction = (given: Body, at: string): ActionInit => {
  const action = readName(given.type, `${at}.type`, ACTIONS)(given, at);
  try {
    encode({ type: "OFPT_PACKET_OUT", in_port: OFPP.CONTROLLER, actions: [action] });
  } catch (error) {
    if (error instanceof EncodeError) throw badField(at, `is not allowed: ${error.detail}`);
    throw error;
  }
  return action;
};

/** Actions as a bucket has them. */
export const readActions = (value: unknown, path = "actions"): ActionInit[] =>
  readList(value, path).map((given, i) => readAction(given, `${path}[${i}]`));

/** A flow's instructions, which are given as one list of actions: what is an action is applied. */
export function readInstructions(value: unknown, path = "actions"): InstructionInit[] {
  const instructions: InstructionInit[] = [];
  const actions: ActionInit[] = [];
  const all = { ...ACTIONS, ...INSTRUCTIONS };
  readList(value, path).forEach((given, i) => {
    const at = `${path}[${i}]`;
    readName(given.type, `${at}.type`, all);
    const instruction = INSTRUCTIONS[given.type as string];
    if (instruction) instructions.push(instruction(given, at));
    else actions.push(readAction(given, at));
  });
  if (actions.length > 0) instructions.push({ type: "OFPIT_APPLY_ACTIONS", actions });
  return instructions;
}

/** An action in one text, `TYPE` or `TYPE:value`; extensions in ovs-ofctl's syntax. */
export function showAction(action: Action): string {
  const name = action.type.replace(/^OFPAT_/, "");
  switch (action.type) {
    case "OFPAT_OUTPUT":
      return `${name}:${showReserved(action.port, PORT)}`;
    case "OFPAT_GROUP":
      return `${name}:${showReserved(action.group_id, GROUP)}`;
    case "OFPAT_SET_QUEUE":
      return `${name}:${showReserved(action.queue_id, QUEUE)}`;
    case "OFPAT_SET_MPLS_TTL":
      return `${name}:${action.mpls_ttl}`;
    case "OFPAT_SET_NW_TTL":
      return `${name}:${action.nw_ttl}`;
    case "OFPAT_PUSH_VLAN":
    case "OFPAT_PUSH_MPLS":
    case "OFPAT_POP_MPLS":
    case "OFPAT_PUSH_PBB":
      return `${name}:${action.ethertype}`;
    case "OFPAT_SET_FIELD": {
      const [[field, value] = []] = Object.entries(action.field);
      return `${name}: {${field}:${value}}`;
    }
    case "OFPAT_EXPERIMENTER": {
      const data = Buffer.from(action.data).toString("base64");
      return `${name}: {experimenter:${action.experimenter}, data:${data}}`;
    }
    default:
      return name === action.type ? formatActions([action]) : name;
  }
}

/** A flow's instructions as one list. */
export function showInstructions(instructions: readonly Instruction[]): unknown[] {
  return instructions.flatMap((instruction): unknown[] => {
    switch (instruction.type) {
      case "OFPIT_APPLY_ACTIONS":
        return instruction.actions.map(showAction);
      case "OFPIT_WRITE_ACTIONS":
        return instruction.actions.length > 0 ? [{ WRITE_ACTIONS: instruction.actions.map(showAction) }] : [];
      case "OFPIT_CLEAR_ACTIONS":
        return ["CLEAR_ACTIONS"];
      case "OFPIT_GOTO_TABLE":
        return [`GOTO_TABLE:${showReserved(instruction.table_id, TABLE)}`];
      case "OFPIT_WRITE_METADATA":
        return [showWriteMetadata(instruction.metadata, instruction.metadata_mask)];
      case "OFPIT_METER":
        return [`METER:${showReserved(instruction.meter_id, METER)}`];
      default:
        return [];
    }
  });
}

const showWriteMetadata = (metadata: bigint, mask: bigint): string =>
  `WRITE_METADATA:0x${metadata.toString(16)}${mask === 0n ? "" : `/0x${mask.toString(16)}`}`;
