import type { Clock, Timer } from "@sluice/runtime";
import { isObserved, type ObservedSwitch, type Switch } from "../framework/app.js";
import { type CopyCounters, SwitchCopy } from "./switch-copy.js";

export interface TableCopiesOptions {
  /** The switches that are up. */
  readonly switches: Pick<ReadonlyMap<bigint, Switch>, "get">;
  readonly clock: Clock;
  /** Each copy is checked against its switch's list so often, one switch after the other. 60 s unless given. */
  readonly periodMs?: number;
}

const PERIOD_MS = 60_000;
const MIN_SLICE_MS = 50;
/** A copy that nobody asked for so long is let go of. */
const UNUSED_MS = 600_000;
/** Switches, and flows of them all together, of which copies are kept; beyond them the copy goes that was asked for
 *  longest ago. */
const MAX_COPIES = 1024;
const MAX_FLOWS = 1 << 20;

interface Kept {
  readonly copy: SwitchCopy;
  readonly dp: ObservedSwitch;
  usedAt: number;
  checkedAt: number;
}

const NO_COUNTS: CopyCounters = {
  ...{ checks: 0, missing: 0, surplus: 0, changed: 0, groups: 0, meters: 0, lost: 0 },
};

/** Copies of the tables of those switches that somebody asks about. A switch that connects anew has a new one. */
export class TableCopies {
  readonly #options: TableCopiesOptions;
  /** Those asked for longest ago first. */
  readonly #kept = new Map<Switch, Kept>();
  /** Of copies that are no more. */
  #past: CopyCounters = NO_COUNTS;
  #timer: Timer | undefined;
  #failures = 0;
  #isStopped = false;

  constructor(options: TableCopiesOptions) {
    this.#options = options;
  }

  /** The copy of a connected switch; undefined where its messages cannot be seen. */
  of(dp: Switch): SwitchCopy | undefined {
    if (!isObserved(dp) || this.#isStopped) return undefined;
    const now = this.#options.clock.now();
    const known = this.#kept.get(dp);
    const kept = known ?? { dp, copy: new SwitchCopy(dp, this.#options.clock), usedAt: now, checkedAt: now };
    kept.usedAt = now;
    this.#kept.delete(dp);
    this.#kept.set(dp, kept);
    this.#tidy();
    if (this.#timer === undefined) this.#schedule();
    return kept.copy;
  }

  /** The copies that are kept now. */
  get all(): ReadonlyMap<Switch, { readonly copy: SwitchCopy }> {
    return this.#kept;
  }

  /** Of all copies, those that are no more too. */
  get counters(): CopyCounters {
    return [...this.#kept.values()].reduce((sum, { copy }) => added(sum, copy.counters), this.#past);
  }

  /** Checks that a switch did not answer. */
  get failures(): number {
    return this.#failures;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const dp of [...this.#kept.keys()]) this.#drop(dp);
  }

  #drop(dp: Switch): void {
    const kept = this.#kept.get(dp);
    if (kept === undefined) return;
    this.#kept.delete(dp);
    this.#past = added(this.#past, kept.copy.counters);
    kept.copy.stop();
  }

  #tidy(): void {
    const { switches, clock } = this.#options;
    let flows = 0;
    for (const [dp, { usedAt, copy }] of this.#kept) {
      if (switches.get(dp.dpid) !== dp || clock.now() - usedAt > UNUSED_MS) this.#drop(dp);
      else flows += copy.flowCount;
    }
    for (const [dp, { copy }] of this.#kept) {
      if (this.#kept.size <= MAX_COPIES && (flows <= MAX_FLOWS || this.#kept.size === 1)) break;
      flows -= copy.flowCount;
      this.#drop(dp);
    }
  }

  /** The next check, of the switch whose turn it is. */
  #schedule(): void {
    const { clock, periodMs = PERIOD_MS } = this.#options;
    const slice = Math.max(MIN_SLICE_MS, periodMs / Math.max(1, this.#kept.size));
    this.#timer = clock.setTimeout(() => void this.#checkNext(), slice);
  }

  async #checkNext(): Promise<void> {
    this.#tidy();
    const [next] = [...this.#kept.values()].sort((a, b) => a.checkedAt - b.checkedAt);
    if (next !== undefined) {
      next.checkedAt = this.#options.clock.now();
      await next.copy.check().catch(() => this.#failures++);
    }
    this.#timer = undefined;
    if (this.#kept.size > 0 && !this.#isStopped) this.#schedule();
  }
}

const added = (a: CopyCounters, b: CopyCounters): CopyCounters => ({
  checks: a.checks + b.checks,
  missing: a.missing + b.missing,
  surplus: a.surplus + b.surplus,
  changed: a.changed + b.changed,
  groups: a.groups + b.groups,
  meters: a.meters + b.meters,
  lost: a.lost + b.lost,
});
