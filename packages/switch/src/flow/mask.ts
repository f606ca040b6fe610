import { FLOW_LANES, type FlowField, type FlowKey, type FlowMask, fieldLaneMask } from "./flow-key.js";

/** Questions about whole keys and masks. */

export function equalKeys(a: FlowKey, b: FlowKey): boolean {
  for (let i = 0; i < FLOW_LANES; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether the two keys agree in the bits of `mask`. */
export function equalMasked(a: FlowKey, b: FlowKey, mask: FlowMask): boolean {
  for (let i = 0; i < FLOW_LANES; i++) if (((a[i]! ^ b[i]!) & mask[i]!) !== 0) return false;
  return true;
}

/** Whether every packet that `inner` matches has all the bits that `outer` looks at fixed. */
export function coversMask(inner: FlowMask, outer: FlowMask): boolean {
  for (let i = 0; i < FLOW_LANES; i++) if ((outer[i]! & ~inner[i]!) !== 0) return false;
  return true;
}

export const isEmptyMask = (mask: FlowMask): boolean => mask.every((lane) => lane === 0);

/** One step of the hash that keys, masks and caches use. */
export const hashStep = (hash: number, word: number): number => {
  const h = Math.imul(hash ^ word, 0x9e37_79b1);
  return h ^ (h >>> 15);
};

/** A number for the first `lanes` lanes, not negative. */
export function hashLanes(key: Uint32Array, lanes = FLOW_LANES): number {
  let hash = 0;
  for (let i = 0; i < lanes; i++) hash = hashStep(hash, key[i]!);
  return hash >>> 2;
}

/** Whether `mask` looks at any bit of a field, or at all of them. */
export function fieldMaskState(mask: FlowMask, field: FlowField): "none" | "some" | "all" {
  let any = false;
  let all = true;
  for (let i = 0; i < field.lanes; i++) {
    const bits = fieldLaneMask(field, i);
    const set = (mask[field.lane + i]! & bits) >>> 0;
    if (set !== 0) any = true;
    if (set !== bits) all = false;
  }
  return all ? "all" : any ? "some" : "none";
}
