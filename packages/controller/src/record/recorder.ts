import { closeSync, createWriteStream, openSync, readSync, type WriteStream } from "node:fs";
import type { Socket } from "node:net";
import type { Clock, Log } from "@sluice/runtime";
import { ethernet, fromHex, ipv4, ipv6, TCP_FLAGS, tcp, toHex } from "@sluice/wire";
import type { Tap } from "../framework/connection.js";

export interface RecorderOptions {
  clock: Clock;
  log: Log;
  /** Written into the file, for a replay: what the apps' random bytes are made from. */
  seed?: Uint8Array;
  /** A file gets no larger. With it full, recording ends, or goes on in the next. 1 GiB unless given. */
  limitBytes?: number;
  /** So many files, one after the other, and then the first again: their names have a number behind, as tcpdump's -W
   *  has it. A single one, without a number, unless given. */
  files?: number;
}

/** What waits to be written at most; beyond it packets are left out and counted. */
const MAX_QUEUED = 64 << 20;
const MAX_PAYLOAD = 60_000;
/** The controller's port in the file, whatever it is: by it Wireshark knows what is spoken. */
const OPENFLOW = 6653;
const CONTROLLER_MAC = "02:00:00:00:00:01";
const SWITCH_MAC = "02:00:00:00:00:02";

/** Keeps every conversation with switches in pcapng files that Wireshark opens: TCP as it would have been seen on a wire
 *  without loss, the plain text of TLS. Throws where the file cannot be made. */
export class Recorder {
  readonly #path: string;
  readonly #options: RecorderOptions;
  readonly #limit: number;
  #stream: WriteStream;
  /** Files that are full, and not wholly written yet, by their names. */
  readonly #ending = new Map<string, WriteStream>();
  #current: string;
  #filled = 0;
  #size = 0;
  #packets = 0;
  #dropped = 0;
  #isFull = false;
  #unnamed = 0;

  constructor(path: string, options: RecorderOptions) {
    this.#path = path;
    this.#options = options;
    this.#limit = options.limitBytes ?? 2 ** 30;
    this.#current = this.#name(0);
    this.#stream = this.#open(this.#current);
    this.#begin();
  }

  /** Packets left out because the disk was too slow, or the file full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** One line: what is in the files, and whether more comes. */
  describe(): string {
    const packets = `${this.#packets} packets, ${this.#size} bytes, ${this.#dropped} packets left out`;
    const before = this.#filled === 0 ? "" : `, ${this.#filled} files before`;
    return `recording to ${this.#current}: ${packets}${before}${this.#isFull ? " (ended)" : ""}`;
  }

  /** A new connection begins. Addresses that it does not have (a unix socket) are made up. */
  tap(socket: Socket): Tap {
    const controller = { ip: address(socket.localAddress), port: OPENFLOW };
    const { remotePort = 20_000 + (this.#unnamed++ % 40_000) } = socket;
    const other = { ip: address(socket.remoteAddress), port: remotePort };
    if (other.ip.includes(":") !== controller.ip.includes(":")) controller.ip = other.ip;
    return new Conversation(other, controller, this.#packet);
  }

  /** Resolves when everything is in the files. */
  async close(): Promise<void> {
    this.#isFull = true;
    const streams = [this.#stream, ...this.#ending.values()];
    await Promise.all(streams.map((stream) => new Promise<void>((resolve) => stream.end(() => resolve()))));
  }

  readonly #packet = (frame: Uint8Array): void => {
    if (this.#isFull || this.#queued() > MAX_QUEUED) {
      this.#dropped++;
      return;
    }
    if (this.#size + frame.length + 40 > this.#limit && !this.#next()) {
      this.#dropped++;
      return;
    }
    this.#packets++;
    this.#write(enhancedPacket(frame, this.#options.clock.wallNow()));
  };

  #queued(): number {
    let bytes = this.#stream.writableLength;
    for (const stream of this.#ending.values()) bytes += stream.writableLength;
    return bytes;
  }

  /** "r.pcapng03" is the fourth of up to 100. */
  #name(index: number): string {
    const { files = 0 } = this.#options;
    return files === 0 ? this.#path : this.#path + String(index).padStart(String(files - 1).length, "0");
  }

  /** The file is full. Whether it goes on in another now. */
  #next(): boolean {
    const { files = 0 } = this.#options;
    if (files === 0) {
      this.#end(`the file has ${this.#limit} bytes, its limit`, "warn");
      return false;
    }
    const name = this.#name((this.#filled + 1) % files);
    // The disk is behind by all of the files.
    if (this.#ending.has(name)) return false;
    const [full, fullName] = [this.#stream, this.#current];
    try {
      this.#stream = this.#open(name);
    } catch (error) {
      this.#end((error as Error).message);
      return false;
    }
    this.#filled++;
    this.#current = name;
    this.#ending.set(fullName, full);
    full.end(() => this.#ending.delete(fullName));
    this.#begin();
    return true;
  }

  #end(why: string, level: "err" | "warn" = "err"): void {
    if (!this.#isFull) this.#options.log[level](`recording to ${this.#current} ends: ${why}`);
    this.#isFull = true;
  }

  #open(path: string): WriteStream {
    const stream = createWriteStream(path, { fd: openSync(path, "w", 0o640) });
    return stream.on("error", (error) => this.#end(error.message));
  }

  #begin(): void {
    this.#size = 0;
    this.#packets = 0;
    this.#write(sectionHeader(this.#options.seed));
    this.#write(interfaceDescription());
  }

  #write(block: Uint8Array): void {
    this.#size += block.length;
    this.#stream.write(block);
  }
}

interface End {
  ip: string;
  port: number;
}

/** One TCP connection as packets: what is sent is acknowledged by what is sent next. */
class Conversation implements Tap {
  readonly #ends: readonly [End, End];
  readonly #seq: [number, number] = [1, 1];
  readonly #put: (frame: Uint8Array) => void;
  readonly #macs = [SWITCH_MAC, CONTROLLER_MAC] as const;

  constructor(peer: End, controller: End, put: (frame: Uint8Array) => void) {
    this.#ends = [peer, controller];
    this.#put = put;
    this.#segment(0, TCP_FLAGS.SYN);
    this.#segment(1, TCP_FLAGS.SYN | TCP_FLAGS.ACK);
    this.#segment(0, TCP_FLAGS.ACK);
  }

  received(bytes: Uint8Array): void {
    this.#data(0, bytes);
  }

  sent(bytes: Uint8Array): void {
    this.#data(1, bytes);
  }

  closed(): void {
    this.#segment(0, TCP_FLAGS.FIN | TCP_FLAGS.ACK);
    this.#segment(1, TCP_FLAGS.FIN | TCP_FLAGS.ACK);
  }

  #data(from: 0 | 1, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD)
      this.#segment(from, TCP_FLAGS.PSH | TCP_FLAGS.ACK, bytes.subarray(at, at + MAX_PAYLOAD));
  }

  #segment(from: 0 | 1, flags: number, payload?: Uint8Array): void {
    const to = from === 0 ? 1 : 0;
    const [src, dst] = [this.#ends[from], this.#ends[to]];
    const ack = (flags & TCP_FLAGS.ACK) === 0 ? 0 : this.#seq[to];
    const segment = tcp(
      { src_port: src.port, dst_port: dst.port, seq: this.#seq[from], ack, flags },
      payload ?? new Uint8Array(),
    );
    const addresses = { src: src.ip, dst: dst.ip };
    const packet = src.ip.includes(":") ? ipv6(addresses, segment) : ipv4(addresses, segment);
    this.#put(ethernet({ src: this.#macs[from], dst: this.#macs[to] }, packet));
    const isCounted = (flags & (TCP_FLAGS.SYN | TCP_FLAGS.FIN)) !== 0;
    this.#seq[from] = (this.#seq[from] + (payload?.length ?? 0) + Number(isCounted)) >>> 0;
  }
}

/** An address as packets have it. */
const address = (text: string | undefined): string =>
  text === undefined || text === "" ? "127.0.0.1" : text.replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, "");

// draft-ietf-opsawg-pcapng: blocks of (type, total length, body, total length).

function block(type: number, body: Uint8Array): Uint8Array {
  const padded = (body.length + 3) & ~3;
  const bytes = Buffer.alloc(12 + padded);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.set(body, 8);
  bytes.writeUInt32LE(bytes.length, 8 + padded);
  return bytes;
}

function sectionHeader(seed: Uint8Array | undefined): Uint8Array {
  const body = Buffer.alloc(16, 0xff);
  body.writeUInt32LE(0x1a2b3c4d, 0);
  body.writeUInt16LE(1, 4);
  body.writeUInt16LE(0, 6);
  return block(0x0a0d0d0a, seed === undefined ? body : Buffer.concat([body, comment(SEED + toHex(seed))]));
}

const SEED = "sluice controller, seed ";
const OPT_COMMENT = 1;

/** Options: a comment, and their end. */
function comment(text: string): Uint8Array {
  const size = Buffer.byteLength(text);
  const option = Buffer.alloc(4 + ((size + 3) & ~3) + 4);
  option.writeUInt16LE(OPT_COMMENT, 0);
  option.writeUInt16LE(size, 2);
  option.write(text, 4);
  return option;
}

/** The seed in a recording; undefined in any other file. Throws where the file cannot be read. */
export function seedOf(path: string): Uint8Array | undefined {
  const head = Buffer.alloc(256);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  const hex = new RegExp(`${SEED}([0-9a-f]{64})`).exec(head.toString("latin1"))?.[1];
  return hex === undefined ? undefined : fromHex(hex);
}

const LINKTYPE_ETHERNET = 1;

function interfaceDescription(): Uint8Array {
  const body = Buffer.alloc(8);
  body.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  return block(1, body);
}

/** Time in microseconds since 1970. */
function enhancedPacket(frame: Uint8Array, wallMs: number): Uint8Array {
  const body = Buffer.alloc(20 + frame.length);
  const micros = Math.round(wallMs * 1000);
  body.writeUInt32LE(Math.floor(micros / 2 ** 32), 4);
  body.writeUInt32LE(micros % 2 ** 32, 8);
  body.writeUInt32LE(frame.length, 12);
  body.writeUInt32LE(frame.length, 16);
  body.set(frame, 20);
  return block(6, body);
}
