import {
  type FlowField,
  flowField,
  getField,
  getFieldBig,
  setFieldBig,
  setField as writeField,
} from "../../flow/flow-key.js";
import type { ActionOf, ActionType } from "../of.js";
import type { Context } from "./context.js";
import { type FieldSetting, isPipeline, look, pin, setAction, settingOf } from "./field.js";
import type { Tag, Tags } from "./normal.js";

/** Actions that change the packet's headers, in the flow as translation sees it and in the datapath.
 *
 *  A change is told to the datapath at once, so that the packet there always is what the flow says. What has been
 *  set is `fixed`: looking it up later does not narrow the megaflow. Where the flow cannot say what the packet is
 *  after a change (a header hidden so far comes up), `reparse` asks for recirculation. */

const PBB = 0x88e7;
export const isIp = (eth_type: number): boolean => eth_type === 0x0800 || eth_type === 0x86dd;
export const isMpls = (eth_type: number): boolean => eth_type === 0x8847 || eth_type === 0x8848;

/** What uncovered headers hold is not known before the datapath has parsed them: 0 until then. */
const MPLS_FIELDS = ["mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"];
const IN_PORT = flowField("in_port");
const VLAN_FIELDS = ["vlan_tpid", "vlan_tci", "vlan2_tpid", "vlan2_tci"];

export interface Hooks {
  /** The rest has to wait until the datapath has parsed the packet again. */
  reparse(ctx: Context): void;
  /** The TTL ran out (1.3.5 §5.12): tells the controllers with these ids and ends this list of actions. */
  ttlExpired(ctx: Context, controllerIds: readonly number[]): void;
}

/** Reads a field of at most 32 bits that a decision depends on. */
export function see(ctx: Context, name: string): number {
  const field = flowField(name);
  look(ctx.wildcards, field);
  return getField(ctx.key, field);
}

/** Sets a field, in the flow and in the packet; where `mask` has a 0 the old bit stays. */
export function setField(ctx: Context, field: FlowField, value: bigint, mask?: bigint): void {
  const old = getFieldBig(ctx.key, field);
  ctx.pristine = false;
  setFieldBig(ctx.key, field, mask === undefined ? value : (old & ~mask) | (value & mask));
  pin(ctx.wildcards, field, mask);
  if (field === IN_PORT) comeBy(ctx);
  if (!isPipeline(field)) ctx.out.push(setAction(field, value, mask));
}

/** The same of what an action says in advance: many packets pass it. */
export function carryOutSetting(ctx: Context, { field, lanes, laneBits, action }: FieldSetting): void {
  const { fixed } = ctx.wildcards;
  ctx.pristine = false;
  for (let i = 0; i < lanes.length; i++) {
    const lane = field.lane + i;
    ctx.key[lane] = (ctx.key[lane]! & ~laneBits[i]!) | lanes[i]!;
    fixed[lane]! |= laneBits[i]!;
  }
  if (field === IN_PORT) comeBy(ctx);
  if (action !== undefined) ctx.out.push(action);
}

/** What an action wrote to in_port is from now on the port that the packet came by: where IN_PORT leads to, and where
 *  no other output does (ovs-actions(7), output). It may be no port at all. */
function comeBy(ctx: Context): void {
  ctx.in_port = getField(ctx.key, IN_PORT);
  ctx.inPort = ctx.bridge.portMap.get(ctx.in_port);
}

/** Chooses the queue of the outputs that follow. */
export function setQueue(ctx: Context, queue_id: number): void {
  if (ctx.queue === queue_id) return;
  ctx.queue = queue_id;
  ctx.out.push({ type: "set_queue", queue_id });
}

type Handlers = { readonly [T in ActionType]?: (ctx: Context, action: ActionOf<T>, hooks: Hooks) => void };

export const headerActions: Handlers = {
  OFPAT_SET_FIELD(ctx, { field }) {
    carryOutSetting(ctx, settingOf(field));
  },

  /** The new tag takes vid and pcp of the outer one, where there is one (1.3.5 §5.12.1). */
  OFPAT_PUSH_VLAN(ctx, { ethertype }) {
    const tci = see(ctx, "vlan_tci") | 0x1000;
    const tpid = see(ctx, "vlan_tpid");
    ctx.out.push({ type: "push_vlan", tpid: ethertype, tci: tci & 0xefff });
    if (tpid !== 0) {
      const third = see(ctx, "vlan2_tpid");
      if (third !== 0) assume(ctx, "eth_type", third);
      assume(ctx, "vlan2_tpid", tpid);
      assume(ctx, "vlan2_tci", tci);
    }
    assume(ctx, "vlan_tpid", ethertype);
    assume(ctx, "vlan_tci", tci);
  },

  OFPAT_POP_VLAN(ctx, _action, { reparse }) {
    if ((see(ctx, "vlan_vid") & 0x1000) === 0) return;
    const tpid = see(ctx, "vlan2_tpid");
    const tci = see(ctx, "vlan2_tci");
    ctx.out.push({ type: "pop_vlan" });
    assume(ctx, "vlan_tpid", tpid);
    assume(ctx, "vlan_tci", tpid === 0 ? 0 : tci | 0x1000);
    assume(ctx, "vlan2_tpid", 0);
    assume(ctx, "vlan2_tci", 0);
    // A third tag may come up.
    if (tpid !== 0) reparse(ctx);
  },

  /** Label, TC and TTL come from the outer label, or 0, 0 and the TTL of the IP header; BOS tells whether there
   *  was a label before (1.3.5 §5.12.1). */
  OFPAT_PUSH_MPLS(ctx, { ethertype }) {
    const eth_type = see(ctx, "eth_type");
    const stacked = isMpls(eth_type);
    const label = stacked ? see(ctx, "mpls_label") : 0;
    const tc = stacked ? see(ctx, "mpls_tc") : 0;
    const ttl = stacked ? see(ctx, "mpls_ttl") : isIp(eth_type) ? see(ctx, "nw_ttl") : 64;
    const bos = stacked ? 0 : 1;
    ctx.out.push({ type: "push_mpls", ethertype, lse: ((label << 12) | (tc << 9) | (bos << 8) | ttl) >>> 0 });
    assume(ctx, "eth_type", ethertype);
    assume(ctx, "mpls_label", label);
    assume(ctx, "mpls_tc", tc);
    assume(ctx, "mpls_bos", bos);
    assume(ctx, "mpls_ttl", ttl);
  },

  OFPAT_POP_MPLS(ctx, { ethertype }, { reparse }) {
    if (!isMpls(see(ctx, "eth_type"))) return;
    ctx.out.push({ type: "pop_mpls", ethertype });
    assume(ctx, "eth_type", ethertype);
    for (const name of MPLS_FIELDS) assume(ctx, name, 0);
    reparse(ctx);
  },

  /** I-SID and priority come from an I-TAG and from the VLAN tag, where there are such (1.3.5 §5.12.1). */
  OFPAT_PUSH_PBB(ctx, { ethertype }, { reparse }) {
    const isid = see(ctx, "eth_type") === PBB ? see(ctx, "pbb_isid") : 0;
    const tci = see(ctx, "vlan_tci");
    ctx.out.push({ type: "push_pbb", ethertype, isid, pcp: (tci & 0x1000) === 0 ? 0 : tci >>> 13 });
    for (const name of VLAN_FIELDS) assume(ctx, name, 0);
    assume(ctx, "eth_type", ethertype);
    assume(ctx, "pbb_isid", isid);
    reparse(ctx);
  },

  OFPAT_POP_PBB(ctx, _action, { reparse }) {
    if (see(ctx, "eth_type") !== PBB) return;
    ctx.out.push({ type: "pop_pbb" });
    for (const name of [...VLAN_FIELDS, "eth_type", "pbb_isid"]) assume(ctx, name, 0);
    reparse(ctx);
  },

  OFPAT_SET_QUEUE: (ctx, { queue_id }) => setQueue(ctx, queue_id),

  OFPAT_SET_NW_TTL(ctx, { nw_ttl }) {
    if (isIp(see(ctx, "eth_type"))) setField(ctx, flowField("nw_ttl"), BigInt(nw_ttl));
  },

  OFPAT_DEC_NW_TTL: (ctx, _action, hooks) => decreaseTtl(ctx, EVERY_CONTROLLER, hooks),
  NXAST_DEC_TTL_CNT_IDS: (ctx, { cnt_ids }, hooks) => decreaseTtl(ctx, cnt_ids ?? [], hooks),

  OFPAT_SET_MPLS_TTL(ctx, { mpls_ttl }) {
    if (isMpls(see(ctx, "eth_type"))) setField(ctx, flowField("mpls_ttl"), BigInt(mpls_ttl));
  },

  /** What the datapath copies is not in the flow (1.3.5 §5.12): it is parsed again. */
  OFPAT_COPY_TTL_OUT(ctx, _action, { reparse }) {
    if (!isMpls(see(ctx, "eth_type"))) return;
    ctx.out.push({ type: "copy_ttl_out" });
    ctx.pristine = false;
    reparse(ctx);
  },

  /** The flow tells of the outermost label alone, which stays as it is. */
  OFPAT_COPY_TTL_IN(ctx) {
    if (isMpls(see(ctx, "eth_type"))) ctx.out.push({ type: "copy_ttl_in" });
  },

  OFPAT_DEC_MPLS_TTL(ctx, _action, { ttlExpired }) {
    if (!isMpls(see(ctx, "eth_type"))) return;
    const ttl = see(ctx, "mpls_ttl");
    if (ttl <= 1) ttlExpired(ctx, EVERY_CONTROLLER);
    else setField(ctx, flowField("mpls_ttl"), BigInt(ttl - 1));
  },
};

/** Controllers that have not chosen an id have this one (NXT_SET_CONTROLLER_ID). */
const EVERY_CONTROLLER: readonly number[] = [0];

function decreaseTtl(ctx: Context, controllerIds: readonly number[], { ttlExpired }: Hooks): void {
  if (!isIp(see(ctx, "eth_type"))) return;
  const ttl = see(ctx, "nw_ttl");
  if (ttl <= 1) ttlExpired(ctx, controllerIds);
  else setField(ctx, flowField("nw_ttl"), BigInt(ttl - 1));
}

/** Has `pops` of the packet's VLAN tags go and `pushes` come; `kept` follow those. */
export function setTags(ctx: Context, pops: number, pushes: Tags, kept: Tags, { reparse }: Hooks): void {
  const tags = [...pushes, ...kept];
  const isFull = see(ctx, "vlan2_tpid") !== 0;
  for (let i = 0; i < pops; i++) ctx.out.push({ type: "pop_vlan" });
  for (const { tpid, vid, pcp } of [...pushes].reverse())
    ctx.out.push({ type: "push_vlan", tpid, tci: (pcp << 13) | vid });
  const [outer, inner, third] = tags;
  assume(ctx, "vlan_tpid", outer?.tpid ?? 0);
  assume(ctx, "vlan_tci", tciOf(outer));
  assume(ctx, "vlan2_tpid", inner?.tpid ?? 0);
  assume(ctx, "vlan2_tci", tciOf(inner));
  if (third) assume(ctx, "eth_type", third.tpid);
  // A third tag may come up.
  if (pops > 0 && isFull) reparse(ctx);
}

const tciOf = (tag: Tag | undefined): number => (tag ? (tag.pcp << 13) | 0x1000 | tag.vid : 0);

/** Notes what a field is after a change of which the datapath has been told already. */
function assume(ctx: Context, name: string, value: number): void {
  const field = flowField(name);
  ctx.pristine = false;
  writeField(ctx.key, field, value);
  pin(ctx.wildcards, field);
}
