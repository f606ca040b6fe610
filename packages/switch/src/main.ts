import { type Clock, createLog, type LogRegistry, realClock } from "@sluice/runtime";
import type { DatabaseTarget } from "./database.js";
import { createUserspaceDpif } from "./datapath/userspace/dpif.js";
import type { Dpif } from "./dpif/dpif.js";
import { DummyHub } from "./netdev/dummy.js";
import { FeatureRecord } from "./netdev/feature-record.js";
import { Vswitchd } from "./vswitchd.js";

/** The one file that names concrete datapaths and devices. */

export interface CreateVswitchdOptions {
  database: DatabaseTarget;
  /** The machine's unless given. */
  clock?: Clock;
  /** Logs to standard error unless given. */
  logs?: LogRegistry;
  /** "worker": packets in a thread of their own, every type of port. "inline": in this thread, under `clock`, with
   *  dummy ports only. */
  dpifHost?: "inline" | "worker";
  /** The other ends of dummy ports. */
  dummies?: DummyHub;
  /** Directory of BRIDGE.mgmt and BRIDGE.snoop, and of the record of what is changed at devices; none: no sockets for
   *  local tools, and devices are left as they are. */
  rundir?: string;
  /** Path of the control socket; none: no control socket. */
  unixctl?: string;
  version?: string;
  /** Lets a dummy port stand in for an internal one where there can be no TAP device. Always so with "inline". */
  dummyFallback?: boolean;
  onExit?: () => void;
}

const NO_KERNEL_DATAPATH =
  'datapath_type "system": there is no kernel datapath on this machine; packets are forwarded in user space';

/** A switch daemon with the datapaths that there are. */
export function createVswitchd(options: CreateVswitchdOptions): Vswitchd {
  const {
    clock = realClock,
    logs = createLog({ clock }),
    dpifHost = "worker",
    dummies = new DummyHub(),
  } = options;
  const dpifLog = logs.module("dpif_netdev");
  const features = options.rundir === undefined ? undefined : new FeatureRecord(options.rundir, dpifLog);
  const openDatapath = async (type: string): Promise<Dpif> => {
    if (type !== "netdev") throw new Error(`there is no datapath "${type}" (there are netdev and system)`);
    return createUserspaceDpif({
      clock,
      log: dpifLog,
      host: dpifHost,
      dummies,
      ...(features === undefined ? {} : { features }),
    });
  };
  return new Vswitchd({
    clock,
    logs,
    database: options.database,
    recoverDevices: () => features?.recover(),
    openDatapath,
    resolveDatapath: (type) =>
      type === "" || type === "system" ? { type: "netdev", note: NO_KERNEL_DATAPATH } : { type },
    receiveByDummy: (name, frame) => dummies.port(name).receive(frame),
    version: options.version ?? "0.1.0",
    dummyFallback: (options.dummyFallback ?? false) || dpifHost === "inline",
    ...(options.rundir === undefined ? {} : { rundir: options.rundir }),
    ...(options.unixctl === undefined ? {} : { unixctl: options.unixctl }),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
}
