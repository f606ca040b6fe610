import { statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { App } from "../framework/app.js";
import type { AppDefinition } from "./definition.js";

/** What a module of a user's app may export as `default` or as `app`. */
type Exported = AppDefinition | App | ((...args: never[]) => App);

interface Loaded {
  readonly version: string;
  readonly definition: AppDefinition;
}

/** Apps from files of the user's. A file is loaded again when it has changed (what it imports is not: Node keeps that);
 *  as long as it has not, `load` gives the same definition. */
export class AppFiles {
  readonly #loaded = new Map<string, Loaded>();

  /** `path` is absolute. Rejects with a one-line Error that names it. */
  async load(path: string): Promise<AppDefinition> {
    const version = versionOf(path);
    const known = this.#loaded.get(path);
    if (known?.version === version) return known.definition;
    const url = pathToFileURL(path);
    url.searchParams.set("version", version);
    let module: Readonly<Record<string, unknown>>;
    try {
      module = (await import(url.href)) as typeof module;
    } catch (error) {
      throw new Error(`${path}: ${firstLine(error)}`);
    }
    const definition = definitionOf(module, path);
    this.#loaded.set(path, { version, definition });
    return definition;
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
    const make = exported as (...args: unknown[]) => App;
    const name = exported.name === "" || exported.name === "default" ? path : exported.name;
    return {
      name,
      summary: path,
      settings,
      create: (given, context) => checkApp(make(given, context), path),
    };
  }
  if (typeof exported === "object" && exported !== null && "create" in exported) {
    const { name, summary = path } = exported;
    if (typeof name !== "string") throw new Error(`${path}: the app's definition has no name`);
    const create: AppDefinition["create"] = (given, context) =>
      checkApp(exported.create(given, context), path);
    return { ...exported, settings: exported.settings ?? { type: "object" }, summary, create };
  }
  if (typeof exported === "object" && exported !== null && "events" in exported) {
    const app = checkApp(exported, path);
    return { name: app.name, summary: path, settings: { type: "object" }, create: () => app };
  }
  throw new Error(`${path}: exports no app: "export default" a function that makes one, or a definition`);
}

/** What a module makes is not known to be an app. */
function checkApp(made: unknown, path: string): App {
  const app = made as Partial<App> | null | undefined;
  if (typeof app?.name !== "string") throw new Error(`${path}: the app has no name`);
  if (typeof app.events !== "object" || app.events === null)
    throw new Error(`${path}: the app has no events`);
  const wrong = Object.entries(app.events).find(([, handle]) => typeof handle !== "function");
  if (wrong) throw new Error(`${path}: events.${wrong[0]} is no function`);
  return app as App;
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
