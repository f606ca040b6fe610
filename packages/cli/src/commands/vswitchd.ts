import { join } from "node:path";
import { ensureRunDir, OVSDB_PORT, parseTarget, runDir } from "@sluice/runtime";
import { controlSocketPath, createVswitchd } from "@sluice/switch";
import {
  DAEMON_OPTIONS,
  daemonLog,
  daemonPidfile,
  serves,
  setLevels,
  starter,
  stopRequest,
} from "../daemon.js";
import { CliError, type Io, write } from "../io.js";
import { parseOptions } from "../options.js";
import { TLS_OPTIONS, tlsFiles } from "../tls.js";
import { version } from "../version.js";

const HELP = `usage: sluice vswitchd [OPTION...] [DATABASE]
Runs the switch as the Open_vSwitch database at DATABASE says (default: unix:RUNDIR/db.sock).
DATABASE is unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT].
  --detach              run in the background; returns when what the database says is in force
  --monitor             start it anew when it breaks
  --pidfile[=PATH]      where to write the process id (default: RUNDIR/ovs-vswitchd.pid)
  --unixctl=PATH        where to listen for control commands (default: RUNDIR/ovs-vswitchd.PID.ctl)
  --dummy-fallback      let a dummy port stand in for an internal one where TAP devices are not allowed
  --datapath=WHERE      "worker": packets in a thread of their own (default); "inline": in the main thread
  --log-file[=PATH]     log to a file too (default: RUNDIR/ovs-vswitchd.log)
  -V, --version         print the release
  -v, --verbose[=SPEC]  log more: MODULE:DESTINATION:LEVEL, as vlog/set takes it
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE   for ssl: databases
RUNDIR is $SLUICE_RUNDIR, else $OVS_RUNDIR; sockets for ovs-ofctl and ovs-appctl are made there.
`;

const OPTIONS = {
  ...DAEMON_OPTIONS,
  ...TLS_OPTIONS,
  "dummy-fallback": {},
  datapath: { value: true },
  // For scripts written for ovs-vswitchd; there is nothing to do.
  "no-chdir": {},
  mlockall: {},
  help: { short: "h" },
  version: { short: "V" },
} as const;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help) {
    await write(io.stdout, HELP);
    return 0;
  }
  if (options.version) {
    await write(io.stdout, `sluice vswitchd ${version()}\n`);
    return 0;
  }
  if (args.length > 1) throw new CliError(`one DATABASE at most, not ${args.length} arguments`);
  const { datapath = "worker" } = options;
  if (datapath !== "worker" && datapath !== "inline") {
    throw new CliError(`--datapath=${datapath}: allowed are worker and inline`);
  }
  const database = args[0] ?? `unix:${join(runDir(io.env), "db.sock")}`;
  if (parseTarget(database, OVSDB_PORT).passive)
    throw new CliError(`${database}: is not a target to connect to`);

  const startElsewhere = starter(options);
  if (startElsewhere) return startElsewhere(io);
  const rundir = ensureRunDir(io.env);
  const logs = daemonLog(options, io, join(rundir, "ovs-vswitchd.log"));
  const removePidfile = daemonPidfile(options, io, "ovs-vswitchd.pid");
  const stop = stopRequest(["SIGTERM", "SIGINT", "SIGHUP"]);
  const vswitchd = createVswitchd({
    logs,
    database: { target: database, tls: tlsFiles(options) },
    rundir,
    unixctl: options.unixctl ?? controlSocketPath(rundir, process.pid),
    version: version(),
    dpifHost: datapath,
    dummyFallback: options["dummy-fallback"] ?? false,
    onExit: stop.now,
  });
  try {
    setLevels(logs, options);
    await vswitchd.start();
    const inForce = vswitchd.database.synced().then(() => vswitchd.settled());
    await Promise.race([inForce, stop.requested]);
    serves(logs);
    await stop.requested;
    await vswitchd.stop();
  } finally {
    removePidfile();
  }
  return 0;
}
