import { type Atom, atomFromJson, canonicalInteger, fitsInt64, type SymbolTable } from "../schema/atom.js";
import { type Datum, datumFromJson, findKey, makeDatum } from "../schema/datum.js";
import { OvsdbError, syntaxError } from "../schema/error.js";
import type { ColumnSchema, TableSchema } from "../schema/schema.js";
import { type BaseType, type ColumnType, checkAtom, describeType, isScalar } from "../schema/types.js";

/** RFC 7047 §5.1 `<mutation>`, ready to be applied to a row. */
export interface Mutation {
  readonly column: ColumnSchema;
  readonly apply: (old: Datum) => Datum;
}

const ARITHMETIC = ["+=", "-=", "*=", "/=", "%="];

export const mutationFromJson = (table: TableSchema, json: unknown, symbols?: SymbolTable): Mutation => {
  if (!Array.isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string")
    throw syntaxError("a mutation must be [column, mutator, value]", json);
  const [name, mutator, value] = json as [string, string, unknown];
  const column = table.column(name, json);
  if (column.index < 0 || !column.mutable)
    throw new OvsdbError(
      "constraint violation",
      `Cannot mutate immutable column ${name} in table ${table.name}.`,
      json,
    );
  const { type } = column;
  if (ARITHMETIC.includes(mutator)) {
    const isNumber = type.key.type === "integer" || (type.key.type === "real" && mutator !== "%=");
    if (!isNumber || type.value) throw mismatch(mutator, column, json);
    const operand = atomFromJson({ type: type.key.type }, value) as number | bigint;
    return { column, apply: (old) => mutateNumbers(type.key, mutator, operand, old) };
  }
  if (mutator === "insert") {
    if (isScalar(type)) throw mismatch(mutator, column, json);
    const added = datumFromJson({ ...type, min: 0, max: Infinity }, value, symbols);
    return { column, apply: (old) => union(old, added) };
  }
  if (mutator === "delete") {
    if (isScalar(type)) throw mismatch(mutator, column, json);
    const removed = datumFromJson(deleteType(type, value), value, symbols);
    return { column, apply: (old) => difference(old, removed) };
  }
  throw new OvsdbError("unknown mutator", `No mutator named ${mutator}.`, json);
};

const mismatch = (mutator: string, { name, type }: ColumnSchema, json: unknown): OvsdbError =>
  syntaxError(
    `Type mismatch: "${mutator}" may not be applied to column ${name}, a ${describeType(type)}.`,
    json,
  );

/** What is deleted need not satisfy the column's constraints; a map's pairs may be named by key alone. */
const deleteType = (type: ColumnType, value: unknown): ColumnType => {
  const isMap = Array.isArray(value) && value[0] === "map";
  const key: BaseType = { type: type.key.type };
  return type.value && isMap
    ? { key, value: { type: type.value.type }, min: 0, max: Infinity }
    : { key, min: 0, max: Infinity };
};

const mutateNumbers = (base: BaseType, mutator: string, operand: number | bigint, old: Datum): Datum => {
  const compute = base.type === "integer" ? integerResult : realResult;
  const keys = old.keys.map((atom) => {
    const result = compute(mutator, atom as number, operand as number);
    checkAtom(base, result);
    return result;
  });
  try {
    return makeDatum(keys, null);
  } catch {
    throw new OvsdbError(
      "constraint violation",
      `Result of "${mutator}" operation on a set contains duplicates.`,
    );
  }
};

const divisionByZero = (): OvsdbError => new OvsdbError("domain error", "Division by zero.");

const integerResult = (mutator: string, a: number | bigint, b: number | bigint): Atom => {
  // Tolerant comparison: an exact 0 may be 0 or 0n.
  if ((mutator === "/=" || mutator === "%=") && (b === 0 || b === 0n)) throw divisionByZero();
  if (typeof a === "number" && typeof b === "number") {
    const quick =
      mutator === "+="
        ? a + b
        : mutator === "-="
          ? a - b
          : mutator === "*="
            ? a * b
            : mutator === "/="
              ? (a - (a % b)) / b
              : a % b;
    if (Number.isSafeInteger(quick)) return quick + 0;
  }
  const [x, y] = [BigInt(a), BigInt(b)];
  const exact =
    mutator === "+="
      ? x + y
      : mutator === "-="
        ? x - y
        : mutator === "*="
          ? x * y
          : mutator === "/="
            ? x / y
            : x % y;
  if (!fitsInt64(exact)) throw rangeError(mutator);
  return canonicalInteger(exact);
};

const rangeError = (mutator: string): OvsdbError =>
  new OvsdbError("range error", `Result of "${mutator}" operation is out of range.`);

const realResult = (mutator: string, a: number, b: number): Atom => {
  if (mutator === "/=" && b === 0) throw divisionByZero();
  const result = mutator === "+=" ? a + b : mutator === "-=" ? a - b : mutator === "*=" ? a * b : a / b;
  if (!Number.isFinite(result)) throw rangeError(mutator);
  return result;
};

/** Adds what is not there; a key that a map has keeps its value (RFC 7047 §5.1 "insert"). */
const union = (old: Datum, added: Datum): Datum => {
  const keys = [...old.keys];
  const values = old.values && [...old.values];
  added.keys.forEach((key, i) => {
    if (findKey(old.keys, key) >= 0) return;
    keys.push(key);
    values?.push(added.values![i]);
  });
  return keys.length === old.keys.length ? old : makeDatum(keys, values);
};

/** Removes elements, or pairs by key or by key and value. */
const difference = (old: Datum, removed: Datum): Datum => {
  const keeps = (key: Atom, i: number): boolean => {
    const at = findKey(removed.keys, key);
    return at < 0 || (removed.values !== null && removed.values[at] !== old.values?.[i]);
  };
  const kept = old.keys.map((_, i) => i).filter((i) => keeps(old.keys[i], i));
  if (kept.length === old.keys.length) return old;
  return { keys: kept.map((i) => old.keys[i]), values: old.values && kept.map((i) => old.values![i]) };
};
