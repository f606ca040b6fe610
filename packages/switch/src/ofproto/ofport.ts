import type { Port } from "./of.js";
import { Counter } from "./sink.js";
import type { PortInfo, QueueSpec, VlanConfig } from "./types.js";
import { OFPPC, OFPPS, type XBridge, type XPort } from "./xlate/world.js";

/** Bits of OFPPC_* that OpenFlow 1.3 has; NO_FLOOD is ours. */
const CONFIG_1_3 = OFPPC.PORT_DOWN | OFPPC.NO_RECV | OFPPC.NO_FWD | OFPPC.NO_PACKET_IN;

export const DEFAULT_MTU = 1500;

/** A port of a bridge. */
export class OfPort implements XPort {
  readonly bridge: XBridge;
  readonly ofport: number;
  readonly name: string;
  readonly type: string;
  odpPort: number | undefined;
  /** Of a patch port: the name of the other end, and it when it is there and names this one. */
  peerName: string | undefined;
  peer: OfPort | undefined;
  config = 0;
  state = 0;
  vlan: VlanConfig;
  readonly rx = new Counter();
  readonly tx = new Counter();
  /** By queue_id, as configured; empty: nothing is shaped. */
  queues: ReadonlyMap<number, QueueSpec> = new Map();
  /** The configuration as text, to see whether it changes. */
  queueShape = "[[],null]";
  queuesSinceMs = 0;
  mac: string;
  mtu = DEFAULT_MTU;
  /** What somebody has asked for. */
  mtuRequest: number | undefined;
  admin = true;
  speed = 0;
  linkResets = 0;
  ifindex = 0;
  readonly createdMs: number;

  constructor(init: {
    bridge: XBridge;
    ofport: number;
    name: string;
    type: string;
    mac: string;
    vlan: VlanConfig;
    peerName?: string;
    nowMs: number;
  }) {
    this.bridge = init.bridge;
    this.ofport = init.ofport;
    this.name = init.name;
    this.type = init.type;
    this.mac = init.mac;
    this.vlan = init.vlan;
    this.peerName = init.peerName;
    this.createdMs = init.nowMs;
  }

  /** Whether its MTU goes by the bridge's other ports. */
  get followsMtu(): boolean {
    return this.type === "internal" && this.mtuRequest === undefined;
  }

  get link(): boolean {
    return (this.state & OFPPS.LINK_DOWN) === 0;
  }

  /** Sets link, device and liveness bits; says whether OpenFlow would see a change. */
  update(change: { link?: boolean; admin?: boolean; mac?: string; mtu?: number; speed?: number }): boolean {
    const before = JSON.stringify(this.desc());
    const wasUp = this.link;
    if (change.admin !== undefined) {
      this.admin = change.admin;
      this.config = change.admin ? this.config & ~OFPPC.PORT_DOWN : this.config | OFPPC.PORT_DOWN;
    }
    if (change.mac !== undefined) this.mac = change.mac;
    if (change.mtu !== undefined) this.mtu = change.mtu;
    if (change.speed !== undefined) this.speed = change.speed;
    const up = change.link ?? wasUp;
    if (up !== wasUp) this.linkResets++;
    this.state = up ? this.state & ~OFPPS.LINK_DOWN : this.state | OFPPS.LINK_DOWN;
    const live = up && (this.config & OFPPC.PORT_DOWN) === 0;
    this.state = live ? this.state | OFPPS.LIVE : this.state & ~OFPPS.LIVE;
    return JSON.stringify(this.desc()) !== before;
  }

  /** As OpenFlow describes it (1.3.5 §7.2.1). */
  desc(): Port {
    const { curr, kbps } = feature(this.speed);
    return {
      port_no: this.ofport,
      hw_addr: this.mac,
      name: this.name.slice(0, 15),
      config: this.config & CONFIG_1_3,
      state: this.state,
      curr,
      advertised: 0,
      supported: 0,
      peer: 0,
      curr_speed: kbps,
      max_speed: 0,
    };
  }

  info(): PortInfo {
    const { ofport, name, type, odpPort, mac, mtu, link, admin, linkResets, speed, ifindex } = this;
    const { peerName, peer: other } = this;
    const peer = peerName === undefined ? undefined : { name: peerName, isThere: other !== undefined };
    return { ofport, name, type, odpPort, mac, mtu, link, admin, linkResets, speed, ifindex, peer };
  }
}

/** Full-duplex OFPPF_* by bits/s. */
const SPEEDS: readonly (readonly [number, number])[] = [
  [10e6, 1 << 1],
  [100e6, 1 << 3],
  [1e9, 1 << 5],
  [10e9, 1 << 6],
  [40e9, 1 << 7],
  [100e9, 1 << 8],
  [1e12, 1 << 9],
];
const OTHER = 1 << 10;
const COPPER = 1 << 11;

function feature(speed: number): { curr: number; kbps: number } {
  if (speed <= 0) return { curr: 0, kbps: 0 };
  const bit = SPEEDS.find(([bps]) => bps === speed)?.[1] ?? OTHER;
  return { curr: bit | COPPER, kbps: Math.min(speed / 1000, 0xffff_ffff) };
}
