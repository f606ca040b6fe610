import { bundledApps, type Role, type SettingSchema } from "@sluice/controller";
import { parseTarget, type TlsOptions } from "@sluice/runtime";
import { DAEMON_OPTIONS } from "../daemon.js";
import { CliError } from "../io.js";
import { type OptionSpecs, type Options, parseOptions } from "../options.js";
import { TLS_OPTIONS, tlsFiles } from "../tls.js";
import { type AppItem, readConfigFile } from "./config-file.js";
import { REST_HELP, REST_OPTIONS } from "./rest.js";

const DEFAULT_LISTEN = "127.0.0.1:6653";

/** What may stand in a configuration file, too, under the same name. */
const FILE_OPTIONS = {
  listen: { value: true, many: true },
  connect: { value: true, many: true },
  app: { value: true, many: true },
  set: { value: true, many: true },
  hub: { short: "H" },
  noflow: { short: "n" },
  "max-idle": { value: true },
  wildcards: { short: "w", value: "optional" },
  normal: { short: "N" },
  mute: {},
  queue: { short: "q", value: true },
  "port-queue": { short: "Q", value: true, many: true },
  "with-flows": { value: true, many: true },
  record: { value: true },
  "record-limit": { value: true },
  "record-files": { value: true },
  role: { value: true },
  "standby-for": { value: true },
  "probe-interval": { value: true },
  ...TLS_OPTIONS,
  "peer-ca-cert": { value: true },
  ...DAEMON_OPTIONS,
  "log-file": { value: true },
  "log-format": { value: true },
  watch: {},
  ...REST_OPTIONS,
} as const satisfies OptionSpecs;

const OPTIONS = {
  ...FILE_OPTIONS,
  config: { value: true },
  replay: { value: true },
  protocols: { short: "O", value: true },
  help: { short: "h" },
  version: { short: "V" },
} as const satisfies OptionSpecs;

export type ControllerCommandOptions = Options<typeof OPTIONS>;

/** What the command line and the configuration file come to. */
export interface Invocation {
  readonly options: ControllerCommandOptions;
  readonly listens: readonly string[];
  readonly connects: readonly string[];
  readonly apps: readonly AppItem[];
  readonly tls: TlsOptions;
  readonly probeIntervalMs: number | undefined;
  readonly role: Role | undefined;
  readonly recordLimitBytes: number;
  /** Undefined: a single file, and then no more. */
  readonly recordFiles: number | undefined;
}

/** Reads a command line, and the file that `--config` names: an option on the command line stands in place of the
 *  file's of the same name. Throws CliError. */
export function readInvocation(argv: readonly string[]): Invocation {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help || options.version) {
    const nothing = {
      listens: [],
      connects: [],
      apps: [],
      tls: {},
      recordLimitBytes: 0,
      recordFiles: undefined,
    };
    return { options, ...nothing, probeIntervalMs: undefined, role: undefined };
  }
  const file = options.config === undefined ? undefined : readConfigFile(options.config, FILE_OPTIONS);
  const fromFile = parseOptions(
    (file?.options ?? []).map(([name, value]) => (value === "" ? `--${name}` : `--${name}=${value}`)),
    FILE_OPTIONS,
  ).options;
  const merged: ControllerCommandOptions = { ...fromFile, ...options };
  checkProtocols(merged.protocols);

  const listens = (merged.listen ?? []).map(listenTarget);
  const connects = [...(merged.connect ?? [])];
  for (const target of args) (parseTarget(target).passive ? listens : connects).push(target);
  const passive = connects.find((target) => parseTarget(target).passive);
  if (passive !== undefined) throw new CliError(`--connect: ${passive} is a target to listen on`);
  if (listens.length + connects.length === 0) listens.push(listenTarget(DEFAULT_LISTEN));

  const format = merged["log-format"];
  if (format !== undefined && format !== "vlog" && format !== "json")
    throw new CliError(`--log-format: "${format}" is not vlog or json`);
  const probe = merged["probe-interval"];
  const { role, "standby-for": primary } = merged;
  if (role !== undefined && !isRole(role))
    throw new CliError(`--role: "${role}" is not master, slave or equal`);
  if (primary !== undefined && parseTarget(primary).passive)
    throw new CliError(`--standby-for: ${primary} is a target to listen on`);
  return {
    options: merged,
    listens,
    connects,
    role,
    recordLimitBytes: wholeNumber("record-limit", merged["record-limit"] ?? "1024", 2 ** 20, "MiB") * 2 ** 20,
    recordFiles: recordFiles(merged["record-files"], merged["record-limit"]),
    apps: appItems(merged, options.app === undefined ? file?.apps : undefined),
    tls: { ...tlsFiles(merged), peer_ca_cert: merged["peer-ca-cert"] },
    probeIntervalMs:
      probe === undefined ? undefined : wholeNumber("probe-interval", probe, 86_400, "seconds") * 1000,
  };
}

export const isRole = (text: string): text is Role => /^(master|slave|equal)$/.test(text);

/** The apps in their order, with the settings that options make of them. */
function appItems(options: ControllerCommandOptions, listed: readonly AppItem[] | undefined): AppItem[] {
  const byOption = (options.app ?? []).map((app) => ({ app, settings: {}, where: "--app", dir: "." }));
  const named = byOption.length > 0 ? byOption : listed;
  // --queue stands above --hub and --normal, as in ovs-testcontroller.
  const isHub = options.hub && !usesQueues(options);
  const fallback = isHub ? "hub" : "learning-switch";
  const apps = named ?? [{ app: fallback, settings: {}, where: "the options", dir: "." }];
  const flows = options["with-flows"];
  const first = flows
    ? [{ app: "static-flows", settings: { files: flows }, where: "--with-flows", dir: "." }]
    : [];
  return [...first, ...apps];
}

const usesQueues = (options: ControllerCommandOptions): boolean =>
  options.queue !== undefined || options["port-queue"] !== undefined;

/** The settings that options stand for; an app takes those that it has. */
export function commonSettings(options: ControllerCommandOptions): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  if (options["max-idle"] !== undefined) settings.maxIdle = maxIdle(options["max-idle"]);
  if (options.noflow) settings.noFlow = true;
  if (options.wildcards !== undefined) settings.wildcards = wildcards(options.wildcards);
  if (options.normal && !usesQueues(options)) settings.normal = true;
  if (options.queue !== undefined) settings.queue = wholeNumber("queue", options.queue, 0xfffffffe);
  if (options["port-queue"] !== undefined) {
    settings.portQueues = Object.fromEntries(options["port-queue"].map(portQueue));
  }
  return settings;
}

/** `--set APP.SETTING=VALUE`, with a JSON value or else text. */
export function individualSettings(
  options: ControllerCommandOptions,
): [app: string, key: string, value: unknown][] {
  return (options.set ?? []).map((text) => {
    const [, app, key, value] = /^([^.=]+(?:\.[a-z]*js)?)\.(\w+)=(.*)$/s.exec(text) ?? [];
    if (app === undefined) throw new CliError(`--set: "${text}" is not APP.SETTING=VALUE`);
    try {
      return [app, key!, JSON.parse(value!)];
    } catch {
      return [app, key!, value];
    }
  });
}

/** "6653", "127.0.0.1:6653", "[::1]:6653" or a passive target, as a passive target. */
function listenTarget(text: string): string {
  if (/^(ptcp|pssl|punix):/.test(text)) return text;
  const [, host, port] = /^(?:(.*):)?(\d+)$/s.exec(text) ?? [];
  if (port === undefined) throw new CliError(`--listen: "${text}" is not [IP:]PORT or a target to listen on`);
  return `ptcp:${port}:${host ?? "127.0.0.1"}`;
}

function wholeNumber(option: string, text: string, max: number, unit?: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  const what = unit === undefined ? "a number" : `a number of ${unit}`;
  throw new CliError(`--${option}: "${text}" is not ${what} from 0 to ${max}`);
}

/** One is written while the others are kept. */
function recordFiles(text: string | undefined, limit: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = wholeNumber("record-files", text, 10_000);
  if (count < 2) throw new CliError(`--record-files: "${text}" is not a number from 2 to 10000`);
  if (Number(limit) === 0)
    throw new CliError("--record-limit: 0 MiB is too little for each of several files");
  return count;
}

/** idle_timeout has 16 bits, and 0 means for ever (OpenFlow 1.3.5 §7.3.4.1). */
function maxIdle(text: string): number {
  if (text === "permanent") return 0;
  const value = wholeNumber("max-idle", text, 0xffff, "seconds");
  if (value === 0)
    throw new CliError(`--max-idle: "0" is not allowed; say "permanent" or 1 to 65535 seconds`);
  return value;
}

/** A mask of OpenFlow 1.0's ofp_flow_wildcards in hexadecimal. Without one port, addresses and VLAN are matched, as
 *  ovs-testcontroller 3.1 does; its manual's 0x2820f0 would match the VLAN's priority, too. */
function wildcards(text: string): number {
  if (text === "") return 0x3820f0;
  const value = /^(0x)?[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (value <= 0x3fffff) return value;
  throw new CliError(`--wildcards: "${text}" is not a hexadecimal mask from 0 to 0x3fffff`);
}

function portQueue(text: string): [string, number] {
  const at = text.lastIndexOf(":");
  if (at <= 0) throw new CliError(`--port-queue: "${text}" is not PORT-NAME:QUEUE`);
  return [text.slice(0, at), wholeNumber("port-queue", text.slice(at + 1), 0xfffffffe)];
}

/** `-O`, for scripts written for ovs-testcontroller. */
function checkProtocols(text: string | undefined): void {
  if (text === undefined || /(^|,)OpenFlow13(,|$)/i.test(text)) return;
  throw new CliError(`--protocols: "${text}" leaves out OpenFlow13, the one this controller speaks`);
}

const settingRows = (name: string): string =>
  Object.entries(bundledApps[name]!.settings.properties ?? {})
    .map(([key, { description = "", default: usual }]: [string, SettingSchema]) => {
      const suffix = usual === undefined ? "" : ` (default ${JSON.stringify(usual)})`;
      return `      ${key.padEnd(18)} ${description}${suffix}\n`;
    })
    .join("");
const appRows = Object.entries(bundledApps).map(
  ([name, { summary }]) => `  ${name.padEnd(22)} ${summary}\n${settingRows(name)}`,
);

export const HELP = `sluice controller: an OpenFlow 1.3 controller
usage: sluice controller [OPTION...] [TARGET...]

  --listen [IP:]PORT     listen for switches there (default ${DEFAULT_LISTEN}, for switches on this machine only;
                         0.0.0.0:6653 takes switches from anywhere); may be repeated, and may be a TARGET
  --connect TARGET       connect to a switch that listens itself; may be repeated
  TARGET                 ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:PATH to listen; tcp:HOST[:PORT],
                         ssl:HOST[:PORT], unix:PATH to connect
  --app NAME|PATH        run this app, bundled or a JavaScript module; may be repeated: they are asked in that
                         order (default learning-switch)
  --set APP.SETTING=VALUE
                         a setting of an app, as JSON or text; may be repeated
  --config FILE          JSON: {"apps": [NAME or PATH or {"app": NAME or PATH, "settings": {…}}, …], and any option
                         of these by its long name}; an option here stands in place of the file's
  --watch                take up changes of that file and of apps' modules; SIGHUP does so once. Switches stay
                         connected, and an app that has not changed keeps what it knows
  --record FILE          keep every conversation as pcapng, which Wireshark opens (TLS as plain text), until the file
                         has --record-limit MiB (default 1024)
  --record-files COUNT   when it has, go on in FILE1, FILE2, … and, after COUNT of them, in FILE0 again, as tcpdump's
                         -C and -W
  --replay FILE          connect to nobody: run the apps against what switches sent in that capture, and show where
                         their answers differ from the ones in it (exit code 2)
  --role ROLE            master, slave or equal: what this controller is to its switches (default equal)
  --standby-for TARGET   be slave until the controller that listens at TARGET is gone, and then master
  --probe-interval SECS  silence of a switch before it is asked for an echo; 0 never asks (default 5)
  -p, --private-key FILE, -c, --certificate FILE, -C, --ca-cert FILE
                         for ssl: and pssl:, PEM; a ca-cert of "none" takes any switch
  --peer-ca-cert FILE    send switches this certificate, too: of who signed ours, for switches that take up the first
                         one they see (ovs-vsctl --bootstrap set-ssl)
  --detach               run in the background; returns when it listens
  --monitor              start it anew when it breaks
  --pidfile[=FILE]       write the process id there (default RUNDIR/sluice-controller.pid); another controller that has
                         the file is an error, unless --overwrite-pidfile
  -v, --verbose[=SPEC]   log more, as MODULE:DESTINATION:LEVEL (destinations console and file)
  --log-file FILE        log to this file, too
  --log-format FORMAT    vlog, Open vSwitch's lines (the default), or json, pino's: {"level":30,"time":…,"module":…}
  --unixctl PATH         listen there for "sluice appctl -t PATH": controller/show,
                         controller/set-role, app/list, app/reload, vlog/set …
${REST_HELP}  -V, --version          print the release

As ovs-testcontroller has them, of the learning switch (and the hub, where they apply):
  -H, --hub              the same as --app hub
  -n, --noflow           install no flows: every packet passes through the controller
  --max-idle SECS        seconds without a packet after which a learned flow goes, or "permanent" (default 60)
  -w, --wildcards[=MASK] leave the fields of this OpenFlow 1.0 mask out of learned flows (0x3820f0, which is also
                         what goes without the option: port, addresses and VLAN are matched; 0 matches every
                         field, as ovs-testcontroller does without the option)
  -N, --normal           learned flows say NORMAL, so that the switch itself forwards
  -q, --queue ID         send through this queue; -Q, --port-queue PORT-NAME:ID for what came by that port
  --with-flows FILE      give each switch these flows (ovs-ofctl's syntax, a line each); may be repeated
  --mute                 answer no packet-in or other message of switches, echoes excepted
  -O, --protocols LIST   must have OpenFlow13 in it

Apps and their settings:
${appRows.join("")}`;
