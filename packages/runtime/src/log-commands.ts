import type { LogRegistry } from "./log.js";
import type { ControlCommands } from "./unixctl.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** The `vlog/…` commands of a control socket. */
export const logCommands = (logs: LogRegistry): ControlCommands => ({
  "vlog/list": { run: () => logs.list() },
  "vlog/list-pattern": { run: () => logs.listPatterns() },
  "vlog/set": {
    usage: "{spec | PATTERN:destination:pattern}",
    args: [1, MANY],
    run: (specs) => {
      for (const spec of specs) logs.setSpec(spec);
    },
  },
  "vlog/close": {
    run: () => {
      logs.closeFile();
    },
  },
  "vlog/reopen": {
    run: () => {
      logs.reopenFile();
    },
  },
  "vlog/enable-rate-limit": {
    usage: "[module]...",
    args: [0, MANY],
    run: (modules) => {
      logs.limitRate(modules, true);
    },
  },
  "vlog/disable-rate-limit": {
    usage: "[module]...",
    args: [0, MANY],
    run: (modules) => {
      logs.limitRate(modules, false);
    },
  },
});
