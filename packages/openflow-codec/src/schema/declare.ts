import type { ErrorRef } from "./error.js";
import type {
  AddressNode,
  ArrayNode,
  BigNode,
  BodyNode,
  BytesNode,
  ConstNode,
  CountOfNode,
  CustomNode,
  EmbedNode,
  ErrorCodeNode,
  FieldNode,
  IntNode,
  IntSize,
  LengthNode,
  LengthOfNode,
  ListNode,
  Names,
  OptionalNode,
  OxmIdNode,
  OxmIdsNode,
  PadNode,
  PadTailNode,
  PadUntilNode,
  RestNode,
  RestTextNode,
  StructNode,
  StructOptions,
  TagNode,
  TagOfNode,
  TextNode,
  UnionNode,
  VariantNode,
} from "./nodes.js";

/** The declaration language: the words that make nodes.
 *
 *  A struct's fields stand in wire order. Field names are the specification's. The type that a declaration
 *  stands for is worked out by `Infer` (what decode gives) and `Init` (what encode takes: fields with a default
 *  may be left out), from the `~value` and `~init` members that exist in types only. */

/** A node with the types of its value: `V` as decoded, `I` as given to encode, `O` whether it may be left out. */
export type Typed<N, V, I = V, O extends boolean = false> = N & {
  readonly "~value": V;
  readonly "~init": I;
  readonly "~optional": O;
};

// Freezing is deep because options are written in place.
function node<T>(data: unknown): T {
  if (typeof data === "object" && data !== null && !(data instanceof Uint8Array)) {
    for (const member of Object.values(data)) if (!Object.isFrozen(member)) node(member);
    Object.freeze(data);
  }
  return data as T;
}

export const BAD_LEN: ErrorRef = ["OFPET_BAD_REQUEST", "OFPBRC_BAD_LEN"];

// ---- scalars

interface Options<V> {
  readonly default?: V;
  readonly doc?: string;
  readonly fmt?: "hex" | "header";
  readonly flags?: Names;
  readonly reserved?: Names;
}
type HasDefault<O> = O extends { readonly default: unknown } ? true : false;

const int =
  (size: IntSize) =>
  <const O extends Options<number> = Record<never, never>>(
    options?: O,
  ): Typed<IntNode, number, number, HasDefault<O>> =>
    node({ kind: "uint", size, ...options });

export const u8 = int(1);
export const u16 = int(2);
export const u24 = int(3);
export const u32 = int(4);

const big =
  (size: 8 | 16) =>
  <const O extends Options<bigint> = Record<never, never>>(
    options?: O,
  ): Typed<BigNode, bigint, bigint, HasDefault<O>> =>
    node({ kind: "big", size, ...options });

export const u64 = big(8);
export const u128 = big(16);

const address =
  (kind: AddressNode["kind"], size: AddressNode["size"]) =>
  <const O extends Options<string> = Record<never, never>>(
    options?: O,
  ): Typed<AddressNode, string, string, HasDefault<O>> =>
    node({ kind, size, ...options });

export const mac = address("mac", 6);
export const ipv4 = address("ipv4", 4);
export const ipv6 = address("ipv6", 16);

export const bytes = (size: number): Typed<BytesNode, Uint8Array> => node({ kind: "bytes", size });
export const text = (size: number): Typed<TextNode, string, string, true> =>
  node({ kind: "text", size, default: "" });

/** Named numbers. Values decode to the name, and to the number when it has none. */
export function enumeration<
  const V extends Readonly<Record<string, number>>,
  const D extends string | undefined = undefined,
>(
  name: string,
  base: IntNode,
  values: V,
  fallback?: D,
): Typed<IntNode, (keyof V & string) | number, (keyof V & string) | number, D extends string ? true : false> {
  const preset = fallback === undefined ? {} : { default: fallback };
  return node({ kind: "uint", size: base.size, ...preset, enum: { name, values } });
}

/** A flag word: a number whose bits have names. 0 when left out. */
export const flags = (size: 1 | 2 | 4, names: Names): Typed<IntNode, number, number, true> =>
  node({ kind: "uint", size, default: 0, flags: names });

export const names = <const V extends Readonly<Record<string, number>>>(
  name: string,
  values: V,
): { readonly name: string; readonly values: V } => node({ name, values });

// ---- what is on the wire and not in the value

export const pad = (size: number): PadNode => node({ kind: "pad", size });
export const constant = (size: IntSize, value: number, error?: ErrorRef): ConstNode =>
  node({ kind: "const", size, value, ...(error ? { error } : {}) });
export const tag = (size: IntSize, value: number): TagNode => node({ kind: "tag", size, value });
export const length = (size: 1 | 2 = 2): LengthNode => node({ kind: "length", size });
export const countOf = (of: string): CountOfNode => node({ kind: "countOf", size: 2, of });
export const padUntil = (size: number): PadUntilNode => node({ kind: "padUntil", size });
export const lengthOf = (size: 1 | 2 | 4, of: string): LengthOfNode => node({ kind: "lengthOf", size, of });
export const padTail = (of: string): PadTailNode => node({ kind: "padTail", of });
export const tagOf = (of: string): TagOfNode => node({ kind: "tagOf", size: 2, of });

// ---- compound fields

type Item = { readonly "~value": unknown; readonly "~init": unknown };

export const embed = <const S extends StructNode & Item>(
  of: S,
): Typed<EmbedNode, S["~value"], S["~init"], false> => node({ kind: "embed", of });

export const list = <const S extends (StructNode | UnionNode) & Item>(
  of: S,
): Typed<ListNode, S["~value"][], readonly S["~init"][], true> => node({ kind: "list", of });

/** Arrays of what an interface `B` holds as `value` and `init`. Interfaces, so that TypeScript looks inside
 *  only when asked to: recursive declarations need that. */
export interface ValueList<B> extends Array<B extends { value: infer V } ? V : never> {}
export interface InitList<B> extends ReadonlyArray<B extends { init: infer I } ? I : never> {}

/** A list of what is declared later under `name`. */
export const listOfRef = <B>(name: string): Typed<ListNode, ValueList<B>, InitList<B>, true> =>
  node({ kind: "list", of: { kind: "ref", name } });

export const array = <T = number>(
  of: Typed<IntNode, T, T, boolean>,
  count?: number,
): Typed<ArrayNode, T[], readonly T[], true> =>
  node({ kind: "array", of, ...(count === undefined ? {} : { count }) });

export const countedArray = <T = number>(
  of: Typed<IntNode, T, T, boolean>,
  counted: string,
): Typed<ArrayNode, T[], readonly T[], true> => node({ kind: "array", of, counted });

export const optional = <V, I>(
  of: Typed<IntNode | AddressNode | OxmIdNode, V, I, boolean>,
  flag: string,
  bit: number,
): Typed<OptionalNode, V | undefined, I | undefined, true> => node({ kind: "optional", of, flag, bit });

export const errorCode = <const C extends string>(
  of: string,
  codes: Readonly<Record<string, { readonly codes: readonly C[] }>>,
): Typed<ErrorCodeNode, C | number> => node({ kind: "errorCode", size: 2, of, codes });

export const custom = <V>(name: CustomNode["name"]): Typed<CustomNode, V, V, true> =>
  node({ kind: "custom", name });

export const rest = (doc?: string): Typed<RestNode, Uint8Array, Uint8Array, true> =>
  node({ kind: "rest", ...(doc === undefined ? {} : { doc }) });
export const restText = (): Typed<RestTextNode, string, string, true> => node({ kind: "restText" });

export const oxmIds = (): Typed<OxmIdsNode, string[], readonly string[], true> => node({ kind: "oxmIds" });
export const oxmId = (): Typed<OxmIdNode, string, string, false> => node({ kind: "oxmId" });

export const variant = <const B extends BodyNode & Item>(
  of: B,
): Typed<VariantNode, B["~value"], B["~init"], false> => node({ kind: "variant", of });

// ---- structs and unions

export type Fields = Readonly<Record<string, FieldNode>>;
type Shown<F> = { [K in keyof F as F[K] extends { readonly "~value": unknown } ? K : never]: F[K] };
type Flat<T> = { [K in keyof T]: T[K] };
type ValuesOf<F> = { -readonly [K in keyof F]: F[K] extends { readonly "~value": infer V } ? V : never };
type InitsOf<F> = {
  readonly [K in keyof F as F[K] extends { readonly "~optional": true } ? never : K]: F[K] extends {
    readonly "~init": infer I;
  }
    ? I
    : never;
} & {
  readonly [K in keyof F as F[K] extends { readonly "~optional": true } ? K : never]?:
    | (F[K] extends { readonly "~init": infer I } ? I : never)
    | undefined;
};
type Kind<T> = T extends string ? { type: T } : unknown;

export type StructOf<T extends string | undefined, F> = StructNode & {
  readonly type: T;
  readonly "~value": Flat<Kind<T> & ValuesOf<Shown<F>>>;
  readonly "~init": Flat<Readonly<Kind<T>> & InitsOf<Shown<F>>>;
};

/** A struct that stands alone: `name` is the specification's. */
export const struct = <const F extends Fields>(
  name: string,
  fields: F,
  options: StructOptions = {},
): StructOf<undefined, F> => node({ kind: "struct", name, type: undefined, fields, ...options });

/** A member of a union or body: its value carries `type: name`. */
export const member = <const T extends string, const F extends Fields>(
  name: T,
  fields: F,
  options: StructOptions = {},
): StructOf<T, F> => node({ kind: "struct", name, type: name, fields, ...options });

export const union = <
  const M extends readonly (StructNode & Item)[],
  const F extends (StructNode & Item) | undefined = undefined,
>(
  name: string,
  members: M,
  options: {
    readonly fallback?: F;
    readonly unknown: ErrorRef;
    readonly error: ErrorRef;
    readonly align: number;
    readonly padded?: boolean;
  },
): UnionNode & {
  readonly "~value": M[number]["~value"] | (F extends Item ? F["~value"] : never);
  readonly "~init": M[number]["~init"] | (F extends Item ? F["~init"] : never);
} => node({ kind: "union", name, members, padded: false, ...options });

export const body = <const M extends Readonly<Record<number, (StructNode | UnionNode) & Item>>>(
  name: string,
  members: M,
  unknown: ErrorRef,
): BodyNode & {
  readonly "~value": M[keyof M] extends { readonly "~value": infer V } ? V : never;
  readonly "~init": M[keyof M] extends { readonly "~init": infer I } ? I : never;
} => node({ kind: "body", name, members, unknown });

export type Infer<S extends { readonly "~value": unknown }> = S["~value"];
export type Init<S extends { readonly "~init": unknown }> = S["~init"];
