/** Something that counts packets: a rule, a bucket, a table, a patch port, a learned MAC. Translation lists the
 *  sinks a flow passes; the datapath's counts are credited to them. */
export interface Sink {
  /** `usedMs`: clock ms of the last of these packets. */
  credit(packets: number, bytes: number, usedMs: number): void;
}

/** A plain pair of counters. */
export class Counter implements Sink {
  packets = 0;
  bytes = 0;

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}
