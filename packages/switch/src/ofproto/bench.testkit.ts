import { type Clock, VirtualClock } from "@sluice/runtime";
import type { Dpif } from "../dpif/dpif.js";
import { DpBacker } from "./backer.js";
import { ModelDpif } from "./model-dpif.testkit.js";
import type { Action, FlowMod, Match, MultipartReplyBody } from "./of.js";
import { Ofproto } from "./ofproto.js";
import type { FlowRemovedEvent, OfprotoLog, PacketInEvent, PortSpec, PortStatusEvent } from "./types.js";

export const quiet: OfprotoLog = { dbg() {}, info() {}, warn() {} };

export type FlowEntry = NonNullable<Extract<MultipartReplyBody, { type: "OFPMP_FLOW" }>["entries"]>[number];

/** A datapath with something plugged into each port. */
export interface Rig<D extends Dpif = Dpif> {
  readonly dpif: D;
  /** Frames that came out, in order. */
  readonly sent: { port: string; frame: Uint8Array }[];
  /** A port has been added. */
  plug(name: string, odpPort: number): void;
  /** A frame comes in. */
  receive(name: string, frame: Uint8Array): void;
}

/** The model datapath. */
export function modelRig(clock: Clock): Rig<ModelDpif> {
  const dpif = new ModelDpif(() => clock.now());
  const numbers = new Map<string, number>();
  const sent: Rig["sent"] = [];
  dpif.onSent = (odpPort, frame) => {
    const [port] = [...numbers].find(([, number]) => number === odpPort)!;
    sent.push({ port, frame });
  };
  return {
    dpif,
    sent,
    plug: (name, odpPort) => numbers.set(name, odpPort),
    receive: (name, frame) => dpif.receive(numbers.get(name)!, frame),
  };
}

/** The far ends of dummy ports' cables. */
export interface Cables {
  port(name: string): {
    onTransmit: ((frame: Uint8Array) => void) | undefined;
    receive(frame: Uint8Array): boolean;
  };
}

/** A real datapath with dummy ports. */
export function cableRig<D extends Dpif>(dpif: D, cables: Cables): Rig<D> {
  const sent: Rig["sent"] = [];
  return {
    dpif,
    sent,
    plug(name) {
      cables.port(name).onTransmit = (frame) => sent.push({ port: name, frame });
    },
    receive: (name, frame) => void cables.port(name).receive(frame),
  };
}

/** A bridge over a datapath, with what it tells. */
export class TestBench<D extends Dpif = ModelDpif> {
  readonly clock: VirtualClock;
  readonly rig: Rig<D>;
  readonly backer: DpBacker;
  readonly bridge: Ofproto;
  readonly packetIns: PacketInEvent[] = [];
  readonly flowsRemoved: FlowRemovedEvent[] = [];
  readonly portStatus: PortStatusEvent[] = [];

  /** Bridge br0 in secure mode with dummy ports p1 … pN, numbered so, over the model datapath. */
  static async open(ports = 0): Promise<TestBench<ModelDpif>> {
    return TestBench.over(modelRig, ports);
  }

  /** The same over another datapath. */
  static async over<D extends Dpif>(
    rigFor: (clock: VirtualClock) => Rig<D>,
    ports = 0,
    options: { flowLimit?: number } = {},
  ): Promise<TestBench<D>> {
    const bench = new TestBench(rigFor, options);
    for (let i = 1; i <= ports; i++) await bench.addPort(`p${i}`);
    bench.portStatus.length = 0;
    return bench;
  }

  private constructor(rigFor: (clock: VirtualClock) => Rig<D>, options: { flowLimit?: number }) {
    this.clock = new VirtualClock();
    this.rig = rigFor(this.clock);
    this.backer = new DpBacker({ dpif: this.rig.dpif, clock: this.clock, log: quiet, ...options });
    this.bridge = this.addBridge("br0");
    const { events } = this.bridge;
    events.on("packet_in", (event) => this.packetIns.push(event));
    events.on("flow_removed", (event) => this.flowsRemoved.push(event));
    events.on("port_status", (event) => this.portStatus.push(event));
  }

  get dpif(): D {
    return this.rig.dpif;
  }

  addBridge(name: string): Ofproto {
    const bridge = new Ofproto({ name, datapathId: 1n, clock: this.clock, log: quiet, backer: this.backer });
    bridge.setFailMode("secure");
    return bridge;
  }

  async addPort(name: string, spec: Partial<PortSpec> = {}, bridge = this.bridge): Promise<number> {
    const ofport = await bridge.addPort({ name, type: "dummy", ...spec });
    const odpPort = bridge.port(ofport)!.odpPort;
    if (odpPort !== undefined) this.rig.plug(name, odpPort);
    return ofport;
  }

  /** Adds a flow with apply-actions. */
  flow(match: Match, actions: readonly Action[], more: Partial<FlowMod> = {}): void {
    this.bridge.flowMod({
      command: "OFPFC_ADD",
      match,
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions }],
      ...more,
    });
  }

  /** Sends a frame into a port, with all requests in force; gives the names of the ports it came out of. */
  async receive(port: string, frame: Uint8Array): Promise<string[]> {
    return (await this.forward(port, frame)).map((sent) => sent.port);
  }

  /** The same, with what came out. */
  async forward(port: string, frame: Uint8Array): Promise<{ port: string; frame: Uint8Array }[]> {
    await this.backer.barrier();
    const before = this.rig.sent.length;
    this.rig.receive(port, frame);
    return this.rig.sent.slice(before);
  }

  /** What OFPMP_FLOW answers. */
  async dump(): Promise<readonly FlowEntry[]> {
    const reply = await this.bridge.multipart({ type: "OFPMP_FLOW" });
    return reply.entries ?? [];
  }

  /** Moves time on, in steps in which promises are kept. */
  warp(ms: number): Promise<void> {
    return this.clock.advanceAsync(ms, 250);
  }
}

export const output = (port: number, max_len?: number): Action => ({
  type: "OFPAT_OUTPUT",
  port,
  ...(max_len === undefined ? {} : { max_len }),
});

const mac = (n: number): number[] => [0, 0, 0, 0, 0, n];

/** An Ethernet frame of 60 bytes; hosts are numbers, 255 is broadcast. */
export function frame(
  src: number,
  dst: number,
  options: { vid?: number; ethType?: number } = {},
): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.set(dst === 255 ? [255, 255, 255, 255, 255, 255] : mac(dst), 0);
  bytes.set(mac(src), 6);
  const { vid, ethType = 0x1234 } = options;
  const type = [ethType >> 8, ethType & 0xff];
  bytes.set(vid === undefined ? type : [0x81, 0, vid >> 8, vid & 0xff, ...type], 12);
  return bytes;
}
