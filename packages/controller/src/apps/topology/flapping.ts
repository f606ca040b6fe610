import type { Clock, Log } from "@sluice/runtime";
import type { Topology, TopologyPort } from "./model.js";

/** A host that is seen at another port so often in so short a time is not one that is carried about. */
const MOVES = 5;
const WITHIN_MS = 5000;
/** So long nothing more is said of it. */
const SILENT_MS = 60_000;
const MAX_HOSTS = 1024;

const nameOf = ({ dpid, port_no, name }: TopologyPort): string =>
  `port ${port_no} (${name}) of switch ${dpid.toString(16).padStart(16, "0")}`;

/** Warns of addresses that are seen now here, now there: two hosts have the same, or frames go round in a loop. */
export function watchFlapping(model: Topology, clock: Clock, log: Log): void {
  const moves = new Map<string, { count: number; since: number; silentUntil: number }>();
  model.events.on("host_move", ({ mac, port }, from) => {
    const now = clock.now();
    let entry = moves.get(mac);
    if (entry === undefined) {
      const [oldest] = moves.keys();
      if (moves.size >= MAX_HOSTS) moves.delete(oldest!);
      entry = { count: 0, since: now, silentUntil: 0 };
      moves.set(mac, entry);
    }
    if (now - entry.since > WITHIN_MS) Object.assign(entry, { count: 0, since: now });
    if (++entry.count < MOVES || now < entry.silentUntil) return;
    entry.silentUntil = now + SILENT_MS;
    model.counters.flapping++;
    log.warn(
      `${mac} is seen now at ${nameOf(from)}, now at ${nameOf(port)}: two hosts have this address, or there is a loop`,
    );
  });
}
