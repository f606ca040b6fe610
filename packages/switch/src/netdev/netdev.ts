import type { Packet } from "./packet.js";

/** A port's device. The datapath owns it, in the datapath's thread. */
export interface Netdev {
  readonly name: string;
  /** Whether it takes packets with unfinished checksums and super-frames; others get them finished and cut up. */
  readonly takesOffload: boolean;
  readonly stats: NetdevCounters;
  /** Asks the kernel for what `stats` cannot count by itself. */
  refreshStats?(): void;
  /** Takes a packet to send. It may hold it (`packet.held`) until `flush`; the packet must not change before. */
  send(packet: Packet): void;
  /** Sends what it holds. */
  flush(): void;
  /** What the device is like now; `gone` once it no longer exists. */
  status(): NetdevStatus;
  /** Throws an Error of one line when the device refuses. */
  set(change: { up?: boolean; mac?: string; mtu?: number }): void;
  close(): void;
}

/** A device that is read from by a file descriptor when poll says so. */
export interface PolledNetdev extends Netdev {
  readonly fd: number;
  /** Whether packets are there, where that can be told without a call. */
  isReady?(): boolean;
  /** Receives one burst of packets into buffers of its own and hands each to `sink`, then `endOfBurst`; the buffers
   *  are used again after. Gives how many came. */
  receive(sink: (packet: Packet) => void, endOfBurst: () => void): number;
}

export interface NetdevStatus {
  mac: string;
  mtu: number;
  ifindex: number;
  /** Carrier. */
  link: boolean;
  /** Administratively up. */
  admin: boolean;
  /** bits/s; 0: not known. */
  speed: number;
  gone: boolean;
}

/** Counts of one device, from its own point of view: rx is what came into the switch. */
export class NetdevCounters {
  rx_packets = 0;
  tx_packets = 0;
  rx_bytes = 0;
  tx_bytes = 0;
  rx_dropped = 0;
  tx_dropped = 0;
  rx_errors = 0;
  tx_errors = 0;
}

export const isPolled = (netdev: Netdev): netdev is PolledNetdev => "fd" in netdev;
