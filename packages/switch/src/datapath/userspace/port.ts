import type { Netdev } from "../../netdev/netdev.js";
import type { Shaper } from "./actions/shaper.js";

/** A port of the datapath. */
export class Port {
  readonly odpPort: number;
  readonly netdev: Netdev;
  /** The device's MTU, as last seen. */
  mtu: number;
  /** Its queues, where it has any. */
  shaper: Shaper | undefined = undefined;
  /** It was handed packets since it was flushed. */
  dirty = false;

  constructor(odpPort: number, netdev: Netdev) {
    this.odpPort = odpPort;
    this.netdev = netdev;
    this.mtu = netdev.status().mtu;
  }
}

/** What the datapath did, by name. Every drop that is not a flow's wish is counted here or in a port's statistics. */
export class DatapathCounters {
  packets = 0;
  /** Lookups that the exact-match cache answered. */
  emc_hits = 0;
  /** Lookups that the signature-match cache answered. */
  smc_hits = 0;
  /** Lookups that no flow matched, and those of them that found no room in the queue to the slow path. */
  misses = 0;
  misses_lost = 0;
  /** To the slow path: misses and userspace actions. */
  upcalls = 0;
  /** Upcalls that found their port's share of the queue full. */
  upcalls_lost = 0;
  executes = 0;
  recirculations = 0;
  segmented = 0;
  /** Fragments sent of datagrams that had been put together. */
  fragmented = 0;
  /** Packets handed to ports, and how often a port was told to send them. */
  output_packets = 0;
  output_batches = 0;
  drop_no_port = 0;
  drop_oversize = 0;
  drop_meter = 0;
  drop_too_deep = 0;
  drop_no_headroom = 0;
  drop_bad_offload = 0;
  /** Packets that came while the datapath was busy and found its queue full (inline only). */
  drop_queue_full = 0;
}
