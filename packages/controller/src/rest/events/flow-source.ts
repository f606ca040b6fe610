import type { Clock } from "@sluice/runtime";
import { FlowMonitor, type FlowUpdate, type TableCopies } from "../../copy/index.js";
import type { ObservedSwitch } from "../../framework/app.js";
import type { ListedFlow, TableChange } from "../../tables/index.js";
import { dpidText } from "../dpid.js";
import { flowOf } from "../network-json.js";
import type { EventLog } from "./event-log.js";
import { followCopy, type SwitchesOptions, withEachSwitch } from "./follow-copy.js";

export interface FlowSourceOptions extends SwitchesOptions {
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

/** Writes down every change of a flow of all switches that is known of: by the switch's own word where it has flow
 *  monitors; else what was sent and confirmed, what it says has gone, and what its lists show. Gives what ends that. */
export function recordFlows(options: FlowSourceOptions): () => void {
  return withEachSwitch(options, (dp) =>
    followSwitch(dp, options, (change, flow, more) => {
      const dpid = dpidText(dp.dpid);
      options.log.add({
        ...{ type: `flow_${change}`, dpids: [dpid] },
        detail: () => ({ dpid, ...flowOf(flow), ...more }),
      });
    }),
  );
}

type Tell = (change: TableChange, flow: ListedFlow, more?: object) => void;

function followSwitch(dp: ObservedSwitch, { copies, clock }: FlowSourceOptions, tell: Tell): () => void {
  let isOver = false;
  let end = (): void => {};
  const updated = (update: FlowUpdate): void => {
    const change = CHANGES[update.type];
    tell(change, update, change === "delete" ? { reason: REASONS[update.reason] ?? update.reason } : {});
  };
  const ofCopy = (): (() => void) =>
    followCopy({
      clock,
      copyOf: () => copies?.of(dp),
      isSame: (copy) => copy.hasSameCount(),
      watcher: { flow: (change, flow) => tell(change, flow) },
    });
  FlowMonitor.of(dp)
    // What it leaves out while it pauses it tells afterwards.
    .follow({ updated, paused: () => {} })
    .then((endMonitor) => {
      end = endMonitor ?? ofCopy();
      if (isOver) end();
    })
    // The switch is gone, or does not answer: then it does not tell of flows either.
    .catch(() => {});
  return () => {
    isOver = true;
    end();
  };
}
