import type { MessageInitOf } from "./v13/messages.js";

/** The OFPT_ERROR that answers a request: the error's type and code, the request's xid, and its first 64 bytes, or
 *  more (OpenFlow 1.3.5 §7.5.4). Takes any error that has the two names, OfDecodeError among them. */
export function errorFor(
  error: { readonly error_type: string; readonly error_code: string },
  request: Uint8Array,
  dataBytes = ERROR_DATA,
): MessageInitOf<"OFPT_ERROR"> {
  const xid =
    request.length < 8
      ? 0
      : ((request[4]! << 24) | (request[5]! << 16) | (request[6]! << 8) | request[7]!) >>> 0;
  return {
    type: "OFPT_ERROR",
    xid,
    error_type: error.error_type as MessageInitOf<"OFPT_ERROR">["error_type"],
    error_code: error.error_code as MessageInitOf<"OFPT_ERROR">["error_code"],
    data: Uint8Array.from(request.subarray(0, dataBytes)),
  };
}

const ERROR_DATA = 64;
