import { refuse } from "./error.js";
import type { Action, Bucket, GroupMod } from "./of.js";
import { Counter, type Sink } from "./sink.js";

const OFPP_ANY = 0xffff_ffff;
const OFPG_ANY = 0xffff_ffff;

/** One bucket of a group; also the counter of what went through it. */
export class GroupBucket extends Counter {
  readonly weight: number;
  readonly watch_port: number;
  readonly watch_group: number;
  readonly actions: readonly Action[];

  constructor(bucket: Bucket) {
    super();
    this.weight = bucket.weight ?? 0;
    this.watch_port = bucket.watch_port ?? OFPP_ANY;
    this.watch_group = bucket.watch_group ?? OFPG_ANY;
    this.actions = bucket.actions ?? [];
  }

  get watches(): boolean {
    return this.watch_port !== OFPP_ANY || this.watch_group !== OFPG_ANY;
  }
}

export type GroupType = "OFPGT_ALL" | "OFPGT_SELECT" | "OFPGT_INDIRECT" | "OFPGT_FF";
const TYPES: readonly (string | number | undefined)[] = [
  "OFPGT_ALL",
  "OFPGT_SELECT",
  "OFPGT_INDIRECT",
  "OFPGT_FF",
];

/** A group entry (1.3.5 §5.6). A modified group is the same object with other buckets: flows keep pointing at it
 *  by number. */
export class Group implements Sink {
  readonly group_id: number;
  group_type: GroupType;
  buckets: readonly GroupBucket[];
  readonly createdMs: number;
  packets = 0;
  bytes = 0;

  constructor(message: GroupMod, nowMs: number) {
    this.group_id = message.group_id;
    this.group_type = message.group_type as GroupType;
    this.buckets = (message.buckets ?? []).map((bucket) => new GroupBucket(bucket));
    this.createdMs = nowMs;
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

/** Refuses a group that the specification does not allow (1.3.5 §6.5), whatever else exists. */
export function checkGroup(message: GroupMod): void {
  const buckets = message.buckets ?? [];
  if (!TYPES.includes(message.group_type))
    throw refuse("OFPGMFC_BAD_TYPE", `group type ${message.group_type}`);
  if (message.group_type === "OFPGT_INDIRECT" && buckets.length !== 1)
    throw refuse("OFPGMFC_INVALID_GROUP", `an indirect group has one bucket, not ${buckets.length}`);
  for (const bucket of buckets) {
    const watches =
      (bucket.watch_port ?? OFPP_ANY) !== OFPP_ANY || (bucket.watch_group ?? OFPG_ANY) !== OFPG_ANY;
    if (message.group_type !== "OFPGT_SELECT" && (bucket.weight ?? 0) !== 0)
      throw refuse("OFPGMFC_INVALID_GROUP", "a bucket's weight belongs to select groups");
    if (message.group_type === "OFPGT_FF" && !watches)
      throw refuse("OFPGMFC_INVALID_GROUP", "a bucket of a fast failover group watches a port or a group");
    if ((message.group_type === "OFPGT_ALL" || message.group_type === "OFPGT_INDIRECT") && watches)
      throw refuse("OFPGMFC_WATCH_UNSUPPORTED", "buckets of all and indirect groups watch nothing");
  }
}
