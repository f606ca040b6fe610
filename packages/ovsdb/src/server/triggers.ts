import type { Clock, Timer } from "@sluice/runtime";
import type { Database } from "../engine/database.js";
import type { Table } from "../engine/table.js";
import { type TransactOptions, type TransactOutcome, transact } from "../engine/transact.js";
import type { Commit } from "../engine/transaction.js";

/** A transaction that waits for the database to change. */
export interface Trigger<O> {
  readonly owner: O;
  /** The request's id, as JSON text. */
  readonly id: string;
}

interface Requested<O> extends Trigger<O> {
  readonly database: Database;
  readonly operations: readonly unknown[];
  readonly options: TransactOptions;
  readonly done: (outcome: Exclude<TransactOutcome, { waitsFor: Table }>) => void;
}

interface Pending<O> extends Requested<O> {
  readonly startedAt: number;
  waitsFor: Table;
  timer: Timer | undefined;
}

/** Transactions whose "wait" does not hold yet (RFC 7047 §5.2.6): each is tried again when the table that it waits
 *  on changes, and when its time is up. */
export class Triggers<O> {
  readonly #clock: Clock;
  readonly #pending = new Set<Pending<O>>();
  readonly #changed = new Set<Table>();
  #isScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  countOf(owner: O): number {
    let count = 0;
    for (const trigger of this.#pending) if (trigger.owner === owner) count++;
    return count;
  }

  /** Runs the transaction now; if it has to wait, `done` is called later. */
  run(request: Requested<O>): void {
    const { database, operations, options, done } = request;
    const outcome = transact(database, operations, options);
    if (!("waitsFor" in outcome)) {
      done(outcome);
      return;
    }
    const { waitsFor, deadlineMs } = outcome;
    const trigger: Pending<O> = { ...request, startedAt: this.#clock.now(), waitsFor, timer: undefined };
    this.#pending.add(trigger);
    this.#arm(trigger, deadlineMs);
  }

  #arm(trigger: Pending<O>, deadlineMs: number): void {
    trigger.timer?.cancel();
    const delay = trigger.startedAt + deadlineMs - this.#clock.now();
    // Node fires timers longer than 2^31 ms at once.
    trigger.timer =
      delay > MAX_TIMER_MS ? undefined : this.#clock.setTimeout(() => this.#retry(trigger), delay);
  }

  /** Notes a change; the transactions that wait for it run after the present turn. */
  onCommit(commit: Commit): void {
    if (this.#pending.size === 0) return;
    for (const table of commit.changes.keys()) this.#changed.add(table);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const changed = new Set(this.#changed);
      this.#changed.clear();
      for (const trigger of [...this.#pending]) if (changed.has(trigger.waitsFor)) this.#retry(trigger);
    });
  }

  #retry(trigger: Pending<O>): void {
    if (!this.#pending.has(trigger)) return;
    const elapsedMs = this.#clock.now() - trigger.startedAt;
    const outcome = transact(trigger.database, trigger.operations, { ...trigger.options, elapsedMs });
    if ("waitsFor" in outcome) {
      trigger.waitsFor = outcome.waitsFor;
      this.#arm(trigger, outcome.deadlineMs);
    } else {
      this.#remove(trigger);
      trigger.done(outcome);
    }
  }

  /** Gives up those that `isGone` names, and returns them. */
  cancel(isGone: (trigger: Trigger<O>, database: Database) => boolean): readonly Trigger<O>[] {
    const gone = [...this.#pending].filter((trigger) => isGone(trigger, trigger.database));
    for (const trigger of gone) this.#remove(trigger);
    return gone;
  }

  #remove(trigger: Pending<O>): void {
    trigger.timer?.cancel();
    this.#pending.delete(trigger);
  }
}

const MAX_TIMER_MS = 2 ** 31 - 1;
