/** A request refused, as OpenFlow says it: the OFPT_ERROR to answer with (1.3.5 §7.4.4). `message` is the line
 *  for the log and for people. */
export class OfpError extends Error {
  override readonly name = "OfpError";
  constructor(
    /** "OFPET_FLOW_MOD_FAILED". */
    readonly error_type: string,
    /** "OFPFMFC_TABLE_FULL". */
    readonly error_code: string,
    detail?: string,
  ) {
    super(detail === undefined ? `${error_type} ${error_code}` : `${error_code}: ${detail}`);
  }
}

/** The error type that each code prefix belongs to. */
const TYPE_OF_PREFIX: Readonly<Record<string, string>> = {
  OFPHFC: "OFPET_HELLO_FAILED",
  OFPBRC: "OFPET_BAD_REQUEST",
  OFPBAC: "OFPET_BAD_ACTION",
  OFPBIC: "OFPET_BAD_INSTRUCTION",
  OFPBMC: "OFPET_BAD_MATCH",
  OFPFMFC: "OFPET_FLOW_MOD_FAILED",
  OFPGMFC: "OFPET_GROUP_MOD_FAILED",
  OFPPMFC: "OFPET_PORT_MOD_FAILED",
  OFPTMFC: "OFPET_TABLE_MOD_FAILED",
  OFPQOFC: "OFPET_QUEUE_OP_FAILED",
  OFPSCFC: "OFPET_SWITCH_CONFIG_FAILED",
  OFPRRFC: "OFPET_ROLE_REQUEST_FAILED",
  OFPMMFC: "OFPET_METER_MOD_FAILED",
  OFPTFFC: "OFPET_TABLE_FEATURES_FAILED",
  NXBAC: "OFPET_EXPERIMENTER",
  OFPBFC: "OFPET_EXPERIMENTER",
  OFPACFC: "OFPET_EXPERIMENTER",
  OFPMOFC: "OFPET_EXPERIMENTER",
};

/** The error for a code: `refuse("OFPBAC_BAD_OUT_PORT", "port 0")`. */
export function refuse(code: string, detail?: string): OfpError {
  return new OfpError(TYPE_OF_PREFIX[code.slice(0, code.indexOf("_"))] ?? "OFPET_BAD_REQUEST", code, detail);
}

/** Nicira's and the ONF's: of theirs a number may be unknown, of others everything is. */
export const KNOWN_EXPERIMENTERS: ReadonlySet<number> = new Set([0x2320, 0x4f4e_4600]);
