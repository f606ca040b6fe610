import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "@sluice/runtime";
import type { Upcall } from "../../../dpif/dpif.js";
import type { FoundFeature } from "../../../netdev/feature-record.js";
import type { Libc } from "../../../netdev/libc.js";
import type { DatapathLog } from "../options.js";
import { Backlog, backlogMemory } from "./backlog.js";
import { CommandWriter } from "./command-queue.js";
import {
  CAUGHT_UP,
  COMMAND_RING_WORDS,
  type Command,
  type FeatureNote,
  PENDING_WORDS,
  pendingIndex,
  pendingOf,
  type Reply,
  type Report,
  UPCALL_RING_WORDS,
  UPCALLS,
  type WorkerData,
} from "./messages.js";
import { CommandEncoder, UpcallReader } from "./records.js";
import { RingReader, ringMemory } from "./ring.js";

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
/** A thread that fails is started again after this long, then twice as long, up to the second. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** One that has run this long before it failed begins again with the shortest wait. */
const STEADY_MS = 60_000;
/** Upcalls that are answered before others have their turn. */
const UPCALLS_A_TURN = 64;
/** Half of the thread's young generation: what turns of ten seconds and more leave fits. */
const YOUNG_MB = 16;

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
  readonly maxFlows: number;
  onReport(report: Report): void;
  onUpcall(upcall: Upcall): void;
  /** As `Dpif.caughtUp`: upcalls wait for it, since their answers are commands. */
  caughtUp(): Promise<void> | undefined;
  /** Has this, and no more, on record of devices. Resolves with whether it is. */
  keepFeatures(features: readonly FoundFeature[]): Promise<boolean>;
  onFailed(error: Error): void;
  /** A new one stands in for it and knows nothing; `unanswered` are commands that it will be told again after this. */
  onRestarted(thread: WorkerThread, unanswered: readonly Command[]): void;
}

/** What there is for one run of the thread. */
interface Run {
  readonly worker: Worker;
  readonly commands: CommandWriter;
  readonly upcalls: RingReader;
  /** Room that upcalls take which have not been taken yet. */
  readonly pending: Int32Array;
  /** Reports that wait for the upcalls before them. */
  readonly reports: Report[];
  /** Whether the rest of the upcalls has its turn after others. */
  isTaking: boolean;
}

/** A thread of the datapath, and what it has been asked. Commands go by a ring and, some, by the thread's port, in
 *  order; an eventfd wakes its poll. Upcalls come by another ring, at most some at a time. A thread that fails is
 *  replaced. */
export class WorkerThread {
  restarts = 0;
  /** How often who tells had to wait for it. */
  waits = 0;
  /** Flows, by records. */
  readonly flows: CommandEncoder;
  readonly #options: WorkerThreadOptions;
  readonly #wakeFd: number;
  readonly #one = new BigUint64Array(new ArrayBuffer(8)).fill(1n);
  readonly #oneAddress: number;
  readonly #reader = new UpcallReader();
  readonly #waiting = new Map<number, Waiting>();
  #run: Run;
  #seq = 0;
  #isWakeDue = false;
  #caughtUp: { promise: Promise<void>; resolve: () => void } | undefined;
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
    this.flows = new CommandEncoder(() => {
      this.#wakeSoon();
      return this.#run.commands;
    });
    this.#run = this.#start();
  }

  /** Messages with flow changes that the ring had no room for. */
  get overflows(): number {
    return this.#run.commands.overflows;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** Resolves when it is no longer far behind with what it was told; undefined: it is not. */
  caughtUp(): Promise<void> | undefined {
    if (this.#caughtUp) return this.#caughtUp.promise;
    const { backlog } = this.#run.commands;
    if (this.#isDown || !backlog.isLarge || !backlog.mayWait()) return undefined;
    this.waits++;
    let resolve = (): void => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    this.#caughtUp = { promise, resolve };
    return promise;
  }

  #endWait(): void {
    this.#caughtUp?.resolve();
    this.#caughtUp = undefined;
  }

  tell(command: Command): void {
    // What is not remembered is lost while there is nobody to hear it.
    if (this.#isDown) return;
    this.#run.commands.message(command);
    this.#wakeSoon();
  }

  /** One wake-up serves all that is told in this turn: it is written when the turn ends. */
  #wakeSoon(): void {
    if (this.#isWakeDue) return;
    this.#isWakeDue = true;
    queueMicrotask(() => {
      this.#isWakeDue = false;
      if (!this.#isDown && this.#run.commands.flush())
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
      const ended = new Promise((resolve) => this.#run.worker.once("exit", resolve));
      await this.ask({ op });
      await ended;
    }
    this.#endWait();
    for (const { reject } of this.#waiting.values()) reject(new Error("the datapath was destroyed"));
    this.#waiting.clear();
    this.#options.libc.close(this.#wakeFd);
  }

  #start(): Run {
    // V8 would begin with a young generation of one megabyte, collect it some times a second, and never let it grow, since
    // next to nothing survives. The flag is read where a heap is made; no limit of a Worker's does the same.
    setFlagsFromString(`--min-semi-space-size=${YOUNG_MB}`);
    const { index, core, maxFlows } = this.#options;
    const wakeFd = this.#wakeFd;
    const commands = ringMemory(COMMAND_RING_WORDS);
    const upcalls = ringMemory(UPCALL_RING_WORDS);
    const backlog = backlogMemory();
    const pending = new Int32Array(new SharedArrayBuffer(PENDING_WORDS * 4));
    const data: WorkerData = { index, core, maxFlows, wakeFd, commands, upcalls, backlog, pending };
    const worker = new Worker(workerFile(), { workerData: data, name: `datapath ${index}` });
    const run: Run = {
      worker,
      commands: new CommandWriter(commands, new Backlog(backlog), worker),
      upcalls: new RingReader(upcalls),
      pending,
      reports: [],
      isTaking: false,
    };
    run.upcalls.mayWait();
    worker.on("message", (message: Report | typeof UPCALLS | typeof CAUGHT_UP) => {
      if (message === CAUGHT_UP) {
        if (run === this.#run) this.#endWait();
        return;
      }
      if (message !== UPCALLS) run.reports.push(message);
      if (!run.isTaking) this.#take(run, UPCALLS_A_TURN);
    });
    worker.on("error", (error) => this.#failed(run, error));
    worker.on("exit", (code) => {
      if (!this.#isStopped) this.#failed(run, new Error(`the datapath's thread ended with ${code}`));
    });
    return run;
  }

  /** Takes what the thread has sent, in its order, up to so many upcalls; the rest after others had their turn. */
  #take(run: Run, limit: number): void {
    const { upcalls, reports, pending } = run;
    run.isTaking = false;
    for (let left = limit; ; ) {
      const report = reports[0];
      const isDue = report !== undefined && ((upcalls.position - report.position) | 0) >= 0;
      if (isDue) {
        reports.shift();
        for (const reply of report.replies) this.#answer(reply);
        if (report.features) void this.#keep(run, report.features);
        this.#options.onReport(report);
        continue;
      }
      const at = upcalls.next();
      if (at < 0) {
        if (upcalls.mayWait()) return;
        continue;
      }
      const behind = limit === Infinity ? undefined : this.#options.caughtUp();
      if (behind) {
        run.isTaking = true;
        void behind.then(() => this.#take(run, UPCALLS_A_TURN));
        return;
      }
      if (left-- === 0) {
        run.isTaking = true;
        setImmediate(() => this.#take(run, UPCALLS_A_TURN));
        return;
      }
      const upcall = this.#reader.read(upcalls, at);
      const room = pendingOf(upcalls.words[at]!);
      upcalls.release(at);
      Atomics.sub(pending, 0, room);
      Atomics.sub(pending, pendingIndex(upcall.odpPort), room);
      this.#options.onUpcall(upcall);
    }
  }

  /** What one says that ends is of no account: its devices are put back by whoever ends it. */
  async #keep(run: Run, { number, features }: FeatureNote): Promise<void> {
    const isCurrent = (): boolean => run === this.#run && !this.#isDown && !this.#isStopped;
    if (!isCurrent()) return;
    const isKept = await this.#options.keepFeatures(features);
    if (isKept && isCurrent()) this.tell({ op: "featuresKept", number });
  }

  #failed(run: Run, error: unknown): void {
    if (this.#isDown || this.#isStopped || run !== this.#run) return;
    // What it has told is true, and its counts are told once.
    this.#take(run, Infinity);
    this.#isDown = true;
    this.#endWait();
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
    this.#isDown = false;
    this.#startedAt = this.#options.clock.now();
    this.#run = this.#start();
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

/** The thread's program: beside this file when built; in the build's place when this is the source (under vitest). */
function workerFile(): string {
  const beside = fileURLToPath(new URL("./worker.js", import.meta.url));
  if (existsSync(beside)) return beside;
  const built = fileURLToPath(
    new URL("../../../../dist/datapath/userspace/worker/worker.js", import.meta.url),
  );
  if (existsSync(built)) return built;
  throw new Error(`the datapath's thread is not built: ${built} is missing (npm run build)`);
}
