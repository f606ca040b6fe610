import { messageUnion, type OfMessage, ofErrors, oxmField } from "@sluice/openflow-codec";
import type { FieldNode, StructNode, UnionNode } from "@sluice/openflow-codec/schema";
import { actionUnion } from "../../../packages/openflow-codec/src/v13/actions.js";

/** A field of a message and where its bytes are. Names of numbers are given as numbers. */
export interface Leaf {
  readonly name: string;
  readonly path: string;
  readonly at: number;
  readonly size: number;
  readonly value: number | bigint | string | Uint8Array;
}

/** A number in a message that tells of a size: `at` is its place, `start` and `end` are where what it measures begins
 *  and what that may take at most ends. */
export interface LengthField {
  readonly kind: "length" | "lengthOf" | "countOf" | "match" | "oxm";
  /** The struct that declares it, and the name there: of a match or OXM field, the member that holds it. */
  readonly node: StructNode;
  readonly key: string;
  /** The path of what it measures. */
  readonly path: string;
  readonly at: number;
  readonly size: number;
  readonly start: number;
  readonly end: number;
  /** The union or struct of the list that the measured stands in; undefined for a message. */
  readonly of: StructNode | UnionNode | undefined;
  /** Whether a length other than the message's sets `end`. */
  readonly bounded: boolean;
  /** Names of the structs and unions around, the outermost first. */
  readonly within: readonly string[];
  /** The name of an OXM field. */
  readonly name?: string;
}

type Values = Readonly<Record<string, unknown>>;

/** Every length in a message, in the order of the wire. */
export function lengthsOf(bytes: Uint8Array, message: OfMessage): LengthField[] {
  const lengths: LengthField[] = [];
  const member = messageUnion.members.find(({ type }) => type === message.type)!;
  new Walk(bytes, [], lengths).struct(member, message as unknown as Values, 0, bytes.length, "");
  return lengths;
}

/** The fields of a decoded message in the order of the wire, hidden ones (types, versions) too. What the declarations
 *  say of sizes, and the lengths in the bytes, must lead exactly to the message's end. */
export function leavesOf(bytes: Uint8Array, message: OfMessage): Leaf[] {
  const leaves: Leaf[] = [];
  const member = messageUnion.members.find(({ type }) => type === message.type)!;
  const end = new Walk(bytes, leaves).struct(member, message as unknown as Values, 0, bytes.length, "");
  if (end !== bytes.length) throw new Error(`${message.type}: fields end at ${end} of ${bytes.length}`);
  return leaves;
}

const round8 = (size: number): number => (size + 7) & ~7;

/** What "oxm:0xCLASS:FIELD:0xEXPERIMENTER" and "header:0x…" stand for. */
function unnamed(name: string): { class: number; field: number; experimenter?: number } {
  const [kind, ...numbers] = name.split(":");
  const [first = 0, field = 0, experimenter] = numbers.map(Number);
  if (kind === "header") return { class: first >>> 16, field: (first >>> 9) & 0x7f };
  return { class: first, field, ...(experimenter === undefined ? {} : { experimenter }) };
}

class Walk {
  readonly #bytes: Uint8Array;
  readonly #leaves: Leaf[];

  readonly #lengths: LengthField[];
  readonly #within: string[] = ["ofp_message"];
  #bounded = false;

  constructor(bytes: Uint8Array, leaves: Leaf[], lengths: LengthField[] = []) {
    this.#bytes = bytes;
    this.#leaves = leaves;
    this.#lengths = lengths;
  }

  #length(field: Omit<LengthField, "bounded" | "within">): void {
    this.#lengths.push({ ...field, bounded: this.#bounded, within: [...this.#within] });
  }

  #inside<T>(name: string, bounded: boolean, walk: () => T): T {
    const before = this.#bounded;
    this.#within.push(name);
    this.#bounded ||= bounded;
    try {
      return walk();
    } finally {
      this.#within.pop();
      this.#bounded = before;
    }
  }

  #number(at: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + this.#bytes[at + i]!;
    return value;
  }

  #leaf(name: string, path: string, at: number, size: number, value: unknown): number {
    this.#leaves.push({ name, path, at, size, value: value as Leaf["value"] });
    return at + size;
  }

  /** Answers where the struct ends. */
  struct(
    node: StructNode,
    value: Values,
    start: number,
    window: number,
    path: string,
    of?: StructNode | UnionNode,
  ): number {
    let at = start;
    let end = window;
    let hasLength = false;
    const starts: Record<string, number> = {};
    const sizes: Record<string, number> = {};
    const measuring: Record<string, Omit<LengthField, "bounded" | "within" | "start">> = {};
    for (const [key, field] of Object.entries(node.fields)) {
      starts[key] = at;
      if (field.kind === "length") {
        hasLength = true;
        this.#length({
          kind: "length",
          node,
          key,
          path,
          at,
          size: field.size,
          start,
          end: window,
          of,
        });
        end = start + this.#number(at, field.size);
        at += field.size;
      } else if (field.kind === "lengthOf") {
        sizes[field.of] = this.#number(at, field.size);
        measuring[field.of] = { kind: "lengthOf", node, key, path, at, size: field.size, end, of };
        at += field.size;
      } else if (field.kind === "countOf") {
        measuring[field.of] = { kind: "countOf", node, key, path, at, size: field.size, end, of };
        at += field.size;
      } else if (field.kind === "padUntil") at = start + field.size;
      else if (field.kind === "padTail") at = starts[field.of]! + round8(at - starts[field.of]!);
      else {
        if (measuring[key] !== undefined) this.#length({ ...measuring[key], start: at });
        // A match has a length of its own.
        const limit = sizes[key] === undefined || field.kind === "match" ? end : at + sizes[key];
        const bounded = limit !== end || (hasLength && this.#within.length > 1);
        const inner = path === "" ? key : `${path}.${key}`;
        const from = at;
        at = this.#inside(node.name, bounded, () => this.#field(node, key, field, value, from, limit, inner));
      }
    }
    return hasLength ? end : at;
  }

  #item(node: StructNode | UnionNode, value: Values, at: number, window: number, path: string): number {
    if (node.kind === "struct") {
      const end = this.struct(node, value, at, window, path, node);
      return at + Math.ceil((end - at) / (node.align ?? 1)) * (node.align ?? 1);
    }
    const member = node.members.find(({ type }) => type === value.type) ?? node.fallback!;
    const end = this.#inside(node.name, false, () => this.struct(member, value, at, window, path, node));
    return at + Math.ceil((end - at) / node.align) * node.align;
  }

  #field(
    node: StructNode,
    key: string,
    field: FieldNode,
    value: Values,
    at: number,
    end: number,
    path: string,
  ): number {
    const held = value[key];
    switch (field.kind) {
      case "pad":
        return at + field.size;
      case "const":
      case "tag":
        return this.#leaf(key, path, at, field.size, field.value);
      case "tagOf": {
        const variant = this.#variant(field.of, value);
        return this.#leaf(key, path, at, field.size, variant ?? this.#number(at, field.size));
      }
      case "uint":
        return this.#leaf(key, path, at, field.size, field.enum?.values[held as string] ?? held);
      case "errorCode": {
        const codes = ofErrors[value[field.of] as keyof typeof ofErrors]?.codes as
          | readonly string[]
          | undefined;
        return this.#leaf(key, path, at, 2, typeof held === "string" ? codes!.indexOf(held) : held);
      }
      case "big":
      case "mac":
      case "ipv4":
      case "ipv6":
      case "bytes":
      case "text":
        return this.#leaf(key, path, at, field.size, held);
      case "rest":
        return this.#leaf(key, path, at, (held as Uint8Array).length, held);
      case "restText":
      case "custom":
        return end;
      case "embed":
        return this.struct(field.of, held as Values, at, end, path);
      case "list": {
        const of = field.of.kind === "ref" ? actionUnion : field.of;
        let next = at;
        for (const [i, one] of (held as Values[]).entries())
          next = this.#item(of, one, next, end, `${path}[${i}]`);
        return next;
      }
      case "array": {
        let next = at;
        for (const [i, one] of (held as unknown[]).entries())
          next = this.#leaf(key, `${path}[${i}]`, next, field.of.size, one);
        return next;
      }
      case "optional":
        return held === undefined ? at : this.#field(node, key, field.of, value, at, end, path);
      case "match": {
        this.#leaf("type", `${path}.type`, at, 2, 1);
        this.#length({ kind: "match", node, key, path, at: at + 2, size: 2, start: at, end, of: undefined });
        const matchEnd = at + this.#number(at + 2, 2);
        return (
          at +
          round8(
            this.#inside("match", true, () => this.#oxms(node, key, held as Values, at + 4, matchEnd, path)) -
              at,
          )
        );
      }
      case "oxmList":
      case "oxm":
        return this.#oxms(node, key, held as Values, at, end, path);
      case "oxmId":
        return this.#oxmHeader(held as string, at, path);
      case "oxmIds": {
        let next = at;
        for (const name of held as string[]) next = this.#oxmHeader(name, next, path);
        return next;
      }
      case "variant": {
        const body = held as Values;
        for (const of of Object.values(field.of.members)) {
          const among = of.kind === "struct" ? [of] : [...of.members, ...(of.fallback ? [of.fallback] : [])];
          const found = among.find(({ type }) => type === body.type);
          if (found !== undefined) return this.struct(found, body, at, end, path);
        }
        throw new Error(`${path} has no ${String(body.type)}`);
      }
      default:
        throw new Error(`${field.kind} has no walk`);
    }
  }

  #variant(of: string, value: Values): number | undefined {
    return typeof value[of] === "number" ? (value[of] as number) : undefined;
  }

  #oxmHeader(name: string, at: number, path: string): number {
    const { class: oxmClass, field, experimenter } = oxmField(name) ?? unnamed(name);
    this.#leaf("class", `${path}.${name}`, at, 2, oxmClass);
    this.#leaf("oxm.field", `${path}.${name}`, at + 2, 1, field);
    return experimenter === undefined
      ? at + 4
      : this.#leaf("experimenter", `${path}.${name}`, at + 4, 4, experimenter);
  }

  #oxms(node: StructNode, key: string, match: Values, start: number, limit: number, path: string): number {
    let at = start;
    for (const [name, held] of Object.entries(match)) {
      if (held === undefined) continue;
      const masked = typeof held === "object" && held !== null;
      const { value, mask } = masked ? (held as { value: unknown; mask: unknown }) : { value: held, mask: 0 };
      const end = at + 4 + this.#bytes[at + 3]!;
      this.#length({
        kind: "oxm",
        node,
        key,
        path,
        at: at + 3,
        size: 1,
        start: at,
        end: limit,
        of: undefined,
        name,
      });
      const first = this.#oxmHeader(name, at, path);
      this.#leaf("oxm.hm", `${path}.${name}`, at + 2, 1, masked ? 1 : 0);
      const size = (end - first) / (masked ? 2 : 1);
      this.#leaf("value", `${path}.${name}`, first, size, value);
      if (masked) this.#leaf("mask", `${path}.${name}`, first + size, size, mask);
      at = end;
    }
    return at;
  }
}
