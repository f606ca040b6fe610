import { type Atom, canonicalInteger, fitsInt64, isUuid } from "../schema/atom.js";
import { type Datum, datumToText, makeDatum } from "../schema/datum.js";
import { OvsdbError } from "../schema/error.js";
import { type AtomicType, type BaseType, type ColumnType, checkAtom } from "../schema/types.js";

// The syntax in which ovs-vsctl and its kin print and read values (ovs-vsctl(8), "Database Values").

const BARE_WORD = /^[a-zA-Z_][a-zA-Z0-9_.-]*$/;

const isBareWord = (text: string): boolean =>
  BARE_WORD.test(text) && text !== "true" && text !== "false" && !isUuid(text.toLowerCase());

/** As C prints it with %.15g. */
const realText = (value: number): string => {
  const [digits, exponentText] = value.toExponential(14).split("e") as [string, string];
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 15) return String(Number(value.toPrecision(15)));
  const mantissa = digits.replace(/\.?0+$/, "");
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
};

export const formatAtom = (type: AtomicType, atom: Atom): string => {
  if (type === "string") return isBareWord(atom as string) ? (atom as string) : JSON.stringify(atom);
  return type === "real" ? realText(atom as number) : String(atom);
};

/** `br0`, `[1, 2]`, `{a=b}`, `[]`. */
export const formatDatum = (type: ColumnType, { keys, values }: Datum): string => {
  const text = keys
    .map((key, i) => {
      const left = formatAtom(type.key.type, key);
      return values ? `${left}=${formatAtom(type.value!.type, values[i])}` : left;
    })
    .join(", ");
  if (values) return `{${text}}`;
  return type.max > 1 || keys.length === 0 ? `[${text}]` : text;
};

const bareAtom = (type: AtomicType, atom: Atom): string =>
  type === "real" ? realText(atom as number) : String(atom);

/** Without brackets and quotes, elements separated by spaces. */
export const formatBare = (type: ColumnType, { keys, values }: Datum): string =>
  keys
    .map((key, i) => {
      const left = bareAtom(type.key.type, key);
      return values ? `${left}=${bareAtom(type.value!.type, values[i])}` : left;
    })
    .join(" ");

export type DataFormat = "string" | "bare" | "json";

export const formatters: Readonly<Record<DataFormat, (type: ColumnType, datum: Datum) => string>> = {
  string: formatDatum,
  bare: formatBare,
  json: datumToText,
};

const fail = (details: string): Error => new Error(details);

/** Rows that a command line has named `@NAME` and may not have created yet. */
export type Symbols = (name: string) => string;

const parsers: Readonly<Record<AtomicType, (token: string, symbols?: Symbols) => Atom>> = {
  integer: (token) => {
    if (!/^[-+]?\d+$/.test(token) || !fitsInt64(BigInt(token.replace("+", ""))))
      throw fail(`"${token}" is not a valid integer`);
    return canonicalInteger(BigInt(token.replace("+", "")));
  },
  real: (token) => {
    const value = Number(token);
    if (token.trim() === "" || !Number.isFinite(value)) throw fail(`"${token}" is not a valid real number`);
    return value;
  },
  boolean: (token) => {
    if (["true", "yes", "on", "1"].includes(token)) return true;
    if (["false", "no", "off", "0"].includes(token)) return false;
    throw fail(`"${token}" is not a valid boolean (use "true" or "false")`);
  },
  string: (token) => {
    if (token === "")
      throw fail('An empty string is not valid as input; use "" to represent the empty string');
    if (!token.startsWith('"')) return token;
    try {
      return JSON.parse(token) as string;
    } catch {
      throw fail(`${token} is not a valid quoted string`);
    }
  },
  uuid: (token, symbols) => {
    if (token.startsWith("@") && symbols) return symbols(token);
    const uuid = token.toLowerCase();
    if (!isUuid(uuid)) throw fail(`"${token}" is not a valid UUID`);
    return uuid;
  },
};

/** One scalar, checked. Throws a one-line Error. */
export const parseAtom = (base: BaseType, token: string, symbols?: Symbols): Atom => {
  const atom = parsers[base.type](token, symbols);
  checkConstraints(base, atom);
  return atom;
};

const checkConstraints = (base: BaseType, atom: Atom): void => {
  try {
    checkAtom(base, atom);
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw fail(`${error.tag}: ${error.details}`);
  }
};

const STOP = new Set([":", "=", ",", " ", "[", "]", "{", "}", "!", "<", ">"]);

/** A word, bare or in quotes, at `at`: the word as written and where it ends. */
export const readToken = (text: string, at: number): { token: string; end: number } => {
  let end = at;
  if (text[at] === '"') {
    for (end++; end < text.length && text[end] !== '"'; end++) if (text[end] === "\\") end++;
    if (end >= text.length) throw fail(`${text}: quoted string is not closed`);
    end++;
  } else while (end < text.length && !STOP.has(text[end])) end++;
  return { token: text.slice(at, end), end };
};

const skip = (text: string, at: number, what = " "): number => {
  let end = at;
  while (end < text.length && what.includes(text[end])) end++;
  return end;
};

/** Most elements that a range such as 1-4095 may stand for. */
const MAX_RANGE = 65536;

/** The inverse of formatDatum: brackets may be left out; integers may be ranges. Throws a one-line Error. The number
 *  of elements is checked unless `anySize`. */
export const parseDatum = (type: ColumnType, text: string, symbols?: Symbols, anySize = false): Datum => {
  const isMap = type.value !== undefined;
  const [open, close] = isMap ? ["{", "}"] : ["[", "]"];
  const keys: Atom[] = [];
  const values: Atom[] | null = isMap ? [] : null;
  let at = skip(text, 0);
  const isBracketed = text[at] === open;
  if (isBracketed) at = skip(text, at + 1);
  else if (at === text.length && !isMap) keys.push(parseAtom(type.key, "", symbols));
  while (at < text.length && !(isBracketed && text[at] === close)) {
    if (text[at] === ",") throw fail(`${text}: unexpected ","`);
    const key = readToken(text, at);
    if (key.end === at) throw fail(`${text}: unexpected "${text[at]}"`);
    at = skip(text, key.end);
    if (isMap) {
      if (text[at] !== "=") throw fail(`${text}: syntax error at "${text.slice(at)}" expecting "="`);
      const value = readToken(text, skip(text, at + 1));
      keys.push(parseAtom(type.key, key.token, symbols));
      values!.push(parseAtom(type.value!, value.token, symbols));
      at = skip(text, value.end);
    } else keys.push(...parseElement(type.key, key.token, type.max > 1, symbols));
    if (text[at] === ",") at = skip(text, at + 1);
  }
  if (isBracketed) {
    if (text[at] !== close) throw fail(`${text}: missing "${close}"`);
    at = skip(text, at + 1);
    if (at < text.length) throw fail(`${text}: trailing garbage after "${close}"`);
  }
  if (!anySize && (keys.length < type.min || keys.length > type.max))
    throw fail(
      `${text}: ${keys.length} value${keys.length === 1 ? "" : "s"} given where ` +
        `${type.min === type.max ? type.min : `${type.min} to ${type.max === Infinity ? "any number" : type.max}`} may be`,
    );
  try {
    return makeDatum(keys, values);
  } catch {
    throw fail(`${text}: ${isMap ? "map contains duplicate key" : "set contains duplicate value"}`);
  }
};

const parseElement = (base: BaseType, token: string, isRangeAllowed: boolean, symbols?: Symbols): Atom[] => {
  const range = base.type === "integer" && isRangeAllowed && /^(-?\d+)-(-?\d+)$/.exec(token);
  if (!range) {
    if (base.type === "integer" && !/^[-+]?\d+$/.test(token))
      throw fail(`"${token}" is not a valid integer or range`);
    return [parseAtom(base, token, symbols)];
  }
  const [low, high] = [Number(range[1]), Number(range[2])];
  if (!(low < high)) throw fail(`"${token}" is not a valid range. Range end cannot be before start.`);
  if (high - low >= MAX_RANGE) throw fail(`"${token}" is a range of more than ${MAX_RANGE} values`);
  checkConstraints(base, low);
  checkConstraints(base, high);
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
};
