import { createHmac, randomBytes } from "node:crypto";
import { type Clock, createLog, type Log, type LogRegistry, realClock } from "@sluice/runtime";
import type { App } from "../framework/app.js";
import { describe } from "../framework/dispatch.js";
import { fetchTables } from "../tables/index.js";
import type { AppContext, AppDefinition, Settings } from "./definition.js";

/** One line of the list of apps: which one, and its settings (already validated). */
export interface AppEntry {
  readonly definition: AppDefinition;
  readonly settings?: Settings;
}

/** An app that runs, with what it was made from. */
export interface ComposedApp {
  readonly definition: AppDefinition;
  readonly settings: Settings;
  readonly app: App;
  /** Names of the apps that it asked its context for. */
  readonly uses: ReadonlySet<string>;
}

export interface ComposeOptions {
  clock?: Clock;
  log?: LogRegistry;
  /** What apps' random bytes are made from; chance, unless given. */
  seed?: Uint8Array;
  /** Where apps' questions after tables go; to the switches, unless given. */
  tables?: AppContext["tables"];
  /** The definitions that `requires` may name. */
  known?: Readonly<Record<string, AppDefinition>>;
  /** What runs already: an app whose definition and settings are the same, and whose apps that it uses are, too, is
   *  taken over with its state. */
  previous?: readonly ComposedApp[];
}

/** Makes the apps of a list, in its order; apps that others require are put in before them. Throws a one-line Error. */
export function composeApps(entries: readonly AppEntry[], options: ComposeOptions = {}): ComposedApp[] {
  const { clock = realClock, previous = [], seed = randomBytes(32) } = options;
  const log = options.log ?? createLog({ clock });
  const composed = new Map<string, ComposedApp>();
  for (const { definition, settings = {} } of withRequired(entries, options.known ?? {})) {
    const { name } = definition;
    const before = previous.find(
      (one) => one.definition === definition && sameSettings(one.settings, settings),
    );
    const isSame = before && [...before.uses].every((used) => previous.includes(composed.get(used)!));
    if (isSame) {
      composed.set(name, before);
      continue;
    }
    const uses = new Set<string>();
    const ownLog = log.module(name);
    const context: AppContext = {
      clock: guardedClock(clock, ownLog),
      log: ownLog,
      app: <A extends App>(other: string) => {
        const found = composed.get(other)?.app;
        if (found !== undefined) uses.add(other);
        return found as A | undefined;
      },
      random: randomBytesOf(name, seed),
      tables: options.tables ?? fetchTables,
    };
    try {
      composed.set(name, { definition, settings, app: definition.create(settings, context), uses });
    } catch (error) {
      for (const one of composed.values()) if (!previous.includes(one)) one.app.stop?.();
      const what = describe(error);
      throw new Error(what.startsWith(`${name}: `) ? what : `app ${name}: ${what}`);
    }
  }
  return [...composed.values()];
}

/** Each app has bytes of its own, whatever the others take. */
function randomBytesOf(name: string, seed: Uint8Array): AppContext["random"] {
  let taken = 0;
  return (size) => {
    const blocks = Array.from({ length: Math.ceil(size / 32) }, () =>
      createHmac("sha256", seed).update(`${name} ${taken++}`).digest(),
    );
    return new Uint8Array(Buffer.concat(blocks).subarray(0, size));
  };
}

/** A clock whose callbacks may fail, as handlers of events may: the log tells, and everything else goes on. */
function guardedClock(clock: Clock, log: Log): Clock {
  const failed = (error: unknown): void => log.err(`a timer of the app failed: ${describe(error)}`);
  const guarded = (callback: () => unknown) => (): void => {
    try {
      const result = callback();
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    setTimeout: (callback, delayMs) => clock.setTimeout(guarded(callback), delayMs),
    setInterval: (callback, periodMs) => clock.setInterval(guarded(callback), periodMs),
  };
}

/** The list with required apps put in. Pure. */
export function withRequired(
  entries: readonly AppEntry[],
  known: Readonly<Record<string, AppDefinition>>,
): AppEntry[] {
  const listed = new Set<string>();
  for (const { definition } of entries) {
    if (listed.has(definition.name)) throw new Error(`app ${definition.name} is listed twice`);
    listed.add(definition.name);
  }
  const result: AppEntry[] = [];
  const placed = new Set<string>();
  const place = (entry: AppEntry): void => {
    const { name, requires = [] } = entry.definition;
    if (placed.has(name)) return;
    placed.add(name);
    for (const required of requires) {
      if (placed.has(required)) continue;
      if (listed.has(required)) throw new Error(`app ${name} needs ${required} before it`);
      const definition = Object.hasOwn(known, required) ? known[required] : undefined;
      if (!definition) throw new Error(`app ${name} needs app ${required}, which is not known`);
      place({ definition });
    }
    result.push(entry);
  };
  for (const entry of entries) place(entry);
  return result;
}

/** Values of JSON, whatever the order of their keys. */
function sameSettings(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) &&
        sameSettings((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}
