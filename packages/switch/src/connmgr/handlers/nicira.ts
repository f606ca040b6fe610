import { KNOWN_EXPERIMENTERS, refuse } from "../../ofproto/error.js";
import type { Agent } from "../agent.js";
import { type AsyncConfig, type AsyncKind, fromAsyncFields, isUnknown } from "../async.js";
import type { HandlerTable } from "./handler.js";

/** OpenFlow 1.4's properties, by the masks that they set: [kind, 0 for master and equal, 1 for slave]. */
const PROPERTY: Readonly<Record<string, readonly [AsyncKind, 0 | 1]>> = {
  OFPACPT_PACKET_IN_SLAVE: ["packet_in", 1],
  OFPACPT_PACKET_IN_MASTER: ["packet_in", 0],
  OFPACPT_PORT_STATUS_SLAVE: ["port_status", 1],
  OFPACPT_PORT_STATUS_MASTER: ["port_status", 0],
  OFPACPT_FLOW_REMOVED_SLAVE: ["flow_removed", 1],
  OFPACPT_FLOW_REMOVED_MASTER: ["flow_removed", 0],
  OFPACPT_ROLE_STATUS_SLAVE: ["role_status", 1],
  OFPACPT_ROLE_STATUS_MASTER: ["role_status", 0],
  OFPACPT_REQUESTFORWARD_SLAVE: ["requestforward", 1],
  OFPACPT_REQUESTFORWARD_MASTER: ["requestforward", 0],
};

const PACKET_IN_FORMATS: Readonly<Record<string, Agent["channel"]["packetInFormat"] | undefined>> = {
  NXPIF_STANDARD: "standard",
  NXPIF_NXT_PACKET_IN: "nxt",
  NXPIF_NXT_PACKET_IN2: "nxt2",
};

/** Extensions that the OVS tools speak over OpenFlow 1.3. */
export const nicira: HandlerTable = {
  OFPT_EXPERIMENTER: (_agent, { experimenter }) => {
    throw refuse(
      KNOWN_EXPERIMENTERS.has(experimenter) ? "OFPBRC_BAD_EXP_TYPE" : "OFPBRC_BAD_EXPERIMENTER",
      `a message of experimenter 0x${experimenter.toString(16)}`,
    );
  },

  NXT_SET_PACKET_IN_FORMAT: (agent, { format }) => {
    const known = PACKET_IN_FORMATS[format];
    if (known === undefined) throw refuse("OFPBRC_EPERM", `packet-in format ${format}`);
    agent.channel.packetInFormat = known;
  },

  NXT_SET_CONTROLLER_ID: (agent, { controller_id }) => {
    agent.channel.controllerId = controller_id;
  },

  NXT_SET_ASYNC_CONFIG: (agent, message) => {
    agent.channel.async = fromAsyncFields(message, agent.channel.async);
  },

  NXT_SET_ASYNC_CONFIG2: (agent, { properties }) => {
    const config = Object.fromEntries(
      Object.entries(agent.channel.async).map(([kind, masks]) => [kind, [...masks]]),
    ) as Record<AsyncKind, [number, number]>;
    for (const property of properties) {
      const place = PROPERTY[property.type];
      if (place === undefined || !("mask" in property)) continue;
      const [kind, column] = place;
      if (isUnknown(kind, property.mask))
        throw refuse("OFPACFC_INVALID", `${property.type} 0x${property.mask.toString(16)}`);
      config[kind][column] = property.mask;
    }
    agent.channel.async = config satisfies AsyncConfig;
  },

  // Packet-ins carry no continuation, so there is nothing that could be resumed.
  NXT_RESUME: () => {
    throw refuse("OFPBRC_EPERM", "no packet waits to be resumed");
  },
};
