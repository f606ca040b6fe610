/** Reserved numbers (1.3.5 §7.2.1, §7.3.4.2, §7.3.4.3). */
export const OFPP = {
  MAX: 0xffff_ff00,
  UNSET: 0xffff_fff7,
  IN_PORT: 0xffff_fff8,
  TABLE: 0xffff_fff9,
  NORMAL: 0xffff_fffa,
  FLOOD: 0xffff_fffb,
  ALL: 0xffff_fffc,
  CONTROLLER: 0xffff_fffd,
  LOCAL: 0xffff_fffe,
  ANY: 0xffff_ffff,
} as const;
/** An OpenFlow 1.0 port number as one of 1.3. */
export const wide = (port: number): number => (port >= 0xff00 ? (port | 0xffff_0000) >>> 0 : port);

export const OFPG = { MAX: 0xffff_ff00, ALL: 0xffff_fffc, ANY: 0xffff_ffff } as const;
export const OFPTT = { MAX: 0xfe, ALL: 0xff } as const;
export const OFPFF = {
  SEND_FLOW_REM: 1,
  CHECK_OVERLAP: 2,
  RESET_COUNTS: 4,
  NO_PKT_COUNTS: 8,
  NO_BYT_COUNTS: 16,
} as const;

/** What happens to IP fragments (1.3.5 §7.3.2). Nicira's NX_MATCH, by which flows tell fragments by nw_frag, is what
 *  NORMAL does, too. */
export const OFPC_FRAG = { NORMAL: 0, DROP: 1, REASM: 2, NX_MATCH: 3 } as const;
