import { checksum } from "@sluice/wire";

/** IP reassembly (OFPC_FRAG_REASM, 1.3.5 §7.3.2; RFC 791 §3.2, RFC 8200 §4.5): fragments wait here for the rest of their
 *  datagram, which then goes through the tables whole.
 *
 *  Bounded: MAX_DATAGRAMS at a time, MAX_BYTES in all; when full the oldest goes. A datagram that is not complete after
 *  LIFETIME_MS goes, and one whose fragments overlap (RFC 5722). Each way out has a counter. */

const MAX_DATAGRAMS = 1024;
const MAX_BYTES = 8 * 1024 * 1024;
const LIFETIME_MS = 30_000;
const MAX_DATAGRAM = 65_535;

const ETH_TYPE_IPV4 = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const FRAGMENT_HEADER = 44;
/** Hop-by-hop options, routing, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const TPIDS: ReadonlySet<number> = new Set([0x8100, 0x88a8]);

interface Fragment {
  /** What all fragments of the datagram have in common. */
  readonly name: string;
  /** Of the datagram's payload. */
  readonly offset: number;
  readonly isLast: boolean;
  readonly data: Uint8Array;
  /** Of a first fragment: the headers of the whole, with a length of `length`. */
  head(length: number): Uint8Array;
}

interface Datagram {
  readonly name: string;
  readonly sinceMs: number;
  readonly fragments: Fragment[];
  bytes: number;
}

export class Reassembler {
  readonly #datagrams = new Map<string, Datagram>();
  #bytes = 0;
  readonly counters = {
    received: 0,
    reassembled: 0,
    malformed: 0,
    overlapped: 0,
    expired: 0,
    full: 0,
  };

  /** Takes a fragment; `place` tells apart where it came in. Gives the whole frame, when this was what it lacked. */
  push(place: string, frame: Uint8Array, nowMs: number): Uint8Array | undefined {
    this.counters.received++;
    const fragment = parse(frame);
    if (!fragment || fragment.offset + fragment.data.length > MAX_DATAGRAM) {
      this.counters.malformed++;
      return undefined;
    }
    const name = `${place} ${fragment.name}`;
    const datagram = this.#datagrams.get(name) ?? { name, sinceMs: nowMs, fragments: [], bytes: 0 };
    this.#datagrams.set(name, datagram);
    if (datagram.fragments.some((other) => overlaps(other, fragment))) {
      this.#drop(datagram);
      this.counters.overlapped++;
      return undefined;
    }
    datagram.fragments.push(fragment);
    datagram.bytes += fragment.data.length;
    this.#bytes += fragment.data.length;
    const whole = join(datagram.fragments);
    if (whole) {
      this.#drop(datagram);
      this.counters.reassembled++;
      return whole;
    }
    while (this.#datagrams.size > MAX_DATAGRAMS || this.#bytes > MAX_BYTES) {
      const [oldest] = this.#datagrams.values();
      this.#drop(oldest!);
      this.counters.full++;
    }
    return undefined;
  }

  /** Forgets datagrams that have waited too long. */
  expire(nowMs: number): void {
    for (const datagram of this.#datagrams.values()) {
      if (nowMs - datagram.sinceMs < LIFETIME_MS) return;
      this.#drop(datagram);
      this.counters.expired++;
    }
  }

  #drop(datagram: Datagram): void {
    this.#datagrams.delete(datagram.name);
    this.#bytes -= datagram.bytes;
  }
}

const overlaps = (a: Fragment, b: Fragment): boolean =>
  a.offset < b.offset + b.data.length && b.offset < a.offset + a.data.length;

/** The frame that fragments make, when none is missing. */
function join(fragments: readonly Fragment[]): Uint8Array | undefined {
  const inOrder = [...fragments].sort((a, b) => a.offset - b.offset);
  let length = 0;
  for (const { offset, data } of inOrder) {
    if (offset !== length) return undefined;
    length += data.length;
  }
  if (!inOrder.at(-1)!.isLast) return undefined;
  const head = inOrder[0]!.head(length);
  const frame = new Uint8Array(head.length + length);
  frame.set(head);
  for (const { offset, data } of inOrder) frame.set(data, head.length + offset);
  return frame;
}

function parse(frame: Uint8Array): Fragment | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let at = 12;
  while (at + 6 <= frame.length && TPIDS.has(view.getUint16(at))) at += 4;
  if (at + 2 > frame.length) return undefined;
  const type = view.getUint16(at);
  if (type === ETH_TYPE_IPV4) return parseIpv4(frame, view, at + 2);
  return type === ETH_TYPE_IPV6 ? parseIpv6(frame, view, at + 2) : undefined;
}

function parseIpv4(frame: Uint8Array, view: DataView, ip: number): Fragment | undefined {
  if (ip + 20 > frame.length) return undefined;
  const headerLength = (frame[ip]! & 15) * 4;
  const total = view.getUint16(ip + 2);
  const flags = view.getUint16(ip + 6);
  const isLast = (flags & 0x2000) === 0;
  if (headerLength < 20 || total <= headerLength || ip + total > frame.length) return undefined;
  const data = frame.slice(ip + headerLength, ip + total);
  // All but the last end on a multiple of eight bytes.
  if (!isLast && data.length % 8 !== 0) return undefined;
  return {
    name: `4 ${frame.slice(ip + 12, ip + 20)} ${view.getUint16(ip + 4)} ${frame[ip + 9]}`,
    offset: (flags & 0x1fff) * 8,
    isLast,
    data,
    head(length) {
      const head = frame.slice(0, ip + headerLength);
      const out = new DataView(head.buffer);
      out.setUint16(ip + 2, headerLength + length);
      out.setUint16(ip + 6, flags & 0x4000);
      out.setUint16(ip + 10, 0);
      out.setUint16(ip + 10, checksum(head, ip, ip + headerLength));
      return head;
    },
  };
}

function parseIpv6(frame: Uint8Array, view: DataView, ip: number): Fragment | undefined {
  if (ip + 40 > frame.length) return undefined;
  const end = ip + 40 + view.getUint16(ip + 4);
  // Where the number of the header at `at` is written.
  let naming = ip + 6;
  let at = ip + 40;
  while (EXTENSIONS.has(frame[naming]!)) {
    if (at + 8 > frame.length) return undefined;
    naming = at;
    at += 8 + frame[at + 1]! * 8;
  }
  if (frame[naming] !== FRAGMENT_HEADER || at + 8 >= end || end > frame.length) return undefined;
  const word = view.getUint16(at + 2);
  const isLast = (word & 1) === 0;
  const data = frame.slice(at + 8, end);
  if (!isLast && data.length % 8 !== 0) return undefined;
  return {
    name: `6 ${frame.slice(ip + 8, ip + 40)} ${view.getUint32(at + 4)}`,
    offset: word & 0xfff8,
    isLast,
    data,
    head(length) {
      const head = frame.slice(0, at);
      new DataView(head.buffer).setUint16(ip + 4, at - ip - 40 + length);
      head[naming] = frame[at]!;
      return head;
    },
  };
}
