import { formatActions, formatInstructions, formatMatch, toJson } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import { formatOdpActions, type OdpSubject } from "../dpif/odp-text.js";
import type { Action, Match } from "./of.js";
import { hasActions, type RecirculatedTrace, type Trace, type TracedRule } from "./trace.js";
import type { TraceEvent } from "./xlate/context.js";

/** A trace as `ovs-appctl ofproto/trace` prints one, and as one JSON document. */

export function formatTrace(traced: Trace): string {
  const { recirculated, dropped } = traced;
  return [
    formatPart(traced),
    ...inOrder(recirculated).map((part) => {
      const title = `recirc(0x${part.recirc_id.toString(16)})`;
      return `\n${RULER}\n${title}\n${RULER}\n\n${formatPart(part)}`;
    }),
    ...(dropped === undefined ? [] : [`Dropped: ${dropped}\n`]),
  ].join("");
}

const RULER = "=".repeat(79);

/** In the order in which the datapath comes to them: those of one lookup before those that they lead to. */
function inOrder(traces: readonly RecirculatedTrace[]): RecirculatedTrace[] {
  const queue = [...traces];
  for (const { recirculated } of queue) queue.push(...recirculated);
  return queue;
}

/** Up to where the packet is sent, dropped or recirculated. */
function formatPart({ flow, finalFlow, megaflow, events, result }: Trace): string {
  const [before, after] = [formatMatch(flow), formatMatch(finalFlow)];
  const lines = [
    `Flow: ${before || "any"}`,
    ...layOut(events),
    "",
    `Final flow: ${after === before ? "unchanged" : after}`,
    `Megaflow: ${megaflowText(megaflow)}`,
    `Datapath actions: ${formatOdpActions(result.actions, subjectOf(flow))}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** Every datapath flow is of Ethernet packets, which Open vSwitch says. */
const megaflowText = (megaflow: Match): string =>
  formatMatch(megaflow).replace(/^(recirc_id=[^,]+)/, "$1,eth");

export function subjectOf({ eth_type, ip_proto }: Match): OdpSubject {
  return {
    ...(typeof eth_type === "number" ? { eth_type } : {}),
    ...(typeof ip_proto === "number" ? { ip_proto } : {}),
  };
}

/** How far bridges, tables and the steps under them are indented, in fours. */
interface Level {
  readonly bridge: number;
  readonly heading: number;
  readonly step: number;
}

/** Events as lines. What is nested is indented, but for the tables that the last action of a list leads to: those go
 *  on where the list was, as after goto_table. */
function* layOut(
  events: readonly TraceEvent[],
  depth = 0,
  level: Level = { bridge: 0, heading: 0, step: 1 },
): Generator<string> {
  for (let i = 0; i < events.length; ) {
    const event = events[i]!;
    if (event.depth <= depth) {
      yield* lines(event, level);
      i++;
      continue;
    }
    let end = i;
    while (end < events.length && events[end]!.depth > depth) end++;
    const isLast = end === events.length;
    const inBucket = events[i - 1]?.kind === "bucket";
    yield* layOut(events.slice(i, end), depth + 1, innerLevel(level, event.kind, inBucket, isLast));
    i = end;
  }
}

/** The level of what a step leads to, which begins with an event of `kind`. */
function innerLevel(level: Level, kind: TraceEvent["kind"], inBucket: boolean, isLast: boolean): Level {
  const { heading, step } = level;
  if (inBucket) return { bridge: heading + 2, heading: heading + 2, step: step + 2 };
  if (isLast) return { bridge: heading, heading, step };
  if (kind === "bridge") return { bridge: heading + 1, heading: heading + 2, step: step + 2 };
  if (kind === "table") return { bridge: heading + 1, heading: heading + 1, step: step + 2 };
  return level;
}

function* lines(event: TraceEvent, level: Level): Generator<string> {
  const [title, outer, indent] = [level.bridge, level.heading, level.step].map((n) => "    ".repeat(n));
  switch (event.kind) {
    case "bridge": {
      const name = `bridge("${event.text}")`;
      yield* ["", title + name, title + "-".repeat(name.length)];
      return;
    }
    case "table":
      yield outer! + tableText(event);
      if (event.subject !== undefined && !hasActions(event.subject as TracedRule)) yield `${indent}drop`;
      return;
    case "action_set":
      yield `${outer}--. ${event.text}`;
      return;
    case "conjunction": {
      const { match, priority } = event.subject as TracedRule;
      const text = formatMatch(match);
      yield `${indent} -> conj. ${text ? `${text}, ` : ""}priority ${priority}`;
      return;
    }
    case "action":
      for (const text of stepTexts(event.subject as { type: string })) yield indent! + text;
      return;
    case "bucket":
      yield indent! + event.text;
      return;
    case "thaw":
      yield* [`${indent}thaw`, `${indent}    ${event.text}`];
      return;
    case "note":
      yield event.text === NO_MATCH ? `${indent}drop` : `${indent} -> ${event.text}`;
      return;
    case "warning":
      yield `${indent} >> ${event.text}`;
      return;
    case "drop":
      yield event.text === NO_MATCH ? `${indent}drop` : `${indent}>>>> ${event.text} <<<<`;
  }
}

const NO_MATCH = "no match";

function tableText({ text, subject }: TraceEvent): string {
  const number = text.replace(/\D/g, "").padStart(2);
  const rule = subject as TracedRule | undefined;
  if (!rule) return `${number}. No match.`;
  const match = formatMatch(rule.match);
  const cookie = rule.cookie === 0n ? "" : `, cookie 0x${rule.cookie.toString(16)}`;
  return `${number}. ${match ? `${match}, ` : ""}priority ${rule.priority}${cookie}`;
}

/** An action or instruction as ovs-ofctl writes it; those that only hold others are told by what they hold. */
function stepTexts(step: { type: string }): string[] {
  if (step.type === "OFPIT_APPLY_ACTIONS" || step.type === "action_set") return [];
  if (step.type === "unroll" || step.type === "send" || step.type === "retag") return [];
  return step.type.startsWith("OFPIT_")
    ? [formatInstructions([step as never])]
    : [formatActions([step as Action as never])];
}

/** `steps` are what the text shows, in order; `depth` nests them. Matches and instructions are as in the codec's JSON
 *  of an OFPT_FLOW_MOD; in_port is the OpenFlow number, but in `actions`, which are the datapath's. `recirculated` tells
 *  how it goes on for what `actions` recirculate. */
export function traceToJson(traced: Trace): unknown {
  return { bridge: traced.bridge, ...partToJson(traced), dropped: traced.dropped ?? null };
}

function partToJson({ flow, finalFlow, megaflow, events, result, recirculated }: Trace): object {
  return {
    flow: matchJson(flow),
    steps: events.flatMap(stepJson),
    final_flow: matchJson(finalFlow),
    megaflow: matchJson(megaflow),
    actions: result.actions.map((action) => JSON.parse(JSON.stringify(action, plain)) as unknown),
    datapath_actions: formatOdpActions(result.actions, subjectOf(flow)),
    recirculated: recirculated.map((part) => ({ recirc_id: part.recirc_id, ...partToJson(part) })),
  };
}

const flowMod = (more: object): Record<string, unknown> =>
  toJson({ type: "OFPT_FLOW_MOD", ...more } as Parameters<typeof toJson>[0]) as Record<string, unknown>;

/** Fields that no OXM carries (nw_frag of an extension has one, mpls_ttl too) keep their values as they are. */
const matchJson = (match: Match): unknown => flowMod({ match }).match;

function stepJson({ depth, kind, text, subject }: TraceEvent): unknown[] {
  if (kind === "bridge") return [{ depth, kind, bridge: text }];
  if (kind === "table") {
    const table_id = Number(text.replace(/\D/g, ""));
    if (subject === undefined) return [{ depth, kind, table_id, rule: null }];
    return [{ depth, kind, table_id, rule: ruleJson(subject as TracedRule) }];
  }
  if (kind === "conjunction") return [{ depth, kind, rule: ruleJson(subject as TracedRule) }];
  if (kind === "action")
    return stepTexts(subject as { type: string }).map((action) => ({ depth, kind, text: action }));
  return [{ depth, kind, text }];
}

function ruleJson({ priority, ...rule }: TracedRule): unknown {
  const { cookie, match, instructions } = flowMod(rule);
  return { priority, cookie, match, instructions };
}

const plain = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? toHex(value) : typeof value === "bigint" ? `0x${value.toString(16)}` : value;
