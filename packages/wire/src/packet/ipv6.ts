import { checksumAdd } from "../checksum.js";
import { bits, header, ip6, u8, u16 } from "./header.js";
import { type LayerCodec, malformed, NO_BYTES, tooShort } from "./layer.js";
import { type IpPayload, ipPayloadSize, parseIpPayload, protoOf, writeIpPayload } from "./transport.js";

/** IPv6 (RFC 8200). */
export interface Ipv6 extends Required<Omit<Ipv6Init, "payload_length">> {
  readonly kind: "ipv6";
  /** Only when it is not what follows the header: the packet was cut short. */
  readonly payload_length?: number;
  readonly payload: IpPayload;
}

export interface Ipv6Init {
  src: string;
  dst: string;
  /** Of the payload, behind the extension headers. Default: the payload's, 59 (none) for bytes. */
  proto?: number;
  hop_limit?: number;
  traffic_class?: number;
  flow_label?: number;
  extensions?: readonly Ipv6Extension[];
  payload_length?: number;
}

/** `type`: its protocol number. `data`: behind the next-header and length bytes, so 6 bytes, or 8 n more;
 *  in a fragment header, which has no length, the 7 bytes behind next-header. */
export interface Ipv6Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

export const IPV6_EXTENSION = { HOP_BY_HOP: 0, ROUTING: 43, FRAGMENT: 44, DESTINATION: 60 } as const;
const extensionTypes: ReadonlySet<number> = new Set(Object.values(IPV6_EXTENSION));
const NO_NEXT_HEADER = 59;

export const ipv6 = (init: Ipv6Init, payload: IpPayload = NO_BYTES): Ipv6 => ({
  kind: "ipv6",
  proto: protoOf(payload) ?? NO_NEXT_HEADER,
  hop_limit: 64,
  traffic_class: 0,
  flow_label: 0,
  extensions: [],
  ...init,
  payload,
});

const ipv6Header = header(40, {
  version: bits(0, 28, 4),
  traffic_class: bits(0, 20, 8),
  flow_label: bits(0, 0, 20),
  payload_length: u16(4),
  next_header: u8(6),
  hop_limit: u8(7),
  src: ip6(8),
  dst: ip6(24),
});
const ADDRESSES_AT = 8;

/** Where an extension header's data begin (RFC 8200 §4.5: the second byte of a fragment header is reserved). */
const dataAt = (type: number): number => (type === IPV6_EXTENSION.FRAGMENT ? 1 : 2);

const extensionsSize = (layer: Ipv6): number =>
  layer.extensions.reduce((size, { type, data }) => size + dataAt(type) + data.length, 0);

export const ipv6Codec: LayerCodec<Ipv6> = {
  size: (layer) => ipv6Header.size + extensionsSize(layer) + ipPayloadSize(layer.payload),
  write: (layer, bytes, at) => {
    const payload_length = layer.payload_length ?? ipv6Codec.size(layer) - ipv6Header.size;
    const chain = [...layer.extensions.map((extension) => extension.type), layer.proto];
    ipv6Header.write(bytes, at, { ...layer, version: 6, payload_length, next_header: chain[0]! });
    let next = at + ipv6Header.size;
    layer.extensions.forEach(({ type, data }, i) => {
      bytes[next] = chain[i + 1]!;
      if (dataAt(type) === 2) bytes[next + 1] = ((data.length + 2) >>> 3) - 1;
      bytes.set(data, next + dataAt(type));
      next += dataAt(type) + data.length;
    });
    writeIpPayload(layer.payload, bytes, next, pseudoOf(bytes, at, layer.proto, true));
  },
  parse: (bytes, at, end) => {
    if (end - at < ipv6Header.size) return tooShort("ipv6", ipv6Header.size, bytes, at, end);
    const { version, payload_length, next_header, ...fields } = ipv6Header.read(bytes, at);
    if (version !== 6) return malformed("ipv6", `version ${version}`, bytes, at, end);
    const isWhole = payload_length <= end - at - ipv6Header.size;
    const packetEnd = isWhole ? at + ipv6Header.size + payload_length : end;

    const extensions: Ipv6Extension[] = [];
    let proto = next_header;
    let next = at + ipv6Header.size;
    while (extensionTypes.has(proto)) {
      const isFragment = proto === IPV6_EXTENSION.FRAGMENT;
      const size = packetEnd - next < 8 ? 8 : isFragment ? 8 : (bytes[next + 1]! + 1) * 8;
      if (size > packetEnd - next)
        return malformed("ipv6", `extension header ${proto} cut short`, bytes, at, end);
      extensions.push({ type: proto, data: bytes.slice(next + dataAt(proto), next + size) });
      proto = bytes[next]!;
      next += size;
    }
    const isFragment = extensions.some((extension) => extension.type === IPV6_EXTENSION.FRAGMENT);
    const payload = isFragment
      ? bytes.slice(next, packetEnd)
      : parseIpPayload(bytes, next, packetEnd, pseudoOf(bytes, at, proto, isWhole)).layer;
    return {
      layer: { kind: "ipv6", ...fields, proto, extensions, ...(isWhole ? {} : { payload_length }), payload },
      end: packetEnd,
    };
  },
};

const pseudoOf = (bytes: Uint8Array, at: number, proto: number, isWhole: boolean) => ({
  sum: checksumAdd(bytes, at + ADDRESSES_AT, at + ADDRESSES_AT + 32),
  proto,
  isWhole,
});
