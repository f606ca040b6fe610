import type { Clock, Timer } from "./clock.js";

export interface IdleProbeOptions {
  clock: Clock;
  /** Milliseconds of silence before a probe, and again before the peer counts as dead; 0 never probes. */
  intervalMs: number;
  /** Sends an echo request. */
  probe: () => void;
  /** The probe was not answered either. */
  dead: () => void;
}

/** Watches one connection: silence for an interval sends a probe, silence for another means a dead peer. */
export class IdleProbe {
  readonly #options: IdleProbeOptions;
  #intervalMs: number;
  #heardAt = 0;
  #timer: Timer | undefined;
  #isIdle = false;

  constructor(options: IdleProbeOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs;
  }

  /** True between a probe and the next sign of life. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  start(): void {
    this.activity();
    this.#arm(this.#intervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isIdle = false;
  }

  /** Anything was received. Cheap: timers are not touched. */
  activity(): void {
    this.#heardAt = this.#options.clock.now();
    this.#isIdle = false;
  }

  setInterval(intervalMs: number): void {
    this.#intervalMs = intervalMs;
    if (this.#timer) this.#arm(intervalMs);
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    // An interval of 0 is looked at again once a minute only to keep `setInterval` simple.
    this.#timer = this.#options.clock.setTimeout(this.#check, this.#intervalMs === 0 ? 60_000 : delayMs);
  }

  readonly #check = (): void => {
    const silentMs = this.#options.clock.now() - this.#heardAt;
    if (this.#intervalMs === 0) this.#arm(0);
    else if (this.#isIdle) {
      this.stop();
      this.#options.dead();
    } else if (silentMs >= this.#intervalMs) {
      this.#isIdle = true;
      this.#arm(this.#intervalMs);
      this.#options.probe();
    } else this.#arm(this.#intervalMs - silentMs);
  };
}
