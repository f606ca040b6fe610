import type { Group, GroupBucket } from "../group.js";
import { OFPPC, OFPPS, type XBridge } from "./world.js";

const OFPP_ANY = 0xffff_ffff;
const OFPG_ANY = 0xffff_ffff;

/** Which buckets of a group a packet goes through (1.3.5 §5.6.1). */
export function chooseBuckets(bridge: XBridge, group: Group, hash: () => number): readonly GroupBucket[] {
  switch (group.group_type) {
    case "OFPGT_ALL":
    case "OFPGT_INDIRECT":
      return group.buckets;
    case "OFPGT_FF": {
      const first = group.buckets.find((bucket) => isLive(bridge, bucket));
      return first ? [first] : [];
    }
    case "OFPGT_SELECT": {
      const bucket = selectBucket(bridge, group, hash);
      return bucket ? [bucket] : [];
    }
  }
}

/** Weighted rendezvous hashing: each bucket draws a score from the flow's hash and the highest wins, so that a
 *  flow stays where it is unless its own bucket dies or a better one is born. */
function selectBucket(bridge: XBridge, group: Group, hash: () => number): GroupBucket | undefined {
  const flow = hash();
  let best: GroupBucket | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  group.buckets.forEach((bucket, index) => {
    if (bucket.weight === 0 || !isLive(bridge, bucket)) return;
    const draw = (scramble(flow ^ Math.imul(index + 1, 0x9e37_79b1)) + 1) / 0x1_0000_0001;
    const score = -bucket.weight / Math.log(draw);
    if (score > bestScore) {
      best = bucket;
      bestScore = score;
    }
  });
  return best;
}

/** Whether what the bucket watches is alive; one that watches nothing is. */
export function isLive(bridge: XBridge, bucket: GroupBucket): boolean {
  if (!bucket.watches) return true;
  if (bucket.watch_port !== OFPP_ANY && isPortLive(bridge, bucket.watch_port)) return true;
  return bucket.watch_group !== OFPG_ANY && isGroupLive(bridge, bucket.watch_group);
}

/** Whether something alive is watched, by however many groups; groups may watch each other in a circle. */
function isGroupLive(bridge: XBridge, group_id: number): boolean {
  const seen = new Set([group_id]);
  for (const id of seen) {
    for (const { watches, watch_port, watch_group } of bridge.groups.get(id)?.buckets ?? []) {
      if (!watches || (watch_port !== OFPP_ANY && isPortLive(bridge, watch_port))) return true;
      if (watch_group !== OFPG_ANY) seen.add(watch_group);
    }
  }
  return false;
}

/** Whether there is such a port, and it is up. */
export function isPortLive(bridge: XBridge, ofport: number): boolean {
  const port = bridge.portMap.get(ofport);
  return port !== undefined && (port.config & OFPPC.PORT_DOWN) === 0 && (port.state & OFPPS.LINK_DOWN) === 0;
}

/** A 32-bit finaliser in which every input bit moves every output bit. */
export function scramble(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
