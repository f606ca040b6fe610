import type { AppDefinition } from "../composition/definition.js";
import { firewallApp } from "./firewall/firewall.js";
import { forwardingApp } from "./forwarding/index.js";
import { hubApp } from "./hub.js";
import { learningSwitchApp } from "./learning-switch.js";
import { monitorApp } from "./monitor/index.js";
import { policyApp } from "./policy/index.js";
import { qosApp } from "./qos/qos.js";
import { routerApp } from "./router/router.js";
import { staticFlowsApp } from "./static-flows.js";
import { topologyApp } from "./topology/index.js";

const definitions: readonly AppDefinition[] = [
  learningSwitchApp,
  hubApp,
  staticFlowsApp,
  topologyApp,
  firewallApp,
  routerApp,
  qosApp,
  forwardingApp,
  monitorApp,
  policyApp,
];

/** The apps that come with the controller, by name. */
export const bundledApps: Readonly<Record<string, AppDefinition>> = Object.fromEntries(
  definitions.map((definition) => [definition.name, definition]),
);
