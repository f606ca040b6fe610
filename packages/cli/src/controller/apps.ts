import { isAbsolute, resolve } from "node:path";
import {
  type AppDefinition,
  type AppEntry,
  type AppFiles,
  bundledApps,
  checkSettings,
} from "@sluice/controller";
import { CliError } from "../io.js";
import type { AppItem } from "./config-file.js";
import { commonSettings, type Invocation, individualSettings } from "./options.js";

export interface ResolvedApps {
  readonly entries: readonly AppEntry[];
  /** The modules among them. */
  readonly paths: readonly string[];
}

/** The apps of an invocation with their definitions and checked settings. Throws CliError. */
export async function resolveApps(invocation: Invocation, files: AppFiles): Promise<ResolvedApps> {
  const common = commonSettings(invocation.options);
  const individual = individualSettings(invocation.options);
  const paths: string[] = [];
  const entries: AppEntry[] = [];
  for (const item of invocation.apps) {
    const definition = await define(item, files, paths);
    const known = definition.settings.properties ?? {};
    const settings = {
      ...item.settings,
      ...Object.fromEntries(Object.entries(common).filter(([key]) => Object.hasOwn(known, key))),
    };
    for (const [app, key, value] of individual) {
      if (app === definition.name || app === item.app) settings[key] = value;
    }
    await check(definition, settings, item);
    entries.push({ definition, settings });
  }
  checkAllUsed(invocation, entries);
  return { entries, paths };
}

async function define(item: AppItem, files: AppFiles, paths: string[]): Promise<AppDefinition> {
  if (Object.hasOwn(bundledApps, item.app)) return bundledApps[item.app]!;
  if (!/[/\\]|\.[cm]?[jt]s$/.test(item.app)) {
    const names = Object.keys(bundledApps).join(", ");
    throw new CliError(`${item.where}: no app "${item.app}"; there are ${names}, and modules by path`);
  }
  const path = isAbsolute(item.app) ? item.app : resolve(item.dir, item.app);
  paths.push(path);
  try {
    return await files.load(path);
  } catch (error) {
    throw new CliError(`${item.where}: ${(error as Error).message}`);
  }
}

async function check(definition: AppDefinition, settings: object, item: AppItem): Promise<void> {
  // Nothing to check is the usual case, and the validator takes a while to load.
  if (Object.keys(settings).length === 0 && definition.settings.required === undefined) return;
  try {
    await checkSettings(definition.settings, settings, `${item.where}: ${definition.name}`);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

/** A setting for an app that does not run is a mistake. */
function checkAllUsed(invocation: Invocation, entries: readonly AppEntry[]): void {
  const names = [
    ...entries.map(({ definition }) => definition.name),
    ...invocation.apps.map(({ app }) => app),
  ];
  for (const [app, key] of individualSettings(invocation.options)) {
    if (!names.includes(app))
      throw new CliError(`--set: ${app}.${key}: app ${app} is not among those that run`);
  }
}
