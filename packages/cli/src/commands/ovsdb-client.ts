import { errorFromJson, formatJson, OvsdbClient, OvsdbError } from "@sluice/ovsdb";
import { realClock, runDir, StreamError } from "@sluice/runtime";
import { CliError, type Io } from "../io.js";
import { parseOptions } from "../options.js";
import { type ClientCommand, clientCommands } from "../ovsdb/client-commands.js";
import { TABLE_OPTIONS, tablePrinter } from "../ovsdb/output.js";
import { unknownCommand } from "../suggest.js";
import { keepAlive, withTimeout } from "../timeout.js";
import { TLS_OPTIONS, tlsFiles } from "../tls.js";
import { version } from "../version.js";

const OPTIONS = {
  ...TABLE_OPTIONS,
  timeout: { short: "t", value: true },
  force: {},
  "no-leader-only": {},
  "leader-only": {},
  ...TLS_OPTIONS,
  verbose: { short: "v", value: "optional", many: true },
  help: { short: "h" },
  version: { short: "V" },
} as const;

const rows = Object.entries(clientCommands).map(([name, { usage }]) =>
  `  ${name} [SERVER] ${usage}`.trimEnd(),
);

const HELP = `sluice ovsdb-client: ask and change an OVSDB server (as ovsdb-client)
usage: sluice ovsdb-client [OPTION...] COMMAND [ARG...]

Commands:
${rows.join("\n")}
SERVER is unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT] (default unix:RUNDIR/db.sock), or punix:PATH,
ptcp:[PORT][:IP] or pssl:[PORT][:IP] to wait for a server that connects

Options:
  -f, --format=FORMAT    table (default), list, html, csv or json
  -d, --data=FORMAT      string (default), bare or json
  --no-headings, --pretty, --bare, --max-column-width=N, --timestamp
  -t, --timeout=SECS     give up after SECS seconds
  --force                restore in spite of another schema
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE
                         for ssl:, PEM
`;

const TARGET = /^p?(unix|tcp|ssl):/;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const { options, args } = parseOptions(argv, OPTIONS);
  if (options.help || args[0] === "help") {
    io.stdout.write(HELP);
    return 0;
  }
  if (options.version) {
    io.stdout.write(`sluice ovsdb-client ${version()}\n`);
    return 0;
  }
  const [name, ...rest] = args;
  if (name === undefined) throw new CliError("missing command name; use --help for help");
  const command = Object.hasOwn(clientCommands, name) ? clientCommands[name]! : undefined;
  if (!command) throw unknownCommand(name, clientCommands);
  const target =
    rest[0] !== undefined && TARGET.test(rest[0]) ? rest.shift()! : `unix:${runDir(io.env)}/db.sock`;
  const print = (text: string | Uint8Array): void => void io.stdout.write(text);
  const printTable = tablePrinter(options, print);
  const printJson = (json: unknown): void => print(`${formatJson(json, options.pretty)}\n`);
  let client: OvsdbClient | undefined;
  const work = async (): Promise<void> => {
    client = await OvsdbClient.connect(target, { ...tlsFiles(options), clock: realClock });
    const database = command.hasDatabase ? await databaseOf(client, rest) : "";
    if (rest.length < command.min || rest.length > command.max)
      throw new CliError(`invalid syntax for '${name}' (use --help for help)`);
    const isForced = options.force ?? false;
    await command.run(
      { client, args: rest, stdin: io.stdin, isForced, print, printJson, printTable },
      database,
    );
  };
  try {
    await keepAlive(withTimeout(work(), options.timeout, realClock));
  } catch (error) {
    throw inOneLine(error, target);
  } finally {
    client?.close();
  }
  return 0;
}

/** The database that the arguments begin with, taken off them; else the only one there is, else Open_vSwitch. */
async function databaseOf(client: OvsdbClient, args: string[]): Promise<string> {
  const names = await client.listDatabases();
  if (args[0] !== undefined && names.includes(args[0])) return args.shift()!;
  const own = names.filter((name) => !name.startsWith("_"));
  if (own.length === 1) return own[0]!;
  if (own.includes("Open_vSwitch")) return "Open_vSwitch";
  throw new CliError(`a database must be named; there are ${names.join(", ")}`);
}

const inOneLine = (error: unknown, target: string): unknown => {
  if (error instanceof StreamError) return new CliError(`failed to connect to ${error.message}`);
  if (error instanceof OvsdbError) {
    const { details, tag, syntax } = errorFromJson(error.toJson());
    return new CliError(
      `${target}: server returned an error: ${tag}: ${details}${syntax ? ` (${syntax})` : ""}`,
    );
  }
  return error;
};

export type { ClientCommand };
