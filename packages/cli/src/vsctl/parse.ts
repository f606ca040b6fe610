import { CliError } from "../io.js";
import { didYouMean, unknownCommand } from "../suggest.js";
import { bridgeCommands } from "./bridge-commands.js";
import type { Call, Commands } from "./context.js";
import { datapathCommands } from "./datapath-commands.js";
import { dbCommands } from "./db-commands.js";
import { switchCommands } from "./switch-commands.js";

export const commands: Commands = {
  ...switchCommands,
  ...bridgeCommands,
  ...datapathCommands,
  ...dbCommands,
};

/** Options of the whole command line: those with "=" need a value. */
export const GLOBAL_OPTIONS = [
  "--db=",
  "--no-wait",
  "--retry",
  "--timeout=",
  "--dry-run",
  "--oneline",
  "--format=",
  "--data=",
  "--no-headings",
  "--pretty",
  "--bare",
  "--max-column-width=",
  "--leader-only",
  "--no-leader-only",
  "--shuffle-remotes",
  "--no-shuffle-remotes",
  "--syslog-method=",
  "--peer-ca-cert=",
  "--ssl-protocols=",
  "--ssl-ciphers=",
  "--no-syslog",
  "--verbose",
  "--log-file",
  "--syslog-target=",
  "--private-key=",
  "--certificate=",
  "--ca-cert=",
  "--bootstrap-ca-cert=",
  "--help",
  "--version",
  "--commands",
  "--options",
  "--json",
];

export const SHORT_OPTIONS: Readonly<Record<string, string>> = {
  t: "--timeout=",
  f: "--format=",
  d: "--data=",
  p: "--private-key=",
  c: "--certificate=",
  C: "--ca-cert=",
  v: "--verbose",
  h: "--help",
  V: "--version",
};

export interface CommandLine {
  readonly options: ReadonlyMap<string, string>;
  readonly calls: readonly Call[];
}

/** The option that `word` begins, and its value where it is given with "=". */
const findOption = (word: string, all: readonly string[]): { spec: string; value?: string } | undefined => {
  const [, name, value] = /^(--[^=]*)(?:=(.*))?$/s.exec(word)!;
  const found =
    all.find((spec) => spec.replace("=", "") === name) ??
    unique(all.filter((spec) => spec.startsWith(name!)));
  if (!found) return undefined;
  return value === undefined ? { spec: found } : { spec: found, value };
};

const unique = (found: readonly string[]): string | undefined => (found.length === 1 ? found[0] : undefined);

/** Splits a command line into its options and its commands. Throws CliError as ovs-vsctl would word it. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const options = new Map<string, string>();
  const local: string[] = [];
  let at = 0;
  const take = (spec: string, value: string | undefined): void => {
    const name = spec.replace("=", "");
    if (spec.endsWith("=") && value === undefined) {
      if (at >= argv.length) throw new CliError(`option '${name}' requires an argument`);
      options.set(name, argv[at++]!);
    } else options.set(name, value ?? "");
  };
  for (; at < argv.length; ) {
    const word = argv[at]!;
    if (word === "--" || !word.startsWith("-") || word === "-") break;
    at++;
    if (!word.startsWith("--")) {
      const spec = SHORT_OPTIONS[word[1]!];
      if (spec === undefined) throw new CliError(`invalid option -- '${word[1]}'`);
      take(spec, word.length > 2 ? word.slice(2) : undefined);
      continue;
    }
    const exactLocal =
      allOptions().includes(word) || allOptions().some((spec) => spec.endsWith("=") && word.startsWith(spec));
    const found = exactLocal ? undefined : findOption(word, GLOBAL_OPTIONS);
    if (found) take(found.spec, found.value);
    else if (exactLocal || findOption(word, allOptions())) {
      local.push(word);
      const spec = allOptions().find((one) => one === `${word}=`);
      if (spec) local[local.length - 1] = `${word}=${argv[at++] ?? ""}`;
    } else {
      const known = [...GLOBAL_OPTIONS, ...allOptions()].map((spec) => spec.replace("=", ""));
      const name = word.split("=")[0]!;
      throw new CliError(`unrecognized option '${name}'${didYouMean(name, known)}`);
    }
  }
  const calls: Call[] = [];
  let words = [...local];
  const rest = argv.slice(at);
  if (local.length === 0 && rest[0] === "--") rest.shift();
  for (const word of [...rest, undefined]) {
    if (word !== undefined && word !== "--") {
      words.push(word);
      continue;
    }
    if (words.length > 0) calls.push(parseCall(words));
    words = [];
  }
  return { options, calls };
}

const allOptions = (): readonly string[] => [
  ...new Set(Object.values(commands).flatMap((command) => command.options ?? [])),
];

function parseCall(words: readonly string[]): Call {
  const options = new Map<string, string>();
  let at = 0;
  const given: string[] = [];
  for (; at < words.length && words[at]!.startsWith("-"); at++) given.push(words[at]!);
  const name = words[at];
  if (name === undefined) throw new CliError("missing command name (use --help for help)");
  const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
  if (!command) throw unknownCommand(name, commands);
  for (const word of given) {
    const found = findOption(word, command.options ?? []);
    if (!found) throw new CliError(`'${name}' command has no '${word.split("=")[0]}' option`);
    const option = found.spec.replace("=", "");
    if (found.spec.endsWith("=") && found.value === undefined)
      throw new CliError(`missing argument to '${option}' option on '${name}' command`);
    if (!found.spec.endsWith("=") && found.value !== undefined)
      throw new CliError(`'${option}' option on '${name}' does not accept an argument`);
    options.set(option, found.value ?? "");
  }
  const args = words.slice(at + 1);
  if (args.length < command.min)
    throw new CliError(`'${name}' command requires at least ${command.min} arguments`);
  if (args.length > command.max)
    throw new CliError(`'${name}' command takes at most ${command.max} arguments`);
  return { command, options, args };
}
