/** What one end of a pair of devices tells of the other, and can be had to do: an AfPacketNetdev. */
export interface PairEnd {
  unfinished: number;
  finished: number;
  readonly stats: { readonly rx_bytes: number };
  /** Whether it may be had to: what it is found to do has been kept. Whoever is asked has it kept. */
  mayMerge(): boolean;
  mayFinish(): boolean;
  merge(on: boolean): boolean;
  finish(on: boolean): boolean;
}

/** How often is looked. */
const PERIOD_MS = 1000;
/** Segments of a period that tell that their sender finishes checksums itself, where none came that does not. */
const MANY = 1000;
/** Periods for which one that left checksums to others must have finished all. */
const CHANGED = 2;
/** Bytes of a period from which it is worth while to merge: 80 Mb/s. */
const BULK = 10_000_000;

interface Known {
  /** What its host does with checksums; undefined: nothing has told yet. */
  leaves: "finished" | "unfinished" | undefined;
  /** Periods in a row in which all were finished. */
  periods: number;
  merges: boolean;
  bytes: number;
}

/** Hosts whose offloads are off send TCP in segments of the MTU, and each would cost a way through the switch. While much
 *  of that comes, the kernel merges what comes in by such a host's port, so that a super-frame crosses the switch; and
 *  cuts it up again, with checksums finished, before a port's other end sees it, as long as that has not shown (by leaving
 *  checksums to others) that it takes super-frames. So what arrives is what was sent, whoever looks.
 *
 *  Only of pairs (veth) the other end can be told; a card merges and cuts up by itself. */
export class FarEnds {
  readonly #known = new WeakMap<PairEnd, Known>();
  #due = 0;

  isDue(now: number): boolean {
    return now >= this.#due;
  }

  /** There are others than before. */
  lookSoon(): void {
    this.#due = 0;
  }

  /** `ends`: those that there are now. `mayMerge`: whether all other ports take super-frames. */
  look(now: number, ends: readonly PairEnd[], mayMerge: boolean): void {
    this.#due = now + PERIOD_MS;
    let merging = false;
    for (const end of ends) {
      const known = this.#learn(end);
      known.merges &&= mayMerge;
      merging ||= known.merges;
      if (!known.merges) end.merge(false);
    }
    // All are asked, so that what is to be changed of all is kept at once.
    const mayFinish = merging && ends.map((end) => !this.#mustFinish(end) || end.mayFinish()).every(Boolean);
    const mayBegin = mayFinish && ends.every((end) => end.finish(this.#mustFinish(end)));
    if (!mayBegin) for (const end of ends) end.finish(false);
    for (const end of ends) end.merge(mayBegin && this.#known.get(end)!.merges && end.mayMerge());
  }

  #mustFinish(end: PairEnd): boolean {
    return this.#known.get(end)?.leaves !== "unfinished";
  }

  #learn(end: PairEnd): Known {
    let known = this.#known.get(end);
    if (!known) {
      known = { leaves: undefined, periods: 0, merges: false, bytes: 0 };
      this.#known.set(end, known);
    }
    const bytes = end.stats.rx_bytes - known.bytes;
    known.bytes += bytes;
    if (end.unfinished > 0) {
      known.leaves = "unfinished";
      known.periods = 0;
      known.merges = false;
    } else if (end.finished >= MANY) {
      known.periods++;
      if (known.leaves === undefined || known.periods >= CHANGED) known.leaves = "finished";
      if (known.leaves === "finished" && bytes >= BULK) known.merges = true;
    }
    end.unfinished = 0;
    end.finished = 0;
    return known;
  }
}
