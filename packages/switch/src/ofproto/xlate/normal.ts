import { macFromNumber } from "@sluice/wire";
import { ETH_QINQ, ETH_VLAN } from "../../flow/extract.js";
import type { VlanConfig } from "../types.js";
import { OFPPC, type XBridge, type XPort } from "./world.js";

/** OFPP_NORMAL as a decision: what a learning, VLAN-aware IEEE 802.1Q bridge does with a frame. The caller looks
 *  up nothing else and does what is decided. VLAN 0 stands for "no VLAN" (trunk ports carry untagged frames so). */

/** A VLAN tag: its EtherType, VLAN and priority. */
export interface Tag {
  readonly tpid: number;
  readonly vid: number;
  readonly pcp: number;
}

/** Outermost first. What is not asked of a tag does not narrow the megaflow. */
export type Tags = readonly Tag[];

export interface Frame {
  readonly src: number;
  readonly dst: number;
  readonly tags: Tags;
}

export interface NormalDecision {
  readonly vlan: number;
  /** Learn the source address here. */
  readonly learn: boolean;
  /** With the tags to send with: the frame's own where they stay. */
  readonly outputs: readonly { readonly port: XPort; readonly tags: Tags }[];
  readonly why: string;
}

/** The VLAN tags that a frame has inside the bridge: that of its VLAN, and the next. */
type Inside = readonly [outer: Tag, inner: Tag];

const NO_TAG: Tag = { tpid: 0, vid: 0, pcp: 0 };
const nothing = (why: string, vlan = 0, learn = false): NormalDecision => ({ vlan, learn, outputs: [], why });

/** What a controller sends by itself comes in as if by a trunk of all VLANs, where nothing is learned. */
const CONTROLLER_VLAN: VlanConfig = { vlan_mode: "trunk", tag: 0, trunks: [] };

export function decideNormal(
  bridge: XBridge,
  from: XPort | "controller" | undefined,
  frame: Frame,
): NormalDecision {
  if (!from) return nothing("no input port");
  const inPort = from === "controller" ? undefined : from;
  const config = inPort?.vlan ?? CONTROLLER_VLAN;
  const vid = frame.tags[0]?.vid ?? 0;
  if (!admits(config, vid)) return nothing(`VLAN ${vid} is not carried by port ${inPort?.name}`);
  const inside = tagsInside(config, frame.tags);
  const vlan = inside[0].vid;
  if (!bridge.forwardBpdu && isReserved(frame.dst)) return nothing("the destination is a reserved address");
  const learn = inPort !== undefined && !isMulticast(frame.src) && !bridge.floodVlans.has(vlan);
  const output = (port: XPort) => ({ port, tags: tagsToSend(port.vlan, inside, frame.tags) });
  const known = isMulticast(frame.dst) ? undefined : bridge.macLearning.lookup(vlan, frame.dst);
  if (known && !bridge.floodVlans.has(vlan)) {
    if (known.port === inPort) return nothing("the destination is on the input port", vlan, learn);
    if (isolated(inPort, known.port)) return nothing("both ports are protected", vlan, learn);
    return { vlan, learn, outputs: [output(known.port)], why: "forwarding to learned port" };
  }
  const outputs: { port: XPort; tags: Tags }[] = [];
  for (const port of bridge.portMap.values()) {
    if (port === inPort || (port.config & OFPPC.NO_FLOOD) !== 0 || isolated(inPort, port)) continue;
    if (carries(port.vlan, inside)) outputs.push(output(port));
  }
  const why = isMulticast(frame.dst) ? "multicast" : `no learned MAC for ${macFromNumber(frame.dst)}`;
  return { vlan, learn, outputs, why: `${why}, flooding` };
}

const isolated = (a: XPort | undefined, b: XPort): boolean =>
  a?.vlan.protected === true && b.vlan.protected === true;

/** Whether a frame with such an outer tag (0: none, or one for its priority alone) may come in. */
function admits(config: VlanConfig, vid: number): boolean {
  switch (config.vlan_mode) {
    case "access":
      return vid === 0;
    case "dot1q-tunnel":
      return carriesCustomer(config, vid);
    case "trunk":
      return carriesTrunked(config, vid);
    default:
      return vid === 0 || carriesTrunked(config, vid);
  }
}

/** What the frame's tags are in the bridge, having come in by such a port. */
function tagsInside(config: VlanConfig, [outer = NO_TAG, inner = NO_TAG]: Tags): Inside {
  switch (config.vlan_mode) {
    case "access":
      return [tagged(config.tag, outer), NO_TAG];
    case "dot1q-tunnel":
      return [{ tpid: config.qinqEthertype ?? ETH_QINQ, vid: config.tag, pcp: 0 }, outer];
    case "trunk":
      return [outer, inner];
    default:
      return [outer.vid === 0 ? tagged(config.tag, outer) : outer, inner];
  }
}

/** A tag for a VLAN, in the place of another or of none. */
const tagged = (vid: number, { tpid, pcp }: Tag): Tag => ({ tpid: tpid === 0 ? ETH_VLAN : tpid, vid, pcp });

/** Whether the frame leaves by such a port when it is flooded. */
function carries(config: VlanConfig, [outer, inner]: Inside): boolean {
  switch (config.vlan_mode) {
    case "access":
      return outer.vid === config.tag && inner.vid === 0;
    case "dot1q-tunnel":
      return outer.vid === config.tag && carriesCustomer(config, inner.vid);
    case "trunk":
      return carriesTrunked(config, outer.vid);
    default:
      // VLAN 0 is none beside a native VLAN.
      if (config.tag === 0) return carriesTrunked(config, outer.vid);
      return outer.vid === config.tag || (outer.vid !== 0 && carriesTrunked(config, outer.vid));
  }
}

const carriesTrunked = ({ trunks }: VlanConfig, vid: number): boolean =>
  trunks.length === 0 || trunks.includes(vid);

const carriesCustomer = ({ cvlans = [] }: VlanConfig, vid: number): boolean =>
  cvlans.length === 0 || cvlans.includes(vid);

/** The tags that a frame, which came with `own`, has when it leaves by such a port. Where priority-tagged frames are sent
 *  the priority is that of the frame's own outer tag. */
function tagsToSend(config: VlanConfig, inside: Inside, own: Tags): Tags {
  const { priorityTags = "never" } = config;
  let tags = tagsOutside(config, inside);
  const priority = own[0] ?? NO_TAG;
  if (priorityTags !== "never" && tags[0] !== priority) tags = [{ ...tags[0], pcp: priority.pcp }, tags[1]];
  const sent: Tag[] = [];
  for (const tag of tags) {
    const isTag = tag.vid !== 0 || tag.pcp !== 0 || (priorityTags === "always" && tag.tpid !== 0);
    if (!isTag) break;
    sent.push(tag.tpid === 0 ? { ...tag, tpid: ETH_VLAN } : tag);
  }
  // Behind a service VLAN's tag and the customer's there may be another of the customer's.
  return inside[1] === own[0] && sent.at(-1) === own[0] ? [...sent, ...own.slice(1)] : sent;
}

function tagsOutside(config: VlanConfig, inside: Inside): Inside {
  const [outer, inner] = inside;
  switch (config.vlan_mode) {
    case "access":
      return [NO_TAG, NO_TAG];
    case "dot1q-tunnel":
      return [inner, NO_TAG];
    case "native-untagged":
      return outer.vid === config.tag ? [inner, NO_TAG] : inside;
    default:
      return inside;
  }
}

const isMulticast = (mac: number): boolean => Math.floor(mac / 0x100_0000_0000) % 2 === 1;

/** Control protocols between neighbours (ovs-vswitchd.conf.db(5), forward-bpdu): those that IEEE 802.1D bridges do not
 *  forward, Extreme's (EDP, EAPS) and Cisco's (CDP, VTP, PVST+, UplinkFast, ISL, CFM). */
const isReserved = (mac: number): boolean =>
  (mac >= 0x0180_c200_0000 && mac <= 0x0180_c200_000f) ||
  (mac >= 0x0100_0ccc_ccc0 && mac <= 0x0100_0ccc_cccf) ||
  RESERVED.has(mac);

const RESERVED: ReadonlySet<number> = new Set([
  0x00e0_2b00_0000, 0x00e0_2b00_0004, 0x00e0_2b00_0006, 0x0100_0c00_0000, 0x0100_0ccd_cdcd,
]);
