import { rmSync } from "node:fs";
import { join } from "node:path";
import { OFPP } from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { ConnMgr, createUserspaceDpif, DpBacker, type Dpif, DummyHub, Ofproto } from "@sluice/switch";
import { scratchDir } from "../daemons.js";
import { type Bench, BRIDGE, PORTS, type Sent } from "./bench.js";
import { OfClient } from "./client.js";

/** Our switch in this process: the real Ofproto and ConnMgr over the user-space datapath with dummy ports, on a
 *  virtual clock. OpenFlow goes through RUNDIR/br0.mgmt all the same. The datapath is in this thread ("inline"), or in
 *  one of its own as in the daemon ("worker"), where meters run on the machine's time. */
export class SluiceBench implements Bench {
  readonly #rundir = scratchDir();
  readonly #clock = new VirtualClock();
  readonly #dummies = new DummyHub();
  readonly #dpif: Dpif;
  #rig: Rig | undefined;
  /** Upcalls so far. */
  #upcalls = 0;

  private constructor(host: "inline" | "worker") {
    this.#dpif = createUserspaceDpif({ clock: this.#clock, log: nullLog, host, dummies: this.#dummies });
    this.#dpif.events.on("upcall", () => {
      this.#upcalls++;
    });
  }

  static async start(host: "inline" | "worker"): Promise<SluiceBench> {
    const bench = new SluiceBench(host);
    await bench.reset();
    return bench;
  }

  get target(): string {
    return `unix:${join(this.#rundir, `${BRIDGE}.mgmt`)}`;
  }

  async connect(miss_send_len?: number): Promise<OfClient> {
    const client = await OfClient.connect(this.target, miss_send_len);
    this.#running.clients.push(client);
    return client;
  }

  async receive(port: number, ...frames: readonly Uint8Array[]): Promise<void> {
    for (const frame of frames) {
      this.#dummies.port(nameOf(port)).receive(frame);
      await this.#quiet();
    }
  }

  /** Resolves when neither thread has something to tell the other. */
  async #quiet(): Promise<void> {
    let before: number;
    do {
      before = this.#upcalls;
      await this.#dpif.barrier();
    } while (this.#upcalls !== before);
  }

  async sent(): Promise<Sent[]> {
    await this.#quiet();
    return this.#running.sent.splice(0);
  }

  async advance(ms: number): Promise<void> {
    // A datapath in its own thread tells how long ago a packet came: before that changes, it is asked.
    await this.#dpif.syncStats();
    await this.#clock.advanceAsync(ms, Math.min(ms, 100));
    await this.#quiet();
  }

  async carrier(port: number, isUp: boolean): Promise<void> {
    this.#dummies.port(nameOf(port)).link = isUp;
    await this.#quiet();
    // What is due at once: what the change does to cached flows.
    await this.#clock.advanceAsync(0);
    await this.#quiet();
  }

  addPort(port: number): Promise<void> {
    return this.#running.addPort(port);
  }

  async removePort(port: number): Promise<void> {
    await this.#running.ofproto.removePort(port);
  }

  async vlanLimit(limit: number): Promise<void> {
    this.#running.backer.configure({ vlanLimit: limit });
  }

  async reset(): Promise<void> {
    this.#rig?.backer.configure({});
    await this.#rig?.close();
    for (const port of ALL) this.#dummies.port(nameOf(port)).link = true;
    this.#rig = await Rig.make(this.#rundir, this.#clock, this.#dpif, this.#dummies);
  }

  async close(): Promise<void> {
    await this.#rig?.close();
    await this.#dpif.destroy();
    rmSync(this.#rundir, { recursive: true, force: true });
  }

  get #running(): Rig {
    if (!this.#rig) throw new Error("the bench is closed");
    return this.#rig;
  }
}

const ALL = [OFPP.LOCAL, ...PORTS];
const nameOf = (port: number): string => (port === OFPP.LOCAL ? BRIDGE : `p${port}`);

/** One bridge, for one case. */
class Rig {
  readonly sent: Sent[] = [];
  readonly ofproto: Ofproto;
  readonly #dpif: Dpif;
  readonly #dummies: DummyHub;
  readonly backer: DpBacker;
  readonly #connmgr: ConnMgr;
  readonly clients: OfClient[] = [];

  private constructor(clock: VirtualClock, dpif: Dpif, dummies: DummyHub) {
    this.#dpif = dpif;
    this.#dummies = dummies;
    const log = nullLog;
    this.backer = new DpBacker({ dpif, clock, log });
    this.ofproto = new Ofproto({ name: BRIDGE, datapathId: 0x1234n, backer: this.backer, clock, log });
    this.#connmgr = new ConnMgr({ ofproto: this.ofproto, clock, log });
  }

  static async make(rundir: string, clock: VirtualClock, dpif: Dpif, dummies: DummyHub): Promise<Rig> {
    const rig = new Rig(clock, dpif, dummies);
    for (const port of ALL) await rig.addPort(port);
    rig.ofproto.setFailMode("secure");
    await rig.#connmgr.openService(rundir);
    return rig;
  }

  async addPort(port: number): Promise<void> {
    const name = nameOf(port);
    await this.ofproto.addPort({ name, type: "dummy", ofportRequest: port, options: {} });
    this.#dummies.port(name).onTransmit = (frame) => this.sent.push({ port, frame });
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.#connmgr.close();
    await this.ofproto.destroy();
    this.backer.close();
    this.#dpif.flowFlush();
    await this.#dpif.barrier();
  }
}
