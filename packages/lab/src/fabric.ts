import type { Socket as NetSocket } from "node:net";
import type { Clock } from "@sluice/runtime";
import { type LabBridge, labBridge } from "./bridge.js";
import { Link, type LinkRecord, type Socket } from "./link.js";
import { Network } from "./network.js";
import { seededRandom } from "./random.js";
import type { Shape } from "./shapes.js";
import { streamPair } from "./stream-pair.js";

export interface LabFabricOptions {
  clock: Clock;
  shape: Shape;
  seed?: number;
  /** Of every cable; 0 unless given. */
  latencyMs?: number;
  /** Ports of each switch with nothing in them. 1 unless given. */
  spares?: number;
  /** Sees every frame sent on any cable, named "s1-s2", or "h1" for a host's. */
  tap?: (cable: string, record: LinkRecord) => void;
}

/** Several switches, the cables between them, and their hosts, in this thread. */
export interface LabFabric {
  /** With dpids 1, 2, … Ports are numbered in the order of the shape's links, then of its hosts, then the spare ones. */
  readonly bridges: readonly LabBridge[];
  readonly network: Network;
  /** In the order of the shape's links. */
  readonly links: readonly Link[];
  /** The cable between two switches, by their numbers from 0. */
  link(a: number, b: number): Link;
  /** A free port of a switch. */
  spare(at: number): Socket;
  /** Connects every switch to a controller: `controller.accept`. */
  connect(accept: (socket: NetSocket, peer: string) => unknown): void;
  destroy(): Promise<void>;
}

/** Switches that forward nothing until a controller tells them to. */
export async function labFabric(options: LabFabricOptions): Promise<LabFabric> {
  const { clock, shape, seed = 1, latencyMs = 0, spares = 1, tap } = options;
  const ends = [...shape.links.flat(), ...shape.hosts];
  const bridges: LabBridge[] = [];
  for (let i = 0; i < shape.switches; i++) {
    const ports = ends.filter((end) => end === i).length + spares;
    const datapathId = BigInt(i + 1);
    bridges.push(await labBridge({ clock, ports, name: `s${i + 1}`, datapathId, failMode: "secure" }));
  }
  const used = bridges.map(() => 0);
  const nextSocket = (at: number): Socket => {
    const socket = bridges[at]?.sockets[used[at]!++];
    if (socket === undefined) throw new RangeError(`switch ${at} has no free port`);
    return socket;
  };
  const links = shape.links.map(([a, b]) => {
    const name = `s${a + 1}-s${b + 1}`;
    const random = seededRandom(seed, name);
    const watch = tap && { tap: (record: LinkRecord) => tap(name, record) };
    return new Link(nextSocket(a), nextSocket(b), { clock, random, latencyMs, ...watch });
  });
  const network = new Network({ clock, seed, latencyMs, ...(tap && { tap }) });
  for (const at of shape.hosts) network.addHost(nextSocket(at));
  return {
    bridges,
    network,
    links,
    link: (a, b) => {
      const at = shape.links.findIndex(([x, y]) => (x === a && y === b) || (x === b && y === a));
      if (at < 0) throw new RangeError(`no cable joins the switches ${a} and ${b}`);
      return links[at]!;
    },
    spare: nextSocket,
    connect: (accept) => {
      for (const [i, bridge] of bridges.entries()) {
        const [ours, theirs] = streamPair();
        bridge.connect(ours);
        accept(theirs, `lab:s${i + 1}`);
      }
    },
    destroy: async () => {
      for (const bridge of bridges) await bridge.destroy();
    },
  };
}
