import type { Clock, Timer } from "@sluice/runtime";
import type { EventEmitter } from "eventemitter3";
import { FlowMonitor, type FlowUpdate, type SwitchCopy, type TableCopies } from "../../copy/index.js";
import { isObserved, type ObservedSwitch, type Switch } from "../../framework/app.js";
import type { ControllerEvents } from "../../framework/dispatch.js";
import type { FlowChange } from "../../tables/index.js";
import { dpidText } from "../dpid.js";
import { type FlowLike, flowOf } from "../network-json.js";
import type { Switches } from "../route.js";
import type { EventLog } from "./event-log.js";
import { listen } from "./sources.js";

export interface FlowSourceOptions {
  readonly switches: Switches;
  readonly watchers: EventEmitter<ControllerEvents>;
  /** For switches that do not tell by themselves. */
  readonly copies: TableCopies | undefined;
  readonly clock: Clock;
  readonly log: EventLog;
}

const CHANGES = { ONFFME_ADDED: "add", ONFFME_MODIFIED: "modify", ONFFME_DELETED: "delete" } as const;
/** Of a removal (OpenFlow 1.3.5 §7.4.2; 5 as OpenFlow 1.4 has it). */
const REASONS = [
  ...["IDLE_TIMEOUT", "HARD_TIMEOUT", "DELETE", "GROUP_DELETE", "METER_DELETE", "EVICTION"],
].map((name) => `OFPRR_${name}`);
/** A switch without flow monitors is asked to confirm what was sent so often, and to count its flows. */
const CONFIRM_MS = 250;
const COUNT_MS = 5000;

/** Writes down every change in the tables of all switches that is known of: by the switch's own word where it has flow
 *  monitors; else what was sent and confirmed, what it says has gone, and what its lists show. Gives what ends that. */
export function recordFlows(options: FlowSourceOptions): () => void {
  const { switches, watchers, log } = options;
  const sites = new Map<Switch, () => void>();
  const leave = (dp: Switch): void => {
    sites.get(dp)?.();
    sites.delete(dp);
  };
  const enter = (dp: Switch): void => {
    leave(dp);
    if (isObserved(dp))
      sites.set(
        dp,
        followSwitch(dp, options, (change, flow, more) => {
          const dpid = dpidText(dp.dpid);
          log.add({
            ...{ type: `flow_${change}`, dpids: [dpid] },
            detail: () => ({ dpid, ...flowOf(flow), ...more }),
          });
        }),
      );
  };
  for (const dp of switches.values()) enter(dp);
  const end = listen(watchers, {
    datapath_up: enter,
    datapath_down: leave,
  } satisfies Partial<ControllerEvents>);
  return () => {
    end();
    for (const dp of [...sites.keys()]) leave(dp);
  };
}

type Tell = (change: FlowChange, flow: FlowLike, more?: object) => void;

function followSwitch(dp: ObservedSwitch, options: FlowSourceOptions, tell: Tell): () => void {
  let isOver = false;
  let end = (): void => {};
  const updated = (update: FlowUpdate): void => {
    const change = CHANGES[update.type];
    tell(change, update, change === "delete" ? { reason: REASONS[update.reason] ?? update.reason } : {});
  };
  FlowMonitor.of(dp)
    // What it leaves out while it pauses it tells afterwards.
    .follow({ updated, paused: () => {} })
    .then((endMonitor) => {
      end = endMonitor ?? followCopy(dp, options, tell);
      if (isOver) end();
    })
    // The switch is gone, or does not answer: then it does not tell of flows either.
    .catch(() => {});
  return () => {
    isOver = true;
    end();
  };
}

function followCopy(dp: ObservedSwitch, { copies, clock }: FlowSourceOptions, tell: Tell): () => void {
  if (copies === undefined) return () => {};
  let copy: SwitchCopy | undefined;
  let isBusy = false;
  let countedAt = clock.now();
  const look = async (): Promise<void> => {
    const now = copies.of(dp);
    if (now === undefined || isBusy) return;
    isBusy = true;
    try {
      if (now !== copy) {
        // What is there already is no news.
        await now.tables();
        copy = now;
        now.onChange = tell;
      } else if (clock.now() - countedAt >= COUNT_MS) {
        countedAt = clock.now();
        if (!(await now.hasSameCount())) await now.check();
      } else if (now.isBehind) await now.tables();
    } catch {
      // It is asked again; a switch that is gone is left.
    } finally {
      isBusy = false;
    }
  };
  const timer: Timer = clock.setInterval(() => void look(), CONFIRM_MS);
  void look();
  return () => {
    timer.cancel();
    if (copy !== undefined) copy.onChange = undefined;
  };
}
