import { fromHex } from "@sluice/wire";
import type { ActionInit } from "../v13/actions.js";
import { OFPCML, OFPP } from "../v13/numbers.js";
import { BUNDLE_ALGORITHMS, HASH_FIELDS, MULTIPATH_ALGORITHMS, PACKET_IN_REASONS } from "./action-names.js";
import { type Context, ofsNbits, type Parse, U16, U32 } from "./action-word.js";
import { refuse } from "./error.js";
import { oxmHeader, parseSubfield, textField } from "./fields.js";
import { parsePort, port32To10 } from "./ports.js";
import { integer, scan, type Word } from "./scan.js";

/** Nicira's actions with a syntax of their own (ovs-actions(7)). */

export function controller(value: string, _context: Context, word: Word): ActionInit {
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
        reason = PACKET_IN_REASONS.indexOf(part.value);
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

export function note(value: string): ActionInit {
  const bytes = hexBytes(value);
  // The action is a multiple of 8 bytes with 10 before the note.
  const padded = new Uint8Array(Math.ceil((Math.max(bytes.length, 1) + 10) / 8) * 8 - 10);
  padded.set(bytes);
  return { type: "NXAST_NOTE", note: padded };
}

function choose(names: readonly string[], name: string, what: string): number {
  const number = names.indexOf(name);
  return number < 0 ? refuse(`${what}: unknown ${name}: one of ${names.join(", ")}`) : number;
}

export function multipath(value: string): ActionInit {
  const [fields = "", basis = "", algorithm = "", links = "", arg = "", dst = ""] = value
    .split(",")
    .map((s) => s.trim());
  const sub = parseSubfield(dst);
  return {
    type: "NXAST_MULTIPATH",
    fields: choose(HASH_FIELDS, fields, "multipath"),
    basis: integer(basis, "multipath basis", U16),
    algorithm: choose(MULTIPATH_ALGORITHMS, algorithm, "multipath"),
    max_link: integer(links, "multipath links", U16) - 1,
    arg: integer(arg, "multipath argument", U32),
    ofs_nbits: ofsNbits(sub.ofs, sub.n_bits),
    dst: sub.field.nxm.name,
  };
}

export const bundle =
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
      algorithm: choose(BUNDLE_ALGORITHMS, parts[3]!, "bundle"),
      member_type: oxmHeader(textField("NXM_OF_IN_PORT")!.nxm),
      ofs_nbits: dst === undefined ? 0 : ofsNbits(dst.ofs, dst.n_bits),
      dst: dst === undefined ? 0 : oxmHeader(dst.field.nxm),
      members: parts[5]!
        .split(/[,\s]+/)
        .filter((port) => port !== "")
        .map((port) => port32To10(parsePort(port, context))),
    };
  };

export function sample(value: string, context: Context): ActionInit {
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

export function conjunction(value: string): ActionInit {
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

export function decTtl(value: string, _context: Context, word: Word): ActionInit {
  if (word.delimiter !== "(") return { type: "OFPAT_DEC_NW_TTL" };
  const ids = value.split(/[,\s]+/).filter((id) => id !== "");
  if (ids.length === 0) return refuse("dec_ttl_cnt_ids: expected at least one controller id.");
  return { type: "NXAST_DEC_TTL_CNT_IDS", cnt_ids: ids.map((id) => integer(id, "dec_ttl", U16)) };
}

export function finTimeout(value: string): ActionInit {
  const of = new Map(scan(value).map((word) => [word.key, word.value]));
  return {
    type: "NXAST_FIN_TIMEOUT",
    fin_idle_timeout: integer(of.get("idle_timeout") ?? "0", "idle_timeout", U16),
    fin_hard_timeout: integer(of.get("hard_timeout") ?? "0", "hard_timeout", U16),
  };
}
