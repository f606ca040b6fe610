import { fileURLToPath } from "node:url";
import { messageUnion, type OfMessage, ofErrors, oxmField } from "@sluice/openflow-codec";
import type { StructNode, UnionNode } from "@sluice/openflow-codec/schema";
import { toHex } from "@sluice/wire";
import { check } from "../process.js";

type Values = Readonly<Record<string, unknown>>;

const PROGRAM = fileURLToPath(new URL("os-ken.py", import.meta.url));

/** What os-ken's parser makes of each message: `null` where it has none for the type. */
export async function osKenParses(messages: readonly Uint8Array[]): Promise<(Values | null)[]> {
  const input = messages.map((bytes) => `${toHex(bytes)}\n`).join("");
  const output = await check(["/usr/bin/python3", PROGRAM], { input, timeoutMs: 120_000 });
  return output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Values | null);
}

/** Differences between a message as we decode it and as os-ken does, and how many values were compared. */
export interface Comparison {
  readonly differences: readonly string[];
  /** "CLASS.member" of what os-ken has and we do not under a name of that kind. */
  readonly alone: readonly string[];
  readonly compared: number;
}

/** os-ken's names for ours. A class's own come before those of all. */
const NAMES: Readonly<Record<string, string>> = {
  "OFPErrorMsg.type": "error_type",
  "OFPErrorMsg.code": "error_code",
  "OFPTableFeaturePropNextTables.table_ids": "next_table_ids",
  "OFPGroupDescStats.type": "group_type",
  "NXActionBundle.slave_type": "member_type",
  "NXActionBundle.slaves": "members",
  "NXActionBundleLoad.slave_type": "member_type",
  "NXActionBundleLoad.slaves": "members",
  "NXActionCT.zone_ofs_nbits": "zone",
  "NXActionNAT.range_ipv4_max": "ipv4_max",
  "NXActionNAT.range_ipv4_min": "ipv4_min",
  "NXActionNAT.range_ipv6_max": "ipv6_max",
  "NXActionNAT.range_ipv6_min": "ipv6_min",
  "NXActionNAT.range_proto_max": "proto_max",
  "NXActionNAT.range_proto_min": "proto_min",
  "NXActionRegMove.dst_field": "dst",
  "NXActionRegMove.src_field": "src",
  "NXActionResubmitTable.table_id": "table",
  "NXActionStackPop.start": "offset",
  "NXActionStackPush.start": "offset",
};

/** Members that os-ken gives in a form of its own, or not at all. */
const OTHERWISE: ReadonlySet<string> = new Set([
  "NXActionBundleLoad.dst",
  "NXActionCT.zone_src",
  // It takes every encap for one of Ethernet.
  "NXActionEncapEther.new_pkt_type",
  "NXActionUnknown.data",
  "NXActionLearn.specs",
]);

export function compareWithOsKen(ours: OfMessage, theirs: Values): Comparison {
  const comparer = new Comparer();
  comparer.compare(ours, theirs, "", "");
  return comparer;
}

class Comparer implements Comparison {
  readonly differences: string[] = [];
  readonly alone: string[] = [];
  compared = 0;

  compare(ours: unknown, theirs: unknown, path: string, className: string): void {
    const object = unwrapped(theirs);
    // Bodies that os-ken keeps as bytes, or takes apart in another way.
    if (/^(OFPExperimenter|NXT|ONF)/.test(object?.name ?? "")) this.alone.push(object!.name);
    else if (object?.name === "OFPMatch")
      this.#match(ours as Values, object.body.oxm_fields as Values[], path);
    else if (object?.name === "OXMTlv") this.#oxm(Object.entries(ours as Values)[0]!, object.body, path);
    else if (object !== undefined) this.compare(ours, object.body, path, object.name);
    else if (Array.isArray(theirs)) this.#list(ours, theirs, path, className);
    else if (typeof theirs === "object" && theirs !== null)
      this.#members(ours, theirs as Values, path, className);
    else this.#scalar(ours, theirs, path);
  }

  #members(ours: unknown, theirs: Values, path: string, className: string): void {
    if ((ours as Values).error_type === "OFPET_EXPERIMENTER") return;
    for (const [key, value] of Object.entries(theirs)) {
      const ownKey = NAMES[`${className}.${key}`] ?? key;
      const held = typeof ours === "object" ? (ours as Values)[ownKey] : undefined;
      // What is not there is an empty text or null there.
      if (held === undefined && (value === "" || value === null)) continue;
      // The class of a struct stands for its type.
      if (ownKey === "type" && typeof held === "string") continue;
      if (held === undefined || OTHERWISE.has(`${className}.${key}`)) this.alone.push(`${className}.${key}`);
      else this.compare(held, value, `${path}.${ownKey}`, `${className}.${key}`);
    }
  }

  #list(ours: unknown, theirs: readonly unknown[], path: string, className: string): void {
    const list = Array.isArray(ours) ? ours : (ours as { entries?: unknown }).entries;
    const own = ours instanceof Uint8Array ? [...ours] : list;
    // A body that is not a list is a list of one there.
    if (className.endsWith("StatsReply.body") && !Array.isArray(own))
      this.compare(ours, theirs[0], path, className);
    else if (!Array.isArray(own)) this.alone.push(`${className}[]`);
    else if (own.length !== theirs.length)
      this.differences.push(`${path}: ${own.length} items, os-ken has ${theirs.length}`);
    else
      own.forEach((item, i) => {
        this.compare(item, theirs[i], `${path}[${i}]`, className);
      });
  }

  #match(ours: Values, theirs: readonly Values[], path: string): void {
    const own = Object.entries(ours);
    if (own.length !== theirs.length)
      this.differences.push(`${path}: ${own.length} fields, os-ken has ${theirs.length}`);
    else
      own.forEach((entry, i) => {
        this.#oxm(entry, theirs[i]!.OXMTlv as Values, path);
      });
  }

  #oxm([name, held]: readonly [string, unknown], theirs: Values, path: string): void {
    const masked = typeof held === "object" && held !== null;
    const { value, mask } = masked ? (held as Values) : { value: held, mask: null };
    // A field that os-ken does not know.
    if (/^field_\d+$/.test(String(theirs.field))) return;
    // os-ken has names of its own for Nicira's fields.
    if (oxmField(name)?.class === 0x8000 && oxmField(name)?.name !== theirs.field)
      this.differences.push(`${path}.${name}: os-ken has ${String(theirs.field)}`);
    this.#scalar(value, theirs.value, `${path}.${name}`);
    this.#scalar(mask, theirs.mask, `${path}.${name} mask`);
  }

  #scalar(ours: unknown, theirs: unknown, path: string): void {
    this.compared++;
    if (!same(ours, theirs)) this.differences.push(`${path}: ${shown(ours)}, os-ken has ${String(theirs)}`);
  }
}

/** {"OFPFlowMod": {…}} is a value of that class. */
function unwrapped(value: unknown): { name: string; body: Values } | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const [entry, ...others] = Object.entries(value);
  if (entry === undefined || others.length > 0 || !/^(OFP|NX|ONF|OXM)/.test(entry[0])) return undefined;
  return { name: entry[0], body: entry[1] as Values };
}

const shown = (value: unknown): string => (value instanceof Uint8Array ? toHex(value) : String(value));

function same(ours: unknown, theirs: unknown): boolean {
  if (ours instanceof Uint8Array)
    return Buffer.from(String(theirs), "base64").equals(ours) || String(theirs) === toHex(ours);
  // Nicira's older numbers of a field have a suffix there and a prefix here.
  if (typeof ours === "string" && String(theirs).endsWith("_nxm"))
    return oxmField(ours)?.target.replace(/^ip_(?=src|dst)/, "ipv4_") === String(theirs).replace("_nxm", "");
  if (typeof ours === "string" && NUMBERS.has(ours)) return NUMBERS.get(ours) === Number(theirs);
  return String(ours) === String(theirs);
}

/** The numbers of all names that a declared enumeration or the table of errors has. */
const NUMBERS = new Map<string, number>(
  Object.values(ofErrors).flatMap(({ codes }) => codes.map((name, code): [string, number] => [name, code])),
);
function collect(node: StructNode | UnionNode, done: Set<object>): void {
  if (done.has(node)) return;
  done.add(node);
  const structs =
    node.kind === "struct" ? [node] : [...node.members, ...(node.fallback ? [node.fallback] : [])];
  for (const field of structs.flatMap(({ fields }) => Object.values(fields))) {
    if (field.kind === "uint")
      for (const [name, value] of Object.entries(field.enum?.values ?? {})) NUMBERS.set(name, value);
    else if (field.kind === "variant")
      for (const body of Object.values(field.of.members)) collect(body, done);
    else if ((field.kind === "list" || field.kind === "embed") && field.of.kind !== "ref")
      collect(field.of, done);
  }
  if (node.kind === "union") for (const member of structs) collect(member, done);
}
collect(messageUnion, new Set());
