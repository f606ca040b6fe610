import type { Clock } from "@sluice/runtime";
import { SwitchCopy } from "../../copy/index.js";
import { dpidText } from "../dpid.js";
import { showGroupDesc, showMeterConfig } from "../ofctl/show.js";
import type { EventLog } from "./event-log.js";
import { followCopy, type SwitchesOptions, withEachSwitch } from "./follow-copy.js";

export interface GroupSourceOptions extends SwitchesOptions {
  readonly clock: Clock;
  readonly log: EventLog;
}

/** Writes down every change of a group or a meter of all switches that is known of. No switch tells of these by itself: it
 *  is what was sent and confirmed, and what the switch's lists show. Gives what ends that. */
export function recordGroups(options: GroupSourceOptions): () => void {
  const { clock, log } = options;
  return withEachSwitch(options, (dp) => {
    const dpid = dpidText(dp.dpid);
    const copy = new SwitchCopy(dp, clock, "groups");
    const end = followCopy({
      ...{ clock, copyOf: () => copy },
      isSame: async () => (await copy.hasSameGroups()) && (await copy.hasSameMeters()),
      watcher: {
        group: (change, group) =>
          log.add({
            ...{ type: `group_${change}`, dpids: [dpid] },
            detail: () => {
              const { type: group_type, ...shown } = showGroupDesc(group);
              return { dpid, group_type, ...shown };
            },
          }),
        meter: (change, meter) =>
          log.add({
            ...{ type: `meter_${change}`, dpids: [dpid] },
            detail: () => ({ dpid, ...showMeterConfig(meter) }),
          }),
      },
    });
    return () => {
      end();
      copy.stop();
    };
  });
}
