import { names, u8, u16, u32 } from "../schema/declare.js";

/** Reserved numbers and flag bits of OpenFlow 1.3.5 §7, as constant objects (`OFPP.CONTROLLER`) and as the
 *  declarations that give them names in JSON and text. */

export const OFP_VERSION = 4;
export const OFP_HEADER_SIZE = 8;
export const OFP_MAX_LENGTH = 0xffff;
export const OFP_NO_BUFFER = 0xffffffff;
export const OFPQ_ALL = 0xffffffff;
export const OFP_DEFAULT_PRIORITY = 0x8000;

const prefixed = <P extends string, V extends Readonly<Record<string, number>>>(prefix: P, values: V) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value])) as {
    readonly [K in keyof V & string as `${P}${K}`]: V[K];
  };

export const OFPP = Object.freeze({
  MAX: 0xffffff00,
  IN_PORT: 0xfffffff8,
  TABLE: 0xfffffff9,
  NORMAL: 0xfffffffa,
  FLOOD: 0xfffffffb,
  ALL: 0xfffffffc,
  CONTROLLER: 0xfffffffd,
  LOCAL: 0xfffffffe,
  ANY: 0xffffffff,
});
const ofpPort = names("ofp_port_no", prefixed("OFPP_", OFPP));
/** A port number (§7.2.1). */
export const portNo = u32({ reserved: ofpPort });
export const portNoAny = u32({ reserved: ofpPort, default: OFPP.ANY });

export const OFPG = Object.freeze({ MAX: 0xffffff00, ALL: 0xfffffffc, ANY: 0xffffffff });
const ofpGroup = names("ofp_group", prefixed("OFPG_", OFPG));
export const groupId = u32({ reserved: ofpGroup });
export const groupIdAll = u32({ reserved: ofpGroup, default: OFPG.ALL });
export const groupIdAny = u32({ reserved: ofpGroup, default: OFPG.ANY });

export const OFPTT = Object.freeze({ MAX: 0xfe, ALL: 0xff });
const ofpTable = names("ofp_table", prefixed("OFPTT_", OFPTT));
export const tableId = u8({ reserved: ofpTable });
export const tableIdZero = u8({ reserved: ofpTable, default: 0 });
export const tableIdAll = u8({ reserved: ofpTable, default: OFPTT.ALL });

export const OFPM = Object.freeze({
  MAX: 0xffff0000,
  SLOWPATH: 0xfffffffd,
  CONTROLLER: 0xfffffffe,
  ALL: 0xffffffff,
});
const ofpMeter = names("ofp_meter", prefixed("OFPM_", OFPM));
export const meterId = u32({ reserved: ofpMeter });
export const meterIdAll = u32({ reserved: ofpMeter, default: OFPM.ALL });

export const queueId = u32({ reserved: names("ofp_queue", { OFPQ_ALL }) });
export const queueIdAll = u32({ reserved: names("ofp_queue", { OFPQ_ALL }), default: OFPQ_ALL });

export const bufferId = u32({ reserved: names("ofp_buffer", { OFP_NO_BUFFER }), default: OFP_NO_BUFFER });

export const OFPCML = Object.freeze({ MAX: 0xffe5, NO_BUFFER: 0xffff });
const ofpMaxLen = names("ofp_controller_max_len", prefixed("OFPCML_", OFPCML));
export const maxLen = u16({ reserved: ofpMaxLen, default: OFPCML.NO_BUFFER });
export const missSendLen = u16({ reserved: ofpMaxLen, default: 128 });

/** vlan_vid values (§7.2.3.7): PRESENT is set in the field when there is a tag. */
export const OFPVID = Object.freeze({ NONE: 0x0000, PRESENT: 0x1000 });

/** Bits of the pseudo-field ipv6_exthdr (§7.2.3.8). */
export const OFPIEH = Object.freeze({
  NONEXT: 1 << 0,
  ESP: 1 << 1,
  AUTH: 1 << 2,
  DEST: 1 << 3,
  FRAG: 1 << 4,
  ROUTER: 1 << 5,
  HOP: 1 << 6,
  UNREP: 1 << 7,
  UNSEQ: 1 << 8,
});

export const OFPPC = Object.freeze({
  PORT_DOWN: 1 << 0,
  NO_RECV: 1 << 2,
  NO_FWD: 1 << 5,
  NO_PACKET_IN: 1 << 6,
});
export const OFPPS = Object.freeze({ LINK_DOWN: 1 << 0, BLOCKED: 1 << 1, LIVE: 1 << 2 });
export const OFPPF = Object.freeze({
  "10MB_HD": 1 << 0,
  "10MB_FD": 1 << 1,
  "100MB_HD": 1 << 2,
  "100MB_FD": 1 << 3,
  "1GB_HD": 1 << 4,
  "1GB_FD": 1 << 5,
  "10GB_FD": 1 << 6,
  "40GB_FD": 1 << 7,
  "100GB_FD": 1 << 8,
  "1TB_FD": 1 << 9,
  OTHER: 1 << 10,
  COPPER: 1 << 11,
  FIBER: 1 << 12,
  AUTONEG: 1 << 13,
  PAUSE: 1 << 14,
  PAUSE_ASYM: 1 << 15,
});
export const OFPC = Object.freeze({
  FLOW_STATS: 1 << 0,
  TABLE_STATS: 1 << 1,
  PORT_STATS: 1 << 2,
  GROUP_STATS: 1 << 3,
  IP_REASM: 1 << 5,
  QUEUE_STATS: 1 << 6,
  PORT_BLOCKED: 1 << 8,
});
/** The low two bits of a switch configuration's flags are a number, not bits (§7.3.2). */
export const OFPC_FRAG = Object.freeze({ NORMAL: 0, DROP: 1, REASM: 2, MASK: 3 });
export const OFPFF = Object.freeze({
  SEND_FLOW_REM: 1 << 0,
  CHECK_OVERLAP: 1 << 1,
  RESET_COUNTS: 1 << 2,
  NO_PKT_COUNTS: 1 << 3,
  NO_BYT_COUNTS: 1 << 4,
});
export const OFPMF = Object.freeze({ KBPS: 1 << 0, PKTPS: 1 << 1, BURST: 1 << 2, STATS: 1 << 3 });
export const OFPGFC = Object.freeze({
  SELECT_WEIGHT: 1 << 0,
  SELECT_LIVENESS: 1 << 1,
  CHAINING: 1 << 2,
  CHAINING_CHECKS: 1 << 3,
});
/** The same bit asks for more requests (REQ_MORE) and tells of more replies (REPLY_MORE). */
export const OFPMPF = Object.freeze({ REQ_MORE: 1 << 0, REPLY_MORE: 1 << 0 });

export const portConfigNames = names("ofp_port_config", prefixed("OFPPC_", OFPPC));
export const portStateNames = names("ofp_port_state", prefixed("OFPPS_", OFPPS));
export const portFeatureNames = names("ofp_port_features", prefixed("OFPPF_", OFPPF));
export const capabilityNames = names("ofp_capabilities", prefixed("OFPC_", OFPC));
export const configFlagNames = names("ofp_config_flags", { OFPC_FRAG_DROP: 1, OFPC_FRAG_REASM: 2 });
export const flowModFlagNames = names("ofp_flow_mod_flags", prefixed("OFPFF_", OFPFF));
export const meterFlagNames = names("ofp_meter_flags", prefixed("OFPMF_", OFPMF));
export const groupCapabilityNames = names("ofp_group_capabilities", prefixed("OFPGFC_", OFPGFC));
export const multipartRequestFlagNames = names("ofp_multipart_request_flags", { OFPMPF_REQ_MORE: 1 });
export const multipartReplyFlagNames = names("ofp_multipart_reply_flags", { OFPMPF_REPLY_MORE: 1 });
