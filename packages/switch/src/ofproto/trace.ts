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
  readonly bridge: string;
  /** The flow traced, as OpenFlow sees it, and what it was when the last action was done. */
  readonly flow: Match;
  readonly finalFlow: Match;
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

/** Traces a packet that comes into a bridge; with `actions`, one that a controller sends out with these. Throws
 *  OfpError when the flow makes no sense. */
export function trace(bridge: Ofproto, subject: TraceSubject, actions?: readonly Action[]): Trace {
  const { key, in_port } = "match" in subject ? fromMatch(subject.match) : fromPacket(bridge, subject);
  const events: TraceEvent[] = [];
  const inPort = bridge.portMap.get(in_port);
  const result = translate({
    bridge,
    inPort,
    in_port,
    key,
    start: actions === undefined ? "tables" : { actions },
    record: (event) => events.push(snapshot(event)),
  });
  const shown = key.slice();
  shown[LANE_IN_PORT] = in_port;
  const final = result.key.slice();
  final[LANE_IN_PORT] = in_port;
  return {
    bridge: bridge.name,
    flow: formatKey(shown, everyBitOf(shown)),
    finalFlow: formatKey(final, everyBitOf(final)),
    events,
    result,
    megaflow: keyToMatch(
      shown.map((value, lane) => value & result.mask[lane]!),
      result.mask,
    ) as Match,
    dropped: sends(result.actions) ? undefined : reasonOfDrop(result, events),
  };
}

/** Why nothing is sent: the error or drop that the trace came upon; else the last table that had nothing for the packet,
 *  or the last thing that went otherwise than the actions say. */
function reasonOfDrop({ error }: XlateResult, events: readonly TraceEvent[]): string {
  if (error !== undefined) return error;
  const tables = events.filter(({ kind }) => kind === "table");
  const last = tables.at(-1);
  if (last !== undefined && last.subject === undefined) return `no match in ${last.text}`;
  const told =
    events.findLast(({ kind }) => kind === "drop") ?? events.findLast(({ kind }) => kind === "note");
  if (told) return told.text;
  return last !== undefined && !hasActions(last.subject as TracedRule)
    ? `the flow in ${last.text} has no actions`
    : "no action sends it anywhere";
}

/** Whether a flow does anything with the packets that it matches. */
export const hasActions = ({ instructions }: TracedRule): boolean =>
  instructions.some((one) => one.type !== "OFPIT_APPLY_ACTIONS" || (one.actions ?? []).length > 0);

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

/** What a rule said when it was looked up. */
export interface TracedRule {
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
