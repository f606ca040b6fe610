import type { Duplex } from "node:stream";

/** Text on its way to one client, in order. Replies to durable transactions, and all that comes after them, are held
 *  until the disk has the transaction. Everything sent in one turn of the event loop goes out in one write. */
export class Outbox {
  readonly #stream: Duplex;
  readonly #onFailure: (error: Error) => void;
  #text = "";
  /** What waits for the disk, oldest first. */
  readonly #gates: { text: string; isOpen: boolean }[] = [];
  #isScheduled = false;
  #isBlocked = false;

  /** `onDrain` is called when a slow client has taken what was sent. */
  constructor(stream: Duplex, onDrain: () => void, onFailure: (error: Error) => void) {
    this.#stream = stream;
    this.#onFailure = onFailure;
    stream.on("drain", () => {
      this.#isBlocked = false;
      this.#schedule();
      onDrain();
    });
  }

  /** The operating system does not take more for now. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  send(text: string): void {
    const gate = this.#gates.at(-1);
    if (gate) {
      gate.text += text;
      return;
    }
    this.#text += text;
    if (this.#text.length > FLUSH_SIZE) this.#flush();
    else this.#schedule();
  }

  /** Holds what is sent from now on until `done`. */
  hold(done: Promise<void>): void {
    const gate = { text: "", isOpen: false };
    this.#gates.push(gate);
    done.then(() => {
      gate.isOpen = true;
      this.#release();
    }, this.#onFailure);
  }

  #release(): void {
    while (this.#gates[0]?.isOpen) this.#text += this.#gates.shift()!.text;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#text === "" || this.#isBlocked || !this.#stream.writable) return;
    const text = this.#text;
    this.#text = "";
    if (!this.#stream.write(text)) this.#isBlocked = true;
  }

  /** Sends what there is and ends the stream. */
  end(): void {
    this.#isBlocked = false;
    this.#flush();
    this.#stream.end();
  }
}

const FLUSH_SIZE = 256 * 1024;
