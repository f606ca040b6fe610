/** The OpenFlow values that ofproto handles, as the codec shapes them. Fields that have a default on the wire
 *  may be left out of a request made by hand. */

export type MatchText = number | bigint | string;
export type MatchValue = MatchText | { value: MatchText; mask: MatchText };
export type Match = Readonly<Record<string, MatchValue | undefined>>;

/** An action by its type; the other fields depend on it. */
export interface Action {
  readonly type: string;
}

export interface Instruction {
  readonly type: string;
}

export interface FlowMod {
  command: string | number;
  table_id?: number;
  priority?: number;
  cookie?: bigint;
  cookie_mask?: bigint;
  idle_timeout?: number;
  hard_timeout?: number;
  buffer_id?: number;
  out_port?: number;
  out_group?: number;
  flags?: number;
  importance?: number;
  match?: Match;
  instructions?: readonly Instruction[];
}

export interface Bucket {
  weight?: number;
  watch_port?: number;
  watch_group?: number;
  actions?: readonly Action[];
}

export interface GroupMod {
  command: string | number;
  group_type?: string | number;
  group_id: number;
  buckets?: readonly Bucket[];
}

export interface MeterBand {
  type: string | number;
  rate?: number;
  burst_size?: number;
  prec_level?: number;
}

export interface MeterMod {
  command: string | number;
  flags?: number;
  meter_id: number;
  bands?: readonly MeterBand[];
}

export interface PortMod {
  port_no: number;
  hw_addr: string;
  config: number;
  mask: number;
  advertise: number;
}

export interface TableMod {
  table_id: number;
  config: number;
}

export interface PacketOut {
  buffer_id?: number;
  in_port: number;
  actions?: readonly Action[];
  data: Uint8Array;
}

export interface Port {
  port_no: number;
  hw_addr: string;
  name: string;
  config: number;
  state: number;
  curr: number;
  advertised: number;
  supported: number;
  peer: number;
  curr_speed: number;
  max_speed: number;
}

/** A multipart request's or reply's body: `{ type: "OFPMP_…", … }`. */
export interface MultipartBody {
  type: string;
}
