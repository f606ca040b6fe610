/** A value of a file, with the path that leads to it: what is wrong is said with both. */
export class Reader {
  readonly value: unknown;
  readonly path: string;

  constructor(value: unknown, path: string) {
    this.value = value;
    this.path = path;
  }

  /** "sw.yaml: dps.s1.interfaces.2.native_vlan: 5000 is not …" */
  wrong(what: string): Error {
    const shown = JSON.stringify(this.value, (_key, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    const short = shown === undefined || shown.length <= 60 ? shown : `${shown.slice(0, 57)}...`;
    return new Error(`${this.path}${this.path.endsWith(": ") ? "" : ": "}${short} ${what}`);
  }

  isMissing(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** The values under `known` keys; with `others`, the rest is left to `entries`. */
  fields<K extends string>(...known: K[]): Record<K, Reader> {
    const object = this.#object();
    const unknown = Object.keys(object).find((key) => !(known as string[]).includes(key));
    if (unknown !== undefined) {
      const at = this.#below(unknown, object[unknown]);
      throw new Error(`${at.path}: is not known here; there are ${known.join(", ")}`);
    }
    return Object.fromEntries(known.map((key) => [key, this.#below(key, object[key])])) as Record<K, Reader>;
  }

  entries(): [key: string, value: Reader][] {
    return Object.entries(this.#object()).map(([key, value]) => [key, this.#below(key, value)]);
  }

  list(): Reader[] {
    if (!Array.isArray(this.value)) throw this.wrong("is not a list");
    return this.value.map((value, i) => new Reader(value, `${this.path}[${i}]`));
  }

  /** A list, or one value that stands for a list of one; empty where there is none. */
  listOrOne(): Reader[] {
    if (this.isMissing()) return [];
    return Array.isArray(this.value) ? this.list() : [this];
  }

  text(): string {
    if (typeof this.value !== "string") throw this.wrong("is not a text");
    return this.value;
  }

  boolean(): boolean {
    if (typeof this.value !== "boolean") throw this.wrong("is not true or false");
    return this.value;
  }

  integer(min: number, max: number): number {
    const { value } = this;
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
      throw this.wrong(`is not a number from ${min} to ${max}`);
    return value;
  }

  /** One of the names that `known` has. */
  name<V>(known: ReadonlyMap<string, V>, what: string): V {
    const found = known.get(String(this.value));
    if (found === undefined || typeof this.value === "object")
      throw this.wrong(`is not the name of ${what}; there are ${[...known.keys()].join(", ") || "none"}`);
    return found;
  }

  #object(): Record<string, unknown> {
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value))
      throw this.wrong("is not an object");
    return this.value as Record<string, unknown>;
  }

  #below(key: string, value: unknown): Reader {
    return new Reader(value, this.path.endsWith(": ") ? `${this.path}${key}` : `${this.path}.${key}`);
  }
}
