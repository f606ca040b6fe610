import type { MessagePort } from "node:worker_threads";
import { receiveMessageOnPort } from "node:worker_threads";
import { type Clock, realClock } from "@sluice/runtime";
import type { DpPortEvent, DpPortSpec, Upcall } from "../../dpif/dpif.js";
import { AfPacketNetdev } from "../../netdev/af-packet.js";
import { DummyNetdev } from "../../netdev/dummy.js";
import { EAGAIN, EINTR, type Libc, loadLibc } from "../../netdev/libc.js";
import { LinkWatch } from "../../netdev/link-watch.js";
import { isPolled, type Netdev, type NetdevStatus } from "../../netdev/netdev.js";
import { Packet } from "../../netdev/packet.js";
import { BURST } from "../../netdev/rx-ring.js";
import { TapNetdev } from "../../netdev/tap.js";
import { Datapath, type DatapathHost } from "./datapath.js";
import { Devices } from "./devices.js";
import {
  type AddedPort,
  type Command,
  MAX_PENDING,
  MAX_PENDING_PER_PORT,
  pendingIndex,
  type Report,
  type WorkerData,
} from "./messages.js";
import { STATS_PERIOD_MS } from "./options.js";

const POLLIN = 1;
const POLLERR = 8;
const POLLHUP = 16;
const POLLNVAL = 32;
/** Commands carried out in one turn, so that packets have theirs in between however many there are; and how many when
 *  more packets came than a turn receives: a tenth of a millisecond's worth. */
const COMMANDS_A_TURN = 64;
const COMMANDS_WHEN_BUSY = 16;
/** Frames that may wait to be handed to a dummy port's cable, in one turn. */
const MAX_TRANSMITTED = 4096;

/** Bytes of a packet that is copied rather than handed over to the other thread. */
const SHORT = 1024;

interface LoopPort {
  readonly odpPort: number;
  readonly name: string;
  readonly type: string;
  readonly spec: DpPortSpec;
  netdev: Netdev;
  status: NetdevStatus;
  /** What is done with each packet received. */
  readonly sink: (packet: Packet) => void;
  fanout: number | undefined;
}

/** The datapath's thread: it waits in poll for its devices, for the kernel's news of links and for commands, and is
 *  woken at once by each. Nothing runs on this thread's event loop. */
export class WorkerLoop implements DatapathHost {
  readonly #commands: MessagePort;
  readonly #data: WorkerData;
  readonly #libc: Libc;
  readonly #clock: Clock = realClock;
  readonly #datapath: Datapath;
  readonly #devices: Devices;
  readonly #links: LinkWatch;
  readonly #ports = new Map<number, LoopPort>();
  readonly #dummyPacket = new Packet();
  /** struct pollfd: fd, then events and revents. The first two are the wake-up and the links. */
  #pollfds = new Int32Array(new ArrayBuffer(8 * 64));
  #pollfdsAddress: number;
  #polled: LoopPort[] = [];
  readonly #wakeBuffer = new ArrayBuffer(8);
  readonly #wakeAddress: number;
  /** The commands under way, and the next of them. */
  #batch: readonly Command[] = [];
  #next = 0;
  #hasCommands = false;
  /** Whether some device had a full burst in this turn. */
  #isBusy = false;
  #report = newReport();
  #hasReport = false;
  #statsDue = 0;
  #running = true;
  #keepsTaps = false;
  /** Clock ms at which the last turn ended; and ms spent waiting and working. */
  #turnEnded = realClock.now();
  #idleMs = 0;
  #busyMs = 0;
  readonly #endOfBurst = (): void => this.#datapath.flush();

  constructor(commands: MessagePort, data: WorkerData) {
    this.#commands = commands;
    this.#data = data;
    this.#libc = loadLibc();
    this.#datapath = new Datapath(this, data.maxFlows);
    this.#devices = new Devices(this.#libc, (name, packet) => this.#transmit(name, packet));
    this.#links = new LinkWatch(this.#libc);
    this.#pollfdsAddress = this.#libc.addressOf(this.#pollfds.buffer);
    this.#wakeAddress = this.#libc.addressOf(this.#wakeBuffer);
    this.#rebuildPoll();
    if (data.core !== undefined) this.#keepTo(data.core);
  }

  /** Has the scheduler run this thread on one core. */
  #keepTo(core: number): void {
    const mask = new Uint8Array(new ArrayBuffer(128));
    mask[core >>> 3] = 1 << (core & 7);
    if (this.#libc.schedSetaffinity(0, mask.length, this.#libc.addressOf(mask.buffer)) < 0)
      this.#error(`the datapath's thread cannot be kept to core ${core}`);
  }

  // What the datapath asks of its host.

  now(): number {
    return this.#clock.now();
  }

  hasRoom(odpPort: number): boolean {
    const { pending } = this.#data;
    return (
      Atomics.load(pending, 0) < MAX_PENDING &&
      Atomics.load(pending, pendingIndex(odpPort)) < MAX_PENDING_PER_PORT
    );
  }

  upcall(upcall: Upcall): void {
    Atomics.add(this.#data.pending, 0, 1);
    Atomics.add(this.#data.pending, pendingIndex(upcall.odpPort), 1);
    this.#report.upcalls.push(upcall);
    this.#hasReport = true;
  }

  /** Runs until it is told to stop. A failure leaves TAP devices open, for a successor to go on with. */
  run(): void {
    try {
      while (this.#running) this.#turn();
    } catch (error) {
      this.#tellLast();
      this.#closeAll(true);
      throw error;
    }
    this.#closeAll(this.#keepsTaps);
    this.#postReport();
  }

  #turn(): void {
    const ready = this.#libc.poll(this.#pollfdsAddress, this.#polled.length + 2, this.#timeout());
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
      if (this.#revents(1) !== 0) this.#linksChanged(this.#links.read());
      this.#receiveAll();
      if (this.#revents(0) !== 0) {
        this.#libc.read(this.#data.wakeFd, this.#wakeAddress, 8);
        this.#hasCommands = true;
      }
    }
    if (this.#hasCommands) this.#takeCommands();
    this.#datapath.serveQueues();
    this.#sweepStats(begun);
    this.#postReport();
    this.#turnEnded = this.#clock.now();
    this.#busyMs += this.#turnEnded - begun;
  }

  #timeout(): number {
    if (this.#hasCommands) return 0;
    const queues = this.#datapath.queuesDue();
    const stats = this.#datapath.hasCounts ? Math.max(0, Math.ceil(this.#statsDue - this.#turnEnded)) : -1;
    if (queues === Infinity) return stats;
    return stats < 0 ? queues : Math.min(queues, stats);
  }

  #revents(index: number): number {
    return this.#pollfds[index * 2 + 1]! >>> 16;
  }

  /** One burst of each device that has something: none can keep the others waiting. */
  #receiveAll(): void {
    const polled = this.#polled;
    for (let i = 0; i < polled.length; i++) {
      const events = this.#revents(i + 2);
      if (events === 0) continue;
      const port = polled[i]!;
      const { netdev } = port;
      if (!isPolled(netdev)) continue;
      this.#datapath.beginBurst();
      const count = netdev.receive(port.sink, this.#endOfBurst);
      if (count >= BURST) this.#isBusy = true;
      // A device that only ever reports an error is gone: it must not keep poll from waiting.
      if (count === 0 && (events & (POLLERR | POLLHUP | POLLNVAL)) !== 0) this.#refresh(port);
    }
  }

  #takeCommands(): void {
    for (let left = this.#isBusy ? COMMANDS_WHEN_BUSY : COMMANDS_A_TURN; left > 0 && this.#running; left--) {
      if (this.#next === this.#batch.length && !this.#takeBatch()) {
        this.#hasCommands = false;
        break;
      }
      const command = this.#batch[this.#next++]!;
      try {
        this.#carryOut(command);
      } catch (error) {
        if (command.op === "crash") throw error;
        const text = error instanceof Error ? error.message : String(error);
        if ("seq" in command) this.#reply(command.seq, undefined, text);
        else this.#error(text);
      }
    }
    this.#datapath.flush();
  }

  #takeBatch(): boolean {
    const message = receiveMessageOnPort(this.#commands) as { message: readonly Command[] } | undefined;
    this.#batch = message?.message ?? [];
    this.#next = 0;
    return message !== undefined;
  }

  #carryOut(command: Command): void {
    const datapath = this.#datapath;
    switch (command.op) {
      case "flowPut":
        datapath.flowPut(command.flow);
        return;
      case "flowDel": {
        const delta = datapath.flowDel(command.id);
        if (delta) this.#stats([delta]);
        return;
      }
      case "flowFlush":
        this.#stats(datapath.flowFlush());
        return;
      case "execute":
        datapath.execute(command.packet, command.odpPort, command.actions, command.key, command.offload);
        return;
      case "meterSet":
        datapath.meterSet(command.id, command.config, "memory" in command ? command.memory : undefined);
        return;
      case "queuesSet":
        datapath.queuesSet(command.odpPort, command.config, "memory" in command ? command.memory : undefined);
        return;
      case "dummyReceive":
        this.#dummyReceive(command.odpPort, command.frame);
        return;
      case "dummyLink":
        this.#dummyLink(command.odpPort, command.link);
        return;
      case "crash":
        throw new Error("the datapath was told to crash");
      case "portAdd":
        this.#reply(command.seq, this.#portAdd(command));
        return;
      case "portDel":
        this.#portDel(command.odpPort);
        this.#reply(command.seq);
        return;
      case "portStats": {
        const { netdev } = this.#portOf(command.odpPort);
        netdev.refreshStats?.();
        this.#reply(command.seq, { ...netdev.stats });
        return;
      }
      case "portSet": {
        const port = this.#portOf(command.odpPort);
        port.netdev.set(command.change);
        this.#refresh(port);
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
          counters: datapath.readCounters(),
          times: {
            ...datapath.readTimes(),
            idle_ns: Math.round(this.#idleMs * 1e6),
            processing_ns: Math.round(this.#busyMs * 1e6),
          },
        });
        return;
      case "barrier":
        this.#reply(command.seq);
        return;
      case "syncStats":
        this.#packStats();
        this.#reply(command.seq);
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

  #portAdd({ odpPort, spec, adoptFd, fanout }: Extract<Command, { op: "portAdd" }>): AddedPort {
    const netdev = this.#devices.open({ odpPort, spec, adoptFd, fanout });
    if (
      spec.type !== "dummy" &&
      adoptFd === undefined &&
      (spec.mac !== undefined || spec.mtu !== undefined)
    ) {
      try {
        netdev.set({
          ...(spec.mac === undefined ? {} : { mac: spec.mac }),
          ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }),
        });
      } catch (error) {
        netdev.close();
        throw error;
      }
    }
    const status = netdev.status();
    const sink = (packet: Packet): void => this.#datapath.receive(odpPort, packet);
    const port: LoopPort = {
      odpPort,
      name: spec.name,
      type: spec.type,
      spec,
      netdev,
      status,
      sink,
      fanout: undefined,
    };
    this.#ports.set(odpPort, port);
    this.#datapath.addPort(odpPort, netdev);
    this.#rebuildPoll();
    port.fanout = netdev instanceof AfPacketNetdev ? netdev.fanout : undefined;
    return { status, fd: netdev instanceof TapNetdev ? netdev.fd : undefined, fanout: port.fanout };
  }

  #portDel(odpPort: number): void {
    const port = this.#ports.get(odpPort);
    if (!port) return;
    this.#ports.delete(odpPort);
    this.#datapath.removePort(odpPort);
    port.netdev.close();
    this.#rebuildPoll();
  }

  #portOf(odpPort: number): LoopPort {
    const port = this.#ports.get(odpPort);
    if (!port) throw new Error(`the datapath has no port ${odpPort}`);
    return port;
  }

  #transmit(name: string, packet: Packet): void {
    if (this.#report.transmitted.length >= MAX_TRANSMITTED) return;
    this.#report.transmitted.push({ name, frame: packet.frame() });
    this.#hasReport = true;
  }

  #dummyReceive(odpPort: number, frame: Uint8Array): void {
    const netdev = this.#ports.get(odpPort)?.netdev;
    if (!(netdev instanceof DummyNetdev) || !netdev.accept(frame, this.#dummyPacket)) return;
    this.#datapath.beginBurst();
    this.#datapath.receive(odpPort, this.#dummyPacket);
    this.#datapath.flush();
  }

  #dummyLink(odpPort: number, link: boolean): void {
    const port = this.#ports.get(odpPort);
    if (!(port?.netdev instanceof DummyNetdev)) return;
    port.netdev.link = link;
    this.#refresh(port);
  }

  #linksChanged(changed: Set<number> | undefined): void {
    for (const port of this.#ports.values()) {
      if (port.type === "dummy") continue;
      if (port.status.gone) this.#reopen(port);
      else if (!changed || changed.has(port.status.ifindex)) this.#refresh(port);
    }
  }

  /** A device that went away may have come back under its name. */
  #reopen(port: LoopPort): void {
    if (port.type !== "system" && port.type !== "afxdp") return;
    try {
      const netdev = this.#devices.openSystem(port.spec, port.fanout);
      port.netdev.close();
      port.netdev = netdev;
      this.#datapath.addPort(port.odpPort, netdev);
      this.#refresh(port);
      this.#rebuildPoll();
    } catch {
      // Not there yet, or not ours to open: the next news of links tries again.
    }
  }

  /** Looks what a device is like now, and tells when that is news. */
  #refresh(port: LoopPort): void {
    const before = port.status;
    let status = port.netdev.status();
    // A device of the same name that is another one: ours is gone.
    const isOpenOn = "ifindex" in port.netdev ? (port.netdev.ifindex as number) : status.ifindex;
    if (!status.gone && status.ifindex !== isOpenOn) status = { ...status, gone: true };
    port.status = status;
    const inDatapath = this.#datapath.port(port.odpPort);
    if (inDatapath && !status.gone) inDatapath.mtu = status.mtu;
    if (before.gone !== status.gone) this.#rebuildPoll();
    const isSame = (Object.keys(status) as (keyof NetdevStatus)[]).every(
      (key) => before[key] === status[key],
    );
    if (isSame) return;
    const event: DpPortEvent = {
      odpPort: port.odpPort,
      link: status.link && !status.gone,
      admin: status.admin,
      mac: status.gone ? before.mac : status.mac,
      mtu: status.gone ? before.mtu : status.mtu,
      speed: status.speed,
    };
    if (status.gone) event.gone = true;
    this.#report.ports.push(event);
    this.#hasReport = true;
  }

  #rebuildPoll(): void {
    // A TAP device has one queue, which is the first thread's.
    this.#polled = [...this.#ports.values()].filter(
      ({ netdev, status }) =>
        isPolled(netdev) && !status.gone && (this.#data.index === 0 || !(netdev instanceof TapNetdev)),
    );
    const count = this.#polled.length + 2;
    if (count * 2 > this.#pollfds.length) {
      this.#pollfds = new Int32Array(new ArrayBuffer(16 * count));
      this.#pollfdsAddress = this.#libc.addressOf(this.#pollfds.buffer);
    }
    this.#pollfds.fill(0);
    const fds = [
      this.#data.wakeFd,
      this.#links.fd,
      ...this.#polled.map(({ netdev }) => (isPolled(netdev) ? netdev.fd : -1)),
    ];
    fds.forEach((fd, i) => {
      this.#pollfds[i * 2] = fd;
      this.#pollfds[i * 2 + 1] = POLLIN;
    });
  }

  #sweepStats(now: number): void {
    if (!this.#datapath.hasCounts) {
      this.#statsDue = 0;
      return;
    }
    if (this.#statsDue === 0) this.#statsDue = now + STATS_PERIOD_MS;
    else if (now >= this.#statsDue) {
      this.#packStats();
      this.#statsDue = 0;
    }
  }

  #stats(deltas: readonly { usedMs: number }[] & Report["stats"]): void {
    const now = this.#clock.now();
    for (const delta of deltas) {
      this.#report.stats.push({ ...delta, usedMs: Math.max(0, now - delta.usedMs) });
      this.#hasReport = true;
    }
  }

  #packStats(): void {
    const packed = this.#datapath.packCounts();
    if (packed.length === 0) return;
    this.#report.packedStats.push(packed);
    this.#hasReport = true;
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
    if (!this.#hasReport) return;
    const report = this.#report;
    this.#report = newReport();
    this.#hasReport = false;
    // Long packets that were copied for the slow path are handed over; to copy a short one again costs less.
    const transfer = report.upcalls
      .filter(({ packet }) => packet.length > SHORT)
      .map(({ packet }) => packet.buffer as ArrayBuffer)
      .concat(report.packedStats.map(({ buffer }) => buffer));
    this.#commands.postMessage(report, transfer);
  }

  /** What has been counted outlives the thread. */
  #tellLast(): void {
    try {
      this.#report.upcalls = [];
      for (const { odpPort, netdev } of this.#ports.values()) {
        netdev.refreshStats?.();
        this.#report.counted.push({ odpPort, stats: { ...netdev.stats } });
      }
      this.#hasReport = true;
      this.#packStats();
      this.#postReport();
    } catch {
      // The failure that led here is the one to tell of.
    }
  }

  /** The first thread's TAP devices can stay; the others have them by descriptors of their own. */
  #closeAll(keepsTaps: boolean): void {
    for (const { netdev } of this.#ports.values()) {
      if (!keepsTaps || this.#data.index > 0 || !(netdev instanceof TapNetdev)) netdev.close();
    }
    this.#links.close();
  }
}

const newReport = (): Report => ({
  upcalls: [],
  stats: [],
  packedStats: [],
  ports: [],
  counted: [],
  replies: [],
  errors: [],
  transmitted: [],
});
