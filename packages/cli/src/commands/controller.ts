import { randomBytes } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import {
  Controller,
  type ControllerOptions,
  type Datapath,
  describeError,
  fetchTables,
  Recorder,
  TableCopies,
  Timings,
} from "@sluice/controller";
import {
  type ControlCommands,
  ControlServer,
  type LogRegistry,
  logCommands,
  realClock,
} from "@sluice/runtime";
import { HELP, type Invocation, isRole, readInvocation } from "../controller/options.js";
import { runReplay } from "../controller/replay.js";
import { startRest } from "../controller/rest.js";
import { type AppsOwner, RunningApps } from "../controller/running-apps.js";
import { startWatchdog } from "../controller/watchdog.js";
import { daemonLog, daemonPidfile, serves, setLevels, starter, stopRequest } from "../daemon.js";
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
  const startElsewhere = starter(options);
  if (startElsewhere) return startElsewhere(io);
  // Next to nothing survives a collection of the young generation: to wake other threads for it takes longer than it does,
  // and switches wait.
  setFlagsFromString("--no-parallel-scavenge");
  const log = await logOf(invocation, io);
  if (options.replay !== undefined) return runReplay(options.replay, invocation, log, io);
  const seed = randomBytes(32);
  const recorder = recorderOf(invocation, log, seed);
  const copies = new TableCopies({
    switches: { get: (dpid) => controller.datapaths.get(dpid) },
    clock: realClock,
  });
  const apps = await RunningApps.create(invocation, argv, log, {
    tables: (dp) => copies.of(dp)?.tables() ?? fetchTables(dp),
    seed,
  });
  const timings = options.rest === undefined ? undefined : new Timings();
  const controllerOptions: ControllerOptions = {
    apps: apps.apps,
    log,
    tls: invocation.tls,
    mute: options.mute ?? false,
    ...(timings !== undefined && { timings }),
    ...(recorder !== undefined && { tap: (socket) => recorder.tap(socket) }),
    ...(invocation.role !== undefined && { role: invocation.role }),
    ...(options["standby-for"] !== undefined && { standbyFor: options["standby-for"] }),
    ...(invocation.probeIntervalMs !== undefined && { probeIntervalMs: invocation.probeIntervalMs }),
  };
  const controller = new Controller(controllerOptions);
  let rest: Awaited<ReturnType<typeof startRest>>;
  let endWatchdog: (() => void) | undefined;
  const owner: AppsOwner = {
    setApps: (list) => {
      controller.setApps(list);
      rest?.server.setApps(list);
    },
  };
  // An app's promise that nobody waits for is no reason to let go of the switches.
  const onRejection = (reason: unknown): void =>
    log.module("apps").err(`a promise was rejected, and nobody waits for it: ${describeError(reason)}`);
  process.on("unhandledRejection", onRejection);
  const removePidfile =
    options.pidfile === undefined ? () => {} : daemonPidfile(options, io, "sluice-controller.pid");
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
    rest = await startRest(options, {
      ...{ switches: controller.datapaths, watchers: controller.events, copies, timings },
      ...{ failures: controller.failures, role: () => controller.role, version: version() },
      ...{ apps: controllerOptions.apps, log: log.module("rest") },
    });
    if (rest !== undefined) io.stdout.write(`controller: ${rest.line}\n`);
    apps.keepUp(owner);
    const stop = stopRequest();
    serves(log);
    endWatchdog = startWatchdog(log.module("watchdog"), {
      ...{ logFile: options["log-file"], isJson: options["log-format"] === "json" },
    });
    await stop.requested;
  } finally {
    process.off("unhandledRejection", onRejection);
    removePidfile();
    endWatchdog?.();
    apps.close();
    copies.stop();
    await rest?.server.close();
    await Promise.all([controller.stop(), control.close()]);
    await recorder?.close();
  }
  return 0;
}

function recorderOf(
  { options, recordLimitBytes, recordFiles }: Invocation,
  log: LogRegistry,
  seed: Uint8Array,
): Recorder | undefined {
  if (options.record === undefined) return undefined;
  try {
    return new Recorder(options.record, {
      clock: realClock,
      log: log.module("record"),
      seed,
      limitBytes: recordLimitBytes,
      ...(recordFiles !== undefined && { files: recordFiles }),
    });
  } catch (error) {
    throw new CliError(`--record: ${(error as Error).message}`);
  }
}

async function logOf({ options }: Invocation, io: Io): Promise<LogRegistry> {
  // What makes JSON is loaded only where it is asked for: a start without it is not to wait.
  const format =
    options["log-format"] === "json" ? (await import("../controller/json-lines.js")).jsonLines() : undefined;
  const log = daemonLog(options, io, "", format);
  log.module("controller");
  setLevels(log, options);
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
  const commands: ControlCommands = {
    "controller/show": {
      run: () =>
        [...controller.datapaths.values()]
          .map(describeSwitch)
          .concat(recorder?.describe() ?? [])
          .join("\n"),
    },
    "controller/set-role": {
      usage: "{master | slave | equal}",
      args: [1, 1],
      run: async ([role]) => {
        if (!isRole(role!)) throw new Error(`"${role}" is not master, slave or equal`);
        await controller.setRole(role);
      },
    },
    "app/list": {
      run: () =>
        apps.composed
          .map(({ definition, settings }) => `${definition.name} ${JSON.stringify(settings)}`)
          .join("\n"),
    },
    "app/reload": { run: () => apps.reload(owner) },
  };
  return new ControlServer(`sluice ${version()}`, logCommands(log), commands);
}

function describeSwitch({ id, peer, role, ports, counters, queuedBytes }: Datapath): string {
  const { rx, tx, malformed, dropped } = counters;
  const counts = `received ${rx}, sent ${tx}, malformed ${malformed}, dropped ${dropped}, queued ${queuedBytes} bytes`;
  return `${id} ${peer}: ${role}, ${ports.size} ports, ${counts}`;
}

async function listenOn(controller: Controller, target: string): Promise<string> {
  try {
    return `listening on ${(await controller.listen(target)).target} (--listen changes it)`;
  } catch (error) {
    throw new CliError(`cannot listen on ${(error as Error).message}; --listen [IP:]PORT takes another`);
  }
}
