import { type Clock, type Log, openStream, type TlsOptions } from "@sluice/runtime";
import { Connection } from "./connection.js";
import type { Outbox } from "./outbox.js";

export interface PeerWatchOptions {
  /** Where the other controller listens for switches. */
  target: string;
  clock: Clock;
  log: Log;
  outbox: Outbox;
  tls?: TlsOptions | undefined;
  /** Silence before an echo request, and again before the other counts as dead. */
  probeIntervalMs: number;
  /** The other controller does not answer any more (or never did). */
  gone(why: string): void;
}

const RETRY_MS = 1000;

/** Watches another controller over OpenFlow itself: HELLO and echoes, to the port at which it takes switches. A crash closes
 *  that connection at once; a host that is lost leaves an echo without an answer. */
export class PeerWatch {
  readonly #options: PeerWatchOptions;
  readonly #abort = new AbortController();
  #connection: Connection | undefined;
  #isGone = false;

  constructor(options: PeerWatchOptions) {
    this.#options = options;
    void this.#connect();
  }

  stop(): void {
    this.#abort.abort();
    this.#connection?.close("controller stops");
  }

  async #connect(): Promise<void> {
    const { target, clock, log, outbox, tls, probeIntervalMs } = this.#options;
    const { signal } = this.#abort;
    if (signal.aborted) return;
    // A host that is gone does not refuse: the attempt is given as long as an echo.
    const attempt = new AbortController();
    const limit = clock.setTimeout(() => attempt.abort(), Math.max(probeIntervalMs, RETRY_MS));
    try {
      const socket = await openStream(target, { ...tls, signal: AbortSignal.any([signal, attempt.signal]) });
      let isAlive = false;
      const connection = new Connection({
        ...{ socket, peer: target, clock, log, outbox, probeIntervalMs },
        handlers: {
          ready: () => {
            isAlive = true;
            this.#isGone = false;
            log.info(`watching the controller at ${target}`);
          },
          message: ({ type, xid }) => {
            // It takes us for a switch until we say that we are none.
            if (type === "OFPT_FEATURES_REQUEST") connection.send(NO_SWITCH, xid);
          },
          malformed: () => {},
          // It may only have been that connection: whether the other lives is seen by the next.
          closed: (why) => {
            if (isAlive) void this.#connect();
            else this.#failed(why);
          },
        },
      });
      this.#connection = connection;
    } catch (error) {
      this.#failed((error as Error).message);
    } finally {
      limit.cancel();
    }
  }

  /** No connection, or one on which nothing was said: the kernel takes connections for a program that hangs. */
  #failed(why: string): void {
    if (this.#abort.signal.aborted) return;
    if (!this.#isGone) {
      this.#isGone = true;
      this.#options.gone(why);
    }
    this.#options.clock.setTimeout(() => void this.#connect(), RETRY_MS);
  }
}

const NO_SWITCH = {
  type: "OFPT_ERROR",
  error_type: "OFPET_BAD_REQUEST",
  error_code: "OFPBRC_BAD_TYPE",
} as const;
