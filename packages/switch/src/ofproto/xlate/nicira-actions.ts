import { oxmNameOfHeader } from "@sluice/openflow-codec";
import type { FlowField } from "../../flow/flow-key.js";
import { flowField, getField, getFieldBig } from "../../flow/flow-key.js";
import { LANE_TCI2_FLAGS } from "../../flow/lanes.js";
import { flowFieldOf } from "../../flow/match.js";
import type { Action, ActionOf, ActionType, FlowMod } from "../of.js";
import { isPortLive } from "./buckets.js";
import { ascend, type Context, descend, fail, type TableLookup } from "./context.js";
import { look, settingOf } from "./field.js";
import type { Hooks } from "./header-actions.js";
import { carryOutSetting, headerActions, isIp, see, setField, setQueue } from "./header-actions.js";
import { learnedFlow } from "./learn.js";
import { byHighestScore, chooseLink, hashFields } from "./multipath.js";
import { OFPP, wide } from "./reserved.js";
import type { Step } from "./steps.js";
import type { XTable } from "./world.js";

/** Nicira's actions (ovs-actions(7)), as far as translation carries them out. */

/** What these actions need of the pipeline. */
export interface Engine extends Hooks {
  run(ctx: Context, steps: readonly Step[]): void;
  /** Looks up a table; a miss changes nothing. The lookup alone sees `in_port`: to the flow that is found the packet
   *  came by its own port. */
  resubmit(ctx: Context, table_id: number, in_port: number): void;
  output(ctx: Context, port: number, max_len: number | undefined): void;
  group(ctx: Context, group_id: number): void;
  onCopy(ctx: Context, body: () => void): void;
  /** Goes on in two ways, by the packet's length; what `write` writes tells the rest which. */
  fork(ctx: Context, pkt_len: number, write: (isLarger: boolean) => void): void;
  toController(
    ctx: Context,
    reason: "OFPR_NO_MATCH" | "OFPR_ACTION" | "OFPR_INVALID_TTL",
    options: { max_len?: number; controllerId?: number; userdata?: Uint8Array },
  ): void;
}

type Handlers = {
  readonly [T in ActionType]?: (ctx: Context, action: ActionOf<T>, engine: Engine) => void;
};

const REASONS = ["OFPR_NO_MATCH", "OFPR_ACTION", "OFPR_INVALID_TTL"] as const;
const SAME_TABLE = 255;
/** No port, in the 16 bits of Nicira's actions. */
const OFPP_NONE = 0xffff;
/** NX_BD_ALG_*. */
const HRW = 1;
const MAX_STACK = 1024;
const TCP = 6;
/** Of tcp_flags. */
const FIN_OR_RST = 5;

export const niciraActions: Handlers = {
  NXAST_RESUBMIT: (ctx, { in_port }, engine) => resubmit(ctx, in_port, SAME_TABLE, engine),
  NXAST_RESUBMIT_TABLE: (ctx, { in_port, table }, engine) => resubmit(ctx, in_port, table, engine),

  NXAST_REG_MOVE(ctx, { n_bits, src, src_ofs, dst, dst_ofs }) {
    store(ctx, dst, dst_ofs ?? 0, n_bits, read(ctx, src, src_ofs ?? 0, n_bits));
  },
  ONFACT_COPY_FIELD(ctx, { n_bits, src, src_offset, dst, dst_offset }) {
    store(ctx, dst, dst_offset ?? 0, n_bits, read(ctx, src, src_offset ?? 0, n_bits));
  },
  NXAST_REG_LOAD(ctx, { ofs_nbits, dst, value }) {
    store(ctx, dst, ofs_nbits >> 6, (ofs_nbits & 63) + 1, value);
  },
  NXAST_REG_LOAD2(ctx, { field }) {
    carryOutSetting(ctx, settingOf(field));
  },
  NXAST_WRITE_METADATA(ctx, { metadata, mask }) {
    setField(ctx, flowField("metadata"), metadata, mask);
  },
  NXAST_SET_TUNNEL(ctx, { tun_id }) {
    setField(ctx, flowField("tunnel_id"), BigInt(tun_id));
  },
  NXAST_SET_TUNNEL64(ctx, { tun_id }) {
    setField(ctx, flowField("tunnel_id"), tun_id);
  },

  NXAST_STACK_PUSH(ctx, { field, offset, n_bits }) {
    if (ctx.stack.length >= MAX_STACK) fail(ctx, "stack too deep");
    else ctx.stack.push(read(ctx, field, offset ?? 0, n_bits));
  },
  NXAST_STACK_POP(ctx, { field, offset, n_bits }) {
    const value = ctx.stack.pop();
    if (value === undefined) ctx.record?.({ depth: ctx.depth, kind: "note", text: "the stack is empty" });
    else store(ctx, field, offset ?? 0, n_bits, value & ((1n << BigInt(n_bits)) - 1n));
  },

  NXAST_OUTPUT_REG(ctx, { ofs_nbits, src, max_len }, engine) {
    outputRegister(ctx, src, ofs_nbits, max_len, engine);
  },
  NXAST_OUTPUT_REG2(ctx, { ofs_nbits, src, max_len }, engine) {
    outputRegister(ctx, src, ofs_nbits, max_len, engine);
  },
  NXAST_OUTPUT_TRUNC(ctx, { port, max_len }, engine) {
    engine.onCopy(ctx, () => {
      ctx.out.push({ type: "trunc", max_len });
      engine.output(ctx, wide(port), undefined);
    });
  },
  NXAST_GROUP: (ctx, { group_id }, engine) => engine.group(ctx, group_id),

  NXAST_CONTROLLER(ctx, { max_len, controller_id, reason }, engine) {
    engine.toController(ctx, REASONS[reason ?? 1] ?? "OFPR_ACTION", {
      max_len: max_len ?? 0xffff,
      controllerId: controller_id ?? 0,
    });
  },
  NXAST_CONTROLLER2(ctx, { properties }, engine) {
    let max_len = 0xffff;
    let controllerId = 0;
    let reason: (typeof REASONS)[number] = "OFPR_ACTION";
    let userdata: Uint8Array | undefined;
    for (const property of properties ?? []) {
      if (!("type" in property)) continue;
      if (property.type === "NXAC2PT_MAX_LEN") max_len = property.max_len;
      else if (property.type === "NXAC2PT_CONTROLLER_ID") controllerId = property.controller_id;
      else if (property.type === "NXAC2PT_REASON") reason = REASONS[property.reason] ?? "OFPR_ACTION";
      else if (property.type === "NXAC2PT_USERDATA") userdata = property.userdata;
    }
    engine.toController(ctx, reason, { max_len, controllerId, ...(userdata ? { userdata } : {}) });
  },

  NXAST_NOTE() {},
  /** A flow with it is never executed; in a packet-out it means nothing. */
  NXAST_CONJUNCTION(ctx) {
    ctx.record?.({ depth: ctx.depth, kind: "note", text: "executing no-op conjunction action" });
  },
  NXAST_EXIT(ctx) {
    ctx.exited = true;
  },
  NXAST_CLONE(ctx, { actions }, engine) {
    engine.onCopy(ctx, () => engine.run(ctx, (actions ?? []) as readonly Action[]));
  },

  /** A packet with FIN or RST has a megaflow of its own: each such packet has the effect. */
  NXAST_FIN_TIMEOUT(ctx, { fin_idle_timeout: idle = 0, fin_hard_timeout: hard = 0 }) {
    if (!isIp(see(ctx, "eth_type")) || see(ctx, "ip_proto") !== TCP) return;
    const { rule, bridge, key, wildcards } = ctx;
    wildcards.mask[LANE_TCI2_FLAGS]! |= FIN_OR_RST;
    wildcards.fixed[LANE_TCI2_FLAGS]! |= FIN_OR_RST;
    if (rule === undefined || (key[LANE_TCI2_FLAGS]! & FIN_OR_RST) === 0) return;
    ctx.effects.push({ type: "fin", bridge, rule, idle, hard });
  },

  NXAST_MULTIPATH(ctx, { fields, basis, algorithm, max_link, arg, ofs_nbits, dst }) {
    const link = chooseLink(algorithm, hashFields(ctx, fields, basis), max_link + 1, arg);
    store(ctx, dst, ofs_nbits >> 6, (ofs_nbits & 63) + 1, BigInt(link));
  },
  NXAST_BUNDLE: (ctx, action, engine) => {
    const port = chooseMember(ctx, action);
    if (port !== OFPP_NONE) engine.output(ctx, wide(port), undefined);
    else ctx.record?.({ depth: ctx.depth, kind: "note", text: "no member of the bundle is live" });
  },
  NXAST_BUNDLE_LOAD(ctx, action) {
    const { dst, ofs_nbits } = action;
    const port = BigInt(chooseMember(ctx, action));
    store(ctx, oxmNameOfHeader(dst)!, ofs_nbits >> 6, (ofs_nbits & 63) + 1, port);
  },

  NXAST_CHECK_PKT_LARGER(ctx, { pkt_len, offset, dst }, { fork }) {
    fork(ctx, pkt_len, (isLarger) => store(ctx, dst, offset, 1, isLarger ? 1n : 0n));
  },

  // Samples go to collectors of IPFIX, which there are none of.
  NXAST_SAMPLE() {},
  NXAST_SAMPLE2() {},
  NXAST_SAMPLE3() {},

  NXAST_LEARN: (ctx, action) => learn(ctx, action),
  NXAST_LEARN2: (ctx, action) => learn(ctx, action),

  NXAST_SET_QUEUE: (ctx, { queue_id }) => setQueue(ctx, queue_id),
  NXAST_POP_QUEUE: (ctx) => setQueue(ctx, 0),
  NXAST_DEC_TTL: (ctx, _action, engine) =>
    headerActions.OFPAT_DEC_NW_TTL!(ctx, { type: "OFPAT_DEC_NW_TTL" }, engine),
  NXAST_DEC_MPLS_TTL: (ctx, _action, engine) =>
    headerActions.OFPAT_DEC_MPLS_TTL!(ctx, { type: "OFPAT_DEC_MPLS_TTL" }, engine),
  NXAST_SET_MPLS_TTL: (ctx, { ttl }, engine) =>
    headerActions.OFPAT_SET_MPLS_TTL!(ctx, { type: "OFPAT_SET_MPLS_TTL", mpls_ttl: ttl }, engine),
  NXAST_SET_MPLS_LABEL(ctx, { label }) {
    setField(ctx, flowField("mpls_label"), BigInt(label));
  },
  NXAST_SET_MPLS_TC(ctx, { tc }) {
    setField(ctx, flowField("mpls_tc"), BigInt(tc));
  },
  NXAST_PUSH_MPLS: (ctx, { ethertype }, engine) =>
    headerActions.OFPAT_PUSH_MPLS!(ctx, { type: "OFPAT_PUSH_MPLS", ethertype }, engine),
  NXAST_POP_MPLS: (ctx, { ethertype }, engine) =>
    headerActions.OFPAT_POP_MPLS!(ctx, { type: "OFPAT_POP_MPLS", ethertype }, engine),
};

export function resubmit(ctx: Context, in_port: number, table: number, engine: Engine): void {
  const { table_id, cookie, tableMiss, rule } = ctx;
  const target = table === SAME_TABLE ? table_id : table;
  const isBack = target <= table_id;
  if (!descend(ctx, isBack)) return;
  const port = wide(in_port);
  if (port !== OFPP.IN_PORT) ctx.pristine = false;
  engine.resubmit(ctx, target, port === OFPP.IN_PORT ? ctx.in_port : port);
  ascend(ctx, isBack);
  ctx.table_id = table_id;
  ctx.cookie = cookie;
  ctx.tableMiss = tableMiss;
  ctx.rule = rule;
  if (ctx.expired && ctx.error === undefined) {
    ctx.exited = false;
    ctx.expired = false;
  }
  ctx.frozen?.push({ type: "unroll", table_id, cookie });
}

function outputRegister(
  ctx: Context,
  src: string,
  ofs_nbits: number,
  max_len: number | undefined,
  engine: Engine,
): void {
  const n_bits = (ofs_nbits & 63) + 1;
  const value = Number(read(ctx, src, ofs_nbits >> 6, n_bits));
  engine.output(ctx, n_bits <= 16 ? wide(value) : value, max_len);
}

/** The field that an NXM or OXM name means. Names are checked before an action is taken. */
export const registerField = (name: string): FlowField | undefined => flowFieldOf(name);

function read(ctx: Context, name: string, offset: number, n_bits: number): bigint {
  const field = registerField(name);
  if (!field) return 0n;
  look(ctx.wildcards, field);
  return (getFieldBig(ctx.key, field) >> BigInt(offset)) & ((1n << BigInt(n_bits)) - 1n);
}

function store(ctx: Context, name: string, offset: number, n_bits: number, value: bigint): void {
  const field = registerField(name);
  if (!field) return;
  const mask = ((1n << BigInt(n_bits)) - 1n) << BigInt(offset);
  const bits = (value << BigInt(offset)) & mask;
  if (name === "nxm_of_in_port") {
    const port = (getField(ctx.key, field) & ~Number(mask)) | Number(bits);
    setField(ctx, field, BigInt(wide(port & 0xffff)));
    return;
  }
  const isWhole = offset === 0 && n_bits === field.bits;
  setField(ctx, field, bits, isWhole ? undefined : mask);
}

/** The port number of a bundle's member for this flow, of 16 bits: the first that is live, or the one of highest score
 *  among these. */
function chooseMember(
  ctx: Context,
  { algorithm, fields, basis, members = [] }: ActionOf<"NXAST_BUNDLE"> | ActionOf<"NXAST_BUNDLE_LOAD">,
): number {
  const live = members.filter((member) => isPortLive(ctx.bridge, wide(member)));
  if (live.length === 0) return OFPP_NONE;
  return algorithm === HRW ? byHighestScore(hashFields(ctx, fields, basis), live) : live[0]!;
}

/** A look at a table that any change of it concerns. */
const lookAtAll = ({ key }: Context, table: XTable): TableLookup => ({
  table,
  priority: -1,
  changed: { key: key.slice(), known: key.slice().fill(0) },
});

function learn(ctx: Context, action: ActionOf<"NXAST_LEARN"> | ActionOf<"NXAST_LEARN2">): void {
  const flow: FlowMod = learnedFlow(
    action,
    (name, offset, n_bits) => read(ctx, name, offset, n_bits),
    ctx.in_port,
  );
  const limit = action.type === "NXAST_LEARN2" ? (action.limit ?? 0) : 0;
  if (action.type === "NXAST_LEARN2" && action.result_dst !== undefined) {
    // What the table holds decides: any change of it makes this translation doubtful.
    const table = ctx.bridge.tables[action.table_id];
    if (limit > 0 && table) ctx.lookups.push(lookAtAll(ctx, table));
    const room = ctx.bridge.roomToLearn(flow, limit);
    // Who comes next takes what room there is: a packet that has not learned yet has to ask.
    if (limit > 0 && room === "room") ctx.isUnsettled = true;
    if (room === "full")
      ctx.record?.({ depth: ctx.depth, kind: "note", text: "no room for the learned flow" });
    store(ctx, action.result_dst, action.result_dst_ofs ?? 0, 1, room === "full" ? 0n : 1n);
  }
  ctx.effects.push({ type: "learn", bridge: ctx.bridge, flow, limit });
}
