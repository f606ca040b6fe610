import type { Counters, LogRegistry } from "@sluice/runtime";
import type { Bridges } from "../bridge/reconfigure.js";

function add(into: Record<string, number>, prefix: string, counters: Counters): void {
  for (const [name, count] of Object.entries(counters)) {
    const key = `${prefix}_${name}`;
    into[key] = (into[key] ?? 0) + count;
  }
}

/** Every named event counter, those of all bridges added up. */
export async function eventCounters(bridges: Bridges, logs: LogRegistry): Promise<Counters> {
  const counters: Record<string, number> = { log_lines_dropped: logs.dropped };
  add(counters, "bridge", bridges.counters);
  for (const { dpif, megaflows, fragmentCounters } of bridges.backers()) {
    add(counters, "fragment", fragmentCounters);
    add(counters, "datapath", await dpif.counters());
    add(counters, "megaflow", megaflows.counters);
  }
  for (const { connmgr } of bridges.running.values()) add(counters, "connmgr", connmgr.allCounters());
  return counters;
}
