import type { Clock, Log } from "@sluice/runtime";
import { ConnMgr } from "../connmgr/connmgr.js";
import type { DpBacker } from "../ofproto/backer.js";
import { Ofproto } from "../ofproto/ofproto.js";
import type { PortInfo } from "../ofproto/types.js";
import type { DesiredBridge, DesiredPort } from "./desired.js";
import type { BridgeSetting, Placed, PortChange, RunningBridge } from "./diff.js";

export interface BridgeContext {
  clock: Clock;
  /** By module: "bridge", "connmgr", "ofproto". */
  log: (module: string) => Log;
  /** Directory of BRIDGE.mgmt and BRIDGE.snoop; undefined: no local sockets. */
  rundir: string | undefined;
  /** Makes a dummy port where an internal one cannot be had (no privilege for TAP devices). */
  dummyFallback: boolean;
  /** Something that the database shows has changed. */
  changed: () => void;
}

/** A port that is up. */
export interface RunningPort extends Placed {
  desired: DesiredPort;
  /** Why it is not the kind of port that was asked for. */
  readonly fallback: string | undefined;
}

const SETTERS: Readonly<
  Record<BridgeSetting, (bridge: Bridge, desired: DesiredBridge) => void | Promise<void>>
> = {
  datapathId: ({ ofproto }, { datapathId }) => {
    ofproto.datapathId = datapathId;
  },
  failMode: ({ ofproto }, { failMode }) => ofproto.setFailMode(failMode),
  macTable: ({ ofproto }, { macTable }) => ofproto.setMacTable(macTable),
  floodVlans: ({ ofproto }, { floodVlans }) => ofproto.setFloodVlans(floodVlans),
  flowTables: ({ ofproto }, { flowTables }) => ofproto.setFlowTables(flowTables),
  forwardBpdu: ({ ofproto }, { forwardBpdu }) => ofproto.setForwardBpdu(forwardBpdu),
  controllers: ({ connmgr }, { controllers }) => connmgr.setControllers(controllers),
};

/** A bridge that runs: its OpenFlow switch, its connections, its ports and the errors of those that failed. */
export class Bridge implements RunningBridge {
  desired: DesiredBridge;
  readonly ofproto: Ofproto;
  readonly connmgr: ConnMgr;
  readonly #context: BridgeContext;
  readonly #log: Log;
  readonly #running = new Map<string, RunningPort>();
  readonly #errors = new Map<string, string>();

  constructor(desired: DesiredBridge, backer: DpBacker, context: BridgeContext) {
    this.desired = desired;
    this.#context = context;
    this.#log = context.log("bridge");
    const { clock } = context;
    this.ofproto = new Ofproto({
      name: desired.name,
      datapathId: desired.datapathId,
      backer,
      clock,
      log: context.log("ofproto"),
      identity: { dp_desc: desired.dpDesc, serial_num: desired.serial },
    });
    this.connmgr = new ConnMgr({
      ofproto: this.ofproto,
      clock,
      log: context.log("connmgr"),
      onChange: context.changed,
    });
  }

  /** Opens the sockets for local tools; without them the bridge works all the same. */
  async open(): Promise<void> {
    if (this.#context.rundir === undefined) return;
    try {
      await this.connmgr.openService(this.#context.rundir);
    } catch (error) {
      this.#log.err(`bridge ${this.desired.name}: ${(error as Error).message}`);
    }
  }

  /** Ports that are up. */
  get ports(): ReadonlyMap<string, RunningPort> {
    return this.#running;
  }

  /** Ports that could not be had, each with one line that says why. */
  get errors(): ReadonlyMap<string, string> {
    return this.#errors;
  }

  /** Whether some port is not there that may yet come: its device does not exist, or is not ours to open. */
  get isIncomplete(): boolean {
    return [...this.#errors.keys()].some(
      (name) => !this.#running.has(name) && this.desired.ports.get(name)?.error === undefined,
    );
  }

  portInfo(name: string): PortInfo | undefined {
    const port = this.#running.get(name);
    return port && this.ofproto.port(port.ofport);
  }

  async addPort(port: DesiredPort): Promise<void> {
    try {
      if (port.error !== undefined) throw new Error(port.error);
      const { ofport, fallback } = await this.#addPort(port);
      this.#running.set(port.name, { desired: port, ofport, fallback });
      if (port.qos) this.ofproto.setQueues(ofport, port.qos.queues, port.qos.maxRate);
      this.#errors.delete(port.name);
      this.#log.info(`bridge ${this.desired.name}: added interface ${port.name} on port ${ofport}`);
    } catch (error) {
      const why = (error as Error).message.split("\n")[0]!;
      // It is tried again and again; each reason is told once.
      if (this.#errors.get(port.name) !== why) this.#log.warn(`bridge ${this.desired.name}: ${why}`);
      this.#errors.set(port.name, why);
    }
  }

  async #addPort(port: DesiredPort): Promise<{ ofport: number; fallback: string | undefined }> {
    const { name, type, ofportRequest, options, mac, mtu, vlan } = port;
    const spec = {
      name,
      options,
      vlan,
      ...(ofportRequest === undefined ? {} : { ofportRequest }),
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(type === "patch" ? { patchPeer: options.peer! } : {}),
    };
    try {
      return { ofport: await this.ofproto.addPort({ ...spec, type }), fallback: undefined };
    } catch (error) {
      if (type !== "internal" || !this.#context.dummyFallback) throw error;
      const fallback = `${(error as Error).message.split("\n")[0]}; a dummy port stands in for it`;
      const ofport = await this.ofproto.addPort({ ...spec, type: "dummy" });
      this.#log.info(`bridge ${this.desired.name}: ${fallback}`);
      return { ofport, fallback };
    }
  }

  async removePorts(names: readonly string[]): Promise<void> {
    const ofports = new Map<string, number>();
    for (const name of names) {
      const port = this.#running.get(name);
      this.#errors.delete(name);
      this.#running.delete(name);
      if (port) ofports.set(name, port.ofport);
    }
    await this.ofproto.removePorts([...ofports.values()]);
    for (const [name, ofport] of ofports)
      this.#log.info(`bridge ${this.desired.name}: deleted interface ${name} on port ${ofport}`);
  }

  /** Its device is gone: the port is taken down, and tried again until the device is back. */
  async lostPort(name: string): Promise<void> {
    await this.removePorts([name]);
    this.#errors.set(name, `${name}: No such device`);
  }

  async updatePort(port: DesiredPort, change: PortChange): Promise<void> {
    const running = this.#running.get(port.name);
    if (!running) return;
    if ("qos" in change) this.ofproto.setQueues(running.ofport, change.qos?.queues, change.qos?.maxRate);
    running.desired = port;
    // Another row describes the same port.
    if (Object.keys(change).length === 0) return;
    try {
      await this.ofproto.updatePort(running.ofport, change);
      this.#errors.delete(port.name);
    } catch (error) {
      const why = (error as Error).message.split("\n")[0]!;
      this.#log.warn(`bridge ${this.desired.name}: ${why}`);
      this.#errors.set(port.name, why);
    }
  }

  async set(setting: BridgeSetting, desired: DesiredBridge): Promise<void> {
    await SETTERS[setting](this, desired);
  }

  /** Forgets errors of ports that nobody wants any more. */
  forgetErrors(): void {
    for (const name of this.#errors.keys()) if (!this.desired.ports.has(name)) this.#errors.delete(name);
  }

  async close(): Promise<void> {
    await this.connmgr.close();
    await this.removePorts([...this.#running.keys()]);
    await this.ofproto.destroy();
  }
}
