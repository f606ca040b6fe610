import { refuse } from "./error.js";

/** The grammar that flows, actions, groups and meters share: words with values, parted by commas and white
 *  space. `key`, `key=value`, `key:value`, `key(value)` and `key(value)->more`. */

export interface Word {
  readonly key: string;
  /** Without the parentheses, if it had some. */
  readonly value: string;
  readonly delimiter: "" | "=" | ":" | "(";
  /** What follows the closing parenthesis. */
  readonly after: string;
}

const isBreak = (char: string | undefined): boolean =>
  char === undefined || char === "," || char === " " || char === "\t" || char === "\r" || char === "\n";

/** The end of a value: the first break that no parenthesis or bracket holds. */
function valueEnd(text: string, from: number): number {
  let depth = 0;
  let i = from;
  for (; i < text.length; i++) {
    const char = text[i]!;
    if (char === "(" || char === "[") depth++;
    else if (char === ")" || char === "]") {
      if (depth === 0) break;
      depth--;
    } else if (depth === 0 && isBreak(char)) break;
  }
  return i;
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")" && --depth === 0) return i;
  }
  return refuse(`${text.slice(open)}: a parenthesis is not closed`);
}

export function scan(text: string): Word[] {
  const words: Word[] = [];
  let i = 0;
  while (i < text.length) {
    if (isBreak(text[i])) {
      i++;
      continue;
    }
    const start = i;
    while (i < text.length && !/[:=(,\s]/.test(text[i]!)) {
      // A field's bits are part of its name: NXM_NX_REG0[0..15].
      if (text[i] === "[") while (i < text.length && text[i] !== "]") i++;
      i++;
    }
    const key = text.slice(start, i);
    const delimiter = text[i];
    if (delimiter === "=" || delimiter === ":") {
      const end = valueEnd(text, i + 1);
      words.push({ key, value: text.slice(i + 1, end), delimiter, after: "" });
      i = end === i + 1 && !isBreak(text[end]) ? end + 1 : end;
    } else if (delimiter === "(") {
      const close = closing(text, i);
      const end = valueEnd(text, close + 1);
      words.push({ key, value: text.slice(i + 1, close), delimiter, after: text.slice(close + 1, end) });
      i = end;
    } else {
      words.push({ key, value: "", delimiter: "", after: "" });
    }
  }
  return words;
}

/** A decimal, octal (0…) or hex (0x…) integer from 0 to `max`. */
export function integer(text: string, what: string, max: number): number {
  const value = bigInteger(text, what, BigInt(max));
  return Number(value);
}

export function bigInteger(text: string, what: string, max = 0xffff_ffff_ffff_ffffn): bigint {
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text))
    return refuse(`${what}: ${JSON.stringify(text)} is not an integer`);
  const negative = text.startsWith("-");
  const digits = negative ? text.slice(1) : text;
  const magnitude = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  // As in C, -1 stands for all ones of a 64-bit number.
  const value = negative ? (0x1_0000_0000_0000_0000n - magnitude) & 0xffff_ffff_ffff_ffffn : magnitude;
  if (value > max) return refuse(`${what}: ${text} is more than ${max}`);
  return value;
}

export const hexText = (value: number | bigint): string => `0x${value.toString(16)}`;

/** As C's %#x: no prefix for zero. */
export const altHex = (value: number | bigint): string =>
  value === 0 || value === 0n ? "0" : hexText(value);
