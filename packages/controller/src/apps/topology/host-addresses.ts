// Hot path: `hostAddresses` runs for each packet-in; only ARP and neighbour discovery are read further.
import { readIpv4, readIpv6 } from "@sluice/wire";
import type { FrameHead } from "../frame.js";
import type { HostAddresses } from "./model.js";

const ETH_ARP = 0x0806;
const ETH_IPV6 = 0x86dd;
const ICMPV6 = 58;
const [ND_SOLICIT, ND_ADVERT] = [135, 136];

/** The address by which the sender of a frame says it is known: the sender of ARP (RFC 826), the source of a neighbour
 *  solicitation, the target of a neighbour advertisement (RFC 4861 §4.3, §4.4). The source of other IP packets
 *  is not taken: behind a router it is another host's. */
export function hostAddresses(head: FrameHead, frame: Uint8Array): HostAddresses | undefined {
  const at = head.vlan < 0 ? 14 : 18;
  if (head.ethType === ETH_ARP && frame.length >= at + 28) {
    const ipv4 = readIpv4(frame, at + 14);
    return ipv4 === "0.0.0.0" ? undefined : { ipv4 };
  }
  if (head.ethType !== ETH_IPV6 || frame.length < at + 64 || frame[at + 6] !== ICMPV6) return undefined;
  const type = frame[at + 40];
  if (type !== ND_SOLICIT && type !== ND_ADVERT) return undefined;
  const ipv6 = readIpv6(frame, type === ND_SOLICIT ? at + 8 : at + 48);
  return ipv6 === "::" ? undefined : { ipv6 };
}
