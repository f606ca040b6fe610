import type { Clock } from "@sluice/runtime";
import { ipv4FromNumber, ipv4ToNumber, macFromNumber } from "@sluice/wire";
import { Host } from "./host/host.js";
import type { ProbeOptions, ProbeResult } from "./host/probe.js";
import { Link, type LinkRecord, type Socket } from "./link.js";
import { seededRandom } from "./random.js";

export interface NetworkOptions {
  clock: Clock;
  /** Fixes every chance in the network; default 1. */
  seed?: number;
  /** Of every host's cable, unless `addHost` says otherwise. */
  latencyMs?: number;
  loss?: number;
  /** The address of h1; h2 has the next. Default 10.0.0.1. */
  firstIp?: string;
  /** Sees every frame sent on any cable, with the host's name. "a-to-b" is from the host. */
  tap?: (host: string, record: LinkRecord) => void;
}

export interface HostInit {
  name?: string;
  mac?: string;
  ip?: string;
  latencyMs?: number;
  loss?: number;
}

/** One round of everybody asking everybody. */
export interface MeshResult {
  readonly from: Host;
  readonly to: Host;
  readonly result: ProbeResult;
}

type Plug = (socket: Socket) => Link;
interface Cable {
  readonly plug: Plug;
  link: Link;
}

/** Simulated hosts h1, h2, … each on a cable of its own to a socket: most often a dummy port of a switch. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #hosts: Host[] = [];
  readonly #cables = new Map<string, Cable>();

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  get hosts(): readonly Host[] {
    return this.#hosts;
  }

  /** Makes the next host and plugs its cable into `socket`. */
  addHost(socket: Socket, init: HostInit = {}): Host {
    const { clock, seed = 1, firstIp = "10.0.0.1", tap } = this.#options;
    const index = this.#hosts.length;
    const {
      name = `h${index + 1}`,
      mac = macFromNumber(index + 1),
      ip = ipv4FromNumber(ipv4ToNumber(firstIp) + index),
      latencyMs = this.#options.latencyMs ?? 0,
      loss = this.#options.loss ?? 0,
    } = init;
    if (this.#cables.has(name)) throw new RangeError(`there is already a host ${name}`);
    const host = new Host({ name, mac, ip, clock });
    const plug: Plug = (to) =>
      new Link(host, to, {
        clock,
        random: seededRandom(seed, name),
        latencyMs,
        loss,
        ...(tap && { tap: (record) => tap(name, record) }),
      });
    this.#hosts.push(host);
    this.#cables.set(name, { plug, link: plug(socket) });
    return host;
  }

  /** Pulls a host's cable out of its socket and plugs the host into another. */
  moveHost(name: string, socket: Socket): void {
    const cable = this.#cable(name);
    cable.link.remove();
    cable.link = cable.plug(socket);
  }

  host(name: string): Host {
    const host = this.#hosts.find((one) => one.name === name);
    if (!host) throw new RangeError(`there is no host ${name}`);
    return host;
  }

  /** The cable of a host. */
  link(name: string): Link {
    return this.#cable(name).link;
  }

  #cable(name: string): Cable {
    const cable = this.#cables.get(name);
    if (!cable) throw new RangeError(`there is no host ${name}`);
    return cable;
  }

  /** Every host pings every other: host after host, each all others at once. */
  async pingAll(options?: ProbeOptions): Promise<MeshResult[]> {
    const results: MeshResult[] = [];
    for (const from of this.#hosts) {
      const others = this.#hosts.filter((host) => host !== from);
      const ask = async (to: Host) => ({ from, to, result: await from.ping(to.ip, options) });
      results.push(...(await Promise.all(others.map(ask))));
    }
    return results;
  }
}
