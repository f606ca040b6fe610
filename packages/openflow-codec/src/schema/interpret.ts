import { readIpv4, readIpv6, readMac } from "@sluice/wire";
import { read64, read128, readText } from "./bytes.js";
import { customCodecs } from "./custom.js";
import { BAD_LEN } from "./declare.js";
import { type ErrorRef, within } from "./error.js";
import {
  alignmentOf,
  type Choice,
  choiceOf,
  fieldEntries,
  isFixed,
  isFixedStruct,
  lengthFieldOf,
  lengthOfFor,
  MAX_NESTING,
  minSize,
  structMin,
} from "./layout.js";
import type {
  BodyNode,
  FieldNode,
  ListNode,
  OptionalNode,
  RefNode,
  ScalarNode,
  StructNode,
  UnionNode,
} from "./nodes.js";
import type { OxmField } from "./oxm-field.js";
import { BAD_OXM_LEN, oxmCodec } from "./oxm-wire.js";
import { fail, named, readInts, setFieldError, TOO_DEEP } from "./runtime.js";

/** Decodes by walking the declaration: slow and plain. It is what the compiled decoder must agree with, value
 *  for value and error for error (code, offset and path), and it needs no `new Function`. */

interface Cursor {
  p: number;
}

export function interpreter(
  root: UnionNode,
  fields: readonly OxmField[],
  refs: ReadonlyMap<string, StructNode | UnionNode>,
): (b: Uint8Array, at: number, end: number) => unknown {
  const oxm = oxmCodec(fields);
  let depth = 0;
  const target = (node: StructNode | UnionNode | RefNode): StructNode | UnionNode =>
    node.kind === "ref" ? refs.get(node.name)! : node;

  function any(node: StructNode | UnionNode, b: Uint8Array, at: number, end: number): unknown {
    return node.kind === "struct" ? struct(node, b, at, end).value : union(node, b, at, end);
  }

  function union(node: UnionNode, b: Uint8Array, at: number, end: number): unknown {
    const choice = choiceOf(node.members);
    const length = lengthFieldOf(node);
    const head = Math.max(
      choice.offset + choice.size,
      length === undefined ? 0 : length.offset + length.size,
    );
    if (end - at < head) fail(node.error, at, "too short");
    const member = choose(choice, b, at, end) ?? node.fallback;
    if (member === undefined) return fail(node.unknown, at + choice.offset, "unknown type");
    return struct(member, b, at, end).value;
  }

  function choose(choice: Choice, b: Uint8Array, at: number, end: number): StructNode | undefined {
    if (end - at < choice.offset + choice.size) return undefined;
    const branch = choice.cases.get(int(b, at + choice.offset, choice.size));
    if (branch === undefined) return undefined;
    return (branch.next === undefined ? undefined : choose(branch.next, b, at, end)) ?? branch.member;
  }

  function struct(
    node: StructNode,
    b: Uint8Array,
    at: number,
    end: number,
    open = false,
  ): { value: Record<string, unknown>; p: number } {
    const error = node.error ?? BAD_LEN;
    const min = structMin(node);
    if (end - at < min || (isFixedStruct(node) && !open && end - at !== min)) fail(error, at, "wrong size");
    const value: Record<string, unknown> = {};
    if (node.type !== undefined) value.type = node.type;
    const hidden: Record<string, number> = {};
    const cursor: Cursor = { p: at };
    const entries = fieldEntries(node);
    entries.forEach(([key, field], i) => {
      const startsRun = isFixed(field) && (i === 0 || !isFixed(entries[i - 1]![1]));
      if (startsRun) {
        let run = 0;
        for (let k = i; k < entries.length && isFixed(entries[k]![1]); k++) run += minSize(entries[k]![1]);
        if (end - cursor.p < run) fail(error, cursor.p, "cut off");
      }
      const member = one(node, key, field, b, at, end, cursor, value, hidden);
      if (member !== HIDDEN) value[key] = member;
    });
    if (!open && end - cursor.p >= (node.padTo ?? 1)) fail(error, cursor.p, "bytes too many");
    return { value, p: cursor.p };
  }

  function one(
    node: StructNode,
    key: string,
    field: FieldNode,
    b: Uint8Array,
    at: number,
    end: number,
    cursor: Cursor,
    value: Record<string, unknown>,
    hidden: Record<string, number>,
  ): unknown {
    const error = node.error ?? BAD_LEN;
    const p = cursor.p;
    const window = (what: string): number => {
      const lengthKey = lengthOfFor(node, what);
      if (lengthKey === undefined) return end;
      if (hidden[lengthKey]! > end - p) fail(error, p, "too long");
      return p + hidden[lengthKey]!;
    };
    switch (field.kind) {
      case "pad":
      case "tag":
      case "length":
        cursor.p += field.size;
        return HIDDEN;
      case "const":
        cursor.p += field.size;
        if (int(b, p, field.size) !== field.value) fail(field.error ?? BAD_LEN, p, "not the constant");
        return HIDDEN;
      case "lengthOf":
      case "countOf":
      case "tagOf":
        hidden[key] = int(b, p, field.size);
        cursor.p += field.size;
        return HIDDEN;
      case "padTail": {
        const size = (8 - (hidden[lengthOfFor(node, field.of)!]! & 7)) & 7;
        if (end - p < size) fail(error, p, "padding is cut off");
        cursor.p += size;
        return HIDDEN;
      }
      case "padUntil":
        cursor.p = Math.max(p, at + field.size);
        if (cursor.p > end) fail(error, at, "padding is cut off");
        return HIDDEN;
      case "embed":
        cursor.p += structMin(field.of);
        return struct(field.of, b, p, cursor.p).value;
      case "list":
        cursor.p = window(key);
        if (field.of.kind !== "ref") return list(field, b, p, cursor.p, key);
        if (++depth > MAX_NESTING) fail(TOO_DEEP, p, `more than ${MAX_NESTING} deep`, key);
        try {
          return list(field, b, p, cursor.p, key);
        } finally {
          depth--;
        }
      case "oxmList":
        cursor.p = window(key);
        return oxms(b, p, cursor.p, key);
      case "array": {
        const { size } = field.of;
        if (field.counted !== undefined && hidden[field.counted]! * size > end - p)
          fail(error, p, "too many");
        const n = field.count ?? (field.counted === undefined ? (end - p) / size : hidden[field.counted]!);
        if (!Number.isInteger(n)) fail(error, p, "not whole");
        cursor.p += n * size;
        return readInts(b, p, cursor.p, size);
      }
      case "rest":
        cursor.p = end;
        return b.slice(p, end);
      case "restText":
        cursor.p = end;
        return readText(b, p, end - p);
      case "match": {
        const value = match(b, end, key, cursor);
        const stated = lengthOfFor(node, key);
        if (stated !== undefined && hidden[stated] !== int(b, p + 2, 2)) fail(error, p, "lengths differ");
        return value;
      }
      case "oxm": {
        const into: Record<string, unknown> = {};
        try {
          cursor.p = oxm.read(b, p, end, into);
          if (!field.mask && b[p + 2]! & 1) fail(["OFPET_BAD_MATCH", "OFPBMC_BAD_MASK"], p, "takes no mask");
        } catch (caught) {
          throw within(setFieldError(caught), key);
        }
        return into;
      }
      case "oxmIds": {
        const names: string[] = [];
        while (cursor.p < end) names.push(oxmId(b, cursor, end, `${key}[${names.length}]`, error));
        return names;
      }
      case "oxmId":
        return oxmId(b, cursor, end, key, error);
      case "optional":
        return optional(field, key, b, end, cursor, value, error);
      case "variant":
        cursor.p = end;
        return body(field.of, b, p, end, hidden[tagKey(node, key)]!, at);
      case "errorCode": {
        const code = int(b, p, 2);
        cursor.p += 2;
        return field.codes[String(value[field.of])]?.codes[code] ?? code;
      }
      case "custom":
        cursor.p = end;
        try {
          return customCodecs[field.name].read(b, p, end, oxm);
        } catch (caught) {
          throw within(caught, key);
        }
      default:
        cursor.p += field.size;
        return scalar(field, b, p);
    }
  }

  function optional(
    field: OptionalNode,
    key: string,
    b: Uint8Array,
    end: number,
    cursor: Cursor,
    value: Record<string, unknown>,
    error: ErrorRef,
  ): unknown {
    if (!(Number(value[field.flag]) & (1 << field.bit))) return undefined;
    if (field.of.kind === "oxmId") return oxmId(b, cursor, end, key, error);
    if (end - cursor.p < field.of.size) fail(error, cursor.p, "cut off");
    cursor.p += field.of.size;
    return scalar(field.of, b, cursor.p - field.of.size);
  }

  function oxmId(b: Uint8Array, cursor: Cursor, end: number, key: string, error: ErrorRef): string {
    const left = end - cursor.p;
    if (left < 4 || (left < 8 && int(b, cursor.p, 2) === 0xffff)) fail(error, cursor.p, "cut off", key);
    const { name, next } = oxm.readId(b, cursor.p, end);
    cursor.p = next;
    return name;
  }

  function match(b: Uint8Array, end: number, key: string, cursor: Cursor): unknown {
    const at = cursor.p;
    if (end - at < 8) fail(BAD_OXM_LEN, at, "cut off", key);
    if (int(b, at, 2) !== 1) fail(["OFPET_BAD_MATCH", "OFPBMC_BAD_TYPE"], at, "not OFPMT_OXM", key);
    const length = int(b, at + 2, 2);
    cursor.p = at + Math.ceil(length / 8) * 8;
    if (length < 4 || cursor.p > end) fail(BAD_OXM_LEN, at, "wrong length", key);
    return oxms(b, at + 4, at + length, key);
  }

  function oxms(b: Uint8Array, at: number, end: number, key: string): unknown {
    const into: Record<string, unknown> = {};
    try {
      for (let p = at; p < end; ) p = oxm.read(b, p, end, into);
    } catch (caught) {
      throw within(caught, key);
    }
    return into;
  }

  function list(field: ListNode, b: Uint8Array, at: number, end: number, key: string): unknown[] {
    const of = target(field.of);
    const error = of.error ?? BAD_LEN;
    const length = lengthFieldOf(of);
    const out: unknown[] = [];
    try {
      for (let p = at; p < end; ) {
        if (length === undefined) {
          const item = of as StructNode;
          const size = structMin(item);
          const fixed = isFixedStruct(item);
          if (fixed && end - p < size) fail(error, p, "cut off");
          const read = struct(item, b, p, fixed ? p + size : end, !fixed);
          out.push(read.value);
          p = read.p;
          continue;
        }
        const choice = of.kind === "union" ? choiceOf(of.members) : undefined;
        const head =
          choice === undefined
            ? structMin(of as StructNode)
            : Math.max(choice.offset + choice.size, length.offset + length.size);
        if (end - p < head) fail(error, p, "cut off");
        const size = int(b, p + length.offset, length.size);
        const { align, padded } = alignmentOf(of);
        if (size < head || size > end - p || (!padded && size % align !== 0)) fail(error, p, "wrong length");
        out.push(any(of, b, p, p + size));
        p += padded ? Math.ceil(size / align) * align : size;
        if (p > end) fail(error, end, "padding is cut off");
      }
    } catch (caught) {
      throw within(caught, `${key}[${out.length}]`);
    }
    return out;
  }

  function body(
    node: BodyNode,
    b: Uint8Array,
    at: number,
    end: number,
    tag: number,
    parent: number,
  ): unknown {
    const member = node.members[tag];
    if (member === undefined) return fail(node.unknown, parent + 8, "unknown body");
    try {
      return any(member, b, at, end);
    } catch (caught) {
      throw within(caught, "body");
    }
  }

  return (b, at, end) => {
    depth = 0;
    return union(root, b, at, end);
  };
}

const HIDDEN = Symbol("hidden");

const tagKey = (node: StructNode, key: string): string =>
  Object.entries(node.fields).find(([, field]) => field.kind === "tagOf" && field.of === key)![0];

function int(b: Uint8Array, p: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + b[p + i]!;
  return value;
}

export function scalar(field: ScalarNode, b: Uint8Array, p: number): unknown {
  switch (field.kind) {
    case "uint": {
      const number = int(b, p, field.size);
      if (field.enum === undefined) return number;
      const names = Object.entries(field.enum.values).map(([name, value]) => [value, name]);
      return named(Object.fromEntries(names) as Record<number, string>, number);
    }
    case "big":
      return field.size === 8 ? read64(b, p) : read128(b, p);
    case "mac":
      return readMac(b, p);
    case "ipv4":
      return readIpv4(b, p);
    case "ipv6":
      return readIpv6(b, p);
    case "bytes":
      return b.slice(p, p + field.size);
    case "text":
      return readText(b, p, field.size);
  }
}
