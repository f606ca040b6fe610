import {
  type ExperimenterErrorName,
  experimenterErrorNumbers,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import type { OfpError } from "../ofproto/error.js";

/** Bytes of a refused request that the error shows: all, as far as one message holds them, so that tools can say
 *  which flow was refused. */
export const ERROR_DATA = 0xffff - 12;

/** The OFPT_ERROR for a refusal whose type is OFPET_EXPERIMENTER. */
export const niciraError = (error: OfpError, request: Uint8Array): OfMessageInit =>
  experimenterError(error.error_code, request);

/** What Open vSwitch answers for an error that has no number. */
const UNENCODABLE = experimenterErrorNumbers("NXBRC_UNENCODABLE_ERROR");

/** A bundle request refused. */
export class BundleError extends Error {
  override readonly name = "BundleError";
  readonly #code: string;

  constructor(code: `OFPBFC_${string}` & ExperimenterErrorName, detail: string) {
    super(`${code}: ${detail}`);
    this.#code = code;
  }

  toMessage(request: Uint8Array): OfMessageInit {
    return experimenterError(this.#code, request);
  }
}

/** The OFPT_ERROR that answers `request`: the experimenter's number goes before the request's bytes (§7.4.4). */
function experimenterError(name: string, request: Uint8Array): OfMessageInit {
  const { experimenter, code } = experimenterErrorNumbers(name) ?? UNENCODABLE;
  const start = request.subarray(0, ERROR_DATA - 4);
  const data = new Uint8Array(4 + start.length);
  const view = new DataView(data.buffer);
  view.setUint32(0, experimenter);
  data.set(start, 4);
  const xid = new DataView(request.buffer, request.byteOffset).getUint32(4);
  return { type: "OFPT_ERROR", xid, error_type: "OFPET_EXPERIMENTER", error_code: code, data };
}
