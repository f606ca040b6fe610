import type { Clock, Timer } from "@sluice/runtime";
import type { Neighbour } from "./flows.js";
import { formatIp, type Ip } from "./ip.js";

/** A packet that waits until its next hop is known. */
export interface Waiting {
  readonly in_port: number;
  readonly data: Uint8Array;
}

export interface NeighbourHandlers {
  /** Asks all hosts where `ip` is. */
  ask(ip: Ip): void;
  /** Nobody answered. */
  lost(ip: Ip, waiting: readonly Waiting[]): void;
  /** One is forgotten that another may have its place. */
  evicted(neighbour: Neighbour): void;
}

interface Question {
  readonly ip: Ip;
  readonly waiting: Waiting[];
  asked: number;
  timer: Timer;
}

const ASK_MS = 1000;
const ASKS = 3;
/** Packets that wait for one next hop, and questions open; one more packet is dropped. */
const MAX_WAITING = 16;
const MAX_QUESTIONS = 256;
const MAX_NEIGHBOURS = 8192;

/** Where next hops are, as far as it is known, and who is being looked for. */
export class Neighbours {
  dropped = 0;
  readonly #clock: Clock;
  readonly #handlers: NeighbourHandlers;
  readonly #known = new Map<string, Neighbour>();
  readonly #questions = new Map<string, Question>();

  constructor(clock: Clock, handlers: NeighbourHandlers) {
    this.#clock = clock;
    this.#handlers = handlers;
  }

  get(ip: Ip): Neighbour | undefined {
    return this.#known.get(formatIp(ip));
  }

  get all(): readonly Neighbour[] {
    return [...this.#known.values()];
  }

  isAskedFor(ip: Ip): boolean {
    return this.#questions.has(formatIp(ip));
  }

  /** Looks for `ip`; the packet, if there is one, is given back by `learn` or `lost`. */
  find(ip: Ip, packet?: Waiting): void {
    const key = formatIp(ip);
    const open = this.#questions.get(key);
    if (open !== undefined) {
      if (packet === undefined) return;
      if (open.waiting.length < MAX_WAITING) open.waiting.push(packet);
      else this.dropped++;
      return;
    }
    if (this.#questions.size >= MAX_QUESTIONS) {
      this.dropped++;
      return;
    }
    const question: Question = {
      ip,
      waiting: packet === undefined ? [] : [packet],
      asked: 1,
      timer: this.#clock.setTimeout(() => this.#again(key), ASK_MS),
    };
    this.#questions.set(key, question);
    this.#handlers.ask(ip);
  }

  #again(key: string): void {
    const question = this.#questions.get(key);
    if (question === undefined) return;
    if (question.asked++ < ASKS) {
      question.timer = this.#clock.setTimeout(() => this.#again(key), ASK_MS);
      this.#handlers.ask(question.ip);
      return;
    }
    this.#questions.delete(key);
    this.#handlers.lost(question.ip, question.waiting);
  }

  /** Puts down where one is. Gives the packets that waited for it, or undefined where nothing is new. */
  learn(neighbour: Neighbour): readonly Waiting[] | undefined {
    const key = formatIp(neighbour.ip);
    const known = this.#known.get(key);
    const question = this.#questions.get(key);
    question?.timer.cancel();
    this.#questions.delete(key);
    if (known?.mac === neighbour.mac && known.port === neighbour.port) return question?.waiting;
    if (known === undefined && this.#known.size >= MAX_NEIGHBOURS) this.#evictOldest();
    this.#known.set(key, neighbour);
    return question?.waiting ?? [];
  }

  forget(ip: Ip): Neighbour | undefined {
    const key = formatIp(ip);
    const known = this.#known.get(key);
    this.#known.delete(key);
    return known;
  }

  stop(): void {
    for (const { timer } of this.#questions.values()) timer.cancel();
    this.#questions.clear();
  }

  #evictOldest(): void {
    const [key, oldest] = this.#known.entries().next().value ?? [];
    if (key === undefined || oldest === undefined) return;
    this.#known.delete(key);
    this.#handlers.evicted(oldest);
  }
}
