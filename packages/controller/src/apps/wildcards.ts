import { type Match, missingPrerequisite, oxmField } from "@sluice/openflow-codec";
import { fieldValue, fromBits, type ModelPacket, packetFromFrame } from "../tables/packet.js";

/** OpenFlow 1.0's ofp_flow_wildcards, in which ovs-testcontroller's --wildcards is said: the bit of a field that is left
 *  out, and what the field is called in OpenFlow 1.3. */
const FIELDS: readonly (readonly [bit: number, names: readonly string[]])[] = [
  [1 << 1, ["vlan_vid"]],
  [1 << 2, ["eth_src"]],
  [1 << 3, ["eth_dst"]],
  [1 << 4, ["eth_type"]],
  [1 << 5, ["ip_proto", "arp_op"]],
  [1 << 6, ["tcp_src", "udp_src", "sctp_src", "icmpv4_type", "icmpv6_type"]],
  [1 << 7, ["tcp_dst", "udp_dst", "sctp_dst", "icmpv4_code", "icmpv6_code"]],
  [1 << 20, ["vlan_pcp"]],
  [1 << 21, ["ip_dscp"]],
];
const IN_PORT = 1 << 0;
/** How many of the low bits of an IPv4 address are left out; 32 and more mean all. */
const ADDRESSES: readonly (readonly [shift: number, ipv4: readonly string[], ipv6: string])[] = [
  [8, ["ipv4_src", "arp_spa"], "ipv6_src"],
  [14, ["ipv4_dst", "arp_tpa"], "ipv6_dst"],
];

/** The bits of VLAN, source and destination address: where one is left out, flows are not by host. */
export const OFPFW_HOST = (1 << 1) | (1 << 2) | (1 << 3);

/** A match on the headers of a frame but for what the mask leaves out. A field whose prerequisites are left out goes with
 *  them. */
export function matchExcept(wildcards: number, data: Uint8Array, in_port: number): Match {
  const packet = packetFromFrame(data);
  const match: Record<string, unknown> = (wildcards & IN_PORT) === 0 ? { in_port } : {};
  if (packet === undefined) return match as Match;
  for (const [bit, names] of FIELDS)
    if ((wildcards & bit) === 0) for (const name of names) take(match, packet, name);
  for (const [shift, names, ipv6] of ADDRESSES) {
    const low = (wildcards >>> shift) & 0x3f;
    if (low === 0) for (const name of [...names, ipv6]) take(match, packet, name);
    else if (low < 32) for (const name of names) take(match, packet, name, low);
  }
  for (let isDone = false; !isDone; ) {
    const lacking = Object.keys(match).find(
      (name) => missingPrerequisite(match as Match, name) !== undefined,
    );
    if (lacking === undefined) isDone = true;
    else delete match[lacking];
  }
  return match as Match;
}

/** Puts a field of the packet into a match, but for its `low` bits; not where the packet lacks it. */
function take(match: Record<string, unknown>, packet: ModelPacket, name: string, low = 0): void {
  const isOfTag = name === "vlan_vid" || name === "vlan_pcp";
  if (!isOfTag && !packet.fields.has(name)) return;
  if (name === "vlan_pcp" && packet.vlans.length === 0) return;
  const field = oxmField(name)!;
  const value = fromBits(field, (fieldValue(packet, name) >> BigInt(low)) << BigInt(low));
  const mask = fromBits(field, ((1n << BigInt(field.bits)) - 1n) ^ ((1n << BigInt(low)) - 1n));
  match[name] = low === 0 ? value : { value, mask };
}
