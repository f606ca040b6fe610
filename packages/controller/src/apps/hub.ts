import { OFPP } from "@sluice/openflow-codec";
import { defineApp } from "../composition/definition.js";
import type { App } from "../framework/app.js";
import { addFlow, output, packetOut, tableMissToController } from "../framework/messages.js";

export interface HubOptions {
  /** Every packet passes through the controller. */
  noFlow?: boolean | undefined;
}

/** Every packet goes out of every other port: by one flow, or packet by packet. */
export function hub(options: HubOptions = {}): App {
  const flood = output(OFPP.FLOOD);
  return {
    name: "hub",
    events: {
      datapath_up: () => [options.noFlow ? tableMissToController : addFlow({ priority: 0 }, flood)],
      packet_in: (_dp, message) => [packetOut(message, flood)],
    },
  };
}

export const hubApp = defineApp({
  name: "hub",
  summary: "sends every packet to every other port",
  settings: {
    type: "object",
    properties: {
      noFlow: { type: "boolean", description: "install no flow: every packet passes through the controller" },
    },
  },
  create: hub,
});
