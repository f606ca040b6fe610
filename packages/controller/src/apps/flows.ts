import { type MessageOf, OFP_NO_BUFFER, OFPCML, OFPP, type OfMessageInit } from "@sluice/openflow-codec";

type PacketIn = MessageOf<"OFPT_PACKET_IN">;

/** What no other flow takes goes to the controller, whole: so nothing need be buffered at the switch. */
export const tableMissToController: OfMessageInit = {
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  priority: 0,
  instructions: [
    {
      type: "OFPIT_APPLY_ACTIONS",
      actions: [{ type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: OFPCML.NO_BUFFER }],
    },
  ],
};

/** Sends the packet of a packet-in out of `port`; without one, only lets go of the switch's buffer. */
export const packetOut = (message: PacketIn, inPort: number, port: number | undefined): OfMessageInit => ({
  type: "OFPT_PACKET_OUT",
  buffer_id: message.buffer_id,
  in_port: inPort,
  actions: port === undefined ? [] : [{ type: "OFPAT_OUTPUT", port, max_len: 0 }],
  data: message.buffer_id === OFP_NO_BUFFER ? message.data : undefined,
});

/** The port that a packet-in's packet came in by. */
export const inPortOf = (message: PacketIn): number | undefined =>
  typeof message.match.in_port === "number" ? message.match.in_port : undefined;
