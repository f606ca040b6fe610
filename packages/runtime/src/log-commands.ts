import type { LogRegistry } from "./log.js";
import type { ControlServer } from "./unixctl.js";

/** The `vlog/…` commands of a control socket. */
export function registerLogCommands(server: ControlServer, logs: LogRegistry): void {
  server.register("vlog/list", "", 0, 0, () => logs.list());
  server.register("vlog/set", "{spec | MODULE[:DESTINATION[:LEVEL]]}", 1, Number.MAX_SAFE_INTEGER, (args) => {
    for (const spec of args) logs.setSpec(spec);
    return "";
  });
  server.register("vlog/reopen", "", 0, 0, () => {
    logs.reopenFile();
    return "";
  });
}
