import { randomFillSync } from "node:crypto";

const POOL = 128;
const HEX = Buffer.from("0123456789abcdef", "latin1");
/** Where the digits of each byte go: a dash after the bytes 4, 6, 8 and 10. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const LENGTH = 36;
const DASH = 0x2d;

/** Makes random UUIDs (RFC 9562 version 4), each a flat string of its own. node:crypto's are ropes of twenty pieces,
 *  ten times as large as long as nobody reads them: too much for what every row and every transaction holds. */
class UuidSource {
  readonly #random = new Uint8Array(16 * POOL);
  readonly #text = Buffer.alloc(LENGTH, DASH);
  #next = POOL;

  make(): string {
    if (this.#next === POOL) {
      randomFillSync(this.#random);
      this.#next = 0;
    }
    const at = 16 * this.#next++;
    const random = this.#random;
    random[at + 6] = (random[at + 6] & 0x0f) | 0x40;
    random[at + 8] = (random[at + 8] & 0x3f) | 0x80;
    const text = this.#text;
    for (let i = 0; i < 16; i++) {
      const byte = random[at + i];
      const place = PLACES[i];
      text[place] = HEX[byte >> 4];
      text[place + 1] = HEX[byte & 0x0f];
    }
    return text.toString("latin1");
  }
}

const source = new UuidSource();

/** A random UUID that nobody else has. */
export const newUuid = (): string => source.make();
