import type { Duplex } from "node:stream";
import { encode, Framer } from "@sluice/openflow-codec";
import { type Listener, listen } from "@sluice/runtime";
import { helloVerdict, OUR_HELLO } from "./hello.js";

const MAX_SNOOPERS = 16;
/** A snooper that is this far behind misses messages rather than slow the switch or fill its memory. */
const BEHIND_BYTES = 4 * 1024 * 1024;

/** BRIDGE.snoop: whoever connects gets a copy of each message between the bridge and its controllers. */
export class Snoop {
  readonly #snoopers = new Set<Duplex>();
  #listener: Listener | undefined;
  readonly counters = { copied: 0, missed: 0 };

  /** Rejects with one line when the socket cannot be had. */
  async listen(target: string): Promise<void> {
    this.#listener = await listen(target, (stream) => this.#adopt(stream), { maxConnections: MAX_SNOOPERS });
  }

  /** Gives a copy to everybody who listens. */
  readonly copy = (bytes: Uint8Array): void => {
    for (const stream of this.#snoopers) {
      if (stream.writableLength > BEHIND_BYTES) this.counters.missed++;
      else {
        this.counters.copied++;
        stream.write(bytes);
      }
    }
  };

  get isHeard(): boolean {
    return this.#snoopers.size > 0;
  }

  async close(): Promise<void> {
    for (const stream of this.#snoopers) stream.destroy();
    await this.#listener?.close();
  }

  /** The copies begin once the versions are agreed: a client takes what comes before the HELLO for its own. */
  #adopt(stream: Duplex): void {
    const framer = new Framer();
    stream.on("error", () => {});
    stream.once("close", () => this.#snoopers.delete(stream));
    stream.write(encode(OUR_HELLO));
    stream.on("data", (chunk: Uint8Array) => {
      if (this.#snoopers.has(stream)) return;
      try {
        framer.push(chunk);
        const hello = framer.next();
        if (hello === undefined) return;
        if (helloVerdict(hello).ok) this.#snoopers.add(stream);
        else stream.destroy();
      } catch {
        stream.destroy();
      }
    });
  }
}
