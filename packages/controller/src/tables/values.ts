import { type Match, type OxmField, oxmField } from "@sluice/openflow-codec";
import { ipv4ToNumber, macToNumber, writeIpv6 } from "@sluice/wire";

/** One field of a match: the packet's bits under the mask must be the value's. All as whole numbers. */
export interface Term {
  /** The name of the field in its newest numbering. */
  readonly name: string;
  readonly value: bigint;
  readonly mask: bigint;
}

/** The row of a field, which codes a match that names an older numbering of it, too. Throws on an unknown name. */
export function fieldOf(name: string): OxmField {
  const field = oxmField(name);
  if (field === undefined) throw new RangeError(`the model does not know the field ${name}`);
  return field;
}

export const allOnes = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** A field's value as a whole number. */
export function toBits(field: OxmField, value: unknown): bigint {
  switch (field.kind) {
    case "mac":
      return BigInt(macToNumber(value as string));
    case "ipv4":
      return BigInt(ipv4ToNumber(value as string));
    case "ipv6": {
      const bytes = new Uint8Array(16);
      writeIpv6(bytes, 0, value as string);
      return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
    }
    case "bytes":
      return value === "" ? 0n : BigInt(`0x${value as string}`);
    default:
      return BigInt(value as number | bigint);
  }
}

/** A match as terms, its fields in the order of their names so that equal matches are equal lists. */
export function termsOf(match: Readonly<Match>): Term[] {
  return Object.entries(match)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const field = fieldOf(name);
      const isMasked = typeof value === "object" && value !== null;
      const { value: bits, mask } = (isMasked ? value : { value, mask: undefined }) as Record<
        string,
        unknown
      >;
      const width = allOnes(Math.max(field.bits, 1));
      const maskBits = mask === undefined ? width : toBits(field, mask);
      return { name: field.same ?? name, value: toBits(field, bits) & maskBits, mask: maskBits };
    })
    .filter(({ mask }) => mask !== 0n)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether every packet that `narrow` takes is one that `wide` takes. */
export const covers = (wide: readonly Term[], narrow: readonly Term[]): boolean =>
  wide.every((term) => {
    const other = narrow.find(({ name }) => name === term.name);
    return (
      other !== undefined &&
      (other.mask & term.mask) === term.mask &&
      (other.value & term.mask) === term.value
    );
  });

/** Whether some packet is taken by both. */
export const overlaps = (a: readonly Term[], b: readonly Term[]): boolean =>
  a.every((term) => {
    const other = b.find(({ name }) => name === term.name);
    const both = term.mask & (other?.mask ?? 0n);
    return other === undefined || (other.value & both) === (term.value & both);
  });

export const sameTerms = (a: readonly Term[], b: readonly Term[]): boolean =>
  a.length === b.length &&
  a.every((term, i) => term.name === b[i]!.name && term.value === b[i]!.value && term.mask === b[i]!.mask);
