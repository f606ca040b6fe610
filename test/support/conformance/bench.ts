import type { OfClient } from "./client.js";

/** A frame that left the switch. */
export interface Sent {
  readonly port: number;
  readonly frame: Uint8Array;
}

/** One switch on the bench: a bridge "br0" without flows, with ports 1 to 4 named p1 to p4 and its LOCAL port, whose
 *  cables and time are in the test's hands. */
export interface Bench {
  /** Of BRIDGE.mgmt: "unix:…". */
  readonly target: string;
  /** Connects as a controller would. `miss_send_len: 0` leaves the connection deaf to what it did not ask for. */
  connect(miss_send_len?: number): Promise<OfClient>;
  /** Lets frames in by a port, one after another; resolves when the switch is done with them. */
  receive(port: number, ...frames: readonly Uint8Array[]): Promise<void>;
  /** Takes the frames that left since the last call, in order for each port. */
  sent(): Promise<Sent[]>;
  /** Lets time pass for the switch. */
  advance(ms: number): Promise<void>;
  /** Plugs or unplugs a port's cable. */
  carrier(port: number, isUp: boolean): Promise<void>;
  addPort(port: number): Promise<void>;
  removePort(port: number): Promise<void>;
  /** Limits the VLAN tags that matches see (Open_vSwitch other_config:vlan-limit), until `reset`. */
  vlanLimit(limit: number): Promise<void>;
  /** Back to the beginning: no flows, groups, meters, connections; ports as they were. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export const PORTS: readonly number[] = [1, 2, 3, 4];
export const BRIDGE = "br0";
