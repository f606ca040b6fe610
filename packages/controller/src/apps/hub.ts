import { OFPP, type OfMessageInit } from "@sluice/openflow-codec";
import type { App } from "../framework/app.js";
import { inPortOf, packetOut, tableMissToController } from "./flows.js";

export interface HubOptions {
  /** Every packet passes through the controller. */
  noFlow?: boolean;
}

const floodEverything: OfMessageInit = {
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  priority: 0,
  instructions: [
    { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: OFPP.FLOOD, max_len: 0 }] },
  ],
};

/** Every packet goes out of every other port: by one flow, or packet by packet. */
export function hub(options: HubOptions = {}): App {
  return {
    name: "hub",
    events: {
      datapath_up: () => [options.noFlow ? tableMissToController : floodEverything],
      packet_in: (_dp, message) => {
        const inPort = inPortOf(message);
        return inPort === undefined ? [] : [packetOut(message, inPort, OFPP.FLOOD)];
      },
    },
  };
}
