import type { LogRegistry } from "./log.js";
import type { ControlServer } from "./unixctl.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** The `vlog/…` commands of a control socket. */
export function registerLogCommands(server: ControlServer, logs: LogRegistry): void {
  const done = (effect: (args: readonly string[]) => void) => (args: readonly string[]) => {
    effect(args);
    return "";
  };
  server.register("vlog/list", "", 0, 0, () => logs.list());
  server.register("vlog/list-pattern", "", 0, 0, () => logs.listPatterns());
  server.register(
    "vlog/set",
    "{spec | PATTERN:destination:pattern}",
    1,
    MANY,
    done((args) => {
      for (const spec of args) logs.setSpec(spec);
    }),
  );
  server.register(
    "vlog/close",
    "",
    0,
    0,
    done(() => logs.closeFile()),
  );
  server.register(
    "vlog/reopen",
    "",
    0,
    0,
    done(() => logs.reopenFile()),
  );
  server.register(
    "vlog/enable-rate-limit",
    "[module]...",
    0,
    MANY,
    done((args) => logs.limitRate(args, true)),
  );
  server.register(
    "vlog/disable-rate-limit",
    "[module]...",
    0,
    MANY,
    done((args) => logs.limitRate(args, false)),
  );
}
