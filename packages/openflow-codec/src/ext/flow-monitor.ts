import {
  BAD_LEN,
  enumeration,
  flags,
  length,
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
import { groupIdAny, portNoAny, tableIdAll } from "../v13/numbers.js";
import { ONF_EXPERIMENTER } from "./nxm.js";

/** Flow monitoring: ONF extension 187, the form that Open vSwitch speaks in OpenFlow 1.3. */

const EXP_TYPE = 1870;

export const OFPFMF = Object.freeze({
  INITIAL: 1 << 0,
  ADD: 1 << 1,
  REMOVED: 1 << 2,
  MODIFY: 1 << 3,
  INSTRUCTIONS: 1 << 4,
  NO_ABBREV: 1 << 5,
  ONLY_OWN: 1 << 6,
});
const monitorFlags = flags(
  2,
  names("ofp_flow_monitor_flags", {
    OFPFMF_INITIAL: 1,
    OFPFMF_ADD: 2,
    OFPFMF_REMOVED: 4,
    OFPFMF_MODIFY: 8,
    OFPFMF_INSTRUCTIONS: 16,
    OFPFMF_NO_ABBREV: 32,
    OFPFMF_ONLY_OWN: 64,
  }),
);

const monitorStruct = struct("ofp_flow_monitor_request", {
  monitor_id: u32(),
  out_port: portNoAny,
  out_group: groupIdAny,
  flags: monitorFlags,
  table_id: tableIdAll,
  command: enumeration(
    "ofp_flow_monitor_command",
    u8(),
    { OFPFMC_ADD: 0, OFPFMC_MODIFY: 1, OFPFMC_DELETE: 2 },
    "OFPFMC_ADD",
  ),
  match,
});

const full = <const T extends string>(name: T, event: number) =>
  member(name, {
    length: length(),
    event: tag(2, event),
    table_id: u8(),
    reason: u8({ default: 0 }),
    idle_timeout: u16({ default: 0 }),
    hard_timeout: u16({ default: 0 }),
    priority: u16(),
    zeros: pad(4),
    cookie: u64({ fmt: "hex", default: 0n }),
    match,
    instructions: list(instructionUnion),
  });

const updateUnion = union(
  "ofp_flow_update",
  [
    full("OFPFME_INITIAL", 0),
    full("OFPFME_ADDED", 1),
    full("OFPFME_REMOVED", 2),
    full("OFPFME_MODIFIED", 3),
    member("OFPFME_ABBREV", { length: length(), event: tag(2, 4), xid: u32() }),
    member("OFPFME_PAUSED", { length: length(), event: tag(2, 5), zeros: pad(4) }),
    member("OFPFME_RESUMED", { length: length(), event: tag(2, 6), zeros: pad(4) }),
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
