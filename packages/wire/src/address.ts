import { hexByte } from "./hex.js";

/** Addresses are text in values ("00:00:00:00:00:01", "10.0.0.1", "fe80::1") and bytes on the wire;
 *  these functions go between the two. Reading needs `at + size <= bytes.length`: the caller checks. */

export const MAC_SIZE = 6;
export const IPV4_SIZE = 4;
export const IPV6_SIZE = 16;

export const MAC_BROADCAST = "ff:ff:ff:ff:ff:ff";
export const MAC_ZERO = "00:00:00:00:00:00";

/** Six bytes at `at` as "xx:xx:xx:xx:xx:xx". */
export function readMac(bytes: Uint8Array, at: number): string {
  return `${hexByte(bytes[at]!)}:${hexByte(bytes[at + 1]!)}:${hexByte(bytes[at + 2]!)}:${hexByte(bytes[at + 3]!)}:${hexByte(bytes[at + 4]!)}:${hexByte(bytes[at + 5]!)}`;
}

/** Parses "xx:xx:xx:xx:xx:xx" (one or two digits a byte, either case) into `bytes` at `at`.
 *  Throws a RangeError when the text is not a MAC address. */
export function writeMac(bytes: Uint8Array, at: number, text: string): void {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) {
    throw new RangeError(`${JSON.stringify(text)} is not a MAC address`);
  }
  let from = 0;
  for (let i = 0; i < MAC_SIZE; i++) {
    const colon = i === 5 ? text.length : text.indexOf(":", from);
    bytes[at + i] = Number.parseInt(text.slice(from, colon), 16);
    from = colon + 1;
  }
}

/** A MAC address as its 48-bit number, which a double holds exactly. */
export function macToNumber(text: string): number {
  const bytes = parseMac(text);
  return (((bytes[0]! << 8) | bytes[1]!) >>> 0) * 0x1_0000_0000 + readU32(bytes, 2);
}

const scratch = new Uint8Array(MAC_SIZE);
/** Addresses made into text lately, each at the place of its hash: a controller writes the same few again and again. */
const KEPT = 4096;
const keptNumbers = new Float64Array(KEPT).fill(-1);
const keptTexts: string[] = new Array(KEPT).fill("");

/** A 48-bit number as a MAC address. */
export function macFromNumber(value: number): string {
  const low = value | 0;
  const place = (low ^ (low >>> 12) ^ (low >>> 24)) & (KEPT - 1);
  if (keptNumbers[place] === value) return keptTexts[place]!;
  const high = Math.floor(value / 0x1_0000_0000);
  scratch[0] = high >>> 8;
  scratch[1] = high;
  writeU32(scratch, 2, value >>> 0);
  const text = readMac(scratch, 0);
  keptNumbers[place] = value;
  keptTexts[place] = text;
  return text;
}

export function parseMac(text: string): Uint8Array {
  const bytes = new Uint8Array(MAC_SIZE);
  writeMac(bytes, 0, text);
  return bytes;
}

/** Whether the group bit (IEEE 802 I/G) is set: multicast or broadcast. */
export const isMulticastMac = (text: string): boolean => (Number.parseInt(text.slice(0, 2), 16) & 1) === 1;

/** Four bytes at `at` as dotted decimal. */
export function readIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** Parses dotted decimal into `bytes` at `at`. Throws a RangeError when the text is not an IPv4 address. */
export function writeIpv4(bytes: Uint8Array, at: number, text: string): void {
  writeU32(bytes, at, ipv4ToNumber(text));
}

/** An IPv4 address as an unsigned 32-bit number. */
export function ipv4ToNumber(text: string): number {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit >= 0 && digit <= 9) {
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) break;
    } else if (digit === -2 && octet >= 0 && dots < 3) {
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else {
      octet = 256;
      break;
    }
  }
  if (dots !== 3 || octet < 0 || octet > 255) {
    throw new RangeError(`${JSON.stringify(text)} is not an IPv4 address`);
  }
  return value * 256 + octet;
}

export function ipv4FromNumber(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`;
}

/** Sixteen bytes at `at` as RFC 5952 text: lower case, the longest run of two or more zero groups as "::". */
export function readIpv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push((bytes[at + 2 * i]! << 8) | bytes[at + 2 * i + 1]!);
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = j + 1;
  }
  const hex = (list: number[]): string => list.map((group) => group.toString(16)).join(":");
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

/** Parses IPv6 text (with "::" and a dotted-decimal tail allowed) into `bytes` at `at`.
 *  Throws a RangeError when the text is not an IPv6 address. */
export function writeIpv6(bytes: Uint8Array, at: number, text: string): void {
  const bad = (): never => {
    throw new RangeError(`${JSON.stringify(text)} is not an IPv6 address`);
  };
  const halves = text.split("::");
  if (halves.length > 2 || text === "") bad();
  const groupsOf = (half: string): number[] => {
    if (half === "") return [];
    const groups: number[] = [];
    const words = half.split(":");
    words.forEach((word, i) => {
      if (i === words.length - 1 && word.includes(".")) {
        const tail = /^[\d.]+$/.test(word) ? ipv4ToNumber(word) : bad();
        groups.push(tail >>> 16, tail & 0xffff);
      } else {
        if (!/^[0-9a-f]{1,4}$/i.test(word)) bad();
        groups.push(Number.parseInt(word, 16));
      }
    });
    return groups;
  };
  const head = groupsOf(halves[0]!);
  const tail = halves.length === 2 ? groupsOf(halves[1]!) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) bad();
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  groups.forEach((group, i) => {
    bytes[at + 2 * i] = group >>> 8;
    bytes[at + 2 * i + 1] = group;
  });
}

export const readU16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export const readU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
