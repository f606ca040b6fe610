import type { LineFormat, LogRecord, LogSeverity } from "@sluice/runtime";
import { type Logger, pino } from "pino";

/** Our severities by pino's names. */
const PINO: Readonly<Record<LogSeverity, "fatal" | "error" | "warn" | "info" | "debug">> = {
  ...{ emer: "fatal", err: "error", warn: "warn", info: "info", dbg: "debug" },
};

// What JSON leaves as it is and a terminal would obey.
const UNSAFE = /[\u007f-\u009f\u2028\u2029]/g;

/** Lines of JSON as pino writes them, a child of it for each module, for who collects logs of programs that use it. Which
 *  lines there are is the registry's decision (`vlog/set`), so pino takes every level. */
export function jsonLines(): LineFormat {
  let line = "";
  let time = 0;
  const root = pino(
    { level: "trace", timestamp: () => `,"time":${time}` },
    {
      write: (text: string) => {
        line = text;
      },
    },
  );
  const modules = new Map<string, Logger>();
  const lineOf = ({ wallMs, sequence, module, level, text }: LogRecord): string => {
    let logger = modules.get(module);
    if (logger === undefined) {
      logger = root.child({ module });
      modules.set(module, logger);
    }
    time = Math.round(wallMs);
    logger[PINO[level]]({ seq: sequence }, text);
    return line.replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  };
  return { pattern: "json", line: lineOf };
}
