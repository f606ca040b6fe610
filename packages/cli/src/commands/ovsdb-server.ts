import { isAbsolute, join } from "node:path";
import { type Database, DatabaseFileError, OpenVSwitch, OvsdbServer, openDatabase } from "@sluice/ovsdb";
import {
  ControlServer,
  createLog,
  ensureRunDir,
  type LogRegistry,
  realClock,
  registerLogCommands,
  StreamError,
  writePidfile,
} from "@sluice/runtime";
import { CliError, type Io } from "../io.js";
import { parseOptions } from "../options.js";
import { keepAlive } from "../timeout.js";
import { version } from "../version.js";

const OPTIONS = {
  remote: { value: true, many: true },
  pidfile: { value: "optional" },
  "overwrite-pidfile": {},
  unixctl: { value: true },
  "private-key": { short: "p", value: true },
  certificate: { short: "c", value: true },
  "ca-cert": { short: "C", value: true },
  verbose: { short: "v", value: "optional", many: true },
  "log-file": { value: "optional" },
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
  --pidfile[=FILE]       write the process id there (default RUNDIR/ovsdb-server.pid)
  --unixctl=PATH         the control socket for appctl (default RUNDIR/ovsdb-server.PID.ctl); "none" has none
  -p, --private-key FILE, -c, --certificate FILE, -C, --ca-cert FILE
                         for ssl: and pssl:, PEM, or db:DATABASE,TABLE,COLUMN
  -v, --verbose[=SPEC]   log more, as MODULE:DESTINATION:LEVEL
  --log-file[=FILE]      log to this file, too

It runs in the foreground until SIGTERM or SIGINT.
`;

type Options = ReturnType<typeof parseOptions<typeof OPTIONS>>["options"];

/** Runs until SIGTERM, SIGINT or the "exit" command. */
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
  const logs = logOf(options, io);
  const log = logs.module("ovsdb-server");
  const server: OvsdbServer = new OvsdbServer({ clock: realClock, log, tls: () => tlsOf(options, server) });
  const cleanups: (() => unknown)[] = [() => server.close()];
  try {
    for (const path of args) server.addDatabase(await open(path, logs));
    for (const remote of options.remote ?? []) {
      const target = await server.listen(remote);
      if (target !== remote) log.info(`${remote}: listening on ${target}`);
    }
    const stop = stopRequest();
    if (options.pidfile !== undefined) cleanups.push(pidfile(options, io));
    cleanups.push(await control(server, options, io, logs, stop.now));
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

const open = (path: string, logs: LogRegistry): Promise<Database> =>
  openDatabase(path, { schema: OpenVSwitch, clock: realClock, log: logs.module("ovsdb-file") });

function logOf(options: Options, io: Io): LogRegistry {
  const logs = createLog({ console: (line) => void io.stderr.write(line) });
  for (const name of ["ovsdb-server", "ovsdb-file"]) logs.module(name);
  if (options["log-file"] !== undefined) {
    const path = options["log-file"] || "/var/log/openvswitch/ovsdb-server.log";
    try {
      logs.openFile(path);
    } catch (error) {
      throw new CliError(`--log-file: ${(error as Error).message}`);
    }
  }
  for (const spec of options.verbose ?? []) logs.setSpec(spec);
  return logs;
}

const DB_CELL = /^db:([^,]+),([^,]+),([^,]+)$/;

/** The TLS files, named on the command line or in a column (`db:Open_vSwitch,SSL,private_key`). */
function tlsOf(options: Options, server: OvsdbServer) {
  const path = (text: string | undefined): string | undefined => {
    const [, name, tableName, columnName] = (text && DB_CELL.exec(text)) || [];
    if (name === undefined) return text;
    const table = server.databases.get(name)?.tables.get(tableName!);
    const column = table?.schema.find(columnName!);
    const row = table?.rows.values().next().value;
    return row && column ? String(row.get(column).keys[0] ?? "") : undefined;
  };
  const files = {
    private_key: path(options["private-key"]),
    certificate: path(options.certificate),
    ca_cert: path(options["ca-cert"]),
  };
  return Object.fromEntries(Object.entries(files).filter(([, file]) => file)) as Record<string, string>;
}

function pidfile(options: Options, io: Io): () => void {
  const path = options.pidfile || "ovsdb-server.pid";
  return writePidfile(path.startsWith("/") ? path : join(ensureRunDir(io.env), path));
}

/** SIGTERM, SIGINT, or `now`. */
function stopRequest(): { requested: Promise<void>; now: () => void } {
  let now!: () => void;
  const requested = new Promise<void>((resolve) => {
    const signals = ["SIGINT", "SIGTERM"] as const;
    now = () => {
      for (const signal of signals) process.off(signal, now);
      resolve();
    };
    for (const signal of signals) process.on(signal, now);
  });
  return { requested, now };
}

/** The commands of ovs-appctl for this server. */
async function control(
  server: OvsdbServer,
  options: Options,
  io: Io,
  logs: LogRegistry,
  stop: () => void,
): Promise<() => Promise<void>> {
  const socket = new ControlServer(`sluice ovsdb-server ${version()}`);
  const named = (names: readonly string[]): Database[] =>
    (names.length > 0 ? names : [...server.databases.keys()]).flatMap((name) => {
      const database = server.databases.get(name);
      if (!database) throw new Error("no database by that name");
      return server.isReadOnly(database) ? [] : [database];
    });
  registerLogCommands(socket, logs);
  socket.register("exit", "", 0, 0, () => {
    setImmediate(stop);
    return "";
  });
  socket.register("ovsdb-server/compact", "[DB]", 0, 1, async (names) => {
    for (const database of named(names)) await database.storage.compact(database);
    return "";
  });
  socket.register("ovsdb-server/reconnect", "", 0, 0, () => {
    server.reconnect();
    return "";
  });
  socket.register("memory/show", "", 0, 0, () =>
    Object.entries(server.usage())
      .filter(([name, count]) => count > 0 || (name !== "sessions" && name !== "triggers"))
      .map(([name, count]) => `${name}:${count}`)
      .join(" "),
  );
  // A file that cannot be written refuses each commit by itself; none is given up.
  socket.register("ovsdb-server/get-db-storage-status", "DB", 1, 1, ([name]) => {
    if (!server.databases.has(name!)) throw new Error("Failed to find the database.");
    return "status: ok";
  });
  socket.register("ovsdb-server/sync-status", "", 0, 0, () => "state: active");
  socket.register("ovsdb-server/list-dbs", "", 0, 0, () => [...server.databases.keys()].sort().join("\n"));
  socket.register("ovsdb-server/add-db", "DBFILE", 1, 1, async ([path]) => {
    server.addDatabase(await openDatabase(path!, { clock: realClock, log: logs.module("ovsdb-file") }));
    return "";
  });
  socket.register("ovsdb-server/remove-db", "DB", 1, 1, async ([name]) => {
    const database = server.databases.get(name!);
    if (!database) throw new Error("Failed to find the database.");
    if (server.isReadOnly(database)) throw new Error("Cannot remove reserved database.");
    await server.removeDatabase(name!).storage.close();
    return "";
  });
  socket.register("ovsdb-server/add-remote", "REMOTE", 1, 1, async ([target]) => {
    await server.listen(target!);
    return "";
  });
  socket.register("ovsdb-server/remove-remote", "REMOTE", 1, 1, async ([target]) => {
    await server.unlisten(target!);
    return "";
  });
  socket.register("ovsdb-server/list-remotes", "", 0, 0, () => [...server.remotes].sort().join("\n"));
  if (options.unixctl === "none") return async () => {};
  const path = options.unixctl ?? join(ensureRunDir(io.env), `ovsdb-server.${process.pid}.ctl`);
  try {
    await socket.listen(isAbsolute(path) ? path : join(ensureRunDir(io.env), path));
  } catch (error) {
    // The socket is a convenience: without a writable RUNDIR the database still serves.
    if (options.unixctl !== undefined) throw error;
    logs.module("ovsdb-server").warn((error as Error).message);
  }
  return () => socket.close();
}
