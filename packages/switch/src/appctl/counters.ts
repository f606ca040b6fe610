import type { LogRegistry } from "@sluice/runtime";
import type { Bridges } from "../bridge/reconfigure.js";

type Counters = Record<string, number>;

function add(into: Counters, prefix: string, counters: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counters)) {
    const key = `${prefix}_${name}`;
    into[key] = (into[key] ?? 0) + count;
  }
}

/** Every named event counter, those of all bridges added up. */
export async function coverage(bridges: Bridges, logs: LogRegistry): Promise<string> {
  const counters: Counters = { log_lines_dropped: logs.dropped };
  add(counters, "bridge", bridges.counters);
  for (const { dpif, megaflows } of bridges.backers()) {
    add(counters, "datapath", await dpif.counters());
    add(counters, "megaflow", megaflows.counters);
  }
  for (const { connmgr } of bridges.running.values()) add(counters, "connmgr", connmgr.allCounters());
  const rows = Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1));
  const shown = rows.filter(([, count]) => count > 0);
  const lines = shown.map(([name, count]) => `${name.padEnd(36)} total: ${count}\n`).join("");
  return `Event coverage, ${shown.length} counters with events:\n${lines}${rows.length - shown.length} events never hit\n`;
}

/** What takes memory, by number. */
export function memory(bridges: Bridges): string {
  let ports = 0;
  let macs = 0;
  let ofconns = 0;
  let rules = 0;
  for (const { ofproto, connmgr } of bridges.running.values()) {
    ports += ofproto.ports().length;
    macs += ofproto.macLearning.count;
    for (const table of ofproto.tables) rules += table.rules.size;
    ofconns += connmgr.connections().length;
  }
  let megaflows = 0;
  for (const backer of bridges.backers()) megaflows += backer.megaflows.size;
  const { rss, heapUsed } = process.memoryUsage();
  const kB = (bytes: number): number => Math.round(bytes / 1024);
  return `bridges:${bridges.running.size} heap-kB:${kB(heapUsed)} macs:${macs} megaflows:${megaflows} ofconns:${ofconns} ports:${ports} rss-kB:${kB(rss)} rules:${rules}\n`;
}
