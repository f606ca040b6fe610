import { parseTarget } from "@sluice/runtime";
import { CliError } from "../io.js";
import { parseOptions } from "../options.js";
import { type Plan, parseTopology, TOPOLOGY_USAGE } from "./topology.js";

export const HELP = `usage: sluice start [OPTION...]        (npm start -- [OPTION...])
Runs a whole network in one process: OVSDB server, switch with bridge br0, learning-switch controller, and simulated
hosts that ping each other across the switch. Ctrl-C stops it.
      --topo=TOPOLOGY         ${TOPOLOGY_USAGE}
                              (default: single,4); with several switches they are s1, s2, …, and where there are loops
                              our controller runs the app forwarding
  -i, --interactive           read commands: "help" tells which (as of itself in a terminal on Linux)
      --controller=TARGET     an outside controller, such as tcp:127.0.0.1:6653; ours is not started
      --controller-port=PORT  where our controller listens on 127.0.0.1 (default: 6653; 0 takes a free one)
      --ovsdb-port=PORT       where the OVSDB server listens on 127.0.0.1 (default: 6640; 0 takes a free one)
      --rundir=DIR            directory of the sockets (default: $SLUICE_RUNDIR, else a new temporary one)
      --hosts=N               the same as --topo=single,N
  -v, --verbose               log what the parts do, to standard error
      --once                  exit after the first pings: 0 when all had an answer, else 1
`;

const OPTIONS = {
  controller: { value: true },
  "controller-port": { value: true },
  "ovsdb-port": { value: true },
  rundir: { value: true },
  topo: { value: true },
  hosts: { value: true },
  interactive: { short: "i" },
  verbose: { short: "v" },
  once: {},
  help: { short: "h" },
} as const;

export interface StartOptions {
  /** Target of an outside controller; undefined: ours. */
  readonly controller: string | undefined;
  readonly controllerPort: number;
  readonly ovsdbPort: number;
  /** undefined: a temporary one that goes with the run. */
  readonly rundir: string | undefined;
  readonly plan: Plan;
  /** Commands are read from the standard input. */
  readonly interactive: boolean;
  readonly verbose: boolean;
  readonly once: boolean;
}

/** Reads the command line; "help" when that was asked for. Throws CliError. */
export function startOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  isTerminal = false,
): StartOptions | "help" {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help) return "help";
  if (args.length > 0) throw new CliError(`unexpected argument ${JSON.stringify(args[0])} (try --help)`);
  const { controller, rundir = env.SLUICE_RUNDIR } = options;
  if (controller !== undefined && parseTarget(controller).passive) {
    throw new CliError(
      `--controller ${controller}: a target to connect to is needed, such as tcp:127.0.0.1:6653`,
    );
  }
  if (controller !== undefined && options["controller-port"] !== undefined) {
    throw new CliError("--controller-port is of our controller, which --controller leaves out");
  }
  return {
    controller,
    controllerPort: number("--controller-port", options["controller-port"] ?? "6653", 0, 65535),
    ovsdbPort: number("--ovsdb-port", options["ovsdb-port"] ?? "6640", 0, 65535),
    rundir: rundir || undefined,
    plan: planOf(options.topo, options.hosts),
    interactive: options.interactive ?? (isTerminal && !options.once),
    verbose: options.verbose ?? false,
    once: options.once ?? false,
  };
}

function planOf(topo: string | undefined, hosts: string | undefined): Plan {
  if (topo !== undefined && hosts !== undefined)
    throw new CliError("--hosts is another word for --topo=single,N: give one of the two");
  return topo === undefined
    ? parseTopology(`single,${number("--hosts", hosts ?? "4", 2, 32)}`)
    : parseTopology(topo);
}

function number(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new CliError(`${option}: ${JSON.stringify(text)} is not a number from ${least} to ${most}`);
}
