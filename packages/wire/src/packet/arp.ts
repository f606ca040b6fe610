import { MAC_ZERO } from "../address.js";
import { header, ip4, mac, u8, u16 } from "./header.js";
import { type LayerCodec, malformed, tooShort } from "./layer.js";

/** ARP for IPv4 over Ethernet (RFC 826). */
export interface Arp extends Required<ArpInit> {
  readonly kind: "arp";
}

export interface ArpInit {
  /** 1 request, 2 reply. */
  op: number;
  /** Sender's and target's hardware and protocol addresses. */
  sha: string;
  spa: string;
  /** Default: zero, as in a request. */
  tha?: string;
  tpa: string;
}

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

export const arp = (init: ArpInit): Arp => ({ kind: "arp", tha: MAC_ZERO, ...init });

const arpHeader = header(28, {
  hrd: u16(0),
  pro: u16(2),
  hln: u8(4),
  pln: u8(5),
  op: u16(6),
  sha: mac(8),
  spa: ip4(14),
  tha: mac(18),
  tpa: ip4(24),
});

const ETHERNET_IPV4 = { hrd: 1, pro: 0x0800, hln: 6, pln: 4 };

export const arpCodec: LayerCodec<Arp> = {
  size: () => arpHeader.size,
  write: (layer, bytes, at) => arpHeader.write(bytes, at, { ...ETHERNET_IPV4, ...layer }),
  parse: (bytes, at, end) => {
    if (end - at < arpHeader.size) return tooShort("arp", arpHeader.size, bytes, at, end);
    const { hrd, pro, hln, pln, ...fields } = arpHeader.read(bytes, at);
    if (hrd !== 1 || pro !== 0x0800 || hln !== 6 || pln !== 4) {
      return malformed(
        "arp",
        `hardware type ${hrd}, protocol 0x${pro.toString(16)}: not Ethernet and IPv4`,
        bytes,
        at,
        end,
      );
    }
    return { layer: { kind: "arp", ...fields }, end: at + arpHeader.size };
  },
};
