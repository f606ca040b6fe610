import type {
  ActionInit,
  Match as CodecMatch,
  InstructionInit,
  MessageInitOf,
  OfMessageInit,
} from "@sluice/openflow-codec";

import type { KeyedMatch } from "./wire-match.js";

/** The OpenFlow values that ofproto handles, as the codec shapes them. Fields that have a default on the wire may
 *  be left out; a whole decoded message fits. */

type Body<T extends OfMessageInit["type"]> = Omit<MessageInitOf<T>, "type" | "xid">;

export type Match = Readonly<CodecMatch>;
export type Action = ActionInit;
export type ActionType = Action["type"];
export type ActionOf<T extends ActionType> = Extract<Action, { type: T }>;
export type Instruction = InstructionInit;
/** Its match may have been read from the wire as a key. */
export type FlowMod = Omit<Body<"OFPT_FLOW_MOD">, "match"> & { match?: Match | KeyedMatch };
export type GroupMod = Body<"OFPT_GROUP_MOD">;
export type Bucket = NonNullable<GroupMod["buckets"]>[number];
export type MeterMod = Body<"OFPT_METER_MOD">;
export type MeterBand = NonNullable<MeterMod["bands"]>[number];
export type PortMod = Body<"OFPT_PORT_MOD">;
export type TableMod = Body<"OFPT_TABLE_MOD">;
export type PacketOut = Body<"OFPT_PACKET_OUT">;
export type Port = Required<MessageInitOf<"OFPT_PORT_STATUS">["desc"]>;
export type MultipartRequestBody = MessageInitOf<"OFPT_MULTIPART_REQUEST">["body"];
export type MultipartReplyBody = MessageInitOf<"OFPT_MULTIPART_REPLY">["body"];

/** A field's value in a match or set-field, whatever the field. */
export type MatchText = number | bigint | string;
export type MatchValue = MatchText | { readonly value: MatchText; readonly mask: MatchText };
