import { controlCall, controlPath, realClock, runDir } from "@sluice/runtime";
import { CliError, type Io, write } from "../io.js";
import { parseOptions } from "../options.js";
import { withTimeout } from "../timeout.js";
import { version } from "../version.js";

const HELP = `usage: sluice appctl [OPTION...] COMMAND [ARG...]
Runs COMMAND in a running daemon; "list-commands" shows those it has.
  -t, --target=TARGET   a daemon's name, or the path of its control socket (default: ovs-vswitchd)
  -T, --timeout=SECS    give up after SECS seconds
      --json            print {"result": TEXT} or {"error": TEXT}; of ofproto/trace, the trace as a document
`;

const OPTIONS = {
  target: { short: "t", value: true },
  timeout: { short: "T", value: true },
  json: {},
  // The tools log nothing; scripts written for Open vSwitch's say it all the same.
  verbose: { short: "v", value: "optional", many: true },
  help: { short: "h" },
  version: { short: "V" },
} as const;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS, { stopAtArgument: true });
  if (options.help) {
    await write(io.stdout, HELP);
    return 0;
  }
  if (options.version) {
    await write(io.stdout, `sluice appctl ${version()}\n`);
    return 0;
  }
  const [command, ...rest] = args;
  if (command === undefined) throw new CliError("no COMMAND given (try --help)");
  return call(
    { command, args: rest, target: options.target, timeout: options.timeout, json: options.json },
    io,
  );
}

interface Call {
  command: string;
  args: readonly string[];
  target?: string | undefined;
  timeout?: string | undefined;
  json?: boolean | undefined;
}

/** Commands that answer with a JSON document when they are asked to. */
const WITH_JSON: ReadonlySet<string> = new Set(["ofproto/trace", "ofproto/trace-packet-out"]);

/** Asks a daemon one command and prints the answer as ovs-appctl does: an error goes to standard error and the exit
 *  code is 2. */
export async function call(
  { command, args, target = "ovs-vswitchd", timeout, json }: Call,
  io: Io,
): Promise<number> {
  const path = controlPath(target, runDir(io.env));
  const isDocument = json === true && WITH_JSON.has(command);
  const asked = isDocument ? [...args, "--json"] : args;
  const { result, error } = await withTimeout(controlCall(path, command, asked), timeout, realClock);
  if (json && !(isDocument && error === null))
    await write(io.stdout, `${JSON.stringify(error === null ? { result } : { error })}\n`);
  else if (error === null) await write(io.stdout, result ?? "");
  else io.stderr.write(`${error}sluice appctl: ${target}: server returned an error\n`);
  return error === null ? 0 : 2;
}
