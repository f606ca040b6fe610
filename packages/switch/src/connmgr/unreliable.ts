import type { OfMessage } from "@sluice/openflow-codec";

/** What holds for connections that may lose and reorder messages (1.3.5 §6.3.5). */

const OFP_VERSION = 4;

const TYPES: ReadonlySet<string> = new Set([
  "OFPT_HELLO",
  "OFPT_ERROR",
  "OFPT_ECHO_REQUEST",
  "OFPT_ECHO_REPLY",
  "OFPT_FEATURES_REQUEST",
  "OFPT_PACKET_OUT",
  "OFPT_EXPERIMENTER",
]);

/** Extensions that are experimenter messages but have names of their own. */
const isExtension = (type: string): boolean => type.startsWith("NXT_") || type.startsWith("ONFT_");

/** Whether a controller may send such a message by an unreliable connection. */
export const isForUnreliable = ({ type }: Pick<OfMessage, "type">): boolean =>
  TYPES.has(type) || isExtension(type);

/** Whether a message that came before any HELLO shows that the peer speaks our version. */
export const isSetUp = (bytes: Uint8Array): boolean => bytes[0] === OFP_VERSION;
