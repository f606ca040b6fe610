const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Two lower-case hex digits of a byte (0..255). */
export const hexByte = (byte: number): string => HEX[byte & 0xff]!;

/** Bytes as lower-case hex digits, no separators. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!];
  return text;
}

/** Hex digits to bytes; white space, `:` and `.` between digits are skipped, a leading 0x too.
 *  Throws a RangeError that names the offset of the first bad character, or the odd digit count. */
export function fromHex(text: string): Uint8Array {
  const start = /^\s*0x/i.exec(text)?.[0].length ?? 0;
  const bytes = new Uint8Array((text.length - start + 1) >> 1);
  let digits = 0;
  for (let i = start; i < text.length; i++) {
    const value = digitOf(text.charCodeAt(i));
    if (value === SEPARATOR) continue;
    if (value === BAD) throw new RangeError(`bad hex digit ${JSON.stringify(text[i])} at offset ${i}`);
    bytes[digits >> 1] = digits & 1 ? bytes[digits >> 1]! | value : value << 4;
    digits++;
  }
  if (digits & 1) throw new RangeError(`odd number of hex digits (${digits})`);
  return bytes.slice(0, digits >> 1);
}

const BAD = -1;
const SEPARATOR = -2;

function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d || code === 0x3a || code === 0x2e) {
    return SEPARATOR;
  }
  return BAD;
}
