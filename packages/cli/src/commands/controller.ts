import { rmSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Controller, type ControllerOptions, Recorder } from "@sluice/controller";
import {
  ControlServer,
  createLog,
  ensureRunDir,
  type LogRegistry,
  realClock,
  registerLogCommands,
  writePidfile,
} from "@sluice/runtime";
import { HELP, type Invocation, isRole, readInvocation } from "../controller/options.js";
import { runReplay } from "../controller/replay.js";
import { startRest } from "../controller/rest.js";
import { type AppsOwner, RunningApps } from "../controller/running-apps.js";
import { CliError, type Io } from "../io.js";
import { version } from "../version.js";

/** Runs until SIGINT or SIGTERM. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const invocation = readInvocation(argv);
  const { options } = invocation;
  if (options.help || options.version) {
    io.stdout.write(options.help ? HELP : `sluice controller ${version()}\n`);
    return 0;
  }
  const log = await logOf(invocation, io);
  if (options.replay !== undefined) return runReplay(options.replay, invocation, log, io);
  const recorder = recorderOf(invocation, log);
  const apps = await RunningApps.create(invocation, argv, log);
  const controllerOptions: ControllerOptions = {
    apps: apps.apps,
    log,
    tls: invocation.tls,
    mute: options.mute ?? false,
    ...(recorder !== undefined && { tap: (socket) => recorder.tap(socket) }),
    ...(invocation.role !== undefined && { role: invocation.role }),
    ...(options["standby-for"] !== undefined && { standbyFor: options["standby-for"] }),
    ...(invocation.probeIntervalMs !== undefined && { probeIntervalMs: invocation.probeIntervalMs }),
  };
  const controller = new Controller(controllerOptions);
  let rest: Awaited<ReturnType<typeof startRest>>;
  const owner: AppsOwner = {
    setApps: (list) => {
      controller.setApps(list);
      rest?.server.setApps(list);
    },
  };
  const removePidfile = pidfile(invocation, io);
  const control = controlServer(controller, apps, owner, log, recorder);
  const names = apps.apps.map((app) => app.name).join(", ");
  try {
    for (const target of invocation.listens)
      io.stdout.write(`controller: ${names}, ${await listenOn(controller, target)}\n`);
    if (options.unixctl !== undefined) await control.listen(options.unixctl);
    for (const target of invocation.connects) {
      controller.connect(target);
      io.stdout.write(`controller: ${names}, connecting to ${target}\n`);
    }
    // Switches need not wait for it.
    rest = await startRest(options, controller, controllerOptions.apps, log.module("rest"));
    if (rest !== undefined) io.stdout.write(`controller: ${rest.line}\n`);
    apps.keepUp(owner);
    await stopSignal();
  } finally {
    removePidfile();
    apps.close();
    await rest?.server.close();
    await Promise.all([controller.stop(), control.close()]);
    await recorder?.close();
  }
  return 0;
}

function recorderOf({ options, recordLimitBytes }: Invocation, log: LogRegistry): Recorder | undefined {
  if (options.record === undefined) return undefined;
  try {
    return new Recorder(options.record, {
      clock: realClock,
      log: log.module("record"),
      limitBytes: recordLimitBytes,
    });
  } catch (error) {
    throw new CliError(`--record: ${(error as Error).message}`);
  }
}

/** Gives what removes it again. */
function pidfile({ options }: Invocation, io: Io): () => void {
  if (options.pidfile === undefined) return () => {};
  const path = options.pidfile || "sluice-controller.pid";
  try {
    const absolute = isAbsolute(path) ? path : join(ensureRunDir(io.env), path);
    if (options["overwrite-pidfile"]) rmSync(absolute, { force: true });
    return writePidfile(absolute);
  } catch (error) {
    throw new CliError(`--pidfile: ${(error as Error).message}`);
  }
}

async function logOf({ options }: Invocation, io: Io): Promise<LogRegistry> {
  // What makes JSON is loaded only where it is asked for: a start without it is not to wait.
  const format =
    options["log-format"] === "json" ? (await import("../controller/json-lines.js")).jsonLines() : undefined;
  const log = createLog({
    console: (line) => void io.stderr.write(line),
    ...(format !== undefined && { format }),
  });
  log.module("controller");
  if (options["log-file"] !== undefined) {
    try {
      log.openFile(options["log-file"]);
    } catch (error) {
      throw new CliError(`--log-file: ${(error as Error).message}`);
    }
  }
  for (const spec of options.verbose ?? []) log.setSpec(spec);
  return log;
}

/** What can be asked of a running controller. */
function controlServer(
  controller: Controller,
  apps: RunningApps,
  owner: AppsOwner,
  log: LogRegistry,
  recorder: Recorder | undefined,
): ControlServer {
  const server = new ControlServer(`sluice ${version()}`);
  registerLogCommands(server, log);
  server.register("controller/show", "", 0, 0, () => {
    const switches = [...controller.datapaths.values()].map(
      ({ id, peer, role, ports, counters, queuedBytes }) => {
        const { rx, tx, malformed, dropped } = counters;
        const counts = `received ${rx}, sent ${tx}, malformed ${malformed}, dropped ${dropped}, queued ${queuedBytes} bytes`;
        return `${id} ${peer}: ${role}, ${ports.size} ports, ${counts}`;
      },
    );
    return [...switches, ...(recorder === undefined ? [] : [recorder.describe()])].join("\n");
  });
  server.register("controller/set-role", "{master | slave | equal}", 1, 1, async ([role]) => {
    if (!isRole(role!)) throw new Error(`"${role}" is not master, slave or equal`);
    await controller.setRole(role);
    return "";
  });
  server.register("app/list", "", 0, 0, () =>
    apps.composed
      .map(({ definition, settings }) => `${definition.name} ${JSON.stringify(settings)}`)
      .join("\n"),
  );
  server.register("app/reload", "", 0, 0, () => apps.reload(owner));
  return server;
}

async function listenOn(controller: Controller, target: string): Promise<string> {
  try {
    return `listening on ${(await controller.listen(target)).target} (--listen changes it)`;
  } catch (error) {
    throw new CliError(`cannot listen on ${(error as Error).message}; --listen [IP:]PORT takes another`);
  }
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      for (const signal of SIGNALS) process.off(signal, stop);
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, stop);
  });
}
