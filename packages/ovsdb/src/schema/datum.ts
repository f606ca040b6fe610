import { type Atom, atomFromJson, atomToText, compareAtoms, defaultAtom, type SymbolTable } from "./atom.js";
import { OvsdbError, syntaxError } from "./error.js";
import { type ColumnType, describeType, isScalar } from "./types.js";

/** The value of a column: a scalar is a set of one, an optional a set of none or one. Keys are unique and in the
 *  order of compareAtoms; a map's `values[i]` belongs to `keys[i]`. Never changed once made. */
export interface Datum {
  readonly keys: readonly Atom[];
  readonly values: readonly Atom[] | null;
}

const NONE: readonly Atom[] = Object.freeze([]);
const EMPTY_SET: Datum = Object.freeze({ keys: NONE, values: null });
const EMPTY_MAP: Datum = Object.freeze({ keys: NONE, values: NONE });

export const emptyDatum = (type: ColumnType): Datum => (type.value ? EMPTY_MAP : EMPTY_SET);

/** The value of a column that was not given: empty where allowed, else the atomic type's zero. */
export const defaultDatum = (type: ColumnType): Datum =>
  type.min === 0
    ? emptyDatum(type)
    : {
        keys: [defaultAtom(type.key.type)],
        values: type.value ? [defaultAtom(type.value.type)] : null,
      };

/** Makes a datum of unordered parts. Duplicate keys are refused, the number of them is not checked. */
export const makeDatum = (keys: Atom[], values: Atom[] | null): Datum => {
  if (keys.length > 1 && !isStrictlyIncreasing(keys)) {
    if (!values) {
      keys.sort(compareAtoms);
      refuseDuplicates(keys);
    } else {
      const order = keys.map((_, index) => index).sort((a, b) => compareAtoms(keys[a], keys[b]));
      const unsorted = values;
      keys = order.map((index) => keys[index]);
      values = order.map((index) => unsorted[index]);
      refuseDuplicates(keys);
    }
  }
  return { keys, values };
};

const isStrictlyIncreasing = (keys: readonly Atom[]): boolean => {
  for (let i = 1; i < keys.length; i++) if (!(keys[i - 1] < keys[i])) return false;
  return true;
};

const refuseDuplicates = (keys: readonly Atom[]): void => {
  for (let i = 1; i < keys.length; i++)
    if (keys[i - 1] === keys[i])
      throw new OvsdbError("ovsdb error", `duplicate element or key ${String(keys[i])}`);
};

/** Decodes RFC 7047 `<value>` and checks it against `type`, the number of elements too unless `anySize`. */
export const datumFromJson = (
  type: ColumnType,
  json: unknown,
  symbols?: SymbolTable,
  anySize = false,
): Datum => {
  let datum: Datum;
  const tagged = Array.isArray(json) && json.length === 2;
  if (type.value) {
    if (!tagged || json[0] !== "map" || !Array.isArray(json[1])) {
      // An empty set stands for an empty map too, as in ovsdb-server.
      if (tagged && json[0] === "set" && Array.isArray(json[1]) && json[1].length === 0) datum = EMPTY_MAP;
      else throw syntaxError('expected ["map", [...]]', json);
    } else {
      const pairs = json[1] as unknown[];
      // Of the right length at once: an array that grows keeps room for as much again, in each row.
      const keys = new Array<Atom>(pairs.length);
      const values = new Array<Atom>(pairs.length);
      for (let i = 0; i < pairs.length; i++) {
        const pair = pairs[i];
        if (!Array.isArray(pair) || pair.length !== 2)
          throw syntaxError("expected a [key, value] pair", pair);
        keys[i] = atomFromJson(type.key, pair[0], symbols);
        values[i] = atomFromJson(type.value, pair[1], symbols);
      }
      datum = makeDatum(keys, values);
    }
  } else if (tagged && json[0] === "set") {
    if (!Array.isArray(json[1])) throw syntaxError('expected ["set", [...]]', json);
    datum = makeDatum(
      (json[1] as unknown[]).map((element) => atomFromJson(type.key, element, symbols)),
      null,
    );
  } else {
    datum = { keys: [atomFromJson(type.key, json, symbols)], values: null };
  }
  if (!anySize) checkSize(type, datum, json);
  return datum;
};

/** Throws unless the number of elements is within the type's limits. */
export const checkSize = (type: ColumnType, datum: Datum, json?: unknown): void => {
  const count = datum.keys.length;
  if (count >= type.min && count <= type.max) return;
  if (json !== undefined && isScalar(type))
    throw syntaxError(`expected one ${type.key.type}, not ${count}`, json);
  throw new OvsdbError(
    "constraint violation",
    `${count} elements where ${type.min} to ${type.max === Infinity ? "unlimited" : type.max} are allowed: ` +
      `the column is a ${describeType(type)}`,
    json,
  );
};

/** The datum as JSON text (RFC 7047 §5.1 `<value>`). */
export const datumToText = (type: ColumnType, datum: Datum): string => {
  const { keys, values } = datum;
  const keyType = type.key.type;
  if (!values) {
    if (keys.length === 1) return atomToText(keyType, keys[0]);
    if (keys.length === 0) return '["set",[]]';
    let text = `["set",[${atomToText(keyType, keys[0])}`;
    for (let i = 1; i < keys.length; i++) text += `,${atomToText(keyType, keys[i])}`;
    return `${text}]]`;
  }
  const valueType = type.value!.type;
  let text = '["map",[';
  for (let i = 0; i < keys.length; i++)
    text += `${i ? "," : ""}[${atomToText(keyType, keys[i])},${atomToText(valueType, values[i])}]`;
  return `${text}]]`;
};

export const datumEquals = (a: Datum, b: Datum): boolean => {
  if (a === b) return true;
  const count = a.keys.length;
  if (count !== b.keys.length) return false;
  for (let i = 0; i < count; i++) if (a.keys[i] !== b.keys[i]) return false;
  if (a.values && b.values) {
    for (let i = 0; i < count; i++) if (a.values[i] !== b.values[i]) return false;
  }
  return true;
};

/** The place of `key` in `keys`, or -1. */
export const findKey = (keys: readonly Atom[], key: Atom): number => {
  let low = 0;
  let high = keys.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const order = compareAtoms(keys[middle], key);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
};

/** Is every element (a map: every pair) of `part` in `whole`? */
export const datumIncludes = (whole: Datum, part: Datum): boolean =>
  part.keys.every((key, index) => {
    const at = findKey(whole.keys, key);
    return at >= 0 && (!part.values || part.values[index] === whole.values?.[at]);
  });

export const datumExcludes = (whole: Datum, part: Datum): boolean =>
  part.keys.every((key, index) => {
    const at = findKey(whole.keys, key);
    return at < 0 || (part.values !== null && part.values[index] !== whole.values?.[at]);
  });

/** What turns `from` into `to` (update2 and the "_is_diff" records): a set's symmetric difference; of a map the
 *  removed pairs, the added ones and the changed ones with their new value. Single values have no difference:
 *  send `to` itself. diffDatum and applyDiff are each other's inverse. */
export const diffDatum = (from: Datum, to: Datum): Datum => {
  const keys: Atom[] = [];
  const values: Atom[] | null = to.values ? [] : null;
  let i = 0;
  let j = 0;
  while (i < from.keys.length || j < to.keys.length) {
    const order =
      i >= from.keys.length ? 1 : j >= to.keys.length ? -1 : compareAtoms(from.keys[i], to.keys[j]);
    if (order < 0) {
      keys.push(from.keys[i]);
      values?.push(from.values![i]);
      i++;
    } else if (order > 0) {
      keys.push(to.keys[j]);
      values?.push(to.values![j]);
      j++;
    } else {
      if (values && from.values![i] !== to.values![j]) {
        keys.push(to.keys[j]);
        values.push(to.values![j]);
      }
      i++;
      j++;
    }
  }
  return { keys, values };
};

/** The inverse of diffDatum: a pair of `diff` that `from` has goes, one with another value is set, others are added. */
export const applyDiff = (from: Datum, diff: Datum): Datum => {
  const keys: Atom[] = [];
  const values: Atom[] | null = from.values ? [] : null;
  let i = 0;
  let j = 0;
  while (i < from.keys.length || j < diff.keys.length) {
    const order =
      i >= from.keys.length ? 1 : j >= diff.keys.length ? -1 : compareAtoms(from.keys[i], diff.keys[j]);
    if (order < 0) {
      keys.push(from.keys[i]);
      values?.push(from.values![i]);
      i++;
    } else if (order > 0) {
      keys.push(diff.keys[j]);
      values?.push(diff.values![j]);
      j++;
    } else {
      if (values && from.values![i] !== diff.values![j]) {
        keys.push(diff.keys[j]);
        values.push(diff.values![j]);
      }
      i++;
      j++;
    }
  }
  return { keys, values };
};

/** Text that is equal exactly when the data are, for use as a Map key. */
export const datumKey = (datum: Datum): string => {
  if (datum.keys.length === 1 && !datum.values) return String(datum.keys[0]);
  const parts = datum.values ? datum.keys.map((key, i) => `${key}\0${datum.values![i]}`) : datum.keys;
  return `\0${datum.keys.length}\0${parts.join("\0")}`;
};
