import { NX_EXPERIMENTER, ONF_EXPERIMENTER } from "./nxm.js";

/** Errors of experimenters (type OFPET_EXPERIMENTER, §7.4.4) by the experimenter's number, which the data begins with,
 *  and the code: those that Open vSwitch sends over OpenFlow 1.3. */
const ERRORS = {
  [NX_EXPERIMENTER]: {
    NXBRC_NXM_INVALID: 2,
    NXBRC_NXM_BAD_TYPE: 3,
    NXBRC_MUST_BE_ZERO: 4,
    NXBRC_BAD_REASON: 5,
    OFPMOFC_MONITOR_EXISTS: 6,
    OFPMOFC_BAD_FLAGS: 7,
    OFPMOFC_UNKNOWN_MONITOR: 8,
    NXBRC_FM_BAD_EVENT: 9,
    NXBRC_UNENCODABLE_ERROR: 10,
    NXBAC_MUST_BE_ZERO: 11,
    NXFMFC_HARDWARE: 12,
    NXFMFC_BAD_TABLE_ID: 13,
    NXBAC_BAD_CONJUNCTION: 15,
    NXTTMFC_BAD_COMMAND: 16,
    NXTTMFC_BAD_OPT_LEN: 17,
    NXTTMFC_BAD_FIELD_IDX: 18,
    NXTTMFC_TABLE_FULL: 19,
    NXTTMFC_ALREADY_MAPPED: 20,
    NXTTMFC_DUP_ENTRY: 21,
    NXR_NOT_SUPPORTED: 34,
    NXR_STALE: 35,
    NXST_NOT_CONFIGURED: 36,
    NXFMFC_INVALID_TLV_FIELD: 37,
    NXTTMFC_INVALID_TLV_DEL: 38,
    NXBAC_BAD_HEADER_TYPE: 39,
    NXBAC_UNKNOWN_ED_PROP: 40,
    NXBAC_BAD_ED_PROP: 41,
    NXBAC_CT_DATAPATH_SUPPORT: 42,
    NXBMC_CT_DATAPATH_SUPPORT: 43,
    NXTFFC_DUP_TABLE: 44,
  },
  [ONF_EXPERIMENTER]: {
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
    OFPBFC_TIMEOUT: 2314,
    OFPBFC_BUNDLE_IN_PROGRESS: 2315,
    OFPFMFC_BAD_PRIORITY: 2360,
    OFPACFC_INVALID: 2370,
    OFPBIC_DUP_INST: 2600,
    OFPBRC_MULTIPART_REQUEST_TIMEOUT: 2640,
    OFPBRC_MULTIPART_REPLY_TIMEOUT: 2641,
  },
} as const;

/** The name of an error of an experimenter's. */
export type ExperimenterErrorName = {
  [E in keyof typeof ERRORS]: keyof (typeof ERRORS)[E];
}[keyof typeof ERRORS];
export const experimenterErrors: Readonly<Record<number, Readonly<Record<string, number>>>> =
  Object.freeze(ERRORS);

/** The experimenter's number and the code of an error by its name. */
export function experimenterErrorNumbers(name: ExperimenterErrorName): {
  readonly experimenter: number;
  readonly code: number;
};
export function experimenterErrorNumbers(
  name: string,
): { readonly experimenter: number; readonly code: number } | undefined;
export function experimenterErrorNumbers(
  name: string,
): { readonly experimenter: number; readonly code: number } | undefined {
  for (const [experimenter, codes] of Object.entries(experimenterErrors)) {
    const code = Object.hasOwn(codes, name) ? codes[name] : undefined;
    if (code !== undefined) return { experimenter: Number(experimenter), code };
  }
  return undefined;
}

const NAMES = new Map(
  Object.entries(experimenterErrors).map(([experimenter, codes]) => [
    Number(experimenter),
    new Map(Object.entries(codes).map(([name, code]) => [code, name])),
  ]),
);

/** The name of an OFPET_EXPERIMENTER error's code, from the data that comes with it. */
export function experimenterErrorName(code: number, data: Uint8Array): string | undefined {
  if (data.length < 4) return undefined;
  const experimenter = ((data[0]! << 24) | (data[1]! << 16) | (data[2]! << 8) | data[3]!) >>> 0;
  return NAMES.get(experimenter)?.get(code);
}
