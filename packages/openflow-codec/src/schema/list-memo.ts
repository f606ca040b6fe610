/** Lists decoded before, by their bytes: for lists that come again and again, and that nobody writes to. */

const SLOTS = 256;
/** Longer lists are not kept. */
const MAX_BYTES = 128;

interface Known {
  readonly bytes: Uint8Array;
  readonly list: unknown;
}

/** Bounded: a list takes the place of another whose bytes have its hash. */
export class ListMemo {
  readonly #slots = new Array<Known | undefined>(SLOTS).fill(undefined);

  /** The list that bytes [at, end) have been before. */
  find(b: Uint8Array, at: number, end: number): unknown {
    const size = end - at;
    if (size > MAX_BYTES) return undefined;
    const known = this.#slots[slotOf(b, at, end)];
    if (known === undefined || known.bytes.length !== size) return undefined;
    const { bytes } = known;
    for (let i = 0; i < size; i++) if (bytes[i] !== b[at + i]) return undefined;
    return known.list;
  }

  keep(b: Uint8Array, at: number, end: number, list: unknown): unknown {
    if (end - at <= MAX_BYTES)
      this.#slots[slotOf(b, at, end)] = { bytes: new Uint8Array(b.subarray(at, end)), list };
    return list;
  }
}

function slotOf(b: Uint8Array, at: number, end: number): number {
  let hash = end - at;
  for (let p = at; p < end; p++) hash = Math.imul(hash ^ b[p]!, 0x0100_0193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}
