import type { Libc } from "../../../netdev/libc.js";

/** How nice the datapath's thread is to others. */
const NICE = -10;
const PRIO_PROCESS = 0;

/** Has this thread, and no other, run before others where it may: with more threads than cores it else waits for the
 *  end of their turn, 3 to 20 ms, with packets in its hands. Without the privilege it competes as others do. */
export const comeFirst = (libc: Libc): void => void libc.setpriority(PRIO_PROCESS, 0, NICE);

/** Policies, with SCHED_RESET_ON_FORK: to take that flag back needs more than to set it. */
const SCHED_OTHER = 0x4000_0000;
const SCHED_RR = 0x4000_0002;
/** How often the thread looks how much there is to do. */
const PERIOD_MS = 20;
/** Of a period, what the thread may work and still be hasty, and from what on it is not. */
const LITTLE = 0.05;
const MUCH = 0.2;

/** Has the thread run before all others while it has little to do: else a packet by itself waits for the end of the turn
 *  that another has on the core, a millisecond and more. A thread that has much to do takes turns as others do. */
export class Haste {
  readonly #libc: Pick<Libc, "schedSetscheduler">;
  readonly #first: Int32Array = Int32Array.of(1);
  readonly #none: Int32Array = Int32Array.of(0);
  readonly #addresses: readonly [first: number, none: number];
  #begun = 0;
  #busyMs = 0;
  #isHasty = false;
  /** Until it has been refused once. */
  #isAllowed = true;

  constructor(libc: Pick<Libc, "schedSetscheduler" | "addressOf">) {
    this.#libc = libc;
    this.#addresses = [libc.addressOf(this.#first.buffer), libc.addressOf(this.#none.buffer)];
  }

  isDue(now: number): boolean {
    return this.#isAllowed && now - this.#begun >= PERIOD_MS;
  }

  /** `busyMs`: ms that the thread has worked up to `now`, clock ms. `isBulk`: it is to leave the core to others. */
  settle(now: number, busyMs: number, isBulk: boolean): void {
    const share = (busyMs - this.#busyMs) / (now - this.#begun);
    this.#begun = now;
    this.#busyMs = busyMs;
    const isHasty = !isBulk && share < (this.#isHasty ? MUCH : LITTLE);
    if (isHasty !== this.#isHasty) this.#turn(isHasty);
  }

  /** Has none until it is settled again: the thread waits for others, who need a core for it. */
  rest(now: number): void {
    this.#begun = now;
    if (this.#isHasty) this.#turn(false);
  }

  #turn(isHasty: boolean): void {
    const [first, none] = this.#addresses;
    const result = isHasty
      ? this.#libc.schedSetscheduler(0, SCHED_RR, first)
      : this.#libc.schedSetscheduler(0, SCHED_OTHER, none);
    if (result === 0) this.#isHasty = isHasty;
    else if (isHasty) this.#isAllowed = false;
  }
}
