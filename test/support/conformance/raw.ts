import { encode, type OfMessageInit } from "@sluice/openflow-codec";
import { fromHex, toHex } from "@sluice/wire";

/** Messages that no encoder makes: hex text put together. */

export const hex = (value: number | bigint, bytes: number): string =>
  value.toString(16).padStart(bytes * 2, "0");

/** Pads to a multiple of 8 bytes. */
const padded = (text: string): string => text.padEnd(Math.ceil(text.length / 16) * 16, "0");

/** A type-length-value with 16-bit type and length, the length over all of it and its padding. */
export const tlv = (type: number, body: string, length?: number): string => {
  const text = padded(hex(type, 2) + hex(0, 2) + body);
  return text.slice(0, 4) + hex(length ?? text.length / 2, 2) + text.slice(8);
};

/** An OXM TLV of class OPENFLOW_BASIC. */
export const oxm = (field: number, value: string, mask = "", oxm_class = 0x8000): string =>
  hex(oxm_class, 2) +
  hex((field << 1) | (mask === "" ? 0 : 1), 1) +
  hex((value.length + mask.length) / 2, 1) +
  value +
  mask;

const FLOW_MOD_HEAD = 48;

/** A message with bytes after its `keep` first ones, and the right length. */
export function withTail(message: OfMessageInit, keep: number, tail: string): Uint8Array {
  const bytes = fromHex(toHex(encode(message)).slice(0, keep * 2) + tail);
  new DataView(bytes.buffer).setUint16(2, bytes.length);
  return bytes;
}

/** A flow_mod that adds, with OXM fields and instructions in hex. `length`: of the match, when it shall be wrong. */
export function rawFlowMod(
  fields: string,
  instructions = "",
  match: { type?: number; length?: number } = {},
): Uint8Array {
  const length = 4 + fields.length / 2;
  const text = padded(hex(match.type ?? 1, 2) + hex(match.length ?? length, 2) + fields);
  return withTail(
    { type: "OFPT_FLOW_MOD", xid: 99, command: "OFPFC_ADD" },
    FLOW_MOD_HEAD,
    text + instructions,
  );
}

/** OFPIT_APPLY_ACTIONS with actions in hex. */
export const applyActions = (actions: string): string => tlv(4, hex(0, 4) + actions);

/** OFPAT_SET_FIELD of an OXM TLV. */
export const setField = (field: string): string => tlv(25, field);

/** A message of a type, with any body. */
export const rawMessage = (type: number, body = "", version = 4, xid = 98): Uint8Array =>
  fromHex(hex(version, 1) + hex(type, 1) + hex(8 + body.length / 2, 2) + hex(xid, 4) + body);
