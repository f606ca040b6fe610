import { type MessageInitOf, type MessageOf, OFPFMF, OFPP, OFPTT } from "@sluice/openflow-codec";
import { refuse } from "../ofproto/error.js";
import { parseMatch } from "../ofproto/match.js";
import type { FlowUpdateEvent } from "../ofproto/types.js";

/** Flow monitors (ONF extension 187, as Open vSwitch has it in OpenFlow 1.3): a connection is told of the flows that
 *  are added, modified and removed. A peer that does not read what it is told is not paused but, like any other that
 *  is hopelessly behind, disconnected: it begins anew with the flows there are. */

type Body<T> = T extends { body: infer B } ? Extract<B, { type: "ONFMP_FLOW_MONITOR" }> : never;
type Request = Body<MessageOf<"OFPT_MULTIPART_REQUEST">>["entries"][number];
export type FlowUpdate = Body<MessageInitOf<"OFPT_MULTIPART_REPLY">>["entries"] extends
  | readonly (infer U)[]
  | undefined
  ? U
  : never;

const MAX_MONITORS = 64;
const KNOWN_FLAGS = Object.values(OFPFMF).reduce((all, flag) => all | flag, 0);

interface Monitor {
  readonly request: Request;
  readonly key: Uint32Array;
  readonly mask: Uint32Array;
}

/** A rule or a flow statistics entry: what a monitor looks at. */
type Rule = FlowUpdateEvent["rule"];

const EVENT = { added: "ONFFME_ADDED", modified: "ONFFME_MODIFIED", removed: "ONFFME_DELETED" } as const;
const FLAG = { added: OFPFMF.ADD, modified: OFPFMF.MODIFY, removed: OFPFMF.DELETE } as const;

const CHANGES = OFPFMF.ADD | OFPFMF.MODIFY | OFPFMF.DELETE;

/** Reasons of removal by number (§7.4.2). */
const REASON: Readonly<Record<string, number>> = {
  OFPRR_IDLE_TIMEOUT: 0,
  OFPRR_HARD_TIMEOUT: 1,
  OFPRR_DELETE: 2,
  OFPRR_GROUP_DELETE: 3,
  OFPRR_METER_DELETE: 4,
};

/** The monitors of one connection. */
export class FlowMonitors {
  readonly #monitors = new Map<number, Monitor>();

  get isEmpty(): boolean {
    return this.#monitors.size === 0;
  }

  /** Takes new monitors; gives those of them that ask for the flows there are. Throws OfpError, and takes none. */
  add(requests: readonly Request[]): Monitor[] {
    const added: Monitor[] = [];
    try {
      this.#add(requests, added);
    } catch (error) {
      for (const { request } of added) this.#monitors.delete(request.id);
      throw error;
    }
    return added.filter(({ request }) => (request.flags & OFPFMF.INITIAL) !== 0);
  }

  #add(requests: readonly Request[], added: Monitor[]): void {
    for (const request of requests) {
      if ((request.flags & ~KNOWN_FLAGS) !== 0 || (request.flags & CHANGES) === 0)
        throw refuse("OFPMOFC_BAD_FLAGS", `flow monitor with flags 0x${request.flags.toString(16)}`);
      if (this.#monitors.has(request.id))
        throw refuse("OFPMOFC_MONITOR_EXISTS", `flow monitor ${request.id} exists`);
      if (this.#monitors.size >= MAX_MONITORS) {
        throw refuse("OFPBRC_EPERM", `${MAX_MONITORS} flow monitors on a connection at most`);
      }
      const monitor = { request, ...parseMatch(request.match) };
      this.#monitors.set(request.id, monitor);
      added.push(monitor);
    }
  }

  /** Whether there was such a monitor. */
  cancel(id: number): boolean {
    return this.#monitors.delete(id);
  }

  /** What to tell of one change; undefined: nothing. `ownXid`: it was this connection's own request. */
  update(event: FlowUpdateEvent, ownXid: number | undefined): FlowUpdate | undefined {
    let flags = 0;
    for (const monitor of this.#monitors.values()) {
      const { request } = monitor;
      if ((request.flags & FLAG[event.kind]) === 0) continue;
      if (concerns(monitor, event.rule, event.before)) flags |= request.flags;
    }
    if (flags === 0) return undefined;
    // Whoever asked for a change knows what it was, unless one of its monitors wants its own in full.
    if (ownXid !== undefined && (flags & OFPFMF.OWN) === 0) {
      return { type: "ONFFME_ABBREV", xid: ownXid };
    }
    const reason = event.kind === "removed" ? (REASON[event.reason] ?? 2) : 0;
    return fullUpdate(EVENT[event.kind], event.rule, flags, reason);
  }
}

/** A flow that there is, as the first answer tells of it. */
export const initialUpdate = (rule: Rule, flags: number): FlowUpdate =>
  fullUpdate("ONFFME_ADDED", rule, flags, 0);

function fullUpdate(
  type: "ONFFME_ADDED" | "ONFFME_MODIFIED" | "ONFFME_DELETED",
  rule: Rule,
  flags: number,
  reason: number,
): FlowUpdate {
  const { table_id, priority, cookie, idle_timeout, hard_timeout, match, instructions } = rule;
  const shown = (flags & OFPFMF.ACTIONS) !== 0 ? instructions : [];
  return {
    type,
    table_id,
    reason,
    priority,
    cookie,
    idle_timeout,
    hard_timeout,
    match,
    instructions: shown,
  } as FlowUpdate;
}

/** Whether a rule is one of those that the monitor selects: its match is at least as specific, and it outputs to the port
 *  that is asked for, or has by the instructions `before`. */
export function concerns(
  { request, key, mask }: Monitor,
  rule: Rule,
  before: readonly unknown[] = [],
): boolean {
  if (request.table_id !== OFPTT.ALL && request.table_id !== rule.table_id) return false;
  if (
    request.out_port !== OFPP.ANY &&
    ![rule.instructions, before].some((one) => hasOutput(one, request.out_port))
  )
    return false;
  const its = parseMatch(rule.match);
  return mask.every(
    (bits, lane) => (bits & ~its.mask[lane]!) === 0 && ((its.key[lane]! ^ key[lane]!) & bits) === 0,
  );
}

const hasOutput = (instructions: readonly unknown[], port: number): boolean =>
  (instructions as readonly { actions?: readonly { type: string; port?: number }[] }[]).some(({ actions }) =>
    actions?.some((action) => action.type === "OFPAT_OUTPUT" && action.port === port),
  );

/** Adds an update to those of the same request. A request of one's own is told of once. */
export function collect(updates: FlowUpdate[], update: FlowUpdate): void {
  if (update.type !== "ONFFME_ABBREV" || !updates.some(({ type }) => type === "ONFFME_ABBREV"))
    updates.push(update);
}

/** Updates as a message. */
export const monitorReply = (
  entries: readonly FlowUpdate[],
  xid = 0,
): MessageInitOf<"OFPT_MULTIPART_REPLY"> => ({
  type: "OFPT_MULTIPART_REPLY",
  xid,
  body: { type: "ONFMP_FLOW_MONITOR", entries },
});
