import type { Init } from "../schema/declare.js";
import type { GroupMod } from "../v13/messages.js";
import { OFPG, OFPP } from "../v13/numbers.js";
import type { Bucket, BucketInit } from "../v13/structs.js";
import { formatActions } from "./action-format.js";
import { parseActions } from "./action-parse.js";
import { named, refuse } from "./error.js";
import { formatPort, type PortNames, parsePort } from "./ports.js";
import { integer, scan } from "./scan.js";

/** Groups in ovs-ofctl's syntax: "group_id=1,type=select,bucket=weight:10,actions=output:1,bucket=…". */

type GroupModInit = Init<typeof GroupMod>;
export type GroupCommand = "add" | "modify" | "delete";
const COMMANDS = { add: "OFPGC_ADD", modify: "OFPGC_MODIFY", delete: "OFPGC_DELETE" } as const;
const TYPES = {
  all: "OFPGT_ALL",
  select: "OFPGT_SELECT",
  indirect: "OFPGT_INDIRECT",
  ff: "OFPGT_FF",
  fast_failover: "OFPGT_FF",
} as const;
type GroupType = (typeof TYPES)[keyof typeof TYPES];
const U32 = 0xffffffff;

function groupId(text: string): number {
  if (text === "all") return OFPG.ALL;
  const id = integer(text, "group_id", U32);
  return id > OFPG.MAX && id !== OFPG.ALL ? refuse(`invalid group id ${id}`) : id;
}

/** The group_mod of an add-group, mod-group or del-groups argument. Throws TextError. */
export function parseGroup(text: string, command: GroupCommand = "add", ports: PortNames = {}): GroupModInit {
  const first = text.search(/bucket\s*=/);
  const head = first < 0 ? text : text.slice(0, first);
  let id: number | undefined = command === "delete" && text.trim() === "" ? OFPG.ALL : undefined;
  let type: GroupType | undefined;
  for (const { key, value } of scan(head)) {
    if (key === "group_id") id = groupId(value);
    else if (key === "type" && command !== "delete") {
      type = Object.hasOwn(TYPES, value)
        ? TYPES[value as keyof typeof TYPES]
        : refuse(`invalid group type ${value}`);
    } else refuse(key === "type" ? "type is not needed" : `unknown keyword ${key}`);
  }
  if (id === undefined) return refuse("must specify a group_id");
  if (command === "delete") {
    if (first >= 0) refuse("bucket is not needed");
    return { type: "OFPT_GROUP_MOD", command: COMMANDS[command], group_type: "OFPGT_ALL", group_id: id };
  }
  if (type === undefined) return refuse("must specify a type");
  const texts =
    first < 0
      ? []
      : text
          .slice(first)
          .split(/bucket\s*=/)
          .slice(1);
  const buckets = texts.map((bucket) => parseBucket(bucket, type, ports));
  if (type === "OFPGT_INDIRECT" && buckets.length !== 1)
    refuse("indirect groups must have exactly one bucket");
  return { type: "OFPT_GROUP_MOD", command: COMMANDS[command], group_type: type, group_id: id, buckets };
}

function parseBucket(text: string, type: GroupType, ports: PortNames): BucketInit {
  const bucket = {
    weight: type === "OFPGT_SELECT" ? 1 : 0,
    watch_port: OFPP.ANY as number,
    watch_group: OFPG.ANY as number,
  };
  const actions: string[] = [];
  for (const { key, value, delimiter, after } of scan(text)) {
    switch (key) {
      case "weight":
        bucket.weight = integer(value, key, 0xffff);
        break;
      case "watch_port":
        bucket.watch_port = named("watch_port", () => parsePort(value, ports));
        break;
      case "watch_group":
        bucket.watch_group = integer(value, key, U32);
        break;
      case "bucket_id":
        integer(value, key, U32); // OpenFlow 1.5: has no place in a message of 1.3
        break;
      case "action":
      case "actions":
        actions.push(value);
        break;
      default:
        actions.push(
          delimiter === "("
            ? `${key}(${value})${after}`
            : delimiter === ""
              ? key
              : `${key}${delimiter}${value}`,
        );
    }
  }
  if (actions.length === 0) refuse("bucket must specify actions");
  if (type === "OFPGT_FF" && bucket.watch_port === OFPP.ANY && bucket.watch_group === OFPG.ANY) {
    refuse("fast failover bucket requires watch_port or watch_group");
  }
  return { ...bucket, actions: parseActions(actions.join(","), ports) };
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  OFPGT_ALL: "all",
  OFPGT_SELECT: "select",
  OFPGT_INDIRECT: "indirect",
  OFPGT_FF: "ff",
};

/** What dump-groups prints of a group, without the space before it. */
export function formatGroup(
  group: {
    readonly group_id: number;
    readonly group_type: string | number;
    readonly buckets: readonly Bucket[];
  },
  ports: PortNames = {},
): string {
  const type = TYPE_WORDS[group.group_type] ?? "unknown";
  const buckets = group.buckets.map((bucket) => formatBucket(bucket, type, ports));
  return [`group_id=${group.group_id},type=${type}`, ...buckets].join(",");
}

function formatBucket(bucket: Bucket, type: string, ports: PortNames): string {
  const parts: string[] = [];
  if (bucket.weight !== (type === "select" ? 1 : 0)) parts.push(`weight:${bucket.weight}`);
  if (bucket.watch_port !== OFPP.ANY) parts.push(`watch_port:${formatPort(bucket.watch_port, ports)}`);
  if (bucket.watch_group !== OFPG.ANY) parts.push(`watch_group:${bucket.watch_group}`);
  parts.push(`actions=${formatActions(bucket.actions, ports)}`);
  return `bucket=${parts.join(",")}`;
}
