import { hostname } from "node:os";
import { basename } from "node:path";
import type { LineFormat, LogRecord } from "./log.js";

/** The patterns of log lines, as ovs-appctl(8) has them under `vlog/set PATTERN:DESTINATION:PATTERN`. */

const CONVERSION = /%(-?)(0?)(\d*)(?:([dD])(?:\{([^}]*)\})?|(.))/gs;

// Text that came from the network must not be able to forge a line or to drive a terminal.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
const escapeControl = (text: string): string =>
  text.replace(CONTROL, (c) => (c === "\n" ? "\\n" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`));

const program = (): string => basename(process.argv[1] ?? process.argv0);

/** What stands for `%` and a letter. `%T` and `%t` name threads, of which only the main one logs. */
const ESCAPES: Readonly<Record<string, (record: LogRecord) => string>> = {
  A: program,
  c: ({ module }) => module,
  E: hostname,
  m: ({ text }) => escapeControl(text),
  N: ({ sequence }) => String(sequence),
  n: () => "\n",
  p: ({ level }) => level.toUpperCase(),
  P: () => String(process.pid),
  t: () => "main",
  T: () => "",
  "%": () => "%",
};

const two = (number: number): string => String(number).padStart(2, "0");
const month = new Intl.DateTimeFormat("en", { month: "short", timeZone: "UTC" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "short", timeZone: "UTC" });

/** What stands for `%` and a letter in a time: strftime(3)'s, as far as logs use them. */
const TIMES: Readonly<Record<string, (time: Date) => string>> = {
  Y: (time) => String(time.getUTCFullYear()),
  y: (time) => two(time.getUTCFullYear() % 100),
  m: (time) => two(time.getUTCMonth() + 1),
  d: (time) => two(time.getUTCDate()),
  e: (time) => String(time.getUTCDate()).padStart(2),
  H: (time) => two(time.getUTCHours()),
  M: (time) => two(time.getUTCMinutes()),
  S: (time) => two(time.getUTCSeconds()),
  F: (time) => time.toISOString().slice(0, 10),
  T: (time) => time.toISOString().slice(11, 19),
  a: (time) => weekday.format(time),
  b: (time) => month.format(time),
  h: (time) => month.format(time),
  "%": () => "%",
};

/** `#` is a digit of the second's fraction; those after the third are 0, as in Open vSwitch. */
const timeText = (format: string, ms: number): string => {
  const time = new Date(ms);
  const fraction = String(time.getUTCMilliseconds()).padStart(3, "0");
  return format.replace(/%(.)|#+/gs, (token, letter: string | undefined) =>
    letter === undefined
      ? fraction.padEnd(token.length, "0").slice(0, token.length)
      : (TIMES[letter]?.(time) ?? letter),
  );
};

const toLocal = (ms: number): number => ms - new Date(ms).getTimezoneOffset() * 60_000;

/** How `pattern` makes lines. As in Open vSwitch, an escape that there is not stands for its letter. */
export const patternFormat = (pattern: string): LineFormat => ({
  pattern,
  line: (record) => {
    const expand = (
      _all: string,
      left: string,
      zeros: string,
      width: string,
      date: string | undefined,
      template = "%Y-%m-%d %H:%M:%S.###",
      letter = "",
    ): string => {
      const text = date
        ? timeText(template, date === "D" ? record.wallMs : toLocal(record.wallMs))
        : (ESCAPES[letter]?.(record) ?? letter);
      return left ? text.padEnd(Number(width)) : text.padStart(Number(width), zeros || " ");
    };
    return `${pattern.replace(CONVERSION, expand)}\n`;
  },
});
