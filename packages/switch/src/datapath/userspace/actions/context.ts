// Hot path. One context per depth of execution, used again and again.

import { extractFrom, isVlan, Layers, MAX_TAGS } from "../../../flow/extract.js";
import { newFlowKey } from "../../../flow/flow-key.js";
import { LANE_IN_PORT, LANE_NW, LANE_RECIRC_ID, LANE_TPIDS, LANE_TYPE_TCI } from "../../../flow/lanes.js";
import type { Packet } from "../../../netdev/packet.js";

/** A packet on its way through a list of actions, and what is known of it. */
export class Context {
  packet: Packet;
  readonly key = newFlowKey();
  readonly layers = new Layers();
  /** Lanes of `key` in use. */
  lanes = 0;
  /** Of the key; the slot of the flow that it led to; and one that it may lead to: the datapath's notes while a batch is
   *  looked up. */
  hash = 0;
  slot = -1;
  candidate = -1;
  /** Whether `layers` tells of the packet as it is now. */
  layersFresh = false;
  /** Whether `key` tells of the packet as it is now. */
  keyFresh = false;
  /** What a trunc action leaves of the packet for the next output; 0: all. */
  cut = 0;
  /** The queue that outputs go to. */
  queue = 0;
  /** Whether it was put together from IP fragments, and may be cut into such again. */
  isDatagram = false;
  /** How often the packet was looked up again. */
  recircs = 0;

  constructor(packet: Packet) {
    this.packet = packet;
  }

  /** Begins with a packet that came in by `odpPort`. */
  begin(packet: Packet, odpPort: number, recircId: number): void {
    this.take(packet, odpPort, recircId);
    this.extract();
  }

  /** The same, but for the key, which `extract` has to make. */
  take(packet: Packet, odpPort: number, recircId: number): void {
    this.packet = packet;
    this.key[LANE_IN_PORT] = odpPort;
    this.key[LANE_RECIRC_ID] = recircId;
    this.cut = 0;
    this.queue = 0;
    this.recircs = 0;
    this.isDatagram = false;
  }

  /** As `begin`, for a copy of another context's packet. */
  inherit(other: Context, packet: Packet): void {
    this.begin(packet, other.key[LANE_IN_PORT]!, other.key[LANE_RECIRC_ID]!);
    this.cut = other.cut;
    this.queue = other.queue;
    this.recircs = other.recircs;
    this.isDatagram = other.isDatagram;
  }

  /** Makes `key` and `layers` tell of the packet as it is now: the key of so many VLAN tags at most. */
  extract(tags = MAX_TAGS): void {
    const { packet, key } = this;
    this.lanes = extractFrom(packet.view, packet.start, packet.end, key, this.layers, this.lanes, tags);
    // Behind a tag that the key does not tell of there are headers all the same.
    this.layersFresh = tags === MAX_TAGS || !isVlan(key[LANE_TYPE_TCI]! >>> 16);
    this.keyFresh = true;
  }

  /** Makes `key` tell of the packet as it is now, to be looked up. */
  freshen(tags: number): void {
    const hasMore = tags < MAX_TAGS && (this.key[LANE_TPIDS]! & 0xffff) !== 0;
    if (!this.keyFresh || hasMore) this.extract(tags);
  }

  /** EtherType after the tags. Needs fresh layers; the key's own lane may be older. */
  get ethType(): number {
    const at = this.layers.ethType;
    if (at === 0) return 0;
    const b = this.packet.buffer;
    return (b[at]! << 8) | b[at + 1]!;
  }

  /** The protocol of layers.l4; needs fresh layers. No action changes it while they stay fresh. */
  get proto(): number {
    return this.key[LANE_NW]! >>> 24;
  }

  /** Whether the packet has a VLAN tag; needs a fresh key. */
  get isTagged(): boolean {
    return (this.key[LANE_TYPE_TCI]! & 0x1000) !== 0;
  }
}
