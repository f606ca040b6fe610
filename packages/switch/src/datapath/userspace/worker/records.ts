// Hot path: what is written and read for each upcall, flow change and packet of the slow path. The datapath's thread
// allocates nothing for them.

import type { OdpAction } from "../../../dpif/actions.js";
import type { Offload, Upcall } from "../../../dpif/dpif.js";
import { DP_LANES, type FlowKey, type FlowMask, newFlowKey } from "../../../flow/flow-key.js";
import type { Packet } from "../../../netdev/packet.js";
import type { FlowTarget } from "../flow-directory.js";
import type { Words } from "./ring.js";

/** What goes through rings between a datapath's thread and its dpif, and how it lies there. A record's first word is
 *  the number of its words (ring.ts), the second of a command its kind. */
export enum Kind {
  /** The next command is one message of the thread's port. */
  Message = 1,
  /** The ring was full: what follows is in messages of the port, up to the one that says that it is the last. */
  Overflow,
  ProgramPut,
  ProgramDel,
  FlowPut,
  FlowReplace,
  FlowDel,
  Execute,
}

export const KIND = 1;
/** Of a command that has nothing else. */
export const MARK_WORDS = 2;

/** Where commands are written: room for a record of so many words, whose first word is set, and its end. */
export interface RecordSink extends Words {
  reserve(count: number): number;
  commit(): void;
}

const wordsOf = (bytes: number): number => (bytes + 3) >>> 2;
const HIGH = 2 ** 32;

const PROGRAM_PUT_WORDS = 4;
const FLOW_PUT_WORDS = 7;
const FLOW_REPLACE_WORDS = 6;
const EXECUTE_WORDS = 12;

/** Tells flows by records; `readCommand` is the other side. */
export class CommandEncoder implements FlowTarget {
  readonly #sink: () => RecordSink;

  /** `sink` is asked for a place for each record: it may change between two. */
  constructor(sink: () => RecordSink) {
    this.#sink = sink;
  }

  programPut(program: number, _actions: readonly OdpAction[], text: string): void {
    const sink = this.#sink();
    const at = sink.reserve(PROGRAM_PUT_WORDS + wordsOf(text.length));
    const { words, bytes } = sink;
    words[at + KIND] = Kind.ProgramPut;
    words[at + 2] = program;
    words[at + 3] = text.length;
    // Names and numbers: there is nothing but ASCII in it.
    const from = 4 * (at + PROGRAM_PUT_WORDS);
    for (let i = 0; i < text.length; i++) bytes[from + i] = text.charCodeAt(i);
    sink.commit();
  }

  programDel(program: number): void {
    this.#short(Kind.ProgramDel, program);
  }

  flowPut(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void {
    let lanes = 0;
    let count = 0;
    for (let lane = 0; lane < DP_LANES; lane++) {
      if (mask[lane] === 0) continue;
      lanes |= 1 << lane;
      count++;
    }
    const sink = this.#sink();
    const at = sink.reserve(FLOW_PUT_WORDS + 2 * count);
    const { words } = sink;
    words[at + KIND] = Kind.FlowPut;
    words[at + 2] = slot;
    words[at + 3] = id;
    words[at + 4] = id / HIGH;
    words[at + 5] = program;
    words[at + 6] = lanes;
    for (let lane = 0, to = at + FLOW_PUT_WORDS; lane < DP_LANES; lane++) {
      if (mask[lane] === 0) continue;
      words[to++] = mask[lane]!;
      words[to++] = key[lane]!;
    }
    sink.commit();
  }

  flowReplace(slot: number, id: number, program: number): void {
    const sink = this.#sink();
    const at = sink.reserve(FLOW_REPLACE_WORDS);
    const { words } = sink;
    words[at + KIND] = Kind.FlowReplace;
    words[at + 2] = slot;
    words[at + 3] = id;
    words[at + 4] = id / HIGH;
    words[at + 5] = program;
    sink.commit();
  }

  flowDel(slot: number): void {
    this.#short(Kind.FlowDel, slot);
  }

  execute(packet: Uint8Array, odpPort: number, program: number, recirc: number, offload?: Offload): void {
    const sink = this.#sink();
    const at = sink.reserve(EXECUTE_WORDS + wordsOf(packet.length));
    const { words, bytes } = sink;
    words[at + KIND] = Kind.Execute;
    words[at + 2] = odpPort;
    words[at + 3] = program;
    words[at + 4] = recirc;
    words[at + 5] = packet.length;
    writeOffload(words, at + 6, offload);
    bytes.set(packet, 4 * (at + EXECUTE_WORDS));
    sink.commit();
  }

  #short(kind: Kind, number: number): void {
    const sink = this.#sink();
    const at = sink.reserve(3);
    const { words } = sink;
    words[at + KIND] = kind;
    words[at + 2] = number;
    sink.commit();
  }
}

/** Who carries commands out. `packet` lies in the memory of the records. */
export interface CommandTarget {
  programText(program: number, text: string): void;
  programDel(program: number): void;
  flowPut(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void;
  flowReplace(slot: number, id: number, program: number): void;
  flowDel(slot: number): void;
  execute(packet: Uint8Array, odpPort: number, program: number, recirc: number, offload?: Offload): void;
}

const key = newFlowKey();
const mask = newFlowKey();
const offload: Offload = { csumStart: -1, csumOffset: 0, gsoType: 0, gsoSize: 0, hdrLen: 0 };

/** Has `target` carry out the command whose record begins at `at`; it is none of the port's. What is passed on is
 *  overwritten by the next. */
export function readCommand({ words, bytes }: Words, at: number, target: CommandTarget): void {
  switch (words[at + KIND]) {
    case Kind.ProgramPut: {
      const from = 4 * (at + PROGRAM_PUT_WORDS);
      let text = "";
      for (let i = 0; i < words[at + 3]!; i++) text += String.fromCharCode(bytes[from + i]!);
      target.programText(words[at + 2]!, text);
      return;
    }
    case Kind.ProgramDel:
      target.programDel(words[at + 2]!);
      return;
    case Kind.FlowPut: {
      const lanes = words[at + 6]!;
      for (let lane = 0, from = at + FLOW_PUT_WORDS; lane < DP_LANES; lane++) {
        if ((lanes & (1 << lane)) === 0) {
          mask[lane] = 0;
          key[lane] = 0;
          continue;
        }
        mask[lane] = words[from++]!;
        key[lane] = words[from++]!;
      }
      target.flowPut(words[at + 2]!, idAt(words, at + 3), key, mask, words[at + 5]!);
      return;
    }
    case Kind.FlowReplace:
      target.flowReplace(words[at + 2]!, idAt(words, at + 3), words[at + 5]!);
      return;
    case Kind.FlowDel:
      target.flowDel(words[at + 2]!);
      return;
    case Kind.Execute: {
      const from = 4 * (at + EXECUTE_WORDS);
      const packet = bytes.subarray(from, from + words[at + 5]!);
      const has = readOffload(words, at + 6, offload);
      target.execute(packet, words[at + 2]!, words[at + 3]!, words[at + 4]!, has ? offload : undefined);
      return;
    }
  }
}

const idAt = (words: Int32Array, at: number): number => words[at + 1]! * HIGH + (words[at]! >>> 0);

/** Words of an offload: whether there is one, and its fields. */
const OFFLOAD_WORDS = 6;
const OFFLOAD = 1;
const IS_DATAGRAM = 2;

function writeOffload(words: Int32Array, at: number, offload: Offload | undefined): void {
  if (!offload) {
    words[at] = 0;
    return;
  }
  words[at] = OFFLOAD | (offload.isDatagram ? IS_DATAGRAM : 0);
  words[at + 1] = offload.csumStart;
  words[at + 2] = offload.csumOffset;
  words[at + 3] = offload.gsoType;
  words[at + 4] = offload.gsoSize;
  words[at + 5] = offload.hdrLen;
}

/** False when there is none. */
function readOffload(words: Int32Array, at: number, offload: Offload): boolean {
  if (words[at] === 0) return false;
  offload.csumStart = words[at + 1]!;
  offload.csumOffset = words[at + 2]!;
  offload.gsoType = words[at + 3]!;
  offload.gsoSize = words[at + 4]!;
  offload.hdrLen = words[at + 5]!;
  if ((words[at]! & IS_DATAGRAM) !== 0) offload.isDatagram = true;
  else delete offload.isDatagram;
  return true;
}

/** A packet for the slow path as the datapath has it: nothing of it is its own. */
export interface RawUpcall {
  kind: Upcall["kind"];
  odpPort: number;
  cookie: number;
  key: FlowKey;
  /** Lanes of `key` in use. */
  lanes: number;
  /** Its first `size` bytes go up. */
  packet: Packet;
  size: number;
  offload: Offload | undefined;
}

const UPCALL_WORDS = 7 + OFFLOAD_WORDS;
const ACTION = 1;

export const upcallWords = (lanes: number, size: number): number => UPCALL_WORDS + lanes + wordsOf(size);

/** Writes an upcall into a record of `upcallWords`, at `at`. */
export function writeUpcall({ words, bytes }: Words, at: number, upcall: RawUpcall): void {
  const { packet, lanes, size } = upcall;
  words[at + 1] = upcall.kind === "action" ? ACTION : 0;
  words[at + 2] = upcall.odpPort;
  words[at + 3] = upcall.cookie;
  words[at + 4] = packet.size;
  words[at + 5] = lanes;
  words[at + 6] = size;
  writeOffload(words, at + 7, upcall.offload);
  const to = at + UPCALL_WORDS;
  for (let lane = 0; lane < lanes; lane++) words[to + lane] = upcall.key[lane]!;
  const from = packet.start;
  const bytesAt = 4 * (to + lanes);
  if (size <= SHORT) for (let i = 0; i < size; i++) bytes[bytesAt + i] = packet.buffer[from + i]!;
  else bytes.set(packet.buffer.subarray(from, from + size), bytesAt);
}

/** Bytes that are copied one by one rather than by a view made for it. */
const SHORT = 128;

/** Reads upcalls. A packet that nothing matched is overwritten by the next such, and nothing is allocated for most. */
export class UpcallReader {
  readonly #key = newFlowKey();
  readonly #offload: Offload = { csumStart: -1, csumOffset: 0, gsoType: 0, gsoSize: 0, hdrLen: 0 };
  readonly #words = new Int32Array(new ArrayBuffer(SHORT_UPCALL));
  /** Of these bytes: the first so many. */
  readonly #packets: Uint8Array[] = [];
  readonly #miss: Upcall = {
    kind: "miss",
    odpPort: 0,
    packet: new Uint8Array(0),
    key: this.#key,
    cookie: 0,
    totalLen: 0,
    offload: undefined,
  };

  /** The upcall whose record begins at `at`. */
  read({ words, bytes }: Words, at: number): Upcall {
    const isMiss = words[at + 1] !== ACTION;
    const lanes = words[at + 5]!;
    const size = words[at + 6]!;
    const from = at + UPCALL_WORDS;
    const key = isMiss ? this.#key : newFlowKey();
    for (let lane = 0; lane < lanes; lane++) key[lane] = words[from + lane]!;
    if (isMiss) key.fill(0, lanes);
    const upcall: Upcall = isMiss ? this.#miss : { ...this.#miss, kind: "action", key };
    upcall.odpPort = words[at + 2]!;
    upcall.cookie = words[at + 3]! >>> 0;
    upcall.totalLen = words[at + 4]!;
    upcall.packet =
      isMiss && size <= SHORT_UPCALL
        ? this.#shortPacket(words, from + lanes, size)
        : new Uint8Array(bytes.subarray(4 * (from + lanes), 4 * (from + lanes) + size));
    const offload = isMiss ? this.#offload : { ...this.#offload };
    upcall.offload = readOffload(words, at + 7, offload) ? offload : undefined;
    return upcall;
  }

  #shortPacket(words: Int32Array, from: number, size: number): Uint8Array {
    const own = this.#words;
    for (let i = 0; 4 * i < size; i++) own[i] = words[from + i]!;
    this.#packets[size] ??= new Uint8Array(own.buffer, 0, size);
    return this.#packets[size];
  }
}

/** Bytes of packets that a reader has memory for. */
const SHORT_UPCALL = 2048;

/** An upcall of its own, for who is in the same thread. */
export function ownUpcall({ kind, odpPort, cookie, key, packet, size, offload }: RawUpcall): Upcall {
  const upcall: Upcall = {
    kind,
    odpPort,
    packet: packet.buffer.slice(packet.start, packet.start + size),
    key: key.slice(),
    cookie,
    totalLen: packet.size,
  };
  if (offload) upcall.offload = offload;
  return upcall;
}
