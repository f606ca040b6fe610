import {
  BAD_LEN,
  flags,
  length,
  lengthOf,
  list,
  member,
  names,
  pad,
  struct,
  tag,
  u8,
  u16,
  u32,
  u64,
  union,
} from "../schema/declare.js";
import { instructionUnion } from "../v13/instructions.js";
import { match } from "../v13/match.js";
import { portNoAny, tableIdAll } from "../v13/numbers.js";
import { ONF_EXPERIMENTER } from "./nxm.js";

/** Flow monitoring: ONF extension 187, in the form that Open vSwitch speaks in OpenFlow 1.3: the lengths of matches
 *  count an ofp_match with its header, and flows hold instructions. */

const EXP_TYPE = 1870;

export const OFPFMF = Object.freeze({
  INITIAL: 1 << 0,
  ADD: 1 << 1,
  DELETE: 1 << 2,
  MODIFY: 1 << 3,
  ACTIONS: 1 << 4,
  OWN: 1 << 5,
});
const monitorFlags = flags(
  2,
  names("onf_flow_monitor_flags", {
    ONFFMF_INITIAL: 1,
    ONFFMF_ADD: 2,
    ONFFMF_DELETE: 4,
    ONFFMF_MODIFY: 8,
    ONFFMF_ACTIONS: 16,
    ONFFMF_OWN: 32,
  }),
);

const monitorStruct = struct("onf_flow_monitor_request", {
  id: u32(),
  flags: monitorFlags,
  match_len: lengthOf(2, "match"),
  out_port: portNoAny,
  table_id: tableIdAll,
  zeros: pad(3),
  match,
});

const full = <const T extends string>(name: T, event: number) =>
  member(name, {
    length: length(),
    event: tag(2, event),
    reason: u16({ default: 0 }),
    priority: u16(),
    idle_timeout: u16({ default: 0 }),
    hard_timeout: u16({ default: 0 }),
    match_len: lengthOf(2, "match"),
    table_id: u8(),
    pad: pad(1),
    cookie: u64({ fmt: "hex", default: 0n }),
    match,
    instructions: list(instructionUnion),
  });

const updateUnion = union(
  "onf_flow_update",
  [
    full("ONFFME_ADDED", 0),
    full("ONFFME_DELETED", 1),
    full("ONFFME_MODIFIED", 2),
    member("ONFFME_ABBREV", { length: length(), event: tag(2, 3), xid: u32() }),
  ],
  { unknown: BAD_LEN, error: BAD_LEN, align: 8 },
);

export const onfFlowMonitorRequest = member("ONFMP_FLOW_MONITOR", {
  experimenter: tag(4, ONF_EXPERIMENTER),
  exp_type: tag(4, EXP_TYPE),
  entries: list(monitorStruct),
});
export const onfFlowMonitorReply = member("ONFMP_FLOW_MONITOR", {
  experimenter: tag(4, ONF_EXPERIMENTER),
  exp_type: tag(4, EXP_TYPE),
  entries: list(updateUnion),
});
