import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { CliError, type Io, write } from "../io.js";
import { parseOptions } from "../options.js";
import { version } from "../version.js";
import { call } from "./appctl.js";

const HELP = `usage: sluice dpctl [OPTION...] COMMAND [ARG...]
Runs dpctl/COMMAND in the switch daemon: "sluice dpctl show" is "sluice appctl dpctl/show".
  -t, --timeout=SECS    give up after SECS seconds
      --target=TARGET   a daemon's name, or the path of its control socket (default: ovs-vswitchd)
  -s, --statistics, -m, --more, --names, --no-names, --clear, --may-create    handed on to COMMAND
      --json            print {"result": TEXT} or {"error": TEXT}
`;

const OPTIONS = {
  timeout: { short: "t", value: true },
  target: { value: true },
  statistics: { short: "s" },
  more: { short: "m" },
  names: {},
  "no-names": {},
  clear: {},
  "may-create": {},
  json: {},
  // The tools log nothing; scripts written for Open vSwitch's say it all the same.
  verbose: { short: "v", value: "optional", many: true },
  help: { short: "h" },
  version: { short: "V" },
} as const;

const HANDED_ON: Readonly<Record<string, string>> = {
  statistics: "-s",
  more: "-m",
  names: "--names",
  "no-names": "--no-names",
  clear: "--clear",
  "may-create": "--may-create",
};

/** Commands whose last argument is a file, which the daemon reads: it may be in another directory. */
const WITH_FILE = /^(add|mod|del)-flows$/;

/** `dpctl/…` commands of the daemon under ovs-dpctl's name: our datapaths live inside the daemon. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args, order } = parseOptions(argv, OPTIONS);
  if (options.help) {
    await write(io.stdout, HELP);
    return 0;
  }
  if (options.version) {
    await write(io.stdout, `sluice dpctl ${version()}\n`);
    return 0;
  }
  const [command, ...rest] = args;
  if (command === undefined) throw new CliError("no COMMAND given (try --help)");
  const handedOn = order.flatMap(([name]) => HANDED_ON[name] ?? []);
  const file = rest.at(-1);
  if (WITH_FILE.test(command) && file !== undefined && (rest.length > 1 || existsSync(file)))
    rest.splice(-1, 1, resolve(file));
  const { target, timeout, json } = options;
  return call({ command: `dpctl/${command}`, args: [...handedOn, ...rest], target, timeout, json }, io);
}
