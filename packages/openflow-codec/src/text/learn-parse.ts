import type { LearnSpec } from "../ext/learn.js";
import type { ActionInit } from "../v13/actions.js";
import { refuse } from "./error.js";
import { fieldBits, parseFieldValue, parseSubfield, type Subfield, textField } from "./fields.js";
import type { PortNames } from "./ports.js";
import { bigInteger, integer, scan, type Word } from "./scan.js";

/** "learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])". */

type Learn = Extract<ActionInit, { type: "NXAST_LEARN" }>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const U16 = 0xffff;

export function parseLearn(text: string, ports: PortNames): ActionInit {
  const action: Mutable<Learn> = { type: "NXAST_LEARN", table_id: 1 };
  const specs: LearnSpec[] = [];
  let limit = 0;
  let result: Subfield | undefined;
  for (const word of scan(text)) {
    const { key, value } = word;
    switch (key) {
      case "table":
        action.table_id = integer(value, key, 0xfe);
        break;
      case "idle_timeout":
      case "hard_timeout":
      case "fin_idle_timeout":
      case "fin_hard_timeout":
      case "priority":
        action[key] = integer(value, key, U16);
        break;
      case "cookie":
        action.cookie = bigInteger(value, key);
        break;
      case "send_flow_rem":
        action.flags = (action.flags ?? 0) | 1;
        break;
      case "delete_learned":
        action.flags = (action.flags ?? 0) | 2;
        break;
      case "limit":
        limit = integer(value, key, 0xffffffff);
        break;
      case "result_dst":
        result = parseSubfield(value);
        if (result.n_bits !== 1) refuse("result_dst in 'learn' action must be a single bit");
        break;
      default:
        specs.push(parseSpec(word, ports));
    }
  }
  if (limit === 0 && result === undefined) return { ...action, specs };
  const { type: _, ...common } = action;
  return {
    ...common,
    type: "NXAST_LEARN2",
    limit,
    specs,
    ...(result === undefined
      ? {}
      : { flags: (action.flags ?? 0) | 4, result_dst: result.field.nxm.name, result_dst_ofs: result.ofs }),
  };
}

const from = (sub: Subfield) => ({ field: sub.field.nxm.name, ofs: sub.ofs });
const to = (sub: Subfield) => ({ dst_field: sub.field.nxm.name, dst_ofs: sub.ofs });

/** Bits as whole 16-bit words of hex digits, right aligned. */
function immediate(bits: bigint, nBits: number): { value: string } {
  if (bits >> BigInt(nBits) !== 0n) refuse(`0x${bits.toString(16)} has more than ${nBits} bits`);
  return { value: bits.toString(16).padStart(4 * Math.ceil(nBits / 16), "0") };
}

function parseSpec({ key, value }: Word, ports: PortNames): LearnSpec {
  if (key === "output") {
    const src = parseSubfield(value);
    return { n_bits: src.n_bits, src: from(src), dst: "output" };
  }
  if (key === "load") {
    const [source = "", target = ""] = value.split("->");
    const dst = parseSubfield(target);
    if (/^[0-9]/.test(source)) {
      const bits = immediate(bigInteger(source, key, (1n << BigInt(dst.n_bits)) - 1n), dst.n_bits);
      return { n_bits: dst.n_bits, src: bits, dst: "load", ...to(dst) };
    }
    const src = parseSubfield(source);
    if (src.n_bits !== dst.n_bits) refuse(`${source}->${target}: fields are not of the same width`);
    return { n_bits: dst.n_bits, src: from(src), dst: "load", ...to(dst) };
  }
  const dst = parseSubfield(key);
  if (value === "") return { n_bits: dst.n_bits, src: from(dst), dst: "match", ...to(dst) };
  const source = textField(value.replace(/\[.*$/, ""));
  if (source !== undefined && !/^[0-9]/.test(value)) {
    const src = parseSubfield(value);
    if (src.n_bits !== dst.n_bits) refuse(`${key}=${value}: fields are not of the same width`);
    return { n_bits: dst.n_bits, src: from(src), dst: "match", ...to(dst) };
  }
  const field = dst.field.oxm;
  const bits =
    dst.n_bits === field.bits
      ? fieldBits(field, parseFieldValue(field, value, ports))
      : bigInteger(value, key);
  return { n_bits: dst.n_bits, src: immediate(bits, dst.n_bits), dst: "match", ...to(dst) };
}
