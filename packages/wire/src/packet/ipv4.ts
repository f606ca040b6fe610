import { writeU16 } from "../address.js";
import { checksumAdd, checksum as checksumOf } from "../checksum.js";
import { bits, header, ip4, u8, u16 } from "./header.js";
import { checksumFor, type LayerCodec, malformed, NO_BYTES, tooShort } from "./layer.js";
import { type IpPayload, ipPayloadSize, parseIpPayload, protoOf, writeIpPayload } from "./transport.js";

/** IPv4 (RFC 791). */
export interface Ipv4 extends Required<Omit<Ipv4Init, "checksum" | "total_length">> {
  readonly kind: "ipv4";
  /** Only when it is not the right one. */
  readonly checksum?: number;
  /** Only when it is not header and payload: the packet was cut short. */
  readonly total_length?: number;
  readonly payload: IpPayload;
}

export interface Ipv4Init {
  src: string;
  dst: string;
  /** Default: the payload's, 255 for bytes. */
  proto?: number;
  ttl?: number;
  /** DSCP and ECN: the whole octet. */
  tos?: number;
  id?: number;
  /** `IPV4_FLAGS`. */
  flags?: number;
  /** In units of eight bytes. */
  frag_offset?: number;
  /** As on the wire, a multiple of four bytes, at most 40. */
  options?: Uint8Array;
  checksum?: number;
  total_length?: number;
}

export const IPV4_FLAGS = { DF: 2, MF: 1 } as const;

export const ipv4 = (init: Ipv4Init, payload: IpPayload = NO_BYTES): Ipv4 => ({
  kind: "ipv4",
  proto: protoOf(payload) ?? 255,
  ttl: 64,
  tos: 0,
  id: 0,
  flags: 0,
  frag_offset: 0,
  options: NO_BYTES,
  ...init,
  payload,
});

const ipv4Header = header(20, {
  version: bits(0, 28, 4),
  ihl: bits(0, 24, 4),
  tos: u8(1),
  total_length: u16(2),
  id: u16(4),
  flags: bits(4, 13, 3),
  frag_offset: bits(4, 0, 13),
  ttl: u8(8),
  proto: u8(9),
  checksum: u16(10),
  src: ip4(12),
  dst: ip4(16),
});
const CHECKSUM_AT = 10;
const ADDRESSES_AT = 12;

export const ipv4Codec: LayerCodec<Ipv4> = {
  size: (layer) => ipv4Header.size + layer.options.length + ipPayloadSize(layer.payload),
  write: (layer, bytes, at) => {
    const headerSize = ipv4Header.size + layer.options.length;
    const total_length = layer.total_length ?? ipv4Codec.size(layer);
    ipv4Header.write(bytes, at, { ...layer, version: 4, ihl: headerSize >>> 2, total_length, checksum: 0 });
    bytes.set(layer.options, at + ipv4Header.size);
    writeU16(bytes, at + CHECKSUM_AT, layer.checksum ?? checksumOf(bytes, at, at + headerSize));
    writeIpPayload(layer.payload, bytes, at + headerSize, pseudoOf(bytes, at, layer.proto, true));
  },
  parse: (bytes, at, end) => {
    if (end - at < ipv4Header.size) return tooShort("ipv4", ipv4Header.size, bytes, at, end);
    const { version, ihl, total_length, checksum, ...fields } = ipv4Header.read(bytes, at);
    const headerSize = ihl * 4;
    if (version !== 4) return malformed("ipv4", `version ${version}`, bytes, at, end);
    if (headerSize < ipv4Header.size || headerSize > end - at || headerSize > total_length) {
      const reason = `header length ${headerSize}, total length ${total_length} in ${end - at} bytes`;
      return malformed("ipv4", reason, bytes, at, end);
    }
    const isWhole = total_length <= end - at;
    const packetEnd = isWhole ? at + total_length : end;
    const isFragment = fields.frag_offset > 0 || (fields.flags & IPV4_FLAGS.MF) !== 0;
    const payload = isFragment
      ? bytes.slice(at + headerSize, packetEnd)
      : parseIpPayload(bytes, at + headerSize, packetEnd, pseudoOf(bytes, at, fields.proto, isWhole)).layer;
    const isRight = checksumFor(checksumAdd(bytes, at, at + headerSize), checksum) === checksum;
    return {
      layer: {
        kind: "ipv4",
        ...fields,
        options: bytes.slice(at + ipv4Header.size, at + headerSize),
        ...(isRight ? {} : { checksum }),
        ...(isWhole ? {} : { total_length }),
        payload,
      },
      end: packetEnd,
    };
  },
};

const pseudoOf = (bytes: Uint8Array, at: number, proto: number, isWhole: boolean) => ({
  sum: checksumAdd(bytes, at + ADDRESSES_AT, at + ADDRESSES_AT + 8),
  proto,
  isWhole,
});
