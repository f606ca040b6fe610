import { join, resolve } from "node:path";
import { createLog, ensureRunDir, OVSDB_PORT, parseTarget, runDir, writePidfile } from "@sluice/runtime";
import { controlSocketPath, createVswitchd, lockPidfile } from "@sluice/switch";
import { CliError, type Io, write } from "../io.js";
import { parseOptions } from "../options.js";
import { version } from "../version.js";

const HELP = `usage: sluice vswitchd [OPTION...] [DATABASE]
Runs the switch as the Open_vSwitch database at DATABASE says (default: unix:RUNDIR/db.sock).
DATABASE is unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT].
  --pidfile[=PATH]      where to write the process id (default: RUNDIR/ovs-vswitchd.pid)
  --unixctl=PATH        where to listen for control commands (default: RUNDIR/ovs-vswitchd.PID.ctl)
  --dummy-fallback      let a dummy port stand in for an internal one where TAP devices are not allowed
  --datapath=WHERE      "worker": packets in a thread of their own (default); "inline": in the main thread
  --log-file[=PATH]     log to a file too (default: RUNDIR/ovs-vswitchd.log)
  -V, --version         print the release
  -v, --verbose[=SPEC]  log more: MODULE:DESTINATION:LEVEL, as vlog/set takes it
  --private-key=FILE, --certificate=FILE, --ca-cert=FILE   for ssl: databases
RUNDIR is $SLUICE_RUNDIR, else $OVS_RUNDIR; sockets for ovs-ofctl and ovs-appctl are made there.
`;

const OPTIONS = {
  pidfile: { value: "optional" },
  unixctl: { value: true },
  "dummy-fallback": {},
  datapath: { value: true },
  "log-file": { value: "optional" },
  verbose: { short: "v", value: "optional", many: true },
  "private-key": { value: true },
  certificate: { value: true },
  "ca-cert": { value: true },
  // For scripts written for ovs-vswitchd; there is nothing to do.
  "no-chdir": {},
  "overwrite-pidfile": {},
  mlockall: {},
  help: { short: "h" },
  version: { short: "V" },
} as const;

/** Settles when the program is asked to stop. */
const untilSignal = (): Promise<void> =>
  new Promise((done) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => done());
  });

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

  const rundir = ensureRunDir(io.env);
  const logs = createLog({ console: (line) => void io.stderr.write(line) });
  if (options["log-file"] !== undefined)
    logs.openFile(options["log-file"] || join(rundir, "ovs-vswitchd.log"));
  const pidfile = resolve(rundir, options.pidfile || "ovs-vswitchd.pid");
  const removePidfile = writePidfile(pidfile);
  const unlockPidfile = lockPidfile(pidfile);
  let exit = (): void => {};
  const exitCommand = new Promise<void>((done) => {
    exit = done;
  });
  const vswitchd = createVswitchd({
    logs,
    database: {
      target: database,
      tls: {
        ...(options["private-key"] === undefined ? {} : { private_key: options["private-key"] }),
        ...(options.certificate === undefined ? {} : { certificate: options.certificate }),
        ...(options["ca-cert"] === undefined ? {} : { ca_cert: options["ca-cert"] }),
      },
    },
    rundir,
    unixctl: options.unixctl ?? controlSocketPath(rundir, process.pid),
    version: version(),
    dpifHost: datapath,
    dummyFallback: options["dummy-fallback"] ?? false,
    onExit: () => exit(),
  });
  try {
    for (const spec of options.verbose ?? []) logs.setSpec(spec);
    await vswitchd.start();
    await Promise.race([untilSignal(), exitCommand]);
    await vswitchd.stop();
  } finally {
    removePidfile();
    unlockPidfile();
  }
  return 0;
}
