import { nxActions } from "../ext/nx-actions.js";
import {
  type Fields,
  type Infer,
  type Init,
  length,
  member,
  pad,
  rest,
  tag,
  u8,
  u16,
  u32,
  union,
} from "../schema/declare.js";
import type { ErrorRef } from "../schema/error.js";
import { oneOxm } from "./match.js";
import { groupId, maxLen, portNo, queueId } from "./numbers.js";

const BAD_TYPE: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_TYPE"];
const BAD_LEN: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_LEN"];

/** An action of OpenFlow 1.3.5 §7.2.5: type, length, fields. `text` is ovs-ofctl's word. */
const action = <const T extends string, const F extends Fields>(
  name: T,
  type: number,
  text: string,
  fields: F,
) =>
  member(name, { type: tag(2, type), len: length(), ...fields }, { section: "§7.2.5", error: BAD_LEN, text });

export const Output = action("OFPAT_OUTPUT", 0, "output", { port: portNo, max_len: maxLen, pad: pad(6) });
export const CopyTtlOut = action("OFPAT_COPY_TTL_OUT", 11, "copy_ttl_out", { pad: pad(4) });
export const CopyTtlIn = action("OFPAT_COPY_TTL_IN", 12, "copy_ttl_in", { pad: pad(4) });
export const SetMplsTtl = action("OFPAT_SET_MPLS_TTL", 15, "set_mpls_ttl", { mpls_ttl: u8(), pad: pad(3) });
export const DecMplsTtl = action("OFPAT_DEC_MPLS_TTL", 16, "dec_mpls_ttl", { pad: pad(4) });
export const PushVlan = action("OFPAT_PUSH_VLAN", 17, "push_vlan", {
  ethertype: u16({ fmt: "hex" }),
  pad: pad(2),
});
export const PopVlan = action("OFPAT_POP_VLAN", 18, "pop_vlan", { pad: pad(4) });
export const PushMpls = action("OFPAT_PUSH_MPLS", 19, "push_mpls", {
  ethertype: u16({ fmt: "hex" }),
  pad: pad(2),
});
export const PopMpls = action("OFPAT_POP_MPLS", 20, "pop_mpls", {
  ethertype: u16({ fmt: "hex" }),
  pad: pad(2),
});
export const SetQueue = action("OFPAT_SET_QUEUE", 21, "set_queue", { queue_id: queueId });
export const Group = action("OFPAT_GROUP", 22, "group", { group_id: groupId });
export const SetNwTtl = action("OFPAT_SET_NW_TTL", 23, "mod_nw_ttl", { nw_ttl: u8(), pad: pad(3) });
export const DecNwTtl = action("OFPAT_DEC_NW_TTL", 24, "dec_ttl", { pad: pad(4) });
export const SetField = member(
  "OFPAT_SET_FIELD",
  { type: tag(2, 25), len: length(), field: oneOxm(false) },
  { section: "§7.2.5", error: BAD_LEN, text: "set_field", padTo: 8 },
);
export const PushPbb = action("OFPAT_PUSH_PBB", 26, "push_pbb", {
  ethertype: u16({ fmt: "hex" }),
  pad: pad(2),
});
export const PopPbb = action("OFPAT_POP_PBB", 27, "pop_pbb", { pad: pad(4) });
export const ExperimenterAction = member(
  "OFPAT_EXPERIMENTER",
  { type: tag(2, 0xffff), len: length(), experimenter: u32({ fmt: "hex" }), data: rest() },
  { section: "§7.2.5", error: BAD_LEN, padTo: 8 },
);

export const actionUnion = union(
  "ofp_action",
  [
    Output,
    CopyTtlOut,
    CopyTtlIn,
    SetMplsTtl,
    DecMplsTtl,
    PushVlan,
    PopVlan,
    PushMpls,
    PopMpls,
    SetQueue,
    Group,
    SetNwTtl,
    DecNwTtl,
    SetField,
    PushPbb,
    PopPbb,
    ExperimenterAction,
    ...nxActions,
  ],
  { unknown: BAD_TYPE, error: BAD_LEN, align: 8 },
);
export type Action = Infer<typeof actionUnion>;
export type ActionInit = Init<typeof actionUnion>;
/** What a declaration holds that holds actions itself (`listOfRef`). */
export interface ActionBox {
  value: Action;
  init: ActionInit;
}

/** The order in which an action set is carried out (1.3.5 §5.10); the output comes last, and only without a group. */
export const ACTION_SET_ORDER = [
  "OFPAT_COPY_TTL_IN",
  "OFPAT_POP_VLAN",
  "OFPAT_POP_MPLS",
  "OFPAT_POP_PBB",
  "OFPAT_PUSH_MPLS",
  "OFPAT_PUSH_PBB",
  "OFPAT_PUSH_VLAN",
  "OFPAT_COPY_TTL_OUT",
  "OFPAT_DEC_NW_TTL",
  "OFPAT_DEC_MPLS_TTL",
  "OFPAT_SET_NW_TTL",
  "OFPAT_SET_MPLS_TTL",
  "OFPAT_SET_FIELD",
  "OFPAT_SET_QUEUE",
  "OFPAT_GROUP",
  "OFPAT_OUTPUT",
] as const;
