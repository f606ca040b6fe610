import { DP_LANES, type FlowKey, type FlowMask } from "../flow/flow-key.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { equalKeys, hashLanes, hashStep } from "../flow/mask.js";

/** A mask, once for all megaflows that have it: they are many, masks are few. */
export class PooledMask {
  readonly bits: FlowMask;
  /** Lanes with bits. */
  readonly lanes: readonly number[];
  /** What is known of the flows that a megaflow's first lookups saw: its bits, the bridge's port number, and the
   *  pipeline's own fields, which are empty. */
  readonly known: FlowMask;
  readonly hash: number;
  users = 0;

  constructor(bits: FlowMask, hash: number) {
    this.bits = bits.slice();
    this.hash = hash;
    this.lanes = [...bits.keys()].filter((lane) => bits[lane] !== 0);
    this.known = bits.slice();
    this.known[LANE_IN_PORT] = 0xffff_ffff;
    this.known.fill(0xffff_ffff, DP_LANES);
  }

  hashOf(key: FlowKey): number {
    const { lanes, bits } = this;
    let hash = this.hash;
    for (let i = 0; i < lanes.length; i++) hash = hashStep(hash, key[lanes[i]!]! & bits[lanes[i]!]!);
    return hash >>> 2;
  }
}

/** Masks by their bits; those that nobody has any more are forgotten. */
export class MaskPool {
  readonly #byHash = new Map<number, PooledMask[]>();
  #recent: PooledMask | undefined;

  /** The mask with these bits; `acquire` keeps it. */
  of(bits: FlowMask): PooledMask {
    if (this.#recent && equalKeys(this.#recent.bits, bits)) return this.#recent;
    const hash = hashLanes(bits);
    const mask =
      this.#byHash.get(hash)?.find((other) => equalKeys(other.bits, bits)) ?? new PooledMask(bits, hash);
    this.#recent = mask;
    return mask;
  }

  acquire(mask: PooledMask): void {
    if (mask.users++ > 0) return;
    const same = this.#byHash.get(mask.hash);
    if (same) same.push(mask);
    else this.#byHash.set(mask.hash, [mask]);
  }

  release(mask: PooledMask): void {
    if (--mask.users > 0) return;
    const others = this.#byHash.get(mask.hash)!.filter((other) => other !== mask);
    if (others.length > 0) this.#byHash.set(mask.hash, others);
    else this.#byHash.delete(mask.hash);
    if (this.#recent === mask) this.#recent = undefined;
  }
}
