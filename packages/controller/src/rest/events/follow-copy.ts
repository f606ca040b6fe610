import type { Clock, Timer } from "@sluice/runtime";
import type { EventEmitter } from "eventemitter3";
import type { SwitchCopy } from "../../copy/index.js";
import { isObserved, type ObservedSwitch, type Switch } from "../../framework/app.js";
import type { ControllerEvents } from "../../framework/dispatch.js";
import type { TableWatcher } from "../../tables/index.js";
import type { Switches } from "../route.js";
import { listen } from "./sources.js";

/** A switch that does not tell of changes itself is asked to confirm what was sent so often, and whether it has what the
 *  copy has. */
const CONFIRM_MS = 250;
const COMPARE_MS = 5000;

export interface FollowOptions {
  readonly clock: Clock;
  /** The switch's copy as of now. */
  readonly copyOf: () => SwitchCopy | undefined;
  /** A short question: whether the copy and its switch have the same. */
  readonly isSame: (copy: SwitchCopy) => Promise<boolean>;
  readonly watcher: TableWatcher;
}

/** Keeps a copy up to date, and tells of what it finds. What is there at first is no news. Gives what ends that. */
export function followCopy({ clock, copyOf, isSame, watcher }: FollowOptions): () => void {
  let copy: SwitchCopy | undefined;
  let isBusy = false;
  let comparedAt = clock.now();
  const look = async (): Promise<void> => {
    const now = copyOf();
    if (now === undefined || isBusy) return;
    isBusy = true;
    try {
      if (now !== copy) {
        await now.tables();
        copy = now;
        now.watcher = watcher;
      } else if (clock.now() - comparedAt >= COMPARE_MS) {
        comparedAt = clock.now();
        if (!(await isSame(now))) await now.check();
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
    if (copy !== undefined) copy.watcher = undefined;
  };
}

export interface SwitchesOptions {
  readonly switches: Switches;
  readonly watchers: EventEmitter<ControllerEvents>;
}

/** Begins something with each switch that is up, and with those that come. Gives what ends it with all. */
export function withEachSwitch(
  { switches, watchers }: SwitchesOptions,
  begin: (dp: ObservedSwitch) => () => void,
): () => void {
  const ends = new Map<Switch, () => void>();
  const leave = (dp: Switch): void => {
    ends.get(dp)?.();
    ends.delete(dp);
  };
  const enter = (dp: Switch): void => {
    leave(dp);
    if (isObserved(dp)) ends.set(dp, begin(dp));
  };
  for (const dp of switches.values()) enter(dp);
  const end = listen(watchers, {
    datapath_up: enter,
    datapath_down: leave,
  } satisfies Partial<ControllerEvents>);
  return () => {
    end();
    for (const dp of [...ends.keys()]) leave(dp);
  };
}
