/** A writer of source text: indented lines. */
export class Source {
  readonly #lines: string[] = [];
  #depth = 0;

  line(text: string): this {
    if (text.startsWith("}")) this.#depth--;
    this.#lines.push("  ".repeat(this.#depth) + text);
    if (text.endsWith("{")) this.#depth++;
    return this;
  }

  toString(): string {
    return this.#lines.join("\n");
  }
}

/** Only declared names reach `new Function`, and only if they are plain identifiers. */
export function identifier(name: string): string {
  if (!/^[a-z_][a-z0-9_]*$/i.test(name)) throw new Error(`${name} cannot be a name in a declaration`);
  return name;
}

/** An expression for a big-endian unsigned integer of `size` bytes. */
export function readInt(size: number, at: string): string {
  const byte = (i: number): string => `b[${at}${i === 0 ? "" : ` + ${i}`}]`;
  switch (size) {
    case 1:
      return byte(0);
    case 2:
      return `((${byte(0)} << 8) | ${byte(1)})`;
    case 3:
      return `((${byte(0)} << 16) | (${byte(1)} << 8) | ${byte(2)})`;
    default:
      return `(((${byte(0)} << 24) | (${byte(1)} << 16) | (${byte(2)} << 8) | ${byte(3)}) >>> 0)`;
  }
}

/** Statements that store an unsigned integer, big-endian. */
export function writeInt(size: number, at: string, value: string): string {
  const stores: string[] = [];
  for (let i = 0; i < size; i++) {
    const shift = (size - 1 - i) * 8;
    stores.push(`b[${at}${i === 0 ? "" : ` + ${i}`}] = ${value}${shift === 0 ? "" : ` >>> ${shift}`};`);
  }
  return stores.join(" ");
}

/** `base + offset`, without the sum where it is nothing. */
export const plus = (base: string, offset: number): string => (offset === 0 ? base : `${base} + ${offset}`);
