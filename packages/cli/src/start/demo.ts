import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Controller, learningSwitch } from "@sluice/controller";
import { dummySocket, type Host, Network, promptClock } from "@sluice/lab";
import { OpenVSwitch, OvsdbServer, openDatabase } from "@sluice/ovsdb";
import { type LogRegistry, StreamError } from "@sluice/runtime";
import { controlSocketPath, createVswitchd, DummyHub } from "@sluice/switch";
import { CliError } from "../io.js";
import { version } from "../version.js";
import { portNames } from "./configure.js";
import type { StartOptions } from "./options.js";

export const BRIDGE = "br0";
const LOOPBACK = "127.0.0.1";

/** The parts of a running network. */
export interface Demo {
  readonly rundir: string;
  /** `unix:…` and `tcp:…` of the OVSDB server. */
  readonly dbUnix: string;
  readonly dbTcp: string;
  /** The target that the bridge is given. */
  readonly controller: string;
  readonly hosts: readonly Host[];
  readonly network: Network;
  /** Takes everything down, the sockets too. */
  stop(): Promise<void>;
}

/** Starts every part, each listening where the options say; the bridge is still to be configured. Throws CliError
 *  in one line, and nothing is left running. */
export async function startParts(options: StartOptions, logs: LogRegistry): Promise<Demo> {
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    const rundir = options.rundir ?? temporaryDir(undo);
    mkdirSync(rundir, { recursive: true });

    const server = new OvsdbServer({ log: logs.module("ovsdb-server") });
    undo.push(() => server.close());
    server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
    const dbUnix = `unix:${join(rundir, "db.sock")}`;
    await at("--rundir", server.listen(`p${dbUnix}`));
    const dbTcp = active(await at("--ovsdb-port", server.listen(`ptcp:${options.ovsdbPort}:${LOOPBACK}`)));

    let { controller: target } = options;
    if (target === undefined) {
      const controller = new Controller({ apps: [learningSwitch()], log: logs });
      undo.push(() => controller.stop());
      const listening = controller.listen(`ptcp:${options.controllerPort}:${LOOPBACK}`);
      target = active((await at("--controller-port", listening)).target);
    }

    const dummies = new DummyHub();
    const vswitchd = createVswitchd({
      logs,
      database: { target: dbUnix },
      rundir,
      unixctl: controlSocketPath(rundir, process.pid),
      version: version(),
      dpifHost: "inline",
      dummies,
    });
    undo.push(() => vswitchd.stop());
    await vswitchd.start();

    const network = new Network({ clock: promptClock });
    for (const name of portNames(options.hosts)) network.addHost(dummySocket(dummies.port(name)));
    return { rundir, dbUnix, dbTcp, controller: target, hosts: network.hosts, network, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function temporaryDir(undo: (() => unknown)[]): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-start-"));
  undo.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Adds to the error of a listener the option that chooses another place. */
async function at<T>(option: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    const why = error.message.slice(error.target.length + 2);
    throw new CliError(`cannot listen on ${placeOf(error.target)}: ${why}; ${option} chooses another`);
  }
}

/** A passive target in people's words. */
const placeOf = (target: string): string => {
  const { groups } = /^ptcp:(?<port>\d+):(?<host>.*)$/.exec(target) ?? {};
  return groups ? `port ${groups.port} of ${groups.host}` : target.replace(/^punix:/, "");
};

/** The target that reaches a passive TCP one. */
const active = (target: string): string => {
  const [, port, host] = /^ptcp:(\d+):(.*)$/.exec(target)!;
  return `tcp:${host}:${port}`;
};
