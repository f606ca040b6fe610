import { GCProfiler } from "node:v8";

/** V8 keeps a text of some kilobytes about each collection until it is asked for: it is, this often, ms. */
const ASKED_MS = 2000;

/** How often this thread's garbage was collected, and how long that took: packets wait meanwhile. Of a thread whose event
 *  loop never runs, so that a PerformanceObserver would hear of nothing. */
export class Collections {
  readonly #profiler = new GCProfiler();
  #count = 0;
  #us = 0;
  #due = 0;

  constructor() {
    this.#profiler.start();
  }

  /** Once a turn, at `now` ms: keeps what V8 has to tell short. */
  turn(now: number): void {
    if (now < this.#due) return;
    this.#due = now + ASKED_MS;
    this.#ask();
  }

  /** Pauses, and how long they were in all, by name. */
  read(): Record<string, number> {
    this.#ask();
    return { collections: this.#count, collections_us: Math.round(this.#us) };
  }

  #ask(): void {
    const { statistics } = this.#profiler.stop();
    this.#profiler.start();
    for (const { cost } of statistics) this.#us += cost;
    this.#count += statistics.length;
  }
}
