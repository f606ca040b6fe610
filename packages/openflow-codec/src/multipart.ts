import { encode } from "./codec.js";
import { OfDecodeError } from "./schema/error.js";
import type { MessageInitOf, MessageOf } from "./v13/messages.js";
import { OFP_MAX_LENGTH, OFPMPF } from "./v13/numbers.js";

/** Multipart messages (OpenFlow 1.3.5 §7.3.5): a list too long for one message goes in several, of which all
 *  but the last have the MORE flag. */

type Multipart = MessageOf<"OFPT_MULTIPART_REPLY"> | MessageOf<"OFPT_MULTIPART_REQUEST">;
type MultipartInit = MessageInitOf<"OFPT_MULTIPART_REPLY"> | MessageInitOf<"OFPT_MULTIPART_REQUEST">;

const listOf = (message: { readonly body: object }): readonly unknown[] | undefined =>
  (message.body as { entries?: readonly unknown[] }).entries;

const withPart = <M extends MultipartInit>(message: M, entries: readonly unknown[], more: boolean): M => ({
  ...message,
  flags: more ? (message.flags ?? 0) | OFPMPF.REPLY_MORE : (message.flags ?? 0) & ~OFPMPF.REPLY_MORE,
  body: { ...message.body, entries },
});

/** The messages that carry `message`, each of at most `maxLength` bytes, unless one entry alone takes more. */
export function splitMultipart<M extends MultipartInit>(message: M, maxLength = OFP_MAX_LENGTH): M[] {
  const entries = listOf(message);
  if (entries === undefined || entries.length === 0) return [message];
  const empty = encode(withPart(message, [], false)).length;
  const parts: M[] = [];
  let from = 0;
  let size = empty;
  entries.forEach((entry, i) => {
    const entrySize = encode(withPart(message, [entry], false)).length - empty;
    if (size + entrySize > maxLength && i > from) {
      parts.push(withPart(message, entries.slice(from, i), true));
      from = i;
      size = empty;
    }
    size += entrySize;
  });
  parts.push(withPart(message, entries.slice(from), false));
  return parts;
}

/** The same, encoded: each entry once, however long the list. */
export function* encodeMultipart(message: MultipartInit, maxLength = OFP_MAX_LENGTH): Generator<Uint8Array> {
  const entries = listOf(message);
  if (entries === undefined || entries.length === 0) return yield encode(message);
  const head = (more: boolean): Uint8Array => encode(withPart(message, [], more));
  const start = head(false).length;
  const one: unknown[] = [undefined];
  const single = withPart(message, one, false);
  const finished = (part: Uint8Array, end: number, more: boolean): Uint8Array => {
    part.set(head(more));
    part[2] = end >> 8;
    part[3] = end & 0xff;
    return part.subarray(0, end);
  };
  let part = new Uint8Array(maxLength);
  let end = start;
  for (const entry of entries) {
    one[0] = entry;
    const bytes = encode(single).subarray(start);
    if (end + bytes.length > part.length) {
      if (end > start) yield finished(part, end, true);
      part = new Uint8Array(Math.max(maxLength, start + bytes.length));
      end = start;
    }
    part.set(bytes, end);
    end += bytes.length;
  }
  yield finished(part, end, false);
}

/** Joins the parts of multipart messages of one connection. Bounded: of what it holds there are at most
 *  `maxOpen` messages, with at most `maxEntries` entries in all. */
export class MultipartJoiner {
  readonly #maxOpen: number;
  readonly #maxEntries: number;
  readonly #open = new Map<string, { type: string; entries: unknown[] }>();
  #entries = 0;

  constructor(limits: { maxOpen?: number; maxEntries?: number } = {}) {
    this.#maxOpen = limits.maxOpen ?? 16;
    this.#maxEntries = limits.maxEntries ?? 1_000_000;
  }

  /** Entries held of messages that are not whole yet. */
  get pending(): number {
    return this.#entries;
  }

  /** The whole message, once its last part is in. Throws OfDecodeError when parts do not belong together or
   *  more than the bounds would be held; what was held of that message is dropped. */
  push<M extends Multipart>(part: M): M | undefined {
    const key = `${part.type} ${part.xid}`;
    const held = this.#open.get(key);
    const more = (part.flags & OFPMPF.REPLY_MORE) !== 0;
    if (held === undefined && !more) return part;
    if (held !== undefined && held.type !== part.body.type) {
      this.drop(key);
      throw new OfDecodeError(
        ["OFPET_BAD_REQUEST", "OFPBRC_BAD_MULTIPART"],
        8,
        `a part of ${part.body.type} follows one of ${held.type} with xid ${part.xid}`,
      );
    }
    const added = listOf(part) ?? [];
    if (
      (held === undefined && this.#open.size >= this.#maxOpen) ||
      this.#entries + added.length > this.#maxEntries
    ) {
      this.drop(key);
      throw new OfDecodeError(
        ["OFPET_BAD_REQUEST", "OFPBRC_MULTIPART_BUFFER_OVERFLOW"],
        0,
        `more than ${this.#maxOpen} messages or ${this.#maxEntries} entries in parts`,
      );
    }
    const whole = held ?? { type: part.body.type, entries: [] };
    for (const entry of added) whole.entries.push(entry);
    this.#entries += added.length;
    if (more) {
      this.#open.set(key, whole);
      return undefined;
    }
    this.drop(key);
    return {
      ...part,
      body: listOf(part) === undefined ? part.body : { ...part.body, entries: whole.entries },
    };
  }

  /** Forgets everything held. */
  clear(): void {
    this.#open.clear();
    this.#entries = 0;
  }

  private drop(key: string): void {
    this.#entries -= this.#open.get(key)?.entries.length ?? 0;
    this.#open.delete(key);
  }
}
