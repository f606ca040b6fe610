import type { Typed } from "./declare.js";
import type { AddressNode, BigNode, BytesNode, IntNode } from "./nodes.js";

/** Bytes of any size up to `size`, as hex digits. */
export const hexBytes = (size: number): Typed<BytesNode, string> =>
  Object.freeze({ kind: "bytes", size }) as never;

/** Fields that must be in the match before a field (OpenFlow 1.3.5 §7.2.3.6), with the values of which they
 *  must hold one; an empty list asks for any value but, in vlan_vid, OFPVID_NONE. */
export type Prerequisites = Readonly<Record<string, readonly number[]>>;

/** How ovs-ofctl writes a field whose value's kind does not tell. */
export type OxmFormat = "port" | "port10" | "ct_state" | "tcp_flags" | "frag" | "tun_flags" | "packet_type";

export interface OxmOptions {
  readonly mask?: boolean;
  /** Fewer bits than the bytes hold; the others must be zero. */
  readonly bits?: number;
  readonly pre?: Prerequisites;
  /** Set-field may write it. */
  readonly rw?: boolean;
  /** ovs-ofctl's name in a match, where it is not the field's. */
  readonly text?: string;
  /** ovs-ofctl's name as the target of an action, where it is not the field's. */
  readonly target?: string;
  /** The name of its number ("NXM_NX_REG0"), where it does not follow from class and name. */
  readonly nxm?: string;
  readonly fmt?: OxmFormat;
  /** The field that this one repeats in an older numbering. */
  readonly same?: string;
  /** The experimenter of an OFPXMC_EXPERIMENTER field. */
  readonly experimenter?: number;
  /** Bytes of any size up to this, in place of the value's own size. */
  readonly variable?: number;
}

type OxmScalar = Typed<IntNode | BigNode | AddressNode | BytesNode, unknown, unknown, boolean>;

export interface OxmDeclaration extends OxmOptions {
  readonly number: number;
  readonly value: IntNode | BigNode | AddressNode | BytesNode;
}
type OxmTyped<S extends OxmScalar, M> = OxmDeclaration & {
  readonly "~scalar": S["~value"];
  readonly "~masked": M;
};
type MaskOf<O> = O extends { readonly mask: true } ? true : false;

export const oxm = <S extends OxmScalar, const O extends OxmOptions = Record<never, never>>(
  number: number,
  value: S,
  options?: O,
): OxmTyped<S, MaskOf<O>> =>
  Object.freeze({ number, value, ...options }) as unknown as OxmTyped<S, MaskOf<O>>;

/** A field as everything else sees it: one row of the table that the codec, the text syntax, the checks and
 *  the switch's flow key are made from. */
export interface OxmField {
  readonly name: string;
  readonly class: number;
  readonly className: string;
  readonly field: number;
  readonly experimenter: number | undefined;
  /** Size of the value in bytes, without mask. */
  readonly bytes: number;
  readonly bits: number;
  readonly maskable: boolean;
  readonly settable: boolean;
  readonly prerequisites: Prerequisites;
  readonly kind: "uint" | "big" | "mac" | "ipv4" | "ipv6" | "bytes";
  readonly value: IntNode | BigNode | AddressNode | BytesNode;
  readonly text: string;
  readonly target: string;
  readonly nxm: string;
  readonly fmt: OxmFormat | "hex" | "decimal" | undefined;
  readonly same: string | undefined;
  readonly variable: number | undefined;
}

export interface OxmClass<F extends Readonly<Record<string, OxmDeclaration>>> {
  readonly name: string;
  readonly value: number;
  readonly fields: F;
}

export const oxmClass = <const F extends Readonly<Record<string, OxmDeclaration>>>(
  name: string,
  value: number,
  fields: F,
): OxmClass<F> => Object.freeze({ name, value, fields: Object.freeze(fields) });

const NXM_PREFIX: Readonly<Record<number, string>> = {
  0: "NXM_OF_",
  1: "NXM_NX_",
  32768: "OXM_OF_",
  32769: "OXM_OF_",
  65535: "NXOXM_ET_",
};

/** The name of a field's number: its own in capitals, after its class's prefix. */
const nxmName = (group: { readonly value: number }, name: string): string =>
  NXM_PREFIX[group.value] + name.replace(/^nxm_(of|nx)_/, "").toUpperCase();

/** The rows of a class. */
export const oxmRows = (group: OxmClass<Readonly<Record<string, OxmDeclaration>>>): OxmField[] =>
  Object.entries(group.fields).map(([name, declared]) =>
    Object.freeze({
      name,
      class: group.value,
      className: group.name,
      field: declared.number,
      experimenter: declared.experimenter,
      bytes: declared.value.size,
      bits: declared.bits ?? declared.value.size * 8,
      maskable: declared.mask ?? false,
      settable: declared.rw ?? false,
      prerequisites: declared.pre ?? {},
      kind: declared.value.kind,
      value: declared.value,
      text: declared.text ?? name,
      target: declared.target ?? name,
      nxm: declared.nxm ?? nxmName(group, name),
      fmt: declared.fmt ?? ("fmt" in declared.value && declared.value.fmt === "hex" ? "hex" : "decimal"),
      same: declared.same,
      variable: declared.variable,
    }),
  );

/** A value, or one with a mask where the field has masks. */
export type Masked<V> = V | { readonly value: V; readonly mask: V };
type MatchValue<T> = T extends { readonly "~scalar": infer V; readonly "~masked": infer M }
  ? M extends true
    ? Masked<V>
    : V
  : never;

/** The members of a match that hold a class's fields. */
export type MatchMembers<C> = C extends OxmClass<infer F> ? { [K in keyof F]?: MatchValue<F[K]> } : never;
