import type { FlowModWith, OfMessage } from "@sluice/openflow-codec";
import type { KeyedMatch } from "../../ofproto/wire-match.js";
import type { Agent } from "../agent.js";

/** A message as the agent reads it: a flow_mod's match may be a key. */
export type Request = OfMessage | FlowModWith<KeyedMatch>;

/** Handles one request; throws OfpError to refuse it. The next request of the connection waits for a promise. */
export type Handler<T extends OfMessage["type"]> = (
  agent: Agent,
  message: Extract<Request, { type: T }>,
  bytes: Uint8Array,
) => void | Promise<void>;

/** Handlers of a group of requests, by message type. */
export type HandlerTable = { readonly [T in OfMessage["type"]]?: Handler<T> };
