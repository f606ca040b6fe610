import type { Bridges } from "../bridge/reconfigure.js";

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
