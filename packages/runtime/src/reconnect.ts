import type { Clock, Timer } from "./clock.js";
import { IdleProbe } from "./idle-probe.js";
import type { Log } from "./log.js";

/** off: not wanted · backoff: waiting to try · connecting · active · idle: probed, no answer yet. */
export type ReconnectState = "off" | "backoff" | "connecting" | "active" | "idle";

/** What Open vSwitch calls them, in the status of a Manager or a Controller. */
export const OVS_STATES: Readonly<Record<ReconnectState, string>> = {
  off: "VOID",
  backoff: "BACKOFF",
  connecting: "CONNECTING",
  active: "ACTIVE",
  idle: "IDLE",
};

export interface ReconnectOptions {
  clock: Clock;
  log: Log;
  /** The target, as the log names it. */
  name: string;
  /** Starts one attempt; its outcome is told by `connected()` or `disconnected()`. */
  connect: () => void;
  /** Ends the attempt or the connection, if there is one. */
  disconnect: () => void;
  /** Sends an echo request. */
  probe: () => void;
  minBackoffMs?: number;
  maxBackoffMs?: number;
  /** Silence before a probe, and again before the peer counts as dead; 0 never probes. */
  probeIntervalMs?: number;
}

/** Waits longer than this are not logged one by one: the peer is plainly away. */
const QUIET_AFTER = 3;

/** Keeps one active connection up, for OpenFlow and OVSDB alike: tries at once, then after 1 s, 2 s, 4 s … up to
 *  max_backoff; gives an attempt as long as the wait before it (at least 1 s); probes a silent peer and gives a
 *  dead one up. It does no I/O: what happens comes in by method calls, what to do goes out by the callbacks. */
export class Reconnect {
  readonly #options: ReconnectOptions;
  readonly #idle: IdleProbe;
  #minBackoffMs: number;
  #maxBackoffMs: number;
  #state: ReconnectState = "off";
  #backoffMs = 0;
  #timer: Timer | undefined;
  #connectedAt = 0;
  #heardAt = 0;
  #failures = 0;
  #attempts = 0;
  #connections = 0;

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.#minBackoffMs = options.minBackoffMs ?? 1000;
    this.#maxBackoffMs = options.maxBackoffMs ?? 8000;
    this.#idle = new IdleProbe({
      clock: options.clock,
      intervalMs: options.probeIntervalMs ?? 5000,
      probe: this.#onIdle,
      dead: this.#onDead,
    });
  }

  get state(): ReconnectState {
    return this.#state === "active" && this.#idle.isIdle ? "idle" : this.#state;
  }

  get isConnected(): boolean {
    return this.#state === "active";
  }

  /** Attempts made, connections had, and the wait before the next attempt. */
  get stats(): { attempts: number; connections: number; backoffMs: number } {
    return { attempts: this.#attempts, connections: this.#connections, backoffMs: this.#backoffMs };
  }

  setMaxBackoff(ms: number): void {
    this.#maxBackoffMs = Math.max(ms, 1);
    this.#minBackoffMs = Math.min(this.#minBackoffMs, this.#maxBackoffMs);
    this.#backoffMs = Math.min(this.#backoffMs, this.#maxBackoffMs);
  }

  setProbeInterval(ms: number): void {
    this.#idle.setInterval(ms);
  }

  /** Begins: the first attempt is made at once. */
  enable(): void {
    if (this.#state === "off") this.#attempt();
  }

  /** Ends: nothing is tried any more. */
  disable(): void {
    const hadSomething = this.#state === "connecting" || this.#state === "active";
    this.#enter("off");
    this.#backoffMs = 0;
    this.#failures = 0;
    if (hadSomething) this.#options.disconnect();
  }

  /** The attempt succeeded. */
  connected(): void {
    if (this.#state !== "connecting") return;
    this.#enter("active");
    this.#connections++;
    this.#failures = 0;
    this.#connectedAt = this.#heardAt = this.#options.clock.now();
    this.#options.log.info(`${this.#options.name}: connected`);
    this.#idle.start();
  }

  /** Something came in. */
  activity(): void {
    this.#heardAt = this.#options.clock.now();
    this.#idle.activity();
  }

  /** The attempt failed or the connection ended, for the reason given. The caller tells it only of the attempt or
   *  connection that is current: a stream that `disconnect` was asked to end is no longer. */
  disconnected(why = "connection closed by peer"): void {
    if (this.#state !== "connecting" && this.#state !== "active") return;
    const isQuiet = this.#failures++ > QUIET_AFTER;
    const what = this.#state === "active" ? "connection dropped" : "connection attempt failed";
    // A connection that lived for longer than the wait before it proves the peer well: start over.
    const wasGood = this.#state === "active" && this.#heardAt - this.#connectedAt >= this.#backoffMs;
    this.#backoffMs = wasGood
      ? this.#minBackoffMs
      : Math.min(this.#maxBackoffMs, Math.max(this.#minBackoffMs, this.#backoffMs * 2));
    this.#enter("backoff");
    this.#timer = this.#options.clock.setTimeout(() => this.#attempt(), this.#backoffMs);
    const { log, name } = this.#options;
    if (isQuiet) log.dbg(`${name}: ${what} (${why})`);
    else log.info(`${name}: ${what} (${why}); next try in ${this.#backoffMs / 1000} s`);
    if (this.#failures === QUIET_AFTER + 1)
      log.info(`${name}: keeps trying, and says no more until it is connected`);
  }

  /** Drops what there is and connects anew at once (the target changed, or somebody asked). */
  force(): void {
    if (this.#state === "off") return;
    this.disable();
    this.enable();
  }

  #enter(state: ReconnectState): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#idle.stop();
    this.#state = state;
  }

  #attempt(): void {
    this.#enter("connecting");
    this.#attempts++;
    const patienceMs = Math.max(1000, this.#backoffMs);
    this.#timer = this.#options.clock.setTimeout(() => this.#giveUp("timed out"), patienceMs);
    this.#options.connect();
  }

  #giveUp(why: string): void {
    this.disconnected(why);
    this.#options.disconnect();
  }

  readonly #onIdle = (): void => {
    this.#options.log.dbg(`${this.#options.name}: idle, sending inactivity probe`);
    this.#options.probe();
  };

  readonly #onDead = (): void => {
    this.#options.log.err(`${this.#options.name}: no response to inactivity probe`);
    this.#giveUp("no response to inactivity probe");
  };
}
