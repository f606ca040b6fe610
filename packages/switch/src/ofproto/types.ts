import type { Clock } from "@sluice/runtime";
import type { Subfield } from "./eviction.js";
import type { Match, Port } from "./of.js";

/** What an OpenFlow packet-in is made of, before a connection cuts it to size and numbers it. */
export interface PacketInEvent {
  /** "OFPR_NO_MATCH", "OFPR_ACTION" or "OFPR_INVALID_TTL". */
  reason: string;
  table_id: number;
  cookie: bigint;
  /** The pipeline fields (1.3.5 §7.4.1): in_port, metadata, tunnel_id, registers that are not zero. */
  match: Match;
  /** The whole packet. */
  data: Uint8Array;
  total_len: number;
  /** How many bytes the action asked for; undefined: the connection's own miss_send_len decides. */
  max_len: number | undefined;
  /** The controller's id when an NXAST_CONTROLLER action chose one; 0 reaches those that have not set one. */
  controllerId: number;
  /** Bytes of the NXAST_CONTROLLER2 userdata, where there are some. */
  userdata?: Uint8Array;
}

/** The fields of OFPT_FLOW_REMOVED (1.3.5 §7.4.2). */
export interface FlowRemovedEvent {
  cookie: bigint;
  priority: number;
  /** "OFPRR_IDLE_TIMEOUT", "OFPRR_HARD_TIMEOUT", "OFPRR_DELETE", "OFPRR_GROUP_DELETE", "OFPRR_METER_DELETE". */
  reason: string;
  table_id: number;
  duration_sec: number;
  duration_nsec: number;
  idle_timeout: number;
  hard_timeout: number;
  packet_count: bigint;
  byte_count: bigint;
  match: Match;
}

/** A change in a table, for flow monitors. `owner` is what flowMod was called with. */
export interface FlowUpdateEvent {
  kind: "added" | "modified" | "removed";
  rule: {
    table_id: number;
    priority: number;
    cookie: bigint;
    idle_timeout: number;
    hard_timeout: number;
    match: Match;
    instructions: readonly unknown[];
  };
  reason: string;
  owner: unknown;
  /** The instructions that the flow had, or the one whose place it takes. */
  before?: readonly unknown[] | undefined;
}

export interface PortStatusEvent {
  /** "OFPPR_ADD", "OFPPR_DELETE" or "OFPPR_MODIFY". */
  reason: string;
  desc: Port;
  /** Who asked for the change, and so need not be told of it. */
  owner?: unknown;
}

export interface OfprotoEvents {
  packet_in: (event: PacketInEvent) => void;
  flow_removed: (event: FlowRemovedEvent) => void;
  port_status: (event: PortStatusEvent) => void;
  /** A group_mod or meter_mod that was carried out (for requestforward). */
  modified: (message: { type: string }, owner: unknown) => void;
  /** A request that may have changed flows has been carried out. */
  carried_out: () => void;
  flow_update: (event: FlowUpdateEvent) => void;
}

/** A port to add to a bridge. */
export interface PortSpec {
  name: string;
  /** "system", "tap", "internal", "dummy" or "patch". A port whose name is the bridge's becomes OFPP_LOCAL. */
  type: string;
  /** The number wished for (OVSDB ofport_request); given when it is free. */
  ofportRequest?: number;
  /** For "patch": the name of the port at the other end, in any bridge of the same backer. */
  patchPeer?: string;
  options?: Readonly<Record<string, string>>;
  mac?: string;
  mtu?: number;
  vlan?: Partial<VlanConfig>;
}

/** How NORMAL treats a port's VLANs (ovs-vswitchd.conf.db, "VLAN Configuration"). */
export interface VlanConfig {
  /** "access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel". */
  vlan_mode: VlanMode;
  /** The access, native or service VLAN; 0 for none. */
  tag: number;
  /** VLANs that a trunk carries; empty: all of them. */
  trunks: readonly number[];
  /** Customers' VLANs that a dot1q-tunnel carries; undefined or empty: all of them. */
  cvlans?: readonly number[];
  /** Of the service VLAN's tag: 0x88a8 when left out. */
  qinqEthertype?: number;
  /** No traffic of this port reaches other protected ports. */
  protected?: boolean;
  /** Whether frames of VLAN 0 leave with a tag, for its priority: "never" when left out. */
  priorityTags?: PriorityTags;
}

export type VlanMode = "access" | "trunk" | "native-tagged" | "native-untagged" | "dot1q-tunnel";

/** "if-nonzero": where the priority is not 0. */
export type PriorityTags = "always" | "if-nonzero" | "never";

export interface PortInfo {
  ofport: number;
  name: string;
  type: string;
  /** The datapath's number; undefined for patch ports. */
  odpPort: number | undefined;
  mac: string;
  mtu: number;
  link: boolean;
  admin: boolean;
  /** How many times the link changed (Interface.link_resets). */
  linkResets: number;
  /** bits/s, 0 when not known. */
  speed: number;
  /** Of the operating system's device; 0: none. */
  ifindex: number;
  /** Of a patch port: the name of its other end, and whether there is such a port that names this one. */
  peer: { readonly name: string; readonly isThere: boolean } | undefined;
}

/** A queue of a port (OVSDB Queue). Rates are bits/s, burst bits. */
export interface QueueSpec {
  queue_id: number;
  /** Its share, in proportion to the others', when the port's max-rate is not enough for all. */
  minRate?: number;
  maxRate?: number;
  burst?: number;
}

/** What a queue has sent since it was configured. */
export interface QueueStatistics {
  queue_id: number;
  tx_packets: number;
  tx_bytes: number;
  /** Packets that found the queue full. */
  tx_errors: number;
  duration_sec: number;
  duration_nsec: number;
}

/** What the database says of a flow table (Flow_Table). */
export interface FlowTableConfig {
  readonly table_id: number;
  readonly name: string | undefined;
  readonly flowLimit: number | undefined;
  /** Whether a full table drops a flow for a new one, and by which parts of fields flows are grouped for that. */
  readonly evicts: boolean;
  readonly groups: readonly Subfield[];
}

export type FailMode = "standalone" | "secure";

export interface MacTableConfig {
  /** Seconds after which an unheard MAC is forgotten: 300 by default. */
  ageing?: number;
  /** Entries: 8192 by default; when full the oldest makes room. */
  size?: number;
}

export interface MacEntry {
  ofport: number;
  vlan: number;
  mac: string;
  /** Seconds since it was last heard; undefined for a static entry. */
  age: number | undefined;
}

/** The least of a log that ofproto needs; runtime's Log is one. */
export interface OfprotoLog {
  dbg(text: string): void;
  info(text: string): void;
  warn(text: string): void;
}

export interface OfprotoIdentity {
  mfr_desc: string;
  hw_desc: string;
  sw_desc: string;
  serial_num: string;
  dp_desc: string;
}

export interface OfprotoCommon {
  clock: Clock;
  log: OfprotoLog;
}
