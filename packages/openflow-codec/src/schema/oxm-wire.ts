import { fromHex, readIpv4, readIpv6, readMac, writeIpv6 } from "@sluice/wire";
import {
  hexDump,
  read64,
  read128,
  strays,
  write64,
  write128,
  writeBytes,
  writeIpv4Text,
  writeMacText,
} from "./bytes.js";
import { EncodeError, type ErrorRef, OfDecodeError } from "./error.js";
import type { OxmField } from "./oxm-field.js";

/** OXM fields by their table, one at a time: the plain way, which serves every field. The compiler emits
 *  faster code for the common ones; both must agree. */

const EXPERIMENTER_CLASS = 0xffff;
const match = (code: string): ErrorRef => ["OFPET_BAD_MATCH", code];
export const BAD_OXM_LEN = match("OFPBMC_BAD_LEN");
const BAD_VALUE = match("OFPBMC_BAD_VALUE");
const BAD_MASK = match("OFPBMC_BAD_MASK");
const BAD_WILDCARDS = match("OFPBMC_BAD_WILDCARDS");
const DUP_FIELD = match("OFPBMC_DUP_FIELD");

type Values = Record<string, unknown>;

export interface OxmCodec {
  /** Reads one field at `p` into `into`; answers where the next begins. */
  read(b: Uint8Array, p: number, end: number, into: Values): number;
  /** Writes a field; answers where the next begins. Throws EncodeError. */
  write(b: Uint8Array, p: number, name: string, value: unknown): number;
  /** Reads a header without payload: a field's name, with "/mask" when the mask bit is set. */
  readId(b: Uint8Array, p: number, end: number): { name: string; next: number };
  writeId(b: Uint8Array, p: number, name: unknown): number;
}

const hex = (value: number, digits = 0): string => `0x${value.toString(16).padStart(digits, "0")}`;
/** One number for a field's identity, exact in a double: 23 bits, or 39 and a mark for experimenters. */
const keyOf = (oxmClass: number, field: number, experimenter: number | undefined): number =>
  experimenter === undefined ? oxmClass * 128 + field : 2 ** 40 + experimenter * 128 + field;

const u32 = (b: Uint8Array, p: number): number =>
  ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;
function put32(b: Uint8Array, p: number, value: number): void {
  b[p] = value >>> 24;
  b[p + 1] = value >>> 16;
  b[p + 2] = value >>> 8;
  b[p + 3] = value;
}

/** A value of `size` bytes at `p`. */
function readValue(field: OxmField | undefined, b: Uint8Array, p: number, size: number): unknown {
  switch (field?.kind) {
    case "uint": {
      let value = 0;
      for (let i = 0; i < size; i++) value = value * 256 + b[p + i]!;
      return value;
    }
    case "big":
      return size === 8 ? read64(b, p) : read128(b, p);
    case "mac":
      return readMac(b, p);
    case "ipv4":
      return readIpv4(b, p);
    case "ipv6":
      return readIpv6(b, p);
    default:
      return hexDump(b, p, p + size);
  }
}

/** Writes a value; answers its size, or -1 when it does not fit the field. */
function writeValue(field: OxmField | undefined, b: Uint8Array, p: number, value: unknown): number {
  switch (field?.kind) {
    case "uint": {
      if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value >= 256 ** field.bytes) {
        return -1;
      }
      for (let i = field.bytes - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) b[p + i] = rest;
      return field.bytes;
    }
    case "big":
      return (field.bytes === 8 ? write64(b, p, value) : write128(b, p, value)) ? field.bytes : -1;
    case "mac":
      return writeMacText(b, p, value) ? 6 : -1;
    case "ipv4":
      return writeIpv4Text(b, p, value) ? 4 : -1;
    case "ipv6":
      return writeIpv6Text(b, p, value) ? 16 : -1;
    default: {
      if (typeof value !== "string") return -1;
      try {
        const bytes = fromHex(value);
        if (bytes.length > (field?.variable ?? 255)) return -1;
        writeBytes(b, p, bytes);
        return bytes.length;
      } catch {
        return -1;
      }
    }
  }
}

export function writeIpv6Text(b: Uint8Array, p: number, value: unknown): boolean {
  if (typeof value !== "string") return false;
  try {
    writeIpv6(b, p, value);
    return true;
  } catch {
    return false;
  }
}

/** Whether a value at `p` has ones above its `bits`. */
const tooLarge = (field: OxmField, b: Uint8Array, p: number): boolean => {
  const spare = field.bytes * 8 - field.bits;
  for (let i = 0, left = spare; left > 0; i++, left -= 8) {
    if (b[p + i]! >> Math.max(0, 8 - left)) return true;
  }
  return false;
};

const WANTED: Readonly<Record<OxmField["kind"], string>> = {
  uint: "a number",
  big: "a bigint",
  mac: 'a MAC address such as "00:00:00:00:00:01"',
  ipv4: 'an IPv4 address such as "10.0.0.1"',
  ipv6: 'an IPv6 address such as "fe80::1"',
  bytes: "hex digits",
};
export const wanted = (field: OxmField | undefined): string =>
  field === undefined
    ? "hex digits"
    : field.kind === "uint" || field.kind === "big"
      ? `${WANTED[field.kind]} of ${field.bits} bits`
      : WANTED[field.kind];

export function oxmCodec(fields: readonly OxmField[]): OxmCodec {
  const byKey = new Map(fields.map((f) => [keyOf(f.class, f.field, f.experimenter), f]));
  const byName = new Map(fields.map((f) => [f.name, f]));

  const unknownName = (oxmClass: number, field: number, experimenter: number | undefined): string =>
    `oxm:${hex(oxmClass, 4)}:${field}${experimenter === undefined ? "" : `:${hex(experimenter, 8)}`}`;

  /** The numbers in "oxm:0xCLASS:FIELD[:0xEXPERIMENTER]". */
  function parseUnknown(
    name: string,
  ): { oxmClass: number; field: number; experimenter?: number } | undefined {
    const parts = /^oxm:0x([0-9a-f]{1,4}):(\d{1,3})(?::0x([0-9a-f]{1,8}))?$/i.exec(name);
    if (parts === null) return undefined;
    const oxmClass = Number.parseInt(parts[1]!, 16);
    const field = Number(parts[2]);
    if (field > 127 || (oxmClass === EXPERIMENTER_CLASS) !== (parts[3] !== undefined)) return undefined;
    return parts[3] === undefined
      ? { oxmClass, field }
      : { oxmClass, field, experimenter: Number.parseInt(parts[3], 16) };
  }

  function read(b: Uint8Array, p: number, end: number, into: Values): number {
    if (end - p < 4) throw new OfDecodeError(BAD_OXM_LEN, p, "an OXM header is 4 bytes");
    const oxmClass = (b[p]! << 8) | b[p + 1]!;
    const number = b[p + 2]! >> 1;
    const hasMask = (b[p + 2]! & 1) === 1;
    const length = b[p + 3]!;
    if (length > end - p - 4) {
      throw new OfDecodeError(
        BAD_OXM_LEN,
        p,
        `OXM length ${length} is more than the ${end - p - 4} bytes left`,
      );
    }
    let at = p + 4;
    let experimenter: number | undefined;
    if (oxmClass === EXPERIMENTER_CLASS) {
      if (length < 4) throw new OfDecodeError(BAD_OXM_LEN, p, "an experimenter OXM holds at least 4 bytes");
      experimenter = u32(b, at);
      at += 4;
    }
    const next = p + 4 + length;
    const field = byKey.get(keyOf(oxmClass, number, experimenter));
    const name = field?.name ?? unknownName(oxmClass, number, experimenter);
    const size = hasMask ? (next - at) / 2 : next - at;
    const fail = (ref: ErrorRef, detail: string): never => {
      const error = new OfDecodeError(ref, p, detail);
      error.path = name;
      throw error;
    };
    if (field !== undefined && hasMask && !field.maskable) fail(BAD_MASK, "the field takes no mask");
    if (field === undefined || field.variable !== undefined) {
      if (!Number.isInteger(size)) fail(BAD_OXM_LEN, "value and mask differ in size");
      if (size > (field?.variable ?? 255))
        fail(BAD_OXM_LEN, `the value is larger than ${field?.variable} bytes`);
    } else if (size !== field.bytes) {
      fail(BAD_OXM_LEN, `the field has ${field.bytes} bytes, not ${size}`);
    }
    if (Object.hasOwn(into, name)) fail(DUP_FIELD, "the field is there twice");
    if (field !== undefined && field.variable === undefined && tooLarge(field, b, at)) {
      fail(BAD_VALUE, `the field has ${field.bits} bits`);
    }
    const value = readValue(field, b, at, size);
    if (hasMask) {
      if (field !== undefined && strays(b, at, size))
        fail(BAD_WILDCARDS, "the value has bits outside its mask");
      into[name] = { value, mask: readValue(field, b, at + size, size) };
    } else {
      into[name] = value;
    }
    return next;
  }

  function write(b: Uint8Array, p: number, name: string, given: unknown): number {
    const field = byName.get(name);
    const numbers =
      field === undefined
        ? parseUnknown(name)
        : { oxmClass: field.class, field: field.field, experimenter: field.experimenter };
    if (numbers === undefined) throw new EncodeError(name, "no such match field");
    const known = field ?? byKey.get(keyOf(numbers.oxmClass, numbers.field, numbers.experimenter));
    if (field === undefined && known !== undefined)
      throw new EncodeError(name, `the field is named ${known.name}`);
    const masked = typeof given === "object" && given !== null;
    if (masked && field !== undefined && !field.maskable)
      throw new EncodeError(name, "the field takes no mask");
    const { value, mask } = masked
      ? (given as { value?: unknown; mask?: unknown })
      : { value: given, mask: 0 };
    let at = p + 4;
    if (numbers.experimenter !== undefined) {
      put32(b, at, numbers.experimenter);
      at += 4;
    }
    // Checked where it is surely in bounds; the target may be too small, which its owner finds at the end.
    const size = writeValue(field, scratch, 0, value);
    if (size < 0 || (field !== undefined && field.variable === undefined && tooLarge(field, scratch, 0))) {
      throw new EncodeError(name, `${show(value)} is not ${wanted(field)}`);
    }
    writeBytes(b, at, scratch.subarray(0, size));
    let end = at + size;
    if (masked) {
      if (writeValue(field, scratch, size, mask) !== size) {
        throw new EncodeError(name, `mask ${show(mask)} is not ${wanted(field)}`);
      }
      if (field !== undefined && strays(scratch, 0, size)) {
        throw new EncodeError(name, "the value has bits outside its mask");
      }
      writeBytes(b, end, scratch.subarray(size, 2 * size));
      end += size;
    }
    if (end - p - 4 > 255) throw new EncodeError(name, "more than 255 bytes of value and mask");
    b[p] = numbers.oxmClass >>> 8;
    b[p + 1] = numbers.oxmClass;
    b[p + 2] = (numbers.field << 1) | (masked ? 1 : 0);
    b[p + 3] = end - p - 4;
    return end;
  }

  /** The length that the header of a field without payload states: that of its value (§7.3.5.5.2). */
  const idLength = (field: OxmField): number =>
    (field.variable ?? field.bytes) + (field.experimenter === undefined ? 0 : 4);

  /** The same in the header of a field with a mask, as Open vSwitch states it: value and mask. "name/masked", where
   *  "name/mask" has the length of the value alone. */
  const maskedLength = (field: OxmField): number =>
    2 * idLength(field) - (field.experimenter === undefined ? 0 : 4);

  function readId(b: Uint8Array, p: number, end: number): { name: string; next: number } {
    if (end - p < 4) throw new OfDecodeError(BAD_OXM_LEN, p, "an OXM header is 4 bytes");
    const oxmClass = (b[p]! << 8) | b[p + 1]!;
    const isExperimenter = oxmClass === EXPERIMENTER_CLASS;
    const next = p + (isExperimenter ? 8 : 4);
    if (next > end) throw new OfDecodeError(BAD_OXM_LEN, p, "an experimenter OXM header is 8 bytes");
    const experimenter = isExperimenter ? u32(b, p + 4) : undefined;
    const field = byKey.get(keyOf(oxmClass, b[p + 2]! >> 1, experimenter));
    const mask = (b[p + 2]! & 1) === 1;
    if (field !== undefined && b[p + 3] === idLength(field)) {
      return { name: mask ? `${field.name}/mask` : field.name, next };
    }
    if (field !== undefined && mask && b[p + 3] === maskedLength(field)) {
      return { name: `${field.name}/masked`, next };
    }
    return {
      name: `header:${hex(u32(b, p), 8)}${experimenter === undefined ? "" : `:${hex(experimenter, 8)}`}`,
      next,
    };
  }

  function writeId(b: Uint8Array, p: number, given: unknown): number {
    if (typeof given !== "string") throw new EncodeError("", `${show(given)} is not a field's name`);
    const raw = /^header:0x([0-9a-f]{8})(?::0x([0-9a-f]{8}))?$/i.exec(given);
    if (raw !== null) {
      put32(b, p, Number.parseInt(raw[1]!, 16));
      if (raw[2] !== undefined) put32(b, p + 4, Number.parseInt(raw[2], 16));
      return p + (raw[2] === undefined ? 4 : 8);
    }
    const [name = "", suffix] = given.split("/", 2);
    const field = byName.get(name);
    const known = suffix === undefined || suffix === "mask" || suffix === "masked";
    if (field === undefined || !known) throw new EncodeError("", `no field is named ${show(given)}`);
    const length = suffix === "masked" ? maskedLength(field) : idLength(field);
    put32(b, p, ((field.class << 16) | (field.field << 9) | (suffix ? 0x100 : 0) | length) >>> 0);
    if (field.experimenter !== undefined) put32(b, p + 4, field.experimenter);
    return p + (field.experimenter === undefined ? 4 : 8);
  }

  const scratch = new Uint8Array(512);
  return { read, write, readId, writeId };
}

/** A value in an error message, cut short. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
