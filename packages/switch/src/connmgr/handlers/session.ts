import { refuse } from "../../ofproto/error.js";
import type { Agent } from "../agent.js";
import { fromAsyncFields, toAsyncFields } from "../async.js";
import { N_BUFFERS } from "../packet-buffers.js";
import { decideRole, NO_GENERATION } from "../roles.js";
import type { HandlerTable } from "./handler.js";

/** ONF extension 191 (OpenFlow 1.4 §7.4.4): who was master learns that another is now; asked or not, as with Open
 *  vSwitch. */
function tellDemoted(agent: Agent, generation_id = NO_GENERATION): void {
  if (!agent.isOpen) return;
  const reason = "OFPCRR_MASTER_REQUEST";
  agent.notify({ type: "ONFT_ROLE_STATUS", role: "OFPCR_ROLE_SLAVE", reason, generation_id });
}

/** About the connection itself: echo, features, configuration, barriers, roles, asynchronous messages. */
export const session: HandlerTable = {
  // A second HELLO changes nothing.
  OFPT_HELLO: () => {},

  OFPT_ECHO_REQUEST: (agent, { xid, data }) => agent.send({ type: "OFPT_ECHO_REPLY", xid, data }),

  OFPT_ECHO_REPLY: () => {},

  OFPT_ERROR: (agent, { error_type, error_code }) =>
    agent.state.log.warn(`${agent.name}: received error ${error_type} ${error_code}`),

  OFPT_FEATURES_REQUEST: (agent, { xid }) => {
    const { auxiliary_id, state } = agent;
    const features = { ...state.ofproto.features(), n_buffers: N_BUFFERS, auxiliary_id };
    agent.send({ type: "OFPT_FEATURES_REPLY", xid, ...features });
    agent.identified();
  },

  OFPT_GET_CONFIG_REQUEST: (agent, { xid }) =>
    agent.send({
      type: "OFPT_GET_CONFIG_REPLY",
      xid,
      flags: agent.state.ofproto.getConfig().flags,
      miss_send_len: agent.channel.miss_send_len,
    }),

  OFPT_SET_CONFIG: (agent, { flags, miss_send_len }) => {
    // §6.3.4: a slave may set what concerns only itself; fragment handling is the switch's.
    if (agent.role !== "OFPCR_ROLE_SLAVE") agent.state.ofproto.setConfig({ flags });
    agent.channel.miss_send_len = miss_send_len;
  },

  // §7.3.8: everything before it is done, everything after waits; requests are handled in order.
  OFPT_BARRIER_REQUEST: async (agent, { xid }) => {
    await agent.state.ofproto.barrier();
    agent.send({ type: "OFPT_BARRIER_REPLY", xid });
  },

  OFPT_ROLE_REQUEST: (agent, message) => {
    const { state } = agent;
    const verdict = decideRole(message, agent.role, state.generation_id);
    if (!verdict.ok) throw refuse(verdict.error_code);
    state.generation_id = verdict.generation_id;
    if (verdict.demoteOthers) {
      for (const other of state.agents) {
        if (!other.isMain || other.channel === agent.channel || other.role !== "OFPCR_ROLE_MASTER") continue;
        other.channel.role = "OFPCR_ROLE_SLAVE";
        tellDemoted(other, verdict.generation_id);
      }
    }
    agent.channel.role = verdict.role;
    agent.send({
      type: "OFPT_ROLE_REPLY",
      xid: message.xid,
      role: verdict.role,
      generation_id: verdict.generation_id ?? NO_GENERATION,
    });
  },

  OFPT_GET_ASYNC_REQUEST: (agent, { xid }) =>
    agent.send({ type: "OFPT_GET_ASYNC_REPLY", xid, ...toAsyncFields(agent.channel.async) }),

  OFPT_SET_ASYNC: (agent, message) => {
    agent.channel.async = fromAsyncFields(message, agent.channel.async);
  },
};
