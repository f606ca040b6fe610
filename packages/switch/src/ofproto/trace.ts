import type { OdpAction } from "../dpif/actions.js";
import { DP_LANES, type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { keyToMatch } from "../flow/match.js";
import { formatKey, parseMatch } from "./match.js";
import type { Action, Instruction, Match } from "./of.js";
import type { Ofproto } from "./ofproto.js";
import { Rule } from "./rule.js";
import type { Effect, TraceEvent } from "./xlate/context.js";
import { withoutUnset } from "./xlate/field.js";
import type { XlateInput, XlateResult } from "./xlate/pipeline.js";
import { translate } from "./xlate/pipeline.js";
import { OFPP } from "./xlate/reserved.js";

/** ofproto/trace: the very translation that an upcall makes, told step by step. It has no effect by itself. */
export interface Trace {
  readonly bridge: string;
  /** The flow traced, as OpenFlow sees it, and what it was when the last action was done. */
  readonly flow: Match;
  readonly finalFlow: Match;
  readonly events: readonly TraceEvent[];
  readonly result: XlateResult;
  /** The megaflow's match. in_port is the OpenFlow number. */
  readonly megaflow: Match;
  /** How it goes on for what is recirculated, in the order of recirculation; each goes on in turn. */
  readonly recirculated: readonly RecirculatedTrace[];
  /** Why the packet is dropped, here and wherever it is recirculated, when it is. */
  readonly dropped: string | undefined;
}

export interface RecirculatedTrace extends Trace {
  readonly recirc_id: number;
}

/** What to trace: a match whose fields have values (ovs-ofctl's flow syntax, parsed), or a packet. */
export type TraceSubject =
  | { readonly match: Match }
  | { readonly packet: Uint8Array; readonly in_port: number };

/** A packet looked up again more often than this goes nowhere, as in the datapath. */
const MAX_RECIRCULATIONS = 16;
/** Of a packet that goes on in several ways each time, so many are followed. */
const MAX_WAYS = 64;

interface Ways {
  left: number;
}

/** Traces a packet that comes into a bridge; with `actions`, one that a controller sends out with these. Where the
 *  packet is recirculated, the trace goes on with the bytes that it has by then; of a flow without bytes, with what is
 *  known of it: headers that come up are 0. Throws OfpError when the flow makes no sense. */
export function trace(bridge: Ofproto, subject: TraceSubject, actions?: readonly Action[]): Trace {
  const start = actions === undefined ? ("tables" as const) : { actions };
  if ("packet" in subject) {
    const inPort = bridge.portMap.get(subject.in_port);
    const key = bridge.backer.keyOf(subject.packet, inPort?.odpPort ?? 0);
    return traceFrom({ bridge, inPort, in_port: subject.in_port, start }, key, subject.packet);
  }
  const { key } = parseMatch(subject.match);
  const in_port = key[LANE_IN_PORT]! || OFPP.ANY;
  return traceFrom({ bridge, inPort: bridge.portMap.get(in_port), in_port, start }, key, undefined);
}

/** Traces a packet that comes back with a recirc_id which stands for something. */
export function traceRecirculated(bridge: Ofproto, subject: TraceSubject, recirc_id: number): Trace {
  const frozen = bridge.backer.frozen(recirc_id)!;
  const owner = frozen.bridge as Ofproto;
  const inPort = owner.portMap.get(frozen.in_port);
  const packet = "packet" in subject ? subject.packet : undefined;
  const key = "packet" in subject ? bridge.backer.keyOf(subject.packet, 0) : parseMatch(subject.match).key;
  key.fill(0, DP_LANES);
  key[LANE_RECIRC_ID] = recirc_id;
  const from: Start = { bridge: owner, inPort, in_port: frozen.in_port, start: { frozen } };
  return traceFrom(from, key, packet);
}

/** What a packet that is traced would do beside being forwarded: addresses are learned, flows too. */
export const effectsOf = ({ result, recirculated }: Trace): readonly Effect[] => [
  ...result.effects,
  ...recirculated.flatMap(effectsOf),
];

/** What is traced, where it starts, and by which port it came. */
type Start = Pick<XlateInput, "inPort" | "in_port" | "start"> & { readonly bridge: Ofproto };

function traceFrom(
  from: Start,
  key: FlowKey,
  packet: Uint8Array | undefined,
  recircs = 0,
  ways: Ways = { left: MAX_WAYS },
): Trace {
  const { bridge, in_port } = from;
  const recorded: TraceEvent[] = [];
  const result = translate({ ...from, key, record: (event) => recorded.push(snapshot(event)) });
  const shown = withoutUnset(key.slice());
  shown[LANE_IN_PORT] = in_port;
  const final = withoutUnset(result.key.slice());
  final[LANE_IN_PORT] = in_port;
  const events = recorded.filter(({ kind }) => kind !== "freeze");
  const recirculated =
    recircs < MAX_RECIRCULATIONS ? goOn(bridge, recorded, result.actions, packet, recircs, ways) : [];
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
    recirculated,
    dropped: sends(result.actions)
      ? undefined
      : recirculated.length > 0
        ? dropOfAll(recirculated)
        : reasonOfDrop(result, events),
  };
}

/** Traces what `actions` recirculate. */
function goOn(
  bridge: Ofproto,
  events: readonly TraceEvent[],
  actions: readonly OdpAction[],
  packet: Uint8Array | undefined,
  recircs: number,
  ways: Ways,
): RecirculatedTrace[] {
  const { backer } = bridge;
  const again =
    packet === undefined
      ? events
          .filter(({ kind }) => kind === "freeze")
          .map(({ subject }) => ({ ...(subject as { id: number; key: FlowKey }), packet: undefined }))
      : backer.dpif
          .rehearse(packet, actions)
          .map(({ id, packet }) => ({ id, packet, key: backer.keyOf(packet, 0) }));
  return again.flatMap(({ id, key, packet }) => {
    const frozen = backer.frozen(id);
    if (!frozen || ways.left === 0) return [];
    ways.left--;
    const { in_port } = frozen;
    const owner = frozen.bridge as Ofproto;
    const inPort = owner.portMap.get(in_port);
    const fresh = key.slice();
    fresh.fill(0, DP_LANES);
    fresh[LANE_RECIRC_ID] = id;
    const from: Start = { bridge: owner, inPort, in_port, start: { frozen } };
    return [{ ...traceFrom(from, fresh, packet, recircs + 1, ways), recirc_id: id }];
  });
}

/** Why nothing is sent by any of them: what the last one says. */
const dropOfAll = (traces: readonly RecirculatedTrace[]): string | undefined =>
  traces.some(({ dropped }) => dropped === undefined) ? undefined : traces.at(-1)!.dropped;

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
    "actions" in action ? sends(action.actions) : action.type === "output" || action.type === "userspace",
  );
