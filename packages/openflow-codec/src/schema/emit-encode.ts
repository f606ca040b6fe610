import type { Emitter } from "./compile.js";
import { alignmentOf, lengthFieldOf, lengthOfFor, MAX_NESTING, minSize, namedMembers } from "./layout.js";
import type { AddressNode, BodyNode, FieldNode, IntNode, StructNode, UnionNode } from "./nodes.js";
import { identifier, plus, Source, writeInt } from "./source.js";

/** Source of the encoding functions. `e_x(b, at, v)` writes the value at `at` and answers where it ends; what
 *  lies past the target's end is dropped, and the caller sees it from the answer. Every value is checked:
 *  `bad` throws an EncodeError that names the field. */

export function encodeStruct(e: Emitter, struct: StructNode): string {
  const out = new Source();
  out.line(`function e_${e.name(struct)}(b, at, v) {`);
  if (Object.values(struct.fields).some((field) => !isHidden(field))) {
    out.line('if (typeof v !== "object" || v === null) bad("", v, "an object");');
  }
  let base = "at";
  let offset = 0;
  const at = (): string => plus(base, offset);
  const moveTo = (expression: string): void => {
    out.line(base === "at" ? `let p = ${expression};` : `p = ${expression};`);
    base = "p";
    offset = 0;
  };
  /** Where the lengths and counts stand that are known later. */
  const places = new Map<string, string>();
  const reserve = (key: string, size: number): void => {
    out.line(`const at_${key} = ${at()};`);
    places.set(key, `at_${key}`);
    offset += size;
  };

  for (const [key, field] of Object.entries(struct.fields)) {
    identifier(key);
    switch (field.kind) {
      case "const":
      case "tag":
        out.line(writeInt(field.size, at(), String(field.value)));
        offset += field.size;
        break;
      case "pad":
        for (let i = 0; i < field.size; i++) out.line(`b[${plus(base, offset + i)}] = 0;`);
        offset += field.size;
        break;
      case "padUntil":
        out.line(`zero(b, ${at()}, at + ${field.size});`);
        moveTo(`Math.max(${at()}, at + ${field.size})`);
        break;
      case "padTail":
        out.line(`const end_${key} = ${at()} + ((8 - ((${at()} - start_${field.of}) & 7)) & 7);`);
        out.line(`zero(b, ${at()}, end_${key});`);
        moveTo(`end_${key}`);
        break;
      case "length":
      case "lengthOf":
      case "countOf":
      case "tagOf":
        reserve(key, field.size);
        break;
      case "embed":
        encodeNested(out, key, `e_${e.name(field.of)}(b, ${at()}, v.${key});`);
        offset += minSize(field);
        break;
      case "list":
        out.line(`const start_${key} = ${at()};`);
        if (field.of.kind === "ref") {
          out.line(`if (++D > ${MAX_NESTING}) bad("${key}", v.${key}, "at most ${MAX_NESTING} deep");`);
        }
        moveTo(`el_${e.name(e.target(field.of))}(b, ${at()}, v.${key}, "${key}")`);
        if (field.of.kind === "ref") out.line("D--;");
        patchLength(key);
        break;
      case "match":
        out.line(`const start_${key} = ${at()};`);
        moveTo(`e_match(b, ${at()}, v.${key}, "${key}")`);
        copyMatchLength(key);
        break;
      case "oxmList":
        out.line(`const start_${key} = ${at()};`);
        moveTo(`e_oxms(b, ${at()}, v.${key}, "${key}")`);
        patchLength(key);
        break;
      case "oxm":
        moveTo(`e_one_oxm(b, ${at()}, v.${key}, "${key}", ${field.mask})`);
        break;
      case "oxmIds":
        moveTo(`e_oxm_ids(b, ${at()}, v.${key}, "${key}")`);
        break;
      case "oxmId":
        moveTo(`e_oxm_id(b, ${at()}, v.${key}, "${key}")`);
        break;
      case "array": {
        const count = field.count === undefined ? "-1" : String(field.count);
        const end = `w_ints(b, ${at()}, v.${key}, ${field.of.size}, ${count}, "${key}")`;
        if (field.counted !== undefined) {
          const place = places.get(field.counted)!;
          out.line(`const n_${key} = v.${key} === undefined ? 0 : v.${key}.length;`);
          out.line(writeInt(2, place, `n_${key}`));
        }
        if (field.count === undefined) {
          moveTo(end);
        } else {
          out.line(`${end};`);
          offset += minSize(field);
        }
        break;
      }
      case "rest":
        moveTo(`w_rest(b, ${at()}, v.${key}, "${key}")`);
        break;
      case "restText":
        moveTo(`w_rest_text(b, ${at()}, v.${key}, "${key}")`);
        break;
      case "optional":
        if (base === "at") moveTo(at());
        else if (offset > 0) moveTo(at());
        out.line(`if (v.${key} !== undefined) {`);
        if (field.of.kind === "oxmId") {
          out.line(`p = e_oxm_id(b, p, v.${key}, "${key}");`);
        } else {
          out.line(`const x = v.${key};`);
          writeScalar(e, out, key, field.of, "p");
          out.line(`p += ${field.of.size};`);
        }
        out.line("}");
        break;
      case "variant":
        moveTo(`e_${e.name(field.of)}(b, ${at()}, v.${key}, ${places.get(tagOfName(struct, key))!})`);
        break;
      case "custom":
        moveTo(`e_custom(b, ${at()}, v.${key}, "${key}", ${JSON.stringify(field.name)})`);
        break;
      case "errorCode": {
        out.line(`let x_${key} = v.${key};`);
        out.line(
          `if (typeof x_${key} === "string") x_${key} = error_codes(${e.constant(field.codes)}, v.${field.of}, x_${key}, "${key}");`,
        );
        out.line(`else if ((x_${key} & 0xffff) !== x_${key}) bad("${key}", x_${key}, "an error code");`);
        out.line(writeInt(2, at(), `x_${key}`));
        offset += 2;
        break;
      }
      default: {
        const bits = optionalBits(struct, key);
        out.line("{");
        out.line(`let x = v.${key};`);
        if ("default" in field && field.default !== undefined) {
          out.line(`if (x === undefined) x = ${literal(field.default)};`);
        }
        if (bits !== "") out.line(`x = flag_bits(x, ${bits}, "${key}");`);
        writeScalar(e, out, key, field, at());
        out.line("}");
        offset += minSize(field);
      }
    }
  }
  const length = lengthFieldOf(struct);
  const padTo = struct.padTo;
  if (padTo !== undefined && (base === "p" || offset % padTo !== 0)) {
    moveTo(`pad_to(b, at, ${at()}, ${padTo})`);
  }
  if (length !== undefined) {
    if (length.size === 1) out.line(`if (${at()} - at > 255) bad("", v, "at most 255 bytes long");`);
    out.line(`const size = ${base === "at" ? String(offset) : `${at()} - at`};`);
    out.line(writeInt(length.size, plus("at", length.offset), "size"));
  }
  out.line(`return ${at()};`);
  out.line("}");
  return out.toString();

  /** A match says its own length; where a field before it repeats that, it is without the padding too. */
  function copyMatchLength(key: string): void {
    const lengthKey = lengthOfFor(struct, key);
    if (lengthKey === undefined) return;
    out.line(`const size_${key} = (b[start_${key} + 2] << 8) | b[start_${key} + 3];`);
    out.line(writeInt(2, places.get(lengthKey)!, `size_${key}`));
  }

  function patchLength(key: string): void {
    const lengthKey = lengthOfFor(struct, key);
    if (lengthKey === undefined) return;
    const size = (struct.fields[lengthKey] as { size: number }).size;
    out.line(`const size_${key} = p - start_${key};`);
    out.line(writeInt(size, places.get(lengthKey)!, `size_${key}`));
  }
}

const isHidden = (field: FieldNode): boolean =>
  ["pad", "padUntil", "padTail", "const", "tag", "length", "lengthOf", "countOf", "tagOf"].includes(
    field.kind,
  );

const tagOfName = (struct: StructNode, key: string): string =>
  Object.entries(struct.fields).find(([, field]) => field.kind === "tagOf" && field.of === key)![0];

/** The bits of a flag word that say which optional fields are there: [present, bit] pairs. */
function optionalBits(struct: StructNode, flag: string): string {
  const pairs = Object.entries(struct.fields)
    .filter(([, field]) => field.kind === "optional" && field.flag === flag)
    .map(([key, field]) => `[v.${key} !== undefined, ${1 << (field as { bit: number }).bit}]`);
  return pairs.length === 0 ? "" : `[${pairs.join(", ")}]`;
}

function encodeNested(out: Source, key: string, statement: string): void {
  out.line("try {");
  out.line(statement);
  out.line("} catch (error) {");
  out.line(`throw within(error, "${key}");`);
  out.line("}");
}

const literal = (value: unknown): string => (typeof value === "bigint" ? `${value}n` : JSON.stringify(value));

/** Statements that check `x` and store it. `x` may be assigned. */
function writeScalar(e: Emitter, out: Source, key: string, field: FieldNode, at: string): void {
  switch (field.kind) {
    case "uint":
      writeIntField(e, out, key, field, at);
      return;
    case "big":
      out.line(
        `if (!${field.size === 8 ? "write64" : "write128"}(b, ${at}, x)) bad("${key}", x, "a bigint of ${field.size * 8} bits");`,
      );
      return;
    case "mac":
    case "ipv4":
    case "ipv6":
      writeAddress(out, key, field, at);
      return;
    case "bytes":
      out.line(
        `if (!(x instanceof Uint8Array) || x.length !== ${field.size}) bad("${key}", x, "${field.size} bytes");`,
      );
      out.line(`write_bytes(b, ${at}, x);`);
      return;
    case "text":
      out.line(
        `if (!writeText(b, ${at}, ${field.size}, x)) bad("${key}", x, "a string of at most ${field.size} bytes, without NUL");`,
      );
      return;
    default:
      throw new Error(`${field.kind} is not a scalar`);
  }
}

const MAX: Readonly<Record<number, string>> = { 1: "0xff", 2: "0xffff", 3: "0xffffff" };

function writeIntField(e: Emitter, out: Source, key: string, field: IntNode, at: string): void {
  const max = 256 ** field.size - 1;
  const check = field.size === 4 ? "(x >>> 0) !== x" : `(x & ${MAX[field.size]}) !== x`;
  if (field.enum !== undefined) {
    const values = e.constant(new Map(Object.entries(field.enum.values)));
    out.line(`if (typeof x === "string") {`);
    out.line(`const n = ${values}.get(x);`);
    out.line(
      `if (n === undefined) bad("${key}", x, ${JSON.stringify(`one of ${oneOf(field.enum.values)}`)});`,
    );
    out.line("x = n;");
    out.line(`} else if (${check}) bad("${key}", x, "a name or a number from 0 to ${max}");`);
  } else {
    out.line(`if (${check}) bad("${key}", x, "a number from 0 to ${max}");`);
  }
  out.line(writeInt(field.size, at, "x"));
}

const oneOf = (values: Readonly<Record<string, number>>): string => {
  const all = Object.keys(values);
  return all.length > 8 ? `${all.slice(0, 8).join(", ")}, …` : all.join(", ");
};

const ADDRESS = {
  mac: ["writeMacText", 'a MAC address such as \\"00:00:00:00:00:01\\"'],
  ipv4: ["writeIpv4Text", 'an IPv4 address such as \\"10.0.0.1\\"'],
  ipv6: ["writeIpv6Text", 'an IPv6 address such as \\"fe80::1\\"'],
} as const;

function writeAddress(out: Source, key: string, field: AddressNode, at: string): void {
  const [write, what] = ADDRESS[field.kind];
  out.line(`if (!${write}(b, ${at}, x)) bad("${key}", x, "${what}");`);
}

export function encodeList(e: Emitter, of: StructNode | UnionNode): string {
  const name = e.name(of);
  const out = new Source();
  out.line(`function el_${name}(b, at, list, key) {`);
  out.line("if (list === undefined) return at;");
  out.line('if (!Array.isArray(list)) bad(key, list, "a list");');
  out.line("let p = at;");
  out.line("let i = 0;");
  out.line("try {");
  out.line("for (; i < list.length; i++) {");
  const { align, padded } = alignmentOf(of);
  if (padded) {
    out.line(`const end = e_${name}(b, p, list[i]);`);
    out.line(`const next = p + ((end - p + ${align - 1}) & ${-align});`);
    out.line("zero(b, end, next);");
    out.line("p = next;");
  } else {
    out.line(`p = e_${name}(b, p, list[i]);`);
  }
  out.line("}");
  out.line("} catch (error) {");
  out.line('throw within(error, key + "[" + i + "]");');
  out.line("}");
  out.line("return p;");
  out.line("}");
  return out.toString();
}

export function encodeUnion(e: Emitter, union: UnionNode): string {
  const out = new Source();
  const members = namedMembers(union);
  const index = e.constant(new Map(members.map((member, i) => [member.type, i])));
  out.line(`function e_${e.name(union)}(b, at, v) {`);
  out.line('if (typeof v !== "object" || v === null) bad("", v, "an object");');
  out.line(`switch (${index}.get(v.type)) {`);
  members.forEach((member, i) => {
    out.line(`case ${i}: return e_${e.name(member)}(b, at, v);`);
  });
  out.line("}");
  if (union.fallback !== undefined && union.fallback.type === undefined) {
    out.line(`if (typeof v.type === "number") return e_${e.name(union.fallback)}(b, at, v);`);
  }
  out.line(`bad("type", v.type, "a type of ${union.name}");`);
  out.line("}");
  return out.toString();
}

/** Writes a body, and its number where the parent keeps it. */
export function encodeBody(e: Emitter, body: BodyNode): string {
  const out = new Source();
  const leaves = Object.entries(body.members).flatMap(([code, member]) =>
    (member.kind === "union" ? namedMembers(member) : [member]).map((leaf) => ({ code: Number(code), leaf })),
  );
  const index = e.constant(new Map(leaves.map(({ leaf }, i) => [leaf.type, i])));
  out.line(`function e_${e.name(body)}(b, at, v, place) {`);
  out.line("try {");
  out.line('if (typeof v !== "object" || v === null) bad("", v, "an object");');
  out.line(`switch (${index}.get(v.type)) {`);
  leaves.forEach(({ code, leaf }, i) => {
    out.line(`case ${i}: ${writeInt(2, "place", String(code))} return e_${e.name(leaf)}(b, at, v);`);
  });
  out.line("}");
  out.line(`bad("type", v.type, "a multipart type");`);
  out.line("} catch (error) {");
  out.line('throw within(error, "body");');
  out.line("}");
  out.line("}");
  return out.toString();
}
