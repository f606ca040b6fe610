import {
  ARP_REPLY,
  ARP_REQUEST,
  arp,
  encodeFrame,
  type Frame,
  frame,
  ICMPV4,
  ICMPV6,
  type Icmpv4,
  type Icmpv6,
  type Ipv4,
  type Ipv6,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  MAC_BROADCAST,
  NA_FLAGS,
  ND_OPTION,
  neighbor,
  parseMac,
} from "@sluice/wire";
import { bytesOf, formatIp, type Ip, isMulticastIp, isUnicast, parseIp } from "./ip.js";

/** The frames that a router sends of its own accord. */

const ALL_NODES = "ff02::1";
const ND_HOPS = 255;
const ICMPV6_ERRORS_BELOW = 128;
/** Bytes of a packet that an error quotes: all of them for most, and an error stays below the least MTU
 *  (RFC 1812 §4.3.2.3: up to 576 bytes in all; RFC 4443 §2.4: up to 1280). */
const QUOTED = { 4: 576 - 28, 6: 1280 - 48 } as const;
const ICMPV6_TYPE = { UNREACHABLE: 1, TIME_EXCEEDED: 3 } as const;

/** Why a packet is not forwarded, in type and code of either family (RFC 792, RFC 1812 §5.2.7; RFC 4443 §3.1, §3.3). */
export const REFUSAL = {
  noRoute: { 4: [ICMPV4.UNREACHABLE, 0], 6: [ICMPV6_TYPE.UNREACHABLE, 0] },
  noHost: { 4: [ICMPV4.UNREACHABLE, 1], 6: [ICMPV6_TYPE.UNREACHABLE, 3] },
  noPort: { 4: [ICMPV4.UNREACHABLE, 3], 6: [ICMPV6_TYPE.UNREACHABLE, 4] },
  noTtl: { 4: [ICMPV4.TIME_EXCEEDED, 0], 6: [ICMPV6_TYPE.TIME_EXCEEDED, 0] },
} as const;
export type Refusal = (typeof REFUSAL)[keyof typeof REFUSAL];

const tags = (vlan: number): { vid: number }[] => (vlan === 0 ? [] : [{ vid: vlan }]);
const bytes = (src: string, dst: string, vlan: number, payload: Frame["payload"]): Uint8Array =>
  encodeFrame(frame({ src, dst, vlans: tags(vlan) }, payload));

/** Where multicast of IPv6 goes (RFC 2464 §7). */
const multicastMac = (group: Ip): string =>
  `33:33:${[...bytesOf(group).subarray(12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;

/** RFC 4291 §2.7.1. */
const solicitedNode = (ip: Ip): Ip => ({
  family: 6,
  value: parseIp("ff02::1:ff00:0")!.value | (ip.value & 0xff_ffffn),
});

/** Asks where `target` is, in the name of the router's address `own` (RFC 826, RFC 4861 §4.3). */
export function question(mac: string, vlan: number, own: Ip, target: Ip): Uint8Array {
  const [src, wanted] = [formatIp(own), formatIp(target)];
  if (own.family === 4)
    return bytes(mac, MAC_BROADCAST, vlan, arp({ op: ARP_REQUEST, sha: mac, spa: src, tpa: wanted }));
  const group = solicitedNode(target);
  const options = [{ type: ND_OPTION.SOURCE_LINK_ADDRESS, data: parseMac(mac) }];
  const body = neighbor({ target: wanted, options });
  const message = icmpv6({ type: ICMPV6.NEIGHBOR_SOLICITATION }, body);
  return bytes(
    mac,
    multicastMac(group),
    vlan,
    ipv6({ src, dst: formatIp(group), hop_limit: ND_HOPS }, message),
  );
}

/** Tells who asked that `own` is at `mac`. */
export function arpAnswer(
  mac: string,
  vlan: number,
  own: string,
  asker: { sha: string; spa: string },
): Uint8Array {
  const { sha: tha, spa: tpa } = asker;
  return bytes(mac, tha, vlan, arp({ op: ARP_REPLY, sha: mac, spa: own, tha, tpa }));
}

/** The same for IPv6; who has no address yet is answered by telling all (RFC 4861 §7.2.4). */
export function advertisement(
  mac: string,
  vlan: number,
  own: string,
  asker: { mac: string; ip: string },
): Uint8Array {
  const isKnown = asker.ip !== "::";
  const flags = NA_FLAGS.ROUTER + (isKnown ? NA_FLAGS.SOLICITED : 0) + NA_FLAGS.OVERRIDE;
  const options = [{ type: ND_OPTION.TARGET_LINK_ADDRESS, data: parseMac(mac) }];
  const message = icmpv6({ type: ICMPV6.NEIGHBOR_ADVERTISEMENT }, neighbor({ target: own, flags, options }));
  const dst = isKnown ? asker.ip : ALL_NODES;
  const dstMac = isKnown ? asker.mac : multicastMac(parseIp(ALL_NODES)!);
  return bytes(mac, dstMac, vlan, ipv6({ src: own, dst, hop_limit: ND_HOPS }, message));
}

type Packet = Ipv4 | Ipv6;
const icmpOf = ({ payload }: Packet): Icmpv4 | Icmpv6 | undefined =>
  "kind" in payload && (payload.kind === "icmpv4" || payload.kind === "icmpv6") ? payload : undefined;

/** The answer to an echo request to one of the router's addresses; undefined for any other packet. */
export function echoAnswer(
  mac: string,
  vlan: number,
  request: Frame,
  packet: Packet,
): Uint8Array | undefined {
  const message = icmpOf(packet);
  const { src: dst, dst: src } = packet;
  if (packet.kind === "ipv4" && message?.kind === "icmpv4" && message.type === ICMPV4.ECHO_REQUEST) {
    const { id, seq, payload } = message;
    const reply = icmpv4({ type: ICMPV4.ECHO_REPLY, id, seq }, payload);
    return bytes(mac, request.src, vlan, ipv4({ src, dst, tos: packet.tos }, reply));
  }
  if (packet.kind === "ipv6" && message?.kind === "icmpv6" && message.type === ICMPV6.ECHO_REQUEST) {
    const reply = icmpv6({ type: ICMPV6.ECHO_REPLY }, message.body);
    return bytes(mac, request.src, vlan, ipv6({ src, dst, traffic_class: packet.traffic_class }, reply));
  }
  return undefined;
}

/** Whether a packet may be answered by an error (RFC 1812 §4.3.2.7, RFC 4443 §2.4 e): it is no error itself, the first
 *  fragment, and from and for one host. */
export function mayBeRefused(request: Frame, packet: Packet): boolean {
  const [src, dst] = [parseIp(packet.src), parseIp(packet.dst)];
  if (src === undefined || dst === undefined || !isUnicast(src) || isMulticastIp(dst)) return false;
  if ((Number.parseInt(request.dst.slice(0, 2), 16) & 1) === 1) return false;
  if (packet.kind === "ipv4" && packet.frag_offset > 0) return false;
  const message = icmpOf(packet);
  if (message === undefined) return true;
  if (message.kind === "icmpv6") return message.type >= ICMPV6_ERRORS_BELOW;
  return message.type === ICMPV4.ECHO_REQUEST || message.type === ICMPV4.ECHO_REPLY;
}

/** Tells the sender of a packet, from the router's address `own`, why it is not forwarded. `original` is the frame. */
export function refusal(
  mac: string,
  vlan: number,
  own: Ip,
  request: Frame,
  packet: Packet,
  original: Uint8Array,
  why: Refusal,
): Uint8Array {
  const [type, code] = why[own.family];
  const head = 14 + 4 * request.vlans.length;
  const end = original.length - request.padding.length;
  const quoted = original.slice(head, Math.min(end, head + QUOTED[own.family]));
  const [src, dst] = [formatIp(own), packet.src];
  if (own.family === 4)
    return bytes(mac, request.src, vlan, ipv4({ src, dst, tos: 0xc0 }, icmpv4({ type, code }, quoted)));
  // Behind type and code are four bytes that are not used.
  const body = new Uint8Array(4 + quoted.length);
  body.set(quoted, 4);
  return bytes(mac, request.src, vlan, ipv6({ src, dst }, icmpv6({ type, code }, body)));
}
