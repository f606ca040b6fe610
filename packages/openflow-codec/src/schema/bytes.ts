// Hot path. No allocation beyond the results; no closures; checks by the caller.
import { hexByte } from "@sluice/wire";

/** Reads and writes of the scalars that one expression does not do. Writers answer whether the value was
 *  good; the caller knows the path for the error. */

const halves = new Uint32Array(2);
const whole = new BigUint64Array(halves.buffer);
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

export function read64(b: Uint8Array, p: number): bigint {
  halves[HIGH] = (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!;
  halves[LOW] = (b[p + 4]! << 24) | (b[p + 5]! << 16) | (b[p + 6]! << 8) | b[p + 7]!;
  // Most cookies and their masks are zero: they need no object of their own.
  return halves[HIGH] === 0 && halves[LOW] === 0 ? 0n : whole[0]!;
}

export function write64(b: Uint8Array, p: number, value: unknown): boolean {
  if (typeof value !== "bigint") return false;
  whole[0] = value;
  if (whole[0] !== value) return false;
  const high = halves[HIGH]!;
  const low = halves[LOW]!;
  b[p] = high >>> 24;
  b[p + 1] = high >>> 16;
  b[p + 2] = high >>> 8;
  b[p + 3] = high;
  b[p + 4] = low >>> 24;
  b[p + 5] = low >>> 16;
  b[p + 6] = low >>> 8;
  b[p + 7] = low;
  return true;
}

export const read128 = (b: Uint8Array, p: number): bigint => (read64(b, p) << 64n) | read64(b, p + 8);

export function write128(b: Uint8Array, p: number, value: unknown): boolean {
  if (typeof value !== "bigint" || value < 0n || value >> 128n !== 0n) return false;
  write64(b, p, value >> 64n);
  return write64(b, p + 8, value & 0xffff_ffff_ffff_ffffn);
}

/** The value of a hex digit's character code, or -1. */
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  return -1;
}

/** "xx:xx:xx:xx:xx:xx" with two digits a byte. */
export function writeMacText(b: Uint8Array, p: number, value: unknown): boolean {
  if (typeof value !== "string" || value.length !== 17) return false;
  for (let i = 0; i < 6; i++) {
    const high = digit(value.charCodeAt(i * 3));
    const low = digit(value.charCodeAt(i * 3 + 1));
    if (high < 0 || low < 0 || (i < 5 && value.charCodeAt(i * 3 + 2) !== 0x3a)) return false;
    b[p + i] = (high << 4) | low;
  }
  return true;
}

export function writeIpv4Text(b: Uint8Array, p: number, value: unknown): boolean {
  if (typeof value !== "string") return false;
  let octet = -1;
  let index = 0;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i) - 0x30;
    if (code >= 0 && code <= 9) {
      octet = octet < 0 ? code : octet * 10 + code;
      if (octet > 255) return false;
    } else if (code === -2 && octet >= 0 && index < 3) {
      b[p + index++] = octet;
      octet = -1;
    } else {
      return false;
    }
  }
  if (index !== 3 || octet < 0) return false;
  b[p + 3] = octet;
  return true;
}

/** Zeros in [from, to). */
export function zero(b: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) b[i] = 0;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Bytes that are not UTF-8 become lone surrogates, U+DC80 for 0x80 and so on, which encode to them again. */
const ESCAPE = 0xdc00;

function readNonAscii(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return String.fromCharCode(...Array.from(bytes, (byte) => (byte < 0x80 ? byte : ESCAPE + byte)));
  }
}

/** A string's bytes; those of escapes as they were. */
export function textBytes(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text) || !/(?<![\ud800-\udbff])[\udc80-\udcff]/.test(text)) {
    return encoder.encode(text);
  }
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** A NUL-padded string of at most `size` bytes. */
export function readText(b: Uint8Array, p: number, size: number): string {
  let end = p;
  let ascii = true;
  while (end < p + size && b[end] !== 0) if (b[end++]! >= 0x80) ascii = false;
  if (!ascii) return readNonAscii(b.subarray(p, end));
  let text = "";
  for (let i = p; i < end; i++) text += String.fromCharCode(b[i]!);
  return text;
}

/** Answers false when the text is longer than `size` bytes or holds a NUL. */
export function writeText(b: Uint8Array, p: number, size: number, value: unknown): boolean {
  if (typeof value !== "string") return false;
  const { length } = value;
  if (length > size) return false;
  let i = 0;
  for (; i < length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0) return false;
    if (code >= 0x80) break;
    b[p + i] = code;
  }
  if (i === length) {
    zero(b, p + i, p + size);
    return true;
  }
  if (value.includes("\0")) return false;
  const bytes = textBytes(value);
  if (bytes.length > size) return false;
  writeBytes(b, p, bytes);
  zero(b, p + bytes.length, p + size);
  return true;
}

/** Copies `value` to `p`. A target that is too small gets what fits: its owner finds out from the end. */
export function writeBytes(b: Uint8Array, p: number, value: Uint8Array): void {
  if (p + value.length <= b.length) b.set(value, p);
}

/** Whether a value of `size` bytes at `p` has ones where the mask behind it has zeros. */
export function strays(b: Uint8Array, p: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (b[p + i]! & ~b[p + size + i]!) return true;
  return false;
}

export const hexDump = (b: Uint8Array, from: number, to: number): string => {
  let text = "";
  for (let i = from; i < to; i++) text += hexByte(b[i]!);
  return text;
};

// A new buffer for the bytes of each message would take several times as long as the rest of its decoding. So short
// copies share one, as node's Buffers do: a copy that is kept keeps this many bytes.
const SHARED_SIZE = 4096;
/** V8 keeps typed arrays of so few bytes in its own heap, where they cost nothing. */
const MAX_IN_HEAP = 64;
const MAX_SHARED = SHARED_SIZE / 4;
let shared = new Uint8Array(SHARED_SIZE);
let sharedUsed = 0;

/** A copy of the bytes [start, end). */
export function copyBytes(b: Uint8Array, start: number, end: number): Uint8Array {
  const size = end - start;
  if (size <= MAX_IN_HEAP || size > MAX_SHARED) return b.slice(start, end);
  if (size > SHARED_SIZE - sharedUsed) {
    shared = new Uint8Array(SHARED_SIZE);
    sharedUsed = 0;
  }
  const at = sharedUsed;
  sharedUsed += size;
  shared.set(b.subarray(start, end), at);
  return shared.subarray(at, sharedUsed);
}
