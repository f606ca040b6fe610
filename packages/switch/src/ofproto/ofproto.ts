import type { EventEmitter } from "eventemitter3";
import type { DpBacker } from "./backer.js";
import type { FlowMod, GroupMod, MeterMod, MultipartBody, PacketOut, Port, PortMod, TableMod } from "./of.js";
import type {
  FailMode,
  MacEntry,
  MacTableConfig,
  OfprotoCommon,
  OfprotoEvents,
  OfprotoIdentity,
  PortInfo,
  PortSpec,
  VlanConfig,
} from "./types.js";

export interface OfprotoOptions extends OfprotoCommon {
  name: string;
  datapathId: bigint;
  backer: DpBacker;
  /** What OFPMP_DESC answers; each part has a default. */
  identity?: Partial<OfprotoIdentity>;
}

/** One OpenFlow switch: a bridge's tables, groups, meters and ports. Requests are the codec's values; a request
 *  that the specification refuses throws OfpError with the type and code to answer. */
export declare class Ofproto {
  readonly name: string;
  readonly events: EventEmitter<OfprotoEvents>;
  datapathId: bigint;
  constructor(options: OfprotoOptions);

  /** The body of OFPT_FEATURES_REPLY. */
  features(): {
    datapath_id: bigint;
    n_buffers: number;
    n_tables: number;
    auxiliary_id: number;
    capabilities: number;
  };
  /** OFPT_GET_CONFIG_REPLY's flags (fragments); miss_send_len belongs to each connection. */
  getConfig(): { flags: number };
  setConfig(config: { flags: number }): void;
  /** `owner` marks who asked, for flow monitors. buffer_id is the connection's affair: it sends the buffered
   *  packet to OFPP_TABLE with packetOut after this returns. */
  flowMod(message: FlowMod, owner?: unknown): void;
  groupMod(message: GroupMod, owner?: unknown): void;
  meterMod(message: MeterMod, owner?: unknown): void;
  portMod(message: PortMod): void;
  tableMod(message: TableMod): void;
  /** All or nothing, in order: what a bundle commit carries out. On refusal nothing is changed and the OfpError
   *  has the index of the message that was refused in `index`. */
  bundle(messages: readonly (FlowMod | GroupMod | PortMod)[], owner?: unknown): void;
  packetOut(message: PacketOut): void;
  /** Whole; the connection splits it. */
  multipart(body: MultipartBody): Promise<MultipartBody>;
  /** Queues of OFPT_QUEUE_GET_CONFIG_REPLY. */
  queueGetConfig(port: number): { port: number; queues: readonly unknown[] };
  /** Resolves when every request so far is in force for the next packet. */
  barrier(): Promise<void>;

  /** Adds a port; resolves with its OpenFlow number, rejects with one line for Interface.error. */
  addPort(spec: PortSpec): Promise<number>;
  removePort(ofport: number): Promise<void>;
  /** Changes what may change while the port lives. */
  updatePort(
    ofport: number,
    change: { vlan?: Partial<VlanConfig>; patchPeer?: string; mac?: string; mtu?: number; noFlood?: boolean },
  ): Promise<void>;
  /** Live ports, LOCAL included, by number. */
  ports(): PortInfo[];
  port(nameOrNumber: string | number): PortInfo | undefined;
  /** As OFPMP_PORT_DESC describes them. */
  portDescs(): Port[];
  /** OVSDB Interface.statistics: rx_packets, tx_packets, rx_bytes, … */
  portStatistics(ofport: number): Promise<Record<string, number>>;

  setFailMode(mode: FailMode): void;
  /** Told by the connection manager: whether controllers are configured and one is connected. */
  setControllerState(state: { configured: boolean; connected: boolean }): void;
  setMacTable(config: MacTableConfig): void;
  setFloodVlans(vlans: readonly number[]): void;
  macs(): MacEntry[];
  flushMacs(): void;

  /** Removes all flows and ports. */
  destroy(): Promise<void>;
}
