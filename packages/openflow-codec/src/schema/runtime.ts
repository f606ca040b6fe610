import { readIpv4, readIpv6, readMac } from "@sluice/wire";
import {
  copyBytes,
  read64,
  read128,
  readText,
  strays,
  textBytes,
  write64,
  write128,
  writeBytes,
  writeIpv4Text,
  writeMacText,
  writeText,
  zero,
} from "./bytes.js";
import { customCodecs } from "./custom.js";
import { EncodeError, type ErrorRef, OfDecodeError, recode, within } from "./error.js";
import type { CustomNode } from "./nodes.js";
import type { OxmField } from "./oxm-field.js";
import { matchOrder } from "./oxm-order.js";
import { BAD_OXM_LEN, oxmCodec, show, writeIpv6Text } from "./oxm-wire.js";

/** What generated source calls. */

const action = (code: string): ErrorRef => ["OFPET_BAD_ACTION", code];

/** The code that a fault in set-field's OXM has as a fault of the action (OpenFlow 1.3.5 §7.4.4). */
const SET_FIELD: Readonly<Record<string, ErrorRef>> = {
  OFPBMC_BAD_LEN: action("OFPBAC_BAD_SET_LEN"),
  OFPBMC_BAD_FIELD: action("OFPBAC_BAD_SET_TYPE"),
  OFPBMC_BAD_MASK: action("OFPBAC_BAD_SET_TYPE"),
  OFPBMC_BAD_VALUE: action("OFPBAC_BAD_SET_ARGUMENT"),
  OFPBMC_BAD_WILDCARDS: action("OFPBAC_BAD_SET_ARGUMENT"),
};
export function setFieldError(error: unknown): unknown {
  const ref = error instanceof OfDecodeError ? SET_FIELD[error.error_code] : undefined;
  return ref === undefined ? error : recode(error as OfDecodeError, ref);
}

/** More lists in lists than MAX_NESTING. Only actions hold their own kind. */
export const TOO_DEEP = action("OFPBAC_TOO_MANY");

export function fail(ref: ErrorRef, offset: number, detail: string, path = ""): never {
  const error = new OfDecodeError(ref, offset, detail);
  throw path === "" ? error : within(error, path);
}

export function bad(path: string, value: unknown, expected: string): never {
  throw new EncodeError(
    path,
    value === undefined ? `is missing: wants ${expected}` : `${show(value)} is not ${expected}`,
  );
}

function refuseMask(offset: number): never {
  return fail(["OFPET_BAD_MATCH", "OFPBMC_BAD_MASK"], offset, "set-field takes no mask");
}

export function readInts(b: Uint8Array, at: number, end: number, size: number): number[] {
  const list: number[] = [];
  for (let p = at; p < end; p += size) {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + b[p + i]!;
    list.push(value);
  }
  return list;
}

/** `count` integers (missing ones are 0), or all of the list when that is -1. */
function writeInts(
  b: Uint8Array,
  at: number,
  given: unknown,
  size: number,
  count: number,
  key: string,
): number {
  const list: readonly unknown[] =
    given === undefined ? [] : Array.isArray(given) ? given : bad(key, given, "a list");
  if (count >= 0 && list.length > count) bad(key, list, `a list of ${count} numbers`);
  const n = count < 0 ? list.length : count;
  let p = at;
  for (let i = 0; i < n; i++) {
    const x = i < list.length ? list[i] : 0;
    if (typeof x !== "number" || x >>> 0 !== x || x >= 256 ** size) {
      return bad(`${key}[${i}]`, x, `a number from 0 to ${256 ** size - 1}`);
    }
    for (let k = size - 1; k >= 0; k--) b[p++] = x >>> (8 * k);
  }
  return p;
}

/** The code's number: the place of its name among those of `type`. */
function errorCodeNumber(
  codes: Readonly<Record<string, { readonly codes: readonly string[] }>>,
  type: unknown,
  name: string,
  key: string,
): number {
  const known = typeof type === "string" ? codes[type]?.codes : undefined;
  const number = known?.indexOf(name) ?? -1;
  return number < 0 ? bad(key, name, `a code of ${show(type)}`) : number;
}

/** A flag word, with the bits of the optional fields that are there. */
function flagBits(x: unknown, parts: readonly (readonly [boolean, number])[], key: string): number {
  let flags = typeof x === "number" ? x : bad(key, x, "a number");
  for (const [present, bit] of parts) {
    if (present) flags |= bit;
    else if (flags & bit) bad(key, x, `right: bit 0x${bit.toString(16)} is set, but its field is missing`);
  }
  return flags;
}

export function padTo(b: Uint8Array, start: number, end: number, multiple: number): number {
  const next = start + Math.ceil((end - start) / multiple) * multiple;
  zero(b, end, next);
  return next;
}

function writeRest(b: Uint8Array, at: number, value: unknown, key: string): number {
  if (value === undefined) return at;
  if (!(value instanceof Uint8Array)) return bad(key, value, "bytes (Uint8Array)");
  writeBytes(b, at, value);
  return at + value.length;
}

function writeRestText(b: Uint8Array, at: number, value: unknown, key: string): number {
  if (value === undefined) return at;
  if (typeof value !== "string") return bad(key, value, "a string");
  return writeRest(b, at, textBytes(value), key);
}

/** A number's name, or the number. */
export const named = (table: Readonly<Record<number, string>>, value: number): string | number =>
  table[value] ?? value;

/** The helpers under the names that generated source uses. */
export function createRuntime(fields: readonly OxmField[]) {
  const oxm = oxmCodec(fields);
  return {
    MATCH_LEN: BAD_OXM_LEN,
    TOO_DEEP,
    MATCH_TYPE: ["OFPET_BAD_MATCH", "OFPBMC_BAD_TYPE"] as ErrorRef,
    fail,
    bad,
    within,
    named,
    copy_bytes: copyBytes,
    read64,
    read128,
    write64,
    write128,
    readMac,
    readIpv4,
    readIpv6,
    readText,
    writeText,
    writeMacText,
    writeIpv4Text,
    writeIpv6Text,
    write_bytes: writeBytes,
    strays,
    zero,
    r_ints: readInts,
    w_ints: writeInts,
    w_rest: writeRest,
    w_rest_text: writeRestText,
    pad_to: padTo,
    flag_bits: flagBits,
    error_codes: errorCodeNumber,
    refuse_mask: refuseMask,
    set_field_error: setFieldError,
    d_oxm_slow: oxm.read,
    e_oxm_slow: oxm.write,
    ...matchOrder(fields),
    write_id: oxm.writeId,
    /** A header without payload is no match: its error is its list's. */
    read_id(b: Uint8Array, at: number, end: number, key: string, ref: ErrorRef) {
      if (end - at < 4) fail(ref, at, "an OXM header is 4 bytes", key);
      if (b[at] === 0xff && b[at + 1] === 0xff && end - at < 8) {
        fail(ref, at, "an experimenter OXM header is 8 bytes", key);
      }
      return oxm.readId(b, at, end);
    },
    d_custom(b: Uint8Array, at: number, end: number, key: string, name: CustomNode["name"]) {
      try {
        return customCodecs[name].read(b, at, end, oxm);
      } catch (error) {
        throw within(error, key);
      }
    },
    e_custom(b: Uint8Array, at: number, value: unknown, key: string, name: CustomNode["name"]) {
      try {
        return customCodecs[name].write(b, at, value, oxm);
      } catch (error) {
        throw within(error, key);
      }
    },
  };
}
