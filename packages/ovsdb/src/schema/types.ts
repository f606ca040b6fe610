import { type Atom, atomFromJson, atomToJson, compareAtoms } from "./atom.js";
import { isObject, OvsdbError, sortMembers, syntaxError } from "./error.js";

export type AtomicType = "integer" | "real" | "boolean" | "string" | "uuid";

export const ATOMIC_TYPES: readonly string[] = ["integer", "real", "boolean", "string", "uuid"];

/** RFC 7047 §3.2 `<base-type>`: an atomic type and what its values must satisfy. */
export interface BaseType {
  readonly type: AtomicType;
  readonly enum?: readonly Atom[];
  readonly minInteger?: number | bigint;
  readonly maxInteger?: number | bigint;
  readonly minReal?: number;
  readonly maxReal?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly refTable?: string;
  readonly refType?: "strong" | "weak";
}

/** RFC 7047 §3.2 `<type>`. `max` is Infinity for "unlimited"; a map has a `value`. */
export interface ColumnType {
  readonly key: BaseType;
  readonly value?: BaseType;
  readonly min: number;
  readonly max: number;
}

export const isScalar = (type: ColumnType): boolean => type.min === 1 && type.max === 1 && !type.value;
export const isMap = (type: ColumnType): boolean => type.value !== undefined;
export const isOptional = (type: ColumnType): boolean => type.min === 0 && type.max === 1;
/** Can hold more than one element: changes to it are sent and stored as differences. */
export const isComposite = (type: ColumnType): boolean => type.max > 1;

const BASE_MEMBERS: Record<AtomicType, readonly string[]> = {
  integer: ["type", "enum", "minInteger", "maxInteger"],
  real: ["type", "enum", "minReal", "maxReal"],
  boolean: ["type", "enum"],
  string: ["type", "enum", "minLength", "maxLength"],
  uuid: ["type", "enum", "refTable", "refType"],
};

const rangeOf: Partial<Record<AtomicType, readonly [string, string]>> = {
  integer: ["minInteger", "maxInteger"],
  real: ["minReal", "maxReal"],
  string: ["minLength", "maxLength"],
};

export const baseTypeFromJson = (json: unknown): BaseType => {
  if (typeof json === "string") return { type: atomicType(json, json) };
  if (!isObject(json)) throw syntaxError("a base type must be a string or an object", json);
  const type = atomicType(json.type, json);
  for (const member of Object.keys(json)) {
    if (!BASE_MEMBERS[type].includes(member))
      throw syntaxError(`unexpected member "${member}" in a base type of ${type}`, json);
  }
  const base: Record<string, unknown> = { type };
  const range = rangeOf[type];
  if (range) {
    for (const name of range) {
      const limit = json[name];
      // A least length of 0 says nothing: without it equal schemas are equal text.
      if (limit === undefined || (name === "minLength" && limit === 0)) continue;
      const isValid =
        type === "real" ? typeof limit === "number" : Number.isInteger(limit) || typeof limit === "bigint";
      if (!isValid) throw syntaxError(`${name} must be ${type === "real" ? "a number" : "an integer"}`, json);
      base[name] = limit;
    }
    const [low, high] = [base[range[0]] as number | undefined, base[range[1]] as number | undefined];
    if (low !== undefined && high !== undefined && low > high)
      throw syntaxError(`${range[0]} exceeds ${range[1]}`, json);
  }
  if (json.enum !== undefined) {
    const plain: BaseType = { type };
    const members =
      Array.isArray(json.enum) && json.enum[0] === "set" && Array.isArray(json.enum[1])
        ? (json.enum[1] as unknown[])
        : [json.enum];
    const atoms = members.map((member) => atomFromJson(plain, member)).sort(compareAtoms);
    if (atoms.length === 0) throw syntaxError("enum must not be empty", json);
    base.enum = atoms;
  }
  if (type === "uuid" && json.refTable !== undefined) {
    if (typeof json.refTable !== "string") throw syntaxError("refTable must be a string", json);
    base.refTable = json.refTable;
    if (json.refType !== undefined) {
      if (json.refType !== "strong" && json.refType !== "weak")
        throw syntaxError('refType must be "strong" or "weak"', json);
      base.refType = json.refType;
    }
  }
  return base as unknown as BaseType;
};

const atomicType = (json: unknown, where: unknown): AtomicType => {
  if (typeof json !== "string" || !ATOMIC_TYPES.includes(json))
    throw syntaxError(`"${String(json)}" is not an atomic type`, where);
  return json as AtomicType;
};

export const baseTypeToJson = (base: BaseType): unknown => {
  const { type, refType, enum: members, ...rest } = base;
  const json: Record<string, unknown> = { ...rest };
  if (members) json.enum = ["set", members.map((atom) => atomToJson(type, atom))];
  if (refType === "weak") json.refType = "weak";
  return Object.keys(json).length === 0 ? type : sortMembers({ ...json, type });
};

export const columnTypeFromJson = (json: unknown): ColumnType => {
  if (typeof json === "string") return { key: baseTypeFromJson(json), min: 1, max: 1 };
  if (!isObject(json)) throw syntaxError("a type must be a string or an object", json);
  for (const member of Object.keys(json)) {
    if (!["key", "value", "min", "max"].includes(member))
      throw syntaxError(`unexpected member "${member}" in a type`, json);
  }
  if (json.key === undefined) throw syntaxError('a type needs a "key"', json);
  const key = baseTypeFromJson(json.key);
  const min = json.min ?? 1;
  const max = json.max === "unlimited" ? Infinity : (json.max ?? 1);
  if (min !== 0 && min !== 1) throw syntaxError("min must be 0 or 1", json);
  if (typeof max !== "number" || (max !== Infinity && !Number.isInteger(max)) || max < 1 || max < min)
    throw syntaxError('max must be a positive integer or "unlimited"', json);
  const type = { key, min, max };
  return json.value === undefined ? type : { ...type, value: baseTypeFromJson(json.value) };
};

export const columnTypeToJson = (type: ColumnType): unknown => {
  const key = baseTypeToJson(type.key);
  if (isScalar(type) && typeof key === "string") return key;
  return {
    key,
    ...(type.max !== 1 && { max: type.max === Infinity ? "unlimited" : type.max }),
    ...(type.min !== 1 && { min: type.min }),
    ...(type.value && { value: baseTypeToJson(type.value) }),
  };
};

/** The type in words, for messages: `set of 0 or more strings`. */
export const describeType = (type: ColumnType): string => {
  if (isScalar(type)) return type.key.type;
  const what = type.value ? `${type.key.type}/${type.value.type} pairs` : `${type.key.type} values`;
  const count = type.max === Infinity ? `${type.min} or more` : `${type.min} to ${type.max}`;
  return `${type.value ? "map" : "set"} of ${count} ${what}`;
};

/** May checkAtom refuse anything? */
export const isConstrained = (base: BaseType): boolean =>
  base.enum !== undefined ||
  base.minInteger !== undefined ||
  base.maxInteger !== undefined ||
  base.minReal !== undefined ||
  base.maxReal !== undefined ||
  base.minLength !== undefined ||
  base.maxLength !== undefined;

/** Throws unless `atom`, of the right atomic type already, satisfies the constraints of `base`. */
export const checkAtom = (base: BaseType, atom: Atom): void => {
  if (base.enum && !base.enum.includes(atom))
    throw new OvsdbError(
      "constraint violation",
      `${printAtom(atom)} is not one of the allowed values ([${base.enum.map(String).join(", ")}])`,
    );
  switch (base.type) {
    case "integer":
      checkRange(atom as number, base.minInteger, base.maxInteger, String(atom));
      break;
    case "real":
      checkRange(atom as number, base.minReal, base.maxReal, String(atom));
      break;
    case "string":
      if (base.minLength !== undefined || base.maxLength !== undefined) {
        const length = [...(atom as string)].length;
        checkRange(length, base.minLength, base.maxLength, `length ${length} of ${printAtom(atom)}`);
      }
      break;
    default:
  }
};

const printAtom = (atom: Atom): string =>
  typeof atom === "string" && !/^[\w.-]+$/.test(atom) ? JSON.stringify(atom) : String(atom);

const checkRange = (
  value: number | bigint,
  low: number | bigint | undefined,
  high: number | bigint | undefined,
  what: string,
): void => {
  if ((low === undefined || value >= low) && (high === undefined || value <= high)) return;
  const range =
    low === undefined
      ? `at most ${high}`
      : high === undefined
        ? `at least ${low}`
        : `in the range ${low} to ${high}`;
  throw new OvsdbError("constraint violation", `${what} is not ${range}`);
};
