import { VirtualClock } from "@sluice/runtime";
import { DpBacker } from "./backer.js";
import { ModelDpif } from "./model-dpif.testkit.js";
import type { Action, FlowMod, Match } from "./of.js";
import { Ofproto } from "./ofproto.js";
import type { FlowRemovedEvent, OfprotoLog, PacketInEvent, PortSpec, PortStatusEvent } from "./types.js";

export const quiet: OfprotoLog = { dbg() {}, info() {}, warn() {} };

/** A bridge over the model datapath, with what it tells. */
export class TestBench {
  readonly clock = new VirtualClock();
  readonly dpif = new ModelDpif(() => this.clock.now());
  readonly backer = new DpBacker({ dpif: this.dpif, clock: this.clock, log: quiet });
  readonly bridge = this.addBridge("br0");
  readonly packetIns: PacketInEvent[] = [];
  readonly flowsRemoved: FlowRemovedEvent[] = [];
  readonly portStatus: PortStatusEvent[] = [];

  /** A bridge in secure mode with dummy ports p1 … pN, numbered so. */
  static async open(ports = 0): Promise<TestBench> {
    const bench = new TestBench();
    bench.bridge.setFailMode("secure");
    for (let i = 1; i <= ports; i++) await bench.addPort(`p${i}`);
    bench.portStatus.length = 0;
    return bench;
  }

  constructor() {
    const { events } = this.bridge;
    events.on("packet_in", (event) => this.packetIns.push(event));
    events.on("flow_removed", (event) => this.flowsRemoved.push(event));
    events.on("port_status", (event) => this.portStatus.push(event));
  }

  addBridge(name: string): Ofproto {
    const bridge = new Ofproto({ name, datapathId: 1n, clock: this.clock, log: quiet, backer: this.backer });
    bridge.setFailMode("secure");
    return bridge;
  }

  addPort(name: string, spec: Partial<PortSpec> = {}, bridge = this.bridge): Promise<number> {
    return bridge.addPort({ name, type: "dummy", ...spec });
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
  async receive(port: string | number, frame: Uint8Array): Promise<string[]> {
    await this.backer.barrier();
    const before = this.dpif.sent.length;
    this.dpif.receive(this.bridge.port(port)!.odpPort!, frame);
    return this.dpif.sent.slice(before).map(({ port: odp }) => this.backer.portByOdp(odp)!.name);
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
