import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, Daemon, SLUICE, until } from "./process.js";

/** A running switch with its database, ours or Open vSwitch's, in directories of its own. */
export interface SwitchUnderTest {
  /** Holds db.sock, BRIDGE.mgmt, pid files and logs. */
  readonly rundir: string;
  /** `unix:…` of the database. */
  readonly db: string;
  readonly daemons: readonly Daemon[];
  /** ovs-vsctl (the real one) on its database; waits for the switch unless --no-wait. */
  vsctl(...args: string[]): Promise<string>;
  /** ovs-ofctl (the real one), OpenFlow 1.3. `args[1]` is usually the bridge. */
  ofctl(...args: string[]): Promise<string>;
  /** Kills the switch daemon, as a crash would; `startAgain` brings it back, with its database as it was. */
  crash(): Promise<void>;
  startAgain(): void;
  stop(): Promise<void>;
}

/** A directory under the system's temporary one with a path short enough for a unix socket. */
export const scratchDir = (): string => mkdtempSync(join(tmpdir(), "sl-"));

interface Options {
  /** Network namespace to run in. */
  netns?: string;
  /** A command that runs the switch daemon, such as setpriv with fewer privileges. */
  prefix?: readonly string[];
  /** More arguments for the switch daemon. */
  vswitchd?: readonly string[];
}

function underTest(
  rundir: string,
  server: Daemon,
  startSwitch: () => Daemon,
  netns: string | undefined,
): SwitchUnderTest {
  const daemons = [server, startSwitch()];
  const env = { OVS_RUNDIR: rundir, SLUICE_RUNDIR: rundir };
  const db = `unix:${rundir}/db.sock`;
  return {
    rundir,
    db,
    daemons,
    vsctl: (...args) => check(["ovs-vsctl", `--db=${db}`, "--timeout=15", ...args], { env, netns }),
    ofctl: (...args) => check(["ovs-ofctl", "-O", "OpenFlow13", "--timeout=15", ...args], { env, netns }),
    crash: async () => {
      await daemons[1]!.stop("SIGKILL");
    },
    startAgain: () => {
      daemons[1] = startSwitch();
    },
    stop: async () => {
      for (const daemon of [...daemons].reverse()) await daemon.stop();
      rmSync(rundir, { recursive: true, force: true });
    },
  };
}

/** `sluice ovsdb-server` and `sluice vswitchd`. */
export async function startSluice(options: Options = {}): Promise<SwitchUnderTest> {
  const rundir = scratchDir();
  const run = { env: { SLUICE_RUNDIR: rundir, OVS_RUNDIR: rundir }, netns: options.netns };
  const sock = join(rundir, "db.sock");
  const server = new Daemon(
    ["node", SLUICE, "ovsdb-server", join(rundir, "conf.db"), `--remote=punix:${sock}`],
    run,
  );
  await until(
    () => existsSync(sock),
    "the database's socket",
    20_000,
    () => alive(server),
  );
  const argv = [...(options.prefix ?? []), "node", SLUICE, "vswitchd", `unix:${sock}`];
  return underTest(rundir, server, () => new Daemon(argv, run), options.netns);
}

/** Debian's ovsdb-server and ovs-vswitchd, with no kernel datapath. */
export async function startOvs(options: Options = {}): Promise<SwitchUnderTest> {
  const rundir = scratchDir();
  const run = { env: { OVS_RUNDIR: rundir, OVS_LOGDIR: rundir, OVS_DBDIR: rundir }, netns: options.netns };
  const sock = join(rundir, "db.sock");
  const file = join(rundir, "conf.db");
  await check(["ovsdb-tool", "create", file, "/usr/share/openvswitch/vswitch.ovsschema"]);
  const server = new Daemon(
    ["ovsdb-server", file, `--remote=punix:${sock}`, `--pidfile=${rundir}/ovsdb-server.pid`],
    run,
  );
  await until(
    () => existsSync(sock),
    "the database's socket",
    20_000,
    () => alive(server),
  );
  const argv = [
    "ovs-vswitchd",
    "--disable-system",
    ...(options.vswitchd ?? []),
    `--pidfile=${rundir}/ovs-vswitchd.pid`,
    `unix:${sock}`,
  ];
  const sut = underTest(rundir, server, () => new Daemon(argv, run), options.netns);
  await sut.vsctl("--no-wait", "init");
  return sut;
}

function alive(daemon: Daemon): string {
  if (daemon.exitCode !== null) throw new Error(`${daemon.name} ended:\n${daemon.output}`);
  return daemon.output;
}
