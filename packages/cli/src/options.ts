import { CliError } from "./io.js";
import { didYouMean } from "./suggest.js";

/** One option of a command. `value: true` needs a value (`--name=V`, `--name V`, `-nV`, `-n V`), "optional" takes one
 *  only as `--name=V` or `-nV`. `many` keeps every value in order. `count` counts how often it was given. */
export interface OptionSpec {
  readonly short?: string;
  readonly value?: true | "optional";
  readonly many?: true;
  readonly count?: true;
}
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<S extends OptionSpec> = S extends { many: true }
  ? string[]
  : S extends { count: true }
    ? number
    : S extends { value: true | "optional" }
      ? string
      : boolean;
export type Options<S extends OptionSpecs> = { -readonly [K in keyof S]?: ValueOf<S[K]> };

export interface Parsed<S extends OptionSpecs> {
  options: Options<S>;
  /** What is not an option. */
  args: string[];
  /** Every option in the order given; "" where it had no value. */
  order: [name: keyof S & string, value: string][];
}

/** Reads a command line as getopt_long does: options and arguments in any order, long names shortened as long as
 *  they stay unique, short ones bundled, `--` ends the options. Throws CliError. */
export function parseOptions<const S extends OptionSpecs>(
  argv: readonly string[],
  specs: S,
  { stopAtArgument = false } = {},
): Parsed<S> {
  const parsed: Parsed<S> = { options: {}, args: [], order: [] };
  const values = parsed.options as Record<string, unknown>;
  const shorts = new Map(
    Object.entries(specs).flatMap(([name, { short }]) => (short ? [[short, name]] : [])),
  );
  let at = 0;

  const keep = (name: string, value: string): void => {
    const spec = specs[name]!;
    parsed.order.push([name, value]);
    if (spec.many) values[name] = [...((values[name] as string[] | undefined) ?? []), value];
    else if (spec.count) values[name] = ((values[name] as number | undefined) ?? 0) + 1;
    else values[name] = spec.value ? value : true;
  };
  const next = (shown: string): string => {
    if (at >= argv.length) throw new CliError(`option ${shown} needs a value`);
    return argv[at++]!;
  };
  const long = (word: string): void => {
    const equals = word.indexOf("=");
    const shown = equals < 0 ? word : word.slice(0, equals);
    const name = longName(shown.slice(2), specs);
    const given = equals < 0 ? undefined : word.slice(equals + 1);
    const { value } = specs[name]!;
    if (given !== undefined && !value) throw new CliError(`option ${shown} takes no value`);
    keep(name, given ?? (value === true ? next(shown) : ""));
  };
  const short = (word: string): void => {
    for (let i = 1; i < word.length; i++) {
      const name = shorts.get(word[i]!);
      if (name === undefined) throw new CliError(`unknown option -${word[i]} (try --help)`);
      const { value } = specs[name]!;
      if (value !== undefined) {
        const attached = word.slice(i + 1);
        keep(name, value === true ? attached || next(`-${word[i]}`) : attached);
        return;
      }
      keep(name, "");
    }
  };

  while (at < argv.length) {
    const word = argv[at++]!;
    if (word === "--") {
      parsed.args.push(...argv.slice(at));
      break;
    }
    if (word.startsWith("--")) long(word);
    else if (word.startsWith("-") && word !== "-") short(word);
    else {
      parsed.args.push(word);
      if (!stopAtArgument) continue;
      parsed.args.push(...argv.slice(at));
      break;
    }
  }
  return parsed;
}

function longName(text: string, specs: OptionSpecs): string {
  if (Object.hasOwn(specs, text)) return text;
  const found = Object.keys(specs).filter((name) => name.startsWith(text));
  if (found.length === 1) return found[0]!;
  if (found.length === 0) {
    const known = Object.keys(specs).map((name) => `--${name}`);
    throw new CliError(`unknown option --${text}${didYouMean(`--${text}`, known) || " (try --help)"}`);
  }
  throw new CliError(`option --${text} is ambiguous: ${found.map((name) => `--${name}`).join(", ")}`);
}
