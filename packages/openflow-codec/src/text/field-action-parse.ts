import type { ActionInit } from "../v13/actions.js";
import type { Match } from "../v13/match.js";
import { type Context, ofsNbits, type Parse, setField, U16 } from "./action-word.js";
import { refuse } from "./error.js";
import {
  fieldBits,
  fromBits,
  isMasked,
  parseFieldValue,
  parseSubfield,
  type TextField,
  textField,
} from "./fields.js";
import { bigInteger, integer } from "./scan.js";

/** Actions that set, move and keep fields, in ovs-ofctl's syntax. */

function arrow(value: string, what: string): [string, string] {
  const at = value.indexOf("->");
  if (at < 0) return refuse(`${what}:${value}: missing \`->' or destination`);
  return [value.slice(0, at), value.slice(at + 2)];
}

export function parseSetField(value: string, context: Context): ActionInit | readonly ActionInit[] {
  const [given, name] = arrow(value, "set_field");
  const known = textField(name) ?? refuse(`${name} is not a valid OXM field name`);
  // in_port is set by Nicira's number of it, which OpenFlow's does not allow.
  const field = known.oxm.settable ? known.oxm : known.nxm;
  if (!field.settable) return refuse(`${name} is read-only`);
  let parsed = parseFieldValue(field, given, context);
  if (parsed === undefined) return refuse(`set_field:${value}: the mask is empty`);
  if (isMasked(parsed) && fieldBits(field, parsed.mask) === (1n << BigInt(field.bits)) - 1n)
    parsed = parsed.value;
  if (field.name === "vlan_vid" && !isMasked(parsed)) parsed = Number(parsed);
  return isMasked(parsed) ? loadMasked(known, parsed) : setField(field.name, parsed);
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

export function load(value: string): ActionInit {
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

export function move(value: string): ActionInit {
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

export const stack =
  (type: "NXAST_STACK_PUSH" | "NXAST_STACK_POP"): Parse =>
  (value) => {
    const sub = parseSubfield(value);
    return { type, offset: sub.ofs, field: sub.field.nxm.name, n_bits: sub.n_bits };
  };

export const l4Field =
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
export const vlanField =
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

export const address =
  (name: string): Parse =>
  (value, context) => {
    const field = textField(name)!.oxm;
    return setField(name, parseFieldValue(field, value, context));
  };
