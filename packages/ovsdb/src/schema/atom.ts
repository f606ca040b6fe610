import { type OvsdbError, syntaxError } from "./error.js";
import { type AtomicType, type BaseType, checkAtom } from "./types.js";

/** A scalar value (RFC 7047 §5.1 `<atom>`). An integer is a number where that is exact, else a bigint; a uuid
 *  is its text in lower case; the column's type tells them apart. Atoms are compared with `===`. */
export type Atom = number | bigint | boolean | string;

/** The names that a transaction's inserts give to their rows; a name may be used before its insert. */
export interface SymbolTable {
  uuidOf(name: string): string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ID = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
// Neither can pass through a C string or UTF-8, hence never through a peer.
const UNSTORABLE = /[\0\p{Surrogate}]/u;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export const isUuid = (text: unknown): text is string => typeof text === "string" && UUID.test(text);
export const isId = (text: unknown): text is string => typeof text === "string" && ID.test(text);

/** The order in which sets and map keys are kept. */
export const compareAtoms = (a: Atom, b: Atom): number => (a < b ? -1 : a > b ? 1 : 0);

const mismatch = (expected: string, json: unknown): OvsdbError => syntaxError(`expected ${expected}`, json);

export const toUuid = (text: string, json: unknown): string => {
  if (UUID.test(text)) return text;
  const lower = text.toLowerCase();
  if (!UUID.test(lower)) throw syntaxError(`"${text}" is not a valid UUID`, json);
  return lower;
};

/** Decodes and checks an atom of type `base`. Without `symbols`, a named-uuid is refused. */
export const atomFromJson = (base: BaseType, json: unknown, symbols?: SymbolTable): Atom => {
  const atom = parsers[base.type](json, symbols);
  if (base.enum || base.type === "integer" || base.type === "real" || base.type === "string")
    checkAtom(base, atom);
  return atom;
};

const parsers: Record<AtomicType, (json: unknown, symbols?: SymbolTable) => Atom> = {
  integer: (json) => {
    if (typeof json === "number" && Number.isSafeInteger(json)) return json + 0;
    if (typeof json !== "bigint" && !Number.isInteger(json)) throw mismatch("integer", json);
    const exact = BigInt(json as bigint | number);
    if (exact < INT64_MIN || exact > INT64_MAX) throw mismatch("an integer of at most 64 bits", json);
    return canonicalInteger(exact);
  },
  real: (json) => {
    if (typeof json !== "number" && typeof json !== "bigint") throw mismatch("number", json);
    const real = Number(json);
    if (!Number.isFinite(real)) throw mismatch("a finite number", json);
    return real;
  },
  boolean: (json) => {
    if (typeof json !== "boolean") throw mismatch("boolean", json);
    return json;
  },
  string: (json) => {
    if (typeof json !== "string") throw mismatch("string", json);
    if (UNSTORABLE.test(json)) throw mismatch("a string without NUL or lone surrogates", json);
    return json;
  },
  uuid: (json, symbols) => {
    if (Array.isArray(json) && json.length === 2 && typeof json[1] === "string") {
      if (json[0] === "uuid") return toUuid(json[1], json);
      if (json[0] === "named-uuid" && symbols) {
        if (!ID.test(json[1])) throw syntaxError(`"${json[1]}" is not a valid <id>`, json);
        return symbols.uuidOf(json[1]);
      }
    }
    throw mismatch(symbols ? '["uuid", …] or ["named-uuid", …]' : '["uuid", …]', json);
  },
};

/** The one form in which an integer of at most 64 bits is held. */
export const canonicalInteger = (exact: bigint): Atom =>
  exact >= BigInt(Number.MIN_SAFE_INTEGER) && exact <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(exact)
    : exact;

export const fitsInt64 = (exact: bigint): boolean => exact >= INT64_MIN && exact <= INT64_MAX;

export const atomToJson = (type: AtomicType, atom: Atom): unknown =>
  type === "uuid" ? ["uuid", atom] : atom;

/** The atom as JSON text. */
export const atomToText = (type: AtomicType, atom: Atom): string =>
  type === "string" ? JSON.stringify(atom) : type === "uuid" ? `["uuid","${atom as string}"]` : String(atom);

/** The value that a scalar column has when an insert leaves it out (RFC 7047 §5.2.1). */
export const defaultAtom = (type: AtomicType): Atom => DEFAULTS[type];

export const ZERO_UUID = "00000000-0000-0000-0000-000000000000";

const DEFAULTS: Record<AtomicType, Atom> = {
  integer: 0,
  real: 0,
  boolean: false,
  string: "",
  uuid: ZERO_UUID,
};
