import { OFP_NO_BUFFER, OFPP } from "@sluice/openflow-codec";
import { refuse } from "../../ofproto/error.js";
import type { Agent } from "../agent.js";
import type { HandlerTable } from "./handler.js";

/** A buffered packet, or the error that says why there is none (§7.4.4). */
function takeBuffer(agent: Agent, buffer_id: number): { packet: Uint8Array; in_port: number } {
  const taken = agent.state.buffers.take(buffer_id);
  if (typeof taken === "string") throw refuse(taken, `buffer_id 0x${buffer_id.toString(16)}`);
  return taken;
}

const ADDS: ReadonlySet<unknown> = new Set(["OFPFC_ADD", "OFPFC_MODIFY", "OFPFC_MODIFY_STRICT"]);

/** Carries out what the datapath is told of at once, when it is not far behind with what it was told before: else a peer
 *  could have what waits for it grow without end. */
function whenCaughtUp(agent: Agent, work: () => void): void | Promise<void> {
  return agent.state.ofproto.caughtUp()?.then(() => whenCaughtUp(agent, work)) ?? work();
}

/** What changes the switch, or sends a packet. */
export const modify: HandlerTable = {
  OFPT_FLOW_MOD: (agent, message) => {
    const { ofproto } = agent.state;
    ofproto.flowMod(message, agent);
    if (message.buffer_id === OFP_NO_BUFFER || !ADDS.has(message.command)) return;
    // §7.3.4.1: a flow_mod with a buffer is that flow_mod, and then a packet_out of the buffer to OFPP_TABLE.
    const { packet, in_port } = takeBuffer(agent, message.buffer_id);
    return whenCaughtUp(agent, () =>
      ofproto.packetOut({ in_port, actions: [{ type: "OFPAT_OUTPUT", port: OFPP.TABLE }], data: packet }),
    );
  },

  OFPT_GROUP_MOD: (agent, message) => agent.state.ofproto.groupMod(message, agent),

  OFPT_PORT_MOD: (agent, message) => agent.state.ofproto.portMod(message, agent),

  OFPT_TABLE_MOD: (agent, message) => agent.state.ofproto.tableMod(message),

  OFPT_METER_MOD: (agent, message) => whenCaughtUp(agent, () => agent.state.ofproto.meterMod(message, agent)),

  OFPT_PACKET_OUT: (agent, message) => {
    const { buffer_id, in_port, actions } = message;
    const data = buffer_id === OFP_NO_BUFFER ? message.data : takeBuffer(agent, buffer_id).packet;
    return whenCaughtUp(agent, () => agent.state.ofproto.packetOut({ in_port, actions, data }));
  },
};
