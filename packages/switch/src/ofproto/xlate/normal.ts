import { macFromNumber } from "@sluice/wire";
import type { VlanConfig } from "../types.js";
import { OFPPC, type XBridge, type XPort } from "./world.js";

/** OFPP_NORMAL as a decision: what a learning, VLAN-aware IEEE 802.1Q bridge does with a frame. The caller looks
 *  up nothing else and does what is decided. VLAN 0 stands for "no VLAN" (trunk ports carry untagged frames so). */

export interface Frame {
  readonly src: number;
  readonly dst: number;
  /** The VLAN id of the outer tag, undefined when there is no tag. */
  readonly vid: number | undefined;
}

export interface NormalDecision {
  readonly vlan: number;
  /** Learn the source address here. */
  readonly learn: boolean;
  /** `vid`: the tag to send with, undefined for none. */
  readonly outputs: readonly { readonly port: XPort; readonly vid: number | undefined }[];
  readonly why: string;
}

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
  const vlan = inputVlan(inPort?.vlan ?? CONTROLLER_VLAN, frame.vid);
  if (vlan === undefined) return nothing(`VLAN ${frame.vid ?? 0} is not carried by port ${inPort?.name}`);
  if (!bridge.forwardBpdu && isReserved(frame.dst)) return nothing("the destination is a reserved address");
  const learn = inPort !== undefined && !isMulticast(frame.src) && !bridge.floodVlans.has(vlan);
  const known = isMulticast(frame.dst) ? undefined : bridge.macLearning.lookup(vlan, frame.dst);
  if (known && !bridge.floodVlans.has(vlan)) {
    if (known.port === inPort) return nothing("the destination is on the input port", vlan, learn);
    if (isolated(inPort, known.port)) return nothing("both ports are protected", vlan, learn);
    return {
      vlan,
      learn,
      outputs: [{ port: known.port, vid: outputVid(known.port.vlan, vlan) }],
      why: "forwarding to learned port",
    };
  }
  const outputs: { port: XPort; vid: number | undefined }[] = [];
  for (const port of bridge.portMap.values()) {
    if (port === inPort || (port.config & OFPPC.NO_FLOOD) !== 0 || isolated(inPort, port)) continue;
    if (carries(port.vlan, vlan)) outputs.push({ port, vid: outputVid(port.vlan, vlan) });
  }
  const why = isMulticast(frame.dst) ? "multicast" : `no learned MAC for ${macFromNumber(frame.dst)}`;
  return { vlan, learn, outputs, why: `${why}, flooding` };
}

const isolated = (a: XPort | undefined, b: XPort): boolean =>
  a?.vlan.protected === true && b.vlan.protected === true;

/** The VLAN a frame belongs to that came in by such a port; undefined: it is dropped. */
function inputVlan(config: VlanConfig, vid: number | undefined): number | undefined {
  const tagged = vid !== undefined && vid !== 0;
  if (config.vlan_mode === "access") return tagged ? undefined : config.tag;
  const vlan = tagged ? vid : config.vlan_mode === "trunk" ? 0 : config.tag;
  return carries(config, vlan) ? vlan : undefined;
}

function carries(config: VlanConfig, vlan: number): boolean {
  if (config.vlan_mode === "access") return vlan === config.tag;
  if (config.vlan_mode !== "trunk" && vlan === config.tag) return true;
  return config.trunks.length === 0 || config.trunks.includes(vlan);
}

function outputVid(config: VlanConfig, vlan: number): number | undefined {
  if (vlan === 0 || config.vlan_mode === "access") return undefined;
  return config.vlan_mode === "native-untagged" && vlan === config.tag ? undefined : vlan;
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
