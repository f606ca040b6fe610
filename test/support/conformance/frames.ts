import {
  type Arp,
  arp,
  type EthernetInit,
  ethernet,
  fromHex,
  type Icmpv4Init,
  type Icmpv6,
  type Icmpv6Init,
  type Ipv4Init,
  type Ipv6Init,
  icmpv4,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  ND_OPTION,
  neighbor,
  type TcpInit,
  tcp,
  type UdpInit,
  udp,
} from "@sluice/wire";

/** Frames that the cases send: each builder has defaults for everything, so that a case says only what it is about. */

export const MAC_A = "0a:00:00:00:00:01";
export const MAC_B = "0a:00:00:00:00:02";
export const IP_A = "10.1.0.1";
export const IP_B = "10.1.0.2";
export const IP6_A = "fd00::a:1";
export const IP6_B = "fd00::a:2";

export type Eth = Partial<EthernetInit>;
export type Tag = NonNullable<EthernetInit["vlans"]>[number];

/** Longer than the least Ethernet frame, so that no padding comes in between. */
export const DATA = new TextEncoder().encode("forty bytes of data, so nothing is padded");

const eth = (init: Eth | undefined): EthernetInit => ({ src: MAC_A, dst: MAC_B, ...init });
const four = (init: Partial<Ipv4Init> | undefined): Ipv4Init => ({ src: IP_A, dst: IP_B, ...init });
const six = (init: Partial<Ipv6Init> | undefined): Ipv6Init => ({ src: IP6_A, dst: IP6_B, ...init });
const ports = { src_port: 1000, dst_port: 2000 };

interface Over4 {
  eth?: Eth;
  ip?: Partial<Ipv4Init>;
}
interface Over6 {
  eth?: Eth;
  ip?: Partial<Ipv6Init>;
}

export const udp4 = (init: Partial<UdpInit> & Over4 = {}, data: Uint8Array = DATA): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv4(four(ip), udp({ ...ports, ...rest }, data)));
};
export const tcp4 = (init: Partial<TcpInit> & Over4 = {}, data: Uint8Array = DATA): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv4(four(ip), tcp({ ...ports, flags: 16, ...rest }, data)));
};
export const icmp4 = (init: Partial<Icmpv4Init> & Over4 = {}, data: Uint8Array = DATA): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv4(four(ip), icmpv4({ type: 8, id: 7, seq: 9, ...rest }, data)));
};
export const raw4 = (proto: number, data: Uint8Array, init: Over4 = {}): Uint8Array =>
  ethernet(eth(init.eth), ipv4(four({ proto, ...init.ip }), data));
export const udp6 = (init: Partial<UdpInit> & Over6 = {}, data: Uint8Array = DATA): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv6(six(ip), udp({ ...ports, ...rest }, data)));
};
export const tcp6 = (init: Partial<TcpInit> & Over6 = {}, data: Uint8Array = DATA): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv6(six(ip), tcp({ ...ports, flags: 16, ...rest }, data)));
};
export const icmp6 = (
  init: Partial<Icmpv6Init> & Over6 = {},
  body: Icmpv6["body"] = icmpv6Echo({ id: 7, seq: 9 }, DATA),
): Uint8Array => {
  const { eth: over, ip, ...rest } = init;
  return ethernet(eth(over), ipv6(six(ip), icmpv6({ type: 128, ...rest }, body)));
};
export const raw6 = (proto: number, data: Uint8Array, init: Over6 = {}): Uint8Array =>
  ethernet(eth(init.eth), ipv6(six({ proto, ...init.ip }), data));

const macBytes = (mac: string): Uint8Array => fromHex(mac.replaceAll(":", ""));

/** Neighbour solicitation, with the source's address as an option. */
export const ndSolicit = (init: { target?: string; sll?: string } & Over6 = {}): Uint8Array =>
  icmp6(
    { type: 135, eth: init.eth ?? {}, ip: { hop_limit: 255, ...init.ip } },
    neighbor({
      target: init.target ?? IP6_B,
      options: [{ type: ND_OPTION.SOURCE_LINK_ADDRESS, data: macBytes(init.sll ?? MAC_A) }],
    }),
  );
/** Neighbour advertisement, with the target's address as an option. */
export const ndAdvert = (init: { target?: string; tll?: string } & Over6 = {}): Uint8Array =>
  icmp6(
    { type: 136, eth: init.eth ?? {}, ip: { hop_limit: 255, ...init.ip } },
    neighbor({
      target: init.target ?? IP6_B,
      options: [{ type: ND_OPTION.TARGET_LINK_ADDRESS, data: macBytes(init.tll ?? MAC_B) }],
    }),
  );

export const arpFrame = (
  init: Partial<Omit<Arp, "kind">> & { eth?: Eth; padding?: Uint8Array } = {},
): Uint8Array => {
  const { eth: over, padding, ...rest } = init;
  return ethernet(
    { ...eth({ dst: "ff:ff:ff:ff:ff:ff", ...over }), ...(padding ? { padding } : {}) },
    arp({ op: 1, sha: MAC_A, spa: IP_A, tpa: IP_B, ...rest }),
  );
};

/** A frame of an ethertype that no switch looks into. */
export const other = (eth_type: number, data: Uint8Array = DATA, init: Eth = {}): Uint8Array =>
  ethernet({ ...eth(init), eth_type }, data);

export const tagged = (...vlans: Tag[]): Eth => ({ vlans });

/** CRC-32C (RFC 9260, appendix A). */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** An SCTP packet with one DATA-like chunk and the right checksum. */
export function sctpBytes(src_port = 1000, dst_port = 2000): Uint8Array {
  const bytes = new Uint8Array(12 + 40);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, src_port);
  view.setUint16(2, dst_port);
  view.setUint32(4, 0x1122_3344);
  view.setUint16(14, 40);
  bytes.fill(0x5a, 16);
  view.setUint32(8, crc32c(bytes), true);
  return bytes;
}
export const sctp4 = (init: { src_port?: number; dst_port?: number } & Over4 = {}): Uint8Array =>
  raw4(132, sctpBytes(init.src_port, init.dst_port), init);
export const sctp6 = (init: { src_port?: number; dst_port?: number } & Over6 = {}): Uint8Array =>
  raw6(132, sctpBytes(init.src_port, init.dst_port), init);

export interface Label {
  label: number;
  tc?: number;
  ttl?: number;
}

/** `inner` behind a stack of labels, the outermost first: the frame's addresses and tags, the labels, and what its
 *  ethertype announced. */
export function mpls(labels: readonly Label[], inner: Uint8Array, eth_type = 0x8847): Uint8Array {
  const at = headerSize(inner);
  const stack = new Uint8Array(labels.length * 4);
  labels.forEach(({ label, tc = 0, ttl = 64 }, i) => {
    const bos = i === labels.length - 1 ? 1 : 0;
    new DataView(stack.buffer).setUint32(i * 4, ((label << 12) | (tc << 9) | (bos << 8) | ttl) >>> 0);
  });
  const bytes = Uint8Array.from([...inner.subarray(0, at), ...stack, ...inner.subarray(at)]);
  new DataView(bytes.buffer).setUint16(at - 2, eth_type);
  return bytes;
}

/** `inner`, a whole frame, in a provider backbone bridging header (IEEE 802.1Q §9.7). */
export function pbb(
  isid: number,
  inner: Uint8Array,
  init: { src?: string; dst?: string; pcp?: number } = {},
): Uint8Array {
  const head = new Uint8Array(18);
  head.set(init.dst ? macBytes(init.dst) : inner.subarray(0, 6), 0);
  head.set(init.src ? macBytes(init.src) : inner.subarray(6, 12), 6);
  const view = new DataView(head.buffer);
  view.setUint16(12, 0x88e7);
  view.setUint32(14, (((init.pcp ?? 0) << 29) | isid) >>> 0);
  return Uint8Array.from([...head, ...inner]);
}

/** Of addresses, tags and ethertype. */
function headerSize(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset);
  let at = 12;
  while (view.getUint16(at) === 0x8100 || view.getUint16(at) === 0x88a8) at += 4;
  return at + 2;
}
