import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "@sluice/runtime";
import type { Libc } from "../../netdev/libc.js";
import { type Command, PENDING_WORDS, type Reply, type Report, type WorkerData } from "./messages.js";
import type { DatapathLog } from "./options.js";

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
/** A thread that fails is started again after this long, then twice as long, up to the second. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** One that has run this long before it failed begins again with the shortest wait. */
const STEADY_MS = 60_000;
/** Commands that go in one message. */
const MAX_BATCH = 64;

interface Waiting {
  readonly command: Command & { seq: number };
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type Request = DistributiveOmit<Extract<Command, { seq: number }>, "seq">;

export interface WorkerThreadOptions {
  /** 0: the first, which opens the devices that can be opened only once, and tells of ports. */
  readonly index: number;
  /** The processor core that it keeps to; undefined: any. */
  readonly core: number | undefined;
  readonly clock: Clock;
  readonly log: DatapathLog;
  readonly libc: Libc;
  readonly maxFlows: number | undefined;
  onReport(report: Report, pending: Int32Array): void;
  onFailed(error: Error): void;
  /** A new one stands in for it and knows nothing; `unanswered` are commands that it will be told again after this. */
  onRestarted(thread: WorkerThread, unanswered: readonly Command[]): void;
}

/** A thread of the datapath, and what it has been asked. Commands go by the thread's port, in order, some at a time,
 *  and an eventfd wakes its poll. One that fails is replaced. */
export class WorkerThread {
  restarts = 0;
  readonly #options: WorkerThreadOptions;
  readonly #wakeFd: number;
  readonly #one = new BigUint64Array(new ArrayBuffer(8)).fill(1n);
  readonly #oneAddress: number;
  readonly #waiting = new Map<number, Waiting>();
  #pending = newPending();
  #worker: Worker;
  #seq = 0;
  /** Commands that have not been sent yet: those of one turn go together. */
  #outbox: Command[] = [];
  #isWakeDue = false;
  #startedAt: number;
  #restartMs = RESTART_MS;
  #restartTimer: Timer | undefined;
  #isDown = false;
  #isStopped = false;

  /** Throws an Error of one line. */
  constructor(options: WorkerThreadOptions) {
    this.#options = options;
    this.#oneAddress = options.libc.addressOf(this.#one.buffer);
    this.#wakeFd = options.libc.eventfd(0, EFD_NONBLOCK_CLOEXEC);
    if (this.#wakeFd < 0) throw new Error("the datapath cannot make an eventfd");
    this.#startedAt = options.clock.now();
    this.#worker = this.#start();
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  tell(command: Command): void {
    // What is not remembered is lost while there is nobody to hear it.
    if (this.#isDown) return;
    this.#outbox.push(command);
    if (this.#outbox.length >= MAX_BATCH) this.#post();
    if (this.#isWakeDue) return;
    // One wake-up serves all that is told in this turn: it is written when the turn ends.
    this.#isWakeDue = true;
    queueMicrotask(() => {
      this.#isWakeDue = false;
      if (this.#outbox.length > 0) this.#post();
      this.#options.libc.write(this.#wakeFd, this.#oneAddress, 8);
    });
  }

  ask(request: Request): Promise<unknown> {
    const command = { ...request, seq: ++this.#seq } as Command & { seq: number };
    return new Promise((resolve, reject) => {
      this.#waiting.set(command.seq, { command, resolve, reject });
      this.tell(command);
    });
  }

  /** Ends the thread, as `op` says: with its devices, or leaving TAP devices to others. */
  async stop(op: "destroy" | "leave"): Promise<void> {
    this.#isStopped = true;
    this.#restartTimer?.cancel();
    if (!this.#isDown) {
      const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
      await this.ask({ op });
      await ended;
    }
    for (const { reject } of this.#waiting.values()) reject(new Error("the datapath was destroyed"));
    this.#waiting.clear();
    this.#options.libc.close(this.#wakeFd);
  }

  #post(): void {
    const commands = this.#outbox;
    this.#outbox = [];
    this.#worker.postMessage(commands);
  }

  #start(): Worker {
    const { index, core, maxFlows } = this.#options;
    const data: WorkerData = { index, core, wakeFd: this.#wakeFd, pending: this.#pending, maxFlows };
    const worker = new Worker(workerFile(), { workerData: data, name: `datapath ${index}` });
    worker.on("message", (report: Report) => {
      for (const reply of report.replies) this.#answer(reply);
      this.#options.onReport(report, this.#pending);
    });
    worker.on("error", (error) => this.#failed(worker, error));
    worker.on("exit", (code) => {
      if (!this.#isStopped) this.#failed(worker, new Error(`the datapath's thread ended with ${code}`));
    });
    return worker;
  }

  #failed(worker: Worker, error: unknown): void {
    if (this.#isDown || this.#isStopped || worker !== this.#worker) return;
    this.#isDown = true;
    this.#outbox = [];
    this.restarts++;
    const { clock, log } = this.#options;
    if (clock.now() - this.#startedAt > STEADY_MS) this.#restartMs = RESTART_MS;
    const text = error instanceof Error ? error.message : String(error);
    log.warn(`the datapath failed and starts again in ${this.#restartMs} ms: ${text}`);
    this.#restartTimer = clock.setTimeout(() => this.#restart(), this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, MAX_RESTART_MS);
    this.#options.onFailed(error instanceof Error ? error : new Error(text));
  }

  #restart(): void {
    this.#pending = newPending();
    this.#isDown = false;
    this.#startedAt = this.#options.clock.now();
    this.#worker = this.#start();
    const unanswered = [...this.#waiting.values()].map(({ command }) => command);
    this.#options.onRestarted(this, unanswered);
    for (const command of unanswered) this.tell(command);
  }

  #answer(reply: Reply): void {
    const waiting = this.#waiting.get(reply.seq);
    if (!waiting) return;
    this.#waiting.delete(reply.seq);
    if (reply.error === undefined) waiting.resolve(reply.value);
    else waiting.reject(new Error(reply.error));
  }
}

const newPending = (): Int32Array => new Int32Array(new SharedArrayBuffer(PENDING_WORDS * 4));

/** The thread's program: beside this file when built; in the build's place when this is the source (under vitest). */
function workerFile(): string {
  const beside = fileURLToPath(new URL("./worker.js", import.meta.url));
  if (existsSync(beside)) return beside;
  const built = fileURLToPath(new URL("../../../dist/datapath/userspace/worker.js", import.meta.url));
  if (existsSync(built)) return built;
  throw new Error(`the datapath's thread is not built: ${built} is missing (npm run build)`);
}
