import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/** One end of a connection within the program; what the framework and the switch need of a net.Socket. */
class End extends Duplex {
  #peer: End | undefined;
  #resume: (() => void) | undefined;

  join(peer: End): void {
    this.#peer = peer;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    const peer = this.#peer;
    if (peer === undefined || peer.destroyed) done();
    // The other end's buffer is full: it takes more once it is read.
    else if (peer.push(chunk)) done();
    else peer.#resume = done;
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _final(done: () => void): void {
    this.#peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const peer = this.#peer;
    if (peer && !peer.destroyed) process.nextTick(() => peer.destroy());
    done(error);
  }

  /** As net.Socket has it. */
  destroySoon(): void {
    this.end(() => this.destroy());
  }
}

/** Two ends of one connection, for a switch and a controller in the same program: no sockets, and all that is sent
 *  arrives in the same turn of the event loop, so that a virtual clock decides the order of everything. */
export function streamPair(): [Duplex, Socket] {
  const [a, b] = [new End(), new End()];
  a.join(b);
  b.join(a);
  return [a, b as unknown as Socket];
}
