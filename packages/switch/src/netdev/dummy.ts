import { type Netdev, NetdevCounters, type NetdevStatus } from "./netdev.js";
import { GSO_NONE, type Packet } from "./packet.js";

/** What is plugged into a dummy port: the other end of its cable, in this process. */
export class DummyPort {
  readonly name: string;
  /** Called with a copy of each frame that the switch sends out of the port. */
  onTransmit: ((frame: Uint8Array) => void) | undefined;
  /** The switch's side; set while a datapath has the port open. Gives how many of the frames it took. */
  onReceive: ((frames: readonly Uint8Array[]) => number) | undefined;
  /** Called when the carrier changes. */
  onLink: ((link: boolean) => void) | undefined;
  #link = true;
  readonly #one: [Uint8Array] = [NO_FRAME];
  /** Frames that came while no datapath had the port open, or it had no room for them. */
  unplugged = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Lets a frame into the switch. False when no datapath has the port open, it is down, or there is no room. */
  receive(frame: Uint8Array): boolean {
    this.#one[0] = frame;
    return this.receiveAll(this.#one) === 1;
  }

  /** Lets frames into the switch that came at the same time; they leave it together. Gives how many it took. */
  receiveAll(frames: readonly Uint8Array[]): number {
    const taken = this.#link && this.onReceive !== undefined ? this.onReceive(frames) : 0;
    this.unplugged += frames.length - taken;
    return taken;
  }

  get link(): boolean {
    return this.#link;
  }

  /** Plugs or unplugs the cable. */
  set link(link: boolean) {
    if (this.#link === link) return;
    this.#link = link;
    this.onLink?.(link);
  }
}

const NO_FRAME = new Uint8Array(0);

/** The dummy ports of a process by name. A name may be asked for before or after a datapath opens the port. */
export class DummyHub {
  readonly #ports = new Map<string, DummyPort>();

  port(name: string): DummyPort {
    let port = this.#ports.get(name);
    if (!port) {
      port = new DummyPort(name);
      this.#ports.set(name, port);
    }
    return port;
  }

  /** Forgets a port that no longer has a use. */
  remove(name: string): void {
    this.#ports.delete(name);
  }
}

const MTU = 1500;

/** A device with no operating system behind it. It takes no offload: what leaves it are ordinary frames. */
export class DummyNetdev implements Netdev {
  readonly name: string;
  readonly takesOffload = false;
  readonly stats = new NetdevCounters();
  readonly #transmit: (packet: Packet) => void;
  #mac: string;
  #mtu: number;
  #admin = true;
  link = true;

  /** `transmit` is called with each packet sent; what it wants to keep it copies. */
  constructor(name: string, mac: string, mtu: number | undefined, transmit: (packet: Packet) => void) {
    this.name = name;
    this.#mac = mac;
    this.#mtu = mtu ?? MTU;
    this.#transmit = transmit;
  }

  /** Fills `packet` from a frame that came in; false when the device is down or the frame too long for it. */
  accept(frame: Uint8Array, packet: Packet): boolean {
    if (!this.#admin || !this.link) {
      this.stats.rx_dropped++;
      return false;
    }
    if (frame.length < 14 || !packet.load(frame)) {
      this.stats.rx_errors++;
      return false;
    }
    this.stats.rx_packets++;
    this.stats.rx_bytes += frame.length;
    return true;
  }

  send(packet: Packet): void {
    if (!this.#admin || !this.link || packet.gsoType !== GSO_NONE) {
      this.stats.tx_dropped++;
      return;
    }
    this.stats.tx_packets++;
    this.stats.tx_bytes += packet.size;
    this.#transmit(packet);
  }

  flush(): void {}

  status(): NetdevStatus {
    return {
      mac: this.#mac,
      mtu: this.#mtu,
      ifindex: 0,
      link: this.link && this.#admin,
      admin: this.#admin,
      speed: 0,
      gone: false,
    };
  }

  set(change: { up?: boolean; mac?: string; mtu?: number }): void {
    if (change.up !== undefined) this.#admin = change.up;
    if (change.mac !== undefined) this.#mac = change.mac;
    if (change.mtu !== undefined) this.#mtu = change.mtu;
  }

  close(): void {}
}
