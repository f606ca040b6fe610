import { checksumAdd, checksumFold } from "../checksum.js";

/** A packet is a value of nested layers, each `{ kind, ...its fields, payload }`.
 *
 *  What a header says of the bytes that follow it (lengths, checksums) is derived and does not appear in the
 *  value, except where a parsed packet says something else than the derived number: then the field is there,
 *  and writing the value writes it as it stands. So writing what was parsed gives the same bytes, a builder
 *  can make wrong packets on purpose, and `layer.checksum === undefined` means that the checksum is right. */
export interface LayerCodec<L> {
  size(layer: L): number;
  /** Writes `size(layer)` bytes at `at`, which are zero before. */
  write(layer: L, bytes: Uint8Array, at: number, pseudo?: PseudoHeader): void;
  /** Never throws, never reads outside [at, end). */
  parse(bytes: Uint8Array, at: number, end: number, pseudo?: PseudoHeader): Parsed<L>;
}

/** `end`: where the layer ends; what is behind it in the frame is padding. */
export interface Parsed<L> {
  readonly layer: L | Malformed;
  readonly end: number;
}

/** Takes the place of a layer that cannot be read: what is wrong with it, and its bytes. */
export interface Malformed {
  readonly kind: "malformed";
  /** The layer that it should have been, such as "ipv4". */
  readonly layer: string;
  readonly reason: string;
  readonly bytes: Uint8Array;
}

export const malformed = (
  layer: string,
  reason: string,
  bytes: Uint8Array,
  at: number,
  end: number,
): Parsed<never> => ({
  layer: { kind: "malformed", layer, reason, bytes: bytes.slice(at, end) },
  end,
});

export const tooShort = (
  layer: string,
  needed: number,
  bytes: Uint8Array,
  at: number,
  end: number,
): Parsed<never> => malformed(layer, `${end - at} bytes where ${needed} are needed`, bytes, at, end);

/** What IP lends to the checksum of the layer above it. */
export interface PseudoHeader {
  /** Sum of the 16-bit words of both addresses. */
  readonly sum: number;
  readonly proto: number;
  /** False when the packet was cut short: then a checksum cannot be judged. */
  readonly isWhole: boolean;
}

/** The sum of a layer's pseudo-header (RFC 768, RFC 8200 §8.1) and of its bytes in [at, end), not folded. */
export function sumWithPseudo(bytes: Uint8Array, at: number, end: number, pseudo?: PseudoHeader): number {
  if (!pseudo) return checksumAdd(bytes, at, end);
  const size = end - at;
  return checksumAdd(bytes, at, end, pseudo.sum + pseudo.proto + (size & 0xffff) + (size >>> 16));
}

/** The checksum that belongs to a range whose words sum to `sum` with `found` in the checksum's place.
 *  (Zero and all ones both verify as right, but only one of them is what a sender computes.) */
export const checksumFor = (sum: number, found: number): number => checksumFold(sum - found);

/** The payload of a layer that has no layers above it that we know. */
export const rawCodec: LayerCodec<Uint8Array> = {
  size: (layer) => layer.length,
  write: (layer, bytes, at) => bytes.set(layer, at),
  parse: (bytes, at, end) => ({ layer: bytes.slice(at, end), end }),
};

export const NO_BYTES = new Uint8Array(0);
