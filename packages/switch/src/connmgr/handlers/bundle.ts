import { decode, OFP_NO_BUFFER, OfDecodeError } from "@sluice/openflow-codec";
import type { Timer } from "@sluice/runtime";
import { refuse } from "../../ofproto/error.js";
import type { BundledMessage } from "../../ofproto/ofproto.js";
import type { Agent } from "../agent.js";
import { BundleError } from "../experimenter-error.js";
import type { HandlerTable } from "./handler.js";

/** Bundles: changes that are carried out together or not at all (ONF extension 230, OpenFlow 1.4 §7.3.9). */

interface OpenBundle {
  readonly flags: number;
  /** What opened it: the error that tells of its end quotes it. */
  readonly opening: Uint8Array;
  isClosed: boolean;
  readonly changes: BundledMessage[];
  /** What each change came in. */
  readonly requests: Uint8Array[];
  size: number;
  idle: Timer | undefined;
}

const MAX_BUNDLES = 256;
/** Of all bundles of a connection. */
const MAX_BYTES = 64 * 1024 * 1024;
const CHANGES: ReadonlySet<string> = new Set([
  "OFPT_FLOW_MOD",
  "OFPT_GROUP_MOD",
  "OFPT_PORT_MOD",
  "OFPT_PACKET_OUT",
]);
const OFPBF_ATOMIC = 1;

/** What a message that cannot be in a bundle is, as far as its header goes. */
const UNKNOWN: ReadonlySet<string | number> = new Set([
  "OFPBRC_BAD_TYPE",
  "OFPBRC_BAD_EXPERIMENTER",
  "OFPBRC_BAD_EXP_TYPE",
  "OFPBRC_BAD_MULTIPART",
]);

const KEY = Symbol("bundles");

function bundlesOf(agent: Agent): Map<number, OpenBundle> {
  let bundles = agent.memory.get(KEY) as Map<number, OpenBundle> | undefined;
  if (bundles === undefined) {
    bundles = new Map();
    agent.memory.set(KEY, bundles);
  }
  return bundles;
}

function openBundle(agent: Agent, bundle_id: number, flags: number, opening: Uint8Array): OpenBundle {
  const bundles = bundlesOf(agent);
  if (bundles.size >= MAX_BUNDLES) throw new BundleError("OFPBFC_OUT_OF_BUNDLES", `${MAX_BUNDLES} are open`);
  const bundle: OpenBundle = {
    flags,
    opening: opening.slice(),
    isClosed: false,
    changes: [],
    requests: [],
    size: 0,
    idle: undefined,
  };
  bundles.set(bundle_id, bundle);
  keepWaiting(agent, bundle_id, bundle);
  return bundle;
}

/** A bundle that nothing comes for any more is thrown away, and its controller told so. */
function keepWaiting(agent: Agent, bundle_id: number, bundle: OpenBundle): void {
  const { clock, limits } = agent.state;
  bundle.idle?.cancel();
  bundle.idle = clock.setTimeout(() => {
    discard(agent, bundle_id);
    if (agent.connection.isClosed) return;
    agent.refuse(new BundleError("OFPBFC_TIMEOUT", `bundle ${bundle_id}`), bundle.opening);
  }, limits.bundleIdleMs);
}

function discard(agent: Agent, bundle_id: number): void {
  const bundles = bundlesOf(agent);
  bundles.get(bundle_id)?.idle?.cancel();
  bundles.delete(bundle_id);
}

function findBundle(agent: Agent, bundle_id: number): OpenBundle {
  const bundle = bundlesOf(agent).get(bundle_id);
  if (bundle === undefined) throw new BundleError("OFPBFC_BAD_ID", `there is no bundle ${bundle_id}`);
  return bundle;
}

/** The bundle that a request is about; one that it does not suit is thrown away, as Open vSwitch does. */
function suitableBundle(agent: Agent, bundle_id: number, flags: number, mayBeClosed: boolean): OpenBundle {
  const bundle = findBundle(agent, bundle_id);
  const isRefused = bundle.isClosed && !mayBeClosed;
  if (!isRefused && bundle.flags === flags) return bundle;
  discard(agent, bundle_id);
  if (isRefused) throw new BundleError("OFPBFC_BUNDLE_CLOSED", `bundle ${bundle_id}`);
  throw new BundleError("OFPBFC_BAD_FLAGS", `bundle ${bundle_id} has flags ${bundle.flags}, not ${flags}`);
}

export const bundle: HandlerTable = {
  ONFT_BUNDLE_CONTROL: async (agent, { xid, bundle_id, ctrl_type, flags }, bytes) => {
    const reply = (type: "OPEN" | "CLOSE" | "COMMIT" | "DISCARD"): void =>
      agent.send({
        type: "ONFT_BUNDLE_CONTROL",
        xid,
        bundle_id,
        ctrl_type: `OFPBCT_${type}_REPLY`,
        flags: 0,
      });
    if (ctrl_type === "OFPBCT_OPEN_REQUEST") {
      if (bundlesOf(agent).has(bundle_id)) {
        discard(agent, bundle_id);
        throw new BundleError("OFPBFC_BAD_ID", `bundle ${bundle_id} was open`);
      }
      openBundle(agent, bundle_id, flags, bytes);
      return reply("OPEN");
    }
    if (ctrl_type === "OFPBCT_CLOSE_REQUEST") {
      const found = suitableBundle(agent, bundle_id, flags, false);
      found.isClosed = true;
      keepWaiting(agent, bundle_id, found);
      return reply("CLOSE");
    }
    if (ctrl_type === "OFPBCT_DISCARD_REQUEST") {
      findBundle(agent, bundle_id);
      discard(agent, bundle_id);
      return reply("DISCARD");
    }
    if (ctrl_type === "OFPBCT_COMMIT_REQUEST") {
      const found = suitableBundle(agent, bundle_id, flags, true);
      discard(agent, bundle_id);
      commit(agent, found);
      await agent.state.ofproto.barrier();
      return reply("COMMIT");
    }
    throw new BundleError("OFPBFC_BAD_TYPE", `control type ${ctrl_type}`);
  },

  ONFT_BUNDLE_ADD_MESSAGE: (agent, { xid, bundle_id, flags, message }, bytes) => {
    const change = changeIn(message, xid);
    agent.state.ofproto.checkBundled(change);
    const found = bundlesOf(agent).has(bundle_id)
      ? suitableBundle(agent, bundle_id, flags, false)
      : openBundle(agent, bundle_id, flags, bytes);
    let total = bytes.length;
    for (const { size } of bundlesOf(agent).values()) total += size;
    if (total > MAX_BYTES) {
      discard(agent, bundle_id);
      throw new BundleError("OFPBFC_MSG_TOO_MANY", `more than ${MAX_BYTES} bytes`);
    }
    found.size += bytes.length;
    found.changes.push(change);
    found.requests.push(bytes.slice());
    keepWaiting(agent, bundle_id, found);
  },
};

/** The change that a bundle-add holds. */
function changeIn(message: Uint8Array, xid: number): BundledMessage {
  const inner = innerMessage(message);
  if (new DataView(inner.buffer, inner.byteOffset).getUint32(4) !== xid)
    throw new BundleError("OFPBFC_MSG_BAD_XID", "the inner message has another xid");
  const change = decodeInner(inner);
  if (!CHANGES.has(change.type)) throw new BundleError("OFPBFC_MSG_UNSUP", change.type);
  if ("buffer_id" in change && change.buffer_id !== OFP_NO_BUFFER)
    throw refuse("OFPBRC_BUFFER_UNKNOWN", "a bundle takes no buffers");
  return change as BundledMessage;
}

function decodeInner(inner: Uint8Array): ReturnType<typeof decode> {
  try {
    return decode(inner);
  } catch (error) {
    if (error instanceof OfDecodeError && UNKNOWN.has(error.error_code))
      throw new BundleError("OFPBFC_MSG_UNSUP", error.message);
    throw error;
  }
}

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
    agent.state.ofproto.bundle(found.changes, agent, (found.flags & OFPBF_ATOMIC) !== 0);
  } catch (error) {
    const index = (error as { index?: number }).index;
    const request = index === undefined ? undefined : found.requests[index];
    if (request !== undefined) agent.refuse(error, request);
    throw new BundleError("OFPBFC_MSG_FAILED", error instanceof Error ? error.message : String(error));
  }
}
