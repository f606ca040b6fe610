import type { Clock, Timer } from "@sluice/runtime";
import { type Monitor, showPort } from "../../apps/monitor/index.js";
import { dpidText } from "../dpid.js";
import type { EventLog } from "./event-log.js";

/** After a reload of apps another monitor may run: it is looked for so often. */
const LOOK_MS = 1000;

/** Writes down the rates of a switch's ports when the monitor app has read them. Gives what ends that. */
export function recordPortRates(monitor: () => Monitor | undefined, clock: Clock, log: EventLog): () => void {
  let current: Monitor | undefined;
  const tell = (dpid: bigint): void => {
    const ports = current?.ports(dpid).map(showPort) ?? [];
    log.add({
      ...{ type: "port_rates", dpids: [dpidText(dpid)] },
      detail: () => ({ dpid: dpidText(dpid), ports }),
    });
  };
  const look = (): void => {
    const found = monitor();
    if (found === current) return;
    current?.events.off("ports_read", tell);
    found?.events.on("ports_read", tell);
    current = found;
  };
  const timer: Timer = clock.setInterval(look, LOOK_MS);
  look();
  return () => {
    timer.cancel();
    current?.events.off("ports_read", tell);
  };
}
