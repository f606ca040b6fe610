import { fromHex } from "@sluice/wire";
import { MAX_NESTING } from "../schema/layout.js";
import type { ActionInit } from "../v13/actions.js";
import type { InstructionInit } from "../v13/instructions.js";
import type { Match } from "../v13/match.js";
import { OFPCML, OFPP } from "../v13/numbers.js";
import { parseEncap } from "./encap.js";
import { named, refuse } from "./error.js";
import {
  fieldBits,
  fromBits,
  isMasked,
  oxmHeader,
  parseFieldValue,
  parseSubfield,
  type TextField,
  textField,
} from "./fields.js";
import { parseLearn } from "./learn-parse.js";
import { parseCt, parseNat } from "./nat-ct-parse.js";
import { type PortNames, parsePort, port32To10 } from "./ports.js";
import { bigInteger, integer, scan, type Word } from "./scan.js";

/** Actions and instructions in ovs-ofctl's syntax. A row for each word; what Open vSwitch sends for it over
 *  OpenFlow 1.3 is what it becomes here. */

export interface ActionOptions extends PortNames {
  /** The flow's match: mod_tp_src asks it for the protocol, mod_vlan_vid whether there is a tag. */
  readonly match?: Match;
}

interface Context extends ActionOptions {
  hasVlan: boolean;
  /** How many actions are around. */
  depth: number;
}
type Parse = (value: string, context: Context, word: Word) => ActionInit | readonly ActionInit[];

const U16 = 0xffff;
const U32 = 0xffffffff;

const setField = (name: string, value: unknown): ActionInit => ({
  type: "OFPAT_SET_FIELD",
  field: { [name]: value } as Match,
});

const ethertype = (value: string, what: string): number => integer(value, what, U16);
const ofsNbits = (ofs: number, nBits: number): number => (ofs << 6) | (nBits - 1);

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

const REASONS = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

function controller(value: string, _context: Context, word: Word): ActionInit {
  if (word.delimiter !== "(") {
    const maxLen = value === "" ? OFPCML.NO_BUFFER : integer(value, "controller", U16);
    return { type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: maxLen };
  }
  let reason = 1;
  let maxLen = U16;
  let id = 0;
  let userdata: Uint8Array | undefined;
  let pause = false;
  let meter: number | undefined;
  for (const part of scan(value)) {
    switch (part.key) {
      case "reason":
        reason = REASONS.indexOf(part.value);
        if (reason < 0) return refuse(`unknown reason "${part.value}"`);
        break;
      case "max_len":
        maxLen = integer(part.value, "max_len", U16);
        break;
      case "id":
        id = integer(part.value, "id", U16);
        break;
      case "userdata":
        userdata = hexBytes(part.value);
        break;
      case "pause":
        pause = true;
        break;
      case "meter_id":
        meter = integer(part.value, "meter_id", U32);
        break;
      default:
        return refuse(`unknown key "${part.key}" parsing controller action`);
    }
  }
  if (userdata === undefined && !pause && meter === undefined) {
    return reason === 1 && id === 0
      ? { type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: maxLen }
      : { type: "NXAST_CONTROLLER", max_len: maxLen, controller_id: id, reason };
  }
  return {
    type: "NXAST_CONTROLLER2",
    properties: [
      ...(maxLen === U16 ? [] : [{ type: "NXAC2PT_MAX_LEN" as const, max_len: maxLen }]),
      ...(id === 0 ? [] : [{ type: "NXAC2PT_CONTROLLER_ID" as const, controller_id: id }]),
      ...(reason === 1 ? [] : [{ type: "NXAC2PT_REASON" as const, reason }]),
      ...(userdata === undefined ? [] : [{ type: "NXAC2PT_USERDATA" as const, userdata }]),
      ...(pause ? [{ type: "NXAC2PT_PAUSE" as const }] : []),
      ...(meter === undefined ? [] : [{ type: "NXAC2PT_METER_ID" as const, meter_id: meter }]),
    ],
  };
}

function hexBytes(text: string): Uint8Array {
  try {
    return fromHex(text);
  } catch {
    return refuse(`bad hex digits in ${text}`);
  }
}

function note(value: string): ActionInit {
  const bytes = hexBytes(value);
  // The action is a multiple of 8 bytes with 10 before the note.
  const padded = new Uint8Array(Math.ceil((Math.max(bytes.length, 1) + 10) / 8) * 8 - 10);
  padded.set(bytes);
  return { type: "NXAST_NOTE", note: padded };
}

function arrow(value: string, what: string): [string, string] {
  const at = value.indexOf("->");
  if (at < 0) return refuse(`${what}:${value}: missing \`->' or destination`);
  return [value.slice(0, at), value.slice(at + 2)];
}

function parseSetField(value: string, context: Context): ActionInit | readonly ActionInit[] {
  const [given, name] = arrow(value, "set_field");
  const field = textField(name)?.oxm ?? refuse(`${name} is not a valid OXM field name`);
  if (!field.settable) return refuse(`${name} is read-only`);
  let parsed = parseFieldValue(field, given, context);
  if (parsed === undefined) return refuse(`set_field:${value}: the mask is empty`);
  if (isMasked(parsed) && fieldBits(field, parsed.mask) === (1n << BigInt(field.bits)) - 1n)
    parsed = parsed.value;
  if (field.name === "vlan_vid" && !isMasked(parsed)) parsed = Number(parsed);
  return isMasked(parsed) ? loadMasked(textField(name)!, parsed) : setField(field.name, parsed);
}

/** A masked set-field, which OpenFlow 1.3 lacks: a load for each run of ones in the mask. */
function loadMasked(field: TextField, given: { value: unknown; mask: unknown }): readonly ActionInit[] {
  if (field.nxm.experimenter !== undefined || field.nxm.kind === "bytes") {
    return [{ type: "NXAST_REG_LOAD2", field: { [field.oxm.name]: given } as Match }];
  }
  const value = fieldBits(field.oxm, given.value);
  const mask = fieldBits(field.oxm, given.mask);
  const loads: ActionInit[] = [];
  for (let ofs = 0; ofs < field.oxm.bits; ) {
    let nBits = 0;
    while (nBits < 64 && (mask >> BigInt(ofs + nBits)) & 1n) nBits++;
    if (nBits > 0) {
      const bits = (value >> BigInt(ofs)) & ((1n << BigInt(nBits)) - 1n);
      loads.push({
        type: "NXAST_REG_LOAD",
        ofs_nbits: ofsNbits(ofs, nBits),
        dst: field.nxm.name,
        value: bits,
      });
    }
    ofs += Math.max(nBits, 1);
  }
  return loads;
}

function load(value: string): ActionInit {
  const [given, to] = arrow(value, "load");
  const dst = parseSubfield(to);
  const bits = bigInteger(given, "load");
  if (dst.n_bits < 64 && bits >> BigInt(dst.n_bits) !== 0n) {
    return refuse(`${value}: value ${bits} does not fit into ${dst.n_bits} bits`);
  }
  if (dst.field.nxm.experimenter !== undefined || dst.n_bits > 64) {
    const field = dst.field.oxm;
    const ones = ((1n << BigInt(dst.n_bits)) - 1n) << BigInt(dst.ofs);
    return {
      type: "NXAST_REG_LOAD2",
      field: {
        [field.name]: { value: fromBits(field, bits << BigInt(dst.ofs)), mask: fromBits(field, ones) },
      } as Match,
    };
  }
  return {
    type: "NXAST_REG_LOAD",
    ofs_nbits: ofsNbits(dst.ofs, dst.n_bits),
    dst: dst.field.nxm.name,
    value: bits,
  };
}

function move(value: string): ActionInit {
  const [from, to] = arrow(value, "move");
  const src = parseSubfield(from);
  const dst = parseSubfield(to);
  if (src.n_bits !== dst.n_bits) {
    return refuse(
      `${value}: source field is ${src.n_bits} bits wide but destination is ${dst.n_bits} bits wide`,
    );
  }
  return {
    type: "NXAST_REG_MOVE",
    n_bits: src.n_bits,
    src_ofs: src.ofs,
    dst_ofs: dst.ofs,
    src: src.field.nxm.name,
    dst: dst.field.nxm.name,
  };
}

const stack =
  (type: "NXAST_STACK_PUSH" | "NXAST_STACK_POP"): Parse =>
  (value) => {
    const sub = parseSubfield(value);
    return { type, offset: sub.ofs, field: sub.field.nxm.name, n_bits: sub.n_bits };
  };

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

const HASH_FIELDS = [
  "eth_src",
  "symmetric_l4",
  "symmetric_l3l4",
  "symmetric_l3l4+udp",
  "nw_src",
  "nw_dst",
  "symmetric_l3",
];
const MULTIPATH = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];
const BUNDLE = ["active_backup", "hrw"];
function choose(names: readonly string[], name: string, what: string): number {
  const number = names.indexOf(name);
  return number < 0 ? refuse(`${what}: unknown ${name}: one of ${names.join(", ")}`) : number;
}

function multipath(value: string): ActionInit {
  const [fields = "", basis = "", algorithm = "", links = "", arg = "", dst = ""] = value
    .split(",")
    .map((s) => s.trim());
  const sub = parseSubfield(dst);
  return {
    type: "NXAST_MULTIPATH",
    fields: choose(HASH_FIELDS, fields, "multipath"),
    basis: integer(basis, "multipath basis", U16),
    algorithm: choose(MULTIPATH, algorithm, "multipath"),
    max_link: integer(links, "multipath links", U16) - 1,
    arg: integer(arg, "multipath argument", U32),
    ofs_nbits: ofsNbits(sub.ofs, sub.n_bits),
    dst: sub.field.nxm.name,
  };
}

const bundle =
  (type: "NXAST_BUNDLE" | "NXAST_BUNDLE_LOAD"): Parse =>
  (value, context) => {
    const parts =
      /^\s*([^,\s]+)[,\s]+(\d+)[,\s]+(\w+)[,\s]+ofport[,\s]+(?:(?:dst:)?([^,\s]+)[,\s]+)?(?:members|slaves):(.*)$/.exec(
        value,
      );
    if (parts === null) return refuse(`${value}: not enough arguments to bundle action`);
    const dst = parts[4] === undefined ? undefined : parseSubfield(parts[4]);
    if ((type === "NXAST_BUNDLE_LOAD") !== (dst !== undefined)) {
      return refuse(`${value}: a destination belongs to bundle_load`);
    }
    return {
      type,
      fields: choose(HASH_FIELDS, parts[1]!, "bundle"),
      basis: integer(parts[2]!, "bundle basis", U16),
      algorithm: choose(BUNDLE, parts[3]!, "bundle"),
      member_type: oxmHeader(textField("NXM_OF_IN_PORT")!.nxm),
      ofs_nbits: dst === undefined ? 0 : ofsNbits(dst.ofs, dst.n_bits),
      dst: dst === undefined ? 0 : oxmHeader(dst.field.nxm),
      members: parts[5]!
        .split(/[,\s]+/)
        .filter((port) => port !== "")
        .map((port) => port32To10(parsePort(port, context))),
    };
  };

function sample(value: string, context: Context): ActionInit {
  const of = new Map(scan(value).map((word) => [word.key, word.value]));
  const number = (key: string, max: number): number => integer(of.get(key) ?? "0", key, max);
  const common = {
    probability: number("probability", U16),
    collector_set_id: number("collector_set_id", U32),
    obs_domain_id: number("obs_domain_id", U32),
    obs_point_id: number("obs_point_id", U32),
  };
  if (common.probability === 0) return refuse('sample: invalid probability value "0"');
  const port = of.get("sampling_port");
  const direction = of.has("ingress") ? 1 : of.has("egress") ? 2 : 0;
  if (port === undefined && direction === 0) return { type: "NXAST_SAMPLE", ...common };
  const samplingPort = port === undefined ? 0xffff : port32To10(parsePort(port, context));
  return direction === 0
    ? { type: "NXAST_SAMPLE2", ...common, sampling_port: samplingPort }
    : { type: "NXAST_SAMPLE3", ...common, sampling_port: samplingPort, direction };
}

function conjunction(value: string): ActionInit {
  const parts = /^\s*(\w+)\s*,\s*(\d+)\/(\d+)\s*$/.exec(value);
  if (parts === null) return refuse('"conjunction" syntax is "conjunction(id,i/n)"');
  const clause = Number(parts[2]);
  const nClauses = Number(parts[3]);
  if (nClauses < 2 || nClauses > 64) return refuse("conjunction must have at least 2 and at most 64 clauses");
  if (clause < 1 || clause > nClauses)
    return refuse("clause index must be positive and at most the number of clauses");
  return {
    type: "NXAST_CONJUNCTION",
    id: integer(parts[1]!, "conjunction", U32),
    clause: clause - 1,
    n_clauses: nClauses,
  };
}

const l4Field =
  (end: "src" | "dst"): Parse =>
  (value, context) => {
    const proto = ({ 6: "tcp", 17: "udp", 132: "sctp" } as Readonly<Record<number, string>>)[
      Number(context.match?.ip_proto ?? -1)
    ];
    const port = integer(value, `mod_tp_${end}`, U16);
    // Without a protocol Open vSwitch says so too: there is no OXM field to set.
    if (proto === undefined) return refuse(`mod_tp_${end}: the match is neither tcp, udp nor sctp`);
    return setField(`${proto}_${end}`, port);
  };

/** A tag is pushed first when neither match nor an earlier action gives one. */
const vlanField =
  (name: "vlan_vid" | "vlan_pcp", push: boolean, max: number): Parse =>
  (value, context, word) => {
    const number = integer(value, word.key, max);
    const actions: ActionInit[] = [];
    if (push && !context.hasVlan) {
      actions.push({ type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 });
      context.hasVlan = true;
    }
    actions.push(setField(name, name === "vlan_vid" ? number | 0x1000 : number));
    return actions;
  };

function decTtl(value: string, _context: Context, word: Word): ActionInit {
  if (word.delimiter !== "(") return { type: "OFPAT_DEC_NW_TTL" };
  const ids = value.split(/[,\s]+/).filter((id) => id !== "");
  if (ids.length === 0) return refuse("dec_ttl_cnt_ids: expected at least one controller id.");
  return { type: "NXAST_DEC_TTL_CNT_IDS", cnt_ids: ids.map((id) => integer(id, "dec_ttl", U16)) };
}

function finTimeout(value: string): ActionInit {
  const of = new Map(scan(value).map((word) => [word.key, word.value]));
  return {
    type: "NXAST_FIN_TIMEOUT",
    fin_idle_timeout: integer(of.get("idle_timeout") ?? "0", "idle_timeout", U16),
    fin_hard_timeout: integer(of.get("hard_timeout") ?? "0", "hard_timeout", U16),
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
const address =
  (name: string): Parse =>
  (value, context) => {
    const field = textField(name)!.oxm;
    return setField(name, parseFieldValue(field, value, context));
  };

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
