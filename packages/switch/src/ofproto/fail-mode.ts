import type { FlowMod } from "./of.js";
import type { FailMode } from "./types.js";
import { OFPP } from "./xlate/reserved.js";

/** What the switch does by itself while no controller does it (ovs-vswitchd.conf.db, Bridge.fail_mode).
 *
 *  - standalone, no controller configured: a plain NORMAL flow of priority 0, which anybody may see and change.
 *  - standalone, the controllers away: a hidden NORMAL flow above all others; it goes when one is back. The flows
 *    that controllers have put in stay.
 *  - secure: nothing.
 *
 *  Whenever controllers come to be configured, or cease to be, or the mode changes without any, the tables start
 *  empty, without groups and meters. */
export interface FailState {
  mode: FailMode;
  configured: boolean;
  connected: boolean;
}

/** Above every priority that a controller can give. */
export const FAIL_OPEN_PRIORITY = 0xf0_f0f0;

const normal = (priority: number): FlowMod => ({
  command: "OFPFC_ADD",
  priority,
  instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: OFPP.NORMAL }] }],
});

export interface FailActions {
  /** Empty the tables first, and let groups and meters go. */
  flush: boolean;
  /** A flow to have from now on. */
  add: FlowMod | undefined;
  /** Whether the hidden flow has to be there. */
  hidden: FlowMod | undefined;
}

/** What a change of state asks for. */
export function failActions(before: FailState | undefined, after: FailState): FailActions {
  const flush =
    before !== undefined &&
    (before.configured !== after.configured || (before.mode !== after.mode && !after.configured));
  const isStandalone = after.mode === "standalone";
  return {
    flush,
    add: isStandalone && !after.configured && (flush || before === undefined) ? normal(0) : undefined,
    hidden: isStandalone && after.configured && !after.connected ? normal(FAIL_OPEN_PRIORITY) : undefined,
  };
}
