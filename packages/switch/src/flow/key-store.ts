import { DP_LANES, type FlowKey, type FlowMask } from "./flow-key.js";

/** Keys in a piece of memory. */
const PIECE = 1024;

/** Keys of many flows by number, without an object for any: the lanes that a datapath fills. Numbers should be dense;
 *  memory is taken in pieces as they are first used, and kept. */
export class KeyStore {
  readonly #pieces: Uint32Array[] = [];

  set(slot: number, key: FlowKey): void {
    let words = this.#pieces[slot >>> 10];
    if (words === undefined) {
      for (let piece = this.#pieces.length; piece <= slot >>> 10; piece++)
        this.#pieces.push(new Uint32Array(PIECE * DP_LANES));
      words = this.#pieces[slot >>> 10]!;
    }
    const at = (slot & (PIECE - 1)) * DP_LANES;
    for (let lane = 0; lane < DP_LANES; lane++) words[at + lane] = key[lane]!;
  }

  /** Copies a key into `key`; the pipeline's lanes of that stay. */
  read(slot: number, key: FlowKey): FlowKey {
    const words = this.#pieces[slot >>> 10]!;
    const at = (slot & (PIECE - 1)) * DP_LANES;
    for (let lane = 0; lane < DP_LANES; lane++) key[lane] = words[at + lane]!;
    return key;
  }

  /** Whether a key agrees with `key` in the bits of `mask`, all of which lie in `lanes`. */
  agrees(slot: number, key: FlowKey, mask: FlowMask, lanes: readonly number[]): boolean {
    const words = this.#pieces[slot >>> 10]!;
    const at = (slot & (PIECE - 1)) * DP_LANES;
    for (let i = 0; i < lanes.length; i++) {
      const lane = lanes[i]!;
      if (((words[at + lane]! ^ key[lane]!) & mask[lane]!) !== 0) return false;
    }
    return true;
  }
}
