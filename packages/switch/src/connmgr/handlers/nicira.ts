import { refuse } from "../../ofproto/error.js";
import type { HandlerTable } from "./handler.js";

/** Extensions that the OVS tools speak over OpenFlow 1.3. */
export const nicira: HandlerTable = {
  OFPT_EXPERIMENTER: (_agent, { experimenter }) => {
    throw refuse("OFPBRC_BAD_EXPERIMENTER", `experimenter 0x${experimenter.toString(16)}`);
  },
};
