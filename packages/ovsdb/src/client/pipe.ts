import { Duplex } from "node:stream";

class End extends Duplex {
  other!: End;
  #resume: (() => void) | undefined;

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.other.destroyed) done();
    else if (this.other.push(chunk)) done();
    else this.other.#resume = done;
  }

  override _final(done: () => void): void {
    if (!this.other.destroyed) this.other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    // As a socket: what was sent is read before the end is seen.
    setImmediate(() => {
      if (!other.destroyed && !other.readableEnded) other.push(null);
      if (!other.destroyed && other.readableEnded) other.destroy();
    });
    done(error);
  }
}

/** Two streams joined to each other, each reading what the other writes: a connection without a socket. */
export const duplexPair = (): [Duplex, Duplex] => {
  const ends: [End, End] = [new End(), new End()];
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
};
