import type { Wildcards } from "../../classifier/classifier.js";
import type { OdpAction } from "../../dpif/actions.js";
import type { FlowKey, FlowMask } from "../../flow/flow-key.js";
import type { Action, FlowMod } from "../of.js";
import type { Rule } from "../rule.js";
import type { Sink } from "../sink.js";
import type { Step } from "./steps.js";
import type { XBridge, XPort, XTable } from "./world.js";

/** Bounds on one translation: what is beyond is dropped and counted. As in Open vSwitch. */
/** Of recursion: resubmits to the same or an earlier table, groups, patch ports, clones (ovs-actions(7)). */
const MAX_RECURSION = 64;
/** Resubmits to later tables come to an end by themselves: they count among all that is nested alone. */
const MAX_DEPTH = MAX_RECURSION + 254;
export const MAX_LOOKUPS = 4096;
export const MAX_ACTIONS = 4096;

/** A source address heard: who translates tells the bridge, packet by packet as they are counted. */
export interface MacHeard {
  readonly bridge: XBridge;
  readonly vlan: number;
  readonly mac: number;
  readonly port: XPort;
}

/** What translation finds besides actions; applied when a packet was really seen. */
export type Effect =
  | { readonly type: "mac"; readonly heard: MacHeard }
  | {
      readonly type: "learn";
      readonly bridge: XBridge;
      readonly flow: FlowMod;
      /** Flows with its cookie that its table may have; 0: any number. */
      readonly limit: number;
    }
  /** A TCP connection ended: the rule's timeouts are these, s, where they are not shorter; 0: as they are. */
  | {
      readonly type: "fin";
      readonly bridge: XBridge;
      readonly rule: Rule;
      readonly idle: number;
      readonly hard: number;
    };

export interface TableLookup {
  readonly table: XTable;
  /** Of the rule found; -1: none. */
  readonly priority: number;
  /** What was looked up, where actions have changed it: the flow, and the bits of it that do not depend on the packet,
   *  given the megaflow. undefined: it was the packet as it came into the first bridge. */
  readonly changed: { readonly key: FlowKey; readonly known: FlowMask } | undefined;
}

/** Tells what happens, for ofproto/trace. `depth` nests. */
export type Recorder = (event: TraceEvent) => void;

export interface TraceEvent {
  readonly depth: number;
  readonly kind:
    | "bridge"
    | "table"
    | "conjunction"
    | "action"
    | "action_set"
    | "bucket"
    | "note"
    | "warning"
    | "drop"
    | "freeze"
    | "thaw";
  readonly text: string;
  /** The rule or action that the event is about; of "freeze" the recirc_id, and the flow as it is known by then. */
  readonly subject?: unknown;
}

/** The state of one translation. */
export interface Context {
  bridge: XBridge;
  inPort: XPort | undefined;
  /** OpenFlow number of the port the packet came in by; may be reserved, as in a packet-out. */
  in_port: number;
  /** The flow as it is by now. */
  key: Uint32Array;
  readonly wildcards: Wildcards;
  out: OdpAction[];
  readonly sinks: Sink[];
  readonly effects: Effect[];
  /** Tables looked up and MAC addresses asked for: what the result depends on besides the packet. */
  readonly lookups: TableLookup[];
  readonly macLookups: string[];
  /** Whether `key` still is the packet's own, as it came into the first bridge. */
  pristine: boolean;
  table_id: number;
  cookie: bigint;
  /** The rule that acts; undefined in an action set, a bucket, a packet-out, and after recirculation. */
  rule: Rule | undefined;
  /** Whether the rule that acts is a table-miss entry: its packet-ins say so. */
  tableMiss: boolean;
  actionSet: readonly Action[];
  stack: bigint[];
  /** The queue that outputs go to by now. */
  queue: number;
  /** How deep what runs is nested, and how much of that is recursion. */
  depth: number;
  recursion: number;
  actions: number;
  /** Not undefined once the rest has to wait for recirculation: the steps left, innermost first. */
  frozen: Step[] | undefined;
  /** Of a frozen translation that goes on in two ways, by the packet's length: what is written for which. */
  fork: { readonly pkt_len: number; readonly write: (isLarger: boolean) => void } | undefined;
  /** Whether "exit" was met, or a TTL ran out. */
  exited: boolean;
  /** Whether it was a TTL: what has resubmitted goes on (ovs-actions(7), dec_ttl). */
  expired: boolean;
  /** Whether it is true for one packet alone, which changes what it depends on. */
  isUnsettled: boolean;
  /** Why the translation failed as a whole. */
  error: XlateError | undefined;
  readonly record: Recorder | undefined;
}

export type XlateError =
  | "too deep"
  | "too many lookups"
  | "too many actions"
  | "too many contexts"
  | "stack too deep"
  | "unknown recirculation";

export function fail(ctx: Context, error: XlateError): void {
  ctx.error ??= error;
  ctx.exited = true;
  ctx.record?.({ depth: ctx.depth, kind: "drop", text: error });
}

/** Nests one level deeper; false where the translation fails because that is too deep. `ascend` undoes it. */
export function descend(ctx: Context, isRecursion: boolean): boolean {
  if (ctx.depth >= MAX_DEPTH || (isRecursion && ctx.recursion >= MAX_RECURSION)) {
    fail(ctx, "too deep");
    return false;
  }
  ctx.depth++;
  if (isRecursion) ctx.recursion++;
  return true;
}

export function ascend(ctx: Context, isRecursion: boolean): void {
  ctx.depth--;
  if (isRecursion) ctx.recursion--;
}

/** Runs `body` on a copy of the packet: what it changes does not outlast it (a bucket, a peer bridge, a clone). */
export function onCopy(ctx: Context, body: () => void, finishFreeze: (ctx: Context) => void): void {
  const {
    key,
    out,
    bridge,
    inPort,
    in_port,
    table_id,
    cookie,
    rule,
    tableMiss,
    actionSet,
    stack,
    queue,
    exited,
    pristine,
  } = ctx;
  if (!descend(ctx, true)) return;
  const fixed = ctx.wildcards.fixed;
  ctx.key = key.slice();
  ctx.wildcards.fixed = fixed.slice();
  ctx.out = [];
  ctx.stack = stack.slice();
  body();
  if (ctx.frozen) finishFreeze(ctx);
  ascend(ctx, true);
  const inner = ctx.out;
  // What was looked at is pinned for the original too.
  for (let lane = 0; lane < fixed.length; lane++) fixed[lane]! |= ctx.wildcards.mask[lane]!;
  ctx.wildcards.fixed = fixed;
  if (ctx.error === undefined) {
    ctx.exited = exited;
    ctx.expired = false;
  }
  Object.assign(ctx, {
    key,
    out,
    bridge,
    inPort,
    in_port,
    table_id,
    cookie,
    rule,
    tableMiss,
    actionSet,
    stack,
    queue,
    pristine,
  });
  if (inner.every(leavesPacketAlone)) out.push(...inner);
  else out.push({ type: "clone", actions: inner });
}

const leavesPacketAlone = (action: OdpAction): boolean =>
  action.type === "output" || action.type === "userspace" || action.type === "clone";
