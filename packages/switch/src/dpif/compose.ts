import {
  arp,
  ethernet,
  type Frame,
  ICMPV6,
  IP_PROTO,
  IPV4_FLAGS,
  IPV6_EXTENSION,
  type IpPayload,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  ND_OPTION,
  neighbor,
  parseMac,
  tcp,
  udp,
} from "@sluice/wire";
import { ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, FRAG_LATER } from "../flow/extract.js";
import type { OdpValues } from "./odp-parse.js";

/** A frame of a flow, the inverse of extraction: what the flow does not tell is 0. Checksums are right, but for SCTP's, which
 *  is 0. `size`: of the whole frame; without it TCP, UDP and ICMP carry 64 bytes. Throws a RangeError of one line. */
export function composeFrame(flow: OdpValues, size?: number): Uint8Array {
  const bare = frameOf(flow, new Uint8Array(0));
  const carries = PAYLOAD_OF.has(Number(flow.eth_type ?? 0)) ? bare.length : 0;
  if (size === undefined) return carries > 0 && hasTransport(flow) ? frameOf(flow, payload(64)) : bare;
  if (size < bare.length) throw new RangeError("too small packet len");
  if (carries > 0) return frameOf(flow, payload(size - bare.length));
  const padded = new Uint8Array(size);
  padded.set(bare);
  return padded;
}

const MPLS: ReadonlySet<number> = new Set([ETH_MPLS, ETH_MPLS_MC]);
/** Those whose payload may have any length. */
const PAYLOAD_OF: ReadonlySet<number> = new Set([ETH_IPV4, ETH_IPV6]);
const VLAN_PRESENT = 0x1000;

const payload = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i);

const number = (flow: OdpValues, name: string): number => Number(flow[name] ?? 0);
const text = (flow: OdpValues, name: string, none: string): string => String(flow[name] ?? none);

const TRANSPORTS: ReadonlySet<number> = new Set([IP_PROTO.TCP, IP_PROTO.UDP, IP_PROTO.ICMP, IP_PROTO.SCTP]);
const hasTransport = (flow: OdpValues): boolean =>
  TRANSPORTS.has(number(flow, "ip_proto")) && (number(flow, "nw_frag") & FRAG_LATER) === 0;

const NO_MAC = "00:00:00:00:00:00";

function frameOf(flow: OdpValues, rest: Uint8Array): Uint8Array {
  const vid = number(flow, "vlan_vid");
  const eth_type = number(flow, "eth_type");
  return ethernet(
    {
      src: text(flow, "eth_src", NO_MAC),
      dst: text(flow, "eth_dst", NO_MAC),
      eth_type,
      vlans: vid & VLAN_PRESENT ? [{ vid: vid & 0xfff, pcp: number(flow, "vlan_pcp") }] : [],
    },
    networkOf(flow, eth_type, rest),
  );
}

function networkOf(flow: OdpValues, eth_type: number, rest: Uint8Array): Frame["payload"] {
  if (MPLS.has(eth_type)) return labelOf(flow);
  if (eth_type === ETH_ARP)
    return arp({
      op: number(flow, "arp_op"),
      sha: text(flow, "arp_sha", NO_MAC),
      spa: text(flow, "arp_spa", "0.0.0.0"),
      tha: text(flow, "arp_tha", NO_MAC),
      tpa: text(flow, "arp_tpa", "0.0.0.0"),
    });
  const proto = number(flow, "ip_proto");
  const tos = (number(flow, "ip_dscp") << 2) | number(flow, "ip_ecn");
  const frag = number(flow, "nw_frag");
  const offset = frag & FRAG_LATER ? 64 : 0;
  if (eth_type === ETH_IPV4)
    return ipv4(
      {
        src: text(flow, "ipv4_src", "0.0.0.0"),
        dst: text(flow, "ipv4_dst", "0.0.0.0"),
        proto,
        tos,
        ttl: number(flow, "nw_ttl"),
        flags: frag ? IPV4_FLAGS.MF : 0,
        frag_offset: offset,
      },
      transportOf(flow, proto, rest),
    );
  if (eth_type !== ETH_IPV6) return rest;
  // Reserved byte, offset and "more follow", identification (RFC 8200 §4.5).
  const fragment = Uint8Array.of(0, offset >>> 5, ((offset << 3) & 0xff) | 1, 0, 0, 0, 0);
  return ipv6(
    {
      src: text(flow, "ipv6_src", "::"),
      dst: text(flow, "ipv6_dst", "::"),
      proto,
      traffic_class: tos,
      flow_label: number(flow, "ipv6_flabel"),
      hop_limit: number(flow, "nw_ttl"),
      extensions: frag ? [{ type: IPV6_EXTENSION.FRAGMENT, data: fragment }] : [],
    },
    transportOf(flow, proto, rest),
  );
}

function labelOf(flow: OdpValues): Uint8Array {
  const entry =
    number(flow, "mpls_label") * 0x1000 +
    ((number(flow, "mpls_tc") << 9) | (number(flow, "mpls_bos") << 8) | number(flow, "mpls_ttl"));
  return Uint8Array.of(entry >>> 24, entry >>> 16, entry >>> 8, entry);
}

function transportOf(flow: OdpValues, proto: number, rest: Uint8Array): IpPayload {
  if (number(flow, "nw_frag") & FRAG_LATER) return rest;
  const ports = (name: string) => ({
    src_port: number(flow, `${name}_src`),
    dst_port: number(flow, `${name}_dst`),
  });
  const message = (name: string) => ({
    type: number(flow, `${name}_type`),
    code: number(flow, `${name}_code`),
  });
  switch (proto) {
    case IP_PROTO.TCP:
      return tcp({ ...ports("tcp"), flags: number(flow, "tcp_flags") }, rest);
    case IP_PROTO.UDP:
      return udp(ports("udp"), rest);
    case IP_PROTO.SCTP: {
      const { src_port, dst_port } = ports("sctp");
      const bytes = new Uint8Array(12 + rest.length);
      bytes.set([src_port >>> 8, src_port, dst_port >>> 8, dst_port]);
      bytes.set(rest, 12);
      return bytes;
    }
    case IP_PROTO.ICMP:
      return icmpv4(message("icmpv4"), rest);
    case IP_PROTO.ICMPV6: {
      const init = message("icmpv6");
      return icmpv6(init, discoveryOf(flow, init.type) ?? rest);
    }
    default:
      return rest;
  }
}

/** Neighbour discovery, with the link's address where the flow has one. */
function discoveryOf(flow: OdpValues, type: number): ReturnType<typeof neighbor> | undefined {
  const isSolicitation = type === ICMPV6.NEIGHBOR_SOLICITATION;
  if (!isSolicitation && type !== ICMPV6.NEIGHBOR_ADVERTISEMENT) return undefined;
  const address = flow[isSolicitation ? "ipv6_nd_sll" : "ipv6_nd_tll"];
  const option = isSolicitation ? ND_OPTION.SOURCE_LINK_ADDRESS : ND_OPTION.TARGET_LINK_ADDRESS;
  return neighbor({
    target: text(flow, "ipv6_nd_target", "::"),
    ...(address === undefined ? {} : { options: [{ type: option, data: parseMac(String(address)) }] }),
  });
}
