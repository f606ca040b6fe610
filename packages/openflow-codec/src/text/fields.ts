import { parseMac, readIpv6, readMac, toHex, writeIpv4, writeIpv6 } from "@sluice/wire";
import type { Masked, OxmField } from "../schema/oxm-field.js";
import { oxmFields } from "../v13/match.js";
import { named, refuse } from "./error.js";
import { formatPort, type PortNames, parsePort, port10To32, port32To10 } from "./ports.js";
import { bigInteger, hexText } from "./scan.js";

/** Field values and names in ovs-ofctl's syntax. A field here is what Open vSwitch means by one: the row of
 *  OXM's number and that of the older NXM number are the same field. */

export interface TextField {
  /** The row to use in a match and in set-field. */
  readonly oxm: OxmField;
  /** The row to use where actions name a field without value. */
  readonly nxm: OxmField;
}

const byTarget = new Map<string, TextField>();
for (const field of oxmFields) {
  const known = byTarget.get(field.target);
  const isNxm = field.class <= 1;
  byTarget.set(field.target, {
    oxm: known === undefined || (known.oxm.class <= 1 && !isNxm) ? field : known.oxm,
    nxm: known === undefined || (isNxm && known.nxm.class > 1) ? field : known.nxm,
  });
}

const byAnyName = new Map<string, TextField>();
for (const field of oxmFields) {
  const text = byTarget.get(field.target)!;
  // Names that several fields share (tp_src, nw_src in ARP) go by the match they are in: see match-parse.ts.
  for (const name of [field.name, field.target, field.nxm])
    if (!byAnyName.has(name)) byAnyName.set(name, text);
}
for (const field of oxmFields) {
  if (!byAnyName.has(field.text)) byAnyName.set(field.text, byTarget.get(field.target)!);
}
byAnyName.set("in_port", { oxm: byTarget.get("in_port_oxm")!.oxm, nxm: byTarget.get("in_port")!.nxm });

/** The field that a name of any kind stands for: spec's, ovs-ofctl's, or its number's ("NXM_NX_REG0"). */
export const textField = (name: string): TextField | undefined => byAnyName.get(name);

export const isMasked = (value: unknown): value is { value: unknown; mask: unknown } =>
  typeof value === "object" && value !== null;

/** Values by kind as numbers, for masks and prefixes. */
function bitsOf(field: OxmField, value: unknown): bigint {
  switch (field.kind) {
    case "uint":
    case "big":
      return BigInt(value as number | bigint);
    case "mac":
      return BigInt(`0x${toHex(parseMac(value as string))}`);
    case "ipv4": {
      const bytes = new Uint8Array(4);
      writeIpv4(bytes, 0, value as string);
      return BigInt(`0x${toHex(bytes)}`);
    }
    case "ipv6": {
      const bytes = new Uint8Array(16);
      writeIpv6(bytes, 0, value as string);
      return BigInt(`0x${toHex(bytes)}`);
    }
    default:
      return BigInt(`0x0${value as string}`);
  }
}

/** A value of the field's kind from its bits. */
export function fromBits(field: OxmField, bits: bigint): unknown {
  if (field.kind === "uint") return Number(bits);
  if (field.kind === "big") return bits;
  const hex = bits.toString(16).padStart(field.bytes * 2, "0");
  if (field.kind === "bytes") return hex;
  const bytes = Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
  if (field.kind === "mac") return readMac(bytes, 0);
  return field.kind === "ipv4" ? bytes.join(".") : readIpv6(bytes, 0);
}

export const fieldBits = bitsOf;

/** All ones in the field's bytes; a mask with fewer may still be one in all of the field's bits. */
const ones = (field: OxmField): bigint => (1n << BigInt(field.bytes * 8)) - 1n;
export const isExact = (field: OxmField, mask: unknown): boolean => {
  const low = (1n << BigInt(field.bits)) - 1n;
  return (bitsOf(field, mask) & low) === low;
};

/** The length of a prefix mask, or undefined. */
function prefixLength(field: OxmField, mask: unknown): number | undefined {
  const zeros = ones(field) ^ bitsOf(field, mask);
  return (zeros & (zeros + 1n)) === 0n
    ? field.bytes * 8 - (zeros === 0n ? 0 : zeros.toString(2).length)
    : undefined;
}

const CT_STATES = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"] as const;
const TCP_FLAGS = [
  "fin",
  "syn",
  "rst",
  "psh",
  "ack",
  "urg",
  "ece",
  "cwr",
  "ns",
  "[200]",
  "[400]",
  "[800]",
] as const;
const TUN_FLAGS = ["oam"] as const;

const FLAG_NAMES: Readonly<Record<string, readonly string[]>> = {
  ct_state: CT_STATES,
  tcp_flags: TCP_FLAGS,
  tun_flags: TUN_FLAGS,
};

/** "+trk-new": the bits of the mask, set or not. Exact: the set ones joined by "|", as ct_state does. */
function formatFlags(names: readonly string[], value: number, mask: number | undefined, all: number): string {
  if (mask === undefined || (mask & all) === all) {
    const set = names.filter((_, bit) => value & (1 << bit));
    return set.length === 0 ? "0" : set.join("|");
  }
  let text = "";
  names.forEach((name, bit) => {
    if (mask & (1 << bit)) text += (value & (1 << bit) ? "+" : "-") + name;
  });
  return text;
}

function parseFlags(field: OxmField, names: readonly string[], text: string): Masked<number> {
  if (/^[+-]/.test(text)) {
    let value = 0;
    let mask = 0;
    for (const [, sign, name] of text.matchAll(/([+-])([a-z[\]0-9]+)/g)) {
      const bit = names.indexOf(name!);
      if (bit < 0) return refuse(`${field.text}: unknown flag ${name}: one of ${names.join(", ")}`);
      mask |= 1 << bit;
      if (sign === "+") value |= 1 << bit;
    }
    return { value, mask };
  }
  if (/^[a-z]/.test(text)) {
    let value = 0;
    for (const name of text.split("|")) {
      const bit = names.indexOf(name);
      if (bit < 0) return refuse(`${field.text}: unknown flag ${name}: one of ${names.join(", ")}`);
      value |= 1 << bit;
    }
    return value;
  }
  return parseNumbers(field, text) as Masked<number>;
}

const FRAG: Readonly<Record<string, Masked<number>>> = {
  no: { value: 0, mask: 3 },
  yes: { value: 1, mask: 1 },
  first: { value: 1, mask: 3 },
  later: { value: 3, mask: 3 },
  not_later: { value: 0, mask: 2 },
};
function formatFrag(value: number, mask: number): string {
  if ((mask & 3) === 3) return value & 1 ? (value & 2 ? "later" : "first") : value & 2 ? "<error>" : "no";
  return mask & 1 ? (value & 1 ? "yes" : "no") : value & 2 ? "later" : "not_later";
}

function parseNumbers(field: OxmField, text: string): unknown {
  const slash = text.indexOf("/");
  const max = (1n << BigInt(field.bits)) - 1n;
  const one = (part: string, limit: bigint): bigint => bigInteger(part, field.text, limit);
  if (slash < 0) return fromBits(field, one(text, max));
  const mask = one(text.slice(slash + 1), field.bytes === 8 ? ones(field) : ones(field));
  return withMask(field, one(text.slice(0, slash), max), mask);
}

/** A value under a mask; no mask at all when it covers the field. */
function withMask(field: OxmField, value: bigint, mask: bigint): unknown {
  if (mask === ones(field) || mask === (1n << BigInt(field.bits)) - 1n) return fromBits(field, value);
  return { value: fromBits(field, value & mask), mask: fromBits(field, mask) };
}

/** Text after "=" or before "->" to a value; undefined when a zero mask leaves nothing to match. */
export function parseFieldValue(
  field: OxmField,
  text: string,
  ports: PortNames = {},
): Masked<unknown> | undefined {
  if (text === "") return refuse(`field ${field.text} missing value`);
  if (text === "*" || text === "ANY") return undefined;
  const value = named(field.text, () => parseAny(field, text, ports));
  if (isMasked(value) && bitsOf(field, value.mask) === 0n) return undefined;
  if (isMasked(value) && !field.maskable) return refuse(`${field.text}: the field takes no mask`);
  return value as Masked<unknown>;
}

function parseAny(field: OxmField, text: string, ports: PortNames): unknown {
  if (field.fmt === "port" || field.fmt === "port10") {
    const port = parsePort(text, ports);
    return field.fmt === "port10" ? port32To10(port) : port;
  }
  if (field.fmt === "frag") {
    // Both bits: as good as no mask.
    if (/^(no|first|later)$/.test(text)) return (FRAG[text] as { value: number }).value;
    return (
      FRAG[text] ??
      refuse(`${field.text}: ${JSON.stringify(text)} is none of ${Object.keys(FRAG).join(", ")}`)
    );
  }
  const flags = field.fmt === undefined ? undefined : FLAG_NAMES[field.fmt];
  if (flags !== undefined) {
    const parsed = parseFlags(field, flags, text);
    // Open vSwitch masks the tunnel flags that it knows, whatever is asked.
    return field.fmt === "tun_flags" && typeof parsed === "number" ? { value: parsed, mask: 1 } : parsed;
  }
  if (field.fmt === "packet_type") {
    const parts = /^\(?(0x[0-9a-f]+|\d+),(0x[0-9a-f]+|\d+)\)?$/i.exec(text);
    return parts === null ? parseNumbers(field, text) : ((Number(parts[1]) << 16) | Number(parts[2])) >>> 0;
  }
  switch (field.kind) {
    case "mac":
    case "ipv4":
    case "ipv6":
      return parseAddress(field, text);
    case "bytes":
      return parseBytes(field, text);
    default:
      return parseNumbers(field, text);
  }
}

function parseBytes(field: OxmField, text: string): unknown {
  const one = (part: string): string => {
    const digits = /^0x([0-9a-f]+)$/i.exec(part)?.[1] ?? bigInteger(part, field.text).toString(16);
    return digits.length % 2 === 0 ? digits : `0${digits}`;
  };
  const slash = text.indexOf("/");
  if (slash < 0) return one(text);
  const value = one(text.slice(0, slash));
  const mask = one(text.slice(slash + 1));
  const size = Math.max(value.length, mask.length);
  return { value: value.padStart(size, "0"), mask: mask.padStart(size, "0") };
}

function parseAddress(field: OxmField, text: string): unknown {
  const slash = text.indexOf("/");
  const bits = (part: string): bigint => {
    try {
      return bitsOf(field, part);
    } catch {
      return refuse(
        `${text}: invalid ${field.kind === "mac" ? "Ethernet" : field.kind === "ipv4" ? "IP" : "IPv6"} address`,
      );
    }
  };
  const value = bits(slash < 0 ? text : text.slice(0, slash));
  if (slash < 0) return fromBits(field, value);
  const mask = text.slice(slash + 1);
  const width = field.bytes * 8;
  if (field.kind !== "mac" && /^\d+$/.test(mask)) {
    const length = Number(mask);
    if (length > width) return refuse(`${text}: network prefix bits not between 0 and ${width}`);
    return withMask(field, value, ones(field) ^ ((1n << BigInt(width - length)) - 1n));
  }
  return withMask(field, value, bits(mask));
}

/** A value as an action's operand ("set_field:VALUE->…"). */
export function formatFieldValue(field: OxmField, given: unknown, ports: PortNames = {}): string {
  const { value, mask } = isMasked(given) ? given : { value: given, mask: undefined };
  if (mask !== undefined && bitsOf(field, mask) === 0n) return "ANY";
  const bare = mask === undefined || bitsOf(field, mask) === ones(field);
  switch (field.fmt) {
    case "port":
      if (bare) return formatPort(value as number, ports);
      break;
    case "port10":
      if (bare) return formatPort(port10To32(value as number), ports);
      break;
    case "frag":
      return formatFrag(value as number, (mask as number | undefined) ?? 0xff);
    case "ct_state":
    case "tcp_flags":
    case "tun_flags": {
      const names = FLAG_NAMES[field.fmt]!;
      return formatFlags(names, value as number, mask as number | undefined, (1 << names.length) - 1);
    }
    case "packet_type":
      return `(${Number(value) >>> 16},${hexText(Number(value) & 0xffff)})`;
  }
  switch (field.kind) {
    case "mac":
      return bare ? String(value) : `${value}/${mask}`;
    case "ipv4":
    case "ipv6": {
      if (bare) return String(value);
      const prefix = prefixLength(field, mask);
      return prefix === undefined ? `${value}/${mask}` : `${value}/${prefix}`;
    }
    case "bytes":
      return bare ? hexBytes(value as string) : `${hexBytes(value as string)}/${hexBytes(mask as string)}`;
    default: {
      const number = value as number | bigint;
      const text = field.fmt === "hex" ? hexText(number) : String(number);
      return bare ? text : `${text}/${hexText(mask as number | bigint)}`;
    }
  }
}

const hexBytes = (digits: string): string => `0x${digits.replace(/^0+(?=.)/, "")}`;

/** Some bits of a field: what "NXM_NX_REG0[0..15]" says. */
export interface Subfield {
  readonly field: TextField;
  readonly ofs: number;
  readonly n_bits: number;
}

export function parseSubfield(text: string): Subfield {
  const parts = /^([^[]+)(?:\[(?:(\d+)(?:\.\.(\d+))?)?\])?$/.exec(text);
  const field = parts === null ? undefined : textField(parts[1]!);
  if (parts === null || field === undefined)
    return refuse(`${text}: unknown field \`${text.replace(/\[.*/s, "")}'`);
  const bits = field.nxm.bits;
  const start = parts[2] === undefined ? 0 : Number(parts[2]);
  const end = parts[3] === undefined ? (parts[2] === undefined ? bits - 1 : start) : Number(parts[3]);
  if (start > end) return refuse(`${text}: starting bit ${start} is after ending bit ${end}`);
  if (end >= bits) {
    return refuse(
      `${text}: ${start >= bits ? "starting" : "ending"} bit ${start >= bits ? start : end} is not valid because field is only ${bits} bits wide`,
    );
  }
  return { field, ofs: start, n_bits: end - start + 1 };
}

/** The name and bits of a field, given the name of any of its rows. */
export function formatSubfield(name: string, ofs: number, nBits: number): string {
  const field = textField(name)?.nxm;
  const shown = field?.nxm ?? name;
  if (field !== undefined && ofs === 0 && nBits === field.bits) return `${shown}[]`;
  return nBits === 1 ? `${shown}[${ofs}]` : `${shown}[${ofs}..${ofs + nBits - 1}]`;
}

/** The name of the field whose 32-bit header this is, as actions name fields that cannot be experimenters'. */
export const oxmNameOfHeader = (header: number): string | undefined =>
  oxmFields.find((field) => field.experimenter === undefined && oxmHeader(field) === header)?.name;

/** A field's 32-bit header without payload, as actions name fields that cannot be experimenters'. */
export const oxmHeader = (field: OxmField): number =>
  ((field.class << 16) | (field.field << 9) | field.bytes) >>> 0;
