import { MAX_NESTING } from "../schema/layout.js";
import type { ActionInit } from "../v13/actions.js";
import type { InstructionInit } from "../v13/instructions.js";
import { OFPCML, OFPP } from "../v13/numbers.js";
import { type ActionOptions, type Context, ofsNbits, type Parse, setField, U16, U32 } from "./action-word.js";
import { parseEncap } from "./encap.js";
import { named, refuse } from "./error.js";
import { address, l4Field, load, move, parseSetField, stack, vlanField } from "./field-action-parse.js";
import { isMasked, parseSubfield, textField } from "./fields.js";
import { parseLearn } from "./learn-parse.js";
import { parseCt, parseNat } from "./nat-ct-parse.js";
import {
  bundle,
  conjunction,
  controller,
  decTtl,
  finTimeout,
  multipath,
  note,
  sample,
} from "./nicira-parse.js";
import { parsePort, port32To10 } from "./ports.js";
import { bigInteger, integer, scan, type Word } from "./scan.js";

/** Actions and instructions in ovs-ofctl's syntax. A row for each word; what Open vSwitch sends for it over
 *  OpenFlow 1.3 is what it becomes here. */

const ethertype = (value: string, what: string): number => integer(value, what, U16);

function output(value: string, context: Context, word: Word): ActionInit {
  if (word.delimiter === "(") {
    const of = new Map(scan(value).map((part) => [part.key, part.value]));
    const text = of.get("port") ?? refuse("output: port is missing");
    const port = named("output", () => parsePort(text, context));
    return {
      type: "NXAST_OUTPUT_TRUNC",
      port: port32To10(port),
      max_len: integer(of.get("max_len") ?? "", "max_len", U32),
    };
  }
  if (value === "") return refuse("output: port is missing");
  if (
    value.includes("[") ||
    (textField(value) !== undefined && value !== "in_port" && context.number?.(value) === undefined)
  ) {
    const sub = parseSubfield(value);
    const bits = ofsNbits(sub.ofs, sub.n_bits);
    return sub.field.nxm.experimenter === undefined
      ? { type: "NXAST_OUTPUT_REG", ofs_nbits: bits, src: sub.field.nxm.name, max_len: U16 }
      : { type: "NXAST_OUTPUT_REG2", ofs_nbits: bits, src: sub.field.nxm.name, max_len: U16 };
  }
  return outputPort(named("output", () => parsePort(value, context)));
}

const outputPort = (port: number): ActionInit => ({
  type: "OFPAT_OUTPUT",
  port,
  max_len: port === OFPP.CONTROLLER ? OFPCML.NO_BUFFER : 0,
});

function resubmit(value: string, context: Context, word: Word): ActionInit {
  if (word.delimiter !== "(") {
    return {
      type: "NXAST_RESUBMIT_TABLE",
      in_port: port32To10(named("resubmit", () => parsePort(value, context))),
      table: 255,
    };
  }
  const [port = "", table = "", more = ""] = value.split(",").map((part) => part.trim());
  const inPort = port === "" ? 0xfff8 : port32To10(named("resubmit", () => parsePort(port, context)));
  const tableId = table === "" ? 255 : integer(table, "resubmit table", 255);
  if (port === "" && table === "")
    return refuse('at least one "in_port" or "table" must be specified on resubmit');
  if (more !== "" && more !== "ct") return refuse(`resubmit: unknown argument ${more}`);
  return {
    type: more === "ct" ? "NXAST_RESUBMIT_TABLE_CT" : "NXAST_RESUBMIT_TABLE",
    in_port: inPort,
    table: tableId,
  };
}

function enqueue(value: string, context: Context): readonly ActionInit[] {
  const parts =
    /^(.+?)[:,](\w+)$/.exec(value) ??
    refuse('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"');
  return [
    { type: "OFPAT_SET_QUEUE", queue_id: integer(parts[2]!, "enqueue", U32) },
    { type: "OFPAT_OUTPUT", port: parsePort(parts[1]!, context), max_len: OFPCML.NO_BUFFER },
    { type: "NXAST_POP_QUEUE" },
  ];
}

const bare =
  (type: ActionInit["type"]): Parse =>
  () =>
    ({ type }) as ActionInit;
const PARSERS: Readonly<Record<string, Parse>> = {
  output,
  controller,
  group: (value) => ({ type: "OFPAT_GROUP", group_id: integer(value, "group", U32) }),
  enqueue,
  set_queue: (value) => ({ type: "OFPAT_SET_QUEUE", queue_id: integer(value, "set_queue", U32) }),
  pop_queue: bare("NXAST_POP_QUEUE"),
  bundle: bundle("NXAST_BUNDLE"),
  bundle_load: bundle("NXAST_BUNDLE_LOAD"),
  set_vlan_vid: vlanField("vlan_vid", false, 0xfff),
  set_vlan_pcp: vlanField("vlan_pcp", false, 7),
  mod_vlan_vid: vlanField("vlan_vid", true, 0xfff),
  mod_vlan_pcp: vlanField("vlan_pcp", true, 7),
  strip_vlan: bare("OFPAT_POP_VLAN"),
  pop_vlan: bare("OFPAT_POP_VLAN"),
  push_vlan: (value) => ({ type: "OFPAT_PUSH_VLAN", ethertype: ethertype(value, "push_vlan") }),
  push_mpls: (value) => ({ type: "OFPAT_PUSH_MPLS", ethertype: ethertype(value, "push_mpls") }),
  pop_mpls: (value) => ({ type: "OFPAT_POP_MPLS", ethertype: ethertype(value, "pop_mpls") }),
  push_pbb: (value) => ({ type: "OFPAT_PUSH_PBB", ethertype: ethertype(value, "push_pbb") }),
  pop_pbb: bare("OFPAT_POP_PBB"),
  set_mpls_label: (value) => setField("mpls_label", integer(value, "set_mpls_label", 0xfffff)),
  set_mpls_tc: (value) => setField("mpls_tc", integer(value, "set_mpls_tc", 7)),
  set_mpls_ttl: (value) => ({ type: "OFPAT_SET_MPLS_TTL", mpls_ttl: integer(value, "set_mpls_ttl", 255) }),
  dec_mpls_ttl: bare("OFPAT_DEC_MPLS_TTL"),
  copy_ttl_in: bare("OFPAT_COPY_TTL_IN"),
  copy_ttl_out: bare("OFPAT_COPY_TTL_OUT"),
  mod_dl_src: address("eth_src"),
  mod_dl_dst: address("eth_dst"),
  mod_nw_src: address("ipv4_src"),
  mod_nw_dst: address("ipv4_dst"),
  mod_nw_tos: (value) => {
    const tos = integer(value, "mod_nw_tos", 255);
    return tos & 3
      ? refuse(`${value}: not a valid DSCP value (low 2 bits must be 0)`)
      : setField("ip_dscp", tos >> 2);
  },
  mod_nw_ecn: (value) => setField("ip_ecn", integer(value, "mod_nw_ecn", 3)),
  mod_nw_ttl: (value) => ({ type: "OFPAT_SET_NW_TTL", nw_ttl: integer(value, "mod_nw_ttl", 255) }),
  mod_tp_src: l4Field("src"),
  mod_tp_dst: l4Field("dst"),
  dec_ttl: decTtl,
  set_field: parseSetField,
  load,
  move,
  push: stack("NXAST_STACK_PUSH"),
  pop: stack("NXAST_STACK_POP"),
  set_tunnel: (value) => setField("tunnel_id", bigInteger(value, "set_tunnel")),
  set_tunnel64: (value) => setField("tunnel_id", bigInteger(value, "set_tunnel64")),
  resubmit,
  learn: (value, context) => parseLearn(value, context),
  exit: bare("NXAST_EXIT"),
  fin_timeout: finTimeout,
  multipath: (value) => multipath(value),
  note: (value) => note(value),
  sample,
  conjunction: (value) => conjunction(value),
  ct: (value, context) => parseCt(value, (text) => actionsOf(text, context)),
  ct_clear: bare("NXAST_CT_CLEAR"),
  nat: (value) => parseNat(value),
  clone: (value, context) => ({ type: "NXAST_CLONE", actions: actionsOf(value, context) }),
  check_pkt_larger: (value, _context, word) => {
    const dst = parseSubfield(word.after.replace(/^->/, ""));
    return {
      type: "NXAST_CHECK_PKT_LARGER",
      pkt_len: integer(value, "check_pkt_larger", U16),
      offset: dst.ofs,
      dst: dst.field.nxm.name,
    };
  },
  delete_field: (value) => ({
    type: "NXAST_DELETE_FIELD",
    field: (textField(value) ?? refuse(`delete_field: unknown field ${value}`)).nxm.name,
  }),
  dec_nsh_ttl: bare("NXAST_DEC_NSH_TTL"),
  encap: parseEncap,
  decap: (value) => {
    const parts = /^packet_type\(ns=(\w+),type=(\w+)\)$/.exec(value);
    const type =
      parts === null ? 0xfffe : (integer(parts[1]!, "ns", U16) << 16) | integer(parts[2]!, "type", U16);
    return { type: "NXAST_DECAP", new_pkt_type: type >>> 0 };
  },
};

function parseAction(word: Word, context: Context): readonly ActionInit[] {
  const key = word.key.toLowerCase();
  const parser = Object.hasOwn(PARSERS, key) ? PARSERS[key] : undefined;
  let made: ActionInit | readonly ActionInit[];
  if (parser !== undefined) {
    made = parser(word.value, context, word);
  } else if (word.delimiter === "") {
    made = outputPort(portOrRefuse(word.key, context));
  } else {
    return refuse(`unknown action ${word.key}`);
  }
  const actions = Array.isArray(made) ? (made as readonly ActionInit[]) : [made as ActionInit];
  for (const action of actions) {
    if (action.type === "OFPAT_PUSH_VLAN") context.hasVlan = true;
    if (action.type === "OFPAT_POP_VLAN") context.hasVlan = false;
  }
  return actions;
}

function portOrRefuse(text: string, context: Context): number {
  try {
    return parsePort(text, context);
  } catch {
    return refuse(`unknown action ${text}`);
  }
}

function actionsOf(text: string, context: Context): ActionInit[] {
  const words = scan(text);
  if (words.length === 1 && words[0]!.key === "drop") return [];
  if (context.depth > MAX_NESTING) return refuse("Action nested too deeply");
  context.depth++;
  const actions = words.flatMap((word) => parseAction(word, context));
  context.depth--;
  return actions;
}

const contextFor = (options: ActionOptions): Context => {
  const vid = options.match?.vlan_vid;
  const value = isMasked(vid) ? Number(vid.value) : Number(vid ?? 0);
  return { ...options, hasVlan: (value & 0x1000) !== 0, depth: 0 };
};

/** Actions, comma or space separated; "drop" for none. Throws TextError. */
export const parseActions = (text: string, options: ActionOptions = {}): ActionInit[] =>
  actionsOf(text, contextFor(options));

/** Instructions in the order of execution (OpenFlow 1.3.5 §5.9), and how they are named in refusals. */
const RANKS = [
  "meter",
  "apply_actions",
  "clear_actions",
  "write_actions",
  "write_metadata",
  "goto_table",
] as const;
type Rank = (typeof RANKS)[number];

function instructionOf(
  word: Word,
  context: Context,
): { rank: Rank; made: InstructionInit | undefined } | undefined {
  const { key, value } = word;
  switch (key) {
    case "meter":
      return { rank: key, made: { type: "OFPIT_METER", meter_id: integer(value, key, U32) } };
    case "apply_actions":
      return refuse("apply_actions is the default instruction");
    case "clear_actions":
      return { rank: key, made: { type: "OFPIT_CLEAR_ACTIONS" } };
    case "write_actions":
      // Nothing to write: Open vSwitch leaves the instruction out.
      if (value.trim() === "drop" || value.trim() === "") return { rank: key, made: undefined };
      return { rank: key, made: { type: "OFPIT_WRITE_ACTIONS", actions: actionsOf(value, context) } };
    case "write_metadata": {
      const [metadata = "", mask] = value.split("/");
      const bits = mask === undefined ? 0xffff_ffff_ffff_ffffn : bigInteger(mask, key);
      return {
        rank: key,
        made: { type: "OFPIT_WRITE_METADATA", metadata: bigInteger(metadata, key), metadata_mask: bits },
      };
    }
    case "goto_table":
      return { rank: key, made: { type: "OFPIT_GOTO_TABLE", table_id: integer(value, key, 254) } };
    default:
      return undefined;
  }
}

/** What follows "actions=": actions, which become one OFPIT_APPLY_ACTIONS, and instructions. */
export function parseInstructions(text: string, options: ActionOptions = {}): InstructionInit[] {
  const context = contextFor(options);
  const words = scan(text);
  if (words.length === 1 && words[0]!.key === "drop") return [];
  const applied: ActionInit[] = [];
  const found: { rank: Rank; made: InstructionInit }[] = [];
  let last = -1;
  const follow = (rank: Rank): void => {
    const at = RANKS.indexOf(rank);
    if (at < last) {
      refuse(
        `invalid instruction ordering: ${rank} must appear before ${RANKS[last]}, for OpenFlow 1.1+ compatibility`,
      );
    }
    last = at;
  };
  for (const word of words) {
    const instruction = instructionOf(word, context);
    if (instruction === undefined) {
      follow("apply_actions");
      applied.push(...parseAction(word, context));
      continue;
    }
    follow(instruction.rank);
    if (found.some(({ rank }) => rank === instruction.rank)) {
      refuse(`duplicate ${instruction.rank} instruction not allowed, for OpenFlow 1.1+ compatibility`);
    }
    if (instruction.made !== undefined) found.push({ rank: instruction.rank, made: instruction.made });
  }
  if (applied.length > 0) {
    found.push({ rank: "apply_actions", made: { type: "OFPIT_APPLY_ACTIONS", actions: applied } });
  }
  return found.sort((a, b) => RANKS.indexOf(a.rank) - RANKS.indexOf(b.rank)).map(({ made }) => made);
}
