// Hot path: `add`, once a turn. Nothing is allocated.

/** How often the thread looks how much comes. */
const PERIOD_MS = 20;
/** Packets and commands of a ms from which on more are let come together. */
const DENSE = 100;
/** Bytes of a packet, in the mean, below which it costs less than to look for it. */
const SHORT = 256;

/** Whether so much comes, and so little at a time, that the thread had better wait on purpose and find more each time, as
 *  cards moderate their interrupts. Else it is woken for the first packet of each batch that is sent (on its sender's
 *  core, who then waits for it), or for each answer to an upcall, and spends on waking, asking and sleeping several times
 *  what the packets take; and that does not end by itself, for it is never late enough to find many. */
export class Pace {
  #begun = 0;
  #packets = 0;
  #bytes = 0;
  #commands = 0;
  /** By the last period. */
  isDense = false;

  /** What a turn had. */
  add(packets: number, bytes: number, commands: number): void {
    this.#packets += packets;
    this.#bytes += bytes;
    this.#commands += commands;
  }

  /** Whether it is time for `settle`. */
  isDue(now: number): boolean {
    return now - this.#begun >= PERIOD_MS;
  }

  /** At clock ms `now`. */
  settle(now: number): void {
    const isMuch = this.#packets + this.#commands >= (now - this.#begun) * DENSE;
    this.isDense = isMuch && this.#bytes <= this.#packets * SHORT;
    this.#begun = now;
    this.#packets = 0;
    this.#bytes = 0;
    this.#commands = 0;
  }
}
