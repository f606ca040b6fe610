import { EventEmitter } from "eventemitter3";
import type { OdpAction } from "../dpif/actions.js";
import type {
  DpFlow,
  Dpif,
  DpifEvents,
  DpPort,
  DpPortSpec,
  FlowStatsDelta,
  MeterConfig,
  MeterStats,
  NetdevStats,
  Recirculated,
} from "../dpif/dpif.js";
import { extract, Layers } from "../flow/extract.js";
import { type FlowKey, newFlowKey } from "../flow/flow-key.js";
import { LANE_IN_PORT, LANE_RECIRC_ID } from "../flow/lanes.js";
import { equalMasked } from "../flow/mask.js";

/** A datapath as a model, for tests of what is above it: megaflows in a list, frames that are not changed, counts
 *  that are told only when asked for. What actions there were can be read from `executed`. */
export class ModelDpif implements Dpif {
  readonly type = "netdev";
  readonly events = new EventEmitter<DpifEvents>();
  readonly flows = new Map<number, DpFlow>();
  readonly meters = new Map<number, MeterConfig>();
  /** Called with each frame that is sent. */
  onSent: (odpPort: number, frame: Uint8Array) => void = () => {};
  /** Action lists carried out, in order. */
  readonly executed: (readonly OdpAction[])[] = [];
  readonly #ports = new Map<number, DpPort>();
  readonly #deltas = new Map<number, FlowStatsDelta>();
  readonly #now: () => number;
  #nextPort = 1;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A frame comes in. */
  receive(port: number, frame: Uint8Array): void {
    this.#process(port, frame, 0);
  }

  #process(port: number, frame: Uint8Array, recirc: number): void {
    const key = keyOf(frame, port, recirc);
    const hits = [...this.flows.values()].filter((flow) => equalMasked(flow.key, key, flow.mask));
    const [hit] = hits;
    if (!hit) {
      this.events.emit("upcall", {
        kind: "miss",
        odpPort: port,
        packet: frame.slice(),
        key,
        cookie: 0,
        totalLen: frame.length,
      });
      return;
    }
    const delta = this.#deltas.get(hit.id) ?? { id: hit.id, packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    delta.packets++;
    delta.bytes += frame.length;
    delta.usedMs = this.#now();
    this.#deltas.set(hit.id, delta);
    this.execute(frame, port, hit.actions);
  }

  execute(frame: Uint8Array, odpPort: number, actions: readonly OdpAction[]): void {
    this.executed.push(actions);
    this.#run(frame, odpPort, actions);
  }

  #run(frame: Uint8Array, odpPort: number, actions: readonly OdpAction[]): void {
    for (const action of actions) {
      if (action.type === "output") this.onSent(action.port, frame);
      else if (action.type === "clone") this.#run(frame, odpPort, action.actions);
      else if (action.type === "recirc") this.#process(odpPort, frame, action.id);
      else if (action.type === "userspace")
        this.events.emit("upcall", {
          kind: "action",
          odpPort,
          packet: frame.slice(0, action.max_len),
          key: keyOf(frame, odpPort, 0),
          cookie: action.cookie,
          totalLen: frame.length,
        });
    }
  }

  /** Frames are not changed. */
  rehearse(packet: Uint8Array, actions: readonly OdpAction[]): Recirculated[] {
    return actions.flatMap((action) => {
      if (action.type === "clone") return this.rehearse(packet, action.actions);
      return action.type === "recirc" ? [{ id: action.id, packet }] : [];
    });
  }

  async portAdd(spec: DpPortSpec): Promise<DpPort> {
    const odpPort = this.#nextPort++;
    const port = {
      odpPort,
      name: spec.name,
      type: spec.type,
      mac: spec.mac ?? `02:00:00:00:00:${odpPort.toString(16).padStart(2, "0")}`,
      mtu: spec.mtu ?? 1500,
      ifindex: 0,
      link: true,
      admin: true,
      speed: 0,
    };
    this.#ports.set(odpPort, port);
    return port;
  }

  async portDel(odpPort: number): Promise<void> {
    this.#ports.delete(odpPort);
  }

  async portStats(): Promise<NetdevStats> {
    return {
      rx_packets: 0,
      tx_packets: 0,
      rx_bytes: 0,
      tx_bytes: 0,
      rx_dropped: 0,
      tx_dropped: 0,
      rx_errors: 0,
      tx_errors: 0,
    };
  }

  async portSet(): Promise<void> {}

  flowPut(flow: DpFlow): void {
    this.flows.set(flow.id, { ...flow, key: flow.key.slice(), mask: flow.mask.slice() });
  }

  flowReplace(old: number, id: number, actions: readonly OdpAction[]): void {
    const flow = this.flows.get(old);
    if (!flow) return;
    this.#tell([old]);
    this.flows.delete(old);
    this.flows.set(id, { ...flow, id, actions });
  }

  flowDel(id: number): void {
    this.flows.delete(id);
    this.#tell([id]);
  }

  flowFlush(): void {
    for (const id of [...this.flows.keys()]) this.flowDel(id);
  }

  /** Set: it is behind. */
  behind: Promise<void> | undefined;

  caughtUp(): Promise<void> | undefined {
    return this.behind;
  }

  async barrier(): Promise<void> {}

  async syncStats(): Promise<void> {
    this.#tell([...this.#deltas.keys()]);
  }

  #tell(ids: number[]): void {
    const batch = ids.map((id) => this.#deltas.get(id)).filter((delta) => delta !== undefined);
    for (const { id } of batch) this.#deltas.delete(id);
    if (batch.length > 0) this.events.emit("stats", batch);
  }

  meterSet(id: number, config: MeterConfig | null): void {
    if (config) this.meters.set(id, config);
    else this.meters.delete(id);
  }

  async meterStats(): Promise<MeterStats | undefined> {
    return undefined;
  }

  queuesSet(): void {}

  async queueStats(): Promise<[]> {
    return [];
  }

  tagsSet(): void {}

  async threadsSet(): Promise<void> {}

  async threadCounters(): Promise<Record<string, number>[]> {
    return [await this.counters()];
  }

  async counters(): Promise<Record<string, number>> {
    return {};
  }

  async destroy(): Promise<void> {}
}

function keyOf(frame: Uint8Array, port: number, recirc: number): FlowKey {
  const key = newFlowKey();
  extract(frame, 0, frame.length, key, new Layers());
  key[LANE_IN_PORT] = port;
  key[LANE_RECIRC_ID] = recirc;
  return key;
}
