import { type App, bundledApps, Controller, type ControllerOptions } from "@sluice/controller";
import {
  ControlServer,
  createLog,
  type LogRegistry,
  parseTarget,
  registerLogCommands,
} from "@sluice/runtime";
import { CliError, type Io } from "../io.js";
import { version } from "../main.js";
import { parseOptions } from "../options.js";

const DEFAULT_LISTEN = "127.0.0.1:6653";

const OPTIONS = {
  listen: { value: true, many: true },
  connect: { value: true, many: true },
  app: { value: true, many: true },
  hub: { short: "H" },
  noflow: { short: "n" },
  "max-idle": { value: true },
  "probe-interval": { value: true },
  "private-key": { short: "p", value: true },
  certificate: { short: "c", value: true },
  "ca-cert": { short: "C", value: true },
  verbose: { short: "v", value: "optional", many: true },
  "log-file": { value: true },
  unixctl: { value: true },
  help: { short: "h" },
} as const;

const appRows = Object.entries(bundledApps).map(([name, { summary }]) => `  ${name.padEnd(22)} ${summary}\n`);

const HELP = `sluice controller: an OpenFlow 1.3 controller
usage: sluice controller [OPTION...] [TARGET...]

  --listen [IP:]PORT     listen for switches there (default ${DEFAULT_LISTEN}, for switches on this machine only;
                         0.0.0.0:6653 takes switches from anywhere); may be repeated, and may be a TARGET
  --connect TARGET       connect to a switch that listens itself; may be repeated
  TARGET                 ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:PATH to listen; tcp:HOST[:PORT],
                         ssl:HOST[:PORT], unix:PATH to connect
  --app NAME             run this app; may be repeated: they are asked in that order (default learning-switch)
  --max-idle SECS        seconds without a packet after which a learned flow goes, or "permanent" (default 60)
  -n, --noflow           install no flows: every packet passes through the controller
  -H, --hub              the same as --app hub
  --probe-interval SECS  silence of a switch before it is asked for an echo; 0 never asks (default 5)
  -p, --private-key FILE, -c, --certificate FILE, -C, --ca-cert FILE
                         for ssl: and pssl:, PEM; a ca-cert of "none" takes any switch
  -v, --verbose[=SPEC]   log more, as MODULE:DESTINATION:LEVEL (destinations console and file)
  --log-file FILE        log to this file, too
  --unixctl PATH         listen there for "sluice appctl -t PATH": controller/show, vlog/set …

Apps:
${appRows.join("")}`;

/** "6653", "127.0.0.1:6653", "[::1]:6653" or a passive target, as a passive target. */
function listenTarget(text: string): string {
  if (/^(ptcp|pssl|punix):/.test(text)) return text;
  const [, host, port] = /^(?:(.*):)?(\d+)$/s.exec(text) ?? [];
  if (port === undefined) throw new CliError(`--listen: "${text}" is not [IP:]PORT or a target to listen on`);
  return `ptcp:${port}:${host ?? "127.0.0.1"}`;
}

function seconds(option: string, text: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max))
    throw new CliError(`--${option}: "${text}" is not a number of seconds from 0 to ${max}`);
  return value;
}

/** idle_timeout has 16 bits, and 0 means for ever (OpenFlow 1.3.5 §7.3.4.1). */
function maxIdle(text: string): number {
  if (text === "permanent") return 0;
  const value = seconds("max-idle", text, 0xffff);
  if (value === 0)
    throw new CliError(`--max-idle: "0" is not allowed; say "permanent" or 1 to 65535 seconds`);
  return value;
}

type Options = ReturnType<typeof parseOptions<typeof OPTIONS>>["options"];

function appsOf(options: Options): App[] {
  const names = options.app ?? [options.hub ? "hub" : "learning-switch"];
  const maxIdleSecs = options["max-idle"] === undefined ? undefined : maxIdle(options["max-idle"]);
  return names.map((name) => {
    const app = Object.hasOwn(bundledApps, name) ? bundledApps[name] : undefined;
    if (!app) throw new CliError(`--app: no app "${name}"; there are ${Object.keys(bundledApps).join(", ")}`);
    return app.create({ maxIdle: maxIdleSecs, noFlow: options.noflow });
  });
}

function logOf(options: Options, io: Io): LogRegistry {
  const log = createLog({ console: (line) => void io.stderr.write(line) });
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

/** Runs until SIGINT or SIGTERM. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const listens = (options.listen ?? []).map(listenTarget);
  const connects = [...(options.connect ?? [])];
  for (const target of args) (parseTarget(target).passive ? listens : connects).push(target);
  const passive = connects.find((target) => parseTarget(target).passive);
  if (passive !== undefined) throw new CliError(`--connect: ${passive} is a target to listen on`);
  if (listens.length + connects.length === 0) listens.push(listenTarget(DEFAULT_LISTEN));

  const log = logOf(options, io);
  const controllerOptions: ControllerOptions = {
    apps: appsOf(options),
    log,
    tls: {
      private_key: options["private-key"],
      certificate: options.certificate,
      ca_cert: options["ca-cert"],
    },
  };
  if (options["probe-interval"] !== undefined) {
    controllerOptions.probeIntervalMs = seconds("probe-interval", options["probe-interval"], 86_400) * 1000;
  }
  const controller = new Controller(controllerOptions);
  const control = controlServer(controller, log);
  const names = controllerOptions.apps.map((app) => app.name).join(", ");
  try {
    for (const target of listens)
      io.stdout.write(`controller: ${names}, ${await listenOn(controller, target)}\n`);
    if (options.unixctl !== undefined) await control.listen(options.unixctl);
    for (const target of connects) {
      controller.connect(target);
      io.stdout.write(`controller: ${names}, connecting to ${target}\n`);
    }
    await stopSignal();
  } finally {
    await Promise.all([controller.stop(), control.close()]);
  }
  return 0;
}

/** What can be asked of a running controller. */
function controlServer(controller: Controller, log: LogRegistry): ControlServer {
  const server = new ControlServer(`sluice ${version()}`);
  registerLogCommands(server, log);
  server.register("controller/show", "", 0, 0, () =>
    [...controller.datapaths.values()]
      .map(({ id, peer, ports, counters, queuedBytes }) => {
        const { rx, tx, malformed, dropped } = counters;
        const counts = `received ${rx}, sent ${tx}, malformed ${malformed}, dropped ${dropped}, queued ${queuedBytes} bytes`;
        return `${id} ${peer}: ${ports.size} ports, ${counts}`;
      })
      .join("\n"),
  );
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
