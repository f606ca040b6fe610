import { checkBytes, decode, messageUnion, OfDecodeError, oxmField } from "@sluice/openflow-codec";
import type { ArrayNode, FieldNode, StructNode, UnionNode } from "@sluice/openflow-codec/schema";
import { toHex } from "@sluice/wire";
import { beforeAll, expect, test } from "vitest";
import { actionUnion } from "../../packages/openflow-codec/src/v13/actions.js";
import { type LengthField, lengthsOf } from "../support/codec/leaves.js";
import { allFixtures } from "./codec-fixtures.js";

/** Every length of every declared structure, too small, too large, misaligned and over the end of what it stands in:
 *  the error that §7.4.4 assigns, at the place where the length goes wrong. */

type Ref = readonly [type: string, code: string];

/** §7.4.4 by the innermost structure that the length belongs to. What has no code for lengths (a bucket has
 *  OFPGMFC_BAD_BUCKET) has its own; what is no part of any of them is the request's. */
const ASSIGNED: Readonly<Record<string, Ref>> = {
  ofp_message: ["OFPET_BAD_REQUEST", "OFPBRC_BAD_LEN"],
  ofp_instruction: ["OFPET_BAD_INSTRUCTION", "OFPBIC_BAD_LEN"],
  ofp_action: ["OFPET_BAD_ACTION", "OFPBAC_BAD_LEN"],
  ofp_bucket: ["OFPET_GROUP_MOD_FAILED", "OFPGMFC_BAD_BUCKET"],
  ofp_table_features: ["OFPET_TABLE_FEATURES_FAILED", "OFPTFFC_BAD_LEN"],
};
const MATCH: Ref = ["OFPET_BAD_MATCH", "OFPBMC_BAD_LEN"];
const SET_FIELD: Ref = ["OFPET_BAD_ACTION", "OFPBAC_BAD_SET_LEN"];

function assigned({ kind, within, node }: LengthField): Ref {
  if (kind === "match") return MATCH;
  if (kind === "oxm") return within.includes("ofp_action") ? SET_FIELD : MATCH;
  return [...within, node.name].reduce<Ref>((ref, name) => ASSIGNED[name] ?? ref, ASSIGNED.ofp_message!);
}

interface Case {
  readonly what: "too small" | "too large" | "misaligned" | "overrun" | "cut";
  readonly value: number;
  /** What goes wrong by it: the field itself, or one within. */
  readonly at: LengthField;
  readonly offset: number;
}

const leastOf = (struct: StructNode): number =>
  Object.values(struct.fields).reduce((size, field) => {
    if (field.kind === "padUntil") return Math.max(size, field.size);
    if (field.kind === "array") return size + (field.count ?? 0) * field.of.size;
    if (field.kind === "match") return size + 8;
    if (field.kind === "oxm" || field.kind === "oxmId") return size + 4;
    if (field.kind === "embed") return size + leastOf(field.of);
    return size + ("size" in field ? field.size : 0);
  }, 0);

/** Where the numbers end that say which member of a union a struct is. */
const tagsEnd = (struct: StructNode): number => {
  let [size, end] = [0, 0];
  for (const field of Object.values(struct.fields)) {
    if (!("size" in field)) break;
    size += field.size;
    if (field.kind === "tag") end = size;
  }
  return end;
};

const CHANGING = new Set(["list", "rest", "restText", "match", "oxm", "oxmId", "oxmIds", "oxmList"]);
const isFixed = (struct: StructNode): boolean =>
  Object.values(struct.fields).every(
    (field) =>
      !CHANGING.has(field.kind) &&
      !["optional", "custom", "padUntil", "padTail", "variant"].includes(field.kind) &&
      !(field.kind === "array" && field.count === undefined),
  );

const targetOf = (node: StructNode, key: string): FieldNode | undefined => {
  const field = node.fields[key];
  return field?.kind === "lengthOf" ? node.fields[field.of] : undefined;
};

/** Values of a length that cannot be, and where that must be found. */
function cases(field: LengthField, all: readonly LengthField[], bytes: Uint8Array): Case[] {
  return [...own(field, bytes), ...cut(field, all, bytes)].filter(
    ({ value }) => value !== statedBy(field, bytes) && value >= 0 && value < 256 ** field.size,
  );
}

const statedBy = ({ at, size }: LengthField, bytes: Uint8Array): number =>
  bytes.subarray(at, at + size).reduce((sum, byte) => sum * 256 + byte, 0);

/** Where what a field measures ends, by its own number. */
const endBy = (field: LengthField, bytes: Uint8Array): number =>
  field.start + statedBy(field, bytes) + (field.kind === "oxm" ? 4 : 0);

/** A length that ends amid the last of what is within. */
function cut(field: LengthField, all: readonly LengthField[], bytes: Uint8Array): Case[] {
  const ofMatch = targetOf(field.node, field.key)?.kind === "match";
  if (
    ofMatch ||
    field.kind === "oxm" ||
    field.kind === "countOf" ||
    (field.kind === "length" && field.of === undefined)
  )
    return [];
  const end = endBy(field, bytes);
  const last = all.find(
    (one) =>
      one.at > field.at &&
      (one.kind === "length" || one.kind === "oxm") &&
      one.start >= field.start &&
      endBy(one, bytes) === end,
  );
  const less = field.of?.kind === "union" && !field.of.padded && field.kind === "length" ? field.of.align : 1;
  if (last === undefined || end - last.start <= less) return [];
  return [{ what: "cut", value: statedBy(field, bytes) - less, at: last, offset: last.start }];
}

function own(field: LengthField, bytes: Uint8Array): Case[] {
  const { kind, start, end, at, of, node } = field;
  const room = end - start;
  const stated = statedBy(field, bytes);
  const all: Case[] = [];
  const add = (what: Case["what"], value: number, offset = start): void => {
    all.push({ what, value, at: field, offset });
  };
  if (kind === "length" && of === undefined) {
    // The message's own: anything but its size.
    for (const value of [0, 1, 7, 8, stated - 1]) add("too small", value, at);
    for (const value of [stated + 1, stated + 8, 0xffff]) add("too large", value, at);
    return all;
  }
  if (kind === "length") {
    const align = of?.kind === "union" && !of.padded ? of.align : 1;
    const least = leastOf(node);
    // One of Nicira's actions without a subtype is an experimenter's action that nobody knows, and whole.
    const known = (value: number): boolean => value < 4 || value >= tagsEnd(node);
    for (const value of [0, 1, 2, 3, Math.max(0, least - align)])
      if (value < least && known(value)) add("too small", value);
    for (const value of [room + align, room + 8 * align, 256 ** field.size - align]) add("too large", value);
    if (align > 1) {
      for (const value of [stated - 4, stated + 1, stated + 4, stated + align - 1])
        if (value % align !== 0 && value <= room) add("misaligned", value);
    }
    if (isFixed(node)) {
      add("too large", stated + align);
      if (known(stated - align)) add("too small", stated - align);
    }
    if (field.bounded) add("overrun", room + align);
    return all;
  }
  if (kind === "match") {
    for (const value of [0, 1, 3]) add("too small", value);
    for (const value of [room + 1, room + 8, 0xffff]) add("too large", value);
    if (field.bounded) add("overrun", room + 8);
    return all;
  }
  if (kind === "oxm") {
    const declared = oxmField(field.name!);
    const body = room - 4;
    if (declared !== undefined && declared.variable === undefined) {
      for (const value of [0, 1, stated - 1]) if (value < stated) add("too small", value);
      add("too large", stated + 1);
    } else if (declared?.variable !== undefined) add("too large", body + 1);
    for (const value of [body + 1, 255]) if (value > body) add("too large", value);
    if (field.bounded && body + 1 < 256) add("overrun", body + 1);
    return all;
  }
  if (kind === "countOf") {
    const counted = Object.values(node.fields).find(
      (one) => one.kind === "array" && one.counted === field.key,
    );
    const { size } = (counted as ArrayNode).of;
    for (const value of [Math.floor(room / size) + 1, 0xffff]) add("too large", value);
    if (field.bounded) add("overrun", Math.floor(room / size) + 1);
    return all;
  }
  for (const value of [room + 1, room + 8, 256 ** field.size - 1]) add("too large", value);
  // A match tells its length itself.
  if (targetOf(node, field.key)?.kind === "match")
    for (const value of [0, stated - 1]) add("too small", value);
  if (field.bounded) add("overrun", room + 8);
  return all;
}

function refusal(bytes: Uint8Array): OfDecodeError | undefined {
  try {
    decode(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof OfDecodeError) return error;
    throw error;
  }
}

const put = (bytes: Uint8Array, at: number, size: number, value: number): void => {
  for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[at + i] = rest;
};

/** The message with `value` in the length. For an overrun there are zeros after it, so that only what the length stands
 *  in ends too early. */
function changed(bytes: Uint8Array, field: LengthField, { what, value }: Case): Uint8Array {
  const more = what === "overrun" ? 64 : 0;
  const other = new Uint8Array(bytes.length + more);
  other.set(bytes);
  if (more > 0) put(other, 2, 2, other.length);
  put(other, field.at, field.size, value);
  return other;
}

const MEASURES = new Set(["length", "lengthOf", "countOf", "match", "oxm", "oxmList"]);
/** "STRUCT.field" of everything in the declaration that holds a length. */
function declaredLengths(): Map<FieldNode, string> {
  const found = new Map<FieldNode, string>();
  const done = new Set<object>();
  const visit = (node: StructNode | UnionNode): void => {
    if (done.has(node)) return;
    done.add(node);
    if (node.kind === "union") {
      for (const member of [...node.members, ...(node.fallback ? [node.fallback] : [])]) visit(member);
      return;
    }
    for (const [key, field] of Object.entries(node.fields)) {
      if (MEASURES.has(field.kind)) found.set(field, `${node.name}.${key}`);
      if (field.kind === "list") visit(field.of.kind === "ref" ? actionUnion : field.of);
      if (field.kind === "embed") visit(field.of);
      if (field.kind === "variant") for (const body of Object.values(field.of.members)) visit(body);
    }
  };
  visit(messageUnion);
  return found;
}

const done = new Map<string, Set<string>>();
const wrong = new Map<string, string>();
const counts: Record<string, number> = {};
/** Fewer would mean that the fixtures hold less, or that the walk over them sees less. */
const LEAST = { "too small": 12_000, "too large": 10_000, misaligned: 900, overrun: 1200, cut: 700 };

beforeAll(() => {
  for (const { file, name, bytes } of allFixtures()) {
    if (bytes[0] !== 4) continue;
    const fields = lengthsOf(bytes, decode(bytes));
    for (const field of fields) {
      const site = `${field.node.name}.${field.key} ${field.kind}`;
      const seen = done.get(site) ?? new Set();
      done.set(site, seen);
      for (const one of cases(field, fields, bytes)) {
        counts[one.what] = (counts[one.what] ?? 0) + 1;
        seen.add(one.what);
        const other = changed(bytes, field, one);
        checkBytes(other);
        const error = refusal(other);
        const [error_type, error_code] = assigned(one.at);
        const inPath =
          error?.path === one.at.path || (one.at.kind === "oxm" && error?.path.startsWith(one.at.path));
        if (
          error?.error_type === error_type &&
          error.error_code === error_code &&
          error.offset === one.offset &&
          inPath
        )
          continue;
        const got = error === undefined ? "decoded" : `${error.error_type} ${error.offset} ${error.message}`;
        const key = `${site} ${one.what}`;
        const where = `${one.value} at ${field.at} of ${file} ${name} ${toHex(other.subarray(0, 120))}`;
        if (!wrong.has(key))
          wrong.set(key, `${key} ${where}: wanted ${error_code} ${one.at.path} ${one.offset}, is ${got}`);
      }
    }
  }
});

test("gives the error that §7.4.4 assigns, with the path and the offset", () => {
  expect([...wrong.values()]).toEqual([]);
  for (const [what, least] of Object.entries(LEAST))
    expect([what, counts[what]! > least]).toEqual([what, true]);
});

test("is held by a fixture, and was too small and too large", () => {
  const missing = [...declaredLengths()].flatMap(([field, name]) => {
    if (field.kind === "oxmList") return done.has(`${name} oxm`) ? [] : [`${name} oxm`];
    const seen = done.get(`${name} ${field.kind}`);
    const wanted =
      field.kind === "lengthOf" || field.kind === "countOf" ? ["too large"] : ["too small", "too large"];
    return wanted.filter((what) => !seen?.has(what)).map((what) => `${name} ${field.kind} ${what}`);
  });
  expect(missing).toEqual([]);
});
