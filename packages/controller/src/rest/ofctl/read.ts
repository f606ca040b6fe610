import { badField } from "../problem.js";

/** Reading what Ryu's clients send: a number may be a number, or text in any base; a reserved number may be its name. */

export type Body = Readonly<Record<string, unknown>>;

export const isBody = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const show = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 80);

/** A whole number from 0: 10, "10", "0x0a". Throws a Problem that names `field`. */
export function readBig(value: unknown, field: string): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === "string" && /^(\d{1,20}|0x[0-9a-f]{1,16}|0o[0-7]{1,22}|0b[01]{1,64})$/i.test(value))
    return BigInt(value);
  throw badField(field, `is ${show(value)}, not a whole number from 0`);
}

/** As readBig, of at most `max`. */
export function readInt(value: unknown, field: string, max = 0xffff_ffff): number {
  const number = readBig(value, field);
  if (number > max) throw badField(field, `is ${number}, more than ${max}`);
  return Number(number);
}

/** Names for numbers, as `OFPP`: with or without `prefix`, in either case, they are taken for their numbers. */
export interface Reserved {
  readonly prefix: string;
  readonly numbers: Readonly<Record<string, number>>;
}

export function readReserved(value: unknown, field: string, names: Reserved, max = 0xffff_ffff): number {
  if (typeof value === "string") {
    const name = value.toUpperCase().replace(new RegExp(`^${names.prefix}`), "");
    if (Object.hasOwn(names.numbers, name)) return names.numbers[name]!;
    if (!/^\d/.test(value))
      throw badField(field, `is ${show(value)}; names are ${Object.keys(names.numbers).join(", ")}`);
  }
  return readInt(value, field, max);
}

/** A reserved number as its name, any other as it is. */
export function showReserved(value: number, { numbers }: Reserved): number | string {
  return Object.keys(numbers).find((name) => numbers[name] === value) ?? value;
}

/** One of the names, as its row in `table`. */
export function readName<T>(value: unknown, field: string, table: Readonly<Record<string, T>>): T {
  if (typeof value === "string" && Object.hasOwn(table, value)) return table[value]!;
  throw badField(field, `is ${show(value)}, not one of ${Object.keys(table).join(", ")}`);
}

export function readList(value: unknown, field: string): Body[] {
  if (!Array.isArray(value)) throw badField(field, "is not a list");
  return value.map((item, i) => {
    if (!isBody(item)) throw badField(`${field}[${i}]`, "is not an object");
    return item;
  });
}

/** The bytes of `data` in the encoding that `data_type` names: ascii unless given, or base64. */
export function readData({ data = "", data_type = "ascii" }: Body, field: string): Uint8Array {
  if (typeof data !== "string") throw badField(`${field}data`, "is not text");
  if (data_type === "ascii") return Buffer.from(data, "latin1");
  if (data_type !== "base64")
    throw badField(`${field}data_type`, `is ${show(data_type)}, not ascii or base64`);
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(data)) throw badField(`${field}data`, "is not base64");
  return Buffer.from(data, "base64");
}
