import { rmSync } from "node:fs";
import { join } from "node:path";
import { OFPP } from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { ConnMgr, createUserspaceDpif, DpBacker, DummyHub, Ofproto } from "@sluice/switch";
import { scratchDir } from "../daemons.js";
import { type Bench, BRIDGE, PORTS, type Sent } from "./bench.js";
import { OfClient } from "./client.js";

/** Our switch in this process: the real Ofproto and ConnMgr over the user-space datapath with dummy ports, on a
 *  virtual clock. OpenFlow goes through RUNDIR/br0.mgmt all the same. */
export class SluiceBench implements Bench {
  readonly #rundir = scratchDir();
  #rig: Rig | undefined;

  static async start(): Promise<SluiceBench> {
    const bench = new SluiceBench();
    await bench.reset();
    return bench;
  }

  connect(miss_send_len?: number): Promise<OfClient> {
    return this.#running.connect(miss_send_len);
  }

  async receive(port: number, ...frames: readonly Uint8Array[]): Promise<void> {
    for (const frame of frames) this.#running.dummies.port(nameOf(port)).receive(frame);
  }

  sent(): Sent[] {
    return this.#running.sent.splice(0);
  }

  async advance(ms: number): Promise<void> {
    await this.#running.clock.advanceAsync(ms, Math.min(ms, 100));
  }

  async carrier(port: number, isUp: boolean): Promise<void> {
    const { dummies, clock } = this.#running;
    dummies.port(nameOf(port)).link = isUp;
    // What is due at once: what the change does to cached flows.
    await clock.advanceAsync(0);
  }

  addPort(port: number): Promise<void> {
    return this.#running.addPort(port);
  }

  async removePort(port: number): Promise<void> {
    await this.#running.ofproto.removePort(port);
  }

  async reset(): Promise<void> {
    await this.#rig?.close();
    this.#rig = await Rig.make(this.#rundir);
  }

  async close(): Promise<void> {
    await this.#rig?.close();
    rmSync(this.#rundir, { recursive: true, force: true });
  }

  get #running(): Rig {
    if (!this.#rig) throw new Error("the bench is closed");
    return this.#rig;
  }
}

const nameOf = (port: number): string => (port === OFPP.LOCAL ? BRIDGE : `p${port}`);

class Rig {
  readonly clock = new VirtualClock();
  readonly dummies = new DummyHub();
  readonly sent: Sent[] = [];
  readonly ofproto: Ofproto;
  readonly #rundir: string;
  readonly #dpif = createUserspaceDpif({
    clock: this.clock,
    log: nullLog,
    host: "inline",
    dummies: this.dummies,
  });
  readonly #backer = new DpBacker({ dpif: this.#dpif, clock: this.clock, log: nullLog });
  readonly #connmgr: ConnMgr;
  readonly #clients: OfClient[] = [];

  private constructor(rundir: string) {
    this.#rundir = rundir;
    this.ofproto = new Ofproto({
      name: BRIDGE,
      datapathId: 0x1234n,
      backer: this.#backer,
      clock: this.clock,
      log: nullLog,
    });
    this.#connmgr = new ConnMgr({ ofproto: this.ofproto, clock: this.clock, log: nullLog });
  }

  static async make(rundir: string): Promise<Rig> {
    const rig = new Rig(rundir);
    for (const port of [OFPP.LOCAL, ...PORTS]) await rig.addPort(port);
    rig.ofproto.setFailMode("secure");
    await rig.#connmgr.openService(rundir);
    return rig;
  }

  async connect(miss_send_len: number | undefined): Promise<OfClient> {
    const client = await OfClient.connect(`unix:${join(this.#rundir, `${BRIDGE}.mgmt`)}`, miss_send_len);
    this.#clients.push(client);
    return client;
  }

  async addPort(port: number): Promise<void> {
    const name = nameOf(port);
    await this.ofproto.addPort({ name, type: "dummy", ofportRequest: port, options: {} });
    this.dummies.port(name).onTransmit = (frame) => this.sent.push({ port, frame });
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#connmgr.close();
    await this.ofproto.destroy();
    this.#backer.close();
    await this.#dpif.destroy();
  }
}
