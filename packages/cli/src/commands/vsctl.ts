import { OpenVSwitch } from "@sluice/ovsdb";
import { realClock, runDir } from "@sluice/runtime";
import { CliError, type Io, write } from "../io.js";
import { keepAlive, withTimeout } from "../timeout.js";
import { TLS_OPTIONS, tlsFiles } from "../tls.js";
import { version } from "../version.js";
import { commands, GLOBAL_OPTIONS, parseCommandLine, SHORT_OPTIONS } from "../vsctl/parse.js";
import { runCommands } from "../vsctl/run.js";

const rows = Object.entries(commands).map(
  ([name, { usage, options = [] }]) =>
    `  ${[...options.map((option) => `[${option}${option.endsWith("=") ? "..." : ""}]`), name, usage].join(" ").trimEnd()}\n`,
);

const HELP = `sluice vsctl: ask and change the switch's configuration database (as ovs-vsctl)
usage: sluice vsctl [OPTION...] COMMAND [ARG...] [-- [OPTION...] COMMAND [ARG...]]...

Commands:
${rows.join("")}
Options:
  --db=TARGET            the database server (default unix:RUNDIR/db.sock)
  --no-wait              do not wait for the switch to apply the change
  --retry                keep trying to connect
  -t, --timeout=SECS     give up after SECS seconds
  --dry-run              change nothing
  --oneline              print the output of each command on one line
  -f, --format=FORMAT    list (default), table, html, csv or json
  -d, --data=FORMAT      string (default), bare or json
  --no-headings          leave the headings out
  --bare                 --data=bare --no-headings
  --pretty               break format json into lines
  --max-column-width=N   cut off cells of format table after N characters
  --commands, --options  list the commands, the options, for completion in shells
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE
                         for ssl:, PEM
`;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const line = parseCommandLine(argv);
  const { options } = line;
  if (options.has("--help")) {
    await write(io.stdout, HELP);
    return 0;
  }
  if (options.has("--version")) {
    await write(io.stdout, `sluice vsctl ${version()}\nDB Schema ${OpenVSwitch.version}\n`);
    return 0;
  }
  if (options.has("--commands")) {
    await write(io.stdout, commandList());
    return 0;
  }
  if (options.has("--options")) {
    await write(io.stdout, optionList());
    return 0;
  }
  if (line.calls.length === 0) throw new CliError("missing command name (use --help for help)");
  const tls = tlsFiles(
    Object.fromEntries(Object.keys(TLS_OPTIONS).map((name) => [name, options.get(`--${name}`)])),
  );
  let output = "";
  const work = runCommands(line, {
    clock: realClock,
    target: options.get("--db") ?? `unix:${runDir(io.env)}/db.sock`,
    tls,
    typed: argv.join(" "),
    stdout: (text) => {
      output += text;
    },
    stderr: (text) => void io.stderr.write(text),
  });
  const code = await keepAlive(withTimeout(work, options.get("--timeout"), realClock));
  await write(io.stdout, output);
  return code;
}

/** For completion: `[--option] ,command,ARGUMENTS`, a command a line. */
const commandList = (): string =>
  Object.entries(commands)
    .map(([name, { usage, options = [] }]) => {
      const own = options.map((option) => `[${option}]`).join(" ");
      return `${own ? `${own} ` : ""},${name},${usage}\n`;
    })
    .join("");

const optionList = (): string => {
  const long = GLOBAL_OPTIONS.map((option) => `${option.replace("=", "=ARG")}\n`);
  const short = Object.entries(SHORT_OPTIONS).map(
    ([letter, option]) => `-${letter}${option.endsWith("=") ? " ARG" : ""}\n`,
  );
  return [...long, ...short].join("");
};
