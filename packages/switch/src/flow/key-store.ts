import { DP_LANES, type FlowKey, type FlowMask } from "./flow-key.js";
import { LANES_IPV4 } from "./lanes.js";

/** Keys in a piece of memory. */
const PIECE = 1024;
const SHORT = LANES_IPV4;
const REST = DP_LANES - SHORT;

/** Keys of many flows by number, without an object for any: the lanes that a datapath fills. Numbers should be dense;
 *  memory is taken in pieces as they are first used, and kept; that of the lanes behind those of IPv4 only where a key
 *  has something in them. */
export class KeyStore {
  readonly #pieces: Uint32Array[] = [];
  readonly #rests: (Uint32Array | undefined)[] = [];

  set(slot: number, key: FlowKey): void {
    const piece = slot >>> 10;
    let words = this.#pieces[piece];
    if (words === undefined) {
      for (let fresh = this.#pieces.length; fresh <= piece; fresh++) {
        this.#pieces.push(new Uint32Array(PIECE * SHORT));
        this.#rests.push(undefined);
      }
      words = this.#pieces[piece]!;
    }
    const at = (slot & (PIECE - 1)) * SHORT;
    for (let lane = 0; lane < SHORT; lane++) words[at + lane] = key[lane]!;
    let rest = this.#rests[piece];
    if (rest === undefined) {
      let any = 0;
      for (let lane = SHORT; lane < DP_LANES; lane++) any |= key[lane]!;
      if (any === 0) return;
      rest = new Uint32Array(PIECE * REST);
      this.#rests[piece] = rest;
    }
    const restAt = (slot & (PIECE - 1)) * REST - SHORT;
    for (let lane = SHORT; lane < DP_LANES; lane++) rest[restAt + lane] = key[lane]!;
  }

  /** Copies a key into `key`; the pipeline's lanes of that stay. */
  read(slot: number, key: FlowKey): FlowKey {
    const words = this.#pieces[slot >>> 10]!;
    const at = (slot & (PIECE - 1)) * SHORT;
    for (let lane = 0; lane < SHORT; lane++) key[lane] = words[at + lane]!;
    const rest = this.#rests[slot >>> 10];
    if (rest === undefined) key.fill(0, SHORT, DP_LANES);
    else {
      const restAt = (slot & (PIECE - 1)) * REST - SHORT;
      for (let lane = SHORT; lane < DP_LANES; lane++) key[lane] = rest[restAt + lane]!;
    }
    return key;
  }

  /** Whether a key agrees with `key` in the bits of `mask`, all of which lie in `lanes`. */
  agrees(slot: number, key: FlowKey, mask: FlowMask, lanes: readonly number[]): boolean {
    const words = this.#pieces[slot >>> 10]!;
    const rest = this.#rests[slot >>> 10];
    const at = (slot & (PIECE - 1)) * SHORT;
    const restAt = (slot & (PIECE - 1)) * REST - SHORT;
    for (let i = 0; i < lanes.length; i++) {
      const lane = lanes[i]!;
      const own = lane < SHORT ? words[at + lane]! : rest === undefined ? 0 : rest[restAt + lane]!;
      if (((own ^ key[lane]!) & mask[lane]!) !== 0) return false;
    }
    return true;
  }
}
