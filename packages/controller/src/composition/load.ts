import { readFileSync, statSync } from "node:fs";
import { register } from "node:module";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import type { App } from "../framework/app.js";
import { checkApp, describe } from "../framework/dispatch.js";
import type { AppDefinition } from "./definition.js";

/** What a module of a user's app may export as `default` or as `app`. */
type Exported = AppDefinition | App | ((...args: never[]) => App);

interface Loaded {
  readonly version: string;
  readonly definition: AppDefinition;
}

/** Node's own, which apps' modules are found and read by; set up with the first of them, since it takes a while. */
const HOOKS = new URL("../../dist/composition/app-hooks.js", import.meta.url);
let areHooked = false;
function hook(): void {
  if (!areHooked) register(HOOKS);
  areHooked = true;
}

/** Apps from files of the user's, in JavaScript or TypeScript. A file is loaded again when it has changed (what it imports is not: Node keeps that);
 *  as long as it has not, `load` gives the same definition. */
export class AppFiles {
  readonly #loaded = new Map<string, Loaded>();

  /** `path` is absolute. Rejects with a one-line Error that names it. */
  async load(path: string): Promise<AppDefinition> {
    const version = versionOf(path);
    const known = this.#loaded.get(path);
    if (known?.version === version) return known.definition;
    hook();
    const url = pathToFileURL(path);
    url.searchParams.set("version", version);
    let module: Readonly<Record<string, unknown>>;
    try {
      module = (await import(url.href)) as typeof module;
    } catch (error) {
      throw new Error(`${path}: ${await explainImport(error, path)}`);
    }
    const definition = definitionOf(module, path);
    this.#loaded.set(path, { version, definition });
    return definition;
  }
}

/** Why a module cannot be imported, in one line. */
async function explainImport(error: unknown, path: string): Promise<string> {
  const text = describe(error);
  if (!(error instanceof SyntaxError)) return text;
  if (/does not provide an export/.test(text))
    return /ts$/.test(path) ? `${text} (a type has to be imported as one: import { type … })` : text;
  return / \(line \d/.test(text) ? text : `${text}${await placeOfSyntaxError(path)}`;
}

/** Node tells where only to whom it prints the error to. */
async function placeOfSyntaxError(path: string): Promise<string> {
  const { transformSync } = (await import("@swc/wasm-typescript")).default;
  try {
    transformSync(readFileSync(path, "utf8"), { mode: "strip-only", module: true });
    return " (in what it imports)";
  } catch (error) {
    const { startLine, startColumn = 0 } = error as Readonly<Record<string, number | undefined>>;
    return startLine === undefined ? "" : ` (line ${startLine}, column ${startColumn + 1})`;
  }
}

function versionOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs}-${size}-${ino}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`${path}: ${code === "ENOENT" ? "no such file" : firstLine(error)}`);
  }
}

/** The app that a module exports: a definition, a function that makes an app, or an app. */
function definitionOf(module: Readonly<Record<string, unknown>>, path: string): AppDefinition {
  const makers = Object.entries(module).filter(([, value]) => typeof value === "function");
  const exported = (module.default ?? module.app ?? (makers.length === 1 ? makers[0]![1] : undefined)) as
    | Exported
    | undefined;
  const settings = { type: "object", additionalProperties: {} } as const;
  if (typeof exported === "function") {
    const fileName = basename(path).replace(/\.[^.]*$/, "");
    const make = exported as (...args: unknown[]) => App;
    const name = exported.name === "" || exported.name === "default" ? fileName : exported.name;
    return {
      name,
      summary: path,
      settings,
      create: (given, context) => checked(make(given, context), path),
    };
  }
  if (typeof exported === "object" && exported !== null && "create" in exported) {
    const { name, summary = path } = exported;
    if (typeof name !== "string") throw new Error(`${path}: the app's definition has no name`);
    const create: AppDefinition["create"] = (given, context) =>
      checked(exported.create(given, context), path);
    return { ...exported, settings: exported.settings ?? { type: "object" }, summary, create };
  }
  if (typeof exported === "object" && exported !== null && "events" in exported) {
    const app = checked(exported, path);
    return { name: app.name, summary: path, settings: { type: "object" }, create: () => app };
  }
  throw new Error(`${path}: exports no app: "export default" a function that makes one, or a definition`);
}

/** What a module makes is not known to be an app. */
function checked(made: unknown, path: string): App {
  try {
    if (made instanceof Promise)
      throw new Error("the app is a promise: the function that makes it must not be async");
    checkApp(made);
    return made;
  } catch (error) {
    throw new Error(`${path}: ${firstLine(error)}`);
  }
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
