import type { Clock, Timer } from "@sluice/runtime";
import type { Random } from "./random.js";

export type Deliver = (frame: Uint8Array) => void;

/** What the lab plugs a cable into: a host, or a dummy port of a switch. */
export interface Socket {
  /** Called by the cable with each frame that arrives. */
  receive(frame: Uint8Array): void;
  /** The cable tells where the frames that this socket sends go; undefined when it is pulled out. */
  plug(send: Deliver | undefined): void;
  /** Told when the cable is cut and mended. */
  carrier?(isUp: boolean): void;
}

export interface LinkOptions {
  clock: Clock;
  random: Random;
  latencyMs?: number;
  /** Chance of losing a frame, 0..1. */
  loss?: number;
  /** Frames under way in a direction before more are dropped. */
  queue?: number;
  /** Sees each frame that is sent, before loss; for traces. */
  tap?: (record: LinkRecord) => void;
}

export interface LinkRecord {
  timeMs: number;
  direction: Direction;
  frame: Uint8Array;
}

export type Direction = "a-to-b" | "b-to-a";

interface Lane {
  readonly to: Socket;
  readonly queue: { frame: Uint8Array; timer: Timer }[];
}

/** A full-duplex cable between two sockets. Frames keep their order, and even without latency they arrive in a
 *  later turn of the clock: what sends is never called back from within its own sending. */
export class Link {
  latencyMs: number;
  loss: number;
  readonly counters = { carried: 0, lost: 0, overrun: 0, cut: 0 };
  readonly #options: LinkOptions;
  readonly #ends: readonly Socket[];
  readonly #lanes: Record<Direction, Lane>;
  #isCut = false;

  constructor(a: Socket, b: Socket, options: LinkOptions) {
    this.#options = options;
    this.latencyMs = options.latencyMs ?? 0;
    this.loss = options.loss ?? 0;
    this.#lanes = { "a-to-b": { to: b, queue: [] }, "b-to-a": { to: a, queue: [] } };
    this.#ends = [a, b];
    a.plug((frame) => this.#send("a-to-b", frame));
    b.plug((frame) => this.#send("b-to-a", frame));
    for (const end of this.#ends) end.carrier?.(true);
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Frames under way are lost, and those sent until `mend`. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    for (const lane of Object.values(this.#lanes)) {
      this.counters.cut += lane.queue.length;
      for (const { timer } of lane.queue.splice(0)) timer.cancel();
    }
    for (const end of this.#ends) end.carrier?.(false);
  }

  mend(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    for (const end of this.#ends) end.carrier?.(true);
  }

  /** Pulls the cable out of both sockets for good. */
  remove(): void {
    this.cut();
    for (const end of this.#ends) end.plug(undefined);
  }

  #send(direction: Direction, frame: Uint8Array): void {
    const { clock, random, queue: limit = 1024, tap } = this.#options;
    tap?.({ timeMs: clock.now(), direction, frame });
    const lane = this.#lanes[direction];
    if (this.#isCut) this.counters.cut++;
    else if (this.loss > 0 && random() < this.loss) this.counters.lost++;
    else if (lane.queue.length >= limit) this.counters.overrun++;
    else {
      // A timer stands for one arrival, not for one frame: whichever fires, the oldest frame is delivered, so
      // that neither a changed latency nor a timer's rounding can reorder.
      const timer = clock.setTimeout(() => this.#arrive(lane), this.latencyMs);
      lane.queue.push({ frame, timer });
    }
  }

  #arrive(lane: Lane): void {
    const next = lane.queue.shift();
    if (!next) return;
    this.counters.carried++;
    lane.to.receive(next.frame);
  }
}
