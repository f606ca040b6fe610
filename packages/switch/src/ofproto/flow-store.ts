import type { TableFeaturesInit } from "@sluice/openflow-codec";
import type { Clock, Timer } from "@sluice/runtime";
import { type FlowKey, type FlowMask, newFlowKey } from "../flow/flow-key.js";
import { isEmptyMask } from "../flow/mask.js";
import { type CheckContext, checkInstructions } from "./check.js";
import { refuse } from "./error.js";
import { Eviction } from "./eviction.js";
import { InstructionPool } from "./instruction-pool.js";
import type { TableChange } from "./lookup-index.js";
import { formatKey, formatRuleKey, parseMatch } from "./match.js";
import type { FlowMod, Instruction, Match } from "./of.js";
import { DEFAULT_TABLE_LIMIT, N_TABLES, OfTable } from "./oftable.js";
import { Removals } from "./removals.js";
import { duration, outputsOf, Rule } from "./rule.js";
import { changeTables } from "./table-features.js";
import { TimerWheel } from "./timer-wheel.js";
import { type Transaction, transact } from "./transaction.js";
import type { FlowRemovedEvent, FlowTableConfig, FlowUpdateEvent } from "./types.js";
import { KeyedMatch } from "./wire-match.js";
import { type Learned, learnedBy } from "./xlate/learn.js";
import { OFPFF, OFPG, OFPP, OFPTT } from "./xlate/reserved.js";
import type { LearnRoom } from "./xlate/world.js";

/** Which rules a request is about (1.3.5 §6.4). */
export interface FlowSelection {
  table_id: number;
  match: Match | KeyedMatch;
  /** Set: strictly this priority and match. */
  priority?: number;
  cookie: bigint;
  cookie_mask: bigint;
  out_port: number;
  out_group: number;
}

export interface FlowStoreHooks extends CheckContext {
  /** A rule came, went or changed. The change's key is good for this call. */
  ruleChanged(change: TableChange): void;
  /** So many rules are about to change. */
  rulesChange(count: number): void;
  /** Whether that matters to anybody who does not expect it already. */
  wantsChanges(): boolean;
  flowRemoved(event: FlowRemovedEvent): void;
  flowUpdate(event: FlowUpdateEvent): void;
  /** Whether anybody listens to flowUpdate. */
  isMonitored(): boolean;
  /** Makes the counts of all rules current. */
  syncStats(): Promise<void>;
  /** The same with every change in force; undefined when nothing is counted anywhere else. */
  settleStats(): Promise<void> | undefined;
}

type Command = (store: FlowStore, message: FlowMod, owner: unknown, transaction: Transaction) => void;

const NOTHING = newFlowKey();
const WHATEVER_ELSE: CheckContext = { hasGroup: () => true, hasMeter: () => true };
const EVERY_FLOW = { command: "OFPFC_DELETE", match: {}, cookie_mask: 0xffff_ffff_ffff_ffffn } as const;

/** ms between looks for rules that are due. */
const EXPIRY_TICK_MS = 250;
const KNOWN_FLAGS = 0x1f;
/** Rules of a higher priority are the switch's own. */
export const MAX_PRIORITY = 0xffff;

/** The flow tables of a bridge: what flow_mod does to them, and timeouts. */
export class FlowStore {
  readonly tables: readonly OfTable[] = Array.from({ length: N_TABLES }, (_, id) => new OfTable(id));
  readonly #clock: Clock;
  readonly #hooks: FlowStoreHooks;
  readonly #removals: Removals;
  readonly #wheel = new TimerWheel<Rule>(EXPIRY_TICK_MS);
  readonly #pool = new InstructionPool();
  /** The match at hand: that of a request, and that of a rule. */
  readonly #asked = { key: newFlowKey(), mask: newFlowKey() };
  readonly #ruleKey = newFlowKey();
  #timer: Timer | undefined;
  #isExpiring = false;
  /** Counters for coverage. */
  readonly counters = { added: 0, modified: 0, removed: 0, expired: 0 };

  constructor(clock: Clock, hooks: FlowStoreHooks) {
    this.#clock = clock;
    this.#hooks = hooks;
    this.#removals = new Removals(
      (event) => hooks.flowRemoved(event),
      () => hooks.settleStats(),
    );
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** Carries out a flow_mod. */
  apply(message: FlowMod, owner: unknown, transaction: Transaction): void {
    commandOf(message)(this, message, owner, transaction);
  }

  /** Refuses a flow_mod that could not be carried out, whichever flows, groups and meters there are. */
  check(message: FlowMod): void {
    commandOf(message);
    this.#matchAsked(message.match);
    if (message.command === "OFPFC_DELETE" || message.command === "OFPFC_DELETE_STRICT") return;
    const { table_id } = this.#table(message);
    checkInstructions(message.match ?? {}, table_id, message.instructions ?? [], WHATEVER_ELSE);
  }

  add(message: FlowMod, owner: unknown, transaction: Transaction, isLearned = false): void {
    const table = this.#table(message);
    const { key, mask } = this.#matchAsked(message.match);
    const priority = message.priority ?? 0x8000;
    const flags = message.flags ?? 0;
    const instructions = checkInstructions(
      message.match ?? {},
      table.table_id,
      message.instructions ?? [],
      isLearned ? { ...this.#hooks, isLearned } : this.#hooks,
    );
    if (table.limits !== undefined) {
      const isTableMiss = priority === 0 && isEmptyMask(mask);
      table.limits.checkMatch(formatKey(key, mask), isTableMiss);
      table.limits.checkInstructions(instructions, isTableMiss);
    }
    const old = table.rules.find(key, mask, priority);
    // What is only replaced overlaps no more than it did.
    if (!old && (flags & OFPFF.CHECK_OVERLAP) !== 0 && table.rules.overlap(key, mask, priority))
      throw refuse("OFPFMFC_OVERLAP", `a flow of priority ${priority} overlaps`);
    if (!old && table.rules.size >= table.limit) {
      const victim = table.eviction?.victim();
      if (!victim) throw refuse("OFPFMFC_TABLE_FULL", `table ${table.table_id} holds ${table.limit} flows`);
      this.remove(victim, "OFPRR_DELETE", owner, transaction);
    }
    const rule = new Rule(
      {
        table_id: table.table_id,
        priority,
        cookie: message.cookie ?? 0n,
        idle_timeout: message.idle_timeout ?? 0,
        hard_timeout: message.hard_timeout ?? 0,
        flags,
        instructions: this.#pool.shared(instructions),
        hidden: priority > MAX_PRIORITY,
      },
      this.#clock.now(),
    );
    if (old) {
      if ((flags & OFPFF.RESET_COUNTS) === 0) {
        rule.packets = old.packets;
        rule.bytes = old.bytes;
        old.heir = rule;
      }
      table.rules.replace(old, rule);
      this.#unlearn(old.instructions, transaction);
      this.#forget(old);
    } else {
      table.rules.insert(rule, key, mask);
      if (rule.hidden) table.hidden++;
    }
    this.#watch(rule);
    this.counters.added++;
    this.#changed(rule);
    if (transaction.canUndo) this.#onUndoOfAdd(rule, old, transaction);
    if (!this.#hooks.isMonitored()) return;
    const before = old?.instructions;
    transaction.onCommit(() => this.#tell("added", rule, owner, before));
  }

  /** Apart from `add`, which then has no variables that outlive it: most flows come in requests of their own, and
   *  nobody watches. */
  #onUndoOfAdd(rule: Rule, old: Rule | undefined, transaction: Transaction): void {
    transaction.onUndo(() => {
      if (!old) {
        this.#takeOut(rule);
        return;
      }
      old.heir = undefined;
      this.#forget(rule);
      this.tables[rule.table_id]!.rules.replace(rule, old);
      this.#watch(old);
      this.#changed(old);
    });
  }

  /** Adds a learned flow; one that is there with the same actions is only kept from timing out. */
  learn(message: FlowMod, limit: number, usedMs: number, transaction: Transaction): void {
    const { key, mask } = this.#matchAsked(message.match);
    const old = this.#table(message).rules.find(key, mask, message.priority ?? 0x8000);
    // Late counts of packets that went before: what has been learned since is newer.
    if (old && old.freshMs > usedMs) return;
    if (old && isSame(old.instructions, message.instructions ?? [])) {
      old.credit(0, 0, usedMs);
      old.freshMs = usedMs;
    } else if (old || limit === 0 || this.#countLearned(message) < limit)
      this.add(message, undefined, transaction, true);
  }

  /** Whether there is room for a flow that `learn` would add, or it is there. */
  roomToLearn(message: FlowMod, limit: number): LearnRoom {
    const { key, mask } = this.#matchAsked(message.match);
    if (this.#table(message).rules.find(key, mask, message.priority ?? 0x8000)) return "there";
    return limit === 0 || this.#countLearned(message) < limit ? "room" : "full";
  }

  /** Makes a flow's timeouts these, in seconds, where they are longer or none; 0 leaves one as it is. */
  reduceTimeouts(rule: Rule, idle: number, hard: number): void {
    const reduced = (from: number, to: number): number => (to > 0 && (from === 0 || from > to) ? to : from);
    const idle_timeout = reduced(rule.idle_timeout, idle);
    const hard_timeout = reduced(rule.hard_timeout, hard);
    const isThere = rule.subtable !== undefined && rule.heir === undefined;
    if (!isThere || (idle_timeout === rule.idle_timeout && hard_timeout === rule.hard_timeout)) return;
    this.#forget(rule);
    Object.assign(rule, { idle_timeout, hard_timeout });
    this.#watch(rule);
  }

  #countLearned(message: FlowMod): number {
    let count = 0;
    for (const rule of this.#table(message).rules) if (rule.cookie === (message.cookie ?? 0n)) count++;
    return count;
  }

  /** Takes learned flows away with the last flow that learned them. */
  #unlearn(before: readonly Instruction[], transaction: Transaction): void {
    const learned = learnedBy(before);
    if (learned.length === 0) return;
    transaction.onCommit(() => {
      const isSame = (a: Learned, b: Learned): boolean => a.table_id === b.table_id && a.cookie === b.cookie;
      for (const one of learned) {
        const { table_id, cookie } = one;
        const others = [...this.all()].some(({ instructions }) =>
          learnedBy(instructions).some((other) => isSame(one, other)),
        );
        if (others) continue;
        transact((inner) => this.delete({ ...EVERY_FLOW, table_id, cookie }, false, undefined, inner));
      }
    });
  }

  /** Modifies the instructions of what is selected; counts, timeouts and cookie stay (1.3.5 §6.4). */
  modify(message: FlowMod, strict: boolean, owner: unknown, transaction: Transaction): void {
    const table = this.#table(message);
    const instructions = checkInstructions(
      message.match ?? {},
      table.table_id,
      message.instructions ?? [],
      this.#hooks,
    );
    const resets = ((message.flags ?? 0) & OFPFF.RESET_COUNTS) !== 0;
    const selected = this.select(selectionOf(message, strict, false));
    this.#hooks.rulesChange(selected.length);
    const isMonitored = this.#hooks.isMonitored();
    // Many rules share their instructions.
    let unlearned: readonly Instruction[] | undefined;
    for (const rule of selected) {
      table.limits?.checkInstructions(instructions, rule.isTableMiss);
      this.#changed(rule);
      if (transaction.canUndo) this.#onUndoOfModify(rule, transaction);
      if (rule.instructions !== unlearned) {
        unlearned = rule.instructions;
        this.#unlearn(unlearned, transaction);
      }
      const before = rule.instructions;
      rule.instructions = instructions;
      if (resets) {
        rule.packets = 0;
        rule.bytes = 0;
      }
      this.counters.modified++;
      if (isMonitored && !isSame(before, instructions))
        transaction.onCommit(() => this.#tell("modified", rule, owner, before));
    }
  }

  /** Apart, as for `add`: most requests are not taken back, and change many rules. */
  #onUndoOfModify(rule: Rule, transaction: Transaction): void {
    const { instructions, packets, bytes } = rule;
    transaction.onUndo(() => {
      Object.assign(rule, { instructions, packets, bytes });
      this.#changed(rule);
    });
  }

  /** Removes what is selected. */
  delete(message: FlowMod, strict: boolean, owner: unknown, transaction: Transaction): void {
    // Of the flows there, which the switch keeps to itself, one is covered for certain.
    if (!strict && message.table_id === OFPTT.MAX && isEmpty(message.match ?? {}))
      throw refuse("OFPBRC_EPERM", "table 254 is the switch's own");
    if (!strict) for (const table of this.#wholeTables(message, transaction)) this.#clear(table);
    const selected = this.select(selectionOf(message, strict, true));
    this.#hooks.rulesChange(selected.length);
    for (const rule of selected) this.remove(rule, "OFPRR_DELETE", owner, transaction);
  }

  /** The tables that a request deletes all flows of, where nobody wants to hear of one or have it back. */
  #wholeTables(message: FlowMod, { canUndo }: Transaction): OfTable[] {
    const isAll =
      isEmpty(message.match ?? {}) &&
      (message.cookie_mask ?? 0n) === 0n &&
      (message.out_port ?? OFPP.ANY) === OFPP.ANY &&
      (message.out_group ?? OFPG.ANY) === OFPG.ANY;
    if (!isAll || canUndo || this.#hooks.isMonitored()) return [];
    return this.tables.filter(
      (table) =>
        (message.table_id === OFPTT.ALL || message.table_id === table.table_id) &&
        table.rules.every(
          ({ hidden, flags, instructions }) =>
            !hidden && (flags & OFPFF.SEND_FLOW_REM) === 0 && learnedBy(instructions).length === 0,
        ),
    );
  }

  #clear(table: OfTable): void {
    if (table.rules.size === 0) return;
    if (this.#wheel.size > 0) for (const rule of table.rules) this.#forget(rule);
    this.counters.removed += table.rules.size;
    table.rules.clear();
    // Every lookup in the table may find something else now.
    this.#hooks.ruleChanged({ table, key: NOTHING, mask: NOTHING, priority: Number.MAX_SAFE_INTEGER });
  }

  /** Removes one rule and, on commit, tells whom it concerns. */
  remove(rule: Rule, reason: string, owner: unknown, transaction: Transaction): void {
    const table = this.tables[rule.table_id]!;
    const { mask } = rule.subtable!;
    const tellsRemoval = (rule.flags & OFPFF.SEND_FLOW_REM) !== 0 && !rule.hidden;
    const tells = tellsRemoval || this.#hooks.isMonitored();
    const key = tells || transaction.canUndo ? table.rules.keyOf(rule) : undefined;
    this.#takeOut(rule);
    this.#unlearn(rule.instructions, transaction);
    this.counters.removed++;
    if (key === undefined) return;
    transaction.onUndo(() => {
      table.rules.insert(rule, key, mask);
      if (rule.hidden) table.hidden++;
      this.#watch(rule);
      this.#hooks.ruleChanged({ table, key, mask, priority: rule.priority });
    });
    if (!tells) return;
    const match = formatRuleKey(key, mask);
    transaction.onCommit(() => {
      if (tellsRemoval) this.#tellRemoved(rule, match, reason);
      if (this.#hooks.isMonitored())
        this.#hooks.flowUpdate({ kind: "removed", rule: describe(rule, match), reason, owner });
    });
  }

  /** The rules that a request means. Hidden ones are never among them. */
  select(selection: FlowSelection): Rule[] {
    const { key, mask } = this.#matchAsked(selection.match);
    const tables =
      selection.table_id === OFPTT.ALL
        ? this.tables
        : this.tables.slice(selection.table_id, selection.table_id + 1);
    const rules: Rule[] = [];
    for (const table of tables) {
      if (table.rules.size === 0) continue;
      for (const rule of candidates(table, key, mask, selection.priority)) {
        if (!rule.hidden && passes(rule, selection)) rules.push(rule);
      }
    }
    return rules;
  }

  /** Names and bounds tables as the database says, and drops what is over a bound where that may be. */
  configure(configs: readonly FlowTableConfig[]): void {
    for (const table of this.tables) {
      const config = configs.find(({ table_id }) => table_id === table.table_id);
      if (!config && !table.isConfigured) continue;
      table.isConfigured = config !== undefined;
      table.name = config?.name ?? "";
      table.isNamed = table.name !== "";
      table.limit = config?.flowLimit ?? DEFAULT_TABLE_LIMIT;
      table.eviction = config?.evicts ? new Eviction(config.groups) : undefined;
      if (!table.eviction) continue;
      for (const rule of table.rules)
        if (rule.deadline() !== Infinity) table.eviction.add(rule, table.rules.keyOf(rule, this.#ruleKey));
      transact((transaction) => {
        for (let over = table.rules.size - table.limit; over > 0; over--) {
          const victim = table.eviction?.victim();
          if (!victim) return;
          this.remove(victim, "OFPRR_DELETE", undefined, transaction);
        }
      }, false);
    }
  }

  /** Names, bounds and limits tables as a controller asks (OFPMP_TABLE_FEATURES with entries). Flows that go by it
   *  are not told of (1.3.5 §7.3.5.5). */
  changeTables(requests: readonly TableFeaturesInit[]): void {
    const { emptied } = changeTables(this.tables, requests);
    transact((transaction) => {
      for (const rule of emptied.flatMap(({ rules }) => [...rules])) {
        if (rule.hidden) continue;
        rule.flags &= ~OFPFF.SEND_FLOW_REM;
        this.remove(rule, "OFPRR_DELETE", undefined, transaction);
      }
    }, false);
  }

  matchOf(rule: Rule): Match {
    const key = this.tables[rule.table_id]!.rules.keyOf(rule, this.#ruleKey);
    return formatRuleKey(key, rule.subtable!.mask);
  }

  /** Every rule, hidden ones too. */
  *all(): IterableIterator<Rule> {
    for (const table of this.tables) if (table.rules.size > 0) yield* table.rules;
  }

  #matchAsked(match: Match | KeyedMatch | undefined): { key: FlowKey; mask: FlowMask } {
    return parseMatch(match ?? {}, this.#asked.key, this.#asked.mask);
  }

  #table(message: FlowMod): OfTable {
    if (message.table_id === OFPTT.MAX) throw refuse("OFPBRC_EPERM", "table 254 is the switch's own");
    const table = this.tables[message.table_id ?? 0];
    if (!table || table.isRemoved)
      throw refuse("OFPFMFC_BAD_TABLE_ID", `table ${message.table_id}; tables are 0 to ${N_TABLES - 1}`);
    return table;
  }

  #changed(rule: Rule): void {
    if (!this.#hooks.wantsChanges()) return;
    const table = this.tables[rule.table_id]!;
    const key = table.rules.keyOf(rule, this.#ruleKey);
    this.#hooks.ruleChanged({ table, key, mask: rule.subtable!.mask, priority: rule.priority });
  }

  #takeOut(rule: Rule): void {
    const table = this.tables[rule.table_id]!;
    this.#changed(rule);
    table.rules.remove(rule);
    if (rule.hidden) table.hidden--;
    this.#forget(rule);
  }

  #tell(kind: "added" | "modified", rule: Rule, owner: unknown, before?: readonly Instruction[]): void {
    if (!this.#hooks.isMonitored() || rule.hidden || rule.subtable === undefined) return;
    this.#hooks.flowUpdate({ kind, rule: describe(rule, this.matchOf(rule)), reason: "", owner, before });
  }

  #tellRemoved(rule: Rule, match: Match, reason: string): void {
    this.#removals.add(rule, {
      cookie: rule.cookie,
      priority: rule.priority,
      reason,
      table_id: rule.table_id,
      ...duration(rule.createdMs, this.#clock.now()),
      idle_timeout: rule.idle_timeout,
      hard_timeout: rule.hard_timeout,
      match,
    });
  }

  /** Resolves when every removal so far has been told of. */
  removalsTold(): Promise<void> {
    return this.#removals.told();
  }

  #watch(rule: Rule): void {
    const deadline = rule.deadline();
    if (deadline === Infinity) return;
    this.#wheel.set(rule, deadline);
    const { eviction, rules } = this.tables[rule.table_id]!;
    eviction?.add(rule, rules.keyOf(rule, this.#ruleKey));
    this.#timer ??= this.#clock.setInterval(() => void this.expire(), EXPIRY_TICK_MS);
  }

  #forget(rule: Rule): void {
    if (this.#wheel.size === 0) return;
    this.#wheel.delete(rule);
    this.tables[rule.table_id]!.eviction?.delete(rule);
    if (this.#wheel.size > 0 || !this.#timer) return;
    this.#timer.cancel();
    this.#timer = undefined;
  }

  /** Removes the rules whose time has come. Counts that cannot be had are taken as they are. */
  async expire(): Promise<void> {
    if (this.#isExpiring || this.#wheel.due(this.#clock.now()).length === 0) return;
    this.#isExpiring = true;
    await this.#hooks.syncStats().catch(() => {});
    this.#isExpiring = false;
    const now = this.#clock.now();
    for (const rule of this.#wheel.due(now)) {
      const reason = rule.expiry(now);
      if (reason) {
        this.counters.expired++;
        this.#expireRule(rule, reason);
      } else this.#wheel.set(rule, rule.deadline());
    }
  }

  #expireRule(rule: Rule, reason: string): void {
    transact((transaction) => this.remove(rule, reason, undefined, transaction));
  }
}

const COMMANDS: Readonly<Record<string | number, Command | undefined>> = {
  OFPFC_ADD: (store, message, owner, transaction) => store.add(message, owner, transaction),
  OFPFC_MODIFY: (store, message, owner, transaction) => store.modify(message, false, owner, transaction),
  OFPFC_MODIFY_STRICT: (store, message, owner, transaction) =>
    store.modify(message, true, owner, transaction),
  OFPFC_DELETE: (store, message, owner, transaction) => store.delete(message, false, owner, transaction),
  OFPFC_DELETE_STRICT: (store, message, owner, transaction) =>
    store.delete(message, true, owner, transaction),
};

function commandOf({ command, flags = 0 }: FlowMod): Command {
  const found = COMMANDS[command];
  if (!found) throw refuse("OFPFMFC_BAD_COMMAND", `flow_mod command ${command}`);
  if ((flags & ~KNOWN_FLAGS) !== 0)
    throw refuse("OFPFMFC_BAD_FLAGS", `flow_mod flags 0x${flags.toString(16)}`);
  return found;
}

/** out_port and out_group narrow deletes only (1.3.5 §7.3.4.1). */
const selectionOf = (message: FlowMod, strict: boolean, deletes: boolean): FlowSelection => ({
  table_id: message.table_id ?? 0,
  match: message.match ?? {},
  priority: strict ? (message.priority ?? 0x8000) : undefined,
  cookie: message.cookie ?? 0n,
  cookie_mask: message.cookie_mask ?? 0n,
  out_port: deletes ? (message.out_port ?? OFPP.ANY) : OFPP.ANY,
  out_group: deletes ? (message.out_group ?? OFPG.ANY) : OFPG.ANY,
});

/** Whether a match asks for nothing. */
const isEmpty = (match: Match | KeyedMatch): boolean =>
  match instanceof KeyedMatch ? isEmptyMask(match.mask) : Object.keys(match).length === 0;

function candidates(
  table: OfTable,
  key: FlowKey,
  mask: FlowMask,
  priority: number | undefined,
): Iterable<Rule> {
  if (priority === undefined) return table.rules.looser(key, mask);
  const rule = table.rules.find(key, mask, priority);
  return rule ? [rule] : [];
}

function passes(rule: Rule, selection: FlowSelection): boolean {
  const { cookie, cookie_mask, out_port, out_group } = selection;
  if (cookie_mask !== 0n && ((rule.cookie ^ cookie) & cookie_mask) !== 0n) return false;
  if (out_port === OFPP.ANY && out_group === OFPG.ANY) return true;
  let toPort = out_port === OFPP.ANY;
  let toGroup = out_group === OFPG.ANY;
  for (const output of outputsOf(rule.instructions)) {
    toPort ||= output.port === out_port;
    toGroup ||= output.group_id === out_group;
  }
  return toPort && toGroup;
}

const describe = (rule: Rule, match: Match): FlowUpdateEvent["rule"] => ({
  table_id: rule.table_id,
  priority: rule.priority,
  cookie: rule.cookie,
  idle_timeout: rule.idle_timeout,
  hard_timeout: rule.hard_timeout,
  match,
  instructions: rule.instructions,
});

const isSame = (a: readonly Instruction[], b: readonly Instruction[]): boolean =>
  JSON.stringify(a, plain) === JSON.stringify(b, plain);

const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);
