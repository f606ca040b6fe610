import type { OfMessage } from "@sluice/openflow-codec";
import type { Agent } from "../agent.js";

/** Handles one request; throws OfpError to refuse it. The next request of the connection waits for a promise. */
export type Handler<T extends OfMessage["type"]> = (
  agent: Agent,
  message: Extract<OfMessage, { type: T }>,
  bytes: Uint8Array,
) => void | Promise<void>;

/** Handlers of a group of requests, by message type. */
export type HandlerTable = { readonly [T in OfMessage["type"]]?: Handler<T> };
