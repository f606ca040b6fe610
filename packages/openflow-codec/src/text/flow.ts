import type { Init } from "../schema/declare.js";
import type { Match } from "../v13/match.js";
import type { FlowMod } from "../v13/messages.js";
import type { FlowStats } from "../v13/multipart.js";
import { OFP_DEFAULT_PRIORITY, OFPFF, OFPG, OFPTT } from "../v13/numbers.js";
import { formatInstructions } from "./action-format.js";
import { parseInstructions } from "./action-parse.js";
import { named, refuse } from "./error.js";
import { formatMatch } from "./match-format.js";
import { isMatchWord, type MatchOptions, matchFromWords } from "./match-parse.js";
import { type PortNames, parsePort } from "./ports.js";
import { bigInteger, hexText, integer, scan, type Word } from "./scan.js";

/** Flows in ovs-ofctl's syntax: "table=1,tcp,tp_dst=80,actions=output:2". */

export type FlowCommand = "add" | "modify" | "modify_strict" | "delete" | "delete_strict";
type FlowModInit = Init<typeof FlowMod>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const COMMANDS = {
  add: "OFPFC_ADD",
  modify: "OFPFC_MODIFY",
  modify_strict: "OFPFC_MODIFY_STRICT",
  delete: "OFPFC_DELETE",
  delete_strict: "OFPFC_DELETE_STRICT",
} as const;

const FLAG_WORDS: Readonly<Record<string, number>> = {
  send_flow_rem: OFPFF.SEND_FLOW_REM,
  check_overlap: OFPFF.CHECK_OVERLAP,
  reset_counts: OFPFF.RESET_COUNTS,
  no_packet_counts: OFPFF.NO_PKT_COUNTS,
  no_byte_counts: OFPFF.NO_BYT_COUNTS,
};

/** What dump-flows prints and add-flow does not take: skipped, so that its output can be fed back. */
const IGNORED = new Set([
  "duration",
  "n_packets",
  "n_bytes",
  "idle_age",
  "hard_age",
  "no_readonly_table",
  "allow_hidden_fields",
]);

/** The text before "actions=" and the text after it. */
function splitActions(text: string): { head: string; actions: string | undefined } {
  const found = /(^|[,\s])actions?\s*=/.exec(text);
  return found === null
    ? { head: text, actions: undefined }
    : { head: text.slice(0, found.index), actions: text.slice(found.index + found[0].length) };
}

/** The flow_mod of an add-flow, mod-flows or del-flows argument. Throws TextError: one line that says what. */
export function parseFlow(
  text: string,
  command: FlowCommand = "add",
  options: MatchOptions = {},
): FlowModInit {
  const changes = command === "add" || command.startsWith("modify");
  const removes = command.startsWith("delete");
  const { head, actions } = changes ? splitActions(text) : { head: text, actions: undefined };
  if (changes && actions === undefined) return refuse("must specify an action");
  const flow: Mutable<FlowModInit> = { type: "OFPT_FLOW_MOD", command: COMMANDS[command], flags: 0 };
  let table: number | undefined;
  const matchWords: Word[] = [];
  for (const word of scan(head)) {
    const { key, value } = word;
    const flag = Object.hasOwn(FLAG_WORDS, key) ? FLAG_WORDS[key] : undefined;
    if (flag !== undefined && changes) {
      flow.flags = (flow.flags ?? 0) | flag;
    } else if (IGNORED.has(key)) {
    } else if (isMatchWord(word)) {
      matchWords.push(word);
    } else if (value === "") {
      refuse(`field ${key} missing value`);
    } else if (key === "table") {
      table = value.toLowerCase() === "all" ? OFPTT.ALL : integer(value, key, 255);
    } else if (key === "priority" && (changes || command === "delete_strict")) {
      flow.priority = integer(value, key, 0xffff);
    } else if ((key === "idle_timeout" || key === "hard_timeout") && changes) {
      flow[key] = integer(value, key, 0xffff);
    } else if (key === "importance" && command === "add") {
      integer(value, key, 0xffff); // OpenFlow 1.4: has no place in a message of 1.3
    } else if (key === "out_port" && removes) {
      flow.out_port = named("out_port", () => parsePort(value, options));
    } else if (key === "out_group" && removes) {
      flow.out_group = value.toLowerCase() === "any" ? OFPG.ANY : integer(value, key, 0xffffffff);
    } else if (key === "cookie") {
      Object.assign(flow, cookieOf(value, command));
    } else {
      refuse(`unknown keyword ${key}`);
    }
  }
  flow.match = matchFromWords(matchWords, options);
  flow.table_id = table ?? (removes ? OFPTT.ALL : 0);
  if (!removes && table === OFPTT.ALL) flow.table_id = 0;
  if (actions !== undefined) {
    flow.instructions = parseInstructions(actions, { ...options, match: flow.match as Match });
  }
  return flow;
}

function cookieOf(value: string, command: FlowCommand): Pick<FlowModInit, "cookie" | "cookie_mask"> {
  const [cookie = "", mask] = value.split("/");
  if (mask === undefined) {
    if (command.startsWith("delete")) {
      return refuse(`cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=${value}/-1)`);
    }
    return { cookie: bigInteger(cookie, "cookie") };
  }
  if (command === "add") return refuse("flow additions cannot use a cookie mask");
  return { cookie: bigInteger(cookie, "cookie"), cookie_mask: bigInteger(mask, "cookie mask") };
}

/** What dump-flows and dump-aggregate take: table, match, cookie/mask, out_port, out_group. */
export function parseFlowFilter(text: string, options: MatchOptions = {}) {
  const { table_id, match, cookie, cookie_mask, out_port, out_group } = parseFlow(text, "delete", options);
  return { table_id, match, cookie, cookie_mask, out_port, out_group };
}

/** "1s", "1.500s". */
export function formatDuration(sec: number, nsec: number): string {
  if (nsec === 0) return `${sec}s`;
  const digits = String(nsec).padStart(9, "0");
  // Milliseconds are what switches count in: three decimals where that is exact, else all there are.
  return `${sec}.${digits.endsWith("000000") ? digits.slice(0, 3) : digits.replace(/0+$/, "")}s`;
}

/** A counter that the switch does not keep is all ones. */
const counter = (value: bigint): string => (value === 0xffff_ffff_ffff_ffffn ? "?" : String(value));

export function formatFlowFlags(flags: number): string {
  if (flags === 0) return "";
  return [
    ...Object.entries(FLAG_WORDS)
      .filter(([, bit]) => flags & bit)
      .map(([word]) => word),
    ...(flags & ~0x1f ? [hexText(flags & ~0x1f)] : []),
  ]
    .map((word) => `${word} `)
    .join("");
}

/** A line of dump-flows, without the space before it. */
export function formatFlowStats(
  flow: FlowStats,
  ports: PortNames = {},
  options: { readonly stats?: boolean } = {},
): string {
  const stats = options.stats ?? true;
  const parts: string[] = [];
  if (stats || flow.cookie !== 0n) parts.push(`cookie=${hexText(flow.cookie)}`);
  if (stats) parts.push(`duration=${formatDuration(flow.duration_sec, flow.duration_nsec)}`);
  if (stats || flow.table_id !== 0) parts.push(`table=${flow.table_id}`);
  if (stats) parts.push(`n_packets=${counter(flow.packet_count)}`, `n_bytes=${counter(flow.byte_count)}`);
  if (flow.idle_timeout !== 0) parts.push(`idle_timeout=${flow.idle_timeout}`);
  if (flow.hard_timeout !== 0) parts.push(`hard_timeout=${flow.hard_timeout}`);
  const head = parts.map((part) => `${part}, `).join("") + formatFlowFlags(flow.flags);
  const match = formatPriorityAndMatch(flow.priority, flow.match, ports);
  return `${head}${match === "" ? "" : `${match} `}actions=${formatInstructions(flow.instructions, ports)}`;
}

export const formatPriorityAndMatch = (priority: number, match: Match, ports: PortNames = {}): string =>
  [priority === OFP_DEFAULT_PRIORITY ? "" : `priority=${priority}`, formatMatch(match, ports)]
    .filter((part) => part !== "")
    .join(",");
