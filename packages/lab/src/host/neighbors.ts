import type { Clock, Timer } from "@sluice/runtime";
import type { IpPayload } from "@sluice/wire";

export interface NeighborOptions {
  clock: Clock;
  /** Asks the network for an address. */
  ask: (ip: string) => void;
  /** A neighbour is known: sends what waited for it. */
  flush: (ip: string, waiting: readonly IpPayload[]) => void;
}

const REACHABLE_MS = 60_000;
const RETRY_MS = 1000;
const MAX_TRIES = 3;
const MAX_NEIGHBORS = 1024;
const MAX_WAITING = 64;

interface Question {
  readonly waiting: IpPayload[];
  tries: number;
  timer: Timer;
}

/** IP address to MAC address, asking when one is not known (RFC 826). Bounded: the oldest neighbour goes
 *  first; payloads that wait for an answer are dropped and counted beyond `MAX_WAITING` for an address, and
 *  when `MAX_TRIES` questions had no answer. */
export class NeighborTable {
  dropped = 0;
  readonly #options: NeighborOptions;
  readonly #known = new Map<string, { mac: string; untilMs: number }>();
  readonly #asked = new Map<string, Question>();

  constructor(options: NeighborOptions) {
    this.#options = options;
  }

  lookup(ip: string): string | undefined {
    const found = this.#known.get(ip);
    return found && found.untilMs > this.#options.clock.now() ? found.mac : undefined;
  }

  /** Keeps `payload` until the address is known. */
  wait(ip: string, payload: IpPayload): void {
    let question = this.#asked.get(ip);
    if (!question) {
      if (this.#asked.size >= MAX_NEIGHBORS) {
        this.dropped++;
        return;
      }
      question = { waiting: [], tries: 1, timer: this.#retryLater(ip) };
      this.#asked.set(ip, question);
      this.#options.ask(ip);
    }
    if (question.waiting.length < MAX_WAITING) question.waiting.push(payload);
    else this.dropped++;
  }

  learn(ip: string, mac: string): void {
    this.#known.delete(ip);
    if (this.#known.size >= MAX_NEIGHBORS) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(ip, { mac, untilMs: this.#options.clock.now() + REACHABLE_MS });
    const question = this.#asked.get(ip);
    if (!question) return;
    this.#asked.delete(ip);
    question.timer.cancel();
    this.#options.flush(ip, question.waiting);
  }

  /** Forgets everything: the next packet asks again. */
  clear(): void {
    this.#known.clear();
    for (const { timer, waiting } of this.#asked.values()) {
      timer.cancel();
      this.dropped += waiting.length;
    }
    this.#asked.clear();
  }

  #retryLater(ip: string): Timer {
    return this.#options.clock.setTimeout(() => this.#retry(ip), RETRY_MS);
  }

  #retry(ip: string): void {
    const question = this.#asked.get(ip)!;
    if (question.tries >= MAX_TRIES) {
      this.#asked.delete(ip);
      this.dropped += question.waiting.length;
      return;
    }
    question.tries++;
    question.timer = this.#retryLater(ip);
    this.#options.ask(ip);
  }
}
