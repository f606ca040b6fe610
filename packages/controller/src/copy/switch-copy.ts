import {
  type MessageOf,
  OFPG,
  OFPP,
  OFPTT,
  type OfMessage,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import type { Clock } from "@sluice/runtime";
import type { ObservedSwitch, Observer } from "../framework/app.js";
import {
  asReceived,
  compareTables,
  differingGroups,
  differingMeters,
  fetchGroups,
  fetchGroupsAndMeters,
  fetchMeters,
  fetchTables,
  type ModelFlow,
  SwitchTables,
  sameFlow,
  type TableDifference,
  type TableWatcher,
  termsOf,
} from "../tables/index.js";
import { type FlowListener, FlowMonitor, type FlowUpdate } from "./flow-monitor.js";

/** How many a copy and its switch were apart, and how often that was looked at. */
export interface CopyState {
  readonly missing: number;
  readonly surplus: number;
  readonly changed: number;
  readonly groups: number;
  readonly meters: number;
  /** When the switch last listed its tables for the copy, ms since 1970. */
  readonly checkedAt: number;
}

/** What a copy has counted so far. */
export interface CopyCounters {
  /** Times that the switch listed its tables. */
  checks: number;
  /** Differences found, all checks together. */
  missing: number;
  surplus: number;
  changed: number;
  groups: number;
  meters: number;
  /** Times that more was sent than a copy follows; it then begins anew. */
  lost: number;
}

/** A message that changes tables, or the switch's word that a flow has gone, and when. */
interface Entry {
  readonly xid: number;
  readonly at: number;
  readonly message: OfMessageInit | MessageOf<"OFPT_FLOW_REMOVED">;
  isRefused: boolean;
}

/** Changes that are kept until somebody asks; with more than these it is cheaper to ask the switch. */
const MAX_JOURNAL = 4096;
/** Of a switch with more flows no copy is kept. */
const MAX_FLOWS = 1 << 16;
const CHANGES: ReadonlySet<string> = new Set(["OFPT_FLOW_MOD", "OFPT_GROUP_MOD", "OFPT_METER_MOD"]);

/** The tables of one connected switch. Of a switch with flow monitors the copy has each change of a flow, by whomever, as
 *  soon as the switch tells of it. Else, and for groups and meters, what is sent to it is written down, and carried out in
 *  the copy when the copy is asked for and a barrier has confirmed it (OpenFlow 1.3.5 §6.2: errors come before the
 *  barrier's reply); so a switch that nobody asks about costs one look at each message. Begins with the first question, by
 *  what the switch lists. */
export class SwitchCopy implements Observer, FlowListener {
  readonly counters: CopyCounters = {
    ...{ checks: 0, missing: 0, surplus: 0, changed: 0, groups: 0, meters: 0, lost: 0 },
  };
  readonly #dp: ObservedSwitch;
  readonly #clock: Clock;
  #tables = new SwitchTables();
  /** Whether `#tables` and the journal together say all. */
  #isFollowing = false;
  #journal: Entry[] = [];
  /** Of the journal, from its beginning. */
  #confirmed = 0;
  /** By the xid of a barrier that is under way: how much of the journal it confirms, and of all that was sent. */
  readonly #barriers = new Map<number, { entries: number; changes: number }>();
  /** Messages that change tables, of all that were sent since the copy began, and of those that a barrier confirmed. */
  #changesSent = 0;
  #changesConfirmed = 0;
  /** Ends what the switch tells of its flows; undefined where it does not. */
  #endMonitor: (() => void) | undefined;
  #asksForMonitor: boolean;
  /** What the switch told of its flows while its list was compared. */
  #updates: FlowUpdate[] = [];
  #watcher: TableWatcher | undefined;
  readonly #hasFlows: boolean;
  readonly #endObserving: () => void;
  #checking: Promise<SwitchTables> | undefined;
  #listRequest: OfMessageInit | undefined;
  #listXid: number | undefined;
  /** While the switch's list is compared, the journal waits. */
  #isHeld = false;
  #state: CopyState | undefined;

  /** With `of: "groups"` it leaves the flows out, and has groups and meters alone. */
  constructor(dp: ObservedSwitch, clock: Clock, of: "tables" | "groups" = "tables") {
    this.#dp = dp;
    this.#clock = clock;
    this.#hasFlows = of === "tables";
    this.#asksForMonitor = this.#hasFlows;
    this.#endObserving = dp.observe(this);
  }

  /** Told of everything of which the copy finds that it came, changed or went, from now on. */
  set watcher(watcher: TableWatcher | undefined) {
    this.#watcher = watcher;
    this.#tables.watcher = watcher;
  }

  /** Whether something was sent, or has gone, that is not in the copy yet. */
  get isBehind(): boolean {
    return this.#isFollowing && (this.#changesConfirmed < this.#changesSent || this.#journal.length > 0);
  }

  /** Whether the switch tells of changes itself, as far as is known. */
  get isMonitored(): boolean {
    return this.#endMonitor !== undefined;
  }

  /** What the last check found; undefined before the first. */
  get state(): CopyState | undefined {
    return this.#state;
  }

  get flowCount(): number {
    return this.#tables.flowCount;
  }

  /** Ends: nothing is written down any more. */
  stop(): void {
    this.#endObserving();
    this.#lose();
    this.#asksForMonitor = false;
  }

  sent(message: OfMessageInit, xid: number): void {
    if (message === this.#listRequest) this.#listXid = xid;
    if (!this.#isFollowing) return;
    if (message.type === "OFPT_FLOW_MOD" && !this.#hasFlows) return;
    if (CHANGES.has(message.type)) {
      this.#changesSent++;
      if (!this.isMonitored || message.type !== "OFPT_FLOW_MOD") this.#write(message, xid);
    } else if (message.type === "OFPT_BARRIER_REQUEST") {
      this.#barriers.set(xid, { entries: this.#journal.length, changes: this.#changesSent });
    }
  }

  updated(update: FlowUpdate): void {
    if (!this.#isFollowing) return;
    if (!this.#isHeld) this.#apply(update);
    else if (this.#updates.length < MAX_JOURNAL) this.#updates.push(update);
    else this.#overflow();
  }

  #apply(update: FlowUpdate): void {
    if (update.type === "ONFFME_DELETED") this.#tables.remove(update);
    else this.#tables.put({ ...update, flags: 0 });
    if (this.#tables.flowCount > MAX_FLOWS) this.#lose();
  }

  paused(): void {
    this.#lose();
  }

  received(message: OfMessage): void {
    if (message.type === "OFPT_MULTIPART_REPLY") {
      const isWhole = message.xid === this.#listXid && (message.flags & OFPMPF_REPLY_MORE) === 0;
      if (isWhole) this.#hold();
      return;
    }
    if (!this.#isFollowing) return;
    if (message.type === "OFPT_FLOW_REMOVED") {
      if (!this.isMonitored && this.#hasFlows) this.#write(message, message.xid);
    } else if (message.type === "OFPT_ERROR") this.#refused(message.xid);
    else if (message.type === "OFPT_BARRIER_REPLY") {
      const { entries = 0, changes = 0 } = this.#barriers.get(message.xid) ?? {};
      this.#confirmed = Math.max(this.#confirmed, entries);
      this.#changesConfirmed = Math.max(this.#changesConfirmed, changes);
      this.#barriers.delete(message.xid);
    }
  }

  /** The tables with everything that was sent so far and not refused. Rejects as `request` does. */
  async tables(): Promise<SwitchTables> {
    if (this.#checking !== undefined) return this.#checking;
    if (!this.#isFollowing) return this.check();
    if (this.#changesConfirmed < this.#changesSent || this.#confirmed < this.#journal.length)
      await this.#dp.barrier();
    // Too much may have been sent in the meantime.
    if (!this.#isFollowing || this.#isHeld) return this.check();
    this.#catchUp();
    return this.#tables;
  }

  /** Whether the switch counts as many flows as the copy has: a short question. */
  async hasSameCount(): Promise<boolean> {
    const all = { table_id: OFPTT.ALL, out_port: OFPP.ANY, out_group: OFPG.ANY };
    const body = { type: "OFPMP_AGGREGATE", ...all } as const;
    const [tables, reply] = await Promise.all([
      this.tables(),
      this.#dp.request({ type: "OFPT_MULTIPART_REQUEST", body }),
    ]);
    return reply.body.flow_count === tables.flowCount;
  }

  /** Whether the switch has the groups that the copy has. */
  async hasSameGroups(): Promise<boolean> {
    const [tables, groups] = await Promise.all([this.tables(), fetchGroups(this.#dp)]);
    return differingGroups(tables.groups, byNumber(groups, "group_id")).length === 0;
  }

  /** Whether the switch has the meters that the copy has. */
  async hasSameMeters(): Promise<boolean> {
    const [tables, meters] = await Promise.all([this.tables(), fetchMeters(this.#dp)]);
    return differingMeters(tables.meters, byNumber(meters, "meter_id")).length === 0;
  }

  /** The packets that a flow of the copy has taken; undefined where the switch does not have it, or has another in its
   *  place. */
  async packetsOf(flow: ModelFlow): Promise<bigint | undefined> {
    const { table_id, match, priority } = flow;
    const cookie = { cookie: flow.cookie, cookie_mask: (1n << 64n) - 1n };
    const anywhere = { out_port: OFPP.ANY, out_group: OFPG.ANY };
    const body = { type: "OFPMP_FLOW", table_id, match, ...anywhere, ...cookie } as const;
    const reply = await this.#dp.request({ type: "OFPT_MULTIPART_REQUEST", body });
    const key = keyOf(flow);
    const found = reply.body.entries.find((one) => one.priority === priority && keyOf(one) === key);
    if (found === undefined || !sameFlow(flow, { ...found, terms: flow.terms })) return undefined;
    return found.packet_count;
  }

  /** Asks the switch to list its tables, counts how the copy was different, and goes on with what the switch has. */
  check(): Promise<SwitchTables> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** Asks the switch to tell of changes, once for a beginning of the copy. */
  async #monitor(): Promise<void> {
    if (this.isMonitored || !this.#asksForMonitor) return;
    this.#endMonitor = await FlowMonitor.of(this.#dp).follow(this);
    if (this.#endMonitor === undefined) this.#asksForMonitor = false;
  }

  async #check(): Promise<SwitchTables> {
    if (!this.#isFollowing) await this.#monitor();
    const wasFollowing = this.#isFollowing;
    const settled = wasFollowing && this.#confirmed < this.#journal.length ? this.#dp.barrier() : undefined;
    // From here on what is sent comes after the list.
    if (!wasFollowing) this.#begin();
    try {
      const [listed] = await Promise.all([
        (this.#hasFlows ? fetchTables : fetchGroupsAndMeters)(this.#dp, (request) => {
          this.#listRequest = request;
        }),
        settled,
      ]);
      const before = this.#tables;
      this.counters.checks++;
      const found = wasFollowing && this.#isHeld ? compareTables(before, listed) : undefined;
      this.#note(found);
      this.#tables = listed;
      listed.watcher = this.#watcher;
      if (found !== undefined && this.#watcher !== undefined) tell(this.#watcher, found, before, listed);
      if (listed.flowCount > MAX_FLOWS) this.#lose();
      return listed;
    } catch (error) {
      this.#lose();
      throw error;
    } finally {
      this.#isHeld = false;
      this.#listRequest = undefined;
      this.#listXid = undefined;
      const updates = this.#updates;
      this.#updates = [];
      if (this.#isFollowing) {
        this.#catchUp();
        for (const update of updates) this.#apply(update);
      }
    }
  }

  #note(found: TableDifference | undefined): void {
    const counts = {
      missing: found?.missing.length ?? 0,
      surplus: found?.surplus.length ?? 0,
      changed: found?.changed.length ?? 0,
      groups: found?.groups.length ?? 0,
      meters: found?.meters.length ?? 0,
    };
    for (const [name, count] of Object.entries(counts)) this.counters[name as keyof typeof counts] += count;
    this.#state = { ...counts, checkedAt: this.#clock.wallNow() };
  }

  /** The list is there: the copy must be as of now to be compared with it. */
  #hold(): void {
    if (!this.#isFollowing) return;
    this.#catchUp();
    this.#isHeld = true;
  }

  #begin(): void {
    this.#isFollowing = true;
    this.#tables = new SwitchTables();
    this.#tables.watcher = this.#watcher;
    this.#journal = [];
    this.#updates = [];
    this.#confirmed = 0;
    this.#changesSent = 0;
    this.#changesConfirmed = 0;
    this.#barriers.clear();
  }

  #lose(): void {
    this.#begin();
    this.#isFollowing = false;
    this.#endMonitor?.();
    this.#endMonitor = undefined;
  }

  #overflow(): void {
    this.counters.lost++;
    this.#lose();
  }

  #write(message: Entry["message"], xid: number): void {
    if (this.#journal.length >= MAX_JOURNAL && !this.#isHeld) this.#catchUp();
    if (this.#journal.length >= MAX_JOURNAL) {
      this.#overflow();
      return;
    }
    this.#journal.push({ xid, at: this.#clock.now(), message, isRefused: false });
  }

  #refused(xid: number): void {
    for (let i = this.#journal.length - 1; i >= this.#confirmed; i--) {
      const entry = this.#journal[i]!;
      if (entry.xid !== xid || entry.message.type === "OFPT_FLOW_REMOVED") continue;
      entry.isRefused = true;
      return;
    }
  }

  /** Carries out what is confirmed. */
  #catchUp(): void {
    const done = this.#journal.splice(0, this.#confirmed);
    for (const barrier of this.#barriers.values())
      barrier.entries = Math.max(0, barrier.entries - done.length);
    this.#confirmed = 0;
    const addedAt = new Map<string, number>();
    for (const { message, at, isRefused } of done) {
      if (isRefused) continue;
      if (message.type === "OFPT_FLOW_REMOVED") {
        const gone = message as MessageOf<"OFPT_FLOW_REMOVED">;
        // The switch tells of a flow in whose place the controller may have put another by now: one that was added
        // after the one that has gone was.
        const bornAt = at - (gone.duration_sec * 1000 + gone.duration_nsec / 1e6);
        if ((addedAt.get(keyOf(gone)) ?? -Infinity) <= bornAt) this.#tables.remove(gone);
        continue;
      }
      const received = asReceived(message);
      if (received.type === "OFPT_FLOW_MOD" && received.command === "OFPFC_ADD")
        addedAt.set(keyOf(received), at);
      this.#tables.accept(received, this.isMonitored);
    }
  }
}

const OFPMPF_REPLY_MORE = 1;

/** Tells of what the switch's list has otherwise than the copy of before. */
function tell(
  watcher: TableWatcher,
  { missing, surplus, changed, groups, meters }: TableDifference,
  before: SwitchTables,
  listed: SwitchTables,
): void {
  for (const flow of surplus) watcher.flow?.("delete", flow);
  for (const flow of missing) watcher.flow?.("add", flow);
  for (const flow of changed) watcher.flow?.("modify", flow);
  for (const id of groups) {
    const [had, has] = [before.groups.get(id), listed.groups.get(id)];
    if (has !== undefined) watcher.group?.(had === undefined ? "add" : "modify", has);
    else if (had !== undefined) watcher.group?.("delete", had);
  }
  for (const id of meters) {
    const [had, has] = [before.meters.get(id), listed.meters.get(id)];
    if (has !== undefined) watcher.meter?.(had === undefined ? "add" : "modify", has);
    else if (had !== undefined) watcher.meter?.("delete", had);
  }
}

const byNumber = <K extends string, T extends Readonly<Record<K, number>>>(
  list: readonly T[],
  key: K,
): Map<number, T> => new Map(list.map((one) => [one[key], one]));

const keyOf = ({ table_id, priority, match }: Pick<ModelFlow, "table_id" | "priority" | "match">): string =>
  [table_id, priority, ...termsOf(match).map(({ name, value, mask }) => `${name}=${value}/${mask}`)].join(
    " ",
  );
