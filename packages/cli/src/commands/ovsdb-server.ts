import { join } from "node:path";
import {
  type Database,
  DatabaseFileError,
  type DatabaseSchema,
  OpenVSwitch,
  OvsdbServer,
  openDatabase,
} from "@sluice/ovsdb";
import {
  type ControlCommands,
  ControlServer,
  CoverageHistory,
  coverageCommands,
  type Log,
  logCommands,
  realClock,
  runDir,
  StreamError,
  type TlsOptions,
} from "@sluice/runtime";
import {
  DAEMON_OPTIONS,
  daemonLog,
  daemonPidfile,
  inRunDir,
  serves,
  setLevels,
  starter,
  stopRequest,
} from "../daemon.js";
import { CliError, type Io } from "../io.js";
import { parseOptions } from "../options.js";
import { serverCommands } from "../ovsdb/server-commands.js";
import { transactionLogCommands } from "../ovsdb/transaction-log.js";
import { keepAlive } from "../timeout.js";
import { TLS_OPTIONS, tlsFiles } from "../tls.js";
import { version } from "../version.js";

const OPTIONS = {
  remote: { value: true, many: true },
  ...DAEMON_OPTIONS,
  ...TLS_OPTIONS,
  "sync-from": { value: true },
  "sync-exclude-tables": { value: true },
  active: {},
  "no-chdir": {},
  help: { short: "h" },
  version: { short: "V" },
} as const;

const HELP = `sluice ovsdb-server: the configuration database of a switch (RFC 7047)
usage: sluice ovsdb-server [OPTION...] DBFILE...

  DBFILE                 a database file; made with the Open_vSwitch schema where there is none
  --remote=REMOTE        serve clients there; may be repeated: punix:PATH, ptcp:[PORT][:IP], pssl:[PORT][:IP]
                         to listen, unix:PATH, tcp:HOST[:PORT], ssl:HOST[:PORT] to connect, or
                         db:DATABASE,TABLE,COLUMN for what the database says
                         (as db:Open_vSwitch,Open_vSwitch,manager_options)
  --sync-from=SERVER     be the backup of that server: the databases that both have become as that one's
  --sync-exclude-tables=DB:TABLE[,DB:TABLE...]
                         leave these tables as they are
  --active               do not follow the server of --sync-from until connect-active-ovsdb-server is asked for
  --detach               run in the background; returns when it serves
  --monitor              start it anew when it breaks
  --pidfile[=FILE]       write the process id there (default RUNDIR/ovsdb-server.pid)
  --unixctl=PATH         the control socket for appctl (default RUNDIR/ovsdb-server.PID.ctl); "none" has none
  -p, --private-key FILE, -c, --certificate FILE, -C, --ca-cert FILE
                         for ssl: and pssl:, PEM, or db:DATABASE,TABLE,COLUMN
  -v, --verbose[=SPEC]   log more, as MODULE:DESTINATION:LEVEL
  --log-file[=FILE]      log to this file, too (default RUNDIR/ovsdb-server.log)

It runs until SIGTERM, SIGINT or SIGHUP, in the foreground unless --detach is given.
`;

type Options = ReturnType<typeof parseOptions<typeof OPTIONS>>["options"];

/** Runs until a signal or the "exit" command. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  if (options.version) {
    io.stdout.write(`sluice ovsdb-server ${version()}\n`);
    return 0;
  }
  if (args.length === 0) throw new CliError("no DBFILE given (try --help)");
  const startElsewhere = starter(options);
  if (startElsewhere) return startElsewhere(io);
  const logs = daemonLog(options, io, join(runDir(io.env), "ovsdb-server.log"));
  const log = logs.module("ovsdb-server");
  const fileLog = logs.module("ovsdb-file");
  setLevels(logs, options);
  const open = (path: string, schema?: DatabaseSchema): Promise<Database> =>
    openDatabase(path, { clock: realClock, log: fileLog, ...(schema && { schema }) });
  const server: OvsdbServer = new OvsdbServer({ clock: realClock, log, tls: () => tlsOf(options, server) });
  const coverage = new CoverageHistory(realClock, () => ({
    log_lines_dropped: logs.dropped,
    ...server.counters,
  }));
  const cleanups: (() => unknown)[] = [() => server.close()];
  try {
    for (const path of args) server.addDatabase(await open(path, OpenVSwitch));
    for (const remote of options.remote ?? []) {
      const target = await server.listen(remote);
      if (target !== remote) log.info(`${remote}: listening on ${target}`);
    }
    if (options["sync-exclude-tables"] !== undefined)
      server.backup.setExclude(options["sync-exclude-tables"].split(","));
    server.backup.active = options["sync-from"];
    if (server.backup.active !== undefined && !options.active) server.backup.connect();
    const stop = stopRequest(["SIGINT", "SIGTERM", "SIGHUP"]);
    if (options.pidfile !== undefined) cleanups.push(daemonPidfile(options, io, "ovsdb-server.pid"));
    const commands = serverCommands({ server, open, exit: stop.now });
    const transactions = transactionLogCommands(server, logs.module("transaction"));
    coverage.start();
    cleanups.push(
      await control(options, io, log, commands, transactions, logCommands(logs), coverageCommands(coverage)),
    );
    serves(logs);
    // A server without remotes stays all the same.
    await keepAlive(stop.requested);
  } catch (error) {
    if (error instanceof StreamError || error instanceof DatabaseFileError) throw new CliError(error.message);
    throw error;
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
  return 0;
}

const DB_CELL = /^db:([^,]+),([^,]+),([^,]+)$/;

/** The TLS files, named on the command line or in a column (`db:Open_vSwitch,SSL,private_key`). */
function tlsOf(options: Options, server: OvsdbServer): TlsOptions {
  const path = (text: string | undefined): string | undefined => {
    const [, name, tableName, columnName] = (text && DB_CELL.exec(text)) || [];
    if (name === undefined) return text;
    const table = server.databases.get(name)?.tables.get(tableName!);
    const column = table?.schema.find(columnName!);
    const row = table?.rows.values().next().value;
    return row && column ? String(row.get(column).keys[0] ?? "") : undefined;
  };
  return tlsFiles({
    "private-key": path(options["private-key"]),
    certificate: path(options.certificate),
    "ca-cert": path(options["ca-cert"]),
  });
}

/** Listens for the control commands; gives what ends that. */
async function control(
  options: Options,
  io: Io,
  log: Log,
  ...commands: readonly ControlCommands[]
): Promise<() => Promise<void>> {
  if (options.unixctl === "none") return async () => {};
  const socket = new ControlServer(`sluice ovsdb-server ${version()}`, ...commands);
  const path = options.unixctl ?? `ovsdb-server.${process.pid}.ctl`;
  try {
    await socket.listen(inRunDir(path, io));
  } catch (error) {
    // The socket is a convenience: without a writable RUNDIR the database still serves.
    if (options.unixctl !== undefined) throw error;
    log.warn((error as Error).message);
  }
  return () => socket.close();
}
