/** Exact amounts out of a stream of chunks. Holds no more than was asked for and one chunk. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next `size` bytes, or fewer where the stream ends before. */
  async read(size: number): Promise<Uint8Array> {
    if (this.#held.length < size) await this.#fill(size);
    const taken = this.#held.subarray(0, size);
    this.#held = this.#held.subarray(taken.length);
    return taken;
  }

  async #fill(size: number): Promise<void> {
    const parts = [this.#held];
    let total = this.#held.length;
    while (total < size) {
      const { value, done } = await this.#chunks.next();
      if (done) break;
      parts.push(value);
      total += value.length;
    }
    this.#held = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}
