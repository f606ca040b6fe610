import type { DpPortSpec } from "../../../dpif/dpif.js";
import { AfPacketNetdev } from "../../../netdev/af-packet.js";
import { AfXdpNetdev } from "../../../netdev/af-xdp.js";
import { DummyNetdev } from "../../../netdev/dummy.js";
import type { FoundFeature } from "../../../netdev/feature-record.js";
import type { Libc } from "../../../netdev/libc.js";
import type { Netdev } from "../../../netdev/netdev.js";
import type { Packet } from "../../../netdev/packet.js";
import { RxRing } from "../../../netdev/rx-ring.js";
import { TapNetdev } from "../../../netdev/tap.js";
import { XdpArena } from "../../../netdev/xdp-arena.js";
import { defaultMac } from "../options.js";

/** How a port is to be opened in a thread. */
export interface Opening {
  readonly odpPort: number;
  readonly spec: DpPortSpec;
  /** Of a TAP device that is there already: a descriptor of it. */
  readonly adoptFd: number | undefined;
  /** Of a device that several threads receive from: the group of their sockets. */
  readonly fanout: number | "new" | undefined;
}

/** Opens the devices of one thread, which share the memory that they receive into. */
export class Devices {
  readonly #libc: Libc;
  readonly #transmit: (name: string, packet: Packet) => void;
  readonly #isOnRecord: (found: FoundFeature) => boolean;
  readonly #ring: RxRing;
  /** Made with the first port that asks for AF_XDP. */
  #arena: XdpArena | undefined;

  /** `transmit`: what becomes of a packet that leaves by a dummy port. `isOnRecord`: whether what a device was found to do
   *  has been kept. */
  constructor(
    libc: Libc,
    transmit: (name: string, packet: Packet) => void,
    isOnRecord: (found: FoundFeature) => boolean,
  ) {
    this.#libc = libc;
    this.#transmit = transmit;
    this.#isOnRecord = isOnRecord;
    this.#ring = new RxRing(libc);
  }

  /** Throws an Error of one line. */
  open({ odpPort, spec, adoptFd, fanout }: Opening): Netdev {
    const { name, type, mac, mtu } = spec;
    if (type === "system" || type === "afxdp") return this.openSystem(spec, fanout);
    if (type === "internal" || type === "tap") return new TapNetdev(this.#libc, this.#ring, name, adoptFd);
    if (type === "dummy") {
      return new DummyNetdev(name, mac ?? defaultMac(odpPort), mtu, (packet) => this.#transmit(name, packet));
    }
    throw new Error(`${name}: the datapath has no ports of type ${type}`);
  }

  /** A network device that is there: by AF_XDP where the port asks for it, else by a packet socket. */
  openSystem(
    { name, type, options }: DpPortSpec,
    fanout: number | "new" | undefined,
  ): AfPacketNetdev | AfXdpNetdev {
    const mode = options["xdp-mode"] ?? (type === "afxdp" ? "best-effort" : undefined);
    if (mode === undefined) return new AfPacketNetdev(this.#libc, this.#ring, name, fanout, this.#isOnRecord);
    if (fanout !== undefined)
      throw new Error(`${name}: AF_XDP needs a datapath of one thread (pmd-cpu-mask)`);
    this.#arena ??= new XdpArena(this.#libc);
    return new AfXdpNetdev(this.#libc, this.#arena, name, mode);
  }
}
