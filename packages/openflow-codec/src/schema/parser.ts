/// <reference path="./binary-parser.d.ts" />
import { readIpv4, readIpv6, readMac } from "@sluice/wire";
import { Parser } from "binary-parser";
import { scalar } from "./interpret.js";
import { headFields, structMin } from "./layout.js";
import type { FieldNode, StructNode } from "./nodes.js";

/** binary-parser parsers derived from declarations: one for the fixed head of each struct.
 *
 *  The parser knows nothing of windows (it takes lists over their end and bytes after the last field), so it
 *  is given exactly a head's bytes, whose length was checked before. The decoder proper reads heads with code
 *  of its own (docs/decisions/0002-codec.md has the measurements); these parsers are its independent check,
 *  in the tests, and read single structs where no whole message is at hand. */

/** A parser of a struct's fixed head: every field up to the first of changing size. */
export function headParser(struct: StructNode): Parser {
  let parser = new Parser().endianness("big");
  for (const [key, field] of headEntries(struct)) parser = add(parser, key, field);
  return parser;
}

export function headSize(struct: StructNode): number {
  return headFields(struct).reduce((size, { node }) => size + sizeOf(node), 0);
}

const sizeOf = (field: FieldNode): number =>
  field.kind === "embed"
    ? structMin(field.of)
    : field.kind === "array"
      ? (field.count ?? 0) * field.of.size
      : (field as { size: number }).size;

function headEntries(struct: StructNode): [string, FieldNode][] {
  return Object.entries(struct.fields).slice(0, headFields(struct).length);
}

const hiddenKinds = new Set(["pad", "const", "tag", "length", "lengthOf", "countOf", "tagOf"]);

function add(parser: Parser, key: string, field: FieldNode): Parser {
  if (hiddenKinds.has(field.kind)) return parser.seek(sizeOf(field));
  switch (field.kind) {
    case "uint":
      if (field.size === 3) return raw(parser, key, field);
      return integer(parser, key, field.size, (value) => {
        const names = field.enum?.values;
        if (names === undefined) return value;
        return Object.entries(names).find(([, number]) => number === value)?.[0] ?? value;
      });
    case "big":
      return field.size === 8 ? parser.uint64(key) : raw(parser, key, field);
    case "mac":
      return bytes(parser, key, 6, (b) => readMac(b, 0));
    case "ipv4":
      return bytes(parser, key, 4, (b) => readIpv4(b, 0));
    case "ipv6":
      return bytes(parser, key, 16, (b) => readIpv6(b, 0));
    case "text":
    case "bytes":
      return raw(parser, key, field);
    case "embed":
      return parser.nest(key, { type: headParser(field.of) });
    case "array":
      return parser.array(key, {
        type: ({ 1: "uint8", 2: "uint16be", 4: "uint32be" } as const)[field.of.size as 1 | 2 | 4],
        length: field.count ?? 0,
      });
    default:
      // An error code needs its type's name: the number alone here.
      return integer(parser, key, 2, (value) => value);
  }
}

function integer(parser: Parser, key: string, size: number, formatter: (value: number) => unknown): Parser {
  const options = { formatter };
  if (size === 1) return parser.uint8(key, options);
  if (size === 2) return parser.uint16(key, options);
  return parser.uint32(key, options);
}

const bytes = (parser: Parser, key: string, length: number, formatter: (b: Uint8Array) => unknown): Parser =>
  parser.buffer(key, { length, formatter });

const raw = (parser: Parser, key: string, field: Parameters<typeof scalar>[0]): Parser =>
  bytes(parser, key, field.size, (b) => scalar(field, Uint8Array.from(b), 0));
