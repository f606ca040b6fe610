import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, bundledApps, Controller, composeApps, learningSwitch, stack } from "@sluice/controller";
import {
  dummySocket,
  type Host,
  Link,
  type LinkRecord,
  Network,
  promptClock,
  seededRandom,
} from "@sluice/lab";
import { OpenVSwitch, OvsdbServer, openDatabase } from "@sluice/ovsdb";
import { type LogRegistry, StreamError } from "@sluice/runtime";
import { controlSocketPath, createVswitchd, DummyHub } from "@sluice/switch";
import { CliError } from "../io.js";
import { version } from "../version.js";
import type { StartOptions } from "./options.js";
import type { Place, Plan } from "./topology.js";

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
  /** By the names of their two ends, in the order of names: "h1 s1", "s1 s2". */
  readonly cables: ReadonlyMap<string, Link>;
  /** Sees every frame that is sent on any cable, which it names "h1 > s1"; undefined: nobody does. */
  watch: ((from: string, to: string, record: LinkRecord) => void) | undefined;
  /** Of the switch, for appctl. */
  readonly unixctl: string;
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
      const controller = new Controller({ apps: appsFor(options.plan, logs), log: logs });
      undo.push(() => controller.stop());
      const listening = controller.listen(`ptcp:${options.controllerPort}:${LOOPBACK}`);
      target = active((await at("--controller-port", listening)).target);
    }

    const unixctl = controlSocketPath(rundir, process.pid);
    const dummies = new DummyHub();
    const vswitchd = createVswitchd({
      logs,
      database: { target: dbUnix },
      rundir,
      unixctl,
      version: version(),
      dpifHost: "inline",
      dummies,
    });
    undo.push(() => vswitchd.stop());
    await vswitchd.start();

    const demo: Demo = {
      rundir,
      dbUnix,
      dbTcp,
      controller: target,
      unixctl,
      watch: undefined,
      stop,
      ...plugIn(options.plan, dummies, (from, to, record) => demo.watch?.(from, to, record)),
    };
    return demo;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Learning switches would send broadcasts round a loop for ever. */
function appsFor({ hasLoops }: Plan, log: LogRegistry): readonly App[] {
  if (!hasLoops) return [learningSwitch()];
  const composed = composeApps([{ definition: bundledApps.forwarding! }], { known: bundledApps, log });
  return stack(composed.map(({ app }) => app));
}

/** The key of a cable between two. */
export const cableName = (a: string, b: string): string => [a, b].sort().join(" ");

/** Lays the cables between the switches and to the hosts. */
function plugIn(
  plan: Plan,
  dummies: DummyHub,
  tap: NonNullable<Demo["watch"]>,
): Pick<Demo, "hosts" | "network" | "cables"> {
  const socket = ({ port }: Place) => dummySocket(dummies.port(port));
  const cables = new Map<string, Link>();
  const tapOf = (a: string, b: string) => ({
    tap: (record: LinkRecord) => (record.direction === "a-to-b" ? tap(a, b, record) : tap(b, a, record)),
  });
  for (const { a, b } of plan.cables) {
    const name = cableName(a.at, b.at);
    const chance = { clock: promptClock, random: seededRandom(1, name) };
    cables.set(name, new Link(socket(a), socket(b), { ...chance, ...tapOf(a.at, b.at) }));
  }
  const placeOf = (host: string): string => plan.hosts[Number(host.slice(1)) - 1]!.at;
  const network = new Network({
    clock: promptClock,
    tap: (host, record) => tapOf(host, placeOf(host)).tap(record),
  });
  for (const place of plan.hosts) {
    const { name } = network.addHost(socket(place));
    cables.set(cableName(name, place.at), network.link(name));
  }
  return { hosts: network.hosts, network, cables };
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
