import { decode, type MessageOf } from "@sluice/openflow-codec";
import type { Agent } from "../agent.js";
import { BundleError } from "../experimenter-error.js";
import { mayRequest } from "../roles.js";
import type { HandlerTable } from "./handler.js";

/** Bundles: changes that are carried out together or not at all (ONF extension 230, OpenFlow 1.4 §7.3.9). */

type Change = MessageOf<"OFPT_FLOW_MOD"> | MessageOf<"OFPT_GROUP_MOD"> | MessageOf<"OFPT_PORT_MOD">;

interface OpenBundle {
  flags: number;
  isClosed: boolean;
  readonly changes: Change[];
  readonly bytes: Uint8Array[];
  size: number;
}

const MAX_BUNDLES = 16;
const MAX_BYTES = 64 * 1024 * 1024;
const CHANGES: ReadonlySet<string> = new Set(["OFPT_FLOW_MOD", "OFPT_GROUP_MOD", "OFPT_PORT_MOD"]);

const KEY = Symbol("bundles");

function bundlesOf(agent: Agent): Map<number, OpenBundle> {
  let bundles = agent.memory.get(KEY) as Map<number, OpenBundle> | undefined;
  if (bundles === undefined) {
    bundles = new Map();
    agent.memory.set(KEY, bundles);
  }
  return bundles;
}

function openBundle(agent: Agent, bundle_id: number, flags: number): OpenBundle {
  const bundles = bundlesOf(agent);
  if (bundles.has(bundle_id)) {
    bundles.delete(bundle_id);
    throw new BundleError("OFPBFC_BUNDLE_EXIST", `bundle ${bundle_id}`);
  }
  if (bundles.size >= MAX_BUNDLES) throw new BundleError("OFPBFC_OUT_OF_BUNDLES", `${MAX_BUNDLES} are open`);
  const bundle: OpenBundle = { flags, isClosed: false, changes: [], bytes: [], size: 0 };
  bundles.set(bundle_id, bundle);
  return bundle;
}

function findBundle(agent: Agent, bundle_id: number): OpenBundle {
  const bundle = bundlesOf(agent).get(bundle_id);
  if (bundle === undefined) throw new BundleError("OFPBFC_BAD_ID", `there is no bundle ${bundle_id}`);
  return bundle;
}

export const bundle: HandlerTable = {
  ONFT_BUNDLE_CONTROL: async (agent, { xid, bundle_id, ctrl_type, flags }) => {
    const reply = (type: "OPEN" | "CLOSE" | "COMMIT" | "DISCARD"): void =>
      agent.send({ type: "ONFT_BUNDLE_CONTROL", xid, bundle_id, ctrl_type: `OFPBCT_${type}_REPLY`, flags });
    if (ctrl_type === "OFPBCT_OPEN_REQUEST") {
      openBundle(agent, bundle_id, flags);
      return reply("OPEN");
    }
    if (ctrl_type === "OFPBCT_CLOSE_REQUEST") {
      const found = findBundle(agent, bundle_id);
      if (found.isClosed) throw new BundleError("OFPBFC_BUNDLE_CLOSED", `bundle ${bundle_id}`);
      found.isClosed = true;
      return reply("CLOSE");
    }
    if (ctrl_type === "OFPBCT_DISCARD_REQUEST") {
      findBundle(agent, bundle_id);
      bundlesOf(agent).delete(bundle_id);
      return reply("DISCARD");
    }
    if (ctrl_type === "OFPBCT_COMMIT_REQUEST") {
      const found = findBundle(agent, bundle_id);
      bundlesOf(agent).delete(bundle_id);
      commit(agent, found);
      await agent.state.ofproto.barrier();
      return reply("COMMIT");
    }
    throw new BundleError("OFPBFC_BAD_TYPE", `control type ${ctrl_type}`);
  },

  ONFT_BUNDLE_ADD_MESSAGE: (agent, { xid, bundle_id, flags, message }) => {
    const found = bundlesOf(agent).get(bundle_id) ?? openBundle(agent, bundle_id, flags);
    if (found.isClosed) throw new BundleError("OFPBFC_BUNDLE_CLOSED", `bundle ${bundle_id}`);
    if (found.flags !== flags) throw new BundleError("OFPBFC_BAD_FLAGS", `bundle ${bundle_id}`);
    const inner = innerMessage(message);
    if (new DataView(inner.buffer, inner.byteOffset).getUint32(4) !== xid) {
      throw new BundleError("OFPBFC_MSG_BAD_XID", "the inner message has another xid");
    }
    const change = decode(inner);
    if (!CHANGES.has(change.type) || !mayRequest(agent.role, change.type)) {
      throw new BundleError("OFPBFC_MSG_UNSUP", change.type);
    }
    found.size += inner.length;
    if (found.size > MAX_BYTES) {
      bundlesOf(agent).delete(bundle_id);
      throw new BundleError("OFPBFC_MSG_TOO_MANY", `more than ${MAX_BYTES} bytes`);
    }
    found.changes.push(change as Change);
    found.bytes.push(inner);
  },
};

/** The message that a bundle-add holds, without the properties that may follow it. */
function innerMessage(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 8) throw new BundleError("OFPBFC_MSG_BAD_LEN", "no message");
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length < 8 || length > bytes.length)
    throw new BundleError("OFPBFC_MSG_BAD_LEN", `inner length ${length}`);
  return bytes.subarray(0, length);
}

/** Carries all out, or none. The refused change is answered with its own error; the commit with MSG_FAILED. */
function commit(agent: Agent, found: OpenBundle): void {
  try {
    agent.state.ofproto.bundle(found.changes, agent);
  } catch (error) {
    const index = (error as { index?: number }).index;
    const bytes = index === undefined ? undefined : found.bytes[index];
    if (bytes !== undefined) agent.refuse(error, bytes);
    throw new BundleError("OFPBFC_MSG_FAILED", error instanceof Error ? error.message : String(error));
  }
}
