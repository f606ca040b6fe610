import { decodeBody, decodeList, decodeStruct, decodeUnion } from "./emit-decode.js";
import { encodeBody, encodeList, encodeStruct, encodeUnion } from "./emit-encode.js";
import { decodeOxm, encodeOxm } from "./emit-oxm.js";
import { isFixedStruct, lengthFieldOf } from "./layout.js";
import { ListMemo } from "./list-memo.js";
import type { BodyNode, Names, RefNode, StructNode, UnionNode } from "./nodes.js";
import type { OxmField } from "./oxm-field.js";
import { createRuntime } from "./runtime.js";
import { identifier } from "./source.js";

/** The compiler: walks a declaration once and makes straight-line functions from it, through `new Function`.
 *  Only declared names and numbers reach the source, never a byte from the network. */

export interface Compiled {
  /** Reads the union member that fills [at, end). Throws OfDecodeError. */
  readonly decode: (b: Uint8Array, at: number, end: number) => unknown;
  /** Writes a value at `at`; answers its end, which may lie past the target's. Throws EncodeError. */
  readonly encode: (b: Uint8Array, at: number, value: unknown) => number;
  /** The same, with the fields of each match in an order in which what a field needs stands before it. */
  readonly encodeOrdered: (b: Uint8Array, at: number, value: unknown) => number;
  readonly source: string;
}

/** What the emitters share: names of functions, and constants that the source refers to by index. */
export class Emitter {
  readonly #refs: ReadonlyMap<string, StructNode | UnionNode>;
  readonly #names = new Map<object, string>();
  readonly #taken = new Set<string>();
  readonly #constants: unknown[] = [];
  readonly #constantNames = new Map<unknown, string>();
  readonly #namesByNumber = new Map<Names, Readonly<Record<number, string>>>();

  constructor(refs: ReadonlyMap<string, StructNode | UnionNode>) {
    this.#refs = refs;
  }

  name(node: StructNode | UnionNode | BodyNode): string {
    let name = this.#names.get(node);
    if (name === undefined) {
      const wish = identifier(node.name);
      name = wish;
      for (let i = 2; this.#taken.has(name); i++) name = `${wish}_${i}`;
      this.#taken.add(name);
      this.#names.set(node, name);
    }
    return name;
  }

  target(node: StructNode | UnionNode | RefNode): StructNode | UnionNode {
    if (node.kind !== "ref") return node;
    const target = this.#refs.get(node.name);
    if (target === undefined) throw new Error(`nothing is declared under ${node.name}`);
    return target;
  }

  /** The expression by which the source reaches a value. */
  constant(value: unknown): string {
    const key = Array.isArray(value) ? JSON.stringify(value) : value;
    let name = this.#constantNames.get(key);
    if (name === undefined) {
      name = `c${this.#constants.length}`;
      this.#constants.push(value);
      this.#constantNames.set(key, name);
    }
    return name;
  }

  get constants(): readonly unknown[] {
    return this.#constants;
  }

  namesByNumber(names: Names): Readonly<Record<number, string>> {
    let table = this.#namesByNumber.get(names);
    if (table === undefined) {
      table = Object.fromEntries(Object.entries(names.values).map(([name, value]) => [value, name]));
      this.#namesByNumber.set(names, table);
    }
    return table;
  }
}

/** Every struct, union, body and list that `root` reaches. */
function reach(e: Emitter, root: StructNode | UnionNode) {
  const structs = new Set<StructNode>();
  const unions = new Set<UnionNode>();
  const bodies = new Set<BodyNode>();
  const lists = new Set<StructNode | UnionNode>();
  const open = new Set<StructNode>();
  const visit = (node: StructNode | UnionNode | BodyNode): void => {
    if (node.kind === "struct") {
      if (structs.has(node)) return;
      structs.add(node);
      for (const field of Object.values(node.fields)) {
        if (field.kind === "embed" || field.kind === "variant") visit(field.of);
        if (field.kind !== "list") continue;
        const target = e.target(field.of);
        lists.add(target);
        if (target.kind === "struct" && lengthFieldOf(target) === undefined && !isFixedStruct(target)) {
          open.add(target);
        }
        visit(target);
      }
    } else if (node.kind === "union") {
      if (unions.has(node)) return;
      unions.add(node);
      node.members.forEach(visit);
      if (node.fallback !== undefined) visit(node.fallback);
    } else {
      if (bodies.has(node)) return;
      bodies.add(node);
      Object.values(node.members).forEach(visit);
    }
  };
  visit(root);
  return { structs, unions, bodies, lists, open };
}

/** How decoding may differ from the plain way. */
export interface CompileOptions {
  /** Reads the OXM fields of a match, [at, end), in the codec's place. */
  readonly readMatch?: (b: Uint8Array, at: number, end: number) => unknown;
  /** Lists of these are decoded once, and the same object each time that their bytes come again. */
  readonly memo?: StructNode | UnionNode;
}

export function compile(
  root: StructNode | UnionNode,
  fields: readonly OxmField[],
  refs: ReadonlyMap<string, StructNode | UnionNode> = new Map(),
  { readMatch, memo }: CompileOptions = {},
): Compiled {
  const e = new Emitter(refs);
  const { structs, unions, bodies, lists, open } = reach(e, root);
  const functions = [
    decodeOxm(e, fields),
    encodeOxm(e, fields),
    ...[...structs].flatMap((struct) => [decodeStruct(e, struct, open.has(struct)), encodeStruct(e, struct)]),
    ...[...unions].flatMap((union) => [decodeUnion(e, union), encodeUnion(e, union)]),
    ...[...bodies].flatMap((body) => [decodeBody(e, body), encodeBody(e, body)]),
    ...[...lists].flatMap((list) => [decodeList(e, list, list === memo), encodeList(e, list)]),
  ];
  const runtime = { ...createRuntime(fields), read_match: readMatch, list_memo: new ListMemo() };
  const helpers = Object.keys(runtime).join(", ");
  const constants = e.constants.map((_, i) => `c${i}`).join(", ");
  const source = [
    '"use strict";',
    `const { ${helpers} } = runtime;`,
    `const [${constants}] = constants;`,
    "let P = 0; // where the last part ended that has no window of its own",
    "let D = 0; // how deep in lists of their own kind",
    "let ORDERED = false; // whether a match's fields are to stand behind those that they need",
    MATCHES,
    ...functions,
    `function decode(b, at, end) { D = 0; return d_${e.name(root)}(b, at, end); }`,
    `function encode(b, at, value) { D = 0; return e_${e.name(root)}(b, at, value); }`,
    `function encodeOrdered(b, at, value) { ORDERED = true; try { return encode(b, at, value); } finally { ORDERED = false; } }`,
    "return { decode, encode, encodeOrdered };",
  ].join("\n\n");
  const made = new Function("runtime", "constants", source) as (
    runtime: object,
    constants: readonly unknown[],
  ) => Omit<Compiled, "source">;
  return { ...made(runtime, e.constants), source };
}

/** Matches and single OXM fields: what is around the emitted `d_oxm` and `e_oxm`. */
const MATCHES = `
function d_match(b, at, end, key) {
  if (end - at < 8) fail(MATCH_LEN, at, (end - at) + " bytes left, not 8", key);
  const type = (b[at] << 8) | b[at + 1];
  if (type !== 1) fail(MATCH_TYPE, at, "match type " + type + " is not OFPMT_OXM", key);
  const length = (b[at + 2] << 8) | b[at + 3];
  const padded = (length + 7) & ~7;
  if (length < 4) fail(MATCH_LEN, at, "length " + length + " is less than 4", key);
  if (padded > end - at) fail(MATCH_LEN, at, "length " + length + " with its padding is more than the " + (end - at) + " bytes left", key);
  const m = read_match === undefined ? d_oxms(b, at + 4, at + length, key) : read_match(b, at + 4, at + length);
  P = at + padded;
  return m;
}
// A plain object with room for eight members. V8 gives {} room for four, and what comes then a place elsewhere; for a
// constructor it goes by what the first few objects had.
function Match() {}
Match.prototype = Object.prototype;
for (let i = 0; i < 16; i++) for (let k = 0, m = new Match(); k < 8; k++) m["f" + k] = 0;

function d_oxms(b, at, end, key) {
  const m = new Match();
  try {
    for (let p = at; p < end; ) p = d_oxm(b, p, end, m);
  } catch (error) {
    throw within(error, key);
  }
  return m;
}
function d_one_oxm(b, at, end, key, mask) {
  const m = {};
  try {
    P = d_oxm(b, at, end, m);
    if (!mask && (b[at + 2] & 1)) refuse_mask(at);
  } catch (error) {
    throw within(set_field_error(error), key);
  }
  return m;
}
function d_oxm_ids(b, at, end, key, error) {
  const list = [];
  for (let p = at; p < end; ) {
    list.push(d_oxm_id(b, p, end, key + "[" + list.length + "]", error));
    p = P;
  }
  return list;
}
function d_oxm_id(b, at, end, key, ref) {
  const { name, next } = read_id(b, at, end, key, ref);
  P = next;
  return name;
}
function e_match(b, at, m, key) {
  b[at] = 0;
  b[at + 1] = 1;
  const end = m === undefined ? at + 4 : e_oxms(b, at + 4, m, key);
  const length = end - at;
  b[at + 2] = length >>> 8;
  b[at + 3] = length;
  return pad_to(b, at, end, 8);
}
// Whether all are fields of OFPXMC_OPENFLOW_BASIC, by their numbers: those that others need have the lower ones.
function rises(b, at, end) {
  for (let p = at, last = -1; p < end; p += 4 + b[p + 3]) {
    if (b[p] !== 0x80 || b[p + 1] !== 0 || b[p + 2] < last) return false;
    last = b[p + 2];
  }
  return true;
}
function e_oxms(b, at, m, key) {
  if (m === undefined) return at;
  if (typeof m !== "object" || m === null) bad(key, m, "an object of match fields");
  let p = at;
  try {
    for (const name in m) {
      const v = m[name];
      if (v !== undefined) p = e_oxm(b, p, name, v);
    }
  } catch (error) {
    throw within(error, key);
  }
  return ORDERED && !rises(b, at, p) && is_late(m) ? e_oxms(b, at, in_order(m), key) : p;
}
function e_one_oxm(b, at, m, key, mask) {
  if (typeof m !== "object" || m === null) bad(key, m, "an object with one match field");
  let p = at;
  try {
    for (const name in m) {
      const v = m[name];
      if (v === undefined) continue;
      if (p !== at) bad(name, v, "the only field here");
      if (!mask && typeof v === "object") bad(name, v, "a value without mask");
      p = e_oxm(b, p, name, v);
    }
  } catch (error) {
    throw within(error, key);
  }
  if (p === at) bad(key, m, "an object with one match field");
  return p;
}
function e_oxm_ids(b, at, list, key) {
  if (list === undefined) return at;
  if (!Array.isArray(list)) bad(key, list, "a list of field names");
  let p = at;
  for (let i = 0; i < list.length; i++) p = e_oxm_id(b, p, list[i], key + "[" + i + "]");
  return p;
}
function e_oxm_id(b, at, name, key) {
  try {
    return write_id(b, at, name);
  } catch (error) {
    throw within(error, key);
  }
}`;
