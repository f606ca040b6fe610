// Hot path: `poll`, `revents`, and what `polled` holds. Nothing is allocated, nothing throws.

import type { DpPortEvent, DpPortSpec } from "../../../dpif/dpif.js";
import { AfPacketNetdev } from "../../../netdev/af-packet.js";
import { DummyNetdev } from "../../../netdev/dummy.js";
import type { Libc } from "../../../netdev/libc.js";
import { LinkWatch } from "../../../netdev/link-watch.js";
import { isPolled, type Netdev, type NetdevStatus } from "../../../netdev/netdev.js";
import { Packet } from "../../../netdev/packet.js";
import { TapNetdev } from "../../../netdev/tap.js";
import type { Datapath } from "../datapath.js";
import { Devices } from "./devices.js";
import { FarEnds } from "./far-ends.js";
import { FeatureNotes } from "./feature-notes.js";
import type { AddedPort, Command, FeatureNote, Report, WorkerData } from "./messages.js";

const POLLIN = 1;

/** What is waited for before devices: commands, and the kernel's news of links. */
export const WAKE_UP = 0;
const LINKS = 1;
const FIRST_DEVICE = 2;

export interface LoopPort {
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

/** Who has a thread's ports, and is told of them. */
export interface LoopPortsHost {
  /** A packet leaves by a dummy port. */
  transmit(name: string, packet: Packet): void;
  /** A device is not what it was. */
  portChanged(event: DpPortEvent): void;
  /** What is to be on record of devices. */
  featuresNoted(note: FeatureNote): void;
}

/** The ports of one thread of the datapath: their devices, opened and closed, watched for what becomes of them, and the
 *  list that poll waits for. */
export class LoopPorts {
  /** Ports whose devices poll waits for, in its order. */
  polled: readonly LoopPort[] = [];
  readonly #libc: Libc;
  readonly #data: Pick<WorkerData, "index" | "wakeFd">;
  readonly #datapath: Datapath;
  readonly #host: LoopPortsHost;
  readonly #devices: Devices;
  readonly #links: LinkWatch;
  readonly #ports = new Map<number, LoopPort>();
  readonly #dummyPacket = new Packet();
  readonly #farEnds = new FarEnds();
  readonly #features = new FeatureNotes();
  /** Of those polled, ends of pairs; none where others have sockets of theirs, too. */
  #pairs: AfPacketNetdev[] = [];
  /** Whether all ports take super-frames. */
  #takesOffload = true;
  /** struct pollfd: fd, then events and revents. */
  #pollfds = new Int32Array(new ArrayBuffer(8 * 64));
  #pollfdsAddress: number;

  constructor(
    libc: Libc,
    data: Pick<WorkerData, "index" | "wakeFd">,
    datapath: Datapath,
    host: LoopPortsHost,
  ) {
    this.#libc = libc;
    this.#data = data;
    this.#datapath = datapath;
    this.#host = host;
    this.#devices = new Devices(
      libc,
      (name, packet) => host.transmit(name, packet),
      (found) => this.#features.isKept(found),
    );
    this.#links = new LinkWatch(libc);
    this.#pollfdsAddress = libc.addressOf(this.#pollfds.buffer);
    this.#rebuild();
  }

  /** Waits for up to so many ms; gives how many have something, or -1. */
  poll(timeoutMs: number): number {
    return this.#libc.poll(this.#pollfdsAddress, this.polled.length + FIRST_DEVICE, timeoutMs);
  }

  /** What poll said of the one at `index`: WAKE_UP. */
  revents(index: number): number {
    return this.#pollfds[index * 2 + 1]! >>> 16;
  }

  /** What poll said of the device of `polled[i]`. */
  deviceRevents(i: number): number {
    return this.revents(i + FIRST_DEVICE);
  }

  /** Bytes that have come in by devices. */
  received(): number {
    let bytes = 0;
    for (let i = 0; i < this.polled.length; i++) bytes += this.polled[i]!.netdev.stats.rx_bytes;
    return bytes;
  }

  add({ odpPort, spec, adoptFd, fanout }: Extract<Command, { op: "portAdd" }>): AddedPort {
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
    this.#rebuild();
    port.fanout = netdev instanceof AfPacketNetdev ? netdev.fanout : undefined;
    return { status, fd: netdev instanceof TapNetdev ? netdev.fd : undefined, fanout: port.fanout };
  }

  delete(odpPort: number): void {
    const port = this.#ports.get(odpPort);
    if (!port) return;
    this.#ports.delete(odpPort);
    this.#datapath.removePort(odpPort);
    port.netdev.close();
    this.#rebuild();
  }

  /** Throws an Error of one line where there is none. */
  get(odpPort: number): LoopPort {
    const port = this.#ports.get(odpPort);
    if (!port) throw new Error(`the datapath has no port ${odpPort}`);
    return port;
  }

  dummyReceive(odpPort: number, frame: Uint8Array): void {
    const netdev = this.#ports.get(odpPort)?.netdev;
    if (!(netdev instanceof DummyNetdev) || !netdev.accept(frame, this.#dummyPacket)) return;
    this.#datapath.beginBurst();
    this.#datapath.receive(odpPort, this.#dummyPacket);
    this.#datapath.flush();
  }

  dummyLink(odpPort: number, link: boolean): void {
    const port = this.#ports.get(odpPort);
    if (!(port?.netdev instanceof DummyNetdev)) return;
    port.netdev.link = link;
    this.refresh(port);
  }

  /** Reads the news of links, where there is any. */
  readLinks(): void {
    if (this.revents(LINKS) === 0) return;
    const changed = this.#links.read();
    for (const port of this.#ports.values()) {
      if (port.type === "dummy") continue;
      if (port.status.gone) this.#reopen(port);
      else if (!changed || changed.has(port.status.ifindex)) this.refresh(port);
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
      this.refresh(port);
      this.#rebuild();
    } catch {
      // Not there yet, or not ours to open: the next news of links tries again.
    }
  }

  /** Looks what a device is like now, and tells when that is news. */
  refresh(port: LoopPort): void {
    const before = port.status;
    let status = port.netdev.status();
    // A device of the same name that is another one: ours is gone.
    const isOpenOn = "ifindex" in port.netdev ? (port.netdev.ifindex as number) : status.ifindex;
    if (!status.gone && status.ifindex !== isOpenOn) status = { ...status, gone: true };
    port.status = status;
    const inDatapath = this.#datapath.port(port.odpPort);
    if (inDatapath && !status.gone) inDatapath.mtu = status.mtu;
    if (before.gone !== status.gone) this.#rebuild();
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
    this.#host.portChanged(event);
  }

  #rebuild(): void {
    // A TAP device has one queue, which is the first thread's.
    this.polled = [...this.#ports.values()].filter(
      ({ netdev, status }) =>
        isPolled(netdev) && !status.gone && (this.#data.index === 0 || !(netdev instanceof TapNetdev)),
    );
    this.#takesOffload = [...this.#ports.values()].every(({ netdev }) => netdev.takesOffload);
    this.#pairs = this.polled
      .map(({ netdev }) => netdev)
      .filter((netdev) => netdev instanceof AfPacketNetdev)
      .filter(({ isPair, fanout }) => isPair && fanout === undefined);
    this.#farEnds.lookSoon();
    const count = this.polled.length + FIRST_DEVICE;
    if (count * 2 > this.#pollfds.length) {
      this.#pollfds = new Int32Array(new ArrayBuffer(16 * count));
      this.#pollfdsAddress = this.#libc.addressOf(this.#pollfds.buffer);
    }
    this.#pollfds.fill(0);
    const fds = [
      this.#data.wakeFd,
      this.#links.fd,
      ...this.polled.map(({ netdev }) => (isPolled(netdev) ? netdev.fd : -1)),
    ];
    fds.forEach((fd, i) => {
      this.#pollfds[i * 2] = fd;
      this.#pollfds[i * 2 + 1] = POLLIN;
    });
  }

  /** Once a turn, at clock ms `now`. */
  lookAtFarEnds(now: number): void {
    if (!this.#farEnds.isDue(now)) return;
    this.#farEnds.look(now, this.#pairs, this.#takesOffload);
    const note = this.#features.settle();
    if (note) this.#host.featuresNoted(note);
  }

  featuresKept(number: number): void {
    this.#features.kept(number);
    this.#farEnds.lookSoon();
  }

  /** What each has counted, to be told of before it goes. */
  counted(): Report["counted"] {
    return [...this.#ports.values()].map(({ odpPort, netdev }) => {
      netdev.refreshStats?.();
      return { odpPort, stats: { ...netdev.stats } };
    });
  }

  /** The first thread's TAP devices can stay; the others have them by descriptors of their own. */
  close(keepsTaps: boolean): void {
    for (const { netdev } of this.#ports.values()) {
      if (keepsTaps && this.#data.index === 0 && netdev instanceof TapNetdev) netdev.leave();
      else netdev.close();
    }
    this.#links.close();
  }
}
