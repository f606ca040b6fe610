import type { Clock } from "@sluice/runtime";
import type { App } from "../framework/app.js";
import { hub } from "./hub.js";
import { learningSwitch } from "./learning-switch.js";
import { topology } from "./topology/index.js";

/** What the command line can set of any app. */
export interface AppSettings {
  /** Seconds; 0 is for ever. */
  maxIdle?: number;
  noFlow?: boolean;
  clock?: Clock;
}

/** The apps that come with the controller, by name. */
export const bundledApps: Readonly<
  Record<string, { summary: string; create: (settings: AppSettings) => App }>
> = {
  "learning-switch": { summary: "forwards by learned addresses, VLAN by VLAN", create: learningSwitch },
  hub: { summary: "sends every packet to every other port", create: hub },
  topology: { summary: "finds links by LLDP, and hosts; to stand before the others", create: topology },
};
