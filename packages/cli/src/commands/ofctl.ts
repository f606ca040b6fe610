import { formatMessage, toJson } from "@sluice/openflow-codec";
import { realClock } from "@sluice/runtime";
import { CliError, type Io, write } from "../io.js";
import { RefusedLineError } from "../ofctl/bundle.js";
import { bundleCommands } from "../ofctl/bundle-file.js";
import type { CommandTable, Context, OfctlCommand } from "../ofctl/context.js";
import { decodeCommands } from "../ofctl/decode.js";
import { encodeCommands } from "../ofctl/encode.js";
import { extensionCommands } from "../ofctl/extensions.js";
import { flowDiffCommands } from "../ofctl/flow-diff.js";
import { flowCommands } from "../ofctl/flows.js";
import { groupCommands } from "../ofctl/groups.js";
import { infoCommands } from "../ofctl/info.js";
import { livenessCommands } from "../ofctl/liveness.js";
import { meterCommands } from "../ofctl/meters.js";
import { monitorCommands } from "../ofctl/monitor.js";
import { offlineCommands } from "../ofctl/offline.js";
import { checkProtocols, OPTIONS } from "../ofctl/options.js";
import { packetOutCommands } from "../ofctl/packet-out.js";
import { portCommands } from "../ofctl/ports.js";
import { ended, printJson } from "../ofctl/print.js";
import { RefusedError } from "../ofctl/vconn.js";
import { parseOptions } from "../options.js";
import { unknownCommand } from "../suggest.js";
import { withTimeout } from "../timeout.js";
import { version } from "../version.js";

const commands: CommandTable = {
  ...infoCommands,
  ...flowCommands,
  ...flowDiffCommands,
  ...groupCommands,
  ...meterCommands,
  ...bundleCommands,
  ...packetOutCommands,
  ...portCommands,
  ...monitorCommands,
  ...livenessCommands,
  ...extensionCommands,
  ...offlineCommands,
  ...decodeCommands,
  ...encodeCommands,
};

const HELP = `sluice ofctl: ask and change an OpenFlow 1.3 switch, as ovs-ofctl does
usage: sluice ofctl [OPTION...] COMMAND [ARG...]

SWITCH is a bridge's name, tcp:HOST[:PORT], ssl:HOST[:PORT], unix:PATH or a socket's path.

Commands:
${Object.entries(commands)
  .map(([name, { usage }]) => `  ${name.padEnd(20)} ${usage}\n`)
  .join("")}
Options:
  -O, --protocols=LIST     versions of OpenFlow to speak; OpenFlow13 must be among them
  -t, --timeout=SECS       give up after SECS seconds
      --json               print JSON, one document a line
      --strict             match flows exactly (mod-flows, del-flows)
      --bundle             do all changes, or none
      --readd              replace-flows: add again what is there already
      --may-create         mod-group: add the group if it is not there
      --read-only          refuse to change the switch
      --names, --no-names  show ports by name; do not, nor understand names
      --no-stats           dump-flows: without counters
      --sort[=FIELD], --rsort[=FIELD]   dump-flows: in order of FIELD (priority)
      --format=json|text   decode: what to print (json)
      --pcap=FILE          decode: OpenFlow out of a pcap or pcapng file, or - for a pipe
      --timestamp          monitor, snoop: say when each message came
  -m, --more               say more of each message
  -P, --packet-in-format=standard|nxt_packet_in2
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE   for ssl:
      --unixctl=PATH       monitor, snoop: control socket
`;

/** Runs `sluice ofctl …`. What the switch refuses is shown as ovs-ofctl shows it, and the exit code is 1. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args, order } = parseOptions(argv, OPTIONS);
  const [name, ...rest] = args;
  if (options.help || name === "help") {
    await write(io.stdout, HELP);
    return 0;
  }
  if (options.version) {
    await write(io.stdout, `sluice ofctl ${version()}\nOpenFlow versions 0x4:0x4\n`);
    return 0;
  }
  if (name === undefined) throw new CliError("no COMMAND given (try --help)");
  if (name === "list-commands") {
    await write(
      io.stdout,
      Object.entries(commands)
        .map(([each, { usage }]) => `  ${each.padEnd(23)} ${usage}\n`)
        .join(""),
    );
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
  if (command === undefined) throw unknownCommand(name, commands);
  checkCall(name, command, rest, options["read-only"] === true);
  checkProtocols(options.protocols ?? [], options["flow-format"]);
  const sort = order
    .filter(([option]) => option === "sort" || option === "rsort")
    .map(([option, field]) => ({ field: field || "priority", descending: option === "rsort" }));
  const context: Context = { io, options, sort, clock: realClock, xids: { next: 1 } };
  try {
    const done: Promise<unknown> = command.run(context, rest);
    const code = await withTimeout(done, options.timeout, realClock);
    return typeof code === "number" ? code : 0;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    await showRefusal(context, error);
    return 1;
  }
}

/** What the switch refused and why; in text on standard error, with --json on the output. */
async function showRefusal(context: Context, error: RefusedError): Promise<void> {
  const { io, options } = context;
  const where = error instanceof RefusedLineError && error.where ? `${error.where}: ` : "";
  if (options.json) await printJson(context, toJson(error.reply));
  if (options.json || where !== "") io.stderr.write(`sluice ofctl: ${where}refused: ${error.message}\n`);
  if (!options.json) io.stderr.write(ended(formatMessage(error.reply)));
}

function checkCall(
  name: string,
  { min, max, writes }: OfctlCommand,
  args: readonly string[],
  readOnly: boolean,
): void {
  if (args.length < min) throw new CliError(`'${name}' command requires at least ${min} arguments`);
  if (args.length > max) throw new CliError(`'${name}' command takes at most ${max} arguments`);
  if (writes && readOnly) throw new CliError(`'${name}' command does not work in read only mode`);
}
