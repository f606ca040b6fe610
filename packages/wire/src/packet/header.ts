import {
  readIpv4,
  readIpv6,
  readMac,
  readU16,
  readU32,
  writeIpv4,
  writeIpv6,
  writeMac,
  writeU16,
  writeU32,
} from "../address.js";

/** A fixed header declared once, as names and places: reading, writing and the type of its values follow. */
export interface Header<T> {
  /** In bytes. */
  readonly size: number;
  /** The caller has checked that `size` bytes are there. */
  read(bytes: Uint8Array, at: number): T;
  /** The bytes at `at` are zero before: fields that share a byte are or-ed into it. */
  write(bytes: Uint8Array, at: number, values: T): void;
}

export interface HeaderField<V> {
  read(bytes: Uint8Array, at: number): V;
  write(bytes: Uint8Array, at: number, value: V): void;
}

export function header<T extends object>(
  size: number,
  fields: { readonly [K in keyof T]: HeaderField<T[K]> },
): Header<T> {
  return {
    size,
    read: (bytes, at) => {
      const values: Partial<T> = {};
      for (const name in fields) values[name] = fields[name].read(bytes, at);
      return values as T;
    },
    write: (bytes, at, values) => {
      for (const name in fields) fields[name].write(bytes, at, values[name]);
    },
  };
}

const placed = <V>(
  offset: number,
  read: (bytes: Uint8Array, at: number) => V,
  write: (bytes: Uint8Array, at: number, value: V) => void,
): HeaderField<V> => ({
  read: (bytes, at) => read(bytes, at + offset),
  write: (bytes, at, value) => write(bytes, at + offset, value),
});

const readU8 = (bytes: Uint8Array, at: number): number => bytes[at]!;
const writeU8 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value;
};

/** The fields, by their offset in bytes from the header's start. */
export const u8 = (offset: number): HeaderField<number> => placed(offset, readU8, writeU8);
export const u16 = (offset: number): HeaderField<number> => placed(offset, readU16, writeU16);
export const u32 = (offset: number): HeaderField<number> => placed(offset, readU32, writeU32);
export const mac = (offset: number): HeaderField<string> => placed(offset, readMac, writeMac);
export const ip4 = (offset: number): HeaderField<string> => placed(offset, readIpv4, writeIpv4);
export const ip6 = (offset: number): HeaderField<string> => placed(offset, readIpv6, writeIpv6);

/** `width` bits (at most 31) of the big-endian 32-bit word at `offset`, the lowest of them bit `shift`. */
export const bits = (offset: number, shift: number, width: number): HeaderField<number> => {
  const mask = 2 ** width - 1;
  return placed(
    offset,
    (bytes, at) => (readU32(bytes, at) >>> shift) & mask,
    (bytes, at, value) => writeU32(bytes, at, readU32(bytes, at) | ((value & mask) << shift)),
  );
};
