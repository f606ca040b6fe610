import { formatActions, formatInstructions, formatMatch } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import type { OdpAction } from "../dpif/actions.js";
import { DP_LANES, type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { keyToMatch } from "../flow/match.js";
import { formatKey, parseMatch } from "./match.js";
import type { Action, Instruction, Match } from "./of.js";
import type { Ofproto } from "./ofproto.js";
import { Rule } from "./rule.js";
import type { TraceEvent } from "./xlate/context.js";
import type { XlateResult } from "./xlate/pipeline.js";
import { translate } from "./xlate/pipeline.js";
import { OFPP } from "./xlate/reserved.js";

/** ofproto/trace: the very translation that an upcall makes, told step by step, with no effect. */
export interface Trace {
  /** The flow traced, as OpenFlow sees it. */
  readonly flow: Match;
  readonly events: readonly TraceEvent[];
  readonly result: XlateResult;
  /** The megaflow's match. in_port is the OpenFlow number. */
  readonly megaflow: Match;
  /** Why the packet is dropped, when it is. */
  readonly dropped: string | undefined;
}

/** What to trace: a match whose fields have values (ovs-ofctl's flow syntax, parsed), or a packet. */
export type TraceSubject =
  | { readonly match: Match }
  | { readonly packet: Uint8Array; readonly in_port: number };

/** Traces a packet that comes into a bridge. Throws OfpError when the flow makes no sense. */
export function trace(bridge: Ofproto, subject: TraceSubject): Trace {
  const { key, in_port } = "match" in subject ? fromMatch(subject.match) : fromPacket(bridge, subject);
  const events: TraceEvent[] = [];
  const inPort = bridge.portMap.get(in_port);
  const result = translate({
    bridge,
    inPort,
    in_port,
    key,
    start: "tables",
    record: (event) => events.push(snapshot(event)),
  });
  const shown = key.slice();
  shown[LANE_IN_PORT] = in_port;
  const isDropped = !sends(result.actions);
  return {
    flow: formatKey(shown, everyBitOf(shown)),
    events,
    result,
    megaflow: keyToMatch(shown, result.mask) as Match,
    dropped: isDropped
      ? (result.error ??
        events.findLast((event) => event.kind === "drop")?.text ??
        "no action sends it anywhere")
      : undefined,
  };
}

function fromMatch(match: Match): { key: FlowKey; in_port: number } {
  const { key } = parseMatch(match);
  const in_port = key[LANE_IN_PORT]!;
  return { key, in_port: in_port === 0 ? OFPP.ANY : in_port };
}

function fromPacket(
  bridge: Ofproto,
  { packet, in_port }: { packet: Uint8Array; in_port: number },
): { key: FlowKey; in_port: number } {
  return { key: bridge.backer.keyOf(packet, bridge.portMap.get(in_port)?.odpPort ?? 0), in_port };
}

/** A rule may change after the trace: what it says now is kept. */
function snapshot(event: TraceEvent): TraceEvent {
  const { subject } = event;
  if (!(subject instanceof Rule)) return event;
  const { subtable, priority, cookie, instructions, table_id } = subject;
  const key = subtable!.keyOf(subject, newFlowKey());
  return {
    ...event,
    subject: { table_id, priority, cookie, instructions, match: formatKey(key, subtable!.mask) },
  };
}

interface TracedRule {
  readonly table_id: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly instructions: readonly Instruction[];
  readonly match: Match;
}

/** Every bit of a packet; of what the pipeline sets, only where it is set. */
const everyBitOf = (key: FlowKey): Uint32Array =>
  key.map((value, lane) => (value === 0 && (lane === LANE_RECIRC_ID || lane >= DP_LANES) ? 0 : 0xffff_ffff));

const sends = (actions: readonly OdpAction[]): boolean =>
  actions.some((action) =>
    action.type === "clone" || action.type === "sample"
      ? sends(action.actions)
      : action.type === "output" || action.type === "userspace" || action.type === "recirc",
  );

/** The trace as `ovs-appctl ofproto/trace` prints one. */
export function formatTrace(traced: Trace): string {
  const lines = [`Flow: ${formatMatch(traced.flow) || "any"}`];
  for (const event of traced.events) lines.push(...formatEvent(event));
  lines.push(
    "",
    ...(traced.dropped === undefined ? [] : [`Dropped: ${traced.dropped}`]),
    `Megaflow: ${formatMatch(traced.megaflow) || "any"}`,
    `Datapath actions: ${formatOdpActions(traced.result.actions)}`,
  );
  return `${lines.join("\n")}\n`;
}

function formatEvent({ kind, depth, text, subject }: TraceEvent): string[] {
  const indent = "    ".repeat(depth + 1);
  switch (kind) {
    case "bridge": {
      const title = `bridge("${text}")`;
      return ["", title, "-".repeat(title.length)];
    }
    case "table": {
      const number = text.replace(/\D/g, "").padStart(2);
      const rule = subject as TracedRule | undefined;
      if (!rule) return [`${"    ".repeat(depth)}${number}. No match.`];
      const match = formatMatch(rule.match);
      const cookie = rule.cookie === 0n ? "" : `, cookie 0x${rule.cookie.toString(16)}`;
      return [
        `${"    ".repeat(depth)}${number}. ${match ? `${match}, ` : ""}priority ${rule.priority}${cookie}`,
      ];
    }
    case "conjunction": {
      const part = subject as TracedRule;
      const match = formatMatch(part.match);
      return [`${indent} -> conj. ${match ? `${match}, ` : ""}priority ${part.priority}`];
    }
    case "action":
      return formatStep(subject as { type: string }).map((line) => indent + line);
    case "note":
      return [`${indent} -> ${text}`];
    case "drop":
      return [`${indent}>>>> ${text}`];
  }
}

/** An action or instruction as ovs-ofctl writes it; those that only hold others are told by what they hold. */
function formatStep(step: { type: string }): string[] {
  if (step.type === "OFPIT_APPLY_ACTIONS" || step.type === "action_set") return [];
  if (step.type === "unroll" || step.type === "send") return [];
  return step.type.startsWith("OFPIT_")
    ? [formatInstructions([step as never])]
    : [formatActions([step as Action as never])];
}

/** Datapath actions as `ovs-appctl dpctl/dump-flows` writes them. */
export function formatOdpActions(actions: readonly OdpAction[]): string {
  return actions.length === 0 ? "drop" : actions.map(formatOdpAction).join(",");
}

function formatOdpAction(action: OdpAction): string {
  switch (action.type) {
    case "output":
      return `${action.port}`;
    case "set_field":
      return `set(${action.field}=0x${toHex(action.value)}${action.mask ? `/0x${toHex(action.mask)}` : ""})`;
    case "push_vlan":
      return `push_vlan(vid=${action.tci & 0xfff},pcp=${action.tci >> 13}${action.tpid === 0x8100 ? "" : `,tpid=0x${action.tpid.toString(16)}`})`;
    case "push_mpls":
      return `push_mpls(label=${action.lse >>> 12},tc=${(action.lse >>> 9) & 7},ttl=${action.lse & 255},bos=${(action.lse >>> 8) & 1},eth_type=0x${action.ethertype.toString(16)})`;
    case "pop_mpls":
      return `pop_mpls(eth_type=0x${action.ethertype.toString(16)})`;
    case "push_pbb":
      return `push_pbb(isid=${action.isid})`;
    case "userspace":
      return `userspace(cookie=${action.cookie})`;
    case "meter":
      return `meter(${action.meter_id})`;
    case "set_queue":
      return `set_queue(${action.queue_id})`;
    case "clone":
      return `clone(${formatOdpActions(action.actions)})`;
    case "sample":
      return `sample(sample=${((100 * action.probability) / 0xffff_ffff).toFixed(1)}%,actions(${formatOdpActions(action.actions)}))`;
    case "recirc":
      return `recirc(0x${action.id.toString(16)})`;
    case "trunc":
      return `trunc(${action.max_len})`;
    default:
      return action.type;
  }
}
