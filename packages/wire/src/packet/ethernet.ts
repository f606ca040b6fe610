import { MAC_BROADCAST, readU16, writeU16 } from "../address.js";
import { type Arp, arpCodec } from "./arp.js";
import { header, mac } from "./header.js";
import { type Ipv4, ipv4Codec } from "./ipv4.js";
import { type Ipv6, ipv6Codec } from "./ipv6.js";
import { type LayerCodec, type Malformed, NO_BYTES, rawCodec, tooShort } from "./layer.js";
import { type Lldp, lldpCodec } from "./lldp.js";

/** An Ethernet II frame, without preamble and FCS. */
export interface Frame {
  readonly kind: "ethernet";
  readonly dst: string;
  readonly src: string;
  /** 802.1Q and 802.1ad tags, the outermost first. */
  readonly vlans: readonly Vlan[];
  /** Of the payload, behind the tags. Below 0x600 it is an 802.3 length and the payload is bytes. */
  readonly eth_type: number;
  readonly payload: Arp | Ipv4 | Ipv6 | Lldp | Malformed | Uint8Array;
  /** What follows the payload: most often zeros up to the least frame of 60 bytes. */
  readonly padding: Uint8Array;
}

export interface Vlan {
  readonly tpid: number;
  readonly vid: number;
  readonly pcp: number;
  /** Drop eligible indicator. */
  readonly dei: boolean;
}

export interface EthernetInit {
  src: string;
  /** Default: broadcast. */
  dst?: string;
  vlans?: readonly (Partial<Vlan> & { vid: number })[];
  /** Default: the payload's, 0xffff for bytes. */
  eth_type?: number;
  padding?: Uint8Array;
}

export const ETH_TYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  VLAN_AD: 0x88a8,
  LLDP: 0x88cc,
} as const;

type Layer = Arp | Ipv4 | Ipv6 | Lldp;

/** What rides on Ethernet: one row a protocol. */
const payloads = {
  arp: { eth_type: ETH_TYPE.ARP, codec: arpCodec },
  ipv4: { eth_type: ETH_TYPE.IPV4, codec: ipv4Codec },
  ipv6: { eth_type: ETH_TYPE.IPV6, codec: ipv6Codec },
  lldp: { eth_type: ETH_TYPE.LLDP, codec: lldpCodec },
};
const byType = new Map<number, LayerCodec<Layer>>(
  Object.values(payloads).map(({ eth_type, codec }) => [eth_type, codec as LayerCodec<Layer>]),
);

/** The bytes of a frame: `ethernet({ src, dst }, ipv4({ src, dst }, udp({ src_port, dst_port }, data)))`.
 *  Throws a RangeError for text that is not an address. */
export const ethernet = (init: EthernetInit, payload: Frame["payload"] = NO_BYTES): Uint8Array =>
  encodeFrame(frame(init, payload));

export const frame = (init: EthernetInit, payload: Frame["payload"] = NO_BYTES): Frame => ({
  kind: "ethernet",
  dst: init.dst ?? MAC_BROADCAST,
  src: init.src,
  vlans: (init.vlans ?? []).map((tag) => ({ tpid: ETH_TYPE.VLAN, pcp: 0, dei: false, ...tag })),
  eth_type: init.eth_type ?? (isLayer(payload) ? payloads[payload.kind].eth_type : 0xffff),
  payload,
  padding: init.padding ?? NO_BYTES,
});

const isLayer = (payload: Frame["payload"]): payload is Layer =>
  !(payload instanceof Uint8Array) && payload.kind !== "malformed";

const addresses = header(12, { dst: mac(0), src: mac(6) });
const TAG_SIZE = 4;
const TYPE_SIZE = 2;

export function encodeFrame(value: Frame): Uint8Array {
  const { payload } = value;
  const headerSize = addresses.size + value.vlans.length * TAG_SIZE + TYPE_SIZE;
  const codec = isLayer(payload) ? (payloads[payload.kind].codec as LayerCodec<Layer>) : undefined;
  const raw =
    payload instanceof Uint8Array ? payload : payload.kind === "malformed" ? payload.bytes : NO_BYTES;
  const payloadSize = codec ? codec.size(payload as Layer) : raw.length;

  const bytes = new Uint8Array(headerSize + payloadSize + value.padding.length);
  addresses.write(bytes, 0, value);
  value.vlans.forEach((tag, i) => {
    writeU16(bytes, addresses.size + i * TAG_SIZE, tag.tpid);
    writeU16(bytes, addresses.size + i * TAG_SIZE + 2, (tag.pcp << 13) | (Number(tag.dei) << 12) | tag.vid);
  });
  writeU16(bytes, headerSize - TYPE_SIZE, value.eth_type);
  if (codec) codec.write(payload as Layer, bytes, headerSize);
  else bytes.set(raw, headerSize);
  bytes.set(value.padding, headerSize + payloadSize);
  return bytes;
}

/** Reads a frame and everything in it that is known. Never throws: a layer that cannot be read is a
 *  `Malformed` in its place. */
export function parseFrame(bytes: Uint8Array): Frame | Malformed {
  let at = addresses.size;
  const vlans: Vlan[] = [];
  const isTag = (type: number): boolean => type === ETH_TYPE.VLAN || type === ETH_TYPE.VLAN_AD;
  while (at + TAG_SIZE + TYPE_SIZE <= bytes.length && isTag(readU16(bytes, at))) {
    const tci = readU16(bytes, at + 2);
    vlans.push({ tpid: readU16(bytes, at), vid: tci & 0xfff, pcp: tci >>> 13, dei: (tci & 0x1000) !== 0 });
    at += TAG_SIZE;
  }
  if (at + TYPE_SIZE > bytes.length) {
    return tooShort("ethernet", at + TYPE_SIZE, bytes, 0, bytes.length).layer as Malformed;
  }
  const eth_type = readU16(bytes, at);
  at += TYPE_SIZE;
  const codec: LayerCodec<Layer> | LayerCodec<Uint8Array> = byType.get(eth_type) ?? rawCodec;
  const { layer, end } = codec.parse(bytes, at, bytes.length);
  return {
    kind: "ethernet",
    ...addresses.read(bytes, 0),
    vlans,
    eth_type,
    payload: layer,
    padding: bytes.slice(end),
  };
}
