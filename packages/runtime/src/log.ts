import { closeSync, openSync, writeSync } from "node:fs";
import { type Clock, realClock } from "./clock.js";
import { patternFormat } from "./log-pattern.js";
import { type Dropped, RateLimiter } from "./rate-limit.js";

/** From the most to the least important; a destination set to a level takes it and all before it. */
export const LOG_LEVELS = ["off", "emer", "err", "warn", "info", "dbg"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogSeverity = Exclude<LogLevel, "off">;
export const LOG_DESTINATIONS = ["console", "file"] as const;
export type LogDestination = (typeof LOG_DESTINATIONS)[number];

/** What a part of the program logs through. `subject`: whom or what a line is about, such as the host of a peer. Of lines that
 *  repeat too often those about one subject are dropped apart from those about another. */
export interface Log {
  readonly name: string;
  emer(text: string, subject?: string): void;
  err(text: string, subject?: string): void;
  warn(text: string, subject?: string): void;
  info(text: string, subject?: string): void;
  dbg(text: string, subject?: string): void;
  /** Whether a line of this level would go anywhere; asked before an expensive text is made. */
  enabled(level: LogSeverity): boolean;
}

/** One line before it is text. */
export interface LogRecord {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Counts up from 1 over all lines. */
  readonly sequence: number;
  readonly module: string;
  readonly level: LogSeverity;
  readonly text: string;
}

/** How lines look. */
export interface LineFormat {
  /** The pattern of it, for `vlog/list-pattern`. */
  readonly pattern: string;
  /** Makes a record one line, with its newline. What `text` holds came from the network: it must be escaped. */
  readonly line: (record: LogRecord) => string;
}

export interface LogOptions {
  clock?: Clock;
  /** Takes one line with its newline; standard error when left out. */
  console?: (line: string) => void;
  /** Level of every module and destination until changed. */
  level?: LogLevel;
  /** Open vSwitch's unless given. */
  format?: LineFormat;
}

const PATTERN_SPEC = /^pattern:([^:]*):(.*)$/is;

const rank = (level: LogLevel): number => LOG_LEVELS.indexOf(level);

/** Open vSwitch's, with milliseconds: `2026-01-31T10:00:00.000Z|00001|module|INFO|text`. */
const VLOG_PATTERN = "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c|%p|%m";

type Write = (module: Module, level: LogSeverity, text: string, subject?: string) => void;

class Module implements Log {
  readonly name: string;
  readonly levels: Record<LogDestination, LogLevel>;
  /** Whether lines that repeat too often are dropped. */
  isLimited = true;
  readonly #write: Write;

  constructor(name: string, levels: Record<LogDestination, LogLevel>, write: Write) {
    this.name = name;
    this.levels = levels;
    this.#write = write;
  }

  emer(text: string, subject?: string): void {
    this.#write(this, "emer", text, subject);
  }
  err(text: string, subject?: string): void {
    this.#write(this, "err", text, subject);
  }
  warn(text: string, subject?: string): void {
    this.#write(this, "warn", text, subject);
  }
  info(text: string, subject?: string): void {
    this.#write(this, "info", text, subject);
  }
  dbg(text: string, subject?: string): void {
    if (this.enabled("dbg")) this.#write(this, "dbg", text, subject);
  }

  enabled(level: LogSeverity): boolean {
    return LOG_DESTINATIONS.some((destination) => rank(this.levels[destination]) >= rank(level));
  }
}

/** All modules' logs, their levels, and where lines go and how they look. Lines that repeat too often are dropped and
 *  counted. */
export class LogRegistry {
  readonly #clock: Clock;
  readonly #console: (line: string) => void;
  readonly #modules = new Map<string, Module>();
  readonly #defaults: Record<LogDestination, LogLevel>;
  readonly #limiter: RateLimiter<LogSeverity>;
  readonly #formats: Record<LogDestination, LineFormat>;
  /** Without `fd` it is closed for now. */
  #file: { path: string; fd: number | undefined } | undefined;
  #sequence = 0;

  constructor(options: LogOptions = {}) {
    this.#clock = options.clock ?? realClock;
    this.#console = options.console ?? ((line) => void process.stderr.write(line));
    this.#defaults = { console: options.level ?? "info", file: options.level ?? "info" };
    this.#limiter = new RateLimiter(this.#clock, this.#tellDropped);
    const format = options.format ?? patternFormat(VLOG_PATTERN);
    this.#formats = { console: format, file: format };
  }

  /** Lines dropped so far because they repeated too often. */
  get dropped(): number {
    return this.#limiter.dropped;
  }

  module(name: string): Log {
    let module = this.#modules.get(name);
    if (!module) {
      module = new Module(name, { ...this.#defaults }, this.#write);
      this.#modules.set(name, module);
    }
    return module;
  }

  /** Sets the level of one module or "ANY", for one destination or "ANY". Throws a one-line Error on unknown names. */
  set(module: string, destination: LogDestination | "ANY", level: LogLevel): void {
    const modules = module === "ANY" ? [...this.#modules.values()] : [this.#modules.get(module)];
    const destinations = destination === "ANY" ? LOG_DESTINATIONS : [destination];
    for (const target of modules) {
      if (!target) throw new Error(`no log module "${module}"`);
      for (const d of destinations) target.levels[d] = level;
    }
    if (module === "ANY") for (const d of destinations) this.#defaults[d] = level;
  }

  /** `[MODULE][:DESTINATION[:LEVEL]]` in any order, as `ovs-appctl vlog/set` takes it: what is not named is any
   *  module, any destination, level dbg. Or `PATTERN:DESTINATION:PATTERN`. Open vSwitch's destination syslog, which scripts name
   *  and which there is not here, is taken and changes nothing. Throws a one-line Error on an unknown word. */
  setSpec(spec: string): void {
    const [, name, pattern] = PATTERN_SPEC.exec(spec) ?? [];
    if (name !== undefined && pattern !== undefined) {
      this.#setPattern(name.toLowerCase(), pattern);
      return;
    }
    let module = "ANY";
    let destination: LogDestination | "ANY" = "ANY";
    let level: LogLevel = "dbg";
    for (const word of spec.split(/[\s:,]+/).filter((w) => w !== "")) {
      const lower = word.toLowerCase();
      if (lower === "any") continue;
      if (lower === "syslog") return;
      if ((LOG_LEVELS as readonly string[]).includes(lower)) level = lower as LogLevel;
      else if ((LOG_DESTINATIONS as readonly string[]).includes(lower)) destination = lower as LogDestination;
      else if (this.#modules.has(word)) module = word;
      else throw new Error(`no destination, level, or module "${word}"`);
    }
    this.set(module, destination, level);
  }

  #setPattern(name: string, pattern: string): void {
    const destinations = LOG_DESTINATIONS.filter((destination) => name === "any" || destination === name);
    if (destinations.length === 0) throw new Error(`unknown destination "${name}"`);
    for (const destination of destinations) this.#formats[destination] = patternFormat(pattern);
  }

  /** Whether lines of these modules, of all where none is named, are dropped when they repeat too often. Throws a one-line
   *  Error on an unknown module. */
  limitRate(names: readonly string[], isLimited: boolean): void {
    const isAll = names.length === 0 || names.some((name) => name.toLowerCase() === "any");
    const modules = isAll ? [...this.#modules.values()] : names.map((name) => this.#modules.get(name));
    for (const module of modules) {
      if (!module) throw new Error("unknown module");
      module.isLimited = isLimited;
    }
  }

  /** Every module with its levels, as text for `vlog/list`. */
  list(): string {
    const rows = [...this.#modules.values()].sort((a, b) => a.name.localeCompare(b.name));
    const line = (cells: readonly string[]): string =>
      `${cells[0]!.padEnd(18)} ${cells
        .slice(1)
        .map((cell) => cell.padStart(7))
        .join("    ")}\n`;
    const head =
      line(["", ...LOG_DESTINATIONS]) + line(["", ...LOG_DESTINATIONS.map((d) => "-".repeat(d.length))]);
    return (
      head +
      rows.map((m) => line([m.name, ...LOG_DESTINATIONS.map((d) => m.levels[d].toUpperCase())])).join("")
    );
  }

  /** Each destination with its pattern, as text for `vlog/list-pattern`. Nothing is put before a line. */
  listPatterns(): string {
    const line = (name: string, prefix: string, format: string): string =>
      `${name.padEnd(8)} ${prefix.padEnd(32)}  ${format}\n`;
    return (
      line("", "prefix", "format") +
      line("", "------", "------") +
      LOG_DESTINATIONS.map((d) => line(d.toUpperCase(), "none", this.#formats[d].pattern)).join("")
    );
  }

  /** Appends from now on to the file at `path`. Throws the operating system's error. */
  openFile(path: string): void {
    const fd = openSync(path, "a", 0o640);
    this.closeFile();
    this.#file = { path, fd };
  }

  /** Tells now of the lines that were dropped since it was last told of, before the program ends. */
  reportDropped(): void {
    this.#limiter.reportDropped();
  }

  /** Closes and opens the file again, after a rotation. Throws where there never was one. */
  reopenFile(): void {
    if (!this.#file) throw new Error("Logging to file not configured");
    this.openFile(this.#file.path);
  }

  /** Lines go to the file no more, until it is opened again. */
  closeFile(): void {
    if (this.#file?.fd === undefined) return;
    closeSync(this.#file.fd);
    this.#file.fd = undefined;
  }

  readonly #write: Write = (module, level, text, subject) => {
    if (!module.enabled(level)) return;
    if (module.isLimited && !this.#limiter.passes({ module: module.name, level, text, subject })) return;
    this.#emit(module, level, text);
  };

  readonly #tellDropped = ({ count, sinceMs, last }: Dropped<LogSeverity>): void => {
    const seconds = Math.max(1, Math.round(sinceMs / 1000));
    const what = `${count === 1 ? "1 line" : `${count} lines`} dropped in the last ${seconds} s, the last: `;
    this.#emit(this.#modules.get(last.module)!, last.level, what + last.text);
  };

  #emit(module: Module, level: LogSeverity, text: string): void {
    const wallMs = this.#clock.wallNow();
    const record = { wallMs, sequence: ++this.#sequence, module: module.name, level, text };
    const goesTo = (destination: LogDestination): boolean => rank(module.levels[destination]) >= rank(level);
    const { console: consoleFormat, file: fileFormat } = this.#formats;
    if (goesTo("console")) this.#console(consoleFormat.line(record));
    if (this.#file?.fd !== undefined && goesTo("file")) {
      try {
        writeSync(this.#file.fd, fileFormat.line(record));
      } catch {
        // A full disk must not stop the program; the console still has the line.
      }
    }
  }
}

export const createLog = (options: LogOptions = {}): LogRegistry => new LogRegistry(options);

const nothing = (): void => {};
/** Keeps nothing; for tests and parts that nobody listens to. */
export const nullLog: Log = {
  name: "null",
  emer: nothing,
  err: nothing,
  warn: nothing,
  info: nothing,
  dbg: nothing,
  enabled: () => false,
};
