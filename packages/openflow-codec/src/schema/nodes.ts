import type { ErrorRef } from "./error.js";

/** What declarations are made of: a frozen tree of plain data, with no function inside, so that it can be compiled
 *  (compile.ts), interpreted (interpret.ts), printed, documented and compared. declare.ts has the words that make it. */

export type IntSize = 1 | 2 | 3 | 4;

/** Names for numbers: of an enumeration, of a flag word's bits, or of reserved values. */
export interface Names {
  readonly name: string;
  readonly values: Readonly<Record<string, number>>;
}

interface Common {
  readonly doc?: string;
}
export interface IntNode extends Common {
  readonly kind: "uint";
  readonly size: IntSize;
  readonly default?: number | string;
  /** The value is the name; a number without a name stays a number. */
  readonly enum?: Names;
  /** The value is a number; JSON and text print names of bits. */
  readonly flags?: Names;
  /** The value is a number; JSON and text print these by name. */
  readonly reserved?: Names;
  /** "header": the number is an OXM header, or 0 for none; JSON gives the field's name. */
  readonly fmt?: "hex" | "header";
}
/** 64 or 128 bits: a bigint. */
export interface BigNode extends Common {
  readonly kind: "big";
  readonly size: 8 | 16;
  readonly default?: bigint;
  readonly fmt?: "hex";
}
export interface AddressNode extends Common {
  readonly kind: "mac" | "ipv4" | "ipv6";
  readonly size: 4 | 6 | 16;
  readonly default?: string;
}
export interface BytesNode extends Common {
  readonly kind: "bytes";
  readonly size: number;
  readonly default?: Uint8Array;
}
/** A NUL-padded string of at most `size` bytes, UTF-8. */
export interface TextNode extends Common {
  readonly kind: "text";
  readonly size: number;
  readonly default?: string;
}
export type ScalarNode = IntNode | BigNode | AddressNode | BytesNode | TextNode;

export interface PadNode {
  readonly kind: "pad";
  readonly size: number;
}
/** A number that must be there; anything else is `error`. */
export interface ConstNode {
  readonly kind: "const";
  readonly size: IntSize;
  readonly value: number;
  readonly error?: ErrorRef;
}
/** A number by which a union chooses this struct. */
export interface TagNode {
  readonly kind: "tag";
  readonly size: IntSize;
  readonly value: number;
}
/** The struct's own size in bytes. */
export interface LengthNode {
  readonly kind: "length";
  readonly size: 1 | 2;
}
/** The size in bytes of a later field of the same struct. */
export interface LengthOfNode {
  readonly kind: "lengthOf";
  readonly size: 1 | 2 | 4;
  readonly of: string;
}
/** The number of elements of a later array of the same struct. */
export interface CountOfNode {
  readonly kind: "countOf";
  readonly size: 2;
  readonly of: string;
}
/** Zeros up to this many bytes from the struct's start. */
export interface PadUntilNode {
  readonly kind: "padUntil";
  readonly size: number;
}
/** Zeros after a field of the same struct, up to a multiple of 8 bytes from that field's start. */
export interface PadTailNode {
  readonly kind: "padTail";
  readonly of: string;
}
/** The number that chooses the body of a later variant field. */
export interface TagOfNode {
  readonly kind: "tagOf";
  readonly size: 2;
  readonly of: string;
}
export interface EmbedNode {
  readonly kind: "embed";
  readonly of: StructNode;
}
/** Structs to the end of the struct's window, or as many bytes as a `lengthOf` says. */
export interface ListNode {
  readonly kind: "list";
  readonly of: StructNode | UnionNode | RefNode;
}
/** Integers: `count` of them, or as many as the `countOf` named `counted` says, or to the end of the window. */
export interface ArrayNode {
  readonly kind: "array";
  readonly of: IntNode;
  readonly count?: number;
  readonly counted?: string;
}
/** There only when bit `bit` of the earlier field `flag` is set. */
export interface OptionalNode {
  readonly kind: "optional";
  readonly of: IntNode | AddressNode | OxmIdNode;
  readonly flag: string;
  readonly bit: number;
}
/** A number whose names depend on the name that the earlier field `of` has: codes[of][number]. */
export interface ErrorCodeNode {
  readonly kind: "errorCode";
  readonly size: 2;
  readonly of: string;
  readonly codes: Readonly<Record<string, { readonly codes: readonly string[] }>>;
}
/** A layout that the language cannot say, read and written by the functions of that name in custom.ts. To the
 *  end of the window. */
export interface CustomNode {
  readonly kind: "custom";
  readonly name: "learnSpecs";
}
/** The bytes to the end of the window. */
export interface RestNode extends Common {
  readonly kind: "rest";
}
/** NUL-terminated or unterminated text to the end of the window. */
export interface RestTextNode extends Common {
  readonly kind: "restText";
}
/** struct ofp_match: type, length, OXM fields, padded to 8. */
export interface MatchNode {
  readonly kind: "match";
}
/** OXM fields alone, to the end of the window. */
export interface OxmListNode {
  readonly kind: "oxmList";
}
/** One OXM field, padded to the end of the window. */
export interface OxmNode {
  readonly kind: "oxm";
  /** Whether a mask may come with it. */
  readonly mask: boolean;
}
/** OXM headers without payload, to the end of the window. */
export interface OxmIdsNode {
  readonly kind: "oxmIds";
}
/** One OXM header without payload: the name of a field. */
export interface OxmIdNode extends Common {
  readonly kind: "oxmId";
}
/** A body chosen by a `tagOf` before it, to the end of the window. */
export interface VariantNode {
  readonly kind: "variant";
  readonly of: BodyNode;
}
/** Stands for a struct or union by name, where declarations are recursive. */
export interface RefNode {
  readonly kind: "ref";
  readonly name: string;
}

/** Fields of the bytes that are not members of the value: the codec works them out. */
export type HiddenNode =
  | PadNode
  | ConstNode
  | TagNode
  | LengthNode
  | LengthOfNode
  | CountOfNode
  | PadUntilNode
  | PadTailNode
  | TagOfNode;
const HIDDEN: Readonly<Record<HiddenNode["kind"], true>> = {
  ...{ pad: true, padUntil: true, padTail: true, const: true, tag: true },
  ...{ length: true, lengthOf: true, countOf: true, tagOf: true },
};
export const isHidden = (field: FieldNode): field is HiddenNode => Object.hasOwn(HIDDEN, field.kind);

export type FieldNode =
  | ScalarNode
  | HiddenNode
  | EmbedNode
  | ListNode
  | ArrayNode
  | RestNode
  | RestTextNode
  | MatchNode
  | OxmListNode
  | OxmNode
  | OxmIdsNode
  | OxmIdNode
  | VariantNode
  | OptionalNode
  | ErrorCodeNode
  | CustomNode;

export interface StructOptions {
  readonly section?: string;
  readonly doc?: string;
  /** The error when the struct is too short or too long. */
  readonly error?: ErrorRef;
  /** Its encoding, and the length that it states, are padded with zeros to a multiple of this. */
  readonly padTo?: number;
  /** In a list, the next starts at a multiple of this from its start; the length that it states leaves that out. */
  readonly align?: number;
  /** How ovs-ofctl writes it. */
  readonly text?: string;
}
export interface StructNode extends StructOptions {
  readonly kind: "struct";
  readonly name: string;
  /** The value's `type` member; absent for a struct that is no member of a union. */
  readonly type: string | undefined;
  readonly fields: Readonly<Record<string, FieldNode>>;
}
export interface UnionNode {
  readonly kind: "union";
  readonly name: string;
  readonly members: readonly StructNode[];
  /** Takes what no member does; without one that is `unknown`. */
  readonly fallback?: StructNode;
  readonly unknown: ErrorRef;
  readonly error: ErrorRef;
  /** Members start at multiples of this; a stated length need not be one when `padded`. */
  readonly align: number;
  readonly padded: boolean;
}
/** Bodies by number. A member is a struct, or a union with tags of its own. */
export interface BodyNode {
  readonly kind: "body";
  readonly name: string;
  readonly members: Readonly<Record<number, StructNode | UnionNode>>;
  readonly unknown: ErrorRef;
}
