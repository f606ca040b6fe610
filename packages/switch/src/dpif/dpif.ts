import type { EventEmitter } from "eventemitter3";
import type { FlowKey, FlowMask } from "../flow/flow-key.js";
import type { OdpAction } from "./actions.js";

/** A datapath: ports, and megaflows that say what becomes of a packet. It is asked by messages and answers by
 *  events, so that it can live in this thread or in another. Calls take effect in the order in which they were made.
 *
 *  It never decides: a packet that no megaflow matches is emitted as an "upcall", and the listener answers with
 *  `flowPut` and `execute`. Megaflows have no priority: those that overlap must lead to the same actions. */
export interface Dpif {
  /** The datapath_type that it implements: "netdev". */
  readonly type: string;
  readonly events: EventEmitter<DpifEvents>;
  /** Rejects with an Error of one line when the port cannot be opened. */
  portAdd(spec: DpPortSpec): Promise<DpPort>;
  portDel(odpPort: number): Promise<void>;
  portStats(odpPort: number): Promise<NetdevStats>;
  /** Rejects with an Error of one line when the device refuses. */
  portSet(odpPort: number, change: DpPortChange): Promise<void>;
  /** Installs a megaflow, or gives the one with this `id` new actions. `mask` must not change after, `key` is not kept;
   *  `key.in_port` is the datapath's port number. */
  flowPut(flow: DpFlow): void;
  /** The megaflow `old` becomes `id`, with other actions: no packet finds none in between, and each is counted for the
   *  one by whose actions it went. The last statistics of `old` come in "stats". An unknown `old` is ignored. */
  flowReplace(old: number, id: number, actions: readonly OdpAction[]): void;
  /** Its last statistics come in "stats" before it is forgotten. An unknown id is ignored. */
  flowDel(id: number): void;
  flowFlush(): void;
  /** Carries out `actions` on `packet` as if it had come in by `odpInPort`. Pass `key.recirc_id` by `key`, and the
   *  upcall's `offload` along with its packet: without it a super-frame is longer than any MTU. */
  execute(
    packet: Uint8Array,
    odpInPort: number,
    actions: readonly OdpAction[],
    key?: FlowKey,
    offload?: Offload,
  ): void;
  /** What the recirc actions among `actions` would look up again, in their order, were they carried out on `packet`.
   *  Nothing is sent, metered or counted: for traces. */
  rehearse(packet: Uint8Array, actions: readonly OdpAction[]): readonly Recirculated[];
  /** Resolves when the datapath is no longer far behind with what it was told; undefined: it is not. Nothing that it is
   *  told is lost, so who can tell it much waits for this before he goes on. */
  caughtUp(): Promise<void> | undefined;
  /** Everything called before is in force for the next packet. */
  barrier(): Promise<void>;
  /** All counts up to now have been emitted as "stats". */
  syncStats(): Promise<void>;
  /** Sets or (null) removes a meter. */
  meterSet(id: number, config: MeterConfig | null): void;
  /** What the meter counted since it was set; undefined: there is no such meter. */
  meterStats(id: number): Promise<MeterStats | undefined>;
  /** Shapes what a port sends; null: no more. Packets choose a queue by the set_queue action. An unknown port is
   *  ignored. */
  queuesSet(odpPort: number, config: QueuesConfig | null): void;
  /** What the port's queues counted since they were set; empty where there are none. */
  queueStats(odpPort: number): Promise<readonly QueueStats[]>;
  /** The datapath's own counters by name. */
  counters(): Promise<Readonly<Record<string, number>>>;
  /** The same of each of its threads, with what its time went to, in names that end with _ns. */
  threadCounters(): Promise<readonly Readonly<Record<string, number>>[]>;
  /** How many VLAN tags of a packet its key tells of from now on, 1 or 2: those behind are payload, and eth_type is that of
   *  a tag. DEFAULT_VLAN_LIMIT until then. */
  tagsSet(tags: number): void;
  /** Has a thread for each of these processor cores, or (none) one that keeps to no core; where the datapath has
   *  no threads of its own it means nothing. */
  threadsSet(cores: readonly number[]): Promise<void>;
  destroy(): Promise<void>;
}

/** Tags that a key tells of where nobody has said more (Open_vSwitch other_config:vlan-limit). */
export const DEFAULT_VLAN_LIMIT = 1;

export interface DpifEvents {
  upcall: (upcall: Upcall) => void;
  stats: (batch: FlowStatsBatch) => void;
  port: (change: DpPortEvent) => void;
  /** The datapath itself failed; it restarts with its ports and flows where it can. */
  error: (error: Error) => void;
}

/** A packet for the slow path. That of a "miss" is the listener's until it returns: the next may overwrite it. */
export interface Upcall {
  /** "miss": no megaflow matched. "action": a userspace action sent it. */
  kind: "miss" | "action";
  odpPort: number;
  /** With finished checksums (except as `offload` says) and its VLAN tag in place. */
  packet: Uint8Array;
  /** The packet's fields; in_port is the datapath's port number. */
  key: FlowKey;
  /** Of the userspace action; 0 for a miss. */
  cookie: number;
  /** Bytes of the whole packet, where max_len cut it. */
  totalLen: number;
  /** Of a miss by a super-frame: to be handed to `execute` with the packet. */
  offload?: Offload | undefined;
}

/** A packet that comes back to be looked up again. */
export interface Recirculated {
  /** Its recirc_id by then. */
  readonly id: number;
  readonly packet: Uint8Array;
}

/** What a network card would still have to do with a packet (virtio_net_hdr). Offsets count from its first byte. */
export interface Offload {
  /** Where the checksummed range starts; -1: the checksum is finished. */
  csumStart: number;
  /** Where the checksum lies, from csumStart. */
  csumOffset: number;
  /** VIRTIO_NET_HDR_GSO_*; 0: not a super-frame. */
  gsoType: number;
  /** Payload bytes of a segment. */
  gsoSize: number;
  /** Bytes of all headers. */
  hdrLen: number;
  /** It was put together from IP fragments: a port whose MTU is shorter sends it in fragments again. */
  isDatagram?: boolean;
}

/** Of a whole datagram that came in fragments. */
export const DATAGRAM: Offload = {
  csumStart: -1,
  csumOffset: 0,
  gsoType: 0,
  gsoSize: 0,
  hdrLen: 0,
  isDatagram: true,
};

/** Counts of one megaflow since the last delta. */
export interface FlowStatsDelta {
  id: number;
  packets: number;
  bytes: number;
  /** Clock ms of the last packet. */
  usedMs: number;
  /** TCP flags seen, OR-ed. */
  tcpFlags: number;
}

/** Counts of some megaflows. A delta is the visitor's until it returns: the next may overwrite it. */
export interface FlowStatsBatch {
  forEach(visit: (delta: FlowStatsDelta) => void): void;
}

export interface DpFlow {
  /** Chosen by the caller, unique among its flows: an integer. */
  id: number;
  key: FlowKey;
  mask: FlowMask;
  actions: readonly OdpAction[];
}

export interface DpPortSpec {
  name: string;
  /** "system": a network device, "afxdp": by AF_XDP, as options:xdp-mode says; "internal" or "tap": a TAP device to be made; "dummy": in this process. */
  type: string;
  options: Readonly<Record<string, string>>;
  mac?: string;
  mtu?: number;
}

export interface DpPortChange {
  up?: boolean;
  mac?: string;
  mtu?: number;
}

export interface DpPort {
  odpPort: number;
  name: string;
  type: string;
  mac: string;
  mtu: number;
  /** Of the operating system's device; 0: none. */
  ifindex: number;
  link: boolean;
  admin: boolean;
  /** bits/s; 0: not known. */
  speed: number;
}

export interface DpPortEvent {
  odpPort: number;
  link: boolean;
  admin: boolean;
  mac: string;
  mtu: number;
  /** bits/s; 0: not known. */
  speed: number;
  /** The device no longer exists; the port stays until portDel. */
  gone?: boolean;
}

export interface NetdevStats {
  rx_packets: number;
  tx_packets: number;
  rx_bytes: number;
  tx_bytes: number;
  rx_dropped: number;
  tx_dropped: number;
  rx_errors: number;
  tx_errors: number;
}

/** As OFPT_METER_MOD configures it (1.3.5 §7.3.4.5). */
export interface MeterConfig {
  /** OFPMF_* bits: KBPS 1, PKTPS 2, BURST 4, STATS 8. */
  flags: number;
  bands: readonly MeterBandConfig[];
}

export interface MeterBandConfig {
  type: "OFPMBT_DROP" | "OFPMBT_DSCP_REMARK";
  /** kb/s or packets/s. */
  rate: number;
  /** kb or packets; 0: what the datapath thinks right. */
  burst_size: number;
  /** By how much OFPMBT_DSCP_REMARK raises the drop precedence. */
  prec_level?: number;
}

/** How a port's sending is shaped. Rates are bits/s, bursts bits. */
export interface QueuesConfig {
  /** Of all queues together; undefined: not bounded. */
  maxRate?: number;
  queues: readonly QueueConfig[];
}

export interface QueueConfig {
  queue_id: number;
  /** Its share when the port's rate is not enough for all, in proportion to the others'. */
  minRate?: number;
  /** undefined: only the port's rate bounds it. */
  maxRate?: number;
  /** What may be sent beyond the rate after a pause; at least 10 ms' worth. */
  burst?: number;
}

export interface QueueStats {
  queue_id: number;
  tx_packets: number;
  tx_bytes: number;
  /** Packets that found the queue full. */
  tx_errors: number;
}

export interface MeterStats {
  packets: number;
  bytes: number;
  bands: readonly { packets: number; bytes: number }[];
}
