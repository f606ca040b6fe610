import {
  type ActionInit,
  type MessageInitOf,
  type MessageOf,
  OFP_NO_BUFFER,
  OFPCML,
  OFPP,
} from "@sluice/openflow-codec";

/** Shorthands for the messages that nearly every app sends. */

export const output = (port: number): ActionInit => ({
  type: "OFPAT_OUTPUT",
  port,
  max_len: OFPCML.NO_BUFFER,
});

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;

/** Adds a flow that applies `actions` at once; without actions it drops. */
export const addFlow = (
  flow: Omit<FlowMod, "type" | "command" | "instructions">,
  ...actions: ActionInit[]
): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  ...flow,
  instructions: actions.length === 0 ? [] : [{ type: "OFPIT_APPLY_ACTIONS", actions }],
});

/** What no other flow takes goes to the controller, whole: so nothing need be buffered at the switch. */
export const tableMissToController: FlowMod = addFlow({ priority: 0 }, output(OFPP.CONTROLLER));

/** Does `actions` to the packet of a packet-in; without actions it only lets go of the switch's buffer. */
export const packetOut = (
  message: MessageOf<"OFPT_PACKET_IN">,
  ...actions: ActionInit[]
): MessageInitOf<"OFPT_PACKET_OUT"> => packetOutBy(message, actions);

/** The same by a list that is there already. */
export const packetOutBy = (
  message: MessageOf<"OFPT_PACKET_IN">,
  actions: ActionInit[],
): MessageInitOf<"OFPT_PACKET_OUT"> => ({
  type: "OFPT_PACKET_OUT",
  buffer_id: message.buffer_id,
  in_port: message.match.in_port ?? OFPP.CONTROLLER,
  actions,
  data: message.buffer_id === OFP_NO_BUFFER ? message.data : undefined,
});
