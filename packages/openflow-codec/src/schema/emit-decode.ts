import type { Emitter } from "./compile.js";
import { BAD_LEN } from "./declare.js";
import {
  alignmentOf,
  type Choice,
  choiceOf,
  isFixed,
  isFixedStruct,
  lengthFieldOf,
  lengthOfFor,
  MAX_NESTING,
  minSize,
  structMin,
  takesRest,
} from "./layout.js";
import type { BodyNode, FieldNode, ListNode, StructNode, UnionNode } from "./nodes.js";
import { identifier, plus, readInt, Source } from "./source.js";

/** Source of the decoding functions. `d_x(b, at, end)` reads the struct that fills [at, end) and answers its
 *  value; `l_x` walks a list; `P` is where a struct ended that has no window of its own. */

/** The decoder of a struct. `open`: the window may go on after it. */
export function decodeStruct(e: Emitter, struct: StructNode, open: boolean): string {
  const name = e.name(struct);
  const out = new Source();
  const error = e.constant(struct.error ?? BAD_LEN);
  const min = structMin(struct);
  const fixed = isFixedStruct(struct);
  const entries = Object.entries(struct.fields);
  out.line(`function d_${name}${open ? "_open" : ""}(b, at, end) {`);
  const exact = fixed && !open;
  out.line(
    `if (end - at ${exact ? "!==" : "<"} ${min}) fail(${error}, at, end - at + " bytes, not ${exact ? "" : "at least "}${min}");`,
  );
  // Position: a base variable and a constant offset from it.
  let base = "at";
  let offset = 0;
  let checked = true;
  let tail = "closed" as "closed" | "rest";
  const members: string[] = struct.type === undefined ? [] : [`type: ${JSON.stringify(struct.type)}`];
  const at = (): string => plus(base, offset);
  /** Once the position moves, each run of fixed fields is checked by itself. */
  const need = (bytes: number): void => {
    if (!checked && bytes > 0) {
      out.line(
        `if (end - (${at()}) < ${bytes}) fail(${error}, ${at()}, "${bytes} bytes wanted, " + (end - (${at()})) + " left");`,
      );
    }
  };
  const moveTo = (expression: string): void => {
    if (base === "at") {
      out.line(`let p = ${expression};`);
      base = "p";
    } else {
      out.line(`p = ${expression};`);
    }
    offset = 0;
    checked = false;
  };

  entries.forEach(([key, field], index) => {
    const local = `f_${identifier(key)}`;
    const show = (expression: string): void => {
      out.line(`const ${local} = ${expression};`);
      members.push(`${key}: ${local}`);
    };
    if (isFixed(field)) {
      if (!checked && (index === 0 || !isFixed(entries[index - 1]![1]))) need(fixedRun(entries, index));
      fixedField(e, out, key, field, at(), show);
      offset += minSize(field);
      return;
    }
    if (takesRest(struct, key, field)) tail = "rest";
    switch (field.kind) {
      case "list": {
        const lengthField = lengthOfFor(struct, key);
        const nested = field.of.kind === "ref";
        if (nested) {
          out.line(
            `if (++D > ${MAX_NESTING}) fail(TOO_DEEP, ${at()}, "more than ${MAX_NESTING} deep", "${key}");`,
          );
        }
        if (lengthField === undefined) {
          show(`l_${listName(e, field)}(b, ${at()}, end, "${key}")`);
        } else {
          windowFor(lengthField, key);
          show(`l_${listName(e, field)}(b, ${at()}, ${at()} + f_${lengthField}, "${key}")`);
          moveTo(`${at()} + f_${lengthField}`);
        }
        if (nested) out.line("D--;");
        break;
      }
      case "oxmList": {
        const lengthField = lengthOfFor(struct, key);
        if (lengthField === undefined) {
          show(`d_oxms(b, ${at()}, end, "${key}")`);
        } else {
          windowFor(lengthField, key);
          show(`d_oxms(b, ${at()}, ${at()} + f_${lengthField}, "${key}")`);
          moveTo(`${at()} + f_${lengthField}`);
        }
        break;
      }
      case "padTail": {
        const lengthField = lengthOfFor(struct, field.of);
        out.line(`const skip_${key} = (8 - (f_${lengthField} & 7)) & 7;`);
        out.line(`if (end - (${at()}) < skip_${key}) fail(${error}, ${at()}, "padding is cut off");`);
        moveTo(`${at()} + skip_${key}`);
        break;
      }
      case "padUntil":
        moveTo(`Math.max(${at()}, at + ${field.size})`);
        out.line(`if (p > end) fail(${error}, at, "padding is cut off");`);
        break;
      case "array": {
        if (field.counted !== undefined) {
          out.line(
            `if (f_${field.counted} * ${field.of.size} > end - (${at()})) fail(${error}, ${at()}, "${key}: " + f_${field.counted} + " of them do not fit");`,
          );
          show(`r_ints(b, ${at()}, ${at()} + f_${field.counted} * ${field.of.size}, ${field.of.size})`);
          moveTo(`${at()} + f_${field.counted} * ${field.of.size}`);
        } else {
          if (field.of.size > 1) {
            out.line(
              `if ((end - (${at()})) % ${field.of.size} !== 0) fail(${error}, ${at()}, "${key}: not a multiple of ${field.of.size} bytes");`,
            );
          }
          show(`r_ints(b, ${at()}, end, ${field.of.size})`);
        }
        break;
      }
      case "rest":
        show(`copy_bytes(b, ${at()}, end)`);
        break;
      case "restText":
        show(`readText(b, ${at()}, end - (${at()}))`);
        break;
      case "match":
        show(`d_match(b, ${at()}, end, "${key}")`);
        if (lengthOfFor(struct, key) !== undefined) {
          const length = `f_${lengthOfFor(struct, key)}`;
          out.line(
            `if (${length} !== ${readInt(2, `${at()} + 2`)}) fail(${error}, ${at()}, "${key}: its length is not the " + ${length} + " stated before");`,
          );
        }
        moveTo("P");
        break;
      case "oxm":
        show(`d_one_oxm(b, ${at()}, end, "${key}", ${field.mask})`);
        moveTo("P");
        break;
      case "oxmIds":
        show(`d_oxm_ids(b, ${at()}, end, "${key}", ${error})`);
        break;
      case "oxmId":
        show(`d_oxm_id(b, ${at()}, end, "${key}", ${error})`);
        moveTo("P");
        break;
      case "optional": {
        out.line(`let ${local};`);
        members.push(`${key}: ${local}`);
        const isId = field.of.kind === "oxmId";
        moveTo(at());
        out.line(`if (f_${field.flag} & ${1 << field.bit}) {`);
        if (isId) {
          out.line(`${local} = d_oxm_id(b, p, end, "${key}", ${error});`);
          out.line("p = P;");
        } else {
          const size = minSize(field.of);
          out.line(`if (end - p < ${size}) fail(${error}, p, "${key} is cut off");`);
          out.line(`${local} = ${scalar(e, field.of, "p")};`);
          out.line(`p += ${size};`);
        }
        out.line("}");
        break;
      }
      case "variant":
        show(`d_${e.name(field.of)}(b, ${at()}, end, ${tagOfFor(struct, key)}, at)`);
        break;
      case "custom":
        show(`d_custom(b, ${at()}, end, "${key}", ${JSON.stringify(field.name)})`);
        break;
    }

    function windowFor(lengthField: string, what: string): void {
      out.line(
        `if (f_${lengthField} > end - (${at()})) fail(${error}, ${at()}, "${what}: " + f_${lengthField} + " bytes, of which only " + (end - (${at()})) + " are left");`,
      );
    }
  });
  if (open) {
    out.line(`P = ${at()};`);
  } else if (!fixed && tail === "closed") {
    const spare = struct.padTo ?? 1;
    out.line(
      `if (end - (${at()}) >= ${spare}) fail(${error}, ${at()}, (end - (${at()})) + " bytes too many");`,
    );
  }
  out.line(`return { ${members.join(", ")} };`);
  out.line("}");
  return out.toString();
}

const tagOfFor = (struct: StructNode, key: string): string =>
  `f_${Object.entries(struct.fields).find(([, field]) => field.kind === "tagOf" && field.of === key)![0]}`;

/** Bytes of the fixed fields from `index` up to the next of changing size. */
function fixedRun(entries: [string, FieldNode][], index: number): number {
  let size = 0;
  for (let i = index; i < entries.length && isFixed(entries[i]![1]); i++) size += minSize(entries[i]![1]);
  return size;
}

function fixedField(
  e: Emitter,
  out: Source,
  key: string,
  field: FieldNode,
  at: string,
  show: (expression: string) => void,
): void {
  switch (field.kind) {
    case "pad":
    case "tag":
    case "length":
      return;
    case "const":
      out.line(
        `if (${readInt(field.size, at)} !== ${field.value}) fail(${e.constant(field.error ?? BAD_LEN)}, ${at}, "${key} is not ${field.value}");`,
      );
      return;
    case "lengthOf":
    case "countOf":
    case "tagOf":
      out.line(`const f_${key} = ${readInt(field.size, at)};`);
      return;
    case "embed":
      show(`d_${e.name(field.of)}(b, ${at}, ${at} + ${structMin(field.of)})`);
      return;
    case "array":
      show(`r_ints(b, ${at}, ${at} + ${minSize(field)}, ${field.of.size})`);
      return;
    case "errorCode":
      out.line(`const n_${key} = ${readInt(2, at)};`);
      show(`${e.constant(field.codes)}[f_${field.of}]?.codes[n_${key}] ?? n_${key}`);
      return;
    default:
      show(scalar(e, field, at));
  }
}

/** An expression for a scalar's value. */
export function scalar(e: Emitter, field: FieldNode, at: string): string {
  switch (field.kind) {
    case "uint": {
      const number = readInt(field.size, at);
      return field.enum === undefined
        ? number
        : `named(${e.constant(e.namesByNumber(field.enum))}, ${number})`;
    }
    case "big":
      return `${field.size === 8 ? "read64" : "read128"}(b, ${at})`;
    case "mac":
      return `readMac(b, ${at})`;
    case "ipv4":
      return `readIpv4(b, ${at})`;
    case "ipv6":
      return `readIpv6(b, ${at})`;
    case "bytes":
      return `copy_bytes(b, ${at}, ${at} + ${field.size})`;
    case "text":
      return `readText(b, ${at}, ${field.size})`;
    default:
      throw new Error(`${field.kind} is not a scalar`);
  }
}

const listName = (e: Emitter, field: ListNode): string => e.name(e.target(field.of));

/** The walker of a list: the one place where a stated length becomes a window. Every length is checked
 *  against the minimum, the alignment and what is left, and every turn goes on by at least one byte. */
export function decodeList(e: Emitter, of: StructNode | UnionNode, isMemo = false): string {
  const name = e.name(of);
  const length = lengthFieldOf(of);
  const error = e.constant(of.error ?? BAD_LEN);
  const out = new Source();
  out.line(`function l_${name}(b, at, end, key) {`);
  if (isMemo) {
    out.line("const known = list_memo.find(b, at, end);");
    out.line("if (known !== undefined) return known;");
  }
  out.line("const list = [];");
  out.line("let p = at;");
  out.line("try {");
  out.line("while (p < end) {");
  if (length !== undefined) {
    const head = of.kind === "union" ? unionHead(of) : structMin(of);
    const { align, padded } = alignmentOf(of);
    out.line(`if (end - p < ${head}) fail(${error}, p, (end - p) + " bytes left, not ${head}");`);
    out.line(`const length = ${readInt(length.size, plus("p", length.offset))};`);
    out.line(`if (length < ${head}) fail(${error}, p, "length " + length + " is less than ${head}");`);
    out.line(
      `if (length > end - p) fail(${error}, p, "length " + length + " is more than the " + (end - p) + " bytes left");`,
    );
    if (align > 1 && !padded) {
      out.line(
        `if ((length & ${align - 1}) !== 0) fail(${error}, p, "length " + length + " is not a multiple of ${align}");`,
      );
    }
    out.line(`list.push(d_${name}(b, p, p + length));`);
    if (padded) {
      out.line(`p += (length + ${align - 1}) & ${-align};`);
      out.line(`if (p > end) fail(${error}, end, "padding is cut off");`);
    } else {
      out.line("p += length;");
    }
  } else if (of.kind === "struct" && isFixedStruct(of)) {
    const size = structMin(of);
    out.line(`if (end - p < ${size}) fail(${error}, p, (end - p) + " bytes left, not ${size}");`);
    out.line(`list.push(d_${name}(b, p, p + ${size}));`);
    out.line(`p += ${size};`);
  } else {
    out.line(`list.push(d_${name}_open(b, p, end));`);
    out.line("p = P;");
  }
  out.line("}");
  out.line("} catch (error) {");
  out.line('throw within(error, key + "[" + list.length + "]");');
  out.line("}");
  out.line(isMemo ? "return list_memo.keep(b, at, end, list);" : "return list;");
  out.line("}");
  return out.toString();
}

/** Bytes that hold a union's first tag and its length. */
function unionHead(union: UnionNode): number {
  const choice = choiceOf(union.members);
  const length = lengthFieldOf(union);
  return Math.max(choice.offset + choice.size, length === undefined ? 0 : length.offset + length.size);
}

/** The decoder of a union: chooses by tags, then reads the member in the same window. */
export function decodeUnion(e: Emitter, union: UnionNode): string {
  const out = new Source();
  out.line(`function d_${e.name(union)}(b, at, end) {`);
  const choice = choiceOf(union.members);
  out.line(
    `if (end - at < ${unionHead(union)}) fail(${e.constant(union.error)}, at, (end - at) + " bytes, not ${unionHead(union)}");`,
  );
  choose(e, out, choice, 0);
  if (union.fallback !== undefined) {
    out.line(`return d_${e.name(union.fallback)}(b, at, end);`);
  } else {
    out.line(
      `fail(${e.constant(union.unknown)}, ${plus("at", choice.offset)}, "unknown ${union.name.replace(/^ofp_/, "").replaceAll("_", " ")} type " + ${readInt(choice.size, plus("at", choice.offset))});`,
    );
  }
  out.line("}");
  return out.toString();
}

function choose(e: Emitter, out: Source, choice: Choice, depth: number): void {
  out.line(`switch (${readInt(choice.size, plus("at", choice.offset))}) {`);
  for (const [value, branch] of choice.cases) {
    out.line(`case ${value}: {`);
    if (branch.next !== undefined) {
      out.line(`if (end - at >= ${branch.next.offset + branch.next.size}) {`);
      choose(e, out, branch.next, depth + 1);
      out.line("}");
    }
    out.line(branch.member === undefined ? "break;" : `return d_${e.name(branch.member)}(b, at, end);`);
    out.line("}");
  }
  out.line("}");
}

/** The decoder of a body that a number in the parent chooses. */
export function decodeBody(e: Emitter, body: BodyNode): string {
  const out = new Source();
  out.line(`function d_${e.name(body)}(b, at, end, tag, parent) {`);
  out.line("try {");
  out.line("switch (tag) {");
  for (const [value, member] of Object.entries(body.members)) {
    out.line(`case ${Number(value)}: return d_${e.name(member)}(b, at, end);`);
  }
  out.line("}");
  out.line("} catch (error) {");
  out.line('throw within(error, "body");');
  out.line("}");
  out.line(`fail(${e.constant(body.unknown)}, parent + 8, "unknown multipart type " + tag);`);
  out.line("}");
  return out.toString();
}
