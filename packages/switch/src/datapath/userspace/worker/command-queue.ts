import { type MessagePort, receiveMessageOnPort, type Worker } from "node:worker_threads";
import type { Backlog } from "./backlog.js";
import type { Command, Message } from "./messages.js";
import { type CommandTarget, KIND, Kind, MARK_WORDS, type RecordSink, readCommand } from "./records.js";
import { RingReader, RingWriter, type Words } from "./ring.js";

/** # Command queue
 *
 *  **What.** What a datapath's thread is told: records in a ring, and messages of the thread's port, which the ring has
 *  a mark for; so all is in one order.
 *
 *  **When the ring is full.** A stalled datapath must not stall who tells it. A last mark in the ring says that the rest
 *  comes by the port; records go there in pieces until the thread has read all of the ring, and the last piece says
 *  so. What waits at the port is measured (`Backlog`): who tells more than the thread can take is to wait for it. */
/** Words of a piece of what finds no room. */
const PIECE_WORDS = 1 << 14;

/** The dpif's end. */
export class CommandWriter implements RecordSink {
  /** Pieces that were sent because the ring was full. */
  overflows = 0;
  readonly #ring: RingWriter;
  readonly #worker: Worker;
  /** What the thread has not taken from its port yet. */
  readonly backlog: Backlog;
  #piece: Int32Array<ArrayBuffer> | undefined;
  #pieceBytes = new Uint8Array(0);
  #pieceEnd = 0;
  #reserved = 0;
  #isOver = false;

  constructor(memory: SharedArrayBuffer, backlog: Backlog, worker: Worker) {
    this.#ring = new RingWriter(memory);
    this.backlog = backlog;
    this.#worker = worker;
  }

  get words(): Int32Array {
    return this.#isOver ? this.#piece! : this.#ring.words;
  }

  get bytes(): Uint8Array {
    return this.#isOver ? this.#pieceBytes : this.#ring.bytes;
  }

  reserve(count: number): number {
    if (!this.#isOver) {
      const at = this.#ring.reserve(count, 2 * MARK_WORDS);
      if (at >= 0) return at;
      this.#mark(Kind.Overflow);
      this.#isOver = true;
    }
    if (this.#piece && this.#pieceEnd + count > this.#piece.length) this.#post(false);
    if (!this.#piece) {
      this.#piece = new Int32Array(new ArrayBuffer(4 * Math.max(PIECE_WORDS, count)));
      this.#pieceBytes = new Uint8Array(this.#piece.buffer);
    }
    this.#piece[this.#pieceEnd] = count;
    this.#reserved = this.#pieceEnd + count;
    return this.#pieceEnd;
  }

  commit(): void {
    if (this.#isOver) this.#pieceEnd = this.#reserved;
    else this.#ring.commitSoon();
  }

  message(command: Command): void {
    if (!this.#isOver && !this.#ring.hasRoom(3 * MARK_WORDS)) {
      this.#mark(Kind.Overflow);
      this.#isOver = true;
    }
    if (this.#piece) this.#post(false);
    this.#send(command);
    if (!this.#isOver) this.#mark(Kind.Message);
  }

  /** Ends a turn; whether the thread has to be woken. */
  flush(): boolean {
    this.#ring.publish();
    if (this.#isOver) {
      const isLast = this.#ring.isEmpty;
      if (this.#piece || isLast) this.#post(isLast);
      this.#isOver = !isLast;
    }
    return this.#ring.mustWake();
  }

  #mark(kind: Kind): void {
    const at = this.#ring.reserve(MARK_WORDS);
    this.#ring.words[at + KIND] = kind;
    this.#ring.commitSoon();
  }

  #post(isLast: boolean): void {
    const records = this.#piece?.subarray(0, this.#pieceEnd) ?? new Int32Array(new ArrayBuffer(0));
    this.#piece = undefined;
    this.#pieceEnd = 0;
    this.overflows++;
    this.#send({ records, isLast }, [records.buffer]);
  }

  #send(message: Message, transfer: ArrayBuffer[] = []): void {
    this.backlog.add(weightOf(message));
    this.#worker.postMessage(message, transfer);
  }
}

/** Words that a message of the port counts for, about as much memory as it takes. */
const weightOf = (message: Message): number => {
  if ("records" in message) return message.records.length;
  return MESSAGE_WORDS + (message.op === "dummyReceive" ? message.frame.length >>> 2 : 0);
};
const MESSAGE_WORDS = 64;

/** The thread's end. */
export class CommandReader {
  readonly #ring: RingReader;
  readonly #backlog: Backlog;
  readonly #port: MessagePort;
  readonly #onMessage: (command: Command) => void;
  readonly #target: CommandTarget;
  #isOver = false;
  #piece: Words | undefined;
  #pieceAt = 0;
  #isLast = false;
  /** Of the port, taken while it was looked whether there is one. */
  #early: Message | undefined;

  constructor(
    memory: SharedArrayBuffer,
    backlog: Backlog,
    port: MessagePort,
    target: CommandTarget,
    onMessage: (command: Command) => void,
  ) {
    this.#ring = new RingReader(memory);
    this.#backlog = backlog;
    this.#port = port;
    this.#target = target;
    this.#onMessage = onMessage;
  }

  /** Carries the next command out, and throws what that throws; false: there is none. */
  next(): boolean {
    while (!this.#isOver) {
      const ring = this.#ring;
      const at = ring.next();
      if (at < 0) return false;
      const kind: Kind = ring.words[at + KIND]!;
      if (kind === Kind.Overflow) {
        ring.release(at);
        this.#isOver = true;
      } else if (kind === Kind.Message) {
        ring.release(at);
        this.#onMessage(this.#take() as Command);
        return true;
      } else {
        try {
          readCommand(ring, at, this.#target);
        } finally {
          ring.release(at);
        }
        return true;
      }
    }
    return this.#nextOver();
  }

  /** Says that the thread is about to wait; false when there is a command. */
  mayWait(): boolean {
    if (!this.#ring.mayWait()) return false;
    if (this.#isOver) this.#early ??= this.#receive();
    if (this.#early === undefined) return true;
    this.#ring.stopWaiting();
    return false;
  }

  stopWaiting(): void {
    this.#ring.stopWaiting();
  }

  #nextOver(): boolean {
    for (;;) {
      const piece = this.#piece;
      if (piece && this.#pieceAt < piece.words.length) {
        const at = this.#pieceAt;
        this.#pieceAt += piece.words[at]!;
        readCommand(piece, at, this.#target);
        return true;
      }
      this.#piece = undefined;
      if (this.#isLast) {
        this.#isLast = false;
        this.#isOver = false;
        return this.next();
      }
      const message = this.#take();
      if (message === undefined) return false;
      if (!("records" in message)) {
        this.#onMessage(message);
        return true;
      }
      const words = message.records;
      this.#piece = { words, bytes: new Uint8Array(words.buffer) };
      this.#pieceAt = 0;
      this.#isLast = message.isLast;
    }
  }

  #take(): Message | undefined {
    const early = this.#early;
    this.#early = undefined;
    return early ?? this.#receive();
  }

  #receive(): Message | undefined {
    const received = receiveMessageOnPort(this.#port) as { message: Message } | undefined;
    if (received) this.#backlog.take(weightOf(received.message));
    return received?.message;
  }
}
