import type { OfprotoCommon } from "./types.js";
import type { Dpif } from "../dpif/dpif.js";

export interface BackerOptions extends OfprotoCommon {
  dpif: Dpif;
  /** Megaflows kept in the datapath: 200,000 by default (Open_vSwitch other_config:flow-limit). */
  flowLimit?: number;
  /** ms after which an unused megaflow leaves the datapath: 10,000 by default (other_config:max-idle). */
  maxIdle?: number;
}

/** Bridges of one datapath_type share one datapath: the backer owns its megaflows and knows whose each port is. */
export declare class DpBacker {
  constructor(options: BackerOptions);
  readonly dpif: Dpif;
  /** Stops timers; the bridges are destroyed before. Does not destroy the dpif. */
  close(): void;
}
