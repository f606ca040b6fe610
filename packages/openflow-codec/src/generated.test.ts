import fc from "fast-check";
import { expect, test } from "vitest";
import { checkBytes } from "./check.js";
import { decode, encode, fromJson, type OfMessage, type OfMessageInit, oxmFields, toJson } from "./index.js";
import {
  type FieldNode,
  type IntNode,
  isHidden,
  type ScalarNode,
  type StructNode,
  type UnionNode,
} from "./schema/nodes.js";
import { headParser, headSize } from "./schema/parser.js";
import { fromBits } from "./text/fields.js";
import { actionUnion } from "./v13/actions.js";
import { messageUnion } from "./v13/messages.js";

/** Values drawn from the declarations themselves: whatever the types allow survives the wire. */

type Arbitrary = fc.Arbitrary<unknown>;
type Values = Record<string, unknown>;

const bits = (count: number): fc.Arbitrary<bigint> => fc.bigInt({ min: 0n, max: (1n << BigInt(count)) - 1n });

/** A number without a name, or a name: what decode gives. */
const integer = (node: IntNode): Arbitrary => {
  const number = fc.integer({ min: 0, max: 256 ** node.size - 1 });
  if (node.enum === undefined) return number;
  const named = new Set(Object.values(node.enum.values));
  return fc.oneof(
    fc.constantFrom(...Object.keys(node.enum.values)),
    number.filter((value) => !named.has(value)),
  );
};

function scalar(node: ScalarNode): Arbitrary {
  switch (node.kind) {
    case "uint":
      return integer(node);
    case "big":
      return bits(node.size * 8);
    case "text":
      return fc
        .string({ maxLength: Math.min(node.size, 40), unit: "binary" })
        .filter(
          (text) =>
            !text.includes("\0") &&
            Buffer.from(text).toString() === text &&
            Buffer.byteLength(text) <= node.size,
        );
    case "bytes":
      return fc.uint8Array({ minLength: node.size, maxLength: node.size });
    default:
      return bits(node.size * 8).map((value) =>
        fromBits({ kind: node.kind, bytes: node.size } as never, value),
      );
  }
}

const fixedFields = oxmFields.filter((field) => field.variable === undefined);

const oxmEntry = (maskable: boolean): fc.Arbitrary<[string, unknown]> =>
  fc.constantFrom(...fixedFields).chain((field) => {
    const exact = bits(field.bits).map((value): [string, unknown] => [field.name, fromBits(field, value)]);
    if (!maskable || !field.maskable) return exact;
    const masked = fc
      .tuple(bits(field.bits), bits(field.bytes * 8))
      .map(([value, mask]): [string, unknown] => [
        field.name,
        { value: fromBits(field, value & mask), mask: fromBits(field, mask) },
      ]);
    return fc.oneof(exact, masked);
  });
const match: Arbitrary = fc
  .array(oxmEntry(true), { maxLength: 8 })
  .map((entries) => Object.fromEntries(entries));

const learnSpecs: Arbitrary = fc.array(
  fc.record({
    n_bits: fc.constant(16),
    src: fc.constant({ field: "reg0", ofs: 0 }),
    dst: fc.constant("output"),
  }),
  { maxLength: 2 },
);

function field(node: FieldNode, depth: number): Arbitrary {
  switch (node.kind) {
    case "embed":
      return struct(node.of, depth);
    case "list": {
      const of = node.of.kind === "ref" ? actionUnion : node.of;
      if (depth > 2) return fc.constant([]);
      return fc.array(of.kind === "union" ? union(of, depth + 1) : struct(of, depth + 1), { maxLength: 3 });
    }
    case "array":
      return fc.array(
        integer(node.of),
        node.count === undefined ? { maxLength: 4 } : { minLength: node.count, maxLength: node.count },
      );
    case "rest":
      // A multiple of 8 and no shorter: what is padded to 8 reads its padding back as data.
      return fc
        .integer({ min: 0, max: 3 })
        .chain((n) => fc.uint8Array({ minLength: n * 8, maxLength: n * 8 }));
    case "match":
    case "oxmList":
      return match;
    case "oxm":
      return oxmEntry(node.mask).map((entry) => Object.fromEntries([entry]));
    case "oxmIds":
      return fc.array(
        fc.constantFrom(...oxmFields).map(({ name }) => name),
        { maxLength: 4 },
      );
    case "oxmId":
      return fc.constantFrom(...fixedFields).map(({ name }) => name);
    case "variant":
      return fc.oneof(
        ...Object.values(node.of.members).map((member) =>
          member.kind === "union" ? union(member, depth) : struct(member, depth),
        ),
      );
    case "optional":
    case "errorCode":
      return fc.constant(undefined);
    case "custom":
      return learnSpecs;
    default:
      return scalar(node as ScalarNode);
  }
}

function struct(node: StructNode, depth: number): Arbitrary {
  const members: Record<string, Arbitrary> = {};
  for (const [key, one] of Object.entries(node.fields)) {
    if (isHidden(one) || one.kind === "optional") continue;
    const optionalBits = Object.values(node.fields).some(
      (other) => other.kind === "optional" && other.flag === key,
    );
    members[key] =
      one.kind === "errorCode"
        ? fc.constant(0xfffe)
        : optionalBits
          ? fc.constant(0)
          : key === "version"
            ? fc.constant(4)
            : field(one, depth);
  }
  return fc
    .record(members)
    .map((value) => (node.type === undefined ? value : { type: node.type, ...(value as object) }));
}

/** A number that no member has, for a fallback; members whose bytes another member would claim are left out. */
const union = (node: UnionNode, depth: number): Arbitrary => {
  const generic = new Set(["OFPAT_EXPERIMENTER", "OFPT_EXPERIMENTER", "OFPMP_EXPERIMENTER"]);
  const members = node.members.filter((member) => !generic.has(member.type ?? ""));
  return fc.oneof(...members.map((member) => struct(member, depth)));
};

/** Experimenters' data begins where note and rest end: only padding may follow, which `NXAST_NOTE` keeps. */
const withoutUndefined = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v instanceof Uint8Array ? [...v] : v)),
  );

const messages = messageUnion.members.filter((member) => member.type !== "OFPT_EXPERIMENTER");

test.each(messages.map((member) => [member.type, member] as const))(
  "%s: decode(encode(value)) is the value",
  (_type, member) => {
    fc.assert(
      fc.property(struct(member, 0), (value) => {
        const bytes = encode(value as OfMessageInit);
        const message = decode(bytes);
        const given = withoutUndefined(padNotes(value));
        expect(withoutUndefined(message)).toEqual(given);
        expect(withoutUndefined(fromJson(JSON.parse(JSON.stringify(toJson(message)))))).toEqual(given);
        checkBytes(bytes.slice());
      }),
      { numRuns: 40 },
    );
  },
);

/** Data that is padded to a multiple of 8 with its header comes back with the padding. */
function padNotes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(padNotes);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
  const out: Values = {};
  for (const [key, member] of Object.entries(value)) out[key] = padNotes(member);
  const head = (
    {
      NXAST_NOTE: ["note", 10],
      NXAST_DECAP: ["data", 16],
      OFPMBT_EXPERIMENTER: ["data", 16],
      OFPIT_EXPERIMENTER: ["data", 8],
    } as Readonly<Record<string, [string, number]>>
  )[String(out.type)];
  const [key, size] = head ?? ["", 0];
  if (key !== "") {
    const data = out[key] as Uint8Array;
    const padded = new Uint8Array(Math.ceil((data.length + size) / 8) * 8 - size);
    padded.set(data);
    out[key] = padded;
  }
  return out;
}

test("binary-parser, derived from the same declarations, reads the same fixed heads", () => {
  for (const member of messages) {
    const parser = headParser(member);
    const size = headSize(member);
    fc.assert(
      fc.property(struct(member, 0), (value) => {
        const bytes = encode(value as OfMessageInit);
        const message = decode(bytes) as OfMessage & Values;
        const head = withoutUndefined(parser.parse(bytes.slice(0, size))) as Values;
        const { error_code: _, ...others } = head;
        const known = withoutUndefined(message) as Values;
        for (const [key, read] of Object.entries(others))
          expect([member.type, key, read]).toEqual([member.type, key, known[key]]);
      }),
      { numRuns: 5 },
    );
  }
});
