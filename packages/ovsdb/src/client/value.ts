import { type Atom, canonicalInteger } from "../schema/atom.js";
import { type Datum, datumToText, emptyDatum, makeDatum } from "../schema/datum.js";
import { type AtomicType, type ColumnType, isOptional, isScalar } from "../schema/types.js";

/** What a typed row holds for a column: a scalar bare, an optional value or undefined, a set as an array, a map as a
 *  Map. Integers beyond 2^53 are rounded: counters may be, identifiers are never that large. */
export type Value = Atom | undefined | readonly Atom[] | ReadonlyMap<Atom, Atom>;

const plain = (atom: Atom): Atom => (typeof atom === "bigint" ? Number(atom) : atom);

export const typedValue = (type: ColumnType, { keys, values }: Datum): Value => {
  if (values) return new Map(keys.map((key, i) => [plain(key), plain(values[i])]));
  if (isScalar(type) || isOptional(type)) return keys.length > 0 ? plain(keys[0]) : undefined;
  return Object.freeze(keys.map(plain));
};

const exact = (type: AtomicType, atom: unknown): Atom => {
  const isRight =
    type === "integer"
      ? typeof atom === "bigint" || Number.isInteger(atom)
      : type === "real"
        ? typeof atom === "number"
        : typeof atom === (type === "boolean" ? "boolean" : "string");
  if (!isRight)
    throw new TypeError(`${String(atom)} is not ${type === "integer" ? "an integer" : `a ${type}`}`);
  return type === "integer" ? canonicalInteger(BigInt(atom as number)) : (atom as Atom);
};

/** The datum that a typed value stands for; elements may come in any order. Throws TypeError on a value of another
 *  type. Constraints are the server's to check. */
export const datumOf = (type: ColumnType, value: unknown): Datum => {
  if (value === undefined || value === null) return emptyDatum(type);
  if (type.value) {
    const valueType = type.value.type;
    const entries = value instanceof Map ? [...value] : Object.entries(value as Record<string, unknown>);
    return makeDatum(
      entries.map(([key]) => exact(type.key.type, key)),
      entries.map(([, one]) => exact(valueType, one)),
    );
  }
  if (Array.isArray(value) || value instanceof Set) {
    const atoms = [...new Set(value as Iterable<unknown>)].map((atom) => exact(type.key.type, atom));
    return makeDatum(atoms, null);
  }
  return { keys: [exact(type.key.type, value)], values: null };
};

/** The value in RFC 7047's JSON, as text. */
export const valueToText = (type: ColumnType, value: unknown): string =>
  datumToText(type, datumOf(type, value));
