import { fromHex, toHex } from "@sluice/wire";
import { MAX_NESTING, namedMembers } from "./layout.js";
import {
  type BodyNode,
  type FieldNode,
  isHidden,
  type ListNode,
  type Names,
  type RefNode,
  type ScalarNode,
  type StructNode,
  type UnionNode,
} from "./nodes.js";
import type { OxmField } from "./oxm-field.js";
import { oxmCodec } from "./oxm-wire.js";

/** Values as JSON, by walking the declaration: flag words as arrays of names (left over bits as "0x…"),
 *  reserved numbers by name, 64-bit values as strings, bytes as hex digits. `fromJson` takes all of that, and
 *  plain numbers. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export class JsonError extends Error {
  override readonly name = "JsonError";
}

type Nodes = StructNode | UnionNode | BodyNode;
type Values = Readonly<Record<string, unknown>>;

export interface JsonCodec {
  toJson(value: unknown): Json;
  fromJson(json: unknown): unknown;
}

export function jsonCodec(
  root: UnionNode,
  fields: readonly OxmField[],
  refs: ReadonlyMap<string, StructNode | UnionNode>,
): JsonCodec {
  const oxm = oxmCodec(fields);
  const header = new Uint8Array(8);
  function headerToJson(value: number): Json {
    if (value === 0 || value >>> 16 === 0xffff) return value === 0 ? 0 : hex(value);
    new DataView(header.buffer).setUint32(0, value);
    return oxm.readId(header, 0, 4).name;
  }
  function headerFromJson(json: string, path: string): number {
    const number = numberFromText(json);
    if (number !== undefined) return number;
    try {
      if (oxm.writeId(header, 0, json) === 4) return new DataView(header.buffer).getUint32(0);
    } catch {}
    throw refuse(path, json, "a field's name, with a header of 4 bytes");
  }

  const byName = new Map(fields.map((field) => [field.name, field]));
  const target = (node: StructNode | UnionNode | RefNode): StructNode | UnionNode =>
    node.kind === "ref" ? refs.get(node.name)! : node;

  /** The struct that a value's `type` tells. */
  function choose(node: Nodes, value: Values): StructNode | undefined {
    if (node.kind === "struct") return node;
    const members =
      node.kind === "union"
        ? namedMembers(node)
        : Object.values(node.members).flatMap((m) => (m.kind === "union" ? namedMembers(m) : [m]));
    const found = members.find((member) => member.type === value.type);
    return found ?? (node.kind === "union" && typeof value.type === "number" ? node.fallback : undefined);
  }

  function structToJson(node: Nodes, value: Values): Json {
    const struct = choose(node, value);
    if (struct === undefined) return value as never;
    const out: { [key: string]: Json } = {};
    if (struct.type !== undefined) out.type = struct.type;
    for (const [key, field] of Object.entries(struct.fields)) {
      const member = value[key];
      if (member !== undefined) out[key] = fieldToJson(field, member);
    }
    return out;
  }

  function fieldToJson(field: FieldNode, value: unknown): Json {
    switch (field.kind) {
      case "embed":
      case "variant":
        return structToJson(field.of, value as Values);
      case "list":
        return (value as Values[]).map((item) => structToJson(target(field.of), item));
      case "array":
        return (value as unknown[]).map((item) => scalarToJson(field.of, item));
      case "match":
      case "oxmList":
      case "oxm":
        return matchToJson(value as Values);
      case "optional":
        return fieldToJson(field.of, value);
      case "rest":
        return toHex(value as Uint8Array);
      case "uint":
        if (field.fmt === "header" && typeof value === "number") return headerToJson(value);
        return scalarToJson(field, value);
      case "big":
      case "mac":
      case "ipv4":
      case "ipv6":
      case "bytes":
      case "text":
        return scalarToJson(field, value);
      default:
        return value as Json;
    }
  }

  function matchToJson(match: Values): Json {
    const out: { [key: string]: Json } = {};
    for (const [name, value] of Object.entries(match)) {
      if (value === undefined) continue;
      const node = byName.get(name)?.value;
      const one = (v: unknown): Json => (node === undefined ? (v as Json) : scalarToJson(node, v));
      out[name] =
        typeof value === "object" && value !== null
          ? { value: one((value as Values).value), mask: plain((value as Values).mask) }
          : one(value);
    }
    return out;
  }

  function structFromJson(node: Nodes, json: unknown, path: string): unknown {
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw refuse(path, json, "an object");
    const given = json as Values;
    const struct = choose(node, given);
    if (struct === undefined) throw refuse(join(path, "type"), given.type, `a type of ${node.name}`);
    const out: Record<string, unknown> = {};
    if (struct.type !== undefined) out.type = struct.type;
    for (const key of Object.keys(given)) {
      const field = Object.hasOwn(struct.fields, key) ? struct.fields[key] : undefined;
      if (key === "type" && struct.type !== undefined) continue;
      if (field === undefined || isHidden(field)) {
        throw new JsonError(`${join(path, key)}: ${struct.type ?? struct.name} has no such field`);
      }
      if (given[key] !== undefined) out[key] = fieldFromJson(field, given[key], join(path, key));
    }
    return out;
  }

  function fieldFromJson(field: FieldNode, json: unknown, path: string): unknown {
    switch (field.kind) {
      case "embed":
      case "variant":
        return structFromJson(field.of, json, path);
      case "list":
        return listFromJson(field, items(json, path), path);
      case "array":
        return items(json, path).map((item, i) => scalarFromJson(field.of, item, `${path}[${i}]`));
      case "match":
      case "oxmList":
      case "oxm":
        return matchFromJson(json, path);
      case "optional":
        return fieldFromJson(field.of, json, path);
      case "rest":
        return bytesFromJson(json, path);
      case "uint":
        if (field.fmt === "header" && typeof json === "string") return headerFromJson(json, path);
        return scalarFromJson(field, json, path);
      case "big":
      case "mac":
      case "ipv4":
      case "ipv6":
      case "bytes":
      case "text":
        return scalarFromJson(field, json, path);
      default:
        return json;
    }
  }

  let depth = 0;
  function listFromJson(field: ListNode, json: readonly unknown[], path: string): unknown[] {
    if (field.of.kind === "ref" && depth >= MAX_NESTING)
      throw new JsonError(`${path.slice(-60)}: more than ${MAX_NESTING} deep`);
    if (field.of.kind === "ref") depth++;
    try {
      return json.map((item, i) => structFromJson(target(field.of), item, `${path}[${i}]`));
    } finally {
      if (field.of.kind === "ref") depth--;
    }
  }

  function matchFromJson(json: unknown, path: string): unknown {
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw refuse(path, json, "an object");
    const out: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(json)) {
      const node = byName.get(name)?.value;
      if (node === undefined && !name.startsWith("oxm:")) {
        throw new JsonError(`${join(path, name)}: no such match field`);
      }
      const one = (v: unknown, at: string): unknown => (node === undefined ? v : oxmScalar(node, v, at));
      out[name] =
        typeof value === "object" && value !== null && !Array.isArray(value)
          ? {
              value: one((value as Values).value, join(path, `${name}.value`)),
              mask: one((value as Values).mask, join(path, `${name}.mask`)),
            }
          : one(value, join(path, name));
    }
    return out;
  }

  return {
    toJson: (value) => structToJson(root, value as Values),
    fromJson: (json) => structFromJson(root, json, ""),
  };
}

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);
const refuse = (path: string, value: unknown, wanted: string): JsonError =>
  new JsonError(
    `${path === "" ? "" : `${path}: `}${value === undefined ? "nothing" : String(JSON.stringify(value)).slice(0, 60)} is not ${wanted}`,
  );

function items(json: unknown, path: string): unknown[] {
  if (!Array.isArray(json)) throw refuse(path, json, "a list");
  return json;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const plain = (value: unknown): Json =>
  typeof value === "bigint" ? hex(value) : value instanceof Uint8Array ? toHex(value) : (value as Json);

function scalarToJson(node: ScalarNode, value: unknown): Json {
  if (typeof value === "bigint")
    return node.kind === "big" && node.fmt === "hex" ? hex(value) : String(value);
  if (value instanceof Uint8Array) return toHex(value);
  if (node.kind !== "uint" || typeof value !== "number") return value as Json;
  if (node.flags !== undefined) return flagNames(node.flags, value);
  return (node.reserved && nameOf(node.reserved, value)) ?? value;
}

const nameOf = (names: Names, value: number): string | undefined =>
  Object.entries(names.values).find(([, number]) => number === value)?.[0];

function flagNames(names: Names, value: number): Json[] {
  const list: Json[] = [];
  let left = value;
  for (const [name, bit] of Object.entries(names.values)) {
    if ((value & bit) === bit) {
      list.push(name);
      left &= ~bit;
    }
  }
  if (left !== 0) list.push(hex(left >>> 0));
  return list;
}

function numberFromText(text: string): number | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : undefined;
}

function bytesFromJson(json: unknown, path: string): Uint8Array {
  if (json instanceof Uint8Array) return json;
  if (typeof json !== "string") throw refuse(path, json, "hex digits");
  try {
    return fromHex(json);
  } catch (error) {
    throw new JsonError(`${path}: ${(error as Error).message}`);
  }
}

/** In a match, raw bytes are hex digits in the value too. */
const oxmScalar = (node: ScalarNode, json: unknown, path: string): unknown =>
  node.kind === "bytes" ? json : scalarFromJson(node, json, path);

function scalarFromJson(node: ScalarNode, json: unknown, path: string): unknown {
  switch (node.kind) {
    case "bytes":
      return bytesFromJson(json, path);
    case "big": {
      if (typeof json === "bigint") return json;
      if (typeof json === "number" && Number.isSafeInteger(json) && json >= 0) return BigInt(json);
      if (typeof json === "string" && /^(0x[0-9a-f]+|\d+)$/i.test(json)) return BigInt(json);
      throw refuse(path, json, `a number of ${node.size * 8} bits, as a string`);
    }
    case "uint": {
      if (typeof json === "number") return json;
      if (Array.isArray(json) && node.flags !== undefined) {
        return json.reduce<number>((word, name) => (word | flagOf(node.flags!, name, path)) >>> 0, 0);
      }
      if (typeof json !== "string") throw refuse(path, json, "a number or a name");
      if (node.enum !== undefined && Object.hasOwn(node.enum.values, json)) return json;
      const number =
        (node.reserved !== undefined && Object.hasOwn(node.reserved.values, json)
          ? node.reserved.values[json]
          : undefined) ?? numberFromText(json);
      if (number === undefined) throw refuse(path, json, `a number${namesIn(node.enum ?? node.reserved)}`);
      return number;
    }
    default:
      return json;
  }
}

const namesIn = (names: Names | undefined): string =>
  names === undefined ? "" : ` or one of ${Object.keys(names.values).slice(0, 12).join(", ")}`;

function flagOf(names: Names, name: unknown, path: string): number {
  if (typeof name === "number") return name;
  const bit =
    typeof name === "string"
      ? Object.hasOwn(names.values, name)
        ? names.values[name]
        : numberFromText(name)
      : undefined;
  if (bit === undefined) throw refuse(path, name, `a flag: one of ${Object.keys(names.values).join(", ")}`);
  return bit;
}
