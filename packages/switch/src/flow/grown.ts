type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** A typed array of `size` places that begins with what is in `from`; the others are 0. */
export function grown<T extends Column>(from: T, size: number): T {
  const to = new (from.constructor as new (size: number) => T)(size);
  to.set(from);
  return to;
}
