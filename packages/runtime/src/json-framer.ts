import { isUtf8 } from "node:buffer";

// JSON over a stream has no lengths (RFC 7047 §4: JSON-RPC 1.0 directly over TCP): a message ends where its outermost
// brace closes. This file finds that place in any chunking, and reads and writes integers of 64 bits exactly, which
// JSON.parse alone would round.

/** Why a stream of JSON cannot be read on: one line. The stream is lost with it. */
export class JsonFramingError extends Error {
  constructor(why: string) {
    super(why);
    this.name = "JsonFramingError";
  }
}

export interface JsonFramerOptions {
  /** Bytes of one message. 64 MiB unless given. */
  maxSize?: number;
  /** Levels of arrays and objects in each other. 1000 unless given. */
  maxDepth?: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Cuts a byte stream into JSON texts, each an object or an array. */
export class JsonFramer {
  readonly #maxSize: number;
  readonly #maxDepth: number;
  readonly #ready: unknown[] = [];
  #readyAt = 0;
  // The unfinished message: its chunks, how deep it is at their end, and whether that is inside a string.
  #chunks: Uint8Array[] = [];
  #size = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  constructor(options: JsonFramerOptions = {}) {
    this.#maxSize = options.maxSize ?? 64 * 1024 * 1024;
    this.#maxDepth = options.maxDepth ?? 1000;
  }

  /** Bytes held of a message that has not ended. */
  get pendingSize(): number {
    return this.#size;
  }

  /** Takes bytes in; throws JsonFramingError where they are not JSON. What was whole before is still to be had
   *  from `next`. */
  push(chunk: Uint8Array): void {
    let depth = this.#depth;
    let isInString = this.#isInString;
    let isEscaped = this.#isEscaped;
    let start = 0;
    const end = chunk.length;
    for (let i = 0; i < end; i++) {
      const byte = chunk[i];
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isInString = false;
        continue;
      }
      switch (byte) {
        case QUOTE:
          if (depth === 0) throw new JsonFramingError("expected a JSON object, not a string");
          isInString = true;
          break;
        case 0x7b: // {
        case 0x5b: // [
          if (depth === 0) start = i;
          if (++depth > this.#maxDepth)
            throw new JsonFramingError(`JSON nested deeper than ${this.#maxDepth} levels`);
          break;
        case 0x7d: // }
        case 0x5d: // ]
          if (depth === 0) throw new JsonFramingError("unbalanced bracket before a JSON object");
          if (--depth === 0) {
            this.#finish(chunk.subarray(start, i + 1));
            start = i + 1;
          }
          break;
        case 0x20:
        case 0x09:
        case 0x0a:
        case 0x0d:
          break;
        default:
          if (depth === 0)
            throw new JsonFramingError(
              `expected a JSON object, not byte 0x${byte.toString(16).padStart(2, "0")}`,
            );
      }
    }
    this.#depth = depth;
    this.#isInString = isInString;
    this.#isEscaped = isEscaped;
    if (depth > 0) this.#hold(chunk.subarray(start));
  }

  /** The next whole value, or undefined. */
  next(): unknown {
    if (this.#readyAt === this.#ready.length) {
      if (this.#readyAt > 0) this.#ready.length = this.#readyAt = 0;
      return undefined;
    }
    return this.#ready[this.#readyAt++];
  }

  #hold(part: Uint8Array): void {
    this.#size += part.length;
    if (this.#size > this.#maxSize)
      throw new JsonFramingError(`JSON text longer than ${this.#maxSize} bytes`);
    // The chunk is the caller's and may be a small part of a large buffer.
    this.#chunks.push(Uint8Array.prototype.slice.call(part));
  }

  #finish(last: Uint8Array): void {
    let bytes = last;
    if (this.#size > 0) {
      this.#hold(last);
      bytes = Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#size = 0;
    } else if (last.length > this.#maxSize) {
      throw new JsonFramingError(`JSON text longer than ${this.#maxSize} bytes`);
    }
    if (!isUtf8(bytes)) throw new JsonFramingError("JSON text is not valid UTF-8");
    this.#ready.push(
      parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")),
    );
  }
}

// Where a number may start: one with digits enough to be rounded, or an exponent that may be beyond any double.
const NOTABLE_NUMBER = /(?:^|[[,:\s])-?(?:\d{16}|\d[\d.]*[eE]\+?\d\d)/;
// A string (with the colon behind it where it is a name) or a number.
const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const INTEGER = /^-?\d{16,400}$/;
// An integer that JSON.parse would round goes through it as a string behind this mark; a string that begins with the mark
// gets a second one.
const MARK = "\0";
const MARK_TEXT = "\\u0000";

/** JSON.parse, except that an integer which a number cannot hold exactly becomes a bigint, and that any other number too
 *  large for a double is refused, as Open vSwitch does. Throws JsonFramingError. */
export const parseJson = (text: string): unknown => {
  try {
    const value: unknown = JSON.parse(text);
    return NOTABLE_NUMBER.test(text) ? parseNotable(text, value) : value;
  } catch (error) {
    throw new JsonFramingError(`not JSON: ${(error as Error).message.split("\n")[0]}`);
  }
};

/** `value` is what JSON.parse made of the text. */
const parseNotable = (text: string, value: unknown): unknown => {
  const marked = text.replace(TOKEN, (token, colon: string | undefined) => {
    if (token.startsWith('"'))
      return colon === undefined && token.startsWith(MARK_TEXT, 1) ? `"${MARK_TEXT}${token.slice(1)}` : token;
    if (Number.isSafeInteger(Number(token))) return token;
    if (INTEGER.test(token)) return `"${MARK_TEXT}${token}"`;
    if (!Number.isFinite(Number(token)))
      throw new RangeError(`number out of range: ${token.length > 24 ? `${token.slice(0, 20)}…` : token}`);
    return token;
  });
  if (marked === text) return value;
  return JSON.parse(marked, (_key, member: unknown) => {
    if (typeof member !== "string" || !member.startsWith(MARK)) return member;
    const rest = member.slice(MARK.length);
    return rest.startsWith(MARK) ? rest : BigInt(rest);
  });
};

/** JSON.stringify that writes bigints as integers. */
export const stringifyJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    if (error instanceof TypeError) return stringifyExact(value);
    throw error;
  }
};

const stringifyExact = (value: unknown): string => {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(stringifyExact).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${stringifyExact(member)}`).join(",")}}`;
};
