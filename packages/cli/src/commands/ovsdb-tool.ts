import { CliError, type Io } from "../io.js";
import { parseOptions } from "../options.js";
import { toolCommands } from "../ovsdb/tool-commands.js";
import { unknownCommand } from "../suggest.js";
import { version } from "../version.js";

const OPTIONS = {
  more: { short: "m", count: true },
  verbose: { short: "v", value: "optional", many: true },
  help: { short: "h" },
  version: { short: "V" },
} as const;

const rows = Object.entries(toolCommands).map(([name, { usage }]) => `  ${name} ${usage}`.trimEnd());

const HELP = `sluice ovsdb-tool: make, look into and change database files (as ovsdb-tool)
usage: sluice ovsdb-tool [OPTION...] COMMAND [ARG...]

Commands:
${rows.join("\n")}
DB is /etc/openvswitch/conf.db and SCHEMA the Open_vSwitch schema unless given.

Options:
  -m, --more             show-log: show the rows, too; twice: and their columns
`;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS);
  const [name, ...rest] = args;
  if (options.help || name === "help") {
    io.stdout.write(HELP);
    return 0;
  }
  if (options.version) {
    io.stdout.write(`sluice ovsdb-tool ${version()}\n`);
    return 0;
  }
  if (name === undefined) throw new CliError("missing command name; use --help for help");
  const command = Object.hasOwn(toolCommands, name) ? toolCommands[name]! : undefined;
  if (!command) throw unknownCommand(name, toolCommands);
  if (rest.length < command.min)
    throw new CliError(`'${name}' command requires at least ${command.min} arguments`);
  if (rest.length > command.max)
    throw new CliError(`'${name}' command takes at most ${command.max} arguments`);
  const print = (text: string): void => void io.stdout.write(text);
  return (await command.run({ args: rest, more: options.more ?? 0, print })) ?? 0;
}
