import { join } from "node:path";
import { type Clock, ControlServer, CoverageHistory, type Log, type LogRegistry } from "@sluice/runtime";
import { whyAbsent } from "./appctl/absent.js";
import { switchCommands } from "./appctl/commands.js";
import { eventCounters } from "./appctl/coverage.js";
import { DATAPATH_TYPES, INTERFACE_TYPES } from "./bridge/desired.js";
import { Bridges } from "./bridge/reconfigure.js";
import type { DatapathInfo } from "./bridge/status.js";
import { ConfigSync } from "./bridge/sync.js";
import { type DatabaseTarget, SwitchDatabase } from "./database.js";
import type { Dpif } from "./dpif/dpif.js";
import { DpBacker } from "./ofproto/backer.js";

export interface VswitchdOptions {
  clock: Clock;
  logs: LogRegistry;
  /** Where the Open_vSwitch database is. */
  database: DatabaseTarget;
  /** Puts back what a switch that was killed left changed at devices. */
  recoverDevices: () => void;
  /** Makes the datapath that serves a datapath_type. Rejects with one line. */
  openDatapath: (datapathType: string) => Promise<Dpif>;
  /** The datapath that a datapath_type leads to, and why where it is another: "system" without a kernel datapath. */
  resolveDatapath: (datapathType: string) => { type: string; note?: string };
  version: string;
  /** Directory of BRIDGE.mgmt and BRIDGE.snoop; undefined: no sockets for local tools. */
  rundir?: string;
  /** Path of the control socket; undefined: none. */
  unixctl?: string;
  /** Lets a dummy port stand in for an internal one where TAP devices are not allowed. */
  dummyFallback?: boolean;
  /** Lets a frame in by the dummy port of this name; false when there is no room. */
  receiveByDummy?: (name: string, frame: Uint8Array) => boolean;
  /** What the control command "exit" does, after it was answered. */
  onExit?: () => void;
}

const LOG_MODULES = ["bridge", "connmgr", "dpif_netdev", "ofproto", "ovsdb_idl", "vswitchd"];

/** The switch daemon: keeps the bridges as the database says. Usable on its own and within a process. */
export class Vswitchd {
  readonly bridges: Bridges;
  readonly database: SwitchDatabase;
  readonly control: ControlServer;
  readonly #options: VswitchdOptions;
  readonly #log: Log;
  readonly #sync: ConfigSync;
  readonly #coverage: CoverageHistory;
  readonly #backers = new Map<string, Promise<DpBacker>>();
  readonly #noted = new Set<string>();

  constructor(options: VswitchdOptions) {
    this.#options = options;
    const { clock, logs, version } = options;
    // Known from the start, so that vlog/set and --verbose can name them.
    for (const module of LOG_MODULES) logs.module(module);
    this.#log = logs.module("vswitchd");
    this.database = new SwitchDatabase({
      clock,
      log: logs.module("ovsdb_idl"),
      target: options.database,
      onChange: () => this.#sync.poke(),
    });
    this.bridges = new Bridges({
      clock,
      log: (module) => logs.module(module),
      rundir: options.rundir,
      dummyFallback: options.dummyFallback ?? false,
      changed: () => this.#sync.poke(),
      backerFor: (type) => this.#backerFor(type),
      releaseBacker: (backer) => this.#releaseBacker(backer),
    });
    this.#sync = new ConfigSync({
      clock,
      log: logs.module("bridge"),
      database: this.database,
      bridges: this.bridges,
      datapathInfo: (type) => this.#datapathInfo(type),
      identity: {
        ovs_version: version,
        db_version: this.database.schemaVersion,
        datapath_types: DATAPATH_TYPES,
        iface_types: INTERFACE_TYPES,
      },
    });
    this.#coverage = new CoverageHistory(clock, () => eventCounters(this.bridges, logs));
    this.control = new ControlServer(
      `sluice vswitchd ${version}`,
      ...switchCommands({
        bridges: this.bridges,
        logs,
        clock,
        coverage: this.#coverage,
        receiveByDummy: options.receiveByDummy ?? (() => false),
        exit: () => this.#exit(),
      }),
    );
    this.control.whyAbsent = whyAbsent;
  }

  /** Opens the control socket and begins to follow the database, which may come later. Rejects with one line. */
  async start(): Promise<void> {
    if (this.#options.unixctl !== undefined) await this.control.listen(this.#options.unixctl);
    this.#options.recoverDevices();
    this.database.start();
    this.#coverage.start();
  }

  /** Resolves when everything that the database is known to say is in force. */
  settled(): Promise<void> {
    return this.#sync.settled();
  }

  /** Takes all bridges down, with their devices and sockets. The configuration stays in the database. */
  async stop(): Promise<void> {
    this.#coverage.stop();
    await this.#sync.stop();
    await this.bridges.close();
    await this.database.close();
    await this.control.close();
  }

  #backerFor(datapathType: string): Promise<DpBacker> {
    const { type, note } = this.#options.resolveDatapath(datapathType);
    if (note !== undefined && !this.#noted.has(note)) {
      this.#noted.add(note);
      this.#log.info(note);
    }
    let backer = this.#backers.get(type);
    if (!backer) {
      backer = this.#openBacker(type);
      this.#backers.set(type, backer);
      backer.catch(() => this.#backers.delete(type));
    }
    return backer;
  }

  async #openBacker(type: string): Promise<DpBacker> {
    const { clock, logs, openDatapath } = this.#options;
    const dpif = await openDatapath(type);
    return new DpBacker({ dpif, clock, log: logs.module("ofproto") });
  }

  async #releaseBacker(backer: DpBacker): Promise<void> {
    for (const [type, known] of this.#backers) if ((await known) === backer) this.#backers.delete(type);
    backer.close();
    await backer.dpif.destroy();
  }

  #datapathInfo(datapathType: string): DatapathInfo {
    const { note } = this.#options.resolveDatapath(datapathType);
    return { version: `sluice-${this.#options.version}`, note };
  }

  /** The answer leaves first. */
  #exit(): void {
    setImmediate(() => this.#options.onExit?.());
  }
}

/** Where a daemon's control socket is unless somebody says otherwise. */
export const controlSocketPath = (rundir: string, pid: number): string =>
  join(rundir, `ovs-vswitchd.${pid}.ctl`);
