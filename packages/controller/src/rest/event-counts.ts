import type { MessageOf } from "@sluice/openflow-codec";
import type { EventEmitter } from "eventemitter3";
import type { Switch } from "../framework/app.js";
import type { ControllerEvents } from "../framework/dispatch.js";
import { listen } from "./events/sources.js";

const MAX_SWITCHES = 16_384;

/** Counts by switch what comes with every packet: one look-up, where a label of prom-client costs ten times that. */
export class PerSwitchCount {
  readonly byId = new Map<string, { count: number }>();
  readonly #bySwitch = new WeakMap<Switch, { count: number }>();

  readonly add = (dp: Switch): void => {
    const known = this.#bySwitch.get(dp);
    if (known !== undefined) known.count++;
    else this.#first(dp);
  };

  /** A switch that connects anew goes on counting; those seen longest ago are forgotten. */
  #first(dp: Switch): void {
    const entry = this.byId.get(dp.id) ?? { count: 0 };
    entry.count++;
    this.byId.set(dp.id, entry);
    this.#bySwitch.set(dp, entry);
    if (this.byId.size > MAX_SWITCHES) this.byId.delete(this.byId.keys().next().value!);
  }
}

/** What has happened since the start, whether or not anybody has asked for metrics. */
export class EventCounts {
  readonly packetIns = new PerSwitchCount();
  readonly flowsRemoved = new PerSwitchCount();
  /** By type of error. */
  readonly errors = new Map<string, PerSwitchCount>();
  readonly #end: () => void;

  constructor(watchers: EventEmitter<ControllerEvents> | undefined) {
    const handlers = {
      packet_in: this.packetIns.add,
      flow_removed: this.flowsRemoved.add,
      error: (dp: Switch, { error_type }: MessageOf<"OFPT_ERROR">) => {
        const type = typeof error_type === "string" ? error_type : "other";
        let counts = this.errors.get(type);
        if (counts === undefined) {
          counts = new PerSwitchCount();
          this.errors.set(type, counts);
        }
        counts.add(dp);
      },
    };
    this.#end = watchers === undefined ? () => {} : listen<ControllerEvents>(watchers, handlers);
  }

  stop(): void {
    this.#end();
  }
}
