import type { Rule } from "./rule.js";
import type { FlowRemovedEvent } from "./types.js";

type Told = Omit<FlowRemovedEvent, "packet_count" | "byte_count">;

/** Flows that are gone, until they are told of: what they count is known only when the datapath has handed in its
 *  last counts. Those of one moment wait together. */
export class Removals {
  readonly #tell: (event: FlowRemovedEvent) => void;
  readonly #settleStats: () => Promise<void> | undefined;
  #waiting: { readonly rule: Rule; readonly event: Told }[] = [];
  #settling: Promise<void> | undefined;

  /** `settleStats` resolves when all rules' counts are final for packets up to now; undefined: they are. */
  constructor(tell: (event: FlowRemovedEvent) => void, settleStats: () => Promise<void> | undefined) {
    this.#tell = tell;
    this.#settleStats = settleStats;
  }

  add(rule: Rule, event: Told): void {
    this.#waiting.push({ rule, event });
    this.#settling ??= this.#settle();
  }

  /** Resolves when all so far have been told of. */
  async told(): Promise<void> {
    while (this.#settling) await this.#settling;
  }

  #settle(): Promise<void> | undefined {
    const settled = this.#settleStats();
    if (settled) return this.#tellAfter(settled);
    this.#tellAll(this.#waiting.splice(0));
    return undefined;
  }

  /** Counts that cannot be had are taken as they are. */
  async #tellAfter(settled: Promise<void>): Promise<void> {
    // What is removed while these settle waits for the next time.
    const removed = this.#waiting.splice(0);
    await settled.catch(() => {});
    this.#tellAll(removed);
    this.#settling = this.#waiting.length > 0 ? this.#settle() : undefined;
  }

  #tellAll(removed: readonly { readonly rule: Rule; readonly event: Told }[]): void {
    for (const { rule, event } of removed)
      this.#tell({ ...event, packet_count: BigInt(rule.packets), byte_count: BigInt(rule.bytes) });
  }
}
