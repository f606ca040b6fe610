// Hot path. What one turn of the event loop sends to one switch is encoded into one buffer and leaves in one write:
// no buffer, promise or timer per message.
import { encodeOrderedInto, type OfMessageInit } from "@sluice/openflow-codec";
import { writeU32 } from "@sluice/wire";

/** Where a batch of whole messages goes. */
export interface Sink {
  write(bytes: Uint8Array): void;
}

const MAX_MESSAGE = 0x10000;
const SIZE = 4 * MAX_MESSAGE;

/** The encoding buffer that all connections of a controller share. It holds messages of one connection at a time:
 *  a message to another first hands over what is there. So a thousand idle switches cost no buffers. To read all sockets
 *  that are ready before the first answer is written gained no answers a second with 16 switches, and a tenth of the
 *  median latency was lost. */
export class Outbox {
  readonly #buffer = new Uint8Array(SIZE);
  #owner: Sink | undefined;
  #at = 0;
  #isScheduled = false;

  /** Adds a message with transaction id `xid`. Throws the codec's EncodeError, and then adds nothing. */
  add(sink: Sink, message: OfMessageInit, xid: number): void {
    this.#reserve(sink);
    const start = this.#at;
    this.#at = encodeOrderedInto(message, this.#buffer, start);
    writeU32(this.#buffer, start + 4, xid);
  }

  /** Adds an already encoded message. */
  addBytes(sink: Sink, bytes: Uint8Array): void {
    this.#reserve(sink);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A turn begins that `endTurn` ends: no tick is to be asked for in between. */
  beginTurn(): void {
    this.#isScheduled = true;
  }

  /** Hands over what the turn left. */
  readonly endTurn = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  /** Hands over what is there. */
  readonly flush = (): void => {
    const owner = this.#owner;
    if (owner === undefined || this.#at === 0) return;
    const batch = Buffer.allocUnsafe(this.#at);
    batch.set(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
    this.#owner = undefined;
    owner.write(batch);
  };

  #reserve(sink: Sink): void {
    if (this.#owner !== sink || this.#at > SIZE - MAX_MESSAGE) {
      this.flush();
      this.#owner = sink;
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(this.endTurn);
  }
}
