import type { OfMessageInit } from "@sluice/openflow-codec";
import type { OfpError } from "../ofproto/error.js";

/** Bytes of a refused request that the error shows: all, as far as one message holds them, so that tools can say
 *  which flow was refused. */
export const ERROR_DATA = 0xffff - 12;

const ONF_EXPERIMENTER = 0x4f4e4600;
const NICIRA_EXPERIMENTER = 0x2320;

/** Nicira's errors as Open vSwitch numbers them for OpenFlow 1.2 and later. */
const NICIRA_ERRORS: Readonly<Record<string, number>> = { NXBAC_BAD_CONJUNCTION: 15 };

/** The OFPT_ERROR for a refusal whose type is OFPET_EXPERIMENTER. */
export const niciraError = (error: OfpError, request: Uint8Array): OfMessageInit =>
  experimenterError(NICIRA_EXPERIMENTER, NICIRA_ERRORS[error.error_code] ?? 0, request);

/** Errors of bundles as ONF extension 230 numbers them for OpenFlow 1.3: experimenter errors of the ONF. */
const BUNDLE_ERRORS = {
  OFPBFC_UNKNOWN: 2300,
  OFPBFC_EPERM: 2301,
  OFPBFC_BAD_ID: 2302,
  OFPBFC_BUNDLE_EXIST: 2303,
  OFPBFC_BUNDLE_CLOSED: 2304,
  OFPBFC_OUT_OF_BUNDLES: 2305,
  OFPBFC_BAD_TYPE: 2306,
  OFPBFC_BAD_FLAGS: 2307,
  OFPBFC_MSG_BAD_LEN: 2308,
  OFPBFC_MSG_BAD_XID: 2309,
  OFPBFC_MSG_UNSUP: 2310,
  OFPBFC_MSG_CONFLICT: 2311,
  OFPBFC_MSG_TOO_MANY: 2312,
  OFPBFC_MSG_FAILED: 2313,
} as const;

/** A bundle request refused. */
export class BundleError extends Error {
  override readonly name = "BundleError";
  readonly #code: number;

  constructor(code: keyof typeof BUNDLE_ERRORS, detail: string) {
    super(`${code}: ${detail}`);
    this.#code = BUNDLE_ERRORS[code];
  }

  toMessage(request: Uint8Array): OfMessageInit {
    return experimenterError(ONF_EXPERIMENTER, this.#code, request);
  }
}

/** The OFPT_ERROR that answers `request`: the experimenter's number goes before the request's bytes (§7.4.4). */
function experimenterError(experimenter: number, error_code: number, request: Uint8Array): OfMessageInit {
  const start = request.subarray(0, ERROR_DATA - 4);
  const data = new Uint8Array(4 + start.length);
  const view = new DataView(data.buffer);
  view.setUint32(0, experimenter);
  data.set(start, 4);
  const xid = new DataView(request.buffer, request.byteOffset).getUint32(4);
  return { type: "OFPT_ERROR", xid, error_type: "OFPET_EXPERIMENTER", error_code, data };
}
