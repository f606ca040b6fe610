import type { Conjoined, Wildcards } from "../../classifier/classifier.js";
import type { OdpAction } from "../../dpif/actions.js";
import {
  type FlowKey,
  type FlowMask,
  flowField,
  getField,
  getFieldBig,
  newFlowKey,
  setField as writeField,
} from "../../flow/flow-key.js";
import { LANE_CONJ_ID } from "../../flow/lanes.js";
import type { Action } from "../of.js";
import type { Rule } from "../rule.js";
import type { Sink } from "../sink.js";
import { orderOfSet, outputOfSet, writeToSet } from "./action-set.js";
import { chooseBuckets } from "./buckets.js";
import {
  type Context,
  type Effect,
  fail,
  MAX_ACTIONS,
  MAX_LOOKUPS,
  onCopy,
  type Recorder,
  type TableLookup,
  type TraceEvent,
  type XlateError,
} from "./context.js";
import type { Frozen } from "./contexts.js";
import { enterPipeline, look, pinPipeline, pipelineOf, restorePipeline } from "./field.js";
import { flowHash } from "./flow-hash.js";
import { type Hooks, headerActions, see, setField, setQueue, setTags } from "./header-actions.js";
import { type Engine, niciraActions, resubmit } from "./nicira-actions.js";
import { decideNormal, type Tag, type Tags } from "./normal.js";
import { OFPC_FRAG, OFPP, OFPTT } from "./reserved.js";
import type { Step } from "./steps.js";
import { OFPPC, type XBridge, type XPort, type XTable } from "./world.js";

/** # Translation
 *
 *  **What.** From a packet's flow to what the datapath shall do with every packet like it: datapath actions, the
 *  mask that says which packets are like it, whom to credit, and effects (a MAC heard) to apply when one is seen.
 *
 *  **Design.** Instructions and actions are steps; `run` looks each up in a table of handlers and goes on until the
 *  list ends. Nothing outside the context changes, so that the same call serves an upcall, a revalidation, a
 *  packet-out and a trace.
 *
 *  **Freezing.** When the flow no longer tells what the packet holds (pop_mpls uncovers an IP header), the steps
 *  left are put aside in `frozen` by every level on the way out, and the datapath gets a `recirc` with a number
 *  for them; the packet comes back as an upcall with that number. So does what depends on the packet's length, with
 *  one number for longer packets and one for the others: the flow does not tell a length.
 *
 *  **Invariants.** A decision on a bit of the packet goes through `look`, `see` or a classifier lookup first. The
 *  actions put out so far make the datapath's packet what `key` says. */

export interface XlateInput {
  readonly bridge: XBridge;
  readonly inPort: XPort | undefined;
  /** The number that in_port matches: inPort's, or a reserved one. */
  readonly in_port: number;
  readonly key: FlowKey;
  /** From the first table, a packet-out's actions, or where a frozen translation stopped. */
  readonly start: "tables" | { readonly actions: readonly Action[] } | { readonly frozen: Frozen };
  readonly record?: Recorder | undefined;
  /** Memory that the result's key and mask may lie in, until it is used again. */
  readonly scratch?: XlateScratch | undefined;
}

/** Keys that a translation works on. */
export class XlateScratch {
  readonly key: FlowKey = newFlowKey();
  readonly mask: FlowMask = newFlowKey();
  readonly fixed: FlowMask = newFlowKey();
}

export interface XlateResult {
  readonly actions: readonly OdpAction[];
  /** Bits of the datapath's key on which the result depends; in_port and recirc_id are always among them. */
  readonly mask: FlowMask;
  readonly sinks: readonly Sink[];
  readonly effects: readonly Effect[];
  readonly lookups: readonly TableLookup[];
  /** `macTag`s. */
  readonly macLookups: readonly string[];
  /** The flow as the last action left it. */
  readonly key: FlowKey;
  /** Whether it is true for the packet that it was made for, but not for those after it. */
  readonly isUnsettled: boolean;
  /** Set: the packet is dropped. */
  readonly error: XlateError | undefined;
}

/** What a packet-in says that no one flow has sent, but an action set, a bucket or a packet-out (1.3.5 §7.4.1). */
const NO_COOKIE = 0xffff_ffff_ffff_ffffn;

/** What every translation depends on, before it has looked at anything. */
const FIRST_LOOKS = firstLooks();

function firstLooks(): Wildcards {
  const wildcards = { mask: newFlowKey(), fixed: newFlowKey() };
  for (const name of ["in_port", "recirc_id", "eth_type"]) look(wildcards, flowField(name));
  pinPipeline(wildcards);
  return wildcards;
}

export function translate(input: XlateInput): XlateResult {
  const { bridge, inPort, in_port, start } = input;
  const { key, mask, fixed } = input.scratch ?? new XlateScratch();
  key.set(input.key);
  mask.set(FIRST_LOOKS.mask);
  fixed.set(FIRST_LOOKS.fixed);
  const ctx: Context = {
    bridge,
    inPort,
    in_port,
    key,
    wildcards: { mask, fixed },
    out: [],
    sinks: [],
    effects: [],
    table_id: 0,
    cookie: NO_COOKIE,
    rule: undefined,
    tableMiss: false,
    actionSet: [],
    stack: [],
    queue: 0,
    depth: 0,
    recursion: 0,
    lookups: [],
    macLookups: [],
    pristine: start === "tables",
    actions: 0,
    frozen: undefined,
    fork: undefined,
    exited: false,
    expired: false,
    isUnsettled: false,
    error: undefined,
    record: input.record,
  };
  enterPipeline(ctx.key, in_port);
  ctx.record?.({ depth: 0, kind: "bridge", text: bridge.name, subject: inPort });
  if (start === "tables") {
    if (admits(ctx)) pipeline(ctx, 0);
  } else if ("actions" in start) {
    run(ctx, start.actions);
    if (ctx.frozen === undefined) executeActionSet(ctx);
  } else {
    const { frozen } = start;
    note(ctx, "thaw", `Resuming from table ${frozen.table_id}`);
    restorePipeline(ctx.key, frozen.pipeline);
    ctx.table_id = frozen.table_id;
    ctx.cookie = frozen.cookie;
    ctx.actionSet = frozen.actionSet;
    ctx.stack = [...frozen.stack];
    setQueue(ctx, frozen.queue);
    run(ctx, frozen.steps);
  }
  if (ctx.frozen) finishFreeze(ctx);
  return {
    actions: ctx.error ? [] : withoutLastClone(ctx.out),
    mask: ctx.wildcards.mask,
    sinks: ctx.sinks,
    effects: ctx.effects,
    lookups: ctx.lookups,
    macLookups: ctx.macLookups,
    key: ctx.key,
    isUnsettled: ctx.isUnsettled,
    error: ctx.error,
  };
}

/** Whether the input port and the fragment mode let the packet in at all. */
function admits(ctx: Context): boolean {
  if (ctx.inPort && (ctx.inPort.config & (OFPPC.NO_RECV | downIfPatch(ctx.inPort))) !== 0) {
    note(ctx, "drop", `port ${ctx.inPort.name} is down or does not receive`);
    return false;
  }
  const { fragments } = ctx.bridge;
  const isHeld = fragments === OFPC_FRAG.DROP || fragments === OFPC_FRAG.REASM;
  if (!isHeld || see(ctx, "nw_frag") === 0) return true;
  if (fragments === OFPC_FRAG.DROP) note(ctx, "drop", "IP fragments are dropped");
  else awaitRest(ctx);
  return false;
}

/** Hands a fragment over to wait for the rest of its datagram, which then comes in by the same port. */
function awaitRest(ctx: Context): void {
  note(ctx, "note", "waits for the rest of its datagram");
  const cookie = ctx.bridge.contexts.packetIn({
    bridge: ctx.bridge,
    reason: "fragment",
    table_id: 0,
    cookie: 0n,
    max_len: undefined,
    in_port: ctx.in_port,
    pipeline: pipelineOf(ctx.key),
    controllerId: 0,
    userdata: undefined,
  });
  if (cookie === 0) fail(ctx, "too many contexts");
  else ctx.out.push({ type: "userspace", cookie, max_len: 0xffff });
}

/** A device that is down neither receives nor sends by itself; a patch port has none. */
const downIfPatch = (port: XPort): number => (port.odpPort === undefined ? OFPPC.PORT_DOWN : 0);

/** Starts the pipeline of the bridge that `port` belongs to, with a packet that came in by it. */
function enter(ctx: Context, port: XPort): void {
  ctx.bridge = port.bridge;
  ctx.inPort = port;
  ctx.in_port = port.ofport;
  ctx.actionSet = [];
  ctx.pristine = false;
  enterPipeline(ctx.key, port.ofport);
  note(ctx, "bridge", port.bridge.name, port);
  if (admits(ctx)) pipeline(ctx, 0);
}

function pipeline(ctx: Context, table_id: number): void {
  lookupTable(ctx, table_id);
  if (ctx.frozen) ctx.frozen.push({ type: "action_set" });
  else executeActionSet(ctx);
}

/** Looks the flow up in a table and runs the rule found. Without one the packet is dropped (1.3.5 §5.4). */
const IN_PORT = flowField("in_port");
const ACTSET_OUTPUT = flowField("actset_output");

function lookupTable(ctx: Context, table_id: number, missDrops = true, in_port = ctx.in_port): void {
  if (ctx.lookups.length >= MAX_LOOKUPS) {
    fail(ctx, "too many lookups");
    return;
  }
  const table = ctx.bridge.tables[table_id];
  ctx.table_id = table_id;
  if (!table) {
    beyondTables(ctx, table_id);
    return;
  }
  ctx.sinks.push(table.looked);
  const conjoined: Conjoined<Rule>[] = [];
  writeField(ctx.key, IN_PORT, in_port);
  const rule = table.rules.lookup(ctx.key, ctx.wildcards, conjoined);
  ctx.lookups.push({
    table,
    priority: conjoined.find((one) => one.rule)?.priority ?? rule?.priority ?? -1,
    changed: ctx.pristine ? undefined : { key: ctx.key.slice(), known: ctx.wildcards.fixed.slice() },
  });
  note(ctx, "table", `table ${table_id}`, rule);
  for (const one of conjoined) lookedWithId(ctx, table, one);
  writeField(ctx.key, IN_PORT, ctx.in_port);
  if (!rule) {
    if (missDrops) ctx.actionSet = [];
    note(ctx, missDrops ? "drop" : "note", "no match");
    return;
  }
  ctx.sinks.push(table.matched, rule);
  ctx.cookie = rule.cookie;
  ctx.rule = rule;
  ctx.tableMiss = rule.isTableMiss;
  run(ctx, rule.instructions);
}

/** Table 254 is Open vSwitch's own: each packet finds a flow there that does nothing with it. There is no table 255. */
function beyondTables(ctx: Context, table_id: number): void {
  note(ctx, "table", `table ${table_id}`);
  note(ctx, "drop", "no match");
  if (table_id !== OFPTT.MAX) ctx.actionSet = [];
}

/** A flow that fulfilled a conjunction was looked up a second time, with the conjunction's id in it. */
function lookedWithId(ctx: Context, table: XTable, { id, clauses, rule }: Conjoined<Rule>): void {
  const key = ctx.key.slice();
  key[LANE_CONJ_ID] = id;
  const known = ctx.wildcards.fixed.slice();
  ctx.lookups.push({ table, priority: rule?.priority ?? -1, changed: { key, known } });
  if (!ctx.record) return;
  for (const clause of clauses) note(ctx, "conjunction", `${id}`, clause);
  if (!rule) note(ctx, "note", `no flow for conj_id=${id}`);
}

function setActions(ctx: Context, actions: readonly Action[]): void {
  ctx.actionSet = actions;
  const port = outputOfSet(actions) ?? OFPP.UNSET;
  if (getField(ctx.key, ACTSET_OUTPUT) === port) return;
  ctx.pristine = false;
  writeField(ctx.key, ACTSET_OUTPUT, port);
}

function executeActionSet(ctx: Context): void {
  const actions = orderOfSet(ctx.actionSet);
  setActions(ctx, []);
  ctx.tableMiss = false;
  ctx.cookie = NO_COOKIE;
  ctx.rule = undefined;
  if (actions.length > 0) note(ctx, "action_set", "Executing action set:");
  run(ctx, actions);
}

type StepHandler = (ctx: Context, step: never) => void;

/** Runs steps in order; puts those left aside when the translation freezes. */
export function run(ctx: Context, steps: readonly Step[]): void {
  for (let i = 0; i < steps.length; i++) {
    if (ctx.exited) return;
    const step = steps[i]!;
    if (ctx.actions++ >= MAX_ACTIONS) {
      fail(ctx, "too many actions");
      return;
    }
    if (ctx.record) note(ctx, "action", step.type, step);
    const handler = handlers[step.type];
    if (handler) handler(ctx, step as never);
    if (ctx.frozen) {
      ctx.frozen.push(...steps.slice(i + 1));
      return;
    }
  }
}

const hooks: Hooks = {
  reparse(ctx) {
    ctx.frozen = [];
  },
  ttlExpired(ctx, controllerIds) {
    note(ctx, "drop", "TTL exceeded");
    for (const controllerId of controllerIds) toController(ctx, "OFPR_INVALID_TTL", { controllerId });
    ctx.actionSet = [];
    ctx.exited = true;
    ctx.expired = true;
  },
};

type StepOf<T extends Step["type"]> = Extract<Step, { type: T }>;
type StepHandlers = { readonly [T in Step["type"]]?: (ctx: Context, step: StepOf<T>) => void };

const pipelineSteps: StepHandlers = {
  OFPAT_OUTPUT: (ctx, { port, max_len }) => output(ctx, port, max_len),
  OFPAT_GROUP: (ctx, { group_id }) => throughGroup(ctx, group_id),
  OFPIT_APPLY_ACTIONS: (ctx, { actions }) => run(ctx, actions ?? []),
  OFPIT_WRITE_ACTIONS(ctx, { actions }) {
    setActions(ctx, writeToSet(ctx.actionSet, actions ?? []));
  },
  OFPIT_CLEAR_ACTIONS: (ctx) => setActions(ctx, []),
  OFPIT_WRITE_METADATA: (ctx, { metadata, metadata_mask }) =>
    setField(ctx, flowField("metadata"), metadata, metadata_mask),
  OFPIT_GOTO_TABLE: (ctx, { table_id }) => lookupTable(ctx, table_id),
  OFPIT_METER(ctx, { meter_id }) {
    const meter = ctx.bridge.meters.get(meter_id);
    if (!meter) return;
    ctx.sinks.push(meter);
    ctx.out.push({ type: "meter", meter_id: meter.dpId });
  },
  action_set: executeActionSet,
  unroll(ctx, { table_id, cookie }) {
    ctx.table_id = table_id;
    ctx.cookie = cookie;
  },
  send: (ctx, { port }) => sendTo(ctx, port),
  retag: (ctx, { pops, pushes, kept }) => setTags(ctx, pops, pushes, kept, hooks),
};

const engine: Engine = {
  ...hooks,
  fork(ctx, pkt_len, write) {
    ctx.frozen = [];
    ctx.fork = { pkt_len, write };
  },
  run,
  resubmit: (ctx, table_id, in_port) => lookupTable(ctx, table_id, false, in_port),
  output,
  group: throughGroup,
  onCopy: (ctx, body) => onCopy(ctx, body, finishFreeze),
  toController,
};

const handlers: Readonly<Record<string, StepHandler | undefined>> = {
  ...pipelineSteps,
  ...Object.fromEntries(
    Object.entries({ ...headerActions, ...niciraActions }).map(([type, handler]) => [
      type,
      (ctx: Context, step: never) =>
        (handler as (ctx: Context, step: never, engine: Engine) => void)(ctx, step, engine),
    ]),
  ),
};

/** OFPAT_OUTPUT: to a port or a reserved port (1.3.5 §4.5). */
function output(ctx: Context, port: number, max_len: number | undefined): void {
  const reserved = reservedPorts[port];
  if (reserved) {
    reserved(ctx, max_len);
    return;
  }
  if (port === ctx.in_port) {
    note(ctx, "note", "output to the input port needs IN_PORT");
    return;
  }
  const target = ctx.bridge.portMap.get(port);
  if (target) sendTo(ctx, target);
  else note(ctx, "note", `there is no port ${port}`);
}

const reservedPorts: Readonly<
  Record<number, ((ctx: Context, max_len: number | undefined) => void) | undefined>
> = {
  [OFPP.IN_PORT](ctx) {
    if (ctx.inPort) sendTo(ctx, ctx.inPort);
    else note(ctx, "note", "there is no input port to send back to");
  },
  [OFPP.TABLE]: (ctx) => resubmit(ctx, OFPP.IN_PORT, 0, engine),
  [OFPP.NORMAL]: (ctx) => normal(ctx),
  [OFPP.FLOOD]: (ctx) => flood(ctx, OFPPC.NO_FLOOD),
  [OFPP.ALL]: (ctx) => flood(ctx, 0),
  [OFPP.CONTROLLER]: (ctx, max_len) =>
    toController(ctx, ctx.tableMiss ? "OFPR_NO_MATCH" : "OFPR_ACTION", { max_len: max_len ?? 0xffff }),
};

function flood(ctx: Context, unless: number): void {
  for (const port of ctx.bridge.portMap.values()) {
    if (port !== ctx.inPort && (port.config & unless) === 0) sendTo(ctx, port);
  }
}

/** Sends the packet as it is by now out of `port`; out of a patch port that is into the peer's bridge. */
function sendTo(ctx: Context, port: XPort): void {
  if ((port.config & (OFPPC.NO_FWD | downIfPatch(port))) !== 0) {
    note(ctx, "note", `port ${port.name} is down or does not forward`);
  } else if (port.odpPort !== undefined) {
    if (ctx.out.length >= MAX_ACTIONS) fail(ctx, "too many actions");
    else ctx.out.push({ type: "output", port: port.odpPort });
  } else if (port.peer) {
    const peer = port.peer;
    ctx.sinks.push(port.tx, peer.rx);
    onCopy(ctx, () => enter(ctx, peer), finishFreeze);
  } else note(ctx, "note", `patch port ${port.name} has no peer`);
}

export interface PacketInOptions {
  max_len?: number;
  controllerId?: number;
  userdata?: Uint8Array;
}

/** Sends the packet as it is by now to the controllers. */
export function toController(
  ctx: Context,
  reason: "OFPR_NO_MATCH" | "OFPR_ACTION" | "OFPR_INVALID_TTL",
  options: PacketInOptions,
): void {
  if (reason === "OFPR_NO_MATCH" && ctx.inPort && (ctx.inPort.config & OFPPC.NO_PACKET_IN) !== 0) {
    note(ctx, "note", `port ${ctx.inPort.name} sends no packet-ins`);
    return;
  }
  look(ctx.wildcards, flowField("tunnel_id"));
  const cookie = ctx.bridge.contexts.packetIn({
    bridge: ctx.bridge,
    reason,
    table_id: ctx.table_id,
    cookie: ctx.cookie,
    max_len: options.max_len,
    in_port: ctx.in_port,
    pipeline: pipelineOf(ctx.key),
    controllerId: options.controllerId ?? 0,
    userdata: options.userdata,
  });
  if (cookie === 0) {
    fail(ctx, "too many contexts");
    return;
  }
  const send: OdpAction = { type: "userspace", cookie, max_len: 0xffff };
  const meter = ctx.bridge.meters.get(OFPM_CONTROLLER);
  if (meter) {
    // What the meter drops is the message; the packet goes on.
    ctx.sinks.push(meter);
    ctx.out.push({ type: "clone", actions: [{ type: "meter", meter_id: meter.dpId }, send] });
  } else ctx.out.push(send);
}

/** The virtual meter of all packet-ins (1.3.5 §7.3.4.4). */
const OFPM_CONTROLLER = 0xffff_fffe;

/** OFPAT_GROUP (1.3.5 §5.6): each chosen bucket, as an action set, on its own copy of the packet. */
function throughGroup(ctx: Context, group_id: number): void {
  const group = ctx.bridge.groups.get(group_id);
  if (!group) {
    note(ctx, "warning", `output to nonexistent group ${group_id}`);
    return;
  }
  ctx.sinks.push(group);
  const buckets = chooseBuckets(ctx.bridge, group, () => flowHash(ctx));
  if (buckets.length === 0) note(ctx, "drop", `group ${group_id} has no live bucket`);
  for (const bucket of buckets) {
    ctx.sinks.push(bucket);
    if (ctx.record) note(ctx, "bucket", `bucket ${group.buckets.indexOf(bucket)}`);
    const body = (): void => {
      ctx.cookie = NO_COOKIE;
      ctx.rule = undefined;
      run(ctx, orderOfSet(writeToSet([], bucket.actions)));
    };
    onCopy(ctx, body, finishFreeze);
  }
}

/** What stands for a place in a bridge's MAC table. */
export const macTag = (bridge: XBridge, vlan: number, mac: number): string => `${bridge.name}/${vlan}/${mac}`;

/** OFPP_NORMAL. */
function normal(ctx: Context): void {
  const own = tagsOf(ctx);
  const isOwn = ctx.in_port === OFPP.CONTROLLER || ctx.in_port === OFPP.ANY;
  const decision = decideNormal(ctx.bridge, isOwn ? "controller" : ctx.inPort, {
    src: seeMac(ctx, "eth_src"),
    dst: seeMac(ctx, "eth_dst"),
    tags: own,
  });
  note(ctx, "note", decision.why);
  ctx.macLookups.push(macTag(ctx.bridge, decision.vlan, seeMac(ctx, "eth_dst")));
  if (decision.learn && ctx.inPort) {
    const mac = seeMac(ctx, "eth_src");
    ctx.effects.push({
      type: "mac",
      heard: { bridge: ctx.bridge, vlan: decision.vlan, mac, port: ctx.inPort },
    });
  }
  const retagged = new Map<string, { retag: Step; ports: XPort[] }>();
  for (const { port, tags } of decision.outputs) {
    const retag = retagOf(own, tags);
    if (!retag) {
      sendTo(ctx, port);
      continue;
    }
    const text = JSON.stringify(retag);
    const same = retagged.get(text);
    if (same) same.ports.push(port);
    else retagged.set(text, { retag, ports: [port] });
  }
  for (const { retag, ports } of retagged.values()) {
    const sends = ports.map((port): Step => ({ type: "send", port }));
    onCopy(ctx, () => run(ctx, [retag, ...sends]), finishFreeze);
  }
}

/** The tags that the flow shows, each part of which is looked at when it is asked for. */
function tagsOf(ctx: Context): Tags {
  const vlan_vid = see(ctx, "vlan_vid");
  if ((vlan_vid & 0x1000) === 0) return [];
  const outer = tagOf(ctx, "vlan_tpid", "vlan_tci");
  return see(ctx, "vlan2_tpid") === 0 ? [outer] : [outer, tagOf(ctx, "vlan2_tpid", "vlan2_tci")];
}

const tagOf = (ctx: Context, tpid: string, tci: string): Tag => ({
  get tpid() {
    return see(ctx, tpid);
  },
  vid: see(ctx, tci === "vlan_tci" ? "vlan_vid" : tci) & 0xfff,
  get pcp() {
    return see(ctx, tci) >>> 13;
  },
});

const isSameTag = (a: Tag, b: Tag): boolean =>
  a === b || (a.vid === b.vid && a.tpid === b.tpid && a.pcp === b.pcp);

/** How tags become others; undefined: they are those. */
function retagOf(from: Tags, to: Tags): Extract<Step, { type: "retag" }> | undefined {
  let [pops, pushes] = [from.length, to.length];
  while (pops > 0 && pushes > 0 && isSameTag(from[pops - 1]!, to[pushes - 1]!)) {
    pops--;
    pushes--;
  }
  if (pops === 0 && pushes === 0) return undefined;
  const plain = ({ tpid, vid, pcp }: Tag): Tag => ({ tpid, vid, pcp });
  return { type: "retag", pops, pushes: to.slice(0, pushes).map(plain), kept: to.slice(pushes).map(plain) };
}

function seeMac(ctx: Context, name: "eth_src" | "eth_dst"): number {
  const field = flowField(name);
  look(ctx.wildcards, field);
  return Number(getFieldBig(ctx.key, field));
}

/** Ends a frozen translation: the datapath parses the packet again and comes back for the steps left. Plain
 *  outputs need no parsing and are done at once. */
function finishFreeze(ctx: Context): void {
  const steps = ctx.frozen!;
  const { fork, out } = ctx;
  ctx.frozen = undefined;
  ctx.fork = undefined;
  if (fork) {
    ctx.out = [];
    fork.write(true);
    recirculate(ctx, steps);
    const actions = ctx.out;
    ctx.out = out;
    out.push({ type: "check_pkt_len", pkt_len: fork.pkt_len, actions });
    fork.write(false);
    recirculate(ctx, steps);
    return;
  }
  if (
    steps.every((step) => isPlain(ctx, step)) &&
    orderOfSet(ctx.actionSet).every((step) => isPlain(ctx, step))
  ) {
    run(ctx, steps);
    return;
  }
  recirculate(ctx, steps);
}

/** Has the datapath come back for these steps. */
function recirculate(ctx: Context, steps: readonly Step[]): void {
  const id = ctx.bridge.contexts.freeze({
    bridge: ctx.bridge,
    in_port: ctx.in_port,
    table_id: ctx.table_id,
    cookie: ctx.cookie,
    steps,
    actionSet: ctx.actionSet,
    stack: ctx.stack,
    queue: ctx.queue,
    pipeline: pipelineOf(ctx.key),
  });
  if (id === 0) {
    fail(ctx, "too many contexts");
    return;
  }
  ctx.out.push({ type: "recirc", id });
  if (ctx.record) note(ctx, "freeze", `recirc(0x${id.toString(16)})`, { id, key: ctx.key.slice() });
}

function isPlain(ctx: Context, step: Step): boolean {
  if (step.type === "action_set") return true;
  const port =
    step.type === "send"
      ? step.port
      : step.type === "OFPAT_OUTPUT"
        ? ctx.bridge.portMap.get(step.port)
        : undefined;
  return port?.odpPort !== undefined || (step.type === "OFPAT_OUTPUT" && step.port === OFPP.CONTROLLER);
}

/** A clone at the very end needs no copy. */
function withoutLastClone(actions: readonly OdpAction[]): readonly OdpAction[] {
  const last = actions.at(-1);
  return last?.type === "clone" ? [...actions.slice(0, -1), ...withoutLastClone(last.actions)] : actions;
}

function note(ctx: Context, kind: TraceEvent["kind"], text: string, subject?: unknown): void {
  ctx.record?.({ depth: ctx.depth, kind, text, subject });
}

/** Whether translation knows the action. */
export const canExecute = (type: string): boolean => handlers[type] !== undefined;
