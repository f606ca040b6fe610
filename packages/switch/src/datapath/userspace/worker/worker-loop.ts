import type { MessagePort } from "node:worker_threads";
import type { DpPortEvent, Offload } from "../../../dpif/dpif.js";
import type { FlowKey, FlowMask } from "../../../flow/flow-key.js";
import { AfXdpNetdev } from "../../../netdev/af-xdp.js";
import { EAGAIN, EINTR, type Libc, loadLibc } from "../../../netdev/libc.js";
import { isPolled } from "../../../netdev/netdev.js";
import type { Packet } from "../../../netdev/packet.js";
import { BURST } from "../../../netdev/rx-ring.js";
import { Datapath, type DatapathHost } from "../datapath.js";
import { actionsOfText } from "../flow-directory.js";
import { PackedCounts } from "../lookup/counts.js";
import { STATS_PERIOD_MS } from "../options.js";
import { Backlog } from "./backlog.js";
import { Collections } from "./collections.js";
import { CommandReader } from "./command-queue.js";
import { HomeCore } from "./home-core.js";
import { LoopPorts, type LoopPortsHost, WAKE_UP } from "./loop-ports.js";
import {
  CAUGHT_UP,
  type Command,
  type FeatureNote,
  MAX_PENDING,
  MAX_PENDING_PER_PORT,
  pendingIndex,
  pendingOf,
  type Report,
  UPCALLS,
  type WorkerData,
} from "./messages.js";
import { Pace } from "./pace.js";
import { type CommandTarget, type RawUpcall, upcallWords, writeUpcall } from "./records.js";
import { RingWriter } from "./ring.js";
import { comeFirst, Haste } from "./scheduling.js";
import { ThreadClock } from "./thread-clock.js";
import { Turns } from "./turns.js";

/** A stream's packets come closer together than this. */
const LINGER_MS = 0.05;
const POLLERR = 8;
const POLLHUP = 16;
const POLLNVAL = 32;
/** ms of a turn that commands may take, so that packets have theirs in between however many there are; and when more
 *  packets came than a turn receives. The clock is read after so many. */
const COMMANDS_MS = 0.2;
const COMMANDS_BUSY_MS = 0.1;
const COMMANDS_AT_ONCE = 16;
/** ms for which the thread looks for the answer to an upcall, rather than sleep and be woken: that costs a first packet
 *  as much as all of its translation. Only where upcalls are as rare as this, ms: else it would keep a core from who
 *  answers. */
const ANSWER_MS = 0.2;
const RARE_MS = 1;
/** Flows whose counts are packed in one turn: their memory is cold. */
const PACKED_A_TURN = 1024;
/** Frames that may wait to be handed to a dummy port's cable, in one turn. */
const MAX_TRANSMITTED = 4096;

/** How long more is let come together, and how exact that is. */
const PAUSE_US = 20;
const PR_SET_TIMERSLACK = 29;
const SLACK_NS = 1000;

/** The datapath's thread: it waits in poll for its devices, for the kernel's news of links and for commands, and is
 *  woken at once by each. Nothing runs on this thread's event loop. */
export class WorkerLoop implements DatapathHost, CommandTarget, LoopPortsHost {
  readonly #port: MessagePort;
  readonly #commands: CommandReader;
  readonly #upcalls: RingWriter;
  readonly #data: WorkerData;
  readonly #libc: Libc;
  readonly #clock: ThreadClock;
  readonly #datapath: Datapath;
  readonly #ports: LoopPorts;
  /** Of a thread that has no core of its own. */
  readonly #home: HomeCore | undefined;
  readonly #haste: Haste;
  readonly #wakeBuffer = new ArrayBuffer(8);
  readonly #wakeAddress: number;
  /** Whether commands are left, for the next turn. */
  #hasCommands = false;
  /** Whether it has said that it waits. */
  #isWaiting = false;
  /** Whether some device had a full burst in this turn. */
  #isBusy = false;
  readonly #pace = new Pace();
  /** What this turn had: packets, the bytes of those that did not come by AF_XDP (by which all count as short), commands. */
  #packets = 0;
  #bytes = 0;
  #commandCount = 0;
  #report = newReport();
  #hasReport = false;
  #hasUpcalls = false;
  /** Clock ms of the last turn with upcalls, and until when an answer is looked for. */
  #upcalledAt = 0;
  #answerBy = 0;
  /** What flows have counted, for the report. */
  readonly #counts = new PackedCounts();
  #statsDue = 0;
  /** Whether counts are being packed; how often all have been; and who waits for how many times. */
  #isPacking = false;
  #packs = 0;
  #syncs: { seq: number; packs: number }[] = [];
  #running = true;
  #keepsTaps = false;
  /** Clock ms at which the last turn ended; and ms spent waiting and working. */
  #turnEnded = 0;
  #idleMs = 0;
  #busyMs = 0;
  readonly #turns = new Turns();
  readonly #collections = new Collections();
  readonly #endOfBurst = (): void => this.#datapath.flush();

  constructor(port: MessagePort, data: WorkerData) {
    this.#port = port;
    this.#data = data;
    this.#libc = loadLibc();
    this.#clock = new ThreadClock(this.#libc);
    this.#turnEnded = this.#clock.now();
    this.#datapath = new Datapath(this, data.maxFlows);
    this.#upcalls = new RingWriter(data.upcalls);
    const backlog = new Backlog(data.backlog, () => port.postMessage(CAUGHT_UP));
    this.#commands = new CommandReader(data.commands, backlog, port, this, (command) =>
      this.#message(command),
    );
    this.#ports = new LoopPorts(this.#libc, data, this.#datapath, this);
    this.#wakeAddress = this.#libc.addressOf(this.#wakeBuffer);
    if (data.core !== undefined) this.#keepTo(data.core);
    else this.#home = new HomeCore(this.#libc);
    comeFirst(this.#libc);
    this.#haste = new Haste(this.#libc);
    this.#libc.prctl(PR_SET_TIMERSLACK, SLACK_NS);
  }

  /** Has the scheduler run this thread on one core. */
  #keepTo(core: number): void {
    const mask = new Uint8Array(new ArrayBuffer(128));
    mask[core >>> 3] = 1 << (core & 7);
    if (this.#libc.schedSetaffinity(0, mask.length, this.#libc.addressOf(mask.buffer)) < 0)
      this.#error(`the datapath's thread cannot be kept to core ${core}`);
  }

  // What the datapath asks of its host.

  readClock(time: Float64Array): void {
    this.#clock.read(time);
  }

  hasRoom(odpPort: number, lanes: number, size: number): boolean {
    const { pending } = this.#data;
    const words = upcallWords(lanes, size);
    const room = pendingOf(words);
    return (
      Atomics.load(pending, 0) + room <= MAX_PENDING &&
      Atomics.load(pending, pendingIndex(odpPort)) + room <= MAX_PENDING_PER_PORT &&
      this.#upcalls.hasRoom(words)
    );
  }

  upcall(upcall: RawUpcall): void {
    const words = upcallWords(upcall.lanes, upcall.size);
    const at = this.#upcalls.reserve(words);
    writeUpcall(this.#upcalls, at, upcall);
    Atomics.add(this.#data.pending, 0, pendingOf(words));
    Atomics.add(this.#data.pending, pendingIndex(upcall.odpPort), pendingOf(words));
    this.#upcalls.commit();
    this.#hasUpcalls = true;
  }

  // What its ports tell it.

  transmit(name: string, packet: Packet): void {
    if (this.#report.transmitted.length >= MAX_TRANSMITTED) return;
    this.#report.transmitted.push({ name, frame: packet.frame() });
    this.#hasReport = true;
  }

  portChanged(event: DpPortEvent): void {
    this.#report.ports.push(event);
    this.#hasReport = true;
  }

  featuresNoted(note: FeatureNote): void {
    this.#report.features = note;
    this.#hasReport = true;
  }

  // What commands ask of it.

  programText(program: number, text: string): void {
    this.#datapath.programPut(program, actionsOfText(text));
  }

  programDel(program: number): void {
    this.#datapath.programDel(program);
  }

  flowPut(slot: number, id: number, key: FlowKey, mask: FlowMask, program: number): void {
    this.#datapath.flowPut(slot, id, key, mask, program);
  }

  flowReplace(slot: number, id: number, program: number): void {
    this.#datapath.flowReplace(slot, id, program, this.#counts);
  }

  flowDel(slot: number): void {
    this.#datapath.flowDel(slot, this.#counts);
  }

  execute(packet: Uint8Array, odpPort: number, program: number, recirc: number, offload?: Offload): void {
    // The answer ends with it: the flow may have been found in the ring before it was there.
    this.#answerBy = 0;
    this.#datapath.execute(packet, odpPort, program, recirc, offload);
  }

  /** Runs until it is told to stop. A failure leaves TAP devices open, for a successor to go on with. */
  run(): void {
    try {
      while (this.#running) this.#turn();
    } catch (error) {
      this.#tellLast();
      this.#ports.close(true);
      throw error;
    }
    this.#ports.close(this.#keepsTaps);
    this.#postReport();
  }

  /** Looks for packets for a while, before it sleeps: to wake it costs the sender of a stream's next packet as much as to
   *  copy that. Whoever else wants the core has it meanwhile. */
  #linger(): void {
    const { polled } = this.#ports;
    const end = this.#turnEnded + LINGER_MS;
    do {
      this.#libc.schedYield();
      for (let i = 0; i < polled.length; i++) {
        const { netdev } = polled[i]!;
        if (isPolled(netdev) && netdev.isReady?.() === true) return;
      }
    } while (this.#clock.now() < end);
  }

  /** Whether more may come together, after a turn that had little of much. */
  #mayPause(): boolean {
    return (
      this.#pace.isDense &&
      this.#packets + this.#commandCount > 0 &&
      !this.#isBusy &&
      !this.#hasCommands &&
      !this.#isPacking
    );
  }

  #turn(): void {
    if (this.#mayPause()) this.#libc.usleep(PAUSE_US);
    else if (this.#home?.isKept === true && !this.#hasCommands && !this.#isPacking) this.#linger();
    // Who answers was woken, perhaps on this very core: it would else wait until this thread sleeps.
    else if (this.#turnEnded < this.#answerBy) this.#libc.schedYield();
    this.#packets = 0;
    this.#bytes = 0;
    this.#commandCount = 0;
    const ready = this.#ports.poll(this.#timeout());
    if (this.#isWaiting) this.#commands.stopWaiting();
    const begun = this.#clock.now();
    this.#idleMs += begun - this.#turnEnded;
    this.#turnEnded = begun;
    if (ready < 0) {
      const errno = this.#libc.errno();
      if (errno !== EINTR && errno !== EAGAIN) throw new Error(`poll failed with errno ${errno}`);
      return;
    }
    this.#isBusy = false;
    if (ready > 0) {
      this.#ports.readLinks();
      this.#receiveAll();
      if (this.#ports.revents(WAKE_UP) !== 0) this.#libc.read(this.#data.wakeFd, this.#wakeAddress, 8);
    }
    this.#takeCommands();
    this.#datapath.serveQueues();
    this.#sweepStats(begun);
    this.#ports.lookAtFarEnds(begun);
    this.#postReport();
    if (this.#home?.isDue(begun)) this.#home.settle(begun, this.#ports.received());
    if (this.#haste.isDue(begun)) this.#haste.settle(begun, this.#busyMs, this.#home?.isKept === true);
    this.#pace.add(this.#packets, this.#bytes, this.#commandCount);
    if (this.#pace.isDue(begun)) this.#pace.settle(begun);
    this.#collections.turn(begun);
    this.#turnEnded = this.#clock.now();
    this.#busyMs += this.#turnEnded - begun;
    this.#turns.add(this.#turnEnded - begun);
  }

  #timeout(): number {
    const isAwake = this.#hasCommands || this.#isPacking || this.#turnEnded < this.#answerBy;
    this.#isWaiting = !isAwake && this.#commands.mayWait();
    if (!this.#isWaiting) return 0;
    const queues = this.#datapath.queuesDue();
    const stats = this.#datapath.hasCounts ? Math.max(0, Math.ceil(this.#statsDue - this.#turnEnded)) : -1;
    if (queues === Infinity) return stats;
    return stats < 0 ? queues : Math.min(queues, stats);
  }

  /** One burst of each device that has something: none can keep the others waiting. */
  #receiveAll(): void {
    const { polled } = this.#ports;
    for (let i = 0; i < polled.length; i++) {
      const events = this.#ports.deviceRevents(i);
      if (events === 0) continue;
      const port = polled[i]!;
      const { netdev } = port;
      if (!isPolled(netdev)) continue;
      this.#datapath.beginBurst();
      const before = netdev.stats.rx_bytes;
      const count = netdev.receive(port.sink, this.#endOfBurst);
      if (count >= BURST) this.#isBusy = true;
      this.#packets += count;
      if (!(netdev instanceof AfXdpNetdev)) this.#bytes += netdev.stats.rx_bytes - before;
      // A device that only ever reports an error is gone: it must not keep poll from waiting.
      if (count === 0 && (events & (POLLERR | POLLHUP | POLLNVAL)) !== 0) this.#ports.refresh(port);
    }
  }

  #takeCommands(): void {
    this.#hasCommands = this.#commandsLeft();
    this.#datapath.flush();
  }

  /** Carries commands out for as long as a turn may; whether some may be left. */
  #commandsLeft(): boolean {
    let end = 0;
    while (this.#running) {
      for (let i = 0; i < COMMANDS_AT_ONCE && this.#running; i++) {
        try {
          if (!this.#commands.next()) return false;
          this.#commandCount++;
        } catch (error) {
          if (error === CRASH) throw error;
          this.#error(textOf(error));
        }
      }
      const now = this.#clock.now();
      if (end === 0) end = this.#turnEnded + (this.#isBusy ? COMMANDS_BUSY_MS : COMMANDS_MS);
      if (now >= end) break;
    }
    return true;
  }

  #message(command: Command): void {
    try {
      this.#carryOut(command);
    } catch (error) {
      if (error === CRASH || !("seq" in command)) throw error;
      this.#reply(command.seq, undefined, textOf(error));
    }
  }

  #carryOut(command: Command): void {
    const datapath = this.#datapath;
    switch (command.op) {
      case "meterSet":
        datapath.meterSet(command.id, command.config, "memory" in command ? command.memory : undefined);
        return;
      case "queuesSet":
        datapath.queuesSet(command.odpPort, command.config, "memory" in command ? command.memory : undefined);
        return;
      case "tagsSet":
        datapath.tags = command.tags;
        return;
      case "dummyReceive":
        this.#ports.dummyReceive(command.odpPort, command.frame);
        return;
      case "dummyLink":
        this.#ports.dummyLink(command.odpPort, command.link);
        return;
      case "featuresKept":
        this.#ports.featuresKept(command.number);
        return;
      case "crash":
        throw CRASH;
      case "stall":
        Atomics.wait(command.until, 0, 0);
        return;
      case "portAdd":
        this.#reply(command.seq, this.#ports.add(command));
        return;
      case "portDel":
        this.#ports.delete(command.odpPort);
        this.#reply(command.seq);
        return;
      case "portStats": {
        const { netdev } = this.#ports.get(command.odpPort);
        netdev.refreshStats?.();
        this.#reply(command.seq, { ...netdev.stats });
        return;
      }
      case "portSet": {
        const port = this.#ports.get(command.odpPort);
        port.netdev.set(command.change);
        this.#ports.refresh(port);
        this.#reply(command.seq);
        return;
      }
      case "meterStats":
        this.#reply(command.seq, datapath.meterStats(command.id));
        return;
      case "queueStats":
        this.#reply(command.seq, datapath.queueStats(command.odpPort));
        return;
      case "counters":
        this.#reply(command.seq, {
          counters: { ...datapath.readCounters(), ...this.#collections.read() },
          times: {
            ...datapath.readTimes(),
            ...this.#turns.read(),
            idle_ns: Math.round(this.#idleMs * 1e6),
            processing_ns: Math.round(this.#busyMs * 1e6),
          },
        });
        return;
      case "barrier":
        this.#reply(command.seq);
        return;
      case "syncStats":
        this.#syncs.push({ seq: command.seq, packs: this.#packs + (this.#isPacking ? 2 : 1) });
        return;
      case "leave":
        this.#keepsTaps = true;
        this.#running = false;
        this.#reply(command.seq);
        return;
      case "destroy":
        this.#running = false;
        this.#reply(command.seq);
        return;
    }
  }

  /** Packs counts, some in a turn, when it is time or somebody waits for them. */
  #sweepStats(now: number): void {
    if (!this.#isPacking) {
      if (this.#syncs.length === 0) {
        if (!this.#datapath.hasCounts) {
          this.#statsDue = 0;
          return;
        }
        if (this.#statsDue === 0) this.#statsDue = now + STATS_PERIOD_MS;
        if (now < this.#statsDue) return;
      }
      this.#datapath.beginPacking();
      this.#isPacking = true;
      this.#statsDue = 0;
    }
    if (!this.#datapath.pack(PACKED_A_TURN, this.#counts)) return;
    this.#isPacking = false;
    this.#packs++;
    while (this.#syncs.length > 0 && this.#syncs[0]!.packs <= this.#packs)
      this.#reply(this.#syncs.shift()!.seq);
  }

  #reply(seq: number, value?: unknown, error?: string): void {
    this.#report.replies.push(error === undefined ? { seq, value } : { seq, error });
    this.#hasReport = true;
  }

  #error(text: string): void {
    this.#report.errors.push(text);
    this.#hasReport = true;
  }

  #postReport(): void {
    // One message tells of upcalls, too.
    const mustWake = this.#hasUpcalls && this.#upcalls.mustWake();
    if (this.#hasUpcalls) {
      const now = this.#clock.now();
      if (mustWake && now - this.#upcalledAt > RARE_MS) {
        this.#answerBy = now + ANSWER_MS;
        this.#haste.rest(now);
      }
      this.#upcalledAt = now;
      this.#hasUpcalls = false;
    }
    if (!this.#hasReport && this.#counts.size === 0) {
      if (mustWake) this.#port.postMessage(UPCALLS);
      return;
    }
    const report = this.#report;
    this.#report = newReport();
    this.#hasReport = false;
    report.position = this.#upcalls.position;
    report.counts = this.#counts.take(this.#clock.now());
    this.#port.postMessage(report, [report.counts.buffer]);
  }

  /** What has been counted outlives the thread. */
  #tellLast(): void {
    try {
      this.#report.counted.push(...this.#ports.counted());
      this.#hasReport = true;
      this.#datapath.pack(Infinity, this.#counts);
      this.#datapath.beginPacking();
      this.#datapath.pack(Infinity, this.#counts);
      this.#postReport();
    } catch {
      // The failure that led here is the one to tell of.
    }
  }
}

/** Thrown for tests of the restart. */
const CRASH = new Error("the datapath was told to crash");

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const NO_COUNTS = new Float64Array(new ArrayBuffer(0));

const newReport = (): Report => ({
  position: 0,
  counts: NO_COUNTS,
  ports: [],
  counted: [],
  replies: [],
  errors: [],
  features: undefined,
  transmitted: [],
});
