import {
  ARP_REPLY,
  ARP_REQUEST,
  arp,
  type Frame,
  frame,
  ICMPV4,
  type Ipv4,
  icmpv4,
  ipv4,
  udp,
} from "@sluice/wire";

/** What a host is called on the network. */
export interface HostAddress {
  readonly mac: string;
  readonly ip: string;
}

/** RFC 862. */
export const UDP_ECHO_PORT = 7;

/** The answer that a host owes to a frame by itself: to ARP requests, ICMP echo requests and UDP echo
 *  datagrams for its address. A pure function; undefined: none. */
export function respond(self: HostAddress, received: Frame): Frame | undefined {
  const { payload } = received;
  if (payload instanceof Uint8Array) return undefined;
  const reply = { src: self.mac, dst: received.src };
  if (payload.kind === "arp") {
    if (payload.op !== ARP_REQUEST || payload.tpa !== self.ip) return undefined;
    const answer = { op: ARP_REPLY, sha: self.mac, spa: self.ip, tha: payload.sha, tpa: payload.spa };
    return frame(reply, arp(answer));
  }
  if (payload.kind !== "ipv4" || payload.dst !== self.ip) return undefined;
  const echo = echoOf(payload);
  return echo && frame(reply, ipv4({ src: self.ip, dst: payload.src }, echo));
}

function echoOf({ payload }: Ipv4) {
  if (payload instanceof Uint8Array) return undefined;
  if (payload.kind === "icmpv4" && payload.type === ICMPV4.ECHO_REQUEST) {
    const { id, seq } = payload;
    return icmpv4({ type: ICMPV4.ECHO_REPLY, id, seq }, payload.payload);
  }
  // An echo from the echo port itself is not answered: two hosts would never stop (RFC 862 lacks this).
  if (payload.kind === "udp" && payload.dst_port === UDP_ECHO_PORT && payload.src_port !== UDP_ECHO_PORT) {
    return udp({ src_port: UDP_ECHO_PORT, dst_port: payload.src_port }, payload.payload);
  }
  return undefined;
}
