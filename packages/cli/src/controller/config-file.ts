import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { CliError } from "../io.js";
import type { OptionSpec, OptionSpecs } from "../options.js";

/** One item of `apps`. */
export interface AppItem {
  /** A bundled app's name, or the path of a module. */
  readonly app: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Where it is written, for messages: "conf.json: apps[1]". */
  readonly where: string;
  /** What its path is relative to. */
  readonly dir: string;
}

export interface ConfigFile {
  /** Each in the order of the file, as on a command line. */
  readonly options: readonly (readonly [name: string, value: string])[];
  readonly apps: readonly AppItem[] | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** Reads a configuration file: a JSON object whose keys are the long options (a list where an option may be repeated, true
 *  for one without a value), and `apps`. Throws CliError, which names the file and the path in it. */
export function readConfigFile(path: string, specs: OptionSpecs): ConfigFile {
  const document = parse(path);
  const options: [string, string][] = [];
  let apps: AppItem[] | undefined;
  for (const [key, value] of Object.entries(document)) {
    const where = `${path}: ${key}`;
    if (key === "apps") apps = appItems(value, where, dirname(path));
    else if (!Object.hasOwn(specs, key)) {
      throw new CliError(
        `${where} is not known here; there are apps, ${Object.keys(specs).sort().join(", ")}`,
      );
    } else for (const text of optionValues(specs[key]!, value, where)) options.push([key, text]);
  }
  return { options, apps };
}

function parse(path: string): Json {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliError(`--config: ${path}: ${code === "ENOENT" ? "no such file" : message}`);
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new CliError(`${path}: ${jsonError(text, (error as Error).message)}`);
  }
  if (!isObject(document)) throw new CliError(`${path}: is not a JSON object`);
  return document;
}

/** The parser's message with line and column in place of its position. */
function jsonError(text: string, message: string): string {
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position === undefined) return `not JSON: ${message}`;
  const before = text.slice(0, Number(position)).split("\n");
  const reason = message.replace(/,? (in JSON )?at position.*$/s, "");
  return `line ${before.length}, column ${before.at(-1)!.length + 1}: not JSON: ${reason}`;
}

/** What the option would have been given on the command line. */
function optionValues(spec: OptionSpec, value: unknown, where: string): string[] {
  if (spec.many) {
    if (!Array.isArray(value)) throw new CliError(`${where} must be a list`);
    return value.map((item, i) => text(item, `${where}[${i}]`));
  }
  if (spec.value === undefined) {
    if (typeof value !== "boolean") throw new CliError(`${where} must be true or false`);
    return value ? [""] : [];
  }
  return [text(value, where)];
}

function text(value: unknown, where: string): string {
  if (typeof value === "string" || typeof value === "number") return String(value);
  throw new CliError(`${where} must be a string or a number`);
}

function appItems(value: unknown, where: string, dir: string): AppItem[] {
  if (!Array.isArray(value) || value.length === 0) throw new CliError(`${where} must be a list of apps`);
  return value.map((item, i) => appItem(item, `${where}[${i}]`, dir));
}

function appItem(item: unknown, where: string, dir: string): AppItem {
  if (typeof item === "string") return { app: item, settings: {}, where, dir };
  if (!isObject(item) || typeof item.app !== "string") {
    throw new CliError(`${where} must be an app's name or path, or {"app": name or path, "settings": {…}}`);
  }
  const unknown = Object.keys(item).find((key) => key !== "app" && key !== "settings");
  if (unknown !== undefined) throw new CliError(`${where}.${unknown} is not known here`);
  const { settings = {} } = item;
  if (!isObject(settings)) throw new CliError(`${where}.settings must be an object`);
  return { app: item.app, settings, where, dir };
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
