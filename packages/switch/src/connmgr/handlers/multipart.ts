import {
  encodeMultipart,
  type MessageInitOf,
  MultipartJoiner,
  OFPMPF,
  type OfMessage,
} from "@sluice/openflow-codec";
import { KNOWN_EXPERIMENTERS, refuse } from "../../ofproto/error.js";
import type { Agent } from "../agent.js";
import { nextTurn } from "../connection.js";
import type { HandlerTable } from "./handler.js";
import { startMonitors } from "./monitor.js";

type MultipartRequest = Extract<OfMessage, { type: "OFPT_MULTIPART_REQUEST" }>;

/** Requests in several parts: only OFPMP_TABLE_FEATURES may be (§7.3.5). */
const joining = Symbol("multipart requests");

/** Enough for the features of all tables, and no way to fill our memory with requests that never end. */
const JOIN_LIMITS = { maxOpen: 4, maxEntries: 1024 };

/** The whole request, once its last part is here. */
function join(agent: Agent, message: MultipartRequest): MultipartRequest | undefined {
  let joiner = agent.memory.get(joining) as MultipartJoiner | undefined;
  if (joiner === undefined && (message.flags & OFPMPF.REQ_MORE) === 0) return message;
  joiner ??= new MultipartJoiner(JOIN_LIMITS);
  agent.memory.set(joining, joiner);
  return joiner.push(message) as MultipartRequest | undefined;
}

type FlowRequest = Extract<MultipartRequest["body"], { type: "OFPMP_FLOW" }>;

/** A long answer leaves others their turn between its parts. */
async function sendFlowStats(agent: Agent, body: FlowRequest, xid: number): Promise<void> {
  for await (const part of agent.state.ofproto.flowStats(body, xid)) {
    agent.connection.send(part);
    if (agent.connection.isCongested) await agent.connection.drained();
    if (agent.connection.isClosed) return;
    await nextTurn();
  }
}

/** Statistics and descriptions, whole or in as many messages as they need. */
export const multipart: HandlerTable = {
  OFPT_MULTIPART_REQUEST: async (agent, message) => {
    const request = join(agent, message);
    if (request === undefined) return;
    const isWrite = request.body.type === "OFPMP_TABLE_FEATURES" && request.body.entries.length > 0;
    if (isWrite && agent.role === "OFPCR_ROLE_SLAVE") throw refuse("OFPBRC_IS_SLAVE");
    if (request.body.type === "ONFMP_FLOW_MONITOR") return startMonitors(agent, request.body, message.xid);
    if (request.body.type === "OFPMP_EXPERIMENTER") {
      const { experimenter } = request.body;
      throw refuse(
        KNOWN_EXPERIMENTERS.has(experimenter) ? "OFPBRC_BAD_EXP_TYPE" : "OFPBRC_BAD_EXPERIMENTER",
        `a multipart of experimenter 0x${experimenter.toString(16)}`,
      );
    }
    if (request.body.type === "OFPMP_FLOW") return sendFlowStats(agent, request.body, message.xid);
    const body = await agent.state.ofproto.multipart(request.body);
    const reply = {
      type: "OFPT_MULTIPART_REPLY",
      xid: message.xid,
      body,
    } as MessageInitOf<"OFPT_MULTIPART_REPLY">;
    for (const part of encodeMultipart(reply)) {
      agent.connection.send(part);
      if (agent.connection.isCongested) await agent.connection.drained();
    }
  },

  OFPT_QUEUE_GET_CONFIG_REQUEST: (agent, { xid, port }) => {
    const config = agent.state.ofproto.queueGetConfig(port);
    agent.send({
      ...config,
      type: "OFPT_QUEUE_GET_CONFIG_REPLY",
      xid,
    } as MessageInitOf<"OFPT_QUEUE_GET_CONFIG_REPLY">);
  },
};
