import type { Classifier } from "../../classifier/classifier.js";
import type { Group } from "../group.js";
import type { MacLearning } from "../mac-learning.js";
import type { Meter } from "../meter.js";
import type { FlowMod } from "../of.js";
import type { Rule } from "../rule.js";
import type { Counter } from "../sink.js";
import type { VlanConfig } from "../types.js";
import type { Frozen, PacketInContext } from "./contexts.js";

/** What translation may see of a bridge. It reads, and never changes anything here. */
export interface XBridge {
  readonly name: string;
  readonly tables: readonly XTable[];
  readonly groups: ReadonlyMap<number, Group>;
  readonly meters: ReadonlyMap<number, Meter>;
  readonly portMap: ReadonlyMap<number, XPort>;
  readonly macLearning: MacLearning<XPort>;
  /** VLANs in which NORMAL learns nothing and floods all. */
  readonly floodVlans: ReadonlySet<number>;
  /** Whether NORMAL forwards frames to 01:80:c2:00:00:0x. */
  readonly forwardBpdu: boolean;
  /** OFPC_FRAG_*: what happens to IP fragments. */
  readonly fragments: number;
  readonly contexts: XContexts;
  /** Whether such a flow is there, or there is room for it where its table may have `limit` flows with its cookie (0: any
   *  number). */
  roomToLearn(flow: FlowMod, limit: number): LearnRoom;
}

export type LearnRoom = "there" | "room" | "full";

export interface XTable {
  readonly rules: Classifier<Rule>;
  /** Packets looked up, and of them those that a rule matched. */
  readonly looked: Counter;
  readonly matched: Counter;
}

export interface XPort {
  readonly bridge: XBridge;
  readonly ofport: number;
  readonly name: string;
  /** undefined for a patch port. */
  readonly odpPort: number | undefined;
  /** The other end of a patch port. */
  readonly peer: XPort | undefined;
  /** OFPPC_* and OFPPS_*. */
  readonly config: number;
  readonly state: number;
  readonly vlan: VlanConfig;
  /** Counted here for patch ports, which the datapath does not know. */
  readonly rx: Counter;
  readonly tx: Counter;
}

/** Numbers that stand in the datapath for what ofproto remembers: the same content has the same number. */
export interface XContexts {
  packetIn(context: PacketInContext): number;
  freeze(state: Frozen): number;
}

export const OFPPC = { PORT_DOWN: 1, NO_RECV: 4, NO_FLOOD: 16, NO_FWD: 32, NO_PACKET_IN: 64 } as const;
export const OFPPS = { LINK_DOWN: 1, BLOCKED: 2, LIVE: 4 } as const;
