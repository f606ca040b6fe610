import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import {
  type App,
  type AppContext,
  AppFiles,
  bundledApps,
  type ComposedApp,
  composeApps,
  stack,
} from "@sluice/controller";
import { type Log, type LogRegistry, realClock, type Timer } from "@sluice/runtime";
import { CliError } from "../io.js";
import { resolveApps } from "./apps.js";
import { type Invocation, readInvocation } from "./options.js";
import { equip } from "./rest.js";

/** Editors write a file in several steps: what happens within this time is one change. */
const SETTLE_MS = 100;

/** What goes on with another list of apps. */
export interface AppsOwner {
  setApps(apps: readonly App[]): void;
}

/** What apps are made with, beside their settings. */
export interface AppsContext {
  readonly tables: AppContext["tables"];
  /** What their random bytes are made from. */
  readonly seed: Uint8Array;
}

/** The apps of a running controller, and how they follow their configuration. */
export class RunningApps {
  readonly #argv: readonly string[];
  readonly #registry: LogRegistry;
  readonly #log: Log;
  readonly #files: AppFiles;
  readonly #tables: AppContext["tables"];
  readonly #seed: Uint8Array;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #atStart: Invocation;
  #invocation: Invocation;
  #composed: readonly ComposedApp[] = [];
  #paths: readonly string[] = [];
  #settle: Timer | undefined;
  #onHangup: (() => void) | undefined;
  /** One after the other. */
  #reloading: Promise<unknown> = Promise.resolve();

  private constructor(
    invocation: Invocation,
    argv: readonly string[],
    registry: LogRegistry,
    { tables, seed }: AppsContext,
  ) {
    this.#tables = tables;
    this.#seed = seed;
    this.#atStart = invocation;
    this.#invocation = invocation;
    this.#argv = argv;
    this.#registry = registry;
    this.#log = registry.module("apps");
    this.#files = new AppFiles();
  }

  /** Makes the apps that the command line asks for. Throws CliError. */
  static async create(
    invocation: Invocation,
    argv: readonly string[],
    registry: LogRegistry,
    context: AppsContext,
  ): Promise<RunningApps> {
    const apps = new RunningApps(invocation, argv, registry, context);
    await apps.#compose(invocation);
    return apps;
  }

  get composed(): readonly ComposedApp[] {
    return this.#composed;
  }

  get apps(): App[] {
    const apps = stack(this.#composed.map(({ app }) => app));
    equip(apps);
    return apps;
  }

  /** Reads configuration and modules again at SIGHUP, and, where the options say so, whenever they change. */
  keepUp(controller: AppsOwner): void {
    const { config, watch: follow } = this.#invocation.options;
    // Without anything to read again SIGHUP keeps its usual meaning: the terminal is gone.
    if (config === undefined && this.#paths.length === 0 && !this.#composed.some(({ app }) => app.reload))
      return;
    this.#onHangup = () => void this.reload(controller).catch(() => {});
    process.on("SIGHUP", this.#onHangup);
    if (follow) this.#follow(controller);
  }

  close(): void {
    this.#settle?.cancel();
    if (this.#onHangup) process.off("SIGHUP", this.#onHangup);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Reads everything again; gives one line of what changed. What is wrong is told in one line (and logged), and the
   *  apps go on as they were. */
  reload(controller: AppsOwner): Promise<string> {
    const next = this.#reloading.then(() => this.#reload(controller));
    this.#reloading = next.catch(() => {});
    return next;
  }

  async #reload(controller: AppsOwner): Promise<string> {
    const before = this.#composed;
    try {
      const invocation = readInvocation(this.#argv);
      await this.#compose(invocation);
      this.#warnOfRest(invocation);
    } catch (error) {
      this.#log.err(`not reloaded: ${(error as Error).message}`);
      throw error;
    }
    controller.setApps(this.apps);
    if (this.#invocation.options.watch) this.#follow(controller);
    const kept = this.#composed.filter((one) => before.includes(one));
    const wrong: string[] = [];
    for (const { app, definition } of kept) {
      try {
        await app.reload?.();
      } catch (error) {
        wrong.push(`${definition.name}: ${(error as Error).message}`);
      }
    }
    const names = (list: readonly ComposedApp[]): string =>
      list.map(({ definition }) => definition.name).join(", ") || "none";
    const made = this.#composed.filter((one) => !before.includes(one));
    const gone = before.filter(
      (one) => !this.#composed.some(({ definition }) => definition.name === one.definition.name),
    );
    const line = `apps reloaded: new ${names(made)}; kept ${names(kept)}; gone ${names(gone)}`;
    this.#log.info(line);
    for (const one of wrong) this.#log.err(`not reloaded: ${one}`);
    if (wrong.length > 0) throw new Error(`not reloaded: ${wrong.join("; ")}`);
    return line;
  }

  async #compose(invocation: Invocation): Promise<void> {
    const { entries, paths } = await resolveApps(invocation, this.#files);
    try {
      this.#composed = composeApps(entries, {
        log: this.#registry,
        ...{ tables: this.#tables, seed: this.#seed },
        known: bundledApps,
        previous: this.#composed,
      });
    } catch (error) {
      throw new CliError((error as Error).message);
    }
    this.#invocation = invocation;
    this.#paths = paths;
  }

  /** What a reload does not change. */
  #warnOfRest(now: Invocation): void {
    const fixed = ({ listens, connects, tls, probeIntervalMs }: Invocation): string =>
      JSON.stringify([listens, connects, tls, probeIntervalMs]);
    if (fixed(now) !== fixed(this.#atStart)) {
      this.#log.warn("only apps and their settings are reloaded; a restart takes up the other options");
    }
  }

  /** Directories are watched, not files, since editors put a new file in the place of the old. */
  #follow(controller: AppsOwner): void {
    const { config } = this.#invocation.options;
    const files = [...(config === undefined ? [] : [config]), ...this.#paths];
    const wanted = new Map(files.map((file) => [file, dirname(file)]));
    for (const [file, watcher] of this.#watchers) {
      if (wanted.has(file)) continue;
      watcher.close();
      this.#watchers.delete(file);
    }
    for (const [file, dir] of wanted) {
      if (this.#watchers.has(file)) continue;
      const watcher = watch(dir, { persistent: false }, (_event, name) => {
        if (name !== null && name !== basename(file)) return;
        this.#settle?.cancel();
        this.#settle = realClock.setTimeout(() => void this.reload(controller).catch(() => {}), SETTLE_MS);
      });
      watcher.on("error", (error) => this.#log.warn(`cannot watch ${dir}: ${error.message}`));
      this.#watchers.set(file, watcher);
    }
  }
}
