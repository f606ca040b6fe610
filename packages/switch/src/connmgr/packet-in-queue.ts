import type { Clock, Timer } from "@sluice/runtime";

/** How many packet-ins may wait for one controller, and how fast they may go (OVSDB Controller columns). */
export interface PacketInLimits {
  /** Messages that may wait: controller_queue_size, 100 unless given. */
  queueSize: number;
  /** Packet-ins a second, 0 for no limit: controller_rate_limit. */
  rate: number;
  /** Unused seconds' worth that may be sent at once, at least 1: controller_burst_limit. */
  burst: number;
}

export const DEFAULT_LIMITS: PacketInLimits = { queueSize: 100, rate: 0, burst: 0 };

/** Packet-ins on their way to one controller. They leave as fast as the connection takes them and the rate limit
 *  allows; meanwhile they wait in a queue of fixed size. When it is full the newest is dropped, and counted:
 *  the packets that wait are those that the controller can still answer in order. */
export class PacketInQueue<T> {
  readonly #clock: Clock;
  readonly #send: (message: T) => void;
  readonly #writable: () => boolean;
  readonly #waiting: T[] = [];
  #limits: PacketInLimits = DEFAULT_LIMITS;
  #tokens = 0;
  #refilledAt = 0;
  #timer: Timer | undefined;
  /** For Controller.status: packet-in-TYPE-{bypassed,queued,dropped,backlog} in Open vSwitch. */
  readonly counters = { sent: 0, queued: 0, dropped: 0 };

  /** `writable` tells whether the connection takes more now; call `drain()` when it does again. */
  constructor(clock: Clock, send: (message: T) => void, writable: () => boolean) {
    this.#clock = clock;
    this.#send = send;
    this.#writable = writable;
  }

  get backlog(): number {
    return this.#waiting.length;
  }

  setLimits(limits: PacketInLimits): void {
    this.#limits = limits;
    this.#tokens = Math.max(1, limits.burst);
    this.#refilledAt = this.#clock.now();
    this.#waiting.length = Math.min(this.#waiting.length, limits.queueSize);
    this.drain();
  }

  /** Sends the message now, or keeps it, or drops it. `make` is called only when it is not dropped. */
  push(make: () => T): void {
    if (this.#waiting.length === 0 && this.#writable() && this.#take()) {
      this.counters.sent++;
      this.#send(make());
    } else if (this.#waiting.length < this.#limits.queueSize) {
      this.counters.queued++;
      this.#waiting.push(make());
      this.#arm();
    } else {
      this.counters.dropped++;
    }
  }

  /** Sends what waits, as far as connection and rate allow. */
  drain(): void {
    let count = 0;
    while (count < this.#waiting.length && this.#writable() && this.#take()) {
      this.counters.sent++;
      this.#send(this.#waiting[count++]!);
    }
    this.#waiting.splice(0, count);
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#waiting.length = 0;
  }

  #take(): boolean {
    const { rate, burst } = this.#limits;
    if (rate === 0) return true;
    const now = this.#clock.now();
    this.#tokens = Math.min(Math.max(1, burst), this.#tokens + ((now - this.#refilledAt) / 1000) * rate);
    this.#refilledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Wakes up for the next token; a connection that takes no more wakes the queue itself. */
  #arm(): void {
    if (this.#timer || this.#limits.rate === 0 || this.#waiting.length === 0) return;
    const missing = Math.max(0, 1 - this.#tokens);
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timer = undefined;
        this.drain();
      },
      Math.ceil((missing / this.#limits.rate) * 1000),
    );
  }
}
