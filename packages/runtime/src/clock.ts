/** Time comes from a clock that is passed in: the real one in daemons, a virtual one in tests and the lab.
 *  Nothing else in the project reads the time or sets a timer. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC, for what people and files see. */
  wallNow(): number;
  /** Calls `callback` once, `delayMs` from now. */
  setTimeout(callback: () => void, delayMs: number): Timer;
  /** Calls `callback` every `periodMs`. */
  setInterval(callback: () => void, periodMs: number): Timer;
}

export interface Timer {
  cancel(): void;
}

const timerOf = (handle: NodeJS.Timeout, clear: (handle: NodeJS.Timeout) => void): Timer => ({
  cancel: () => clear(handle),
});

/** hrtime allocates nothing where it is inlined; performance.now() does, 100 bytes a call. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** The machine's clock. Its timers do not by themselves keep the process alive. */
export const realClock: Clock = {
  now: monotonicMs,
  wallNow: () => Date.now(),
  setTimeout: (callback, delayMs) => timerOf(setTimeout(callback, delayMs).unref(), clearTimeout),
  setInterval: (callback, periodMs) => timerOf(setInterval(callback, periodMs).unref(), clearInterval),
};

/** Keeps the process alive until it is cancelled, for what is waited for with nothing open. */
export const holdProcess = (): Timer =>
  timerOf(
    setInterval(() => {}, 2 ** 30),
    clearInterval,
  );

interface Alarm {
  at: number;
  order: number;
  callback: () => void;
  periodMs?: number;
}

/** A clock that moves only when told to: `advance(ms)` runs the timers due on the way in time order,
 *  those due together in the order they were set. */
export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #epoch: number;
  readonly #alarms = new Set<Alarm>();

  /** `epoch`: the wall time, ms since 1970, at which the clock starts. */
  constructor(epoch = 0) {
    this.#epoch = epoch;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#epoch + this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    return this.#add({ at: this.#now + Math.max(0, delayMs), order: this.#order++, callback });
  }

  setInterval(callback: () => void, periodMs: number): Timer {
    const period = Math.max(1, periodMs);
    return this.#add({ at: this.#now + period, order: this.#order++, callback, periodMs: period });
  }

  /** Moves time forward by `ms`. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let alarm = this.#next(end); alarm; alarm = this.#next(end)) {
      this.#now = alarm.at;
      if (alarm.periodMs === undefined) this.#alarms.delete(alarm);
      else {
        alarm.at += alarm.periodMs;
        alarm.order = this.#order++;
      }
      alarm.callback();
    }
    this.#now = end;
  }

  /** As `advance`, in steps of at most `stepMs`, letting promises and I/O callbacks run between the steps. */
  async advanceAsync(ms: number, stepMs = ms): Promise<void> {
    const end = this.#now + ms;
    do {
      this.advance(Math.min(stepMs, end - this.#now));
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#now < end);
  }

  #add(alarm: Alarm): Timer {
    this.#alarms.add(alarm);
    return { cancel: () => void this.#alarms.delete(alarm) };
  }

  #next(end: number): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at > end) continue;
      if (!first || alarm.at < first.at || (alarm.at === first.at && alarm.order < first.order))
        first = alarm;
    }
    return first;
  }
}
